"""Errors in the terms of the command line: options for fields, commands for remedies."""

from __future__ import annotations

from veo.errors import InvalidRequestError, VeoError
from veo.problems import Problem, Remedy

# Per kind of remedy: the command, and what it does.
_COMMANDS = {
    "resume": ("resume {job}", "continues where it stopped"),
    "resubmit": ("resume {job} --resubmit", "sends the request again, and may pay again"),
    "attach_task": ("resume {job} --task-id {task}", "continues with the provider's task"),
    "attach_url": ("resume {job} --url ADDRESS", "downloads the video from an address"),
    "extend": ("extend {job} PROMPT", "extends the video that the provider has"),
    "list_jobs": ("jobs", "lists all jobs"),
    "list_models": ("models", "lists the models of all providers"),
    "set_aside": ("doctor --set-aside", "renames it, so that a new one can begin"),
    "show_settings": ("config", "shows every setting and where it comes from"),
}
_OPTIONS = {
    "use_sandbox": "--sandbox runs the command without a key.",
    "overwrite": "--force overwrites it.",
    "raise_max_cost": "--max-cost sets max_cost for this command.",
    "confirm_cost": "--yes confirms the cost; --max-cost USD confirms it up to a limit.",
    "fit_frames": "--fit crop cuts frames to the shape of the video; --fit pad adds bars.",
    "remake": "--remake makes it again, and pays again.",
    "skip_invalid": "--skip-invalid sends the valid items.",
}


def option_name(field: str) -> str:
    """Return ``--negative-prompt`` for the field ``negative_prompt``."""
    from veo.request import REQUEST_FIELDS

    row = REQUEST_FIELDS.get(field)
    return field if row and not row.is_option else f"--{field.replace('_', '-')}"


def describe_problem(problem: Problem) -> str:
    """Return a problem as one line that names the option instead of the field."""
    if problem.field == "model" and problem.severity == "warning":
        return problem.explanation  # it names the model, which the user need not have chosen
    return f"{option_name(problem.field)}: {problem.explanation}"


def veo_command(*words: str, sandbox: bool) -> str:
    """Return a command in backquotes, for the ledger that the current command uses."""
    # The sandbox has a ledger of its own: without the option the command would not find the job.
    return f"`{' '.join(filter(None, ('veo', *words, '--sandbox' if sandbox else '')))}`"


def error_lines(error: VeoError) -> list[str]:
    """Return an error's message as lines; problems of a request name options, not fields."""
    if isinstance(error, InvalidRequestError):
        return list(map(describe_problem, error.problems))
    return str(error).splitlines() or [type(error).__name__]


def advice_lines(error: VeoError, *, sandbox: bool) -> list[str]:
    lines = [error.hint, *(_remedy_text(remedy, sandbox=sandbox) for remedy in error.remedies)]
    return [line for line in lines if line]


def _remedy_text(remedy: Remedy, *, sandbox: bool) -> str | None:
    """Return the sentence for a remedy; None for an unknown kind, stored by a newer version."""
    if remedy.kind not in _COMMANDS:
        return _OPTIONS.get(remedy.kind)
    words, effect = _COMMANDS[remedy.kind]
    words = words.format(job=remedy.job or "", task=remedy.task_id or "ID")
    return f"{veo_command(*words.split(), sandbox=sandbox)} {effect}."
