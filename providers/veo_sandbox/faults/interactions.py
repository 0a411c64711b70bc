"""Faults of interactions: outputs in other places than expected, late and locked sources."""

import asyncio
import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.chat.stream import EventStream, Payloads
from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault
from veo_sandbox.google.interaction_bodies import inline_video
from veo_sandbox.state.tasks import Outcome

Steps = list[dict[str, Any]]


def change_steps(change: Callable[[Steps], Steps]) -> Callable[..., Any]:
    """Make a fault of a function that returns other steps for those of a polled interaction."""

    @wraps(change)
    async def act(_exchange: Exchange, proceed: Proceed) -> Response:
        return _change_steps(await proceed(), change)

    return fault("poll")(act)


@change_steps
def output_first(steps: Steps) -> Steps:
    """Omni: the video comes before the thought."""
    return sorted(steps, key=lambda step: step["type"] == "thought")


@change_steps
def several_outputs(steps: Steps) -> Steps:
    """Omni: words, an empty output and the video are in outputs of their own."""
    words = {"type": "model_output", "content": [{"type": "text", "text": "Here is the video."}]}
    others = [step for step in steps if step["type"] != "model_output"]
    outputs = [step for step in steps if step["type"] == "model_output"]
    return [*others, words, {"type": "model_output"}, *outputs] if outputs else steps


@change_steps
def video_without_place(steps: Steps) -> Steps:
    """Omni: the video has neither an address nor data, though its tokens are billed."""
    return _replace_videos(steps, {"type": "video", "mime_type": "video/mp4"})


@change_steps
def no_output(steps: Steps) -> Steps:
    """Omni at the Agent Platform: completed without output, while the file is in the bucket."""
    return [step for step in steps if step["type"] == "user_input"]


@fault("poll")
async def inline_output(exchange: Exchange, proceed: Proceed) -> Response:
    """Omni at the Agent Platform: the video is in the response although `gs://` was asked for."""
    response = await proceed()
    task = exchange.task
    if task is None or not exchange.core.has_file(task):
        return response
    video = {"type": "video", "mime_type": "video/mp4"}
    video |= await asyncio.to_thread(inline_video, exchange.core, task)
    return _change_steps(response, lambda steps: _replace_videos(steps, video))


@fault("poll")
async def silent_interaction(
    exchange: Exchange, proceed: Proceed, *, ends: bool = False
) -> Response:
    """Omni: a streamed poll has no events, as a user saw; or it `ends` while still in progress."""

    async def transform(payloads: Payloads) -> Payloads:
        if not ends:
            await exchange.wait_seconds(None)
            return
        # The two events before the first output.
        for _ in range(2):
            yield await anext(payloads)

    response = await proceed()
    if isinstance(response, EventStream):
        response.map_payloads(transform)
    return response


@fault("create")
async def late_source(exchange: Exchange, proceed: Proceed, *, seconds: float = 30.0) -> Response:
    """Omni: an interaction cannot be continued for `seconds` after its end: 404."""
    core = exchange.core
    source = core.tasks.find(str(exchange.fields.get("previous_interaction_id", "")))
    if source and core.clock.now() < source.done_at + seconds:
        body = {"message": "Requested entity was not found.", "code": "not_found"}
        return JSONResponse({"error": body}, 404)
    return await proceed()


@fault("create")
async def region_lock(exchange: Exchange, proceed: Proceed) -> Response:
    """Omni: a video that was uploaded is neither edited nor extended: completed, but empty."""
    # Own earlier videos may be edited anywhere.
    if '"type": "video"' in json.dumps(exchange.fields.get("input", "")):
        exchange.forced_outcome = Outcome("failed", "empty")
    return await proceed()


def _change_steps(response: Response, change: Callable[[Steps], Steps]) -> Response:
    """Return a poll's response with other steps; a stream and an error stay as they are."""
    # A stream has no body yet. On it the Agent Platform was seen to be reliable.
    if response.status_code != 200 or not response.body:
        return response
    body = json.loads(bytes(response.body))
    if not isinstance(body, dict) or "steps" not in body:
        return response
    return JSONResponse(body | {"steps": change(body["steps"])})


def _replace_videos(steps: Steps, video: dict[str, Any]) -> Steps:
    return [
        step | {"content": [video if p["type"] == "video" else p for p in step["content"]]}
        if step["type"] == "model_output"
        else step
        for step in steps
    ]
