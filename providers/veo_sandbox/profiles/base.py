"""What a profile of `/v1/videos` decides, with a new-api gateway's answers as the default."""

import secrets
import string
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal, Upload
from veo_sandbox.responses import page
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Outcome, State, Task

MOST_IMAGE = 10 * 1024 * 1024
"""Bytes of one picture (documented by the vendor)."""

NO_FRAME = "帧转视频模式的至少上传一帧"
"""Why an `-fl` task without a picture fails, after it was accepted (seen by users)."""

INTERNAL = "服务内部异常"
"""Why a task fails when nothing else is known (seen by users of a sister service)."""

_WORDS = {"queued": "QUEUED", "running": "IN_PROGRESS", "completed": "SUCCESS", "failed": "FAILURE"}
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Asked:
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

    def sells(self, model: Model) -> bool:
        """Whether a model can be asked for here."""
        return model.family in self.families

    def read(self, call: Call, model: Model) -> Asked:
        """Understand a create.

        Raises:
            Refusal: the request is wrong.
        """
        raise NotImplementedError

    def new_id(self) -> str:
        """An id for a new task."""
        return f"video_{uuid4()}"

    # What it answers.

    def created(self, task: Task) -> dict[str, Any]:
        """The body of a successful create."""
        raise NotImplementedError

    def status(self, task: Task, state: State) -> Response:
        """The answer to a poll."""
        if state.name == "failed":
            return self.failed(task)
        return JSONResponse(self.running(task, state))

    def running(self, task: Task, state: State) -> dict[str, Any]:
        """The body of a poll, completed or not, of a task that did not fail."""
        raise NotImplementedError

    def failed(self, task: Task) -> Response:
        """The answer to a poll of a failed task, told in the outcome's shape."""
        outcome = worded(task.outcome)
        error = {"code": outcome.code, "message": outcome.message}
        body = self.running(task, State("failed", 1.0))
        match outcome.shape or "object":
            case "get_task_failed":
                return self.task_error(500, "get_task_failed", outcome.message)
            case "string":
                body["error"] = outcome.message
            case "message":
                body["message"] = outcome.message
            case "fail_reason":
                body["fail_reason"] = outcome.message
            case "object":
                body["error"] = error
        return JSONResponse(body)

    def content(self, task: Task, state: State) -> Response | None:
        """The answer to `/content` of a completed task; None sends the bytes."""
        del task, state
        return None

    def not_ready(self, state: State) -> Response:
        """`/content` of a task that is not completed."""
        text = f"Task is not completed yet, current status: {_WORDS.get(state.name, 'UNKNOWN')}"
        return self.error(400, text, "invalid_request_error")

    def no_content(self) -> Response:
        """`/content` of a task that does not exist."""
        return self.error(404, "Task not found", "invalid_request_error")

    def missing(self) -> Response:
        """A poll of a task that does not exist (seen by users; new-api's own shape)."""
        return self.task_error(400, "task_not_exist", "task_not_exist")

    def unauthorized(self) -> Response:
        """No key, or a wrong one."""
        text = f"无效的令牌 (request id: {self.core.request_id()})"
        return self.error(401, text, "new_api_error")

    def no_model(self, model: str) -> Response:
        """A model that this token may not use (text seen by users, status as one-api does)."""
        told = f"该令牌无权使用模型：{model}"  # noqa: RUF001 - the wire's own text
        text = f"{told} (request id: {self.core.request_id()})"
        return self.error(403, text, "new_api_error")

    def broke(self, balance: float) -> Response:
        """The balance does not cover the task."""
        text = f"用户额度不足, 剩余额度: ${balance:.6f}"
        return self.task_error(403, "insufficient_user_quota", text)

    def invalid(self, code: str, message: str, param: str | None = None) -> Refusal:
        """A request that is wrong."""
        del param
        return Refusal(self.task_error(400, code, message))

    def too_large(self) -> Response:
        """A picture over the limit: the proxy in front refuses it."""
        return page(413, "Request Entity Too Large")

    # Shapes.

    def error(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        """An error of the gateway itself, with `more` members."""
        body = {"message": message, "type": kind, "code": code, **more}
        return JSONResponse({"error": body}, status)

    def task_error(self, status: int, code: str, message: str) -> Response:
        """An error of the task routes: no `error` key."""
        return JSONResponse({"code": code, "message": message, "data": None}, status)


def worded(outcome: Outcome) -> Outcome:
    """A failure with a code and a text, this wire's own if the outcome has none."""
    code, message = outcome.code or "task_failed", outcome.message or INTERNAL
    return replace(outcome, code=code, message=message)


def token(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
