"""What would be sent and what it costs, told before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo_commands import exit_codes
from veo_commands.format import describe_plan, describe_quote, request_fields
from veo_commands.output import out

if TYPE_CHECKING:
    from veo.planning.plan import Plan
    from veo.request import Request

NOTHING_SENT = ("", "nothing was sent")


def announce_plan(plan: Plan) -> None:
    """Tell the model, the price and the warnings of a plan, on stderr."""
    played = "; play money in the sandbox" if out.sandbox else ""
    out.info(f"{describe_plan(plan)}{played}", dim=True)
    for warning in plan.warnings:
        out.warn(warning)


def print_plan(plan: Plan) -> int:
    """``--dry-run``: look at the pictures, print the plan, send nothing.

    Raises:
        ImageError: A picture on this machine cannot be used.
    """
    check_images(plan.request)
    for warning in plan.warnings:
        out.warn(warning)
    out.print_result(plan_to_json(plan), out.key_values([*plan_fields(plan), NOTHING_SENT]))
    return exit_codes.DONE


def check_images(request: Request) -> None:
    """Decode the request's local pictures to their ends, as sending it would.

    Raises:
        ImageError: One is missing, broken, or of a kind that no model takes.
    """
    from veo.files.images import verify_image

    for image in request.images:
        if not image.is_url:
            verify_image(image.source, image.read())


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as ``--json`` prints it; amounts as in the ledger's quotes."""
    return {
        "job": None,
        "provider": plan.model.provider,
        "model": plan.model.name,
        "request": plan.request.to_json(),
        "quote": plan.quote.to_json(),
        "warnings": list(plan.warnings),
    }


def plan_fields(plan: Plan) -> list[tuple[str, str]]:
    """The plan as names and values."""
    quote = plan.quote
    mine = ", from your configuration" if quote.overridden else ""
    return [
        ("model", f"{plan.model.provider}/{plan.model.name}"),
        *request_fields(plan.request, plan.model),
        ("price", f"{describe_quote(quote)}; {quote.source}, {quote.as_of}{mine}"),
    ]
