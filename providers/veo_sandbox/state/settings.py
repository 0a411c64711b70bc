"""Settings that can change while the sandbox runs; saved in its home, shared by its processes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from veo_sandbox.state.latency import Latency

_TEXTS = {"offered": "names, separated by commas", "file_host": "a URL, or self"}

MAX_NUMBER = 1e9
"""Of any setting: 31 years, or a thousand million USD. Infinity would be stored for good."""


class SettingValues(TypedDict, total=False):
    """The settings by name, those of clock and account (`speed`, `balance`) included."""

    latency: Latency | str | float
    seed: int
    fail_rate: float
    timeout_rate: float
    delay: float
    content_lag: float
    processing_lag: float | None
    retired: bool
    offered: str
    file_host: str
    speed: float
    balance: float


@dataclass(frozen=True, slots=True)
class Settings:
    """How the sandbox behaves.

    Attributes:
        latency: Service times of new tasks, in the forms of `Latency` (seconds of its clock).
        fail_rate: Share of new tasks that will fail, 0 to 1.
        timeout_rate: Share of new tasks that will never finish, 0 to 1.
        delay: Real seconds before every response of an API.
        content_lag: Seconds of its clock for which `/content` still responds 400 after a task of
            the official route completed (reported by users of a sister service).
        processing_lag: Seconds of its clock for which a finished video of the Gemini Developer
            API still reads PROCESSING and cannot be extended; None for `processing_s`.
        retired: Whether that API has shut its Veo models down, as reported since 2026-10-22.
        offered: The names that every API lists and accepts, separated by commas; all that it
            knows if empty. A name that no model has is a new one, which is made and billed as the
            living model with the most similar name.
        file_host: The base URL in addresses of the Gemini Developer API's files: Google's own if
            empty, which google-genai rewrites; "self" for the sandbox's.
    """

    latency: str = "fixed:6"
    seed: int = 0
    fail_rate: float = 0.0
    timeout_rate: float = 0.0
    delay: float = 0.0
    content_lag: float = 4.0
    processing_lag: float | None = None
    retired: bool = False
    offered: str = ""
    file_host: str = ""

    @property
    def processing_s(self) -> float:
        """How long files are processed: by default in proportion to the latency.

        About 15 s were reported, of videos that took 35 s and more.
        """
        if self.processing_lag is not None:
            return self.processing_lag
        return min(15.0, Latency.parse(self.latency).median_s / 3)

    @property
    def offered_names(self) -> list[str]:
        return self.offered.replace(",", " ").split()

    def offers_model(self, name: str) -> bool:
        """Return whether a model is offered to the key; with an empty setting all are."""
        return not self.offered or name in self.offered_names

    def replace_values(self, values: Mapping[str, Any]) -> "Settings":
        """Return these settings with some replaced; a wrong name or value is a ValueError."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(values.keys() - known):
            names = ", ".join(sorted(known | {"balance", "speed"}))
            raise ValueError(f"unknown setting {unknown[0]!r}; known: {names}")
        return replace(self, **{name: _parse_value(name, value) for name, value in values.items()})


def parse_number(name: str, value: object, maximum: float = MAX_NUMBER) -> float:
    """Return a number from 0 to `maximum`; any other value is a ValueError."""
    # bool is a subclass of int, and `true` is not a number of seconds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= maximum:
        raise ValueError(f"{name} {value!r}: must be a number from 0 to {maximum:g}")
    return float(value)


def _parse_value(name: str, value: Any) -> Any:
    if name == "latency":
        return str(Latency.parse(value))
    if name == "seed":
        return int(parse_number(name, value, 2.0**63))
    if name in _TEXTS:
        if not isinstance(value, str):
            raise ValueError(f"{name} {value!r}: must be {_TEXTS[name]}")
        return value
    if name == "retired":
        if value not in {True, False}:
            raise ValueError(f"{name} {value!r}: must be true or false")
        return bool(value)
    if name == "processing_lag" and value is None:
        return None
    return parse_number(name, value, 1.0 if name.endswith("_rate") else MAX_NUMBER)
