"""Errors: one tree, three facts about each error, and remedies as data."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo import errors
from veo.errors import (
    BusyError,
    InvalidRequestError,
    ProviderError,
    ResponseLostError,
    UsageError,
    VeoError,
)
from veo.problems import Problem, Remedy

ROOT = Path(__file__).parent.parent
TREE = str(errors.__doc__)
CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, VeoError)
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
class TestEveryClass:
    """What holds for every class."""

    def test_it_is_in_the_tree(self, cls: type[VeoError]) -> None:
        """The docstring of the module shows every class."""
        assert re.search(rf"\b{cls.__name__}\b", TREE)

    def test_it_has_a_documented_exit_code(self, cls: type[VeoError]) -> None:
        """The exit code is between 1 and 7."""
        assert cls.exit_code in range(1, 8)

    def test_it_survives_the_ledger(self, cls: type[VeoError]) -> None:
        """It is restored as the same class with the same facts."""
        error = VeoError.from_json({"type": cls.__name__, "message": "m", "charged": cls.charged})
        assert type(error) is cls
        facts = (error.message, error.charged, error.retryable)
        assert facts == ("m", cls.charged, cls.retryable)

    def test_a_providers_words_are_explained(self, cls: type[VeoError]) -> None:
        """A class whose message is the provider's begins its text with an English summary."""
        error = VeoError.from_json({"type": cls.__name__, "message": "服务内部异常"})
        expected = f"{cls.summary} (服务内部异常); " if cls.summary else "服务内部异常"
        assert str(error).startswith(expected)


@pytest.mark.parametrize(
    ("charged", "retryable", "note"),
    [
        (False, True, "not charged, may be tried again"),
        (False, False, "not charged"),
        (True, False, "it was charged"),
        (None, True, "it may have been charged"),
    ],
)
def test_a_text_says_what_happened_to_the_money(
    charged: bool | None, retryable: bool, note: str
) -> None:
    """The text ends with what the error means for the money."""
    error = errors.GenerationError("服务内部异常", charged=charged, retryable=retryable)
    assert str(error) == f"the provider failed to make the video (服务内部异常); {note}"


@pytest.mark.parametrize(
    ("branch", "code"),
    re.findall(r"── (\w+Error) (\d)", TREE),
)
def test_the_exit_code_belongs_to_the_branch(branch: str, code: str) -> None:
    """The number in the tree is that of the class and of its subclasses."""
    root = getattr(errors, branch)
    below = [cls for cls in CLASSES if issubclass(cls, root)]
    assert {cls.exit_code for cls in below} == {int(code)}


def test_no_class_is_both_retryable_and_charged() -> None:
    """A call that may be repeated was not charged."""
    assert not [cls for cls in CLASSES if cls.retryable and cls.charged]


def test_a_fact_of_one_error_overrides_that_of_its_class() -> None:
    """An error can differ from its class; None means unknown."""
    error = BusyError("busy", charged=None, retryable=False, retry_after=3.0, request_id="r")
    assert (error.charged, error.retryable, error.retry_after) == (None, False, 3.0)
    assert (BusyError("busy").charged, ResponseLostError("lost").charged) == (False, None)


TEXT = st.none() | st.text()
FACT = st.none() | st.booleans()


REMEDIES = [Remedy("list_jobs").to_json(), Remedy("attach_task", "abcdefghjk", "task-1").to_json()]


@given(
    st.sampled_from(CLASSES),
    st.text(),
    TEXT,
    FACT,
    st.booleans(),
    TEXT,
    st.lists(st.sampled_from(REMEDIES)),
)
def test_json_and_back(  # noqa: PLR0917 - one for each fact that hypothesis draws
    cls: type[VeoError],
    message: str,
    hint: str | None,
    charged: bool | None,
    retryable: bool,
    request_id: str | None,
    remedies: list[dict[str, str]],
) -> None:
    """An error read from JSON has all that was written."""
    facts = {"hint": hint, "charged": charged, "retryable": retryable, "request_id": request_id}
    body = {"type": cls.__name__, "message": message, "remedies": remedies, **facts}
    assert VeoError.from_json(body).to_json() == body


def test_an_error_stored_without_remedies_is_restored() -> None:
    """Errors in ledgers of earlier versions have none."""
    body = {"type": "UnknownModelError", "message": "there is no model", "hint": "`veo models`"}
    assert VeoError.from_json(body).remedies == ()


def test_the_core_names_no_commands_and_no_options() -> None:
    """Texts of the core and the providers hold no ``veo`` commands and no ``--options``."""
    found = {
        f"{path}:{node.lineno}: {node.value}"
        for folder in (ROOT / "veo", *(ROOT / "providers").iterdir())
        if folder.name != "veo_sandbox"  # a server, which has a command line of its own
        for path in folder.rglob("*.py")
        for node in _texts(ast.parse(path.read_text("utf-8")))
        if re.search(r"`veo |(^|[^\w-])--[a-z]", node.value)
    }
    assert not found


def _texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield every string of a module except its docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            yield node


@pytest.mark.parametrize("body", [{}, {"type": "GremlinError"}, {"type": None, "message": None}])
def test_an_unknown_error_is_still_an_error(body: dict[str, object]) -> None:
    """An error of an unknown class is restored as a ``VeoError``."""
    assert type(VeoError.from_json(body)) is VeoError


def test_a_class_of_another_package_is_restored() -> None:
    """A provider's own error class needs no registration."""

    class TiredError(ProviderError):
        """An error of this test."""

    assert type(VeoError.from_json(TiredError("yawn").to_json())) is TiredError


def test_a_request_lists_all_its_problems() -> None:
    """The error has one line for each problem, and the problems as data."""
    problems = (Problem("prompt", "a video needs a prompt"), Problem("seed", "there is none"))
    error = InvalidRequestError(iter(problems))
    assert error.problems == problems
    assert str(error).splitlines() == [str(problem) for problem in problems]
    assert isinstance(error, UsageError)


@pytest.mark.parametrize(
    "error",
    [
        BusyError("busy", retry_after=3.0, hint="wait"),
        InvalidRequestError([Problem("prompt", "a video needs a prompt")]),
    ],
)
def test_an_error_can_be_pickled(error: VeoError) -> None:
    """An unpickled error has the type, text and attributes of the original."""
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
