"""The bad requests of the campaign reach every route, with bodies of the form that it takes."""

import json
from random import Random

import pytest
from faults import routes


@pytest.fixture(scope="module")
def known(comfyui):
    return routes.routes()


def test_every_route_is_asked_for_a_run_that_there_is(known, monkeypatch):
    monkeypatch.setattr(routes, "body", lambda *_: b"")
    sent = [routes.request(Random(seed), known, ("a-run",)).partition(b"\r\n")[0] for seed in range(400)]
    for method, path in known:
        start, _, rest = path.partition("{")
        end = rest.rpartition("}")[2]
        line = f"{method} {start}{'a-run' if rest else ''}"
        assert any(one.startswith(line.encode()) and end.encode() in one for one in sent), path


def test_sample_prompts_are_sent_in_the_form_that_their_route_takes(known):
    assert ("POST", "/purecc/runs/{id}/prompts") in known
    right = 0
    for seed in range(100):
        try:
            sent = json.loads(routes.body(Random(seed), "/purecc/runs/a-run/prompts"))
        except (ValueError, RecursionError):
            continue
        prompts = sent.get("prompts") if isinstance(sent, dict) else None
        right += isinstance(prompts, list) and all(isinstance(one, str) for one in prompts)
    assert right >= 10
