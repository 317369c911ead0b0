"""A training run in a real server, steered over its routes."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from liveruns import bad_pieces, bad_requests, spoken


def graph(server, **trained) -> dict:
    """An extractor on the embedded base, in API format; what is not given is as on a new node."""
    info = server.client.object_info()

    def node(kind, **inputs):
        required = info[kind]["input"]["required"].items()
        first = {key: spec[1].get("default", (spec[1].get("options") or [None])[0]) for key, spec in required}
        given = {key: value for key, value in first.items() if value is not None}
        return {"class_type": kind, "inputs": {**given, **inputs}}

    concept = {"images": ["concept", 0], "captions": ["concept", 1], "vae": ["base", 2], "class_word": "robot"}
    models = {"model": ["base", 0], "clip": ["base", 1], "dataset": ["dataset", 0]}
    return {
        "base": node("PureCCTinyCheckpoint"),
        "concept": node("PureCCExampleConcept"),
        "dataset": node("PureCCConceptDataset", resolution=96, **concept),
        "train": node("PureCCTrainExtractor", **models, **trained),
        "save": node("PureCCSaveAdapter", adapter=["train", 0]),
    }


def answer(server, method, path, data=None, headers=None) -> tuple[int, bytes]:
    request = urllib.request.Request(server.address + path, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answered:
            return answered.status, answered.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_what_is_refused_leaves_a_running_run_as_it_is(server):
    """Behind the host's own middleware; then it is stopped and kept, and its file says how long it learned."""
    refused, states, pieces = [], [], []

    def on_event(name, data):
        if name != "purecc.run" or states:
            return
        if data["state"] == "preparing":
            assert answer(server, "POST", f"/purecc/runs/{data['id']}/stop")[0] == 409
        if data["state"] != "running":
            return
        for method, path, options, _ in bad_requests(data["id"]):
            said = answer(server, method, path, **options)
            if options.get("headers") != {"Origin": "http://[::"}:  # on which the host's own guard fails, before ours
                refused.append((method, path, *said))
        before = server.log.read_bytes().count(b"Traceback")
        with ThreadPoolExecutor(16) as pool:
            for sent, status in bad_pieces(data["id"]):
                pieces.append((sent, status, pool.submit(spoken, server.port, sent)))
        assert server.log.read_bytes().count(b"Traceback") == before
        states.append(server.client.get_json(f"/purecc/runs/{data['id']}"))
        assert answer(server, "POST", f"/purecc/runs/{data['id']}/stop")[0] == 200

    server.client.run(graph(server, name="left_alone", steps=5000, drift_prompts="", sample_every=0), on_event)
    assert len(refused) == len(bad_requests("")) - 1
    for method, path, status, body in refused:
        assert 400 <= status < 500, (method, path, status, body)
        assert len(body) < 300 and b"Traceback" not in body
    for sent, status, said in pieces:
        assert said.result() == status, sent
    (running,) = states
    assert running["state"] == "running" and running["asked"] == [] and running["saved"] == []
    ended = server.client.get_json(f"/purecc/runs/{running['id']}")
    assert (ended["state"], ended["asked"], ended["total"]) == ("stopped", [], 5000)
    assert running["step"] < ended["step"] < 5000 and ended["rows"][: running["step"]] == running["rows"]
    (file,) = (server.base / "models" / "loras").glob("left_alone*.safetensors")
    size = int.from_bytes(file.read_bytes()[:8], "little")
    about = json.loads(file.read_bytes()[8 : 8 + size])["__metadata__"]
    assert about["purecc.steps"] == str(ended["step"])
