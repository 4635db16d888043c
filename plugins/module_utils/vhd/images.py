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
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.writeout import Writeout


class Image(NamedTuple):
    """An open image. virtual_size is that of the disk in it, in bytes.

    fill(target, path, progress) puts the disk into an empty file with that path; total() is what progress will add
    up to. read reads the disk and extents lists its data as (offset, length), where that is possible without
    converting. method and how are for the result. other_files: the status of further files the image is made of.
    """

    disk: Disk
    format: str
    subformat: str
    virtual_size: int
    footer: Optional[Footer]
    damaged: bool
    method: str
    how: str
    fill: Callable[[Disk, str, sparse.Progress], None]
    total: Callable[[], int]
    read: Optional[gpt.Read]
    extents: Optional[Callable[[], Iterator[Tuple[int, int]]]]
    warnings: List[str]
    other_files: List[os.stat_result]


def _flat(disk: Disk, kind: detect.Kind, size: int, warnings: List[str]) -> Image:
    """A raw disk or a fixed VHD: the disk lies in the file as it is."""
    is_device = stat.S_ISBLK(os.fstat(disk.descriptor).st_mode)
    read = inplace.virtual_read(disk, size)

    def fill(target: Disk, _path: str, progress: sparse.Progress) -> None:
        if not is_device and sparse.clone(disk, target):
            if disk.size() > size:
                target.truncate(size)
            progress(size)
            return
        with Writeout(target):
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
        total=lambda: size if is_device else sparse.data_bytes(disk.descriptor, size),
        read=read,
        extents=lambda: sparse.extents(disk.descriptor, 0, size),
        warnings=warnings,
        other_files=[],
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


def _dynamic(disk: Disk, footer: Footer, damaged: bool) -> Image:
    # Imported here, as work in place, which needs none of it, takes hardly longer than the imports.
    from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import dynamic

    vhd = dynamic.DynamicVhd(disk, footer, has_end=not damaged)
    return Image(
        disk=disk,
        format="vpc",
        subformat="dynamic",
        virtual_size=vhd.size,
        footer=footer,
        damaged=damaged,
        method="convert",
        how="by our own reader, zeros become holes",
        fill=vhd.fill,
        total=vhd.data_bytes,
        read=vhd.read,
        extents=vhd.extents,
        warnings=[],
        other_files=[],
    )


def _refuse_names(names: List[str], path: str, options: Any) -> None:
    if names and not options.allow_backing_file:
        raise AzurePrepError(
            "%s names %s, which would be read as part of the disk. If you trust the image and want that, set "
            "allow_backing_file; if not, flatten it where it comes from." % (path, " and ".join(names))
        )


def _check_flat_extents(extents: List[Tuple[str, int]], path: str) -> None:
    """Flat extents that are too short would read as zeros."""
    for name, needed in extents:
        extent = os.path.join(os.path.dirname(path), name)
        length = os.path.getsize(extent) if os.path.exists(extent) else 0
        if length < needed:
            raise AzurePrepError(
                "The extent %s of %s is truncated: it has %d bytes, and %d are needed." % (extent, path, length, needed)
            )


def _foreign(disk: Disk, kind: detect.Kind, options: Any, host: Any) -> Image:
    """An image that qemu-img reads."""
    from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import foreign, qemu

    facts = foreign.inspect(kind.format, disk.read, disk.size(), disk.path)
    _refuse_names(facts.names, disk.path, options)
    real = os.path.realpath(options.path)
    version = qemu.check_version(host, options.qemu_img)
    told = qemu.info(host, options.qemu_img, version, kind.format, real, options.allow_backing_file)
    _refuse_names(told.names, disk.path, options)
    if facts.virtual_size and not facts.virtual_size <= told.virtual_size < facts.virtual_size + 512:
        raise AzurePrepError(
            "%s contradicts itself: its header says that the disk has %d bytes, and qemu-img finds %d."
            % (disk.path, facts.virtual_size, told.virtual_size)
        )
    if kind.format == "vmdk" and disk.read(0, 1) == b"#":
        _check_flat_extents(foreign.flat_extents(disk.read(0, 65536)), real)
    program = host.which(options.qemu_img)
    warnings = []
    if told.snapshots:
        warnings.append(
            "%s holds %d internal snapshots; the VHD is made of its present state alone." % (disk.path, told.snapshots)
        )

    def fill_from(target: Disk, path: str, progress: sparse.Progress) -> None:
        with qemu.Check(program, kind.format, real) as check:

            def watched(count: int) -> None:
                check.look()
                progress(count)

            qemu.convert(program, kind.format, real, path, target, told.virtual_size, watched)
        if target.size() != told.virtual_size:
            raise AzurePrepError(
                "qemu-img wrote %d bytes of the %d in %s." % (target.size(), told.virtual_size, disk.path)
            )

    return Image(
        disk=disk,
        format=kind.format,
        subformat=facts.subformat,
        virtual_size=told.virtual_size,
        footer=None,
        damaged=False,
        method="convert",
        how="by qemu-img, zeros become holes",
        fill=fill_from,
        total=lambda: told.virtual_size,
        read=None,
        extents=None,
        warnings=warnings,
        other_files=[os.stat(name) for name in told.files if os.path.exists(name)],
    )


def open_image(disk: Disk, options: Any, host: Any) -> Image:
    """Find out what an open file is. Raises AzurePrepError for what is damaged, foreign or not allowed.

    host runs qemu-img where it is needed; None stands for work in place, which only a raw disk and a fixed VHD allow.
    """
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
    if kind.footer is not None:
        image = _dynamic(disk, kind.footer, kind.damaged)
    elif stat.S_ISBLK(os.fstat(disk.descriptor).st_mode):
        raise AzurePrepError(
            "%s is a block device that begins like a %s image. Copy it into a file first, or say format: raw if it "
            "holds a raw disk." % (disk.path, kind.format)
        )
    elif host is not None:
        return _foreign(disk, kind, options, host)
    if host is None:
        name = "dynamic VHD" if kind.format == "vpc" else kind.format
        raise AzurePrepError(
            "%s is a %s image, which cannot become a fixed VHD in place; name a dest." % (disk.path, name)
        )
    return image
