"""The pack's nodes, in the order in which a workflow meets them."""

from comfy_api.latest import ComfyExtension, io

NODES: list[type[io.ComfyNode]] = []


class PureCCExtension(ComfyExtension):
    """What the host loads: the list above."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Returns the node classes."""
        return list(NODES)
