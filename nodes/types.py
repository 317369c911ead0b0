"""Types that flow between the nodes: ours, and those of the host's own training nodes."""

from comfy_api.latest import io

Dataset = io.Custom("PURECC_DATASET")
Extractor = io.Custom("PURECC_EXTRACTOR")
Adapter = io.Custom("PURECC_ADAPTER")
LoraModel = io.Custom("LORA_MODEL")
LossMap = io.Custom("LOSS_MAP")
Pictures = io.Custom("PURECC_PICTURES")
TrainingSettings = io.Custom("PURECC_SETTINGS")

CATEGORY = "PureCC"
