"""The independent VHD check sees every fault it names, one at a time."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from guests import vhdcheck
from guests.demo import parse_recap
from guests.errors import GuestError

SIZE = 21 * 1024 * 1024


def footer(**changes: int) -> bytes:
    fields = {
        "features": 2,
        "version": 0x00010000,
        "offset": 0xFFFFFFFFFFFFFFFF,
        "original": SIZE,
        "current": SIZE,
        "kind": 2,
        "wrong": 0,
        "uuid": 7,
    }
    fields.update(changes)
    data = bytearray(512)
    struct.pack_into(">8sIIQ", data, 0, b"conectix", fields["features"], fields["version"], fields["offset"])
    struct.pack_into(">QQ", data, 40, fields["original"], fields["current"])
    struct.pack_into(">I", data, 60, fields["kind"])
    data[68] = fields["uuid"]
    struct.pack_into(">I", data, 64, (~sum(data) & 0xFFFFFFFF) ^ fields["wrong"])
    return bytes(data)


def vhd(tmp_path: Path, tail: bytes, size: int = SIZE) -> Path:
    path = tmp_path / "disk.vhd"
    with path.open("wb") as handle:
        handle.seek(size)
        handle.write(tail)
    return path


def test_a_right_file_has_no_faults(tmp_path: Path) -> None:
    assert vhdcheck.faults(vhd(tmp_path, footer())) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": 0}, "reserved bit"),
        ({"version": 1}, "format version"),
        ({"offset": 512}, "data offset"),
        ({"kind": 3}, "disk type is 3"),
        ({"wrong": 1}, "checksum"),
        ({"current": SIZE - 1024 * 1024}, "the file has"),
        ({"original": 0}, "original size"),
        ({"uuid": 0}, "unique id"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, changes: dict[str, int], words: str) -> None:
    found = vhdcheck.faults(vhd(tmp_path, footer(**changes)))
    assert len(found) == 1
    assert words in found[0]


def test_sizes(tmp_path: Path) -> None:
    odd = SIZE + 512
    assert "whole number" in vhdcheck.faults(vhd(tmp_path, footer(current=odd, original=odd), odd))[0]
    small = 1024 * 1024
    assert "less than 20 MiB" in vhdcheck.faults(vhd(tmp_path, footer(current=small, original=small), small))[0]


def test_a_raw_disk_is_no_vhd(tmp_path: Path) -> None:
    path = vhd(tmp_path, bytes(512))
    assert "cookie" in vhdcheck.faults(path)[0]
    with pytest.raises(GuestError, match="no VHD that Azure takes"):
        vhdcheck.check(path)
    (tmp_path / "short").write_bytes(b"x")
    assert "less than a footer" in vhdcheck.faults(tmp_path / "short")[0]


RECAP = """
TASK [linuxvhd.azure.common : SSH-02 | Keep idle sessions alive] ***
changed: [guest1]

TASK [linuxvhd.azure.common : SSH-01 | Start the server at boot] ***
ok: [guest1]

RUNNING HANDLER [linuxvhd.azure.common : Restart the SSH server] ***
changed: [guest1]

PLAY RECAP ***
guest1                     : ok=3    changed=2    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0
"""


def test_recap_counts_and_names_what_changed() -> None:
    recap = parse_recap(RECAP, "guest1")
    assert (recap.ok, recap.changed, recap.failed) == (3, 2, 0)
    assert recap.tasks == [
        "linuxvhd.azure.common : SSH-02 | Keep idle sessions alive",
        "linuxvhd.azure.common : Restart the SSH server",
    ]


def test_no_recap_is_an_error() -> None:
    with pytest.raises(GuestError, match="without a recap"):
        parse_recap(RECAP, "guest2")
