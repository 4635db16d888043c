# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of image a file is, by its own bytes. Nothing that an image says is followed here.

Private to the collection: its interface may change in any release.
"""

from typing import Callable, NamedTuple, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer as vhd_footer

Read = Callable[[int, int], bytes]

FORMATS = ("raw", "vpc", "vhdx", "qcow2", "vmdk", "vdi")

#: (offset, bytes, format) of the formats that are read.
_MAGICS = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, vhd_footer.COOKIE, "vpc"),
)

#: (offset, bytes, what it is) of files that are no disk, or one in a wrapping.
_NOT_A_DISK = (
    (0, b"\x1f\x8b", "compressed with gzip; decompress it first"),
    (0, b"\xfd7zXZ\0", "compressed with xz; decompress it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it first"),
    (0, b"BZh", "compressed with bzip2; decompress it first"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (257, b"ustar", "a tar archive (an OVA is one as well); unpack it first"),
    (0, b"QED\0", "a QED image; convert it to qcow2 with qemu-img first"),
    (0, b"WithoutFreeSpace", "a Parallels image; convert it to qcow2 with qemu-img first"),
    (0, b"WithouFreSpacExt", "a Parallels image; convert it to qcow2 with qemu-img first"),
    (0, b"cxsparse", "the inside of a dynamic VHD, without its beginning"),
    (0, b"LUKS\xba\xbe", "encrypted as a whole (LUKS), and Azure could not boot it; decrypt it first"),
)


class Kind(NamedTuple):
    """format as in FORMATS. For a VHD: the footer, and whether it was read although it is damaged (repair)."""

    format: str
    footer: Optional[vhd_footer.Footer]
    damaged: bool


def _has(read: Read, offset: int, magic: bytes) -> bool:
    return read(offset, len(magic)) == magic


def _magic_format(read: Read) -> str:
    for offset, magic, name in _MAGICS:
        if _has(read, offset, magic):
            return name
    return "raw"


def _refuse_wrapped(read: Read, path: str) -> None:
    for offset, magic, what in _NOT_A_DISK:
        if _has(read, offset, magic):
            raise AzurePrepError("%s is %s. If it really is a raw disk, say format: raw." % (path, what))


def _copy_of_footer(read: Read, path: str) -> Optional[vhd_footer.Footer]:
    """The copy of its footer with which a dynamic VHD begins, if that is sound."""
    try:
        copy = vhd_footer.parse(read(0, vhd_footer.SIZE), path)
    except AzurePrepError:
        return None
    return copy if copy.disk_type in (vhd_footer.DYNAMIC, vhd_footer.DIFFERENCING) else None


def _vhd(read: Read, size: int, path: str, repair: bool) -> Kind:
    """The footer at the end of a VHD; with repair a damaged one as well, where what is needed can be told."""
    data = read(size - vhd_footer.SIZE, vhd_footer.SIZE) if size >= vhd_footer.SIZE else b""
    try:
        return Kind("vpc", vhd_footer.parse(data, path), False)
    except AzurePrepError as exc:
        damage = exc
    copy = _copy_of_footer(read, path)
    if copy is not None and size > vhd_footer.SIZE:
        if repair:
            return Kind("vpc", copy, True)
        raise AzurePrepError(
            "%s begins like a dynamic VHD, but the footer at its end is %s: it is truncated or damaged. Take a "
            "complete copy, or set repair to go by the copy of the footer at its beginning."
            % (path, "damaged" if vhd_footer.has_cookie(data) else "missing")
        )
    if vhd_footer.has_cookie(data):
        if not repair:
            raise damage
        return Kind("vpc", vhd_footer.parse(data, path, check=False), True)
    if size >= 511 and read(size - 511, 8) == vhd_footer.COOKIE:
        raise AzurePrepError(
            "%s has a 511-byte footer, which Azure does not know: it was written by Virtual PC before 2004, or has "
            "lost its last byte. Take a complete copy, or convert it with the program that wrote it." % path
        )
    if _has(read, 0, vhd_footer.COOKIE):
        raise AzurePrepError(
            "%s begins like a dynamic VHD but has no footer at its end: it is truncated. Take a complete copy." % path
        )
    raise damage


def _is_whole_fixed_vhd(last: bytes, size: int) -> bool:
    """A sound footer that fits the file says more than any bytes at the beginning, which belong to the guest."""
    if not vhd_footer.has_cookie(last):
        return False
    try:
        found = vhd_footer.parse(last, "")
    except AzurePrepError:
        return False
    return found.disk_type == vhd_footer.FIXED and found.current_size == size - vhd_footer.SIZE


def detect(read: Read, size: int, path: str, asked: str, repair: bool = False) -> Kind:
    """The kind of an image of `size` bytes. `asked` is "auto" or a format that the caller vouches for.

    A raw disk belongs to a guest, which can write anything into it: a caller who knows says format: raw, and then
    no byte at its beginning makes it anything else.
    """
    if size == 0:
        raise AzurePrepError("%s is empty; there is no disk in it." % path)
    last = read(size - vhd_footer.SIZE, vhd_footer.SIZE) if size >= vhd_footer.SIZE else b""
    if asked == "raw":
        if _is_whole_fixed_vhd(last, size) and size % vhd_footer.MIB == vhd_footer.SIZE:
            # What a first run with format: raw has made. A raw disk is no multiple of 1 MiB plus 512 bytes.
            return Kind("vpc", vhd_footer.parse(last, path), False)
        return Kind("raw", None, False)
    found = "vpc" if _is_whole_fixed_vhd(last, size) else _magic_format(read)
    if asked == "vpc" or (asked == "auto" and (found == "vpc" or (found == "raw" and vhd_footer.has_cookie(last)))):
        return _vhd(read, size, path, repair)
    if asked == "auto":
        if found != "raw":
            return Kind(found, None, False)
        _refuse_wrapped(read, path)
        if size >= 511 and read(size - 511, 8) == vhd_footer.COOKIE:
            return _vhd(read, size, path, repair)
        if path.lower().endswith(".vhd"):
            raise AzurePrepError(
                "%s is named .vhd but has no VHD footer: a fixed VHD that was truncated looks like this. Take a "
                "complete copy, or say format: raw if it really is a raw disk." % path
            )
        extension = path.lower().rpartition(".")[2]
        if extension in ("qcow2", "vhdx", "vmdk", "vdi"):
            raise AzurePrepError(
                "%s is named .%s but does not begin like one. Take a good copy, or say format: raw if it really is a "
                "raw disk." % (path, extension)
            )
        return Kind("raw", None, False)
    if found != asked:
        raise AzurePrepError(
            "%s is not a %s image; by its first bytes it is %s. Say format: auto, or the right format."
            % (path, asked, found)
        )
    return Kind(asked, None, False)
