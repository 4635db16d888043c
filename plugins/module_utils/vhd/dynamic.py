# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of dynamic VHDs ("Dynamic Disk Header Format", "Block Allocation Table" of the VHD specification).

It exists because qemu-img is wrong about some of them: before version 10 it takes the size from the geometry and
loses the end of the disk, it ignores the sector bitmaps, and it reads differencing VHDs as if they had no parent.

Every number in the file is checked before it is used: tables must lie in the file and have a sensible size, blocks
must lie in the file and neither overlap each other nor the tables. No memory is taken because a header says so.

Private to the collection: its interface may change in any release.
"""

import array
import struct
import sys
from typing import Callable, Iterator, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import sparse
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.footer import DIFFERENCING, SIZE, Footer
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.workers import work_off
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.writeout import Writeout

HEADER_SIZE = 1024
HEADER_COOKIE = b"cxsparse"
SECTOR = 512
UNALLOCATED = 0xFFFFFFFF

#: One million blocks are 2 TiB with the usual 2 MiB, the most that the format can hold.
MAX_ENTRIES = 1 << 20
MIN_BLOCK, MAX_BLOCK = 4096, 256 * 1024 * 1024

#: One reads and looks for zeros while another writes; each holds a piece of a MiB.
THREADS = 3

_HEADER = struct.Struct(">8sQQIIII16sII512s")
_CHECKSUM_AT = 36


class Header(NamedTuple):
    """What is needed of the dynamic header: offsets and sizes in bytes; parent is the parent's name, or empty."""

    table_offset: int
    max_entries: int
    block_size: int
    parent: str


def _checksum(data: bytes) -> int:
    return ~(sum(data) - sum(data[_CHECKSUM_AT : _CHECKSUM_AT + 4])) & 0xFFFFFFFF


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def parse_header(data: bytes, where: str) -> Header:
    """The dynamic header; AzurePrepError, beginning with `where`, if it is damaged."""
    if len(data) != HEADER_SIZE or data[:8] != HEADER_COOKIE:
        raise AzurePrepError("%s is a damaged dynamic VHD: its dynamic header is missing." % where)
    values = _HEADER.unpack_from(data)
    if values[6] != _checksum(data):
        raise AzurePrepError("%s is a damaged dynamic VHD: the checksum of its dynamic header is wrong." % where)
    parent = values[10].decode("utf-16-be", "replace").split("\0")[0]
    return Header(table_offset=values[2], max_entries=values[4], block_size=values[5], parent=_printable(parent))


