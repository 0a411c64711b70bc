"""What a chat's stream says, chunk by chunk: as captured, and as seen at other gateways.

Every method returns payloads: the data of one event each.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from veo_sandbox.core import Core
from veo_sandbox.profiles.base import fill_failure_text
from veo_sandbox.state.tasks import Task, TaskState
from veo_sandbox.tables import load_table

EndedTasks = Sequence[tuple[Task, TaskState]]
"""Tasks, each with the state in which it ended."""

_PROGRESS_PERCENTS = ((9.0, 18.0, 27.9, 36.9, 45.9), (8.2, 15.7, 23.3, 31.5))
"""Percentages of the two streams that were published; after the last one they jump to the end."""


class Dialect:
    """The text of a real success (published in November 2025), in documented envelopes."""

    name = "capture-2025-11"
    language = "chinese"

    def __init__(self, core: Core, task: Task) -> None:
        self._core = core
        self._task = task
        self._words: dict[str, str] = load_table("chat/words.toml")[self.language]

    def opening_payloads(self) -> list[str]:
        return [
            self._make_chunk({"role": "assistant"}),
            self._make_chunk({"content": self._echo_prompt()}),
            self._make_chunk({"content": self._words["waiting"]}),
        ]

    def progress_payloads(self) -> list[tuple[float, str]]:
        """What is sent when a share (0 to 1) of the service time has passed."""
        # Alternates, so that a reader sees both published streams.
        percents = _PROGRESS_PERCENTS[self._task.seq % len(_PROGRESS_PERCENTS)]
        return [
            ((step + 1) / (len(percents) + 1), self._progress_chunk(percent))
            for step, percent in enumerate(percents)
        ]

    def ending_payloads(self, ended: EndedTasks) -> list[str]:
        lines = [
            self._make_chunk({"content": self._outcome_text(task, state)}) for task, state in ended
        ]
        return [*lines, self._make_chunk({}, "stop", usage=self._token_usage())]

    def full_response(self, ended: EndedTasks) -> str:
        text = self._echo_prompt() + "".join(
            self._outcome_text(task, state) for task, state in ended
        )
        return self._make_response(text)

    def _echo_prompt(self) -> str:
        clip = self._task.spec.clip
        mode = self._words["portrait" if clip.height > clip.width else "landscape"]
        echo = {"prompt": self._task.spec.prompt, "mode": mode}
        return f"```json\n{json.dumps(echo, ensure_ascii=False, indent=4)}\n```\n\n"

    def _progress_chunk(self, percent: float) -> str:
        return self._make_chunk({"content": self._words["progress"].format(percent=percent)})

    def _outcome_text(self, task: Task, state: TaskState) -> str:
        if state.name == "completed":
            return self._words["done"].format(url=self._video_url(task))
        return self._words["failed"].format(message=fill_failure_text(task.outcome).message)

    def _video_url(self, task: Task) -> str:
        return self._core.file_url(task)

    def _token_usage(self) -> dict[str, int]:
        prompt_tokens = len(self._task.spec.prompt) // 4 + 1
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": 1,
            "total_tokens": prompt_tokens + 1,
        }

    def _make_chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._make_body("chat.completion.chunk", choices=[choice], **more)

    def _make_response(self, text: str) -> str:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self._make_body("chat.completion", choices=[choice], usage=self._token_usage())

    def _make_body(self, kind: str, **members: Any) -> str:
        name, created = self._identify()
        head = {"id": name, "object": kind, "created": created, "model": self._task.spec.model}
        return self._to_json(head | members)

    def _identify(self) -> tuple[str, int]:
        """Return the id and the time that a chunk names."""
        return self._task.id, int(self._task.created_at)

    def _to_json(self, body: dict[str, Any]) -> str:
        # Without spaces, as captured.
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class English(Dialect):
    """The lines as the vendor's English pages print them, with the line about the queue."""

    name = "english"
    language = "english"

    def opening_payloads(self) -> list[str]:
        role, echo, waiting = super().opening_payloads()
        return [role, echo, self._make_chunk({"content": self._words["queued"]}), waiting]


class Reseller(Dialect):
    """Another seller of the same service: chunks without id and time, and one that is not JSON."""

    name = "reseller"

    def opening_payloads(self) -> list[str]:
        role, *rest = super().opening_payloads()
        return [role, f"{role[:-2]}]]}}", *rest]

    def _identify(self) -> tuple[str, int]:
        return "", 0


class Flow2Api(Dialect):
    """Another gateway, as its logs were published: progress is in the reasoning."""

    name = "flow2api"

    def opening_payloads(self) -> list[str]:
        return [self._reasoning_chunk("生成进度: 0%\n")]

    def ending_payloads(self, ended: EndedTasks) -> list[str]:
        """A tag that ends the text, or a reason without an end; then a chunk without choices."""
        if tags := self._video_tags(ended):
            lines = [self._make_chunk({"content": tags}, "stop")]
        else:
            lines = [self._reasoning_chunk(self._failure_text(task)) for task, _ in ended]
        usage = self._make_body("chat.completion.chunk", choices=[], usage=self._token_usage())
        return [*lines, usage]

    def full_response(self, ended: EndedTasks) -> str:
        failures = "".join(self._failure_text(task) for task, _ in ended)
        return self._make_response(self._video_tags(ended) or failures)

    def _progress_chunk(self, percent: float) -> str:
        return self._reasoning_chunk(f"生成进度: {percent:.0f}%\n")

    def _failure_text(self, task: Task) -> str:
        return f"❌ 生成失败: {fill_failure_text(task.outcome).message}\n"

    def _video_tags(self, ended: EndedTasks) -> str:
        return "".join(
            f"<video src='{self._video_url(task)}' controls style='max-width:100%'></video>"
            for task, state in ended
            if state.name == "completed"
        )

    def _video_url(self, task: Task) -> str:
        # The query of a signed Cloud Storage address; nothing checks it.
        signed = f"GoogleAccessId=sandbox&Expires={int(task.file_expires_at)}&Signature=play%3D"
        return f"{self._core.files_url}/signed/{task.file}?{signed}"

    def _reasoning_chunk(self, text: str) -> str:
        return self._make_chunk({"reasoning_content": text})

    def _identify(self) -> tuple[str, int]:
        return f"chatcmpl-{uuid4().hex[:24]}", super()._identify()[1]

    def _to_json(self, body: dict[str, Any]) -> str:
        return json.dumps(body, ensure_ascii=False)


DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Dialect, English, Reseller, Flow2Api)
}
