"""Saves that are killed, refused or interrupted at each of their steps."""

import errno
import os
import signal
import sys

import pytest
from adapter_files import assert_same, contents, make

from purecc_pack.purecc.adapters import files

pytestmark = pytest.mark.slow


SYSTEM = ("posix", "nt", "_io", "posix.DirEntry")


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "loras", tmp_path / "embeddings"


def killed(number, adapter, folders):
    """Save in a child process that is killed before its call `number` of the system; returns whether it got there."""
    child = os.fork()
    if not child:
        left = number

        def count(frame, event, called):
            nonlocal left
            of = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
            if event == "c_call" and of in SYSTEM and called.__name__ not in ("fspath", "stat", "lstat"):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(count)
            files.save(adapter, *folders, overwrite=True)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def read(folders):
    """The adapter that loads, if its LoRA is there."""
    path = folders[0] / "rob.safetensors"
    return files.load(path, embeddings_dirs=[folders[1]]) if path.exists() else None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize(
    ("before", "after"), [(None, True), (True, True), (True, False), (False, True), (False, False)]
)
@pytest.mark.parametrize("then", ["start", "save"])
def test_a_killed_save_leaves_the_old_pair_or_the_new_one(folders, before, after, then):
    def adapter(seed, whole):
        return make(seed=seed, tokens=whole, layers=whole)

    old = None if before is None else adapter(1, before)
    new, seen = adapter(2, after), set()
    for number in range(200):
        for path in contents(*folders):
            path.unlink()
        if old is not None:
            files.save(old, *folders)
        if not killed(number, new, folders):
            break
        found = read(folders)
        expected = found if found is None else new if found.id == new.id else old
        seen.add(None if found is None else found.id)
        if found is not None or old is not None:
            assert_same(expected, found)
        if then == "start":
            files.recover([folders[0]], [folders[1]])
        else:
            files.save(make("other"), *folders)
            for folder in folders:
                (folder / "other.safetensors").unlink()
        if expected is not None:
            assert_same(expected, read(folders))
        assert len(contents(*folders)) == (0 if expected is None else 1 + bool(expected.embedding)), number
        assert not any(path.name.startswith(".") for path in contents(*folders))
    assert 10 < number < 199, "the steps of a save"
    assert seen == {None if old is None else old.id, new.id}
    assert_same(new, read(folders))


def test_what_an_older_version_left_is_finished(folders):
    """It made no note of its process, and removed nothing."""
    files.save(make(seed=1), *folders)
    old = {path: path.read_bytes() for path in contents(*folders)}
    files.save(make(seed=2), *folders, overwrite=True)
    (lora, embedding), stamp = (folder / "rob.safetensors" for folder in folders), "0" * 32
    embedding.rename(embedding.with_name(f".rob.safetensors.{stamp}.new"))
    for path, content in old.items():
        path.with_name(f".rob.safetensors.{stamp}.old").write_bytes(content)
    embedding.write_bytes(old[embedding])
    assert_same(make(seed=2), read(folders))
    for path in contents(*folders):
        os.utime(path, (1e9, 1e9))
    files.recover([folders[0]], [folders[1]])
    assert set(contents(*folders)) == {lora, embedding}
    assert_same(make(seed=2), read(folders))


def test_a_save_under_way_in_another_process_is_left_alone(folders):
    files.save(make(seed=1), *folders)
    parent = folders[0] / f".rob.safetensors.{os.getppid()}-{'0' * 32}.new"
    parent.write_bytes(b"half")
    files.recover([folders[0]], [folders[1]])
    assert parent.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("failing", ["fsync", "open"])
def test_a_full_disk_and_a_read_only_folder_name_path_and_bytes(folders, monkeypatch, number, failing):
    from pathlib import Path

    files.save(make(seed=1), *folders)
    before = contents(*folders)
    size = (folders[0] / "rob.safetensors").stat().st_size

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "open")), fail)
        if failing == "open":
            patch.setattr(files, "_id", lambda *args: None)
            patch.setattr(files, "recover", lambda *args: None)
            patch.setattr(Path, "exists", lambda path: False)
        with pytest.raises(OSError, match=rf"loras.rob\.safetensors.*{os.strerror(number)}.* {size} bytes") as error:
            files.save(make(seed=2), *folders, overwrite=True)
    assert error.value.errno == number and isinstance(error.value, type(OSError(number, "")))
    assert contents(*folders) == before


def test_a_file_held_open_as_windows_does_leaves_the_old_pair(folders, monkeypatch):
    from pathlib import Path

    files.save(make(seed=1), *folders)
    before, replace = contents(*folders), Path.replace

    def held(path, target):
        if Path(target).parent == folders[1]:
            raise PermissionError(errno.EACCES, "used by another process")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", held)
        with pytest.raises(PermissionError, match=r"embeddings.rob\.safetensors.*another process"):
            files.save(make(seed=2), *folders, overwrite=True)
    assert contents(*folders) == before
