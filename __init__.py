"""PureCC: pure concept customisation for ComfyUI. This file is what the host loads, and nothing else."""

# SPDX-License-Identifier: GPL-3.0-or-later

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Returns the extension, importing the host only when the host asks."""
    from .nodes import PureCCExtension

    return PureCCExtension()
