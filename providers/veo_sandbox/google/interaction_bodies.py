"""The JSON of interactions, and the events of a stream, as captured or as the SDK reads them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from veo_sandbox.core import Core
from veo_sandbox.google.omni import Usage
from veo_sandbox.state.clock import format_time
from veo_sandbox.state.tasks import Task, TaskState

_SIGNATURE_BYTES = 768
"""Signatures of 1 to 7 kB of base64 were captured."""

_REFUSAL = "I can't make that video. Try describing another scene, without real people or violence."
_INTERNAL = "Internal error encountered."
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "Please retry in 23.397s."
)


def created_body(task: Task) -> dict[str, Any]:
    """Return the response to a create in the background: no steps (captured)."""
    moment = format_time(int(task.created_at))
    return {
        "id": task.id,
        "status": "in_progress",
        "created": moment,
        "updated": moment,
        "service_tier": "standard",
        "object": "interaction",
        "model": task.spec.model,
    }


def interaction_body(core: Core, task: Task, state: TaskState) -> dict[str, Any]:
    """Return an interaction as a poll shows it; this reads files."""
    if state.name == "failed" and task.outcome.shape == "too_many_requests":
        # Seen live with status 200, although the create had succeeded.
        return {"error": {"code": "too_many_requests", "message": _QUOTA}}
    body = _running_body(task, status_word(task, state))
    if not state.has_ended or state.name == "cancelled":
        return body
    # The time of creation is rewritten, too (captured).
    body["created"] = body["updated"] = format_time(int(task.done_at))
    body["service_tier"] = "standard"
    if body["status"] == "failed":
        return body | {"errors": [_failure(task)]}
    steps = output_steps(core, task, state)
    return body | {"usage": count_tokens(task, state).to_json(), "steps": body["steps"] + steps}


def status_word(task: Task, state: TaskState) -> str:
    if not state.has_ended:
        return "in_progress"
    # To the service a refusal is a completed interaction that has no video.
    if state.name == "failed" and task.outcome.is_refusal:
        return "completed"
    return {"gone": "failed"}.get(state.name, state.name)


def count_tokens(task: Task, state: TaskState) -> Usage:
    usage = Usage(**task.spec.extra["usage"])
    if state.name == "completed":
        return usage
    return usage.without_output() if task.outcome.shape == "empty" else usage.as_refusal()


def output_steps(core: Core, task: Task, state: TaskState) -> list[dict[str, Any]]:
    """Return what the model made: a thought and a video, or words, or nothing."""
    # The text of a signature means nothing to a client, but must be the same in every poll.
    signature = Random(task.id).randbytes(_SIGNATURE_BYTES)  # noqa: S311 - repeatable
    thought = {"type": "thought", "signature": base64.b64encode(signature).decode()}
    if state.name == "completed":
        video = {"type": "video", "mime_type": "video/mp4"} | _locate_video(core, task)
        return [thought, {"type": "model_output", "content": [video]}]
    if task.outcome.shape == "empty":
        return []
    words = {"type": "text", "text": task.outcome.message or _REFUSAL}
    # The words come before the thought (captured).
    return [{"type": "model_output", "content": [words]}, thought]


def stream_events(core: Core, task: Task, state: TaskState) -> Iterator[dict[str, Any]]:
    """Yield the events of an ended interaction; the video comes whole in one of them."""
    word = status_word(task, state)
    if word == "failed":
        yield {"event_type": "error", "error": _failure(task)}
    steps = output_steps(core, task, state) if word == "completed" else []
    for index, step in enumerate(steps):
        yield {"event_type": "step.start", "index": index, "step": {"type": step["type"]}}
        for delta in _deltas(step):
            yield {"event_type": "step.delta", "index": index, "delta": delta}
        yield {"event_type": "step.stop", "index": index}
    body = created_body(task) | {"status": word, "updated": format_time(int(task.done_at))}
    if word == "completed":
        body["usage"] = count_tokens(task, state).to_json()
    yield {"event_type": "interaction.completed", "interaction": body}


def opening_events(task: Task) -> Iterator[dict[str, Any]]:
    yield {"event_type": "interaction.created", "interaction": created_body(task)}
    event = {"event_type": "interaction.status_update", "interaction_id": task.id}
    yield event | {"status": "in_progress"}


def format_event(event: dict[str, Any], number: int) -> str:
    """Return name and data of an event, with the id from which a stream can be resumed."""
    data = json.dumps(event | {"event_id": str(number)})
    return f"{event['event_type']}\ndata: {data}"


def inline_video(core: Core, task: Task) -> dict[str, str]:
    data = core.clips.clip_path(task).read_bytes()
    return {"data": base64.b64encode(data).decode()}


def _running_body(task: Task, status: str) -> dict[str, Any]:
    content = [_echo_part(part) for part in task.spec.extra["input"]]
    moment = format_time(int(task.created_at))
    body = {
        "id": task.id,
        "status": status,
        "created": moment,
        "updated": moment,
        "steps": [{"type": "user_input", "content": content}],
        "object": "interaction",
    }
    if task.spec.extra["format"] is not None:
        body["response_format"] = task.spec.extra["format"]
    return body | {"model": task.spec.model}


def _echo_part(part: dict[str, str]) -> dict[str, str]:
    body = {name: value for name, value in part.items() if name != "saved"}
    if "saved" in part:
        path = Path(part["saved"])
        # Inputs are deleted after a week, long before the interaction itself.
        data = path.read_bytes() if path.exists() else b""
        body["data"] = base64.b64encode(data).decode()
    return body


def _locate_video(core: Core, task: Task) -> dict[str, str]:
    if task.spec.extra["delivery"] == "inline":
        return inline_video(core, task)
    uri = task.spec.extra["uri"]
    return {"uri": uri or f"{core.google_url}/files/{task.file}:download?alt=media"}


def _deltas(step: dict[str, Any]) -> list[dict[str, Any]]:
    if step["type"] == "thought":
        return [{"type": "thought_signature", "signature": step["signature"]}]
    return list(step["content"])


def _failure(task: Task) -> dict[str, str]:
    outcome = task.outcome
    return {"code": outcome.code or "internal", "message": outcome.message or _INTERNAL}
