# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image to prove: what it is, how large its disk is, and which firmware it wants.

Only fixed VHD and raw are taken, by their content. Nothing in the file can name another file to read.

Private to the collection: its interface may change in any release.
"""

import os
import stat
import struct
from typing import BinaryIO, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

SECTOR = 512
COOKIE = b"conectix"
FIXED = 2

#: First bytes of formats that are no plain disk.
FOREIGN = ((b"QFI\xfb", "qcow2"), (b"vhdxfile", "VHDX"), (b"KDMV", "VMDK"), (b"# Disk DescriptorFile", "VMDK"))

#: GPT partition type GUIDs in their byte order on disk (UEFI specification, 5.3).
ESP = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
BIOS_BOOT = bytes.fromhex("4861682149646f6e744e656564454649")


class Image(NamedTuple):
    """A disk image. virtual_size in bytes, without the footer. boots: the generations its boot sectors serve."""

    path: str
    format: str
    virtual_size: int
    boots: Tuple[int, ...]
    evidence: str


def inspect(path: str) -> Image:
    """Look at a file; AzurePrepError where it is no fixed VHD and no raw disk."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise AzurePrepError("%s is a directory, not a disk image." % path)
        with open(path, "rb") as stream:
            return _inspect(path, stream)
    except OSError as exc:
        raise AzurePrepError("The image %s cannot be read: %s." % (path, (exc.strerror or str(exc)).lower()))


def _inspect(path: str, stream: BinaryIO) -> Image:
    head = stream.read(SECTOR * 2)
    size = stream.seek(0, os.SEEK_END)
    for magic, name in FOREIGN:
        if head.startswith(magic):
            raise AzurePrepError("%s is a %s image; make a fixed VHD of it with vhd_align first." % (path, name))
    stream.seek(max(0, size - SECTOR))
    footer = stream.read(SECTOR)
    if footer.startswith(COOKIE):
        kind = struct.unpack(">I", footer[60:64])[0]
        current = struct.unpack(">Q", footer[48:56])[0]
        if kind != FIXED:
            raise AzurePrepError("%s is a dynamic or differencing VHD; Azure takes fixed ones (vhd_align)." % path)
        if current + SECTOR != size:
            raise AzurePrepError(
                "The footer of %s speaks of %d bytes, but %d stand before it; the file is cut short or was grown "
                "without its footer (vhd_align repairs that)." % (path, current, size - SECTOR)
            )
        name, virtual = "vhd", current
    elif head.startswith(COOKIE):
        raise AzurePrepError("%s is a dynamic VHD; Azure takes fixed ones (vhd_align converts it)." % path)
    else:
        name, virtual = "raw", size
    if virtual < 1024 * 1024 or virtual % SECTOR:
        raise AzurePrepError("%s holds %d bytes, which is no disk." % (path, virtual))
    boots, evidence = _generations(stream, head, virtual)
    return Image(path, name, virtual, boots, evidence)


def _generations(stream: BinaryIO, head: bytes, virtual: int) -> Tuple[Tuple[int, ...], str]:
    """Which firmware finds something to start: code in the first sector (1), an EFI system partition (2)."""
    code = head[510:512] == b"\x55\xaa" and any(head[0:440])
    types = [head[at + 4] for at in (446, 462, 478, 494)] if head[510:512] == b"\x55\xaa" else []
    found = ["code in the first sector"] if code else ["no code in the first sector"]
    esp = 0xEF in types
    if head[512:520] == b"EFI PART":
        entries = _gpt_types(stream, head[512:1024], virtual)
        esp = ESP in entries
        found.append("a GPT")
        if BIOS_BOOT in entries:
            found.append("a BIOS boot partition")
        elif code and esp:
            # GRUB for BIOS needs that partition on a GPT; without it the code is what an installer left behind.
            code = False
            found.append("no BIOS boot partition")
    found.append("an EFI system partition" if esp else "no EFI system partition")
    boots = ((1,) if code else ()) + ((2,) if esp else ())
    return boots, ", ".join(found)


def _gpt_types(stream: BinaryIO, header: bytes, virtual: int) -> List[bytes]:
    """Type GUIDs of the partitions in a GPT; an implausible table counts as empty."""
    start, count, size = struct.unpack("<QII", header[72:88])
    if not 128 <= size <= 4096 or count > 1024 or start * SECTOR + count * size > virtual:
        return []
    stream.seek(start * SECTOR)
    table = stream.read(count * size)
    return [table[at : at + 16] for at in range(0, len(table), size) if any(table[at : at + 16])]


def choose_generation(wanted: str, image: Image) -> Tuple[int, str]:
    """The generation to prove and why. wanted: "auto", "1" or "2". An image for both is taken as Gen1."""
    if wanted in ("1", "2"):
        return int(wanted), "asked for"
    if not image.boots:
        raise AzurePrepError(
            "%s has nothing to boot from: %s. If that is what should be tried, set generation."
            % (image.path, image.evidence)
        )
    return image.boots[0], image.evidence
