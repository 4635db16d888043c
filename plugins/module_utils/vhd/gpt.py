# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GUID partition table of a disk image, and how its backup copy follows the end of a disk that has grown.

Source: UEFI specification, section 5.3 (GPT Disk Layout). All fields are little-endian. The primary copy (sector 1
and the entries after it) is never made invalid: the new backup is written and synced first, then one sector, the
primary header, is replaced.

Private to the collection: its interface may change in any release.
"""

import binascii
import struct
from typing import Callable, List, NamedTuple, Optional, Tuple

Read = Callable[[int, int], bytes]

SECTOR = 512
SIGNATURE = b"EFI PART"
#: What a header says is not believed beyond this; the standard table has 16 KiB.
MAX_ENTRIES_BYTES = 48 * 1024

_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_CRC_AT = 16
_MBR_ENTRIES_AT = 446
_MBR_SIGNATURE = b"\x55\xaa"
_PROTECTIVE = 0xEE


class Header(NamedTuple):
    """A header's fields; positions are sector numbers. `sector` is the whole sector as read."""

    revision: int
    size: int
    my_lba: int
    alternate_lba: int
    first_usable: int
    last_usable: int
    disk_guid: bytes
    entries_lba: int
    entry_count: int
    entry_size: int
    entries_crc: int
    sector: bytes

    def is_last(self, size: int, sector_size: int) -> bool:
        """Whether this primary header names the last sector of a disk of `size` bytes as the place of the backup."""
        return self.alternate_lba == size // sector_size - 1


class Write(NamedTuple):
    """One write that relocation needs: where, what, and in words."""

    offset: int
    data: bytes
    label: str


class Table(NamedTuple):
    """What was found on a disk.

    problem: why the table is left as it is, as a sentence; empty when it is sound.
    truncated: a partition reaches past the end of the disk.
    """

    sector_size: int
    header: Optional[Header]
    entries: bytes
    backup_at_end: bool
    backup_valid: bool
    problem: str
    truncated: bool


def crc(data: bytes) -> int:
    return binascii.crc32(data) & 0xFFFFFFFF


def parse_header(sector: bytes) -> Optional[Header]:
    """A header whose own checksum is right; None otherwise."""
    if len(sector) < _HEADER.size or sector[:8] != SIGNATURE:
        return None
    values = _HEADER.unpack_from(sector)
    size = values[2]
    if not _HEADER.size <= size <= len(sector):
        return None
    if crc(sector[:_CRC_AT] + bytes(4) + sector[_CRC_AT + 4 : size]) != values[3]:
        return None
    return Header(
        revision=values[1],
        size=size,
        my_lba=values[5],
        alternate_lba=values[6],
        first_usable=values[7],
        last_usable=values[8],
        disk_guid=values[9],
        entries_lba=values[10],
        entry_count=values[11],
        entry_size=values[12],
        entries_crc=values[13],
        sector=sector,
    )


def render_header(header: Header) -> bytes:
    """The header's sector with these fields and a right checksum; bytes beyond the fields stay as they were."""
    packed = _HEADER.pack(
        SIGNATURE,
        header.revision,
        header.size,
        0,
        0,
        header.my_lba,
        header.alternate_lba,
        header.first_usable,
        header.last_usable,
        header.disk_guid,
        header.entries_lba,
        header.entry_count,
        header.entry_size,
        header.entries_crc,
    )
    data = packed + header.sector[_HEADER.size :]
    return data[:_CRC_AT] + struct.pack("<I", crc(data[: header.size])) + data[_CRC_AT + 4 :]


def _read_entries(read: Read, header: Header, sector_size: int) -> Optional[bytes]:
    """The entries a header points to, when their checksum is right."""
    length = header.entry_count * header.entry_size
    if header.entry_size < 128 or header.entry_size % 8 or not 0 < length <= MAX_ENTRIES_BYTES:
        return None
    if header.entries_lba >= 1 << 54:  # no disk is that large, and no offset may be either
        return None
    data = read(header.entries_lba * sector_size, length)
    return data if len(data) == length and crc(data) == header.entries_crc else None


def _last_used(header: Header, entries: bytes) -> int:
    """The last sector that any partition uses; 0 where there is none."""
    last = 0
    for at in range(0, len(entries), header.entry_size):
        if entries[at : at + 16] != bytes(16):
            last = max(last, struct.unpack_from("<Q", entries, at + 40)[0])
    return last


