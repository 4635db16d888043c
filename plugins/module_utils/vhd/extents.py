# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a disk image holds data: extents by SEEK_DATA, cut into blocks, trimmed of zeros in pages of 4 KiB.

The answer depends on the content alone. However sparse the file happens to be, whichever file system it lies
on, the same content gives the same ranges, so that two runs agree and a digest over ranges identifies a disk.

Private to the collection: its interface may change in any release.
"""

import errno
import os
from typing import Iterator, List, NamedTuple, Tuple, Union

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import preadv
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.sparse import GRAIN, nonzero_runs

#: Zeros are recognised in whole pages of this size, aligned to it.
PAGE = GRAIN

#: Work is cut at multiples of this: the largest body of Put Page (REST reference: 4 MiB), and what a thread holds.
BLOCK = 4 * 1024 * 1024

#: A gap of zeros up to this may be sent with its neighbours, in place of one more request ...
MERGE_GAP = 64 * 1024

#: ... as long as the zeros of a block stay below one part in so many of its data (1.6 %).
MERGE_SHARE = 64

Range = Tuple[int, int]
"""Start and end (exclusive), bytes."""

Data = Union[bytes, memoryview]


class Block(NamedTuple):
    """The data extents within one block: `start` is a multiple of BLOCK, `extents` are sorted and disjoint."""

    start: int
    extents: List[Range]

    @property
    def allocated(self) -> int:
        """Bytes that have to be read."""
        return sum(end - begin for begin, end in self.extents)


def data_extents(descriptor: int, size: int) -> Iterator[Range]:
    """The parts of the first `size` bytes of a file that are not holes, whole pages, sorted and disjoint.

    A file system without SEEK_DATA, and a block device, give one extent: everything.
    """
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if exc.errno in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY, errno.ESPIPE):
                yield position, size
                return
            raise
        start = max(start - start % PAGE, position)
        end = min(end + -end % PAGE, size)
        if start >= size:
            return
        yield start, end
        position = end


def blocks(descriptor: int, size: int) -> Iterator[Block]:
    """The data extents below `size`, cut at multiples of BLOCK; extents with a small hole between are joined.

    Joining loses nothing: a hole reads as zeros, and nonzero_ranges() finds the zeros again.
    """
    start = -1
    extents: List[Range] = []
    for begin, end in data_extents(descriptor, size):
        while begin < end:
            block = begin - begin % BLOCK
            if block != start:
                if extents:
                    yield Block(start, extents)
                start, extents = block, []
            stop = min(end, block + BLOCK)
            if extents and begin - extents[-1][1] <= MERGE_GAP:
                extents[-1] = (extents[-1][0], stop)
            else:
                extents.append((begin, stop))
            begin = stop
    if extents:
        yield Block(start, extents)


def read_extent(descriptor: int, begin: int, end: int) -> bytes:
    """The bytes of a range; zeros stand for what lies past the end of the file."""
    data = os.pread(descriptor, end - begin, begin)
    if len(data) == end - begin:
        return data
    pieces = [data]
    position = begin + len(data)
    while position < end:
        data = os.pread(descriptor, end - position, position)
        if not data:
            pieces.append(bytes(end - position))
            break
        pieces.append(data)
        position += len(data)
    return b"".join(pieces)


def read_into(descriptor: int, begin: int, end: int, buffer: memoryview) -> Data:
    """The same as read_extent(), in the caller's memory where that can be: fresh memory costs more than reading."""
    if preadv is None:
        return read_extent(descriptor, begin, end)
    part = buffer[: end - begin]
    got = preadv(descriptor, [part], begin)
    if got < len(part):
        part[got:] = read_extent(descriptor, begin + got, end)
    return part


def nonzero_ranges(segments: List[Tuple[int, Data]]) -> List[Range]:
    """The ranges of one block worth sending, from its (offset, data) segments: all that is not zero.

    Small gaps are sent along, the smallest first, while their sum stays below a MERGE_SHARE-th of the data: a
    request costs a round trip, but a slow line pays for every byte.
    """
    runs = [(offset + begin, offset + end) for offset, data in segments for begin, end in nonzero_runs(data, len(data))]
    budget = sum(end - begin for begin, end in runs) // MERGE_SHARE
    gaps = sorted((runs[index + 1][0] - runs[index][1], index) for index in range(len(runs) - 1))
    joined = set()
    for gap, index in gaps:
        if gap > MERGE_GAP or gap > budget:
            break
        budget -= gap
        joined.add(index)
    merged: List[Range] = []
    for index, (begin, end) in enumerate(runs):
        if index and index - 1 in joined:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def slices(segments: List[Tuple[int, Data]], ranges: List[Range]) -> Iterator[Tuple[int, memoryview]]:
    """(offset, data) of each range, without a copy; a range lies within one segment."""
    index = 0
    for begin, end in ranges:
        while begin >= segments[index][0] + len(segments[index][1]):
            index += 1
        offset, data = segments[index]
        yield begin, memoryview(data)[begin - offset : end - offset]


def subtract(ranges: List[Range], minus: List[Range]) -> List[Range]:
    """What of `ranges` is not covered by `minus`; both sorted and disjoint."""
    left: List[Range] = []
    index = 0
    for begin, end in ranges:
        while index < len(minus) and minus[index][1] <= begin:
            index += 1
        cursor = index
        while begin < end:
            if cursor >= len(minus) or minus[cursor][0] >= end:
                left.append((begin, end))
                break
            if minus[cursor][0] > begin:
                left.append((begin, minus[cursor][0]))
            begin = max(begin, minus[cursor][1])
            cursor += 1
    return left
