# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is uploaded: a fixed VHD that Azure takes, or a raw image that gets its padding and footer on the way.

Everything that Azure would refuse is refused here, before a byte is sent.

Private to the collection: its interface may change in any release.
"""

import errno
import hashlib
import os
import stat
import uuid
from typing import Dict, Iterator, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import extents, footer, locks

MIB = 1024 * 1024
GIB = 1024 * MIB

#: The service's limits of a direct upload ("Upload a VHD to a managed disk"); the upper one is the caller's.
MIN_SIZE = 20 * MIB

#: Starts of files that are disk images, but neither raw nor a fixed VHD.
MAGICS = (
    (b"conectix", "a dynamic VHD"),
    (b"vhdxfile", "a VHDX"),
    (b"QFI\xfb", "a qcow2 image"),
    (b"KDMV", "a VMDK"),
    (b"# Disk DescriptorFile", "a VMDK descriptor"),
    (b"<<< ", "a VDI"),
)

#: How long another process may keep the image open before we give up, seconds.
LOCK_TIMEOUT = 10.0


class SourceChanged(AzurePrepError):
    """The image was written to or replaced while it was read; what was sent so far is of no use."""


class Identity(NamedTuple):
    """What tells that a file has been written to or replaced."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Source:
    """An open image, guarded against writers as far as its file system allows.

    size: the virtual disk in bytes, a whole number of MiB. footer: the 512 bytes that follow it.
    """

    def __init__(self, path: str, locked: locks.Locked, size: int, trailer: bytes, identity: Identity) -> None:
        self.path = path
        self.size = size
        self.footer = trailer
        self.identity = identity
        self.warnings: List[str] = list(locked.warnings)
        self._disk = locked.disk

    @property
    def length(self) -> int:
        """Bytes of the blob: disk and footer."""
        return self.size + footer.SIZE

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stay with the blob: the same file, unchanged, gives the same."""
        text = "1|%d|%d|%s" % (self.size, self.identity.mtime_ns, self.footer.hex())
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]

    def blocks(self) -> Iterator[extents.Block]:
        """The blocks that hold data, in order."""
        return extents.blocks(self._disk.descriptor, self.size)

    def read(self, begin: int, end: int) -> bytes:
        """Bytes of the virtual disk; zeros past the end of a raw image."""
        try:
            return extents.read_extent(self._disk.descriptor, begin, end)
        except OSError as exc:
            raise self._unread(begin, exc)

    def segments(self, block: extents.Block, buffer: memoryview) -> List[Tuple[int, extents.Data]]:
        """(offset, data) of each extent; the data is good until the buffer, of a block's size, is used again."""
        found: List[Tuple[int, extents.Data]] = []
        for begin, end in block.extents:
            try:
                part = buffer[begin - block.start : end - block.start]
                found.append((begin, extents.read_into(self._disk.descriptor, begin, end, part)))
            except OSError as exc:
                raise self._unread(begin, exc)
        return found

    def _unread(self, offset: int, exc: OSError) -> AzurePrepError:
        return AzurePrepError("Cannot read %s at byte %d: %s." % (self.path, offset, exc.strerror or exc))

    def check_unchanged(self) -> None:
        """SourceChanged where the file was written to or replaced since it was opened."""
        now = identify(os.fstat(self._disk.descriptor), self._disk.size())
        try:
            named = os.stat(self.path)
            replaced = (named.st_dev, named.st_ino) != (self.identity.device, self.identity.inode)
        except OSError:
            replaced = True
        if now == self.identity and not replaced:
            return
        raise SourceChanged(
            "%s was %s while it was uploaded, so the blob got no footer and cannot be used as a disk. Make sure that"
            " nothing writes to the image (is the VM off?), then upload again with overwrite."
            % (self.path, "replaced" if now == self.identity else "written to")
        )

    def close(self) -> None:
        os.close(self._disk.descriptor)


def identify(status: os.stat_result, size: int) -> Identity:
    return Identity(status.st_dev, status.st_ino, size, status.st_mtime_ns)


