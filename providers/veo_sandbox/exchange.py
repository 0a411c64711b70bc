"""One request and what the sandbox knows about it: fields, files, key, requested task."""

import asyncio
import json
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from starlette.datastructures import Headers, QueryParams, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from veo_sandbox.core import Core
from veo_sandbox.state.request_log import summarize_json
from veo_sandbox.state.tasks import Outcome, Task, TaskState

CLOCK_CHECK_S = 0.05
"""Real seconds between two looks at the clock, which may be advanced at any time."""

MAX_BODY_BYTES = 128 * 1024 * 1024
"""Bytes of a body; the default of new-api's MAX_REQUEST_BODY_MB."""


class _BodyTooLargeError(Exception):
    """More than `MAX_BODY_BYTES` arrived; the rest is not read."""


class Refusal(Exception):  # noqa: N818 - a response, not an error
    """Raised by a handler to send this response instead of its own."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status_code)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file part of a form, or an image that was sent inline."""

    name: str
    filename: str
    content_type: str
    data: bytes

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "filename": self.filename,
            "content_type": self.content_type,
            "bytes": len(self.data),
            "sha256": sha256(self.data).hexdigest(),
        }


class Connection:
    """The TCP connection under a request, which Uvicorn keeps behind the `send` that it passes."""

    def __init__(self, send: Send) -> None:
        # `send` is a bound method of Uvicorn's request cycle; there is no public way to it.
        self._cycle: Any = getattr(send, "__self__", None)

    @classmethod
    def of_request(cls, scope: Scope, send: Send) -> "Connection":
        """Return the connection of a request, also where a fault has wrapped its `send`."""
        connection: Connection = scope.setdefault("veo_sandbox.connection", cls(send))
        return connection

    @property
    def is_closed(self) -> bool:
        return bool(self._cycle.disconnected)

    async def drop(self, receive: Receive, *, reset: bool = False) -> None:
        """Close it after the bytes that were written, or so that the client sees a reset."""
        transport = self._cycle.transport
        if reset:
            with suppress(OSError):  # the client has closed it already
                # With a linger time of zero, closing the socket sends RST instead of FIN.
                linger = struct.pack("ii", 1, 0)
                raw = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        else:
            transport.close()
        # Uvicorn would send a 500 if the application returned before the connection is gone.
        await _wait_for_disconnect(receive)

    def write(self, data: bytes) -> None:
        """Write bytes without the HTTP server, which would frame them."""
        self._cycle.transport.write(data)