def bitmap_runs(bitmap: bytes, sectors: int) -> Iterator[Tuple[int, int]]:
    """(first, end) of the runs of sectors whose bit is set, most significant bit first."""
    start = -1
    full = sectors // 8
    if sectors % 8 == 0 and bitmap[:full] == b"\xff" * full:  # nearly every one
        if sectors:
            yield 0, sectors
        return
    for number, value in enumerate(bytearray(bitmap[: (sectors + 7) // 8])):
        if value == 0xFF and number < full:
            if start < 0:
                start = number * 8
        elif value == 0:
            if start >= 0:
                yield start, number * 8
                start = -1
        else:
            for bit in range(8):
                sector = number * 8 + bit
                if sector < sectors and value & (0x80 >> bit):
                    if start < 0:
                        start = sector
                elif start >= 0:
                    yield start, sector
                    start = -1
    if start >= 0:
        yield start, sectors


class DynamicVhd:
    """An open dynamic VHD whose tables have been checked."""

    def __init__(self, disk: Disk, footer: Footer, has_end: bool = True) -> None:
        """has_end: the footer at the end of the file is there; otherwise `footer` is the copy at its beginning."""
        self._disk = disk
        self.size = footer.current_size
        where = disk.path
        end = disk.size() - (SIZE if has_end else 0)
        if self.size <= 0 or self.size % SECTOR:
            raise AzurePrepError(
                "%s is a damaged dynamic VHD: it says that its disk has %d bytes." % (where, self.size)
            )
        if footer.data_offset > end - HEADER_SIZE:
            raise AzurePrepError("%s is a damaged or truncated dynamic VHD: its header would lie past its end." % where)
        header = parse_header(disk.read(footer.data_offset, HEADER_SIZE), where)
        if footer.disk_type == DIFFERENCING:
            raise AzurePrepError(
                "%s is a differencing VHD: it holds only the changes to its parent, %s. Merge the two with the program "
                "that made them, and take the result." % (where, header.parent or "whose name it does not tell")
            )
        self.block_size = header.block_size
        if not MIN_BLOCK <= self.block_size <= MAX_BLOCK or self.block_size & (self.block_size - 1):
            raise AzurePrepError(
                "%s is a damaged dynamic VHD: its block size of %d bytes makes no sense." % (where, self.block_size)
            )
        self._bitmap_size = -(-self.block_size // SECTOR // 8 // SECTOR) * SECTOR
        count = -(-self.size // self.block_size)
        if count > header.max_entries or count > MAX_ENTRIES:
            raise AzurePrepError(
                "%s is a damaged dynamic VHD: a disk of %d bytes needs %d blocks, and its table has %d."
                % (where, self.size, count, min(header.max_entries, MAX_ENTRIES))
            )
        if header.table_offset > end - 4 * count or header.table_offset < SIZE:
            raise AzurePrepError(
                "%s is a damaged or truncated dynamic VHD: its block table does not lie inside the file." % where
            )
        self._table = array.array("I", disk.read(header.table_offset, 4 * count))
        if sys.byteorder == "little":
            self._table.byteswap()
        tables = [(0, SIZE), (footer.data_offset, HEADER_SIZE), (header.table_offset, 4 * count)]
        self._check_blocks(tables, end, disk.size())

    def _check_blocks(self, tables: List[Tuple[int, int]], end: int, length_of_file: int) -> None:
        """Every block inside the file; none over another or over the tables."""
        length = self._bitmap_size + self.block_size
        previous = -length
        for sector in sorted(entry for entry in self._table if entry != UNALLOCATED):
            offset = sector * SECTOR
            if offset + length > end:
                raise AzurePrepError(
                    "%s is a damaged or truncated dynamic VHD: it has a block at offset %d, but ends at %d."
                    % (self._disk.path, offset, length_of_file)
                )
            if offset < previous + length or any(offset < at + size and at < offset + length for at, size in tables):
                raise AzurePrepError(
                    "%s is a damaged dynamic VHD: the block at offset %d lies over something else."
                    % (self._disk.path, offset)
                )
            previous = offset

    def _runs(self, number: int) -> Iterator[Tuple[int, int, int]]:
        """(offset in the disk, offset in the file, length) of the data of one block."""
        sector = self._table[number]
        if sector == UNALLOCATED:
            return
        start = number * self.block_size
        sectors = min(self.block_size, self.size - start) // SECTOR
        at = sector * SECTOR
        bitmap = self._disk.read(at, self._bitmap_size)
        at += self._bitmap_size
        for first, end in bitmap_runs(bitmap, sectors):
            yield start + first * SECTOR, at + first * SECTOR, (end - first) * SECTOR

    def extents(self) -> Iterator[Tuple[int, int]]:
        """(offset, length) in the disk of what is data."""
        for number in range(len(self._table)):
            for offset, _at, length in self._runs(number):
                yield offset, length

    def data_bytes(self) -> int:
        """The size of all blocks in use."""
        return (len(self._table) - self._table.count(UNALLOCATED)) * self.block_size

    def read(self, offset: int, length: int) -> bytes:
        """Read the disk; shorter only at its end."""
        end = min(offset + length, self.size)
        parts: List[bytes] = []
        done = offset
        while done < end:
            number = done // self.block_size
            stop = min(end, (number + 1) * self.block_size)
            for start, at, size in self._runs(number):
                first, last = max(start, done), min(start + size, stop)
                if first < last:
                    parts.append(bytes(first - done))
                    parts.append(self._disk.read(at + first - start, last - first))
                    done = last
            parts.append(bytes(stop - done))
            done = stop
        return b"".join(parts)

    def _pieces(self) -> Iterator[Tuple[int, int, int, int]]:
        """(offset in the disk, offset in the file, length, bytes of blocks done with it) of all data, in short pieces.

        The last sum up to data_bytes().
        """
        credit = 0
        for number, sector in enumerate(self._table):
            if sector == UNALLOCATED:
                continue
            credit += self.block_size
            for offset, at, length in self._runs(number):
                for step in range(0, length, sparse.CHUNK):
                    yield offset + step, at + step, min(sparse.CHUNK, length - step), credit
                    credit = 0

    def fill(self, target: Disk, _path: str, progress: sparse.Progress) -> None:
        """Write the disk into an empty file, leaving out zeros."""
        target.truncate(self.size)

        def make_work() -> Callable[[Tuple[int, int, int, int]], None]:
            buffer = bytearray(min(sparse.CHUNK, self.block_size))

            def work(piece: Tuple[int, int, int, int]) -> None:
                offset, at, length, _credit = piece
                if self._disk.read_into(at, buffer, length) != length:
                    raise AzurePrepError("%s became shorter while it was read; run again." % self._disk.path)
                sparse.write_nonzero(target, offset, buffer, length)

            return work

        with Writeout(target):
            work_off(self._pieces(), make_work, lambda piece: progress(piece[3]), THREADS)