def open_source(path: str, image_format: str, max_size: int, lock_timeout: float = LOCK_TIMEOUT) -> Source:
    """Open and check an image. image_format: "vpc" (a fixed VHD) or "raw"; max_size in bytes.

    Raises AzurePrepError for anything that Azure would not take, and for an image that a writer has open.
    """
    real = os.path.realpath(path)
    try:
        status = os.stat(real)
    except OSError as exc:
        hint = "it does not exist" if exc.errno == errno.ENOENT else (exc.strerror or str(exc)).lower()
        raise AzurePrepError("Cannot read %s: %s." % (path, hint))
    if not stat.S_ISREG(status.st_mode) and not (stat.S_ISBLK(status.st_mode) and image_format == "raw"):
        raise AzurePrepError("%s is no regular file; give the path of a fixed VHD." % path)
    if not os.access(real, os.R_OK):
        raise AzurePrepError("%s may not be read; run with become (as root), or as the owner of the file." % path)
    locked = locks.open_guarded(real, False, False, lock_timeout, shown=path)
    try:
        file_size = locked.disk.size()
        identity = identify(os.fstat(locked.disk.descriptor), file_size)
        head = locked.disk.read(0, 32)
        tail = locked.disk.read(file_size - footer.SIZE, footer.SIZE) if file_size >= footer.SIZE else b""
        if image_format == "raw":
            size, trailer = _raw(path, identity, tail)
        else:
            size, trailer = _fixed(path, file_size, head, tail)
        if size < MIN_SIZE:
            raise AzurePrepError(
                "%s has a virtual size of %d bytes; Azure takes no disk below 20 MiB (%d bytes)."
                % (path, size, MIN_SIZE)
            )
        if size > max_size:
            raise AzurePrepError(
                "%s has a virtual size of %.0f GiB, more than the %.0f GiB allowed; an OS disk may have 4095 GiB, "
                "a data disk 32767 (max_size_gib)." % (path, size / GIB, max_size / GIB)
            )
        return Source(real, locked, size, trailer, identity)
    except BaseException:
        os.close(locked.disk.descriptor)
        raise


def _fixed(path: str, file_size: int, head: bytes, tail: bytes) -> Tuple[int, bytes]:
    """(virtual size, footer) of a fixed VHD that Azure takes; AzurePrepError with the remedy for all else."""
    if not tail or not footer.has_cookie(tail):
        for magic, name in MAGICS:
            if head.startswith(magic):
                raise AzurePrepError("%s is %s and Azure takes only fixed VHDs; run vhd_align first." % (path, name))
        raise AzurePrepError(
            "%s has no VHD footer: its last 512 bytes do not begin with 'conectix'. Run vhd_align first, or say"
            " format: raw for a raw image." % path
        )
    parsed = footer.parse(tail, path)
    found = footer.problems(parsed, file_size)
    if found:
        raise AzurePrepError("%s %s. Run vhd_align first." % (path, "; it ".join(found)))
    return parsed.current_size, tail


def _raw(path: str, identity: Identity, tail: bytes) -> Tuple[int, bytes]:
    """(virtual size, footer) for a raw image: rounded up to a MiB, the footer the same in every run."""
    if tail and footer.has_cookie(tail):
        try:
            parsed = footer.parse(tail, path)
        except AzurePrepError:
            parsed = None
        if parsed is not None and parsed.current_size == identity.size - footer.SIZE:
            raise AzurePrepError("%s is a VHD, not a raw image: it ends with a valid footer. Leave format out." % path)
    size = footer.round_up(identity.size)
    unique = uuid.uuid5(uuid.NAMESPACE_URL, "%d|%d|%d|%d" % identity)
    seconds = identity.mtime_ns // 10**9 - footer.EPOCH_2000
    return size, footer.render(footer.make(size, unique.bytes, seconds))


def describe(source: Source) -> Dict[str, str]:
    """What is stored with the blob from its first moment: which file it comes from."""
    return {"vhdsource": source.fingerprint}
