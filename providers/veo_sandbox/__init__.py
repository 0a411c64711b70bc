"""A local server that stands in for the video services, with real MP4s and a billing record.

`Sandbox` serves from a thread of this process; `serve` and `python -m veo_sandbox` block.
Nothing here imports the client that is tested against it, so that a bug in the client's
parser is not masked by the same bug in the server.

The imitated APIs, on the API's port:

    POST /v1/videos                         create, JSON or form; also /v1/video/generations
    GET  /v1/videos/{id}                    poll
    GET  /v1/videos/{id}/content            the video, or its address
    GET  /v1/video/generations/{id}         poll, in new-api's envelope
    ...                                     in the profile openai also its lists, deletions,
                                            remixes, edits, extensions and characters
    GET  /v1/models                         the models that the profile sells
    GET  /api/user/self                     the balance, for the system token

    POST /v1/chat/completions               the same videos as a stream, or as one response

    POST /v1beta/models/{model}:predictLongRunning      Gemini Developer API, also under /v1
    GET  /v1beta/models/{model}/operations/{id}         poll; also /v1beta/operations/{id}
    POST /v1beta/interactions                           Gemini Omni: create; in the background,
                                                        blocking or streamed; also under /v1
    GET  /v1beta/interactions/{id}                      poll; ?stream=true streams; also DELETE
    POST /v1beta/interactions/{id}/cancel
    GET  /v1beta/files/{id}:download?alt=media          the video
    GET  /v1beta/files, /v1beta/files/{id}              also DELETE of one
    POST /upload/v1beta/files                           a resumable upload
    GET  /v1beta/models, /v1beta/models/{model}

    POST /v1beta1/publishers/google/models/{model}:predictLongRunning       Agent Platform, also
    POST /v1beta1/publishers/google/models/{model}:fetchPredictOperation    under /v1, and both
    GET  /v1beta1/publishers/google/models              with projects/{p}/locations/{l}/ before,
    GET  /v1beta1/publishers/google/models/{model}      for Veo
    ...  /v1beta1/projects/{p}/locations/global/interactions    as above, for Gemini Omni

On the files port, which a client must treat as another host:

    GET  /flow/{file}.mp4                   unsigned; a key that is sent here is logged as a leak
    GET  /signed/{file}?...                 the same at a signed address without .mp4
    GET  /storage/v1/b/{bucket}/o/{object}?alt=media    gs:// results, only with a Bearer token
    GET  /storage/v1/b/{bucket}/o?prefix=...            their list
    POST /upload/storage/v1/b/{bucket}/o?uploadType=media&name=...  an object of one's own

The controls, which need no key and which faults do not affect:

    GET  /sandbox/bills                     [{task, route, model, amount (USD), state, at}]
    GET  /sandbox/tasks                     every task: id, state, whether a response was sent
    GET  /sandbox/requests                  requests that reached this process (DELETE clears)
    GET  /sandbox/leaks                     requests that carried a key to the files port
    GET  /sandbox/clock                     POST {"advance": seconds}
    GET  /sandbox/settings                  POST {"latency": "uniform:2,10", "balance": 5, ...}
    GET  /sandbox/faults                    POST {"rules": [{"fault": NAME, ...}]}, DELETE
    GET  /sandbox/faults/names              every fault, what it does, its parameters

A bill is `charged` or `refunded`, once per task, when it is due by the sandbox's clock and
whether or not a client polls. The price of a running task is subtracted from the balance, but no
bill lists it yet. An interaction costs what its tokens cost, a refused one its text tokens.
Whether Google bills a cancelled interaction is not known; here it costs nothing.
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
