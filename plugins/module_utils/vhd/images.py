# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of any format as one thing: how large its disk is, and how that disk gets into an empty file.

Private to the collection: its interface may change in any release.
"""

import os
import stat
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import detect, gpt, inplace, sparse
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer as vhd_footer
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.footer import SIZE, Footer


class Image(NamedTuple):
    """An open image. virtual_size is that of the disk in it, in bytes.

    fill(target, progress) puts the disk into an empty file. read reads the disk and extents lists its data as
    (offset, length), where that is possible without converting. method and how are for the result. workfile: the
    path of fill's target. other_files: the status of further files that the image is made of.
    """

    disk: Disk
    format: str
    subformat: str
    virtual_size: int
    footer: Optional[Footer]
    damaged: bool
    method: str
    how: str
    fill: Callable[[Disk, sparse.Progress], None]
    read: Optional[gpt.Read]
    extents: Optional[Callable[[], Iterator[Tuple[int, int]]]]
    warnings: List[str]
    other_files: List[os.stat_result]
    workfile: str

    def describe(self) -> str:
        names = {"vpc": "VHD", "vhdx": "VHDX", "vmdk": "VMDK", "vdi": "VDI"}
        return ("%s %s" % (self.subformat, names.get(self.format, self.format))).strip()


def _flat(disk: Disk, kind: detect.Kind, size: int, warnings: List[str]) -> Image:
    """A raw disk or a fixed VHD: the disk lies in the file as it is."""
    is_device = stat.S_ISBLK(os.fstat(disk.descriptor).st_mode)
    read = inplace.virtual_read(disk, size)

    def fill(target: Disk, progress: sparse.Progress) -> None:
        if not is_device and sparse.clone(disk, target):
            if disk.size() > size:
                target.truncate(size)
            progress(size)
        else:
            sparse.copy(disk, target, size, is_device, progress)

    return Image(
        disk=disk,
        format=kind.format,
        subformat="fixed" if kind.footer is not None else "",
        virtual_size=size,
        footer=kind.footer,
        damaged=kind.damaged,
        method="copy",
        how="data only, holes stay holes",
        fill=fill,
        read=read,
        extents=lambda: sparse.extents(disk.descriptor, 0, size),
        warnings=warnings,
        other_files=[],
        workfile="",
    )


def _fixed_size(kind: detect.Kind, footer: Footer, length: int, path: str, repair: bool) -> int:
    """The size of the disk in a fixed VHD; its footer and its length must agree, or the length wins with repair."""
    size = length - SIZE
    if kind.damaged or (footer.current_size != size and repair):
        return size
    if footer.current_size != size:
        raise AzurePrepError(
            "%s contradicts itself: its footer says that the disk has %d bytes, but the file holds %d. If the file is "
            "truncated take a complete copy; if its footer is wrong, set repair to go by the length of the file."
            % (path, footer.current_size, size)
        )
    if size % 512:
        raise AzurePrepError("%s holds a disk of %d bytes, which are no whole sectors." % (path, size))
    return size


def open_image(disk: Disk, options: Any, host: Any) -> Image:
    """Find out what an open file is. Raises AzurePrepError for what is damaged, foreign or not allowed."""
    length = disk.size()
    kind = detect.detect(disk.read, length, disk.path, options.format, options.repair)
    if kind.format == "raw":
        return _flat(disk, kind, length, [])
    if kind.footer is not None and kind.footer.disk_type == vhd_footer.FIXED:
        size = _fixed_size(kind, kind.footer, length, disk.path, options.repair)
        warnings = []
        if kind.footer.saved_state:
            warnings.append("%s belongs to a VM in saved state; shut that VM down properly first." % disk.path)
        damaged = kind.damaged or kind.footer.current_size != size
        return _flat(disk, kind._replace(damaged=damaged), size, warnings)
    raise AzurePrepError("%s is a %s image, which is not read yet." % (disk.path, kind.format))
