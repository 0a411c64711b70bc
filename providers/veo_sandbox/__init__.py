"""The other side of every wire: a local server with real MP4s and a billing record.

`Sandbox` serves from a thread of this process, `serve` and `python -m veo_sandbox` block.
Nothing here imports the client that it judges, and only the command line imports this.

The wires, on the API's port:

    POST /v1/videos                         create, JSON or form; also /v1/video/generations
    GET  /v1/videos/{id}                    poll
    GET  /v1/videos/{id}/content            the video, or where it is
    GET  /v1/video/generations/{id}         poll, in new-api's envelope
    GET  /v1/models                         what the profile sells
    GET  /api/user/self                     the balance, for the system token

    POST /v1/chat/completions               the same videos as a stream, or as one answer

    POST /v1beta/models/{model}:predictLongRunning      Gemini Developer API, also under /v1
    GET  /v1beta/models/{model}/operations/{id}         poll; also /v1beta/operations/{id}
    GET  /v1beta/files/{id}:download?alt=media          the video
    GET  /v1beta/files/{id}, /v1beta/models, /v1beta/models/{model}

    POST /v1beta1/publishers/google/models/{model}:predictLongRunning       Agent Platform, also
    POST /v1beta1/publishers/google/models/{model}:fetchPredictOperation    under /v1, and both
    GET  /v1beta1/publishers/google/models/{model}      with projects/{p}/locations/{l}/ before

On the files port, which is another host to a careful client:

    GET  /flow/{file}.mp4                   unsigned; a key that comes here is recorded as a leak
    GET  /signed/{file}?...                 the same behind a signed address without .mp4
    GET  /storage/v1/b/{bucket}/o/{object}?alt=media    gs:// results, for a Bearer token alone

The controls, which need no key and obey no fault:

    GET  /sandbox/bills                     [{task, route, model, amount (USD), state, at}]
    GET  /sandbox/tasks                     every id given out, its state, whether it was answered
    GET  /sandbox/requests                  what reached this process (DELETE empties it)
    GET  /sandbox/leaks                     keys that came to the files port
    GET  /sandbox/clock                     POST {"advance": seconds}
    GET  /sandbox/settings                  POST {"latency": "uniform:2,10", "balance": 5, ...}
    GET  /sandbox/faults                    POST {"rules": [{"fault": NAME, ...}]}, DELETE
    GET  /sandbox/faults/names              every fault, what it does and takes

A bill is `charged` or `refunded`, once a task, when its time has come by the sandbox's clock and
whether or not anybody polls. A task that still runs is held: off the balance and on no bill.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo_sandbox.sandbox import Sandbox, serve

__all__ = ["Sandbox", "serve"]


def __getattr__(name: str) -> Any:
    """Import the server only when it is used."""
    if name not in __all__:
        raise AttributeError(f"module 'veo_sandbox' has no attribute {name!r}")
    from veo_sandbox import sandbox  # noqa: PLC0415 - keeps `import veo_sandbox` cheap

    return getattr(sandbox, name)
