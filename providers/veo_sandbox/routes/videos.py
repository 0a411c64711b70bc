"""`/v1/videos`: create, poll, content. What the answers look like is the profile's business."""

from starlette.responses import JSONResponse, Response

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.profiles import PROFILES, Asked, Profile
from veo_sandbox.profiles.official import envelope
from veo_sandbox.responses import Video
from veo_sandbox.routes import At
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model, models
from veo_sandbox.state.tasks import Order, Task

_CACHE = {"Cache-Control": "public, max-age=86400"}


async def create(core: Core, call: Call) -> Response:
    """POST /v1/videos: accept a task; the money is held, the clip begun."""
    profile = _authorized(core, call)
    model = _model(profile, call)
    profile = _dress(profile, model)
    asked = profile.read(call, model)
    if not asked.prompt.strip():
        raise profile.invalid("invalid_request", "prompt is required", "prompt")
    try:
        call.accepted = core.accept(_order(profile, call, model, asked))
    except BalanceError as error:
        raise Refusal(profile.broke(error.balance)) from None
    return JSONResponse(profile.created(call.accepted))


async def poll(core: Core, call: Call) -> Response:
    """GET /v1/videos/{task}: where the task stands."""
    profile = _authorized(core, call)
    if call.task is None or call.state is None or call.state.name == "gone":
        return profile.missing()
    return _worn(core, call.task).status(call.task, call.state)


async def content(core: Core, call: Call) -> Response:
    """GET /v1/videos/{task}/content: the video, or where it is."""
    profile = _authorized(core, call)
    task, state = call.task, call.state
    if task is None or state is None or state.name == "gone":
        return profile.no_content()
    profile = _worn(core, task)
    if state.name != "completed" or _lagging(core, profile, task):
        return profile.not_ready(state)
    return profile.content(task, state) or Video(core.studio.path(task), _CACHE)


async def generation(core: Core, call: Call) -> Response:
    """GET /v1/video/generations/{task}: the compatibility poll of new-api."""
    profile = _authorized(core, call)
    if call.task is None or call.state is None or call.state.name == "gone":
        return profile.missing()
    return envelope(core, call.task, call.state)


async def no_such_url(core: Core, call: Call) -> Response:
    """Any other path, as new-api answers it."""
    text = f"Invalid URL ({call.method} {call.path})"
    return PROFILES[core.profile](core).error(404, text, "invalid_request_error")


def _authorized(core: Core, call: Call) -> Profile:
    profile = PROFILES[core.profile](core)
    if call.bearer != core.key:
        raise Refusal(profile.unauthorized())
    return profile


def _model(profile: Profile, call: Call) -> Model:
    if call.malformed:
        code = "invalid_multipart_form" if call.malformed.startswith("multi") else "invalid_json"
        raise profile.invalid(code, call.malformed)
    name = call.fields.get("model") or profile.default_model
    if not isinstance(name, str) or not name:
        raise profile.invalid("missing_model", "model field is required", "model")
    model = models().get(name)
    if model is None or not profile.sells(model):
        raise Refusal(profile.no_model(name))
    return model


def _dress(profile: Profile, model: Model) -> Profile:
    """A model of the official route is answered its way, whatever else the gateway sells."""
    official = model.family == "official" and profile.name != "openai"
    return PROFILES["official"](profile.core) if official else profile


def _worn(core: Core, task: Task) -> Profile:
    return PROFILES[task.order.dress](core)


def _lagging(core: Core, profile: Profile, task: Task) -> bool:
    lag = core.settings.content_lag if profile.content_lag else 0.0
    return core.clock.now() < task.done_at + lag


def _order(profile: Profile, call: Call, model: Model, asked: Asked) -> Order:
    return Order(
        route="videos",
        dress=profile.name,
        id=profile.new_id(),
        model=model.id,
        prompt=asked.prompt,
        clip=_clip(profile.core, asked),
        amount=model.price(asked.seconds, asked.resolution),
        outcome=call.outcome or asked.outcome,
        service=call.service,
        request={
            "prompt": asked.prompt,
            "size": f"{asked.width}x{asked.height}",
            "seconds": asked.seconds,
            "images": [image.as_json() for image in asked.images],
        },
    )


def _clip(core: Core, asked: Asked) -> ClipSpec:
    spec = ClipSpec(asked.prompt, asked.width, asked.height, asked.seconds)
    return core.studio.plan(spec, [image.data for image in asked.images])


ROUTES = (
    At("POST", "/v1/videos", "create", create),
    At("GET", "/v1/videos/{task}", "poll", poll),
    At("GET", "/v1/videos/{task}/content", "content", content),
    At("POST", "/v1/video/generations", "create", create),
    At("GET", "/v1/video/generations/{task}", "poll", generation),
)
