"""How the Interactions wire differs between the Developer API and the Agent Platform."""

import base64
import difflib
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.responses import JSONResponse

from veo_sandbox.core import Core
from veo_sandbox.exchange import Refusal
from veo_sandbox.google.errors import STATUS_WORDS, google_error
from veo_sandbox.google.omni import OmniModel, load_omni_models
from veo_sandbox.state.price_list import find_row, load_models
from veo_sandbox.tables import load_table, load_texts

_HTTP_STATUS = {"invalid_request": 400, "not_found": 404}
REPLACEMENT = "gemini-omni-1.2-flash"
"""What Google names as the successor of a retired model."""


@dataclass(frozen=True, slots=True)
class OmniApi:
    """A row of `interactions.toml`; `name` is the route of its tasks."""

    name: str
    top: Collection[str]
    format: Collection[str]
    id_pattern: str
    wraps_errors: bool

    @classmethod
    def load(cls, name: str) -> Self:
        return cls(name, **load_table("google/interactions.toml")[name])

    def error(self, name: str, /, **facts: object) -> Refusal:
        """Make an error of `interaction_errors.toml`; `facts` fill its text."""
        code, text = load_texts("google/interaction_errors.toml")[name]
        return Refusal(self.error_response(_HTTP_STATUS[code], code, text.format(**facts)))

    def error_response(self, status: int, code: str, message: str) -> JSONResponse:
        if not self.wraps_errors:
            return JSONResponse({"error": {"message": message, "code": code}}, status)
        body = {"code": status, "message": message, "status": STATUS_WORDS[status]}
        return JSONResponse([{"error": body}], status)

    def check_members(
        self, members: Mapping[str, Any], known: Collection[str], path: str = ""
    ) -> None:
        """Refuse a member that the API does not know; `path` is where the members are."""
        for name in members:
            if name not in known:
                place = f" at '{path}'" if path else ""
                snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
                # The hint was seen for camelCase, which this wire does not take.
                hint = f". Did you mean '{snake}'?" if snake != name and snake in known else ""
                raise self.error("unknown_parameter", name=name, place=place + hint)

    def check_value(self, path: str, value: object, known: Collection[str]) -> str:
        """Return one of the values that a parameter takes, or raise a Refusal that lists them."""
        if not isinstance(value, str):
            raise self.error("invalid_input", path=path.partition(".")[0])
        if value not in known:
            raise self.error("bad_value", value=value, path=path, known=quote_values(known))
        return value

    def new_id(self) -> str:
        """Return an id of the captured shape; what its bytes mean is not known."""
        if self.name == "gemini":
            head, tail = b"\n\x16-", b"\x12\x17"
            return "v1_" + _encode_id(head + _random_text(21) + tail + _random_text(23))
        return _encode_id(b"\n\x103" + _random_text(15) + b"main")

    def check_id(self, interaction_id: str) -> None:
        if not re.fullmatch(self.id_pattern, interaction_id):
            raise self.error("bad_name", id=interaction_id)

    def find_model(self, core: Core, name: object) -> OmniModel:
        """Return the model that a request names, or raise a Refusal."""
        if not isinstance(name, str) or not name:
            raise self.error("invalid_input", path="model")
        name = name.removeprefix("models/")
        known = load_omni_models(self.name)
        living = {key: row for key, row in known.items() if self.name not in row.retired}
        is_veo = name in load_models("google")
        offered = () if is_veo else core.settings.offered_names
        model = known.get(name) or find_row(name, living, offered)
        if (self.name == "gemini" and is_veo) or (model and self.name in model.retired):
            raise google_error("retired_model", model=name, replacement=REPLACEMENT)
        if model is None or not core.settings.offers_model(name):
            like = difflib.get_close_matches(name, sorted(known, reverse=True), n=1, cutoff=0.0)
            raise self.error("unknown_model", model=name, like=like[0])
        return model


def _random_text(length: int) -> bytes:
    return secrets.token_urlsafe(length)[:length].encode()


def _encode_id(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def quote_values(values: Collection[Any]) -> str:
    """Write the values that a parameter takes as Google does: `'16:9', '9:16'`."""
    return ", ".join(f"'{value}'" for value in values)
