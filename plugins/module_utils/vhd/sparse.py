# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the data of a disk image and none of its holes.

Private to the collection: its interface may change in any release.
"""

import errno
import fcntl
import itertools
import os
from typing import Callable, Iterator, Optional, Sequence, Tuple, Union

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, explain

#: linux/fs.h: share all blocks of another file (file systems with reflinks: XFS, btrfs, bcachefs, OCFS2).
FICLONE = 0x40049409

CHUNK = 1024 * 1024
#: Blocks of zeros this long, aligned, become holes.
GRAIN = 4096
_ZERO_GRAIN = bytes(GRAIN)

Data = Union[bytes, bytearray, memoryview]

Progress = Callable[[int], None]

_FALL_BACK = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.ETXTBSY)


def extents(descriptor: int, start: int, end: int) -> Iterator[Tuple[int, int]]:
    """(offset, length) of the data between two offsets; all of it where the file system cannot tell."""
    at = start
    while at < end:
        try:
            data = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return
            if exc.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                yield at, end - at
                return
            raise
        if data >= end:
            return
        hole = min(os.lseek(descriptor, data, os.SEEK_HOLE), end)
        yield data, hole - data
        at = hole


def data_bytes(descriptor: int, size: int) -> int:
    """How much of a file is data."""
    return sum(length for _offset, length in extents(descriptor, 0, size))


def nonzero_runs(block: Data, size: int) -> Iterator[Tuple[int, int]]:
    """(start, end) of the parts of the first `size` bytes that are not zero, to the grain of 4 KiB.

    Eight bytes of a grain tell most of them; only where those are zero the grain is compared, once, in C and without a
    copy: the time is linear for every content of data.
    """
    with memoryview(block) as view:
        begins = view[: size - size % GRAIN].cast("Q")[:: GRAIN // 8].tolist() if size >= GRAIN else []
    if size % GRAIN == 0 and 0 not in begins:
        if size:
            yield 0, size
        return
    data = bytes(block) if isinstance(block, memoryview) else block
    start = -1
    for index in range(-(-size // GRAIN)):
        at = index * GRAIN
        if index < len(begins):
            zero = not begins[index] and data.startswith(_ZERO_GRAIN, at)
        else:
            zero = not any(data[at:size])
        if zero and start >= 0:
            yield start, at
            start = -1
        elif not zero and start < 0:
            start = at
    if start >= 0:
        yield start, size


def write_nonzero(target: Disk, offset: int, block: Union[bytes, bytearray], size: int) -> None:
    """Write the first `size` bytes of a block into a file that reads as zeros, leaving out zeros."""
    with memoryview(block) as view:
        for start, end in nonzero_runs(block, size):
            with view[start:end] as piece:
                target.write(offset + start, piece)


def clone(source: Disk, target: Disk) -> bool:
    """Share all blocks of source with an empty target; False where the file system cannot."""
    try:
        fcntl.ioctl(target.descriptor, FICLONE, source.descriptor)
        return True
    except OSError:
        return False


def _copy_in_kernel(source: Disk, target: Disk, offset: int, length: int) -> int:
    """Bytes copied with copy_file_range; 0 where the kernel, Python or the file systems do not offer it."""
    call: Optional[Callable[..., int]] = getattr(os, "copy_file_range", None)
    if call is None:
        return 0
    try:
        count = call(source.descriptor, target.descriptor, length, offset, offset)
    except OSError as exc:
        if exc.errno in _FALL_BACK:
            return 0
        raise explain("write", target.path, exc)
    target.written += count
    return count


def copy(source: Disk, target: Disk, size: int, trim: bool, progress: Optional[Progress] = None) -> None:
    """Copy the first `size` bytes into an empty file, data only. With trim zeros inside data become holes too."""
    in_kernel = not trim
    buffer = bytearray()
    for start, length in extents(source.descriptor, 0, size):
        at, end = start, start + length
        while at < end:
            count = _copy_in_kernel(source, target, at, min(end - at, 64 * CHUNK)) if in_kernel else 0
            if count == 0:
                in_kernel = False
                buffer = buffer or bytearray(CHUNK)
                count = source.read_into(at, buffer, min(end - at, CHUNK))
                if not count:
                    raise AzurePrepError("%s became shorter while it was read; run again." % source.path)
                write_nonzero(target, at, buffer, count)
            at += count
            if progress is not None:
                progress(count)


Patch = Tuple[int, bytes]


def _patched(block: bytes, at: int, patches: Sequence[Patch]) -> bytes:
    """A block read at an offset, with patches laid over it."""
    end = at + len(block)
    for offset, data in patches:
        first, last = max(offset, at), min(offset + len(data), end)
        if first < last:
            block = block[: first - at] + data[first - offset : last - offset] + block[last - at :]
    return block


def same(
    read: Callable[[int, int], bytes],
    source_extents: Iterator[Tuple[int, int]],
    patches: Sequence[Patch],
    target: Disk,
    size: int,
) -> bool:
    """Whether the first `size` bytes of target are what read() reads, zeros after its end, with patches laid over.

    What is a hole on both sides is not read.
    """
    ranges = [(offset, len(data)) for offset, data in patches]
    for start, length in itertools.chain(source_extents, extents(target.descriptor, 0, size), ranges):
        at, end = start, min(start + length, size)
        while at < end:
            count = min(end - at, CHUNK)
            if _patched(read(at, count).ljust(count, b"\0"), at, patches) != target.read(at, count):
                return False
            at += count
    return True
