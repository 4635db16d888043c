"""An independent look at VHDs, and makers of test images. Shares no code with the collection, on purpose.

The checker follows the Virtual Hard Disk Image Format Specification and Azure's documents by itself; the makers
write footers, partition tables and dynamic VHDs field by field.
"""

from __future__ import annotations

import os
import random
import struct
import zlib
from pathlib import Path

MIB = 1 << 20


def complaints(path: Path, *, minimum: int = 20 * MIB) -> list[str]:
    """What Azure (or the specification) would object to in a file; empty for a good fixed VHD."""
    length = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(length - 512, 0))
        foot = stream.read()
    if len(foot) != 512 or foot[0:8] != b"conectix":
        return ["no footer"]

    def number(start: int, count: int) -> int:
        return int.from_bytes(foot[start : start + count], "big")

    wrong = []
    total = sum(byte for at, byte in enumerate(foot) if not 64 <= at < 68)
    if number(64, 4) != 0xFFFFFFFF - total % (1 << 32):
        wrong.append("checksum")
    expected = {
        "features": (8, 4, 2),
        "version": (12, 4, 0x10000),
        "data offset": (16, 8, 2**64 - 1),
        "current size": (48, 8, length - 512),
        "type": (60, 4, 2),
        "saved state": (84, 1, 0),
    }
    wrong += [name for name, (start, count, value) in expected.items() if number(start, count) != value]
    if number(48, 8) % MIB:
        wrong.append("not a whole number of MiB")
    if number(48, 8) < minimum:
        wrong.append("too small")
    if any(foot[85:]):
        wrong.append("reserved bytes")
    if not any(foot[68:84]):
        wrong.append("no unique id")
    cylinders, heads, sectors = number(56, 2), foot[58], foot[59]
    capacity = cylinders * heads * sectors * 512
    if capacity > length - 512 and (cylinders, heads, sectors) != (65535, 16, 255):
        wrong.append("geometry beyond the disk")
    if foot[28:32] not in (b"win ", b"qem2") and capacity != length - 512:
        wrong.append("a creator that qemu 7 reads by geometry")
    return wrong


def reference_footer(
    size: int,
    *,
    kind: int = 2,
    creator: bytes = b"win ",
    unique: bytes = bytes(range(1, 17)),
    chs: tuple[int, int, int] = (65535, 16, 255),
    data_offset: int = 2**64 - 1,
    stamp: int = 600000000,
) -> bytes:
    """A footer written field by field."""
    foot = bytearray(512)
    struct.pack_into(">8sIIQI4sI4sQQHBBI", foot, 0, b"conectix", 2, 0x10000, data_offset, stamp, creator, 0x50003,
                     b"Wi2k", size, size, *chs, kind)  # fmt: skip
    foot[68:84] = unique
    struct.pack_into(">I", foot, 64, 0xFFFFFFFF - sum(foot) % (1 << 32))
    return bytes(foot)


def sparse_disk(path: Path, size: int, *, seed: int = 0, pieces: int = 20, gpt: bool = False) -> None:
    """A sparse raw disk with random data here and there, optionally with a GPT of one partition."""
    chance = random.Random(seed)
    with path.open("wb") as stream:
        stream.truncate(size)
        for _ in range(pieces):
            data = chance.randbytes(chance.randrange(1, 100000))
            stream.seek(chance.randrange(34 * 512, max(size - len(data) - 64 * 512, 34 * 512 + 1)))
            stream.write(data[: max(0, size - stream.tell())])
        if gpt:
            write_gpt(stream.fileno(), size, sector=512)


def write_gpt(descriptor: int, size: int, *, sector: int = 512) -> None:
    """Protective MBR, primary and backup GPT with one partition, by the UEFI specification."""
    last = size // sector - 1
    entries_sectors = 128 * 128 // sector
    entry = b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4" + bytes(range(16))
    entry += struct.pack("<QQQ", 64, 1087, 0) + "root".encode("utf-16le").ljust(72, b"\0")
    entries = entry.ljust(128 * 128, b"\0")

    def header(mine: int, other: int, table: int) -> bytes:
        fields = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, mine, other, 2 + entries_sectors,
                             last - entries_sectors - 1, bytes(range(16, 32)), table, 128, 128,
                             zlib.crc32(entries))  # fmt: skip
        return (fields[:16] + struct.pack("<I", zlib.crc32(fields)) + fields[20:]).ljust(sector, b"\0")

    mbr = bytearray(512)
    mbr[446:462] = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    mbr[510:] = b"\x55\xaa"
    os.pwrite(descriptor, bytes(mbr), 0)
    os.pwrite(descriptor, header(1, last, 2) + entries, sector)
    os.pwrite(descriptor, entries + header(last, 1, last - entries_sectors), (last - entries_sectors) * sector)


def gpt_state(disk: bytes | memoryview, sector: int = 512) -> dict[str, bool]:
    """Of a disk in memory: the primary is sound, it names a sound backup, that lies at the end, the MBR agrees."""

    def sound(at: int) -> tuple | None:
        head = bytes(disk[at * sector : at * sector + 92])
        if len(head) < 92 or head[:8] != b"EFI PART":
            return None
        fields = struct.unpack("<8sIIIIQQQQ16sQIII", head)
        if zlib.crc32(head[:16] + bytes(4) + head[20:]) != fields[3] or fields[5] != at:
            return None
        table = bytes(disk[fields[10] * sector : fields[10] * sector + fields[11] * fields[12]])
        return fields if zlib.crc32(table) == fields[13] else None

    primary = sound(1)
    backup = sound(primary[6]) if primary else None
    length = struct.unpack("<I", bytes(disk[458:462]))[0]
    return {
        "primary": primary is not None,
        "backup": backup is not None and backup[6] == 1,
        "at_end": primary is not None and primary[6] == len(disk) // sector - 1,
        "mbr": length == len(disk) // sector - 1,
    }


def dynamic_vhd(
    size: int,
    blocks: dict[int, tuple[bytes, bytes]],
    *,
    block_size: int = 2 * MIB,
    kind: int = 3,
    parent: str = "",
    unique: bytes = bytes(range(1, 17)),
    creator: bytes = b"vbox",
) -> bytes:
    """A dynamic VHD: blocks maps the number of a block to its (data, sector bitmap)."""
    count = -(-size // block_size)
    foot = reference_footer(size, kind=kind, data_offset=512, unique=unique, creator=creator)
    head = bytearray(1024)
    struct.pack_into(">8sQQIII", head, 0, b"cxsparse", 2**64 - 1, 1536, 0x10000, count, block_size)
    head[64:576] = parent.encode("utf-16-be").ljust(512, b"\0")
    struct.pack_into(">I", head, 36, 0xFFFFFFFF - sum(head) % (1 << 32))
    table_size = -(-count * 4 // 512) * 512
    bitmap_size = -(-block_size // 4096 // 512) * 512
    table, body = [], b""
    for number in range(count):
        if number in blocks:
            table.append((1536 + table_size + len(body)) // 512)
            data, bitmap = blocks[number]
            body += bitmap.ljust(bitmap_size, b"\0") + data.ljust(block_size, b"\0")
        else:
            table.append(0xFFFFFFFF)
    packed = struct.pack(f">{count}I", *table).ljust(table_size, b"\xff")
    return foot + bytes(head) + packed + body + foot
