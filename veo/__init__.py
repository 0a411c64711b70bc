"""Google's video models (Veo 3.1, Gemini Omni) over several providers.

    import veo

    with veo.Client() as client:
        video = client.submit("a lion in the savannah", output="lion.mp4").result()
        print(video.path, video.charged)

Names are imported on first use, so that ``import veo`` takes almost no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from veo.batch.batch import Batch
    from veo.client import Client, Endpoint
    from veo.config import Config
    from veo.errors import VeoError
    from veo.image import Image
    from veo.job import Job, Status, Video, as_completed, completed
    from veo.ledger.record import Record, State
    from veo.model import Model, ProviderFacts
    from veo.money import Quote
    from veo.planning.plan import Plan
    from veo.problems import Problem
    from veo.provider import ByteStream, Connection, Provider, register_provider
    from veo.request import Request
    from veo.update import RemoteVideo, Stage, Update

_NAMES_BY_MODULE = {
    "veo.batch.batch": ("Batch",),
    "veo.problems": ("Problem",),
    "veo.client": ("Client", "Endpoint"),
    "veo.config": ("Config",),
    "veo.errors": ("VeoError",),
    "veo.image": ("Image",),
    "veo.job": ("Job", "Status", "Video", "as_completed", "completed"),
    "veo.ledger.record": ("Record", "State"),
    "veo.model": ("Model", "ProviderFacts"),
    "veo.money": ("Quote",),
    "veo.planning.plan": ("Plan",),
    "veo.provider": ("ByteStream", "Connection", "Provider", "register_provider"),
    "veo.request": ("Request",),
    "veo.update": ("RemoteVideo", "Stage", "Update"),
}
_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = [
    "Batch",
    "ByteStream",
    "Client",
    "Config",
    "Connection",
    "Endpoint",
    "Image",
    "Job",
    "Model",
    "Plan",
    "Problem",
    "Provider",
    "ProviderFacts",
    "Quote",
    "Record",
    "RemoteVideo",
    "Request",
    "Stage",
    "State",
    "Status",
    "Update",
    "VeoError",
    "Video",
    "as_completed",
    "completed",
    "register_provider",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - reads files

        return version("veo-video")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'veo' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
