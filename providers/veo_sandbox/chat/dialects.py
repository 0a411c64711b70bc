"""What a chat's stream says, chunk by chunk: as captured, and as look-alikes were seen to say it.

Every method gives payloads: the text of one event's data.
"""

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any
from uuid import uuid4

from veo_sandbox.core import Core
from veo_sandbox.profiles.base import worded
from veo_sandbox.state.tasks import State, Task

Ended = Sequence[tuple[Task, State]]
"""Tasks with the states in which they ended."""

_TOLD = ((9.0, 18.0, 27.9, 36.9, 45.9), (8.2, 15.7, 23.3, 31.5))
"""Percentages of the two streams that were published; from the last one they jump to the end."""


class Capture:
    """The text of a real success (published in November 2025), in documented envelopes."""

    name = "capture-2025-11"
    language = "chinese"

    def __init__(self, core: Core, task: Task) -> None:
        self._core = core
        self._task = task
        self._words = _words(self.language)

    @property
    def id(self) -> str:
        """The id of a chunk."""
        return self._task.id

    @property
    def created(self) -> int:
        """The time in a chunk, in seconds."""
        return int(self._task.created_at)

    def opening(self) -> list[str]:
        """What is said at once: the role, the prompt, and to wait."""
        return [
            self._chunk({"role": "assistant"}),
            self._chunk({"content": self._echo()}),
            self._chunk({"content": self._words["waiting"]}),
        ]

    def steps(self) -> list[tuple[float, str]]:
        """What is said when a share (0 to 1) of the service time has passed."""
        percents = _TOLD[self._task.seq % len(_TOLD)]
        return [
            ((place + 1) / (len(percents) + 1), self._progress(percent))
            for place, percent in enumerate(percents)
        ]

    def ending(self, ended: Ended) -> list[str]:
        """What is said when all is over, in one way or the other."""
        lines = [self._chunk({"content": self._outcome(task, state)}) for task, state in ended]
        return [*lines, self._chunk({}, "stop", usage=self._usage())]

    def whole(self, ended: Ended) -> str:
        """The answer that is no stream; no progress is in it."""
        text = self._echo() + "".join(self._outcome(task, state) for task, state in ended)
        return self._whole(text)

    def _echo(self) -> str:
        clip = self._task.order.clip
        mode = self._words["portrait" if clip.height > clip.width else "landscape"]
        echo = {"prompt": self._task.order.prompt, "mode": mode}
        return f"```json\n{json.dumps(echo, ensure_ascii=False, indent=4)}\n```\n\n"

    def _progress(self, percent: float) -> str:
        return self._chunk({"content": self._words["progress"].format(percent=percent)})

    def _outcome(self, task: Task, state: State) -> str:
        if state.name == "completed":
            return self._words["done"].format(url=self._url(task))
        return self._words["failed"].format(message=worded(task.outcome).message)

    def _url(self, task: Task) -> str:
        return f"{self._core.files_url}/flow/{task.file}.mp4"

    def _usage(self) -> dict[str, int]:
        asked = len(self._task.order.prompt) // 4 + 1
        return {"prompt_tokens": asked, "completion_tokens": 1, "total_tokens": asked + 1}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return self._event([choice], **more)

    def _event(self, choices: list[Any], **more: Any) -> str:
        head = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self._task.order.model,
        }
        return self._json(head | {"choices": choices} | more)

    def _whole(self, text: str) -> str:
        message = {"role": "assistant", "content": text}
        head = {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self._task.order.model,
        }
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self._json(head | {"choices": [choice], "usage": self._usage()})

    def _json(self, body: dict[str, Any]) -> str:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


class English(Capture):
    """The lines as the vendor's English pages print them, with the queue's line."""

    name = "english"
    language = "english"

    def opening(self) -> list[str]:
        """The queue first."""
        role, echo, waiting = super().opening()
        return [role, echo, self._chunk({"content": self._words["queued"]}), waiting]


class Reseller(Capture):
    """Another seller of the same service: chunks without id and time, and one that is no JSON."""

    name = "reseller"

    @property
    def id(self) -> str:
        """None."""
        return ""

    @property
    def created(self) -> int:
        """No time either."""
        return 0

    def opening(self) -> list[str]:
        """One bracket too many in the middle."""
        role, *rest = super().opening()
        return [role, f"{role[:-2]}]]}}", *rest]


class Flow2Api(Capture):
    """Another gateway, as its logs were published: what is going on goes into the reasoning."""

    name = "flow2api"

    @property
    def id(self) -> str:
        """Another one for every chunk."""
        return f"chatcmpl-{uuid4().hex[:24]}"

    def opening(self) -> list[str]:
        """Neither role nor prompt."""
        return [self._thought("生成进度: 0%\n")]

    def ending(self, ended: Ended) -> list[str]:
        """A tag that ends it, or a reason without an end; then a chunk without choices."""
        made = [task for task, state in ended if state.name == "completed"]
        if made:
            said = [self._chunk({"content": self._tags(made)}, "stop")]
        else:
            said = [self._thought(self._failed(task)) for task, _ in ended]
        return [*said, self._event([], usage=self._usage())]

    def whole(self, ended: Ended) -> str:
        """The tag, or the reason."""
        made = [task for task, state in ended if state.name == "completed"]
        return self._whole(self._tags(made) or "".join(self._failed(task) for task, _ in ended))

    def _progress(self, percent: float) -> str:
        return self._thought(f"生成进度: {percent:.0f}%\n")

    def _failed(self, task: Task) -> str:
        return f"❌ 生成失败: {worded(task.outcome).message}\n"

    def _tags(self, tasks: Sequence[Task]) -> str:
        return "".join(
            f"<video src='{self._url(task)}' controls style='max-width:100%'></video>"
            for task in tasks
        )

    def _url(self, task: Task) -> str:
        signed = f"GoogleAccessId=sandbox&Expires={int(task.file_gone_at)}&Signature=play%3D"
        return f"{self._core.files_url}/signed/{task.file}?{signed}"

    def _thought(self, text: str) -> str:
        return self._chunk({"reasoning_content": text})

    def _json(self, body: dict[str, Any]) -> str:
        return json.dumps(body, ensure_ascii=False)


DRESSES: dict[str, type[Capture]] = {
    dress.name: dress for dress in (Capture, English, Reseller, Flow2Api)
}


@cache
def _words(language: str) -> dict[str, str]:
    text = (resources.files("veo_sandbox.chat") / "words.toml").read_text("utf-8")
    return dict(tomllib.loads(text)[language])
