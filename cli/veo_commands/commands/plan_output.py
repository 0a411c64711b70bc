"""What would be sent and what it costs, told before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo_commands import format as words
from veo_commands.output import out

if TYPE_CHECKING:
    from veo.planning.plan import Plan
    from veo.request import Request

NOTHING = ("", "nothing was sent")


def announce(plan: Plan) -> None:
    """Tell the model, the price and the warnings of a plan, on stderr."""
    played = "; play money in the sandbox" if out.sandbox else ""
    out.say(f"{words.plan(plan)}{played}", dim=True)
    for warning in plan.warnings:
        out.warn(warning)


def rehearse(plan: Plan) -> int:
    """``--dry-run``: look at the pictures, print the plan, send nothing.

    Raises:
        ImageError: A picture on this machine cannot be used.
    """
    look(plan.request)
    for warning in plan.warnings:
        out.warn(warning)
    out.result(described(plan), out.facts([*facts(plan), NOTHING]))
    return 0


def look(request: Request) -> None:
    """Decode the request's local pictures to their ends, as sending it would.

    Raises:
        ImageError: One is missing, broken, or of a kind that no model takes.
    """
    from veo.files.images import verify

    for image in request.images:
        if not image.is_url:
            verify(image.source, image.read())


def described(plan: Plan) -> dict[str, Any]:
    """The plan as ``--json`` prints it; amounts as in the ledger's quotes."""
    return {
        "job": None,
        "provider": plan.model.provider,
        "model": plan.model.name,
        "request": plan.request.to_json(),
        "quote": plan.quote.to_json(),
        "warnings": list(plan.warnings),
    }


def facts(plan: Plan) -> list[tuple[str, str]]:
    """The plan as names and values."""
    quote = plan.quote
    mine = ", from your configuration" if quote.overridden else ""
    return [
        ("model", f"{plan.model.provider}/{plan.model.name}"),
        *words.asked(plan.request, plan.model),
        ("price", f"{words.price(quote)}; {quote.source}, {quote.as_of}{mine}"),
    ]
