"""The models that Google's two APIs list: Veo's and Omni's rows, or those of `offered`."""

from typing import NamedTuple

from veo_sandbox.core import Core
from veo_sandbox.google.omni import load_omni_models
from veo_sandbox.state.price_list import load_models


class ListedModel(NamedTuple):
    """What a list tells about a model."""

    title: str
    version: str
    method: str
    input_tokens: int
    output_tokens: int


def list_names(core: Core, api: str) -> list[str]:
    """Return the ids that the API lists; the setting `offered` replaces what it has itself."""
    if core.settings.offered:
        return core.settings.offered_names
    omni = [name for name, model in load_omni_models(api).items() if api not in model.retired]
    has_veo = api == "vertex" or not core.settings.retired
    veo = [name for name, model in load_models("google").items() if model.family == api]
    return [*omni, *(veo if has_veo else [])]


def find_listed(api: str, name: str) -> ListedModel:
    """Return what is known of a model; of one that has no row, what most models have."""
    if omni := load_omni_models(api).get(name):
        # Limits as the Agent Platform documents them.
        return ListedModel(omni.title, omni.version, "createInteraction", 131_072, 260_640)
    veo = load_models("google").get(name)
    return ListedModel(veo.title if veo else name, "3.1", "predictLongRunning", 1024, 8192)
