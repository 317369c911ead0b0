"""Name the models that cannot be trained, and why."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from comfy.model_base import BaseModel

IMAGE = "it takes an image beside the text, and the dataset has none for it"
SECOND = "it is a second stage, which works on the output of another model"
VIDEO = "it makes videos, and its stills are not trained"
AUDIO = "it makes sound"
SOLID = "it makes 3D objects"
PERCEPTION = "it finds things in images and makes none"

REFUSED: dict[str, str | None] = {
    "PixelDiTT2I": "its blocks overwrite values that the gradient needs",
    "HiDreamO1": "it keeps keys and values of the text from call to call, whatever the weights",
    "Stable_Cascade_C": "it is one of two stages, and the other is not trained with it",
    "Stable_Cascade_B": SECOND,
    "SDXLRefiner": SECOND,
    "HunyuanImage21Refiner": SECOND,
    "PiD": SECOND,
    "SD_X4Upscaler": SECOND,
    "SeedVR2": SECOND,
    "SD15_instructpix2pix": IMAGE,
    "SDXL_instructpix2pix": IMAGE,
    "LotusD": IMAGE,
    "Stable_Zero123": IMAGE,
    "FluxInpaint": IMAGE,
    "SVD_img2vid": VIDEO,
    "SV3D_u": VIDEO,
    "SV3D_p": VIDEO,
    "GenmoMochi": VIDEO,
    "LTXV": VIDEO,
    "LTXAV": VIDEO,
    "MiniMaxH3": VIDEO,
    "HunyuanVideo": VIDEO,
    "HunyuanVideoI2V": VIDEO,
    "HunyuanVideoSkyreelsI2V": VIDEO,
    "HunyuanVideo15": VIDEO,
    "HunyuanVideo15_SR_Distilled": VIDEO,
    "HunyuanImage21": None,
    "CosmosT2V": VIDEO,
    "CosmosI2V": VIDEO,
    "CosmosI2VPredict2": VIDEO,
    "CogVideoX_T2V": VIDEO,
    "CogVideoX_I2V": VIDEO,
    "CogVideoX_Inpaint": VIDEO,
    "Kandinsky5": VIDEO,
    "Kandinsky5Image": None,
    "WAN21_CausalAR_T2V": VIDEO,
    "WAN21_I2V": VIDEO,
    "WAN21_FunControl2V": VIDEO,
    "WAN21_Camera": VIDEO,
    "WAN22_Camera": VIDEO,
    "WAN21_Vace": VIDEO,
    "WAN21_HuMo": VIDEO,
    "WAN22_S2V": VIDEO,
    "WAN22_Animate": VIDEO,
    "WAN21_FlowRVS": VIDEO,
    "WAN21_SCAIL": VIDEO,
    "WAN21_SCAIL2": VIDEO,
    "WAN22_WanDancer": VIDEO,
    "StableAudio": AUDIO,
    "StableAudio3": AUDIO,
    "ACEStep": AUDIO,
    "ACEStep15": AUDIO,
    "Hunyuan3Dv2": SOLID,
    "Hunyuan3Dv2_1": SOLID,
    "Hunyuan3Dv2mini": SOLID,
    "TripoSplat": SOLID,
    "RT_DETR_v4": PERCEPTION,
    "SAM3": PERCEPTION,
    "SAM31": PERCEPTION,
    "DepthAnything3": PERCEPTION,
}
"""Reasons by the name of the host's configuration, a class of `comfy.supported_models`, which its subclasses share.

None: a subclass of one of these that can be trained.
"""


def refuse(base: BaseModel) -> None:
    """Refuse a model that cannot be trained.

    Raises:
        ValueError: it cannot, and why.
    """
    names = [cls.__name__ for cls in type(getattr(base, "model_config", None)).__mro__]
    name = next((name for name in names if name in REFUSED), "")
    if why := REFUSED.get(name):
        raise ValueError(f"Models of kind {names[0]} cannot be trained here: {why}. Load a text-to-image model.")
