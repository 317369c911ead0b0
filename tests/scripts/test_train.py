"""A workflow run without a server, for a table of concepts, as a user starts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pack
import pytest
import serving

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = ["--set", "PureCCPureLearning.steps=2", "--set", "PureCCPureLearning.pool_images=2"]
SMALL += ["--set", "PureCCPureLearning.sample_every=0", "--set", "PureCCPureLearning.drift_every=0"]


def graph() -> dict:
    """The API format of the smallest workflow that trains."""
    tiny = {"model": ["1", 0], "clip": ["1", 1]}
    dataset = {"images": ["2", 0], "captions": ["2", 1], "vae": ["1", 2], "class_word": "robot", "kind": "instance"}
    return {
        "1": {"class_type": "PureCCTinyCheckpoint", "inputs": {}},
        "2": {"class_type": "PureCCImageFolder", "inputs": {"folder": "robots"}},
        "3": {
            "class_type": "PureCCConceptDataset",
            "inputs": dataset | {"resolution": 96, "crop": "center", "flip": False, "crops": 0},
        },
        "4": {
            "class_type": "PureCCPureLearning",
            "inputs": tiny
            | pack.widget_defaults("PureCCPureLearning")
            | {"dataset": ["3", 0], "method": "LoRA", "steps": 2},
        },
        "5": {"class_type": "PureCCSaveAdapter", "inputs": {"adapter": ["4", 0], "overwrite": True}},
    }


@pytest.fixture
def folder(comfyui, tmp_path) -> Path:
    serving.link_pack(tmp_path / "base")
    shutil.copytree(ROOT / "purecc" / "tiny" / "concept", tmp_path / "base" / "input" / "robots")
    (tmp_path / "graph.json").write_text(json.dumps(graph()))
    return tmp_path


def started(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), str(folder / "graph.json"), "--cpu"]
    command += ["--base", str(folder / "base"), "--out", str(folder / "out"), *arguments]
    environment = os.environ | {"PURECC_HEADLESS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    process = started(folder, *arguments)
    said, _ = process.communicate(timeout=900)
    return process.returncode, said


def report(folder: Path) -> dict:
    return json.loads((folder / "out" / "report.json").read_text())["concepts"]


def test_a_table_of_concepts_is_trained_and_a_second_call_does_what_is_missing(folder):
    (folder / "table.csv").write_text("name,folder,4.seed\none,robots,1\nbad,nothing,1\ntwo,robots,2\n")
    code, said = run(folder, "--concepts", str(folder / "table.csv"))
    entries = report(folder)
    assert code == 1, said
    assert entries["one"]["state"] == entries["two"]["state"] == "done", said
    assert entries["bad"]["state"] == "failed" and "nothing" in entries["bad"]["error"]
    for name in ("one", "two"):
        assert (folder / "out" / "loras" / f"{name}.safetensors").is_file()
        assert any(file.endswith(f"{name}.safetensors") for file in entries[name]["files"])
    assert entries["two"]["prompt"]["4"]["inputs"]["seed"] == 2
    shutil.copytree(folder / "base" / "input" / "robots", folder / "base" / "input" / "nothing")
    began = {name: (folder / "out" / "loras" / f"{name}.safetensors").stat().st_mtime_ns for name in ("one", "two")}
    code, said = run(folder, "--concepts", str(folder / "table.csv"))
    assert code == 0, said
    assert said.count("done before") == 2 and report(folder)["bad"]["state"] == "done"
    assert began == {name: (folder / "out" / "loras" / f"{name}.safetensors").stat().st_mtime_ns for name in began}


def test_ctrl_c_stops_and_keeps(folder):
    process = started(folder, "--set", "4.steps=100000", "--set", "4.name=kept")
    seen = ""
    until = time.monotonic() + 600
    while "step" not in seen and time.monotonic() < until and process.poll() is None:
        seen += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 130, seen + said
    assert report(folder)["kept"]["state"] == "stopped"
    assert (folder / "out" / "loras" / "kept.safetensors").is_file()


def test_what_the_workflow_has_not_is_named(folder):
    code, out = run(folder, "--set", "4.stps=1")
    assert code == 2 and "no input 'stps'" in out


def step_of(folder: Path) -> int:
    """The latest step of which the run of any concept has left a state."""
    states = (folder / "out" / "states").glob("*/*.safetensors")
    return max((int(path.name.split(".")[-2]) for path in states), default=0)


def wait_for(there, *processes: subprocess.Popen) -> None:
    until = time.monotonic() + 300
    while not there():
        assert time.monotonic() < until
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, ended[0].communicate()[0]
        time.sleep(0.05)


def test_a_process_is_killed_and_another_goes_on_with_its_concept(folder):
    """kill -9 of one of two in mid-run; the other loses no more than the steps since the last state."""
    (folder / "table.csv").write_text("name,folder,4.seed,4.steps\none,robots,1,100000\ntwo,robots,2,2\n")
    command = ["--concepts", str(folder / "table.csv"), "--set", "4.state_every=0.001"]
    first = started(folder, *command)
    wait_for(lambda: step_of(folder) >= 2, first)
    first.kill()
    first.wait()
    had = step_of(folder)
    second = started(folder, *command)
    wait_for(lambda: step_of(folder) > had, second)
    second.send_signal(signal.SIGTERM)
    said, _ = second.communicate(timeout=600)
    assert second.returncode == 143, said
    entries = report(folder)
    assert entries["one"]["state"] == "cancelled" and entries["two"]["state"] == "done", "new concepts come first"
    queue = [json.loads(path.read_text()) for path in sorted((folder / "out" / "queue").glob("one*.[0-9]*"))]
    events = [(event["event"], event.get("deaths"), event.get("state")) for event in queue]
    assert events == [("claim", 0, None), ("claim", 1, None), ("end", None, "left")], events


def test_two_processes_of_a_launch_train_one_adapter_and_go_on_after_a_kill(folder):
    """Under `accelerate launch`: one rank is killed, the launch ends, and a second one goes on from the state."""
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [sys.executable, "-m", *launch, str(ROOT / "scripts" / "train.py"), str(folder / "graph.json"), "--cpu"]
    command += ["--base", str(folder / "base"), "--out", str(folder / "out"), "--set", "4.state_every=0.001"]
    command += ["--set", "4.batch_size=1", "--set", "4.name=shared"]

    def begun(steps: int) -> subprocess.Popen:
        together = [*command, "--set", f"4.steps={steps}"]
        return subprocess.Popen(together, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    first = begun(100000)
    wait_for(lambda: step_of(folder) >= 2, first)
    os.kill(rank_of(first.pid, "1"), signal.SIGKILL)
    said, _ = first.communicate(timeout=120)
    assert first.returncode != 0, said
    had = step_of(folder)
    second = begun(100000)
    wait_for(lambda: step_of(folder) > had, second)
    for rank in ("0", "1"):
        os.kill(rank_of(second.pid, rank), signal.SIGINT)
    said, _ = second.communicate(timeout=300)
    entry = report(folder)["shared"]
    assert entry["state"] == "stopped" and (folder / "out" / "loras" / "shared.safetensors").is_file(), said
    (recipe,) = {key: value for key, value in metadata(folder, "shared").items() if key == "purecc.recipe"}.values()
    assert json.loads(recipe)["settings"]["batch"] == 2
    assert entry["state"] == "stopped"


def rank_of(launcher: int, rank: str) -> int:
    """The process of a rank that a launcher started."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(path.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            environment = path.joinpath("environ").read_bytes().decode().split("\0")
        except (OSError, IndexError):
            continue
        if parent == launcher and f"RANK={rank}" in environment:
            return int(path.name)
    raise AssertionError(f"rank {rank} is not there")


def metadata(folder: Path, name: str) -> dict:
    from safetensors import safe_open

    with safe_open(folder / "out" / "loras" / f"{name}.safetensors", "pt") as file:
        return file.metadata()


def test_a_base_needs_no_folder_of_nodes(folder):
    (folder / "base" / "custom_nodes").rename(folder / "elsewhere")
    code, said = run(folder, "--set", "4.steps=1")
    assert code == 0, said
    assert not (folder / "base" / "custom_nodes").exists()