def _backup_is_valid(read: Read, header: Header, sector_size: int, size: int) -> bool:
    if (header.alternate_lba + 1) * sector_size > size:
        return False
    backup = parse_header(read(header.alternate_lba * sector_size, sector_size))
    if backup is None or backup.my_lba != header.alternate_lba or backup.disk_guid != header.disk_guid:
        return False
    return _read_entries(read, backup, sector_size) is not None


def inspect(read: Read, size: int) -> Optional[Table]:
    """The partition table of a disk of `size` bytes that read(offset, length) reads; None where there is no GPT."""
    sectors = [
        one for one in (SECTOR, 4096) if read(one, len(SIGNATURE)) == SIGNATURE and read(510, 2) == _MBR_SIGNATURE
    ]
    if not sectors:
        return None
    sector_size = sectors[0]
    header = parse_header(read(sector_size, sector_size))
    if header is None or header.my_lba != 1:
        return Table(
            sector_size, None, b"", False, False, "The primary GPT header is damaged; it was left alone.", False
        )
    entries = _read_entries(read, header, sector_size)
    if entries is None:
        return Table(
            sector_size, header, b"", False, False, "The primary GPT entries are damaged; they were left alone.", False
        )
    truncated = (_last_used(header, entries) + 1) * sector_size > size
    at_end = header.is_last(size, sector_size)
    valid = _backup_is_valid(read, header, sector_size, size)
    problem = ""
    if truncated:
        problem = "A partition reaches past the end of the disk; the partition table was left alone."
    elif sector_size != SECTOR:
        problem = (
            "The partition table is laid out for sectors of 4096 bytes. Azure presents disks with sectors of 512, "
            "so no partition of it would be found there."
        )
    return Table(sector_size, header, entries, at_end, valid, problem, truncated)


def _protective_mbr(read: Read, size: int) -> Optional[bytes]:
    """Sector 0 with its protective entry reaching to the end of the disk; None where nothing is to change.

    A hybrid table, which has entries besides the protective one, is left alone.
    """
    sector = read(0, SECTOR)
    entries = [sector[at : at + 16] for at in range(_MBR_ENTRIES_AT, _MBR_ENTRIES_AT + 64, 16)]
    used = [number for number, entry in enumerate(entries) if entry[4:5] != b"\0"]
    if len(used) != 1 or bytearray(entries[used[0]])[4] != _PROTECTIVE:
        return None
    first, length = struct.unpack("<II", entries[used[0]][8:])
    wanted = min(size // SECTOR - 1, 0xFFFFFFFF)
    if first != 1 or length == wanted or length == 0xFFFFFFFF:
        return None
    at = _MBR_ENTRIES_AT + 16 * used[0] + 12
    return sector[:at] + struct.pack("<I", wanted) + sector[at + 4 :]


def plan_relocation(read: Read, table: Table, size: int, finish: bool = False) -> Tuple[List[Write], List[Write], str]:
    """What puts the backup at the end of a disk of `size` bytes: (writes of the backup, then of the primary, problem).

    The first list must be on the disk before the second is begun. Nothing to do gives two empty lists. `finish` is
    for a disk on which this was begun, and perhaps all but the protective MBR was done.
    """
    header = table.header
    if table.problem or header is None:
        return [], [], table.problem
    last = size // SECTOR - 1
    mbr = _protective_mbr(read, size)
    mbr_writes = [] if mbr is None else [Write(0, mbr, "the size in the protective MBR")]
    if header.alternate_lba == last:
        return [], mbr_writes if finish else [], ""
    entry_sectors = (len(table.entries) + SECTOR - 1) // SECTOR
    entries_lba = last - entry_sectors
    last_usable = entries_lba - 1
    if last_usable < max(_last_used(header, table.entries), header.first_usable):
        return [], [], "A partition reaches into the space of the backup GPT; the partition table was left alone."
    backup = render_header(
        header._replace(my_lba=last, alternate_lba=1, last_usable=last_usable, entries_lba=entries_lba)
    )
    primary = render_header(header._replace(alternate_lba=last, last_usable=last_usable))
    padded = table.entries.ljust(entry_sectors * SECTOR, b"\0")
    first = [Write(entries_lba * SECTOR, padded + backup, "the backup GPT")]
    second = [Write(SECTOR, primary, "the primary GPT header")] + mbr_writes
    return first, second, ""
