"""A real server that is killed in mid-run: after a restart the run goes on, and gives what it would have given."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import serving
from client import Client

STEPS = 24


def graph(server, name, **trained):
    """An extractor on the embedded base, in API format."""
    info = server.client.object_info()

    def node(kind, **inputs):
        required = info[kind]["input"]["required"].items()
        first = {key: spec[1].get("default", (spec[1].get("options") or [None])[0]) for key, spec in required}
        return {"class_type": kind, "inputs": {k: v for k, v in first.items() if v is not None} | inputs}

    concept = {"images": ["concept", 0], "captions": ["concept", 1], "vae": ["base", 2], "class_word": "robot"}
    models = {"model": ["base", 0], "clip": ["base", 1], "dataset": ["dataset", 0]}
    quick = {"steps": STEPS, "batch_size": 1, "drift_prompts": "", "learning_rate": 1e-3}
    return {
        "base": node("PureCCTinyCheckpoint"),
        "concept": node("PureCCExampleConcept"),
        "dataset": node("PureCCConceptDataset", resolution=64, **concept),
        "train": node("PureCCTrainExtractor", name=name, **models, **quick, **trained),
        "save": node("PureCCSaveAdapter", adapter=["train", 0], overwrite=True),
    }


@pytest.mark.server
@pytest.mark.slow
def test_a_run_goes_on_after_kill_9(comfyui, tmp_path):
    from purecc_pack.purecc.adapters import files

    base = tmp_path / "base"
    serving.link_pack(base)

    def started():
        server = serving.Server(Path(sys.executable), comfyui, base, cpu=True)
        server.start()
        server.client = Client(server.address)
        return server

    states = base / "user" / "__purecc" / "states"
    server = started()
    try:
        prompt = graph(server, "killed", resume="auto", state_every=1e-4)
        server.client.queue(prompt)
        end = time.monotonic() + 120
        while not list(states.glob("killed.*.safetensors")):
            assert time.monotonic() < end, server.tail()
            time.sleep(0.01)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    finally:
        server.stop()
    assert not list((base / "models" / "loras").glob("killed*")), "it was killed before its end"

    server = started()
    try:
        told = []
        server.client.run(prompt, lambda name, data: told.append(data) if name == "purecc.run" else None)
        server.client.run(graph(server, "whole", resume="never", state_every=0.0))
    finally:
        server.stop()
    went_on = [text for data in told for text in data["note"].splitlines() if "Continues from step" in text]
    assert went_on, [data["note"] for data in told]
    assert told[-1]["step"] == STEPS and not list(states.glob("killed.*"))
    killed, whole = (
        files.load(base / f"models/loras/{name}.safetensors", base / f"models/embeddings/{name}.safetensors")
        for name in ("killed", "whole")
    )
    assert killed.id == whole.id
