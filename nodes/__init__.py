"""The pack's nodes, in the order in which a workflow meets them."""

from comfy_api.latest import ComfyExtension, io

from .adapters import ApplyAdapter, LoadAdapter, SaveAdapter
from .curves import TrainingCurves
from .dataset import ConceptDataset
from .folder import ImageFolder
from .masks import ConceptMasks
from .measuring import MeasurePictures, ModelDrift
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
    SaveAdapter,
    LoadAdapter,
    ApplyAdapter,
    TrainingCurves,
    PreservationReport,
    CompareAdapters,
    ProtocolPictures,
    MeasurePictures,
    ModelDrift,
]


class PureCCExtension(ComfyExtension):
    """What the host loads: the list above, and the routes of the live panel."""

    async def on_load(self) -> None:
        """Adds the routes."""
        from server import PromptServer

        from ..purecc.host import routes

        routes.register(PromptServer.instance.routes)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Returns the node classes."""
        return list(NODES)
