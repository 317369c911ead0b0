"""ComfyUI in this process: its nodes and its executor, without a server and a browser."""

import asyncio
import importlib
import logging
import struct
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from client import ExecutionError, Interrupted, PromptError, explain

CLIENT = "headless"
TEXT = 3  # the host's kind of binary event that carries text for a node
Event = Callable[[str, dict], None]


class Headless:
    """The host, loaded once; prompts that share nodes share what these made.

    Args:
        comfyui: the ComfyUI tree.
        base: the folder with models, input and output; None: the tree itself.
        pack: the folder of this pack, loaded if the base has no copy of it.
        cpu: stay on the CPU; None: only where there is no GPU.
        gpu: number of the GPU to use; None: the first.
    """

    def __init__(self, comfyui: Path, base: Path | None, pack: Path, cpu: bool | None = None, gpu: int | None = None):
        sys.path.insert(0, str(comfyui))
        from comfy.cli_args import args

        if base is not None:
            args.base_directory = str(base)
        self._cpu = args.cpu = _without_gpu() if cpu is None else cpu
        if gpu is not None and not args.cpu:
            _choose(gpu)
        import execution
        import folder_paths
        import server

        nodes = self._host = importlib.import_module("nodes")  # the host's, not ours
        logging.getLogger().setLevel(logging.ERROR)  # the host tells of every optional package that is missing
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._server = server.PromptServer(self._loop)
        self._server.send_sync = self._send  # type: ignore[method-assign]
        theirs, _ = folder_paths.folder_names_and_paths["custom_nodes"]
        theirs[:] = [path for path in theirs if Path(path).is_dir()]  # the host takes for granted that it is there
        self._loop.run_until_complete(nodes.init_extra_nodes(init_custom_nodes=True, init_api_nodes=False))
        if "PureCCPureLearning" not in nodes.NODE_CLASS_MAPPINGS:
            self._loop.run_until_complete(nodes.load_custom_node(str(pack)))
        self.nodes = nodes.NODE_CLASS_MAPPINGS
        self._validate = execution.validate_prompt
        sizes = {"lru": 0, "ram": 0.0, "ram_inactive": 0.0}
        self._executor = execution.PromptExecutor(self._server, execution.CacheType.CLASSIC, sizes)
        self._listener: Event = lambda name, data: None

    @property
    def object_info(self) -> dict:
        """The definitions of all nodes, as far as `workflow.to_api` needs them."""
        shown = self._host.NODE_DISPLAY_NAME_MAPPINGS
        return {name: _info(node, shown.get(name, name)) for name, node in self.nodes.items()}

    def run(
        self,
        prompt: dict,
        workflow: dict | None = None,
        on_event: Event | None = None,
        only: Sequence[str] | None = None,
    ) -> dict:
        """Run an API-format prompt to its end and return its outputs, {node id: ui output}.

        Args:
            prompt: {node id: {"class_type", "inputs"}}.
            workflow: the UI-format workflow, which is embedded in saved images.
            on_event: called with every event (name, data) of the host.
            only: nodes to run, with what they need; None: all outputs.

        Raises:
            PromptError: it is invalid, or a part of it.
            ExecutionError: a node raised.
            Interrupted: it was cancelled.
        """
        prompt_id = uuid.uuid4().hex
        valid, error, outputs, problems = self._loop.run_until_complete(self._validate(prompt_id, prompt, None))
        if not valid or problems:
            raise PromptError(explain({"error": error or "A part of the prompt is invalid", "node_errors": problems}))
        extra = {"client_id": CLIENT} | ({"extra_pnginfo": {"workflow": workflow}} if workflow else {})
        self._listener = on_event or (lambda name, data: None)
        self._server.last_prompt_id = prompt_id
        self._executor.execute(prompt, prompt_id, extra, outputs if only is None else list(only))
        for name, data in self._executor.status_messages:
            if name == "execution_error":
                raise ExecutionError(data)
            if name == "execution_interrupted":
                raise Interrupted("The prompt was cancelled.")
        return self._executor.history_result["outputs"]

    def stop(self) -> None:
        """Ask the training runs that are under way to stop after the current step and keep their results."""
        for run in self._of_pack("purecc.host.ui.live_runs").RUNS.all():
            if not run.ended:
                run.request("stop")

    def interrupt(self) -> None:
        """Cancel what is running."""
        self._host.interrupt_processing()

    def folders(self, out: Path) -> None:
        """Have adapters and embeddings saved in folders of `out`: loras, embeddings."""
        import folder_paths

        for kind in ("loras", "embeddings"):
            (out / kind).mkdir(parents=True, exist_ok=True)
            folder_paths.add_model_folder_path(kind, str(out / kind), is_default=True)

    def use(self, images: Path, states: Path) -> None:
        """Have images and the states of runs saved in these folders from now on."""
        import folder_paths

        folder_paths.set_output_directory(str(images))
        folder_paths.folder_names_and_paths["purecc_states"] = [str(states)], set()

    def join(self):
        """Train together with the other processes of this launch, and return the pack's module `parallel`."""
        parallel = self._of_pack("purecc.training.parallel")
        parallel.join(self._cpu)
        return parallel

    def _of_pack(self, module: str):
        package = self.nodes["PureCCPureLearning"].__module__.rpartition(".nodes.")[0]
        return importlib.import_module(f"{package}.{module}")

    def _send(self, event, data, sid=None) -> None:
        if isinstance(event, str):
            self._listener(event, data or {})
        elif event == TEXT:
            end = 4 + struct.unpack(">I", data[:4])[0]
            self._listener("progress_text", {"node": data[4:end].decode(), "text": data[end:].decode()})


def _without_gpu() -> bool:
    import torch

    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


def _choose(gpu: int) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(gpu % torch.cuda.device_count())


def _info(node: type, shown: str) -> dict:
    return {"input": node.INPUT_TYPES(), "display_name": shown}  # type: ignore[attr-defined]
