"""The scripts that get, link and serve ComfyUI."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import browser
import host
import psutil
import pytest
import serving
import source


def make_archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return path


def test_an_sdist_with_another_hash_is_refused(tmp_path):
    setup = "raise SystemExit('ran before its hash was checked')"
    archive = make_archive(tmp_path / "thing-1.0.tar.gz", {"thing-1.0/setup.py": setup, "thing-1.0/PKG-INFO": ""})
    offline = ("--no-index", "--find-links", str(tmp_path))
    with pytest.raises(source.SourceError) as caught:
        source.download_sdist(Path(sys.executable), tmp_path / "got", "thing==1.0", "0" * 64, offline)
    assert "hash" in str(caught.value).lower()
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in str(caught.value)
    assert "ran before" not in str(caught.value)
    assert not list((tmp_path / "got").glob("*.tar.gz"))


def test_unpacking_takes_only_the_asked_folder_and_nothing_outside(tmp_path):
    files = {"p-1/vendor/ComfyUI/main.py": "x", "p-1/vendor/other.py": "y", "p-1/setup.py": "z"}
    archive = make_archive(tmp_path / "a.tar.gz", files)
    folder = source.unpack(archive, tmp_path / "out", inside="vendor/ComfyUI")
    assert [str(path.relative_to(folder)) for path in folder.rglob("*")] == ["main.py"]
    for bad in ("p-1/../../evil.py", "/evil.py"):
        with pytest.raises(source.SourceError, match="evil"):
            source.unpack(make_archive(tmp_path / "b.tar.gz", {bad: ""}), tmp_path / "out2")
    with pytest.raises(source.SourceError, match="vendor/None"):
        source.unpack(archive, tmp_path / "out3", inside="vendor/None")


def test_a_folder_that_is_not_comfyui_is_named(tmp_path):
    with pytest.raises(source.SourceError, match=r"not a ComfyUI folder: it has no main\.py"):
        source.check_tree(tmp_path)


def test_the_requirements_are_those_of_the_tree_without_torch(comfyui):
    wanted = host.host_requirements(comfyui)
    names = {line.split("=")[0].split(">")[0].split("~")[0] for line in wanted}
    assert {"aiohttp", "comfyui-frontend-package", "comfyui-workflow-templates-core", "safetensors"} <= names
    assert not names & {"torch", "torchvision", "torchaudio", "comfyui-workflow-templates"}


def test_a_second_install_does_nothing_and_a_new_requirement_only_itself(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(host, "pip", lambda command, arguments: calls.append(arguments))
    monkeypatch.setattr(host, "install_torch", lambda python: calls.append("torch"))
    monkeypatch.setattr(host, "mend", lambda python: None)
    stamp = tmp_path / "stamp.json"
    python = Path(sys.executable)
    host.install(python, ["a", "b>=1"], stamp)
    assert calls == ["torch", ["a", "b>=1", "torch"]]
    host.install(python, ["a", "b>=1"], stamp)
    assert len(calls) == 2
    host.install(python, ["a", "b>=1", "c"], stamp)
    assert calls[2:] == [["c", "torch"]]
    stamp.write_text("{ torn")
    host.install(python, ["a"], stamp)
    assert calls[3:] == ["torch", ["a", "torch"]]


def test_a_failed_install_is_not_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "install_torch", lambda python: None)
    stamp = tmp_path / "stamp.json"
    with pytest.raises(host.HostError, match="no-such-option"):
        host.install(Path(sys.executable), ["--no-such-option"], stamp)
    assert not stamp.exists()


def test_only_what_fails_to_import_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "site_packages", lambda python: tmp_path)
    compiled = tmp_path / "torchvision" / "_meta_registrations.py", tmp_path / "torchaudio" / "lib" / "a.so"
    for file in compiled:
        file.parent.mkdir(parents=True)
        file.write_text("compiled for CUDA")
    monkeypatch.setattr(host, "imports", lambda python, name: True)
    host.mend(Path(sys.executable))
    assert [file.read_text() for file in compiled] == ["compiled for CUDA"] * 2
    monkeypatch.setattr(host, "imports", lambda python, name: name == "torchvision" or not compiled[1].exists())
    host.mend(Path(sys.executable))
    assert compiled[0].read_text() == "compiled for CUDA"
    assert not compiled[1].exists()
    monkeypatch.setattr(host, "imports", lambda python, name: False)
    with pytest.raises(host.HostError, match="torchvision cannot be imported"):
        host.mend(Path(sys.executable))


def test_the_link_is_made_kept_and_mended(tmp_path):
    pack = tmp_path / "the pack"
    (pack / "nodes").mkdir(parents=True)
    (pack / "__init__.py").write_text("1")
    base = tmp_path / "a base"
    link = serving.link_pack(base, pack)
    assert link.resolve() == pack
    assert serving.link_pack(base, pack) == link
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").touch()
    link.unlink()
    link.symlink_to(elsewhere)
    assert serving.link_pack(base, pack).resolve() == pack
    assert (elsewhere / "kept.txt").is_file()


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path):
    theirs = tmp_path / "custom_nodes" / "purecc"
    theirs.mkdir(parents=True)
    (theirs / "precious.py").touch()
    with pytest.raises(FileExistsError, match="move it away"):
        serving.link_pack(tmp_path)
    assert (theirs / "precious.py").is_file()


def test_where_links_are_refused_a_copy_is_made_and_refreshed(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("a link needs rights")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    pack = tmp_path / "pack"
    (pack / "nodes").mkdir(parents=True)
    (pack / "nodes" / "one.py").write_text("1")
    (pack / "tests").mkdir()
    (pack / "__init__.py").write_text("1")
    (pack / "pyproject.toml").write_text("2")
    copy = serving.link_pack(tmp_path / "base", pack)
    assert not copy.is_symlink()
    assert (copy / "nodes" / "one.py").read_text() == "1"
    assert (copy / "pyproject.toml").read_text() == "2"
    assert not (copy / "tests").exists()
    (pack / "nodes" / "one.py").write_text("2")
    assert (serving.link_pack(tmp_path / "base", pack) / "nodes" / "one.py").read_text() == "2"


def test_a_server_that_does_not_start_says_why(comfyui, tmp_path):
    server = serving.Server(Path(sys.executable), comfyui, tmp_path, options=["--no-such-option"])
    with pytest.raises(serving.ServerError, match=r"(?s)ended with code 2.*server\.log.*--no-such-option"):
        server.start()
    assert server.process is None


def test_the_given_tree_is_not_written_to(server, comfyui):
    started = server.log.stat().st_ctime - 60
    fresh = [path for path in comfyui.rglob("*") if path.stat().st_mtime > started and "pycache" not in str(path)]
    assert not fresh


SERVE = """
import signal
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell leaves it ignored
import serving
serving.Server.command = lambda self: [sys.executable, "-c", sys.argv[3]]
serving.Server._wait = lambda self, process, timeout: print(process.pid, flush=True)
with serving.Server(sys.executable, Path(sys.argv[2]), Path(sys.argv[2])) as server:
    server.wait()
"""
CHILDREN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""


def alive(group: int) -> bool:
    return any(
        os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
        for process in psutil.process_iter()
        if psutil.pid_exists(process.pid)
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_whole_process_tree_ends_with_the_script(sent, tmp_path):
    scripts = Path(serving.__file__).parent
    script = subprocess.Popen([sys.executable, "-c", SERVE, scripts, tmp_path, CHILDREN], stdout=subprocess.PIPE)
    group = int(script.stdout.readline())
    time.sleep(1)
    assert alive(group)
    os.kill(script.pid, sent)
    script.wait(20)
    assert not alive(group)


def test_a_browser_is_found_by_name_or_by_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("PURECC_BROWSER", str(tmp_path / "mine"))
    assert browser.find_browser() == tmp_path / "mine"
    monkeypatch.delenv("PURECC_BROWSER")
    (tmp_path / "chromium").write_text("#!/bin/sh")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find_browser() == tmp_path / "chromium"
