"""What a profile of `/v1/videos` decides; the defaults are a new-api gateway's responses."""

import secrets
import string
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.responses import proxy_page
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Outcome, Task, TaskState

MAX_IMAGE_BYTES = 10 * 1024 * 1024
"""Documented by the vendor."""

NO_FRAME_TEXT = "帧转视频模式的至少上传一帧"
"""Why an `-fl` task without an image fails, after it was accepted (seen by users)."""

INTERNAL_ERROR_TEXT = "服务内部异常"
"""Why a task fails, unless a fault says it (seen by users of a sister service)."""

_STATUS_WORDS = {
    "queued": "QUEUED",
    "running": "IN_PROGRESS",
    "completed": "SUCCESS",
    "failed": "FAILURE",
}
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A create request, as its profile understood it."""

    prompt: str
    width: int
    height: int
    seconds: float = 8.0
    resolution: str = "720p"
    images: list[Upload] = field(default_factory=list)
    outcome: Outcome | None = None
    references: list[Upload] = field(default_factory=list)


class Profile:
    """One way to respond. The defaults follow new-api's code, unless a docstring says otherwise."""

    name = ""
    families: tuple[str, ...] = ()
    content_lag = False
    default_model = ""

    def __init__(self, core: Core) -> None:
        self.core = core

    # Requests.

    def sells_model(self, model: Model) -> bool:
        return model.family in self.families

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create request.

        Raises:
            Refusal: the request is wrong.
        """
        raise NotImplementedError

    def new_id(self) -> str:
        return f"video_{uuid4()}"

    # Responses.

    def created_body(self, task: Task) -> dict[str, Any]:
        raise NotImplementedError

    def poll_response(self, task: Task, state: TaskState) -> Response:
        if state.name == "failed":
            return self.failed_response(task)
        return JSONResponse(self.task_body(task, state))

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        raise NotImplementedError

    def failed_response(self, task: Task) -> Response:
        outcome = fill_failure_text(task.outcome)
        error = {"code": outcome.code, "message": outcome.message}
        # Each shape is one that services were seen to use.
        body = self.task_body(task, TaskState("failed", 1.0))
        match outcome.shape or "object":
            case "get_task_failed":
                return self.task_error_response(500, "get_task_failed", outcome.message)
            case "string":
                body["error"] = outcome.message
            case "message":
                body["message"] = outcome.message
            case "fail_reason":
                body["fail_reason"] = outcome.message
            case "object":
                body["error"] = error
        return JSONResponse(body)

    def content_response(self, task: Task, state: TaskState) -> Response | None:
        """Return the response to `/content` of a completed task; None sends the bytes."""
        del task, state
        return None

    def not_ready_response(self, state: TaskState) -> Response:
        text = (
            f"Task is not completed yet, current status: {_STATUS_WORDS.get(state.name, 'UNKNOWN')}"
        )
        return self.error_response(400, text, "invalid_request_error")

    def no_content_response(self) -> Response:
        return self.error_response(404, "Task not found", "invalid_request_error")

    def missing_response(self) -> Response:
        return self.task_error_response(400, "task_not_exist", "task_not_exist")

    def unauthorized_response(self) -> Response:
        text = f"无效的令牌 (request id: {self.core.new_request_id()})"
        return self.error_response(401, text, "new_api_error")

    def unknown_model_response(self, model: str) -> Response:
        """Return the response to a model that the token may not use.

        The text was seen by users; the status is one-api's.
        """
        message_text = f"该令牌无权使用模型：{model}"  # noqa: RUF001 - the wire's own text
        text = f"{message_text} (request id: {self.core.new_request_id()})"
        return self.error_response(403, text, "new_api_error")

    def insufficient_balance(self, balance: float) -> Response:
        text = f"用户额度不足, 剩余额度: ${balance:.6f}"
        return self.task_error_response(403, "insufficient_user_quota", text)

    def invalid_request(self, code: str, message: str, param: str | None = None) -> Refusal:
        del param
        return Refusal(self.task_error_response(400, code, message))

    def image_too_large(self) -> Response:
        """Return the response to an image over the limit: the proxy in front refuses it."""
        return proxy_page(413, "Request Entity Too Large")

    # Shapes of errors.

    def error_response(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        """Return an error of the gateway itself, with `more` members."""
        body = {"message": message, "type": kind, "code": code, **more}
        return JSONResponse({"error": body}, status)

    def task_error_response(self, status: int, code: str, message: str) -> Response:
        """Return an error of the task routes, which has no `error` key."""
        return JSONResponse({"code": code, "message": message, "data": None}, status)


def fill_failure_text(outcome: Outcome) -> Outcome:
    code, message = outcome.code or "task_failed", outcome.message or INTERNAL_ERROR_TEXT
    return replace(outcome, code=code, message=message)


def random_token(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
