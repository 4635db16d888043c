# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image of another hypervisor's format says about itself, read from its own bytes before qemu-img sees it.

An image can name other files: a backing file, an external data file, extents, a parent. Whoever opens such an image
reads those files too, so one from a stranger could pull any file of this machine into the disk. They are found here,
without opening anything, and refused unless the caller allows them.

Formats: qcow2 (docs/interop/qcow2.txt of qemu), VHDX ([MS-VHDX]), VMDK (VMware's Virtual Disk Format 5.0), VDI
(VirtualBox, src/VBox/Storage/VDICore.h). A VHD is never handed to qemu-img, see dynamic.py.

Private to the collection: its interface may change in any release.
"""

import re
import struct
import uuid
from typing import Callable, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

Read = Callable[[int, int], bytes]

MIB = 1024 * 1024
SECTOR = 512


class Facts(NamedTuple):
    """subformat: the kind within the format. virtual_size: bytes, 0 where only qemu-img can tell.

    names: what other files the image names, as phrases ("the backing file 'base.img'").
    """

    subformat: str
    virtual_size: int
    names: List[str]


def _quoted(data: bytes) -> str:
    text = data.decode("utf-8", "replace").split("\0")[0]
    return "'%s'" % "".join(char if char.isprintable() else "?" for char in text[:200])


def _damaged(where: str, name: str, what: str) -> AzurePrepError:
    return AzurePrepError("%s is a damaged %s image: %s." % (where, name, what))


# -- qcow2 ----------------------------------------------------------------------------------------------------------

_QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
_QCOW2_CORRUPT, _QCOW2_DATA_FILE = 1 << 1, 1 << 2


def qcow2(read: Read, length: int, where: str) -> Facts:
    data = read(0, 104)
    if len(data) < _QCOW2.size:
        raise _damaged(where, "qcow2", "it ends within its header")
    values = _QCOW2.unpack_from(data)
    version, backing_at, backing_length, cluster_bits, size, encryption, l1_entries, l1_at = values[1:9]
    if version == 1:
        raise AzurePrepError("%s is an image of qcow version 1; convert it to qcow2 with qemu-img first." % where)
    if version not in (2, 3):
        raise _damaged(where, "qcow2", "it has the unknown version %d" % version)
    if not 9 <= cluster_bits <= 21:
        raise _damaged(where, "qcow2", "its clusters would have 2^%d bytes" % cluster_bits)
    if l1_at % SECTOR or l1_at + 8 * l1_entries > length:
        raise _damaged(where, "qcow2", "its table lies past its end; it may be truncated")
    if encryption:
        raise AzurePrepError("%s is encrypted; decrypt it with qemu-img first." % where)
    features = struct.unpack_from(">Q", data, 72)[0] if version == 3 and len(data) >= 80 else 0
    if features & _QCOW2_CORRUPT:
        raise _damaged(where, "qcow2", "qemu has marked it as corrupt; see qemu-img check")
    names = []
    if backing_at:
        names.append("the backing file %s" % _quoted(read(backing_at, min(backing_length, 1023))))
    if features & _QCOW2_DATA_FILE:
        names.append("an external data file")
    return Facts("overlay" if backing_at else "", size, names)


# -- VHDX -----------------------------------------------------------------------------------------------------------


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


_REGIONS_AT = (192 * 1024, 256 * 1024)
_REGION_BAT = _guid("2DC27766-F623-4200-9D64-115E9BFD4A08")
_REGION_METADATA = _guid("8B7CA206-4790-4B9A-B8FE-575F050F886E")
_ITEM_FILE = _guid("CAA16737-FA36-4D43-B3B6-33F0AA44E76B")
_ITEM_SIZE = _guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8")
_ITEM_SECTOR = _guid("8141BF1D-A96F-4709-BA47-F233A8FAAB5F")
_HAS_PARENT, _LEAVE_ALLOCATED = 2, 1
_PRESENT_STATES = (6, 7)
#: 64 TiB, the largest VHDX, has two million blocks of the usual 32 MiB.
_VHDX_MAX_BLOCKS = 1 << 22


def _vhdx_regions(read: Read, where: str) -> Tuple[Tuple[int, int], Tuple[int, int]]:
    """(offset, length) of the block table and of the metadata."""
    for at in _REGIONS_AT:
        table = read(at, 64 * 1024)
        if len(table) < 16 or table[:4] != b"regi":
            continue
        count = struct.unpack_from("<I", table, 8)[0]
        found = {}
        for number in range(min(count, 2047)):
            entry = table[16 + 32 * number : 48 + 32 * number]
            if len(entry) == 32:
                found[entry[:16]] = struct.unpack_from("<QI", entry, 16)
        if _REGION_BAT in found and _REGION_METADATA in found:
            return found[_REGION_BAT], found[_REGION_METADATA]
    raise _damaged(where, "VHDX", "it has no region table")


def _vhdx_items(read: Read, at: int, where: str) -> List[bytes]:
    """The metadata items that are needed: file parameters, disk size, sector size."""
    table = read(at, 64 * 1024)
    if len(table) < 32 or table[:8] != b"metadata":
        raise _damaged(where, "VHDX", "it has no metadata")
    found = {}
    for number in range(min(struct.unpack_from("<H", table, 10)[0], 2047)):
        entry = table[32 + 32 * number : 64 + 32 * number]
        if len(entry) == 32:
            offset, length = struct.unpack_from("<II", entry, 16)
            found[entry[:16]] = read(at + offset, min(length, 64))
    items = [found.get(_ITEM_FILE, b""), found.get(_ITEM_SIZE, b""), found.get(_ITEM_SECTOR, b"")]
    if [len(item) >= size for item, size in zip(items, (8, 8, 4))] != [True] * 3:
        raise _damaged(where, "VHDX", "its metadata are incomplete")
    return items


def vhdx(read: Read, length: int, where: str) -> Facts:
    bat, metadata = _vhdx_regions(read, where)
    file_item, size_item, sector_item = _vhdx_items(read, metadata[0], where)
    block_size, bits = struct.unpack_from("<II", file_item)
    size = struct.unpack_from("<Q", size_item)[0]
    sector = struct.unpack_from("<I", sector_item)[0]
    if not MIB <= block_size <= 256 * MIB or block_size & (block_size - 1) or sector not in (512, 4096):
        raise _damaged(where, "VHDX", "its block size of %d bytes makes no sense" % block_size)
    if not 0 < size <= 64 << 40 or size % sector:
        raise _damaged(where, "VHDX", "its disk would have %d bytes" % size)
    if bits & _HAS_PARENT:
        return Facts("differencing", size, ["a parent disk"])
    per_chunk = (sector << 23) // block_size
    blocks = -(-size // block_size)
    if blocks > _VHDX_MAX_BLOCKS:
        raise _damaged(where, "VHDX", "its disk of %d bytes would have %d blocks" % (size, blocks))
    entries = blocks + (blocks - 1) // per_chunk
    if bat[0] % MIB or 8 * entries > bat[1] or bat[0] + 8 * entries > length:
        raise _damaged(where, "VHDX", "its block table lies past its end; it may be truncated")
    for start in range(0, entries, 8192):
        part = read(bat[0] + 8 * start, 8 * min(8192, entries - start))
        for number, (value,) in enumerate(struct.iter_unpack("<Q", part), start):
            is_bitmap = number % (per_chunk + 1) == per_chunk
            if not is_bitmap and value & 7 in _PRESENT_STATES and (value >> 20) * MIB + block_size > length:
                raise AzurePrepError(
                    "%s is a damaged or truncated VHDX image: it has a block at offset %d, but ends at %d."
                    % (where, (value >> 20) * MIB, length)
                )
    return Facts("fixed" if bits & _LEAVE_ALLOCATED else "dynamic", size, [])


# -- VMDK -----------------------------------------------------------------------------------------------------------

_EXTENT = re.compile(
    rb'^[ \t]*(?:RW|RDONLY|NOACCESS)[ \t]+(\d{1,15})[ \t]+(\w+)(?:[ \t]+"([^"\n]*)")?', re.MULTILINE | re.IGNORECASE
)
_FLAT_EXTENT = re.compile(
    rb'^[ \t]*(?:RW|RDONLY)[ \t]+(\d{1,15})[ \t]+(\w+)[ \t]+"([^"\n]+)"(?:[ \t]+(\d{1,15}))?',
    re.MULTILINE | re.IGNORECASE,
)
_PARENT = re.compile(rb'^[ \t]*parentFileNameHint[ \t]*=[ \t]*"?([^"\n]*)', re.MULTILINE | re.IGNORECASE)
_CREATE_TYPE = re.compile(rb'createType[ \t]*=[ \t]*"?([A-Za-z0-9]{1,40})', re.IGNORECASE)
_MAX_DESCRIPTOR = 64 * 1024
_VMDK_COMPRESSED = 1 << 16
_VMDK_AT_END = 0xFFFFFFFFFFFFFFFF
#: With the usual grains of 64 KiB, 8 TiB; a sparse extent has at most 2 TiB.
_VMDK_MAX_TABLES = 1 << 18


def _vmdk_text(text: bytes, where: str, own_extents: bool) -> Facts:
    """A descriptor. own_extents: the sparse file around it is its one extent, whatever name stands there."""
    kind = _CREATE_TYPE.search(text)
    extents = _EXTENT.findall(text)
    names = ["the parent %s" % _quoted(match) for match in _PARENT.findall(text)]
    if not own_extents:
        names += ["the extent %s" % _quoted(name) for _size, _kind, name in extents if name][:8]
        if not any(name for _size, _kind, name in extents):
            raise _damaged(where, "VMDK", "its descriptor lists no extents that hold data")
    size = sum(int(size) for size, _kind, _name in extents) * SECTOR
    return Facts(kind.group(1).decode("ascii") if kind else "", size, names)


def flat_extents(text: bytes) -> List[Tuple[str, int]]:
    """(name, bytes that its file must have) of the flat extents that a descriptor lists."""
    found = []
    for size, kind, name, start in _FLAT_EXTENT.findall(text):
        if kind.upper() in (b"FLAT", b"VMFS"):
            found.append((name.decode("utf-8", "surrogateescape"), (int(size) + int(start or 0)) * SECTOR))
    return found


def vmdk(read: Read, length: int, where: str) -> Facts:
    start = read(0, SECTOR)
    if start[:4] == b"COWD":
        if len(start) < 16:
            raise _damaged(where, "VMDK", "it ends within its header")
        return Facts("vmfsSparse", struct.unpack_from("<I", start, 12)[0] * SECTOR, [])
    if start[:4] != b"KDMV":
        return _vmdk_text(read(0, min(length, _MAX_DESCRIPTOR)), where, False)
    if len(start) < 80:
        raise _damaged(where, "VMDK", "it ends within its header")
    capacity, _grain, text_at, text_sectors = struct.unpack_from("<QQQQ", start, 12)
    if not 0 < capacity < 1 << 46:
        # Nothing but a descriptor with a header around it, whose extents qemu-img would open.
        raise _damaged(where, "VMDK", "its disk would have %d sectors" % capacity)
    # qemu-img looks for a parent in sectors 1 to 20, wherever the header says that the descriptor lies.
    names: List[str] = []
    kind = ""
    for at, size in ((SECTOR, 20 * SECTOR), (text_at * SECTOR, min(text_sectors * SECTOR, _MAX_DESCRIPTOR))):
        if 0 < at < length and size:
            found = _vmdk_text(read(at, size).split(b"\0")[0], where, True)
            names += [name for name in found.names if name not in names]
            kind = kind or found.subformat
    _check_grains(read, length, start, where)
    return Facts(kind or "monolithicSparse", capacity * SECTOR, names)


def _check_grains(read: Read, length: int, header: bytes, where: str) -> None:
    """Every grain of an uncompressed sparse extent must end inside the file; qemu-img looks at their starts only."""
    capacity, grain, _text_at, _text_sectors, per_table, _redundant_at, directory_at = struct.unpack_from(
        "<QQQQIQQ", header, 12
    )
    compressed = struct.unpack_from("<I", header, 8)[0] & _VMDK_COMPRESSED
    if compressed or directory_at == _VMDK_AT_END:
        return  # each grain tells its own length, and qemu-img cannot unpack one that was cut
    if not 8 <= grain <= 1 << 17 or not 0 < per_table <= 512:
        raise _damaged(where, "VMDK", "its grains would have %d sectors" % grain)
    tables = -(-capacity // (grain * per_table))
    if directory_at * SECTOR + 4 * tables > length or tables > _VMDK_MAX_TABLES:
        raise _damaged(where, "VMDK", "its directory lies past its end; it may be truncated")
    last = 0
    for start in range(0, tables, 4096):
        part = read(directory_at * SECTOR + 4 * start, 4 * min(4096, tables - start))
        for (table_at,) in struct.iter_unpack("<I", part):
            data = read(table_at * SECTOR, 4 * per_table) if table_at else b""
            if data:
                last = max(last, *struct.unpack("<%dI" % (len(data) // 4), data[: len(data) // 4 * 4]))
    # The last grain of a disk need not be whole.
    rest = capacity % grain or grain
    if last and (last + min(rest, grain)) * SECTOR > length:
        raise AzurePrepError(
            "%s is a truncated VMDK image: it has data at offset %d, but ends at %d." % (where, last * SECTOR, length)
        )


# -- VDI ------------------------------------------------------------------------------------------------------------

_VDI_KINDS = {1: "dynamic", 2: "fixed", 3: "undo", 4: "differencing"}


def vdi(read: Read, length: int, where: str) -> Facts:
    header = read(0, 0x1C8)
    if len(header) < 0x1C8:
        raise _damaged(where, "VDI", "it ends within its header")
    kind = _VDI_KINDS.get(struct.unpack_from("<I", header, 0x4C)[0], "")
    _table_at, data_at = struct.unpack_from("<II", header, 0x154)
    size, block_size, _extra, blocks, allocated = struct.unpack_from("<QIIII", header, 0x170)
    if not kind or not block_size or not 0 < size < 1 << 50 or blocks * block_size < size or allocated > blocks:
        raise _damaged(where, "VDI", "its header makes no sense")
    if data_at + allocated * block_size > length:
        raise AzurePrepError(
            "%s is a truncated VDI image: it has %d blocks of data, which would end at %d, but ends at %d."
            % (where, allocated, data_at + allocated * block_size, length)
        )
    return Facts(kind, size, ["a parent disk"] if kind in ("undo", "differencing") else [])


PARSERS = {"qcow2": qcow2, "vhdx": vhdx, "vmdk": vmdk, "vdi": vdi}


def inspect(format_name: str, read: Read, length: int, where: str) -> Facts:
    """The facts of an image; AzurePrepError for one that is damaged, truncated or encrypted."""
    return PARSERS[format_name](read, length, where)
