"""Ask for the price before anything is sent, and set a limit."""

from decimal import Decimal

import veo
from veo.errors import BudgetError

LIMIT = Decimal("0.40")


def main() -> None:
    with veo.Client() as client:
        plan = client.plan("A lion wakes up", resolution="1080")
        print(f"{plan.model.name} at {plan.model.provider}: {plan.quote.amount} USD")
        try:
            client.submit("A lion wakes up", resolution="1080", max_cost=LIMIT)
        except BudgetError as error:
            print(f"nothing was sent: {error}")


if __name__ == "__main__":
    main()
