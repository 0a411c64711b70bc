"""The models that Google's two APIs list: Veo's and Omni's rows, or those of `offered`."""

from typing import NamedTuple

from veo_sandbox.core import Core
from veo_sandbox.google.omni import OmniModel, load_omni_models
from veo_sandbox.state.price_list import Model, find_row, load_models


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


def find_veo(core: Core, api: str, name: str) -> Model | None:
    """Return a model of Veo's that the API offers, also one that only `offered` names."""
    if not core.settings.offers_model(name) or name in load_omni_models(api):
        return None
    rows = {key: model for key, model in load_models("google").items() if model.family == api}
    return find_row(name, rows, core.settings.offered_names)


def find_listed(api: str, name: str) -> ListedModel:
    """Return what is known of a model; of a new one, the wire of the most similar model."""
    known: dict[str, Model | OmniModel] = {**load_models("google"), **load_omni_models(api)}
    row = find_row(name, known, [name])
    title = known[name].title if name in known else name
    if isinstance(row, OmniModel):
        # Limits as the Agent Platform documents them.
        return ListedModel(title, row.version, "createInteraction", 131_072, 260_640)
    return ListedModel(title, "3.1", "predictLongRunning", 1024, 8192)
