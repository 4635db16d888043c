"""What is written goes to the disk meanwhile, and no error of the disk is lost on the way."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhd_tools import MIB, complaints, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, sparse, writeout
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import disk as disk_module
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(os.open(tmp_path / "disk", os.O_RDWR | os.O_CREAT), "disk")


def test_it_goes_on_until_it_is_left(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    seen: list[int] = []

    def start(descriptor: int) -> None:
        seen.append(descriptor)
        started.set()

    monkeypatch.setattr(writeout, "INTERVAL", 0.001)
    monkeypatch.setattr(writeout, "STEP", 0)
    monkeypatch.setattr(writeout, "_starter", lambda: start)
    with writeout.Writeout(disk):
        assert started.wait(10)
    count = len(seen)
    assert set(seen) == {disk.descriptor}
    assert not [one for one in threading.enumerate() if one.daemon and one.name.endswith("(_loop)")]
    assert len(seen) == count


class Library:
    """A C library whose sync_file_range answers as told; None: it has none."""

    def __init__(self, number: int | None) -> None:
        if number is not None:
            self.sync_file_range = type("Call", (), {"__call__": lambda _self, *_words: self.answer(number)})()

    @staticmethod
    def answer(number: int) -> int:
        ctypes.set_errno(number)
        return -1 if number else 0


@pytest.mark.parametrize(
    ("number", "synced"), [(0, False), (None, True), (errno.ENOSYS, True), (errno.EINVAL, True), (errno.EIO, False)]
)
def test_what_begins_the_writing(disk: Disk, monkeypatch: pytest.MonkeyPatch, number: int | None, synced: bool) -> None:
    """The system call alone where there is one; a sync where it is missing; an error of the disk stays one."""
    seen: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_words, **_names: Library(number))
    monkeypatch.setattr(os, "fdatasync", seen.append)
    start = writeout._starter()
    if number == errno.EIO:
        with pytest.raises(OSError, match="Input/output error"):
            start(disk.descriptor)
    else:
        start(disk.descriptor)
    assert seen == ([disk.descriptor] if synced else [])


def test_the_kernel_of_this_machine_knows_the_call(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.write(0, b"x" * MIB)
    monkeypatch.setattr(os, "fdatasync", lambda _descriptor: pytest.fail("it fell back to a sync"))
    writeout._starter()(disk.descriptor)


def test_an_error_that_only_the_thread_saw_fails_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells it once: the sync at the end succeeds, and yet dest must not get its name."""
    raw = tmp_path / "disk.raw"
    sparse_disk(raw, 21 * MIB)
    told = threading.Event()

    def fail(descriptor: int) -> None:
        told.set()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    original = sparse.copy

    def copy(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        assert told.wait(10)

    monkeypatch.setattr(writeout, "INTERVAL", 0.001)
    monkeypatch.setattr(writeout, "STEP", 0)
    monkeypatch.setattr(writeout, "_starter", lambda: fail)
    monkeypatch.setattr(sparse, "copy", copy)
    monkeypatch.setattr(sparse, "clone", lambda source, target: False)
    with pytest.raises(AzurePrepError, match="Input/output error.*kernel log"):
        align.run(align.Options(str(raw), dest=str(tmp_path / "out.vhd")), Host("/"))
    assert os.listdir(tmp_path) == ["disk.raw"]
    monkeypatch.undo()
    align.run(align.Options(str(raw), dest=str(tmp_path / "out.vhd")), Host("/"))
    assert complaints(tmp_path / "out.vhd") == []


def test_an_error_of_the_copy_itself_is_not_covered_up(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeout, "INTERVAL", 0.0)
    with pytest.raises(ValueError, match="mine"), writeout.Writeout(disk):
        raise ValueError("mine")


@given(
    st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([1, 511, 4095, 4096, 4097, 65536, 70000])), max_size=9),
    st.integers(0, 5000),
)
def test_runs_hold_all_that_is_not_zero(parts: list[tuple[int, int]], less: int) -> None:
    block = bytearray(b"".join(bytes([value]) * length for value, length in parts) + b"\x01" * less)
    size = len(block) - less
    grains = [at // 4096 for at in range(0, size, 4096) if any(block[at : min(at + 4096, size)])]
    runs = list(sparse.nonzero_runs(block, size))
    assert [grain for start, end in runs for grain in range(start // 4096, -(-end // 4096))] == grains
    assert all(one[1] < other[0] for one, other in zip(runs, runs[1:], strict=False))
    assert all(end <= size for _start, end in runs)


@pytest.mark.parametrize("preadv", [True, False])
def test_reading_into_a_buffer_ends_with_the_file(disk: Disk, monkeypatch: pytest.MonkeyPatch, preadv: bool) -> None:
    if not preadv:
        monkeypatch.setattr(disk_module, "preadv", None)
    disk.write(0, b"abcdef")
    buffer = bytearray(b"." * 8)
    assert disk.read_into(2, buffer, 8) == 4
    assert buffer == b"cdef...."
    assert disk.read_into(6, buffer, 8) == 0
    assert disk.read_into(0, buffer, 3) == 3
    assert buffer == b"abcf...."
