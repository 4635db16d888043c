"""What of a disk image is sent: holes never, zeros hardly ever, and the same answer for the same content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import extents
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.extents import BLOCK, MERGE_GAP, PAGE

MIB = 1024 * 1024


def sparse(path: Path, size: int, pieces: dict[int, bytes]) -> int:
    with path.open("wb") as stream:
        stream.truncate(size)
        for offset, data in pieces.items():
            stream.seek(offset)
            stream.write(data)
    return os.open(path, os.O_RDONLY)


def ranges_of(descriptor: int, size: int) -> list[tuple[int, int]]:
    found = []
    for block in extents.blocks(descriptor, size):
        segments = [(begin, extents.read_extent(descriptor, begin, end)) for begin, end in block.extents]
        ranges = extents.nonzero_ranges(segments)
        for (begin, end), (offset, data) in zip(ranges, extents.slices(segments, ranges), strict=True):
            assert (offset, len(data)) == (begin, end - begin)
            assert bytes(data) == extents.read_extent(descriptor, begin, end)
        found += ranges
    return found


def test_holes_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = sparse(tmp_path / "d", 10**12, {5 * BLOCK + 8192: b"x" * PAGE, 10**12 - PAGE: b"y" * PAGE})
    read = []
    pread = os.pread

    def counted(handle: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(handle, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    begin = 10**12 - PAGE - (10**12 - PAGE) % PAGE
    found = ranges_of(descriptor, 10**12)
    assert found[0] == (5 * BLOCK + 8192, 5 * BLOCK + 8192 + PAGE)
    assert found[-1][0] == begin
    assert sum(read) < 100 * PAGE


def test_allocated_zeros_are_not_sent(tmp_path: Path) -> None:
    descriptor = sparse(tmp_path / "d", 3 * BLOCK, {0: bytes(3 * BLOCK), BLOCK + PAGE: b"data"})
    assert ranges_of(descriptor, 3 * BLOCK) == [(BLOCK + PAGE, BLOCK + 2 * PAGE)]


def test_a_file_system_without_seek_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = sparse(tmp_path / "d", 3 * BLOCK, {BLOCK + PAGE: b"data"})
    monkeypatch.setattr(os, "lseek", lambda *_: (_ for _ in ()).throw(OSError(22, "Invalid argument")))
    assert ranges_of(descriptor, 3 * BLOCK) == [(BLOCK + PAGE, BLOCK + 2 * PAGE)]


def test_an_odd_end(tmp_path: Path) -> None:
    descriptor = sparse(tmp_path / "d", MIB + 100, {MIB: b"x" * 100})
    assert ranges_of(descriptor, MIB + 100) == [(MIB, MIB + 100)]
    descriptor = sparse(tmp_path / "e", MIB + 100, {MIB: bytes(100)})
    assert ranges_of(descriptor, MIB + 100) == []


def test_small_gaps_are_sent_along_while_they_cost_little(tmp_path: Path) -> None:
    gap = {0: b"x" * MIB, MIB + PAGE: b"x" * MIB}  # 4 KiB in 2 MiB: worth one request less
    assert ranges_of(sparse(tmp_path / "d", BLOCK, gap), BLOCK) == [(0, 2 * MIB + PAGE)]
    scattered = dict.fromkeys(range(0, BLOCK, 16 * PAGE), b"x" * PAGE)
    found = ranges_of(sparse(tmp_path / "e", BLOCK, scattered), BLOCK)
    assert sum(end - begin for begin, end in found) == len(scattered) * PAGE


def test_a_page_with_zeros_at_its_begin_is_sent(tmp_path: Path) -> None:
    """Each kind of page between two that are zero: nothing but its last byte, or its ninth, is not."""
    for inside in (PAGE - 1, 8, 7, 0):
        page = bytearray(PAGE)
        page[inside] = 1
        pieces = {0: b"x" * PAGE, 40 * PAGE: bytes(page), 80 * PAGE: b"x" * PAGE}
        descriptor = sparse(tmp_path / str(inside), BLOCK, {0: bytes(BLOCK), **pieces})
        assert ranges_of(descriptor, BLOCK) == [(start, start + PAGE) for start in pieces]
        os.close(descriptor)


@pytest.mark.parametrize("preadv", [True, False])
def test_reading_into_memory_that_was_used_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preadv: bool
) -> None:
    """What an earlier block left there never shows, also where the file ends early and without os.preadv."""
    if not preadv:
        monkeypatch.setattr(extents, "preadv", None)
    descriptor = sparse(tmp_path / "d", 3 * PAGE + 100, {PAGE: b"y" * PAGE, 3 * PAGE: b"z" * 100})
    buffer = memoryview(bytearray(b"\xff" * (6 * PAGE)))
    for begin, end in ((0, 3 * PAGE), (PAGE, 5 * PAGE), (4 * PAGE, 6 * PAGE)):
        found = extents.read_into(descriptor, begin, end, buffer)
        assert bytes(found) == extents.read_extent(descriptor, begin, end)
        ranges = extents.nonzero_ranges([(begin, found)])
        assert ranges == extents.nonzero_ranges([(begin, bytes(found))])
    os.close(descriptor)


pages = st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=1, max_size=80)


@given(pages)
def test_every_nonzero_page_is_sent_once_and_zeros_stay_few(layout: list[int]) -> None:
    data = b"".join(bytes([value]) * PAGE for value in layout)
    found = extents.nonzero_ranges([(BLOCK, data)])
    covered = bytearray(len(data))
    for begin, end in found:
        assert begin % PAGE == 0 and end % PAGE == 0
        assert not any(covered[begin - BLOCK : end - BLOCK])
        covered[begin - BLOCK : end - BLOCK] = b"\1" * (end - begin)
    useful = sum(1 for value in layout if value)
    for index, value in enumerate(layout):
        if value:
            assert covered[index * PAGE]
    sent = sum(end - begin for begin, end in found) // PAGE
    assert useful <= sent <= useful + useful // extents.MERGE_SHARE
    assert found == sorted(found)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=6), st.booleans())
def test_the_ranges_depend_on_the_content_alone(
    tmp_path_factory: pytest.TempPathFactory, layout: list[tuple[int, int]], shifted: bool
) -> None:
    """A sparse file and one with every zero written give the same ranges."""
    size = 2 * BLOCK
    base = BLOCK - 20 * PAGE if shifted else 0
    pieces = {base + start * PAGE: b"\7" * (length * PAGE) for start, length in layout}
    folder = tmp_path_factory.mktemp("x")
    thin = sparse(folder / "thin", size, pieces)
    thick = sparse(folder / "thick", size, {0: bytes(size), **pieces})
    try:
        assert ranges_of(thin, size) == ranges_of(thick, size)
    finally:
        os.close(thin)
        os.close(thick)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=8),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=8),
)
def test_subtract(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    def flat(spans: list[tuple[int, int]]) -> set[int]:
        return {unit for start, length in spans for unit in range(start, start + length)}

    def spans(units: set[int]) -> list[tuple[int, int]]:
        result: list[tuple[int, int]] = []
        for unit in sorted(units):
            if result and result[-1][1] == unit:
                result[-1] = (result[-1][0], unit + 1)
            else:
                result.append((unit, unit + 1))
        return result

    a, b = flat(left), flat(right)
    found = extents.subtract(spans(a), spans(b))
    assert {unit for begin, end in found for unit in range(begin, end)} == a - b


def test_linear_whatever_the_content() -> None:
    """Zeros sprinkled so that a search for long runs of zeros would be quadratic."""
    data = bytearray(BLOCK)
    data[15 * PAGE :: 16 * PAGE] = b"x" * len(range(15 * PAGE, BLOCK, 16 * PAGE))
    found = extents.nonzero_ranges([(0, bytes(data))])
    assert len(found) == BLOCK // MERGE_GAP
