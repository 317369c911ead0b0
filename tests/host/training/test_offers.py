"""Which runs are offered for a prompt, and what its hash depends on."""

import asyncio
import json
import types

import pytest

STATE = {"name": "mine", "step": 12, "total": 400}


def prompt(**trained):
    inputs = {"model": ["base", 0], "dataset": ["data", 0], "steps": 400, "learning_rate": 1e-4, "resume": "ask"}
    return {
        "base": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "data": {"class_type": "PureCCConceptDataset", "inputs": {"vae": ["base", 2], "images": ["image", 0]}},
        "image": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "train": {"class_type": "PureCCTrainExtractor", "inputs": {**inputs, **trained}},
        "save": {"class_type": "PureCCSaveAdapter", "inputs": {"adapter": ["train", 0], "overwrite": False}},
    }


def changed(node, **inputs):
    out = prompt()
    out[node]["inputs"] |= inputs
    return out


def hashed(given, node="train"):
    from purecc_pack.purecc.host.training.offers import prompt_hash

    return prompt_hash(given, node)


def test_the_hash_is_of_what_leads_to_the_node_and_of_what_is_learned(comfyui):
    own = hashed(prompt())
    assert len(own) == 64
    for same in (
        changed("save", overwrite=True),
        changed("train", resume="auto", state_every=1.0, sample_every=7, vae=["base", 2]),
        changed("train", steps=400.0),
        json.loads(json.dumps(prompt())),
        dict(reversed(prompt().items())),
    ):
        assert hashed(same) == own
    for other in (
        changed("train", learning_rate=2e-4),
        changed("image", image="b.png"),
        changed("base", ckpt_name="b.safetensors"),
        changed("data", vae=["base", 1]),
    ):
        assert hashed(other) not in (own, "")


@pytest.mark.parametrize("given", [None, [], {}, {"train": 1}, {"train": {"inputs": []}}, prompt(model=["train", 0])])
def test_a_prompt_that_is_none_is_no_error(comfyui, given):
    from purecc_pack.purecc.host.training.offers import offers

    hashed(given), hashed(given, None)
    assert offers(given, types.SimpleNamespace(all=list)) == []


def test_only_a_node_that_asks_is_offered_its_own_state(comfyui):
    from purecc_pack.purecc.host.training.offers import offers

    known = hashed(prompt())
    folder = types.SimpleNamespace(all=lambda: [types.SimpleNamespace(about={**STATE, "prompt": known})])
    assert offers(prompt(), folder) == [{"node": "train", "prompt": known, **STATE}]
    assert offers(changed("train", resume="auto"), folder) == offers(changed("train", steps=4), folder) == []
    folder.all = lambda: [types.SimpleNamespace(about={**STATE, "prompt": ""})]
    assert offers(prompt(), folder) == []


def test_the_routes(comfyui):
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from purecc_pack.purecc.host.ui import state_routes

    answers, seen = [], []

    async def asked(*requests):
        table, app = web.RouteTableDef(), web.Application(client_max_size=100)
        state_routes.register(table, lambda p: seen.append(p) or [STATE], lambda *answer: answers.append(answer))
        app.add_routes(table)
        async with TestClient(TestServer(app)) as client:
            out = []
            for path, options in requests:
                async with client.post(path, **options) as answer:
                    out.append((answer.status, await answer.json() if answer.status == 200 else None))
            return out

    at, cross = "/purecc/states", {"Sec-Fetch-Site": "cross-site"}
    said = asyncio.run(
        asked(
            (at, {"json": prompt()}),
            (f"{at}/{'a' * 64}/resume", {}),
            (f"{at}/{'a' * 64}/anew", {}),
            (f"{at}/{'a' * 64}/other", {}),
            (f"{at}/..%2Fstate/resume", {}),
            (at, {"data": b"{"}),
            (at, {"data": b"[" * 100_000}),
            (at, {"json": {}, "headers": cross}),
            (f"{at}/{'a' * 64}/resume", {"headers": cross}),
        )
    )
    assert said[:3] == [(200, {"offers": [STATE]}), (200, {}), (200, {})]
    assert [status for status, _ in said[3:]] == [404, 404, 400, 400, 403, 403]
    assert seen == [prompt()] and answers == [("a" * 64, True), ("a" * 64, False)]
