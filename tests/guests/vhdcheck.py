"""Is a file a fixed VHD as Azure wants it? Written from the format's description alone, to share no fault with the code
under test: Microsoft's "Virtual Hard Disk Image Format Specification" for the fields, Azure's upload rules for sizes.
"""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

from guests.errors import GuestError

FOOTER_BYTES = 512
MIB = 1024 * 1024
#: Disk type 2 is fixed.
FIXED = 2


def faults(path: Path) -> list[str]:
    """What is wrong with the file, a sentence each; nothing when it is right."""
    size = path.stat().st_size
    if size < FOOTER_BYTES:
        return [f"the file has {size} bytes, less than a footer"]
    with path.open("rb") as handle:
        handle.seek(size - FOOTER_BYTES)
        footer = handle.read(FOOTER_BYTES)
    cookie, features, version, offset = struct.unpack_from(">8sIIQ", footer, 0)
    original, current = struct.unpack_from(">QQ", footer, 40)
    kind, checksum = struct.unpack_from(">II", footer, 60)
    identity = footer[68:84]
    found = []
    if cookie != b"conectix":
        return [f"the last sector begins with {cookie!r}, not with the cookie conectix"]
    if features & 2 == 0:
        found.append("the reserved bit of the features, which is always set, is not set")
    if version != 0x00010000:
        found.append(f"the format version is {version:#010x}")
    if offset != 0xFFFFFFFFFFFFFFFF:
        found.append(f"the data offset of a fixed disk is {offset:#x}")
    if kind != FIXED:
        found.append(f"the disk type is {kind}, and Azure takes only fixed disks, type 2")
    summed = ~sum(footer[:64] + bytes(4) + footer[68:]) & 0xFFFFFFFF
    if checksum != summed:
        found.append(f"the checksum is {checksum:#010x}, and the bytes give {summed:#010x}")
    if current != size - FOOTER_BYTES:
        found.append(f"the footer speaks of {current} bytes, the file has {size - FOOTER_BYTES} before it")
    if original < 1:
        found.append("the original size is 0")
    if current % MIB:
        found.append(f"the virtual size {current} is no whole number of MiB")
    if current < 20 * MIB:
        found.append(f"the virtual size {current} is less than 20 MiB")
    if identity == bytes(16):
        found.append("the unique id is empty")
    return found


def qemu_size(path: Path) -> int:
    """The virtual size that qemu-img reads, in bytes."""
    argv = ["qemu-img", "info", "--output=json", "-f", "vpc", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GuestError(f"qemu-img does not accept {path}: {done.stderr.strip()[-200:]}")
    return int(json.loads(done.stdout)["virtual-size"])


def check(path: Path) -> int:
    """The virtual size in bytes of a right VHD; GuestError says all that is wrong."""
    found = faults(path)
    if found:
        raise GuestError(f"{path} is no VHD that Azure takes: {'; '.join(found)}.")
    size = path.stat().st_size - FOOTER_BYTES
    if qemu_size(path) != size:
        raise GuestError(f"qemu-img reads {qemu_size(path)} bytes from {path}, and the file holds {size}.")
    return size
