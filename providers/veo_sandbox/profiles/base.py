"""What a profile of `/v1/videos` decides; the defaults are a new-api gateway's responses."""

import json
import secrets
import string
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.responses import proxy_page
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model, find_row, load_models
from veo_sandbox.state.tasks import Outcome, Task, TaskSpec, TaskState
from veo_sandbox.tables import load_table

MAX_IMAGE_BYTES = 10 * 1024 * 1024
"""Documented by the vendor."""

NO_FRAME_TEXT = "帧转视频模式的至少上传一帧"
"""Why an `-fl` task without an image fails, after it was accepted (seen by users)."""

STATUS_WORDS = {
    "queued": "QUEUED",
    "running": "IN_PROGRESS",
    "completed": "SUCCESS",
    "failed": "FAILURE",
}
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A create request, as its profile understood it; `size` is "WIDTHxHEIGHT" in pixels."""

    size: str
    seconds: float = 8.0
    resolution: str = "720p"
    images: list[Upload] = field(default_factory=list)
    references: list[Upload] = field(default_factory=list)
    outcome: Outcome | None = None


class Profile:
    """One way to respond. The defaults follow new-api's code, unless a docstring says otherwise."""

    name = ""
    families: tuple[str, ...] = ()
    """The models that it sells; new ones belong to the last family."""
    content_lag = False
    default_model = ""
    no_code: str | None = ""
    wraps_errors = False
    """Whether an error of the task routes is an `error` object, as those of the gateway are."""
    names_param = False
    """Whether such an object names the wrong field in `param`."""
    internal_error_text = "服务内部异常"
    """Why a task fails, unless a fault says it (seen by users of a sister service)."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def sells_model(self, model: Model) -> bool:
        return model.family in self.families

    def find_row(self, name: str) -> Model | None:
        """Return a model by its name, also one that only the setting `offered` names."""
        new = {
            key: model for key, model in load_models().items() if model.family == self.families[-1]
        }
        return load_models().get(name) or find_row(name, new, self.core.settings.offered_names)

    def check_key(self, exchange: Exchange) -> None:
        """Raise a Refusal unless the request has the sandbox's key."""
        if exchange.bearer_key != self.core.key:
            raise Refusal(self.known_error("unauthorized"))

    def find_model(self, exchange: Exchange) -> Model:
        """Return the requested model, or raise a Refusal if it is not sold here."""
        if exchange.malformed:
            kind = "multipart_form" if exchange.malformed.startswith("multi") else "json"
            raise self.invalid_request(f"invalid_{kind}", exchange.malformed)
        name = exchange.fields.get("model") or self.default_model
        if not isinstance(name, str) or not name:
            raise self.invalid_request("missing_model", "model field is required", "model")
        model = self.find_row(name)
        is_offered = self.core.settings.offers_model(name)
        if model is None or not is_offered or not self.sells_model(model):
            raise Refusal(self.known_error("unknown_model", model=name))
        return model

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create request, or raise a Refusal."""
        raise NotImplementedError

    def new_id(self) -> str:
        return f"video_{uuid4()}"

    def accept_task(self, exchange: Exchange, spec: TaskSpec) -> Response:
        """Return the response to a create, or raise a Refusal if the balance is too low."""
        try:
            exchange.accepted_task = task = self.core.accept_task(spec)
        except BalanceError as error:
            raise Refusal(self.known_error("balance", balance=error.balance)) from None
        return JSONResponse(self.created_body(task))

    def created_body(self, task: Task) -> dict[str, Any]:
        return self.task_body(task, TaskState("queued", 0.0))

    def poll_response(self, task: Task, state: TaskState) -> Response:
        if state.name == "failed":
            return self.failed_response(task)
        return JSONResponse(self.task_body(task, state))

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        raise NotImplementedError

    def failed_response(self, task: Task) -> Response:
        outcome = fill_failure_text(task.outcome, self.internal_error_text)
        if outcome.shape == "get_task_failed":
            return self.task_error_response(500, "get_task_failed", outcome.message)
        # Each shape is one that services were seen to use.
        reasons: dict[str, dict[str, Any]] = {
            "object": {"error": {"code": outcome.code, "message": outcome.message}},
            "string": {"error": outcome.message},
            "message": {"message": outcome.message},
            "fail_reason": {"fail_reason": outcome.message},
        }
        body = self.task_body(task, TaskState("failed", 1.0))
        return JSONResponse(body | reasons.get(outcome.shape or "object", {}))

    def content_response(self, task: Task, state: TaskState) -> Response | None:
        """Return the response to `/content` of a completed task; None sends the bytes."""
        return None

    def variant_response(self, task: Task, variant: str | None) -> Response | None:
        """Return another form of the content that a request asks for; None ignores the wish."""
        return None

    def not_ready_response(self, state: TaskState) -> Response:
        # new-api answers so only while its own state lags behind, which then reads NOT_START.
        word = "NOT_START" if state.name == "completed" else STATUS_WORDS[state.name]
        return self.known_error("not_ready", status=word)

    def invalid_request(self, code: str, message: str, param: str | None = None) -> Refusal:
        return Refusal(self.task_error_response(400, code, message, param))

    def image_too_large(self) -> Response:
        """Return the response to an image over the limit: the proxy in front refuses it."""
        return proxy_page(413, "Request Entity Too Large")

    def known_error(self, name: str, **facts: object) -> Response:
        """Return an error of `errors.toml`; `facts` fill its text."""
        tables = load_table("profiles/errors.toml")
        error = (tables["gateway"] | tables.get(self.name, {}))[name]
        text = error["text"].format(request_id=self.core.new_request_id(), **facts)
        code = error.get("code", self.no_code)
        if "type" not in error:
            return self.task_error_response(error["status"], code, text)
        more = {"param": error["param"]} if "param" in error else {}
        return self.error_response(error["status"], text, error["type"], code, **more)

    def error_response(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        """Return an error of the gateway itself, with `more` members."""
        body = {"message": message, "type": kind, "code": code, **more}
        return JSONResponse({"error": body}, status)

    def task_error_response(
        self, status: int, code: str, message: str, param: str | None = None
    ) -> Response:
        """Return an error of the task routes, which has no `error` key at a gateway."""
        if not self.wraps_errors:
            return JSONResponse({"code": code, "message": message, "data": None}, status)
        more = {"param": param} if self.names_param else {}
        return self.error_response(status, message, "invalid_request_error", code, **more)


def fill_failure_text(outcome: Outcome, default: str = Profile.internal_error_text) -> Outcome:
    code, message = outcome.code or "task_failed", outcome.message or default
    return replace(outcome, code=code, message=message)


def random_token(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def parse_json(text: str) -> Any:
    """Return what the text holds; None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
