"""What a profile of `/v1/videos` decides, with a new-api gateway's answers as the default."""

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
"""Bytes of one picture (documented by the vendor)."""

NO_FRAME_TEXT = "帧转视频模式的至少上传一帧"
"""Why an `-fl` task without a picture fails, after it was accepted (seen by users)."""

INTERNAL_ERROR_TEXT = "服务内部异常"
"""Why a task fails when nothing else is known (seen by users of a sister service)."""

_STATUS_WORDS = {
    "queued": "QUEUED",
    "running": "IN_PROGRESS",
    "completed": "SUCCESS",
    "failed": "FAILURE",
}
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """What a create asks for, as its profile understood it."""

    prompt: str
    width: int
    height: int
    seconds: float = 8.0
    resolution: str = "720p"
    images: list[Upload] = field(default_factory=list)
    outcome: Outcome | None = None


class Profile:
    """One dress of the wire. The defaults are those of new-api's own code."""

    name = ""
    families: tuple[str, ...] = ()
    content_lag = False
    default_model = ""

    def __init__(self, core: Core) -> None:
        self.core = core

    # What it sells and takes.

    def sells_model(self, model: Model) -> bool:
        """Whether a model can be asked for here."""
        return model.family in self.families

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Understand a create.

        Raises:
            Refusal: the request is wrong.
        """
        raise NotImplementedError

    def new_id(self) -> str:
        """An id for a new task."""
        return f"video_{uuid4()}"

    # What it answers.

    def created_body(self, task: Task) -> dict[str, Any]:
        """The body of a successful create."""
        raise NotImplementedError

    def poll_response(self, task: Task, state: TaskState) -> Response:
        """The answer to a poll."""
        if state.name == "failed":
            return self.failed_response(task)
        return JSONResponse(self.task_body(task, state))

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """The body of a poll, completed or not, of a task that did not fail."""
        raise NotImplementedError

    def failed_response(self, task: Task) -> Response:
        """The answer to a poll of a failed task, told in the outcome's shape."""
        outcome = fill_failure_text(task.outcome)
        error = {"code": outcome.code, "message": outcome.message}
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
        """The answer to `/content` of a completed task; None sends the bytes."""
        del task, state
        return None

    def not_ready_response(self, state: TaskState) -> Response:
        """`/content` of a task that is not completed."""
        text = (
            f"Task is not completed yet, current status: {_STATUS_WORDS.get(state.name, 'UNKNOWN')}"
        )
        return self.error_response(400, text, "invalid_request_error")

    def no_content_response(self) -> Response:
        """`/content` of a task that does not exist."""
        return self.error_response(404, "Task not found", "invalid_request_error")

    def missing_response(self) -> Response:
        """A poll of a task that does not exist (seen by users; new-api's own shape)."""
        return self.task_error_response(400, "task_not_exist", "task_not_exist")

    def unauthorized_response(self) -> Response:
        """No key, or a wrong one."""
        text = f"无效的令牌 (request id: {self.core.new_request_id()})"
        return self.error_response(401, text, "new_api_error")

    def unknown_model_response(self, model: str) -> Response:
        """A model that this token may not use (text seen by users, status as one-api does)."""
        told = f"该令牌无权使用模型：{model}"  # noqa: RUF001 - the wire's own text
        text = f"{told} (request id: {self.core.new_request_id()})"
        return self.error_response(403, text, "new_api_error")

    def insufficient_balance(self, balance: float) -> Response:
        """The balance does not cover the task."""
        text = f"用户额度不足, 剩余额度: ${balance:.6f}"
        return self.task_error_response(403, "insufficient_user_quota", text)

    def invalid_request(self, code: str, message: str, param: str | None = None) -> Refusal:
        """A request that is wrong."""
        del param
        return Refusal(self.task_error_response(400, code, message))

    def image_too_large(self) -> Response:
        """A picture over the limit: the proxy in front refuses it."""
        return proxy_page(413, "Request Entity Too Large")

    # Shapes.

    def error_response(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        """An error of the gateway itself, with `more` members."""
        body = {"message": message, "type": kind, "code": code, **more}
        return JSONResponse({"error": body}, status)

    def task_error_response(self, status: int, code: str, message: str) -> Response:
        """An error of the task routes: no `error` key."""
        return JSONResponse({"code": code, "message": message, "data": None}, status)


def fill_failure_text(outcome: Outcome) -> Outcome:
    """A failure with a code and a text, this wire's own if the outcome has none."""
    code, message = outcome.code or "task_failed", outcome.message or INTERNAL_ERROR_TEXT
    return replace(outcome, code=code, message=message)


def random_token(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
