# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 512-byte footer of a VHD ("Hard Disk Footer Format" of the Virtual Hard Disk Image Format Specification).

Everything in it is big-endian. A fixed VHD is the disk followed by this footer, nothing else.

Private to the collection: its interface may change in any release.
"""

import struct
from typing import Any, Dict, List, NamedTuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import geometry

SIZE = 512
MIB = 1024 * 1024
GIB = 1024 * MIB
COOKIE = b"conectix"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
TYPE_NAMES = {FIXED: "fixed", DYNAMIC: "dynamic", DIFFERENCING: "differencing"}

#: Seconds from the Unix epoch to 2000-01-01 00:00 UTC, where the footer's clock starts.
EPOCH_2000 = 946684800

NO_DATA_OFFSET = 0xFFFFFFFFFFFFFFFF

#: What Hyper-V writes. qemu before 10 takes the size from the geometry, which rounds down, unless the creator
#: is one of TRUSTED_CREATORS; with this name every release reads the true size.
CREATOR = b"win "
CREATOR_VERSION = 0x000A0000
CREATOR_HOST = b"Wi2k"
TRUSTED_CREATORS = (b"win ", b"qem2", b"d2v ", b"CTXS", b"tap\0")

#: Put into the reserved bytes of a footer while an in-place change is under way; such a VHD is valid for every
#: reader, and the next run knows that it has to finish the work.
UNFINISHED = b"linuxvhd.azure: unfinished"

_LAYOUT = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427s")
_CHECKSUM_AT = 64


class Footer(NamedTuple):
    """The footer's fields; sizes in bytes, timestamp in seconds since 2000-01-01 UTC."""

    features: int
    version: int
    data_offset: int
    timestamp: int
    creator: bytes
    creator_version: int
    creator_host: bytes
    original_size: int
    current_size: int
    cylinders: int
    heads: int
    sectors: int
    disk_type: int
    unique_id: bytes
    saved_state: int
    reserved: bytes

    @property
    def unfinished(self) -> bool:
        """True when an earlier run of ours was cut between its first and its last write."""
        return self.reserved.startswith(UNFINISHED)

    @property
    def geometry(self) -> geometry.Geometry:
        return geometry.Geometry(self.cylinders, self.heads, self.sectors)


def checksum(data: bytes) -> int:
    """One's complement of the sum of all bytes but the checksum's own four."""
    return ~(sum(data) - sum(data[_CHECKSUM_AT : _CHECKSUM_AT + 4])) & 0xFFFFFFFF


def render_checksum(data: bytes) -> bytes:
    """The checksum of 512 bytes as it stands in them."""
    return struct.pack(">I", checksum(data))


def has_cookie(data: bytes) -> bool:
    return data[:8] == COOKIE


def parse(data: bytes, where: str, check: bool = True) -> Footer:
    """Read a footer; AzurePrepError, beginning with `where`, if it is none or (with check) its checksum is wrong."""
    if len(data) != SIZE or not has_cookie(data):
        raise AzurePrepError("%s has no VHD footer: its last 512 bytes do not begin with 'conectix'." % where)
    values = _LAYOUT.unpack(data)
    stored, expected = values[14], checksum(data)
    if check and stored != expected:
        raise AzurePrepError(
            "%s has a damaged VHD footer: its checksum is %08x and should be %08x. Take a good copy, or set "
            "repair to rebuild the footer from the length of the file." % (where, stored, expected)
        )
    if check and values[2] >> 16 != 1:
        raise AzurePrepError("%s has a VHD footer of the unknown format version %08x." % (where, values[2]))
    return Footer(*(values[1:14] + values[15:]))


def render(footer: Footer) -> bytes:
    """The 512 bytes of a footer, with their checksum."""
    values = list(footer)
    data = _LAYOUT.pack(*([COOKIE] + values[:13] + [0] + values[13:]))
    return data[:_CHECKSUM_AT] + render_checksum(data) + data[_CHECKSUM_AT + 4 :]


def make(size: int, unique_id: bytes, timestamp: int) -> Footer:
    """The footer of a fixed VHD of `size` bytes. `timestamp` is in footer time (since 2000)."""
    chs = geometry.for_size(size)
    return Footer(
        features=2,
        version=0x00010000,
        data_offset=NO_DATA_OFFSET,
        timestamp=min(max(timestamp, 0), 0xFFFFFFFF),
        creator=CREATOR,
        creator_version=CREATOR_VERSION,
        creator_host=CREATOR_HOST,
        original_size=size,
        current_size=size,
        cylinders=chs.cylinders,
        heads=chs.heads,
        sectors=chs.sectors,
        disk_type=FIXED,
        unique_id=unique_id,
        saved_state=0,
        reserved=bytes(427),
    )


def unfinished(footer: Footer) -> Footer:
    """The same footer, marked as belonging to a change that is still under way."""
    return footer._replace(reserved=UNFINISHED.ljust(427, b"\0"))


def round_up(size: int) -> int:
    """`size` in bytes, rounded up to a whole number of MiB; a whole number stays what it is."""
    return (size + MIB - 1) // MIB * MIB


def misleads_readers(footer: Footer) -> bool:
    """True when qemu before 10 would take a smaller size from the geometry than the footer states."""
    if footer.creator in TRUSTED_CREATORS or footer.geometry == geometry.SATURATED:
        return False
    return footer.geometry.size != footer.current_size


def problems(footer: Footer, file_size: int) -> List[str]:
    """Why Azure would refuse a fixed VHD of `file_size` bytes that ends with this footer; empty when it would not.

    Sentences without a subject. Limits of size are the caller's (20 MiB at least, UPL and CERTFAQ).
    """
    found = []
    if footer.disk_type != FIXED:
        found.append("is a %s VHD and Azure takes only fixed ones" % TYPE_NAMES.get(footer.disk_type, "strange"))
    if footer.current_size != file_size - SIZE:
        found.append(
            "says in its footer that the disk has %d bytes while the file holds %d"
            % (footer.current_size, file_size - SIZE)
        )
    if footer.current_size % MIB:
        found.append("has a virtual size of %d bytes, which is not a whole number of MiB" % footer.current_size)
    if footer.unfinished:
        found.append("is marked as unfinished by an interrupted run")
    return found


def describe(footer: Footer) -> Dict[str, Any]:
    """The footer as a module's result: plain numbers and text."""
    return {
        "cookie": COOKIE.decode("ascii"),
        "disk_type": TYPE_NAMES.get(footer.disk_type, str(footer.disk_type)),
        "current_size": footer.current_size,
        "original_size": footer.original_size,
        "geometry": {"cylinders": footer.cylinders, "heads": footer.heads, "sectors": footer.sectors},
        "creator_app": footer.creator.decode("latin-1"),
        "creator_host_os": footer.creator_host.decode("latin-1"),
        "timestamp": footer.timestamp + EPOCH_2000,
        "uuid": format_uuid(footer.unique_id),
        "checksum": "%08x" % checksum(render(footer)),
    }


def format_uuid(unique_id: bytes) -> str:
    """16 bytes as 8-4-4-4-12 hexadecimal digits, in the order they are stored."""
    digits = "".join("%02x" % value for value in bytearray(unique_id))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
