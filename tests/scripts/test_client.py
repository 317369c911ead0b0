"""The scripts' client against a real server: what it runs, refuses, reports and cancels."""

import threading

import pytest
from client import ExecutionError, Interrupted, PromptError


def graph(width: int, steps: int = 1) -> dict:
    """An image enlarged again and again: quick to queue, long to finish."""
    nodes = {"0": {"class_type": "EmptyImage", "inputs": {"width": width, "height": 64, "batch_size": 1, "color": 0}}}
    for i in range(1, steps + 1):
        inputs = {
            "image": [str(i - 1), 0],
            "upscale_method": "lanczos",
            "width": 2048,
            "height": 2048 + i,
            "crop": "disabled",
        }
        nodes[str(i)] = {"class_type": "ImageScale", "inputs": inputs}
    nodes["save"] = {"class_type": "PreviewImage", "inputs": {"images": [str(steps), 0]}}
    return nodes


def test_an_invalid_prompt_is_refused_with_the_input_named(server):
    with pytest.raises(PromptError, match=r"EmptyImage \(node 0\).*width"):
        server.client.run(graph(width=-5))


def test_a_prompt_of_which_only_a_part_is_valid_is_refused_and_no_part_of_it_runs(server):
    prompt = graph(width=32)
    wrong = {"class_type": "EmptyImage", "inputs": {**prompt["0"]["inputs"], "width": -7}}
    prompt |= {"wrong": wrong, "other": {"class_type": "PreviewImage", "inputs": {"images": ["wrong", 0]}}}
    with pytest.raises(PromptError, match=r"EmptyImage \(node wrong\).*width"):
        server.client.run(prompt)
    waiting = server.client.get_json("/queue")
    assert waiting["queue_pending"] == []
    finished = [run["prompt"][2] for run in server.client.get_json("/history").values() if run["outputs"]]
    assert prompt not in finished


def test_what_a_node_raises_is_raised_here_with_its_message(server):
    prompt = {
        "1": {"class_type": "RegexReplace", "inputs": {"string": "a", "regex_pattern": "(", "replace": "b"}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }
    with pytest.raises(ExecutionError, match=r"RegexReplace \(node 1\): .*unterminated subpattern") as caught:
        server.client.run(prompt)
    assert caught.value.traceback


def test_interrupt_ends_a_running_prompt(server):
    def on_event(name, data):
        if name == "executing" and data.get("node") == "1":
            threading.Thread(target=server.client.interrupt).start()

    with pytest.raises(Interrupted):
        server.client.run(graph(width=64, steps=40), on_event)
    assert server.client.run(graph(width=128, steps=1))["save"]["images"]
