"""Progress of a long copy: one line of JSON, gone at the end; a line in the log at each tenth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vhd_tools import MIB, dynamic_vhd, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, progress


@pytest.mark.parametrize("kind", ["raw", "dynamic"])
def test_a_copy_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(progress.Report, "INTERVAL", 0.0)
    path, told = tmp_path / "disk.img", tmp_path / "progress"
    if kind == "raw":
        sparse_disk(path, 21 * MIB)
    else:
        path.write_bytes(dynamic_vhd(22 * MIB, dict.fromkeys(range(5), (b"x" * 2 * MIB, b"\xff" * 512))))
    seen: list[dict[str, int]] = []
    lines: list[str] = []

    class Watched(progress.Report):
        def __call__(self, count: int) -> None:
            super().__call__(count)
            seen.append(json.loads(told.read_text()))

    with Watched(str(told), lines.append) as report:
        align.run(align.Options(str(path), dest=str(tmp_path / "out.vhd")), Host("/"), report=report)
    assert seen[-1]["percent"] == 100
    assert seen[-1]["done_bytes"] == seen[-1]["total_bytes"]
    assert [one["done_bytes"] for one in seen] == sorted(one["done_bytes"] for one in seen)
    assert "(100 %)" in lines[-1]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["disk.img", "out.vhd"]


def test_a_progress_file_that_cannot_be_written_stops_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.Report, "INTERVAL", 0.0)
    path = tmp_path / "disk.raw"
    sparse_disk(path, 21 * MIB)
    report = progress.Report(str(tmp_path / "absent" / "progress"))
    with pytest.raises(AzurePrepError, match="Cannot write .*absent/progress"), report:
        align.run(align.Options(str(path), dest=str(tmp_path / "out.vhd")), Host("/"), report=report)
    assert [one.name for one in tmp_path.iterdir()] == ["disk.raw"]
