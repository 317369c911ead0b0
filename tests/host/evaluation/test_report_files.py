"""A report's two files are written as one."""

import os
from types import SimpleNamespace

import pytest

REPORT = SimpleNamespace(markdown=lambda: "| table |", as_dict=lambda: {"a": 1})


@pytest.fixture
def output(comfyui, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path


def test_both_are_there(output):
    from purecc_pack.purecc.host.evaluation.report_files import save

    paths = save(REPORT, "sub/report")
    assert [path.name for path in paths] == ["report_00001_.json", "report_00001_.md"]
    assert paths[1].read_text(encoding="utf-8") == "| table |\n" and len(list((output / "sub").iterdir())) == 2


def test_a_prefix_that_is_no_text_is_named(comfyui):
    from purecc_pack.purecc.host.evaluation.report_files import prefix_fault

    assert prefix_fault([1]).startswith("filename_prefix is [1], which is no text")


def test_neither_is_there_where_one_could_not_be_written(output, monkeypatch):
    from purecc_pack.purecc.host.evaluation.report_files import save

    calls, sync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"report_00001_\.md cannot be written: No space left.* are free"):
        save(REPORT, "report")
    assert list(output.iterdir()) == []
