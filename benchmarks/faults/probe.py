"""A custom node for the server under test: it tells what the server holds, and loads PureCC Tiny without the pack."""

import ctypes
import gc
import sys
from pathlib import Path
from typing import Any

import comfy.sd
import torch
from aiohttp import web
from server import PromptServer

LIBRARY = ctypes.CDLL("libc.so.6")
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Mallinfo(ctypes.Structure):
    """What glibc's malloc tells of itself, over all its arenas."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


LIBRARY.mallinfo2.restype = Mallinfo


class Load:
    """Loads a checkpoint as the stock loader does, with a small text encoder."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL", "CLIP", "VAE"), "load", "probe"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return none."""
        return {"required": {}}

    def load(self, **_: Any) -> tuple[Any, Any, Any]:
        """Return MODEL, CLIP and VAE."""
        size = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_hidden_layers": 3}
        options = {"clip_l_model_config": {**size, "max_position_embeddings": 32}}
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
            "CHECKPOINT", output_vae=True, output_clip=True, te_model_options=options
        )
        clip.tokenizer.clip_l.max_length = 32
        return model, clip, vae


NODE_CLASS_MAPPINGS = {"ProbeLoad": Load}


def resident() -> dict[str, int]:
    """Return the resident memory, that of it which is no file's, and that which is, in MB."""
    lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {line[0][:-1]: int(line[1]) >> 10 for line in lines if line[0] in ("VmRSS:", "RssAnon:", "RssFile:")}


@PromptServer.instance.routes.get("/probe")
async def probe(request: web.Request) -> web.Response:
    """Tell what malloc has given out ("used") and keeps ("free"), and the tensors, in MB; and objects of Python."""
    gc.collect()
    if request.query.get("trim"):
        LIBRARY.malloc_trim(0)
    info, objects = LIBRARY.mallinfo2(), gc.get_objects()
    tensors = [x for x in objects if type(x) in (torch.Tensor, torch.nn.Parameter)]
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
    malloc = {"used": (info.uordblks + info.hblkhd) >> 20, "free": info.fordblks >> 20}
    python = {"objects": len(objects), "blocks": sys.getallocatedblocks()}
    return web.json_response({**resident(), **malloc, "tensors": sum(storages.values()) >> 20, **python})