class Exchange:
    """A request and what the sandbox knows about it.

    Attributes:
        kind: What fault rules select, as in `RouteSpec`.
        fields: The JSON object, or the text fields of the form.
        malformed: Why the body could not be read, or "".
        is_too_large: Whether it has more than `MAX_BODY_BYTES`, and was not read to its end.
        task: The requested task; `state` is its state when the request arrived.
        forced_outcome: The outcome that a fault sets for the new task.
        forced_service_s: The service time that a fault sets for it, in seconds.
        dialect: The chat dialect that a fault sets; "" leaves it to the route.
        accepted_task: The task that this create made.
    """

    def __init__(self, core: Core, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.core = core
        self.kind = kind
        self.scope = scope
        self.connection = Connection.of_request(scope, send)
        self._receive = receive
        self.headers = Headers(scope=scope)
        self.params: dict[str, str] = scope.get("path_params", {})
        self.fields: dict[str, Any] = {}
        self.files: list[Upload] = []
        self.body = b""
        self._parts: list[bytes] = []
        self._received_bytes = 0
        self.malformed = ""
        self.is_too_large = False
        self.task: Task | None = None
        self.state: TaskState | None = None
        self.forced_outcome: Outcome | None = None
        self.forced_service_s: float | None = None
        self.dialect = ""
        self.accepted_task: Task | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds as which it counts: a stream also creates a task."""
        return frozenset({"stream", "create"} if self.kind == "stream" else {self.kind})

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @cached_property
    def query(self) -> QueryParams:
        return QueryParams(self.scope["query_string"])

    @property
    def bearer_key(self) -> str | None:
        """The key in `Authorization`: after `Bearer`, `bearer` or alone, as new-api takes it."""
        authorization = self.headers.get("authorization")
        word, _, rest = (authorization or "").partition(" ")
        return rest.strip() if word.lower() == "bearer" else authorization

    @property
    def google_key(self) -> str | None:
        """The key as Google's clients send it: `x-goog-api-key`, or `?key=`."""
        return self.headers.get("x-goog-api-key") or self.query.get("key")

    @property
    def prompt_text(self) -> str:
        """The prompt of the requested task, or all text of the request."""
        if self.task:
            return self.task.spec.prompt
        return json.dumps(self.fields, ensure_ascii=False)

    @property
    def task_id(self) -> str:
        return self.task.id if self.task else self.params.get("task", "")

    async def read_request(self) -> None:
        """Read the body; what is wrong with it is only noted, because each API words it."""
        if self.method in {"GET", "HEAD", "DELETE"}:  # servers ignore the body of a GET
            return
        request = Request(self.scope, self._receive_part)
        try:
            if "multipart/form-data" in self.headers.get("content-type", ""):
                await self._read_form(request)
            else:
                async for part in request.stream():
                    self._parts.append(part)
                self.body = b"".join(self._parts)
                self._read_json()
        except _BodyTooLargeError:
            self.is_too_large = True
        except (MultiPartException, HTTPException) as error:
            self.malformed = f"multipart: {getattr(error, 'message', error)}"
        except ClientDisconnect:
            self.malformed = "the client disconnected"
            # A resumable upload keeps what has arrived.
            self.body = b"".join(self._parts)

    def set_task(self, task: Task | None) -> None:
        self.task = task
        self.state = self.core.task_state(task) if task else None

    async def wait_seconds(self, seconds: float | None) -> None:
        """Wait real seconds (None: forever), until the client disconnects or the sandbox stops."""
        waits = {
            # `receive` returns only once more after the body: when the client disconnects.
            asyncio.ensure_future(_wait_for_disconnect(self._receive)),
            asyncio.ensure_future(self.core.shutdown.wait()),
        }
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def wait_for_end(self, tasks: list[Task]) -> list[tuple[Task, TaskState]]:
        """Return tasks with their last states when all have ended; none if the client is gone."""
        while not self.is_abandoned:
            # Another process may have changed speed or time of the clock.
            self.core.refresh()
            states = [(task, self.core.task_state(task)) for task in tasks]
            if all(state.has_ended for _, state in states):
                return states
            await self.wait_seconds(CLOCK_CHECK_S)
        return []

    @property
    def is_abandoned(self) -> bool:
        return self.connection.is_closed or self.core.shutdown.has_begun

    def to_log_entry(self) -> dict[str, Any]:
        """Return the entry for the request log: without the key and without the bytes of images."""
        entry: dict[str, Any] = {
            "at": self.core.clock.now(),
            "method": self.method,
            "path": self.path,
            # Google's clients may send the key as a query parameter; it is not logged.
            "query": {k: v for k, v in self.query.items() if k != "key"},
            "port": "files" if self.scope["server"][1] == self.core.files_port else "api",
            "auth": bool(self.bearer_key or self.google_key),
            "content_type": self.headers.get("content-type", ""),
            "range": self.headers.get("range", ""),
            "status": None,
        }
        if self.fields or self.files:
            entry["body"] = summarize_json(self.fields)
            entry["files"] = [upload.to_json() for upload in self.files]
        return entry

    async def _receive_part(self) -> Message:
        """Receive a part of the body; count its bytes, so that no client can fill the memory."""
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > MAX_BODY_BYTES:
            raise _BodyTooLargeError
        return message

    async def _read_form(self, request: Request) -> None:
        # Starlette's default limit of 1 MB per part is below the images that services accept.
        async with request.form(max_part_size=MAX_BODY_BYTES) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    kind = value.content_type or ""
                    data = await value.read()
                    self.files.append(Upload(name, value.filename or "", kind, data))
                else:
                    self.fields[name] = value

    def _read_json(self) -> None:
        if not self.body:
            return
        try:
            body = json.loads(self.body)
        except ValueError as error:
            self.malformed = f"json: {error}"
            return
        # new-api is written in Go: it fails to unmarshal anything but an object.
        if isinstance(body, dict):
            self.fields = body
        else:
            self.malformed = f"json: cannot unmarshal {type(body).__name__} into an object"


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
