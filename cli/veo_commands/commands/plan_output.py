"""Print a plan: what would be sent, and the price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from veo_commands import exit_codes
from veo_commands.format import describe_plan, describe_quote, format_bytes, request_fields
from veo_commands.output import out

if TYPE_CHECKING:
    from veo.planning.plan import Plan


def upload_rows(plan: Plan) -> list[tuple[str, str]]:
    """Return a row about the file that is uploaded before the request is sent, if there is one."""
    from veo.files.output import size_on_disk

    source = plan.request.source
    path = source.local_path if source else None
    if path is None:
        return []
    return [("upload", f"{path}, {format_bytes(size_on_disk(path))}, free of charge")]


def announce_plan(plan: Plan) -> None:
    for _, text in upload_rows(plan):
        out.info(f"uploads {text}", dim=True)
    out.info(f"{describe_plan(plan)}{out.play_money_note}", dim=True)
    out.warn_of(plan.warnings)


def print_plan(plan: Plan) -> int:
    """Check the images, and print the plan (``--dry-run``)."""
    from veo.files.images import verify_image

    # Planning has not read the images. They are decoded completely, as sending them would.
    for image in plan.request.images:
        if not image.is_url:
            verify_image(image.source, image.read())
    return print_plan_result(plan)


def print_plan_result(
    plan: Plan,
    extra_rows: Sequence[tuple[str, str]] = (),
    extra_json: Mapping[str, Any] | None = None,
) -> int:
    out.warn_of(plan.warnings)
    rows = [*_plan_rows(plan), *extra_rows, ("", "nothing was sent")]
    out.print_result({**plan_to_json(plan), **(extra_json or {})}, out.key_values(rows))
    return exit_codes.DONE


def plan_to_json(plan: Plan) -> dict[str, Any]:
    return {
        "job": None,
        "provider": plan.model.provider,
        "model": plan.model.name,
        "request": plan.request.to_json(),
        "quote": plan.quote.to_json(),
        "warnings": list(map(str, plan.warnings)),
    }


def _plan_rows(plan: Plan) -> list[tuple[str, str]]:
    from veo.ledger.statement import describe_price

    quote = plan.quote
    return [
        ("model", plan.model.full_name),
        *request_fields(plan.request, plan.model),
        ("price", f"{describe_quote(quote)}; {describe_price(quote)}"),
    ]
