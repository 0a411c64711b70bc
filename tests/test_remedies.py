"""Remedies of errors as commands and options of the command line."""

from typing import get_args

import pytest

from veo.errors import InvalidRequestError, LedgerError, UnknownOutcomeError, VeoError
from veo.problems import Problem, Remedy, RemedyKind
from veo_commands.remedies import advice_lines, describe_problem, error_lines


@pytest.mark.parametrize("kind", get_args(RemedyKind))
def test_every_remedy_has_a_text(kind: RemedyKind) -> None:
    """The command line knows a command or an option for every kind of remedy."""
    (line,) = advice_lines(VeoError("failed", remedies=[Remedy(kind, "abcdefghjk")]), sandbox=False)
    assert "--" in line or "`veo " in line


def test_commands_name_the_job_and_the_ledger() -> None:
    """A command holds the id of the job, and ``--sandbox`` where the sandbox is used."""
    error = UnknownOutcomeError("abcdefghjk")
    _, attach, resubmit = advice_lines(error, sandbox=False)
    assert attach.startswith("`veo resume abcdefghjk --task-id ID` ")
    assert resubmit.startswith("`veo resume abcdefghjk --resubmit` ")
    assert "`veo resume abcdefghjk --resubmit --sandbox` " in advice_lines(error, sandbox=True)[2]


def test_a_known_task_is_part_of_the_command() -> None:
    """An accepted task that could not be stored is named, ready to be copied."""
    error = LedgerError("full", remedies=[Remedy("attach_task", "abcdefghjk", "task-1")])
    (line,) = advice_lines(error, sandbox=False)
    assert line.startswith("`veo resume abcdefghjk --task-id task-1` ")


def test_a_remedy_of_a_newer_version_is_left_out() -> None:
    """A ledger may hold kinds of remedies that this version does not know."""
    error = VeoError.from_json({"message": "failed", "remedies": [{"kind": "pray"}]})
    assert advice_lines(error, sandbox=False) == []


def test_problems_name_options() -> None:
    """A field is printed as its option; the prompt and the video to extend have none."""
    names = ("negative_prompt", "prompt", "extend")
    error = InvalidRequestError([Problem(name, "is wrong") for name in names])
    assert [line.partition(":")[0] for line in error_lines(error)] == [
        "--negative-prompt",
        "prompt",
        "extend",
    ]


def test_a_warning_about_the_model_names_no_option() -> None:
    """The user need not have chosen the model; an error about it names the option."""
    warning = Problem("model", "m-1 was reportedly shut down", severity="warning")

    assert describe_problem(warning) == warning.explanation
    assert describe_problem(Problem("model", "unknown")).startswith("--model: ")
