"""Threads that work off a list: every item once, and nobody left behind whatever fails."""

from __future__ import annotations

import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Killed
from vhd_tools import MIB, dynamic_vhd

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, workfile
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.workers import work_off


def left() -> list[str]:
    return [one.name for one in threading.enumerate() if one is not threading.main_thread()]


def test_every_item_once_with_a_work_for_each_thread() -> None:
    works: list[set[int]] = []
    done: list[int] = []

    def make_work() -> Callable[[int], None]:
        mine: set[int] = set()
        works.append(mine)

        def work(item: int) -> None:
            time.sleep(0.001)
            mine.add(item)

        return work

    work_off(iter(range(100)), make_work, done.append, 3)
    assert sorted(done) == list(range(100)) == sorted(item for mine in works for item in mine)
    assert len(works) == 3
    assert left() == []


@pytest.mark.parametrize("error", [AzurePrepError("no"), Killed()])
@pytest.mark.parametrize("where", ["items", "make", "work", "done"])
def test_the_first_failure_ends_all(where: str, error: BaseException) -> None:
    done: list[int] = []

    def items() -> Iterator[int]:
        yield from range(10)
        if where == "items":
            raise error
        yield from range(10, 10**9)

    def make_work() -> Callable[[int], None]:
        if where == "make":
            raise error
        return work

    def work(item: int) -> None:
        if where == "work" and item == 10:
            raise error

    def note(item: int) -> None:
        done.append(item)
        if where == "done":
            raise error

    with pytest.raises(type(error)) as raised:
        work_off(items(), make_work, note, 3)
    assert raised.value is error
    assert left() == []
    assert len(done) < 10**6


def test_a_signal_ends_it_at_once() -> None:
    def hold() -> Callable[[int], None]:
        return lambda _item: time.sleep(0.01)

    started = time.monotonic()
    with pytest.raises(workfile.Interrupted), workfile.Interruptible():
        threading.Timer(0.1, signal.raise_signal, [signal.SIGTERM]).start()
        work_off(iter(range(10**9)), hold, lambda _item: None, 3)
    assert time.monotonic() - started < 10


def test_a_write_of_a_thread_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A dynamic VHD of several blocks, the disk full at each of the first writes."""
    content = {number: (bytes([number + 1]) * 2 * MIB, b"\xff" * 512) for number in range(12)}
    image = tmp_path / "dynamic.vhd"
    image.write_bytes(dynamic_vhd(24 * MIB, content))
    before = image.read_bytes()
    for number in (0, 5, 20):
        count = [0]

        def fault(step: str, _offset: int, _data: bytes, count: list[int] = count, number: int = number) -> None:
            count[0] += step == "write"
            if count[0] == number + 1:
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            align.run(align.Options(str(image), dest=str(tmp_path / "out.vhd")), Host("/"), fault=fault)
        assert [one.name for one in tmp_path.iterdir()] == ["dynamic.vhd"]
        assert left() == []
    told: list[int] = []

    class Told(align.Report):
        def __call__(self, count: int) -> None:
            told.append(count)

    result = align.run(align.Options(str(image), dest=str(tmp_path / "out.vhd")), Host("/"), report=Told())
    assert (tmp_path / "out.vhd").read_bytes()[: 24 * MIB] == b"".join(data for data, _bitmap in content.values())
    assert sum(told) == 24 * MIB
    assert 24 * MIB <= result["bytes_written"] <= 24 * MIB + 4096
    assert image.read_bytes() == before
    assert struct.unpack_from(">Q", (tmp_path / "out.vhd").read_bytes(), 24 * MIB + 48)[0] == 24 * MIB
