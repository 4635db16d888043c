# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provisioning medium: a read-only UDF file system as on Azure's provisioning DVD, and nothing else on it.

Why by hand: genisoimage and xorriso make bridges of ISO 9660 and UDF, which a guest without udf would mount as
ISO 9660, so that the very fault of KERN-06 stayed hidden; mkudffs makes writable volumes that must be mounted to
be filled. A read-only volume of a few small files is a dozen fixed structures.

Numbers in comments are sections of ECMA-167 (second edition) and of the OSTA UDF specification 1.02.

Private to the collection: its interface may change in any release.
"""

import binascii
import struct
import time
from typing import Dict, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

SECTOR = 2048

#: Fixed places, in sectors: volume recognition (ECMA 2/8), the two descriptor sequences, integrity, anchor (3/8.4.2.1).
RECOGNITION = 16
MAIN_SEQUENCE = 32
RESERVE_SEQUENCE = 48
SEQUENCE_SECTORS = 16
INTEGRITY = 64
ANCHOR = 256
PARTITION = 257

REVISION = 0x0102

#: File types of an ICB tag (ECMA 4/14.6.6) and read permission, with search for directories (4/14.9.5).
TYPE_DIRECTORY = 4
TYPE_FILE = 5
READ_ALL = 4 | 4 << 5 | 4 << 10
READ_SEARCH_ALL = 5 | 5 << 5 | 5 << 10

#: Longest content that one short allocation descriptor can name (4/14.14.1: 30 bits).
MAX_FILE = (1 << 30) - SECTOR


def _dstring(text: str, size: int) -> bytes:
    """A fixed-size string: compression 8, the characters, the length in the last byte (1/7.2.12, UDF 2.1.1)."""
    data = b"\x08" + text.encode("latin-1")
    if len(data) > size - 1:
        raise AzurePrepError("%r is too long for a volume or file name on the provisioning medium." % text)
    return (data.ljust(size - 1, b"\0") + bytes([len(data)])) if text else bytes(size)


def _charspec() -> bytes:
    return (b"\0" + b"OSTA Compressed Unicode").ljust(64, b"\0")


def _entity(identifier: bytes, suffix: bytes = b"") -> bytes:
    """An entity identifier (1/7.4)."""
    return b"\0" + identifier.ljust(23, b"\0") + suffix.ljust(8, b"\0")


DOMAIN = _entity(b"*OSTA UDF Compliant", struct.pack("<HB", REVISION, 3))
IMPLEMENTATION = _entity(b"*linuxvhd.azure", b"\x04\x05")


def _timestamp(seconds: float) -> bytes:
    """A moment in UTC (1/7.3)."""
    moment = time.gmtime(seconds)
    return struct.pack("<HhBBBBBBBB", 1 << 12, *(tuple(moment[:6]) + (0, 0, 0)))


def _tagged(identifier: int, location: int, content: bytes) -> bytes:
    """A descriptor: its tag with check sum, CRC and own place (3/7.2), then the content."""
    crc = binascii.crc_hqx(content, 0)
    head = struct.pack("<HHBBHHHI", identifier, 2, 0, 0, 1, crc, len(content), location)
    return head[:4] + bytes([sum(head) & 0xFF]) + head[5:] + content


def _long_ad(length: int, block: int) -> bytes:
    return struct.pack("<IIH6x", length, block, 0)


def _file_entry(block: int, kind: int, size: int, data_block: int, links: int, unique: int, when: bytes) -> bytes:
    """A file entry with one extent (4/14.9)."""
    sectors = (size + SECTOR - 1) // SECTOR
    icb_tag = struct.pack("<IHHHBB6xH", 0, 4, 0, 1, 0, kind, 0)
    permissions = READ_SEARCH_ALL if kind == TYPE_DIRECTORY else READ_ALL
    content = icb_tag + struct.pack("<IIIHBBIQQ", 0xFFFFFFFF, 0xFFFFFFFF, permissions, links, 0, 0, 0, size, sectors)
    content += when * 3 + struct.pack("<I", 1) + _long_ad(0, 0) + IMPLEMENTATION
    extent = struct.pack("<II", size, data_block) if size else b""
    content += struct.pack("<QII", unique, 0, len(extent)) + extent
    return _tagged(261, block, content)


def _directory_entry(block: int, name: str, icb_block: int, characteristics: int, unique: int) -> bytes:
    """A file identifier descriptor (4/14.4), padded to four bytes."""
    encoded = b"\x08" + name.encode("latin-1") if name else b""
    icb = struct.pack("<IIHHI", SECTOR, icb_block, 0, 0, unique)
    content = struct.pack("<HBB", 1, characteristics, len(encoded)) + icb + struct.pack("<H", 0) + encoded
    padding = -(16 + len(content)) % 4
    return _tagged(257, block, content + bytes(padding))


def _volume_descriptors(start: int, label: str, partition_sectors: int, when: bytes) -> List[bytes]:
    """One volume descriptor sequence (3/8.4), its tags counted from sector `start`."""
    primary = struct.pack("<II", 1, 0) + _dstring(label, 32) + struct.pack("<HHHHII", 1, 1, 2, 2, 1, 1)
    primary += _dstring("%08x%s" % (0, label), 128) + _charspec() * 2 + bytes(16) + _entity(b"") + when
    primary += IMPLEMENTATION + bytes(64 + 4 + 2 + 22)
    info = struct.pack("<I", 2) + _entity(b"*UDF LV Info", struct.pack("<H", REVISION)) + _charspec()
    info += _dstring(label, 128) + bytes(108) + IMPLEMENTATION + bytes(128)
    partition = struct.pack("<IHH", 3, 1, 0) + _entity(b"+NSR02") + bytes(128)
    partition += struct.pack("<III", 1, PARTITION, partition_sectors) + IMPLEMENTATION + bytes(128 + 156)
    logical = struct.pack("<I", 4) + _charspec() + _dstring(label, 128) + struct.pack("<I", SECTOR) + DOMAIN
    logical += _long_ad(SECTOR, 0) + struct.pack("<II", 6, 1) + IMPLEMENTATION + bytes(128)
    logical += struct.pack("<II", 2 * SECTOR, INTEGRITY) + struct.pack("<BBHH", 1, 6, 1, 0)
    contents = [(1, primary), (4, info), (5, partition), (6, logical), (7, struct.pack("<II", 5, 0)), (8, bytes(496))]
    return [_tagged(kind, start + at, content) for at, (kind, content) in enumerate(contents)]


def build(label: str, files: Dict[str, bytes], now: float = 0.0) -> bytes:
    """The bytes of a UDF 1.02 volume with these files in its root directory.

    label: up to 30 characters of Latin-1. now: the time of every entry, in seconds since 1970.
    """
    when = _timestamp(now)
    block = 4  # of the partition, behind file set, terminator, entry and content of the root directory
    placed: List[Tuple[str, int, int, bytes]] = []
    for name, data in files.items():
        if len(data) > MAX_FILE:
            raise AzurePrepError("%s is too large for the provisioning medium." % name)
        sectors = (len(data) + SECTOR - 1) // SECTOR
        placed.append((name, block, block + 1, data))
        block += 1 + sectors
    partition_sectors = block
    total = PARTITION + partition_sectors + 1
    image = bytearray(total * SECTOR)

    def put(sector: int, data: bytes) -> None:
        image[sector * SECTOR : sector * SECTOR + len(data)] = data

    for at, name_bytes in enumerate((b"BEA01", b"NSR02", b"TEA01")):
        put(RECOGNITION + at, b"\0" + name_bytes + b"\x01")
    for start in (MAIN_SEQUENCE, RESERVE_SEQUENCE):
        for at, descriptor in enumerate(_volume_descriptors(start, label, partition_sectors, when)):
            put(start + at, descriptor)
    integrity = when + struct.pack("<IQQ24xIIII", 1, 0, 16 + len(placed), 1, 46, 0, partition_sectors)
    integrity += IMPLEMENTATION + struct.pack("<IIHHH", len(placed), 1, REVISION, REVISION, REVISION)
    put(INTEGRITY, _tagged(9, INTEGRITY, integrity))
    put(INTEGRITY + 1, _tagged(8, INTEGRITY + 1, bytes(496)))
    extents = struct.pack(
        "<IIII", SEQUENCE_SECTORS * SECTOR, MAIN_SEQUENCE, SEQUENCE_SECTORS * SECTOR, RESERVE_SEQUENCE
    )
    for sector in (ANCHOR, total - 1):
        put(sector, _tagged(2, sector, extents + bytes(480)))
    file_set = when + struct.pack("<HHIIII", 3, 3, 1, 1, 0, 0) + _charspec() + _dstring(label, 128) + _charspec()
    file_set += _dstring(label, 32) + bytes(64) + _long_ad(SECTOR, 2) + DOMAIN + bytes(16 + 48)
    put(PARTITION, _tagged(256, 0, file_set))
    put(PARTITION + 1, _tagged(8, 1, bytes(496)))
    listing = _directory_entry(3, "", 2, 0x0A, 0)
    for at, (name, entry_block, _data_block, _data) in enumerate(placed):
        listing += _directory_entry(3, name, entry_block, 0, 16 + at)
    if len(listing) > SECTOR:
        raise AzurePrepError("The provisioning medium holds at most one sector of file names.")
    put(PARTITION + 2, _file_entry(2, TYPE_DIRECTORY, len(listing), 3, 1, 0, when))
    put(PARTITION + 3, listing)
    for at, (_name, entry_block, data_block, data) in enumerate(placed):
        put(PARTITION + entry_block, _file_entry(entry_block, TYPE_FILE, len(data), data_block, 1, 16 + at, when))
        put(PARTITION + data_block, data)
    return bytes(image)
