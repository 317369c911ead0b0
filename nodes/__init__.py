"""List the pack's nodes, in the order of a workflow, and register them with ComfyUI."""

from comfy_api.latest import ComfyExtension, io

from .adapters import ApplyAdapter, LoadAdapter, SaveAdapter
from .curves import TrainingCurves
from .dataset import ConceptDataset
from .expert_settings import ExpertSettings
from .folder import ImageFolder
from .masks import ConceptMasks
from .measuring import MeasurePictures, ModelDrift
from .prompt import ConceptPrompt
from .protocol import ProtocolPictures
from .report import CompareAdapters, PreservationReport
from .tiny import ExampleConcept, TinyCheckpoint
from .training import PureLearning, TrainExtractor

NODES: list[type[io.ComfyNode]] = [
    TinyCheckpoint,
    ExampleConcept,
    ImageFolder,
    ConceptDataset,
    ConceptMasks,
    TrainExtractor,
    PureLearning,
    ExpertSettings,
    SaveAdapter,
    LoadAdapter,
    ApplyAdapter,
    ConceptPrompt,
    TrainingCurves,
    PreservationReport,
    CompareAdapters,
    ProtocolPictures,
    MeasurePictures,
    ModelDrift,
]


class PureCCExtension(ComfyExtension):
    """The extension that the host loads: the nodes above and the routes of the live panel."""

    async def on_load(self) -> None:
        """Add the routes."""
        from ..purecc.host.training.offers import answer, offers
        from ..purecc.host.ui import caption_routes, routes, state_routes

        routes.register_on_server()
        caption_routes.register_on_server()
        state_routes.register_on_server(offers, answer)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return the node classes."""
        return list(NODES)
