"""Print a plan: what would be sent, and the price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.request import Request
from veo_commands import exit_codes
from veo_commands.format import describe_plan, describe_quote, request_fields
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from veo.planning.plan import Plan


def announce_plan(plan: Plan) -> None:
    """Print the model, the price and the warnings before a request is sent."""
    play_money = "; play money in the sandbox" if out.sandbox else ""
    out.info(f"{describe_plan(plan)}{play_money}", dim=True)
    out.warn_of(plan.warnings)


def print_plan(plan: Plan) -> int:
    """Check the images, and print the plan (``--dry-run``).

    Raises:
        ImageError: A local image cannot be used.
    """
    _check_images(plan.request)  # planning has not read them
    return print_plan_result(plan)


def print_plan_result(
    plan: Plan,
    extra_rows: Sequence[tuple[str, str]] = (),
    extra_json: Mapping[str, Any] | None = None,
) -> int:
    """Print a plan with further rows and keys, and return the exit code."""
    out.warn_of(plan.warnings)
    rows = [*_plan_rows(plan), *extra_rows, ("", "nothing was sent")]
    out.print_result({**_plan_json(plan), **(extra_json or {})}, out.key_values(rows))
    return exit_codes.DONE


def _check_images(request: Request) -> None:
    """Decode local images completely, as sending them would."""
    from veo.files.images import verify_image

    for image in request.images:
        if not image.is_url:
            verify_image(image.source, image.read())


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "job": None,
        "provider": plan.model.provider,
        "model": plan.model.name,
        "request": plan.request.to_json(),
        "quote": plan.quote.to_json(),
        "warnings": list(map(str, plan.warnings)),
    }


def _plan_rows(plan: Plan) -> list[tuple[str, str]]:
    quote = plan.quote
    override = ", from your configuration" if quote.overridden else ""
    return [
        ("model", f"{plan.model.provider}/{plan.model.name}"),
        *request_fields(plan.request, plan.model),
        ("price", f"{describe_quote(quote)}; {quote.source}, {quote.as_of}{override}"),
    ]
