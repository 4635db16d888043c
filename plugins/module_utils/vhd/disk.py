# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk: an open image file, read and written at offsets, by many threads if need be, with a fault hook for tests.

Private to the collection: its interface may change in any release.
"""

import errno
import os
import threading
from typing import Any, Callable, Optional, Union

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

Fault = Callable[[str, int, bytes], None]

#: Reads into memory that is there already; Python 3.6 has it not.
preadv: Any = getattr(os, "preadv", None)


def explain(verb: str, path: str, exc: OSError) -> AzurePrepError:
    """An OSError as the sentence that a user reads."""
    hint = {
        errno.ENOSPC: " Free some space on its file system; nothing was left behind.",
        errno.EDQUOT: " The quota of its owner is used up; nothing was left behind.",
        errno.EFBIG: " Its file system, or a limit of this process, does not allow a file of that size.",
        errno.EACCES: " Run with become (as root), or as the owner of the file.",
        errno.EPERM: " Run with become (as root); an immutable file needs chattr -i first.",
        errno.EROFS: " The file system is mounted read-only.",
        errno.EIO: " The storage below reports an error; look at the kernel log.",
    }.get(exc.errno or 0, "")
    return AzurePrepError("Cannot %s %s: %s.%s" % (verb, path, exc.strerror or exc, hint))


class Disk:
    """A descriptor with the name it goes by in sentences.

    fault, for tests only: called as fault(step, offset, data) before each of the steps "write", "fsync" and
    "truncate"; it may raise.
    """

    def __init__(self, descriptor: int, path: str, fault: Optional[Fault] = None) -> None:
        self.descriptor = descriptor
        self.path = path
        self.written = 0
        self._lock = threading.Lock()
        self._fault = fault

    def size(self) -> int:
        """Bytes; of a block device as well."""
        return os.lseek(self.descriptor, 0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file."""
        parts = []
        try:
            while length > 0:
                part = os.pread(self.descriptor, length, offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                length -= len(part)
        except OSError as exc:
            raise explain("read", self.path, exc)
        return b"".join(parts)

    def read_into(self, offset: int, buffer: bytearray, length: int) -> int:
        """Read up to `length` bytes into the beginning of a buffer; fewer only at the end of the file.

        For long copies: a new buffer for each piece would cost more than the reading, as the kernel has to find and
        clear memory for it each time.
        """
        done = 0
        with memoryview(buffer) as view:
            try:
                while done < length:
                    with view[done:length] as rest:
                        if preadv is not None:
                            count = preadv(self.descriptor, [rest], offset + done)
                        else:
                            part = os.pread(self.descriptor, len(rest), offset + done)
                            count = len(part)
                            rest[:count] = part
                    if count == 0:
                        break
                    done += count
            except OSError as exc:
                raise explain("read", self.path, exc)
        return done

    def write(self, offset: int, data: Union[bytes, memoryview]) -> None:
        if self._fault is not None:
            self._fault("write", offset, bytes(data))
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self.descriptor, view, offset)
                view = view[count:]
                offset += count
                with self._lock:
                    self.written += count
        except OSError as exc:
            raise explain("write", self.path, exc)

    def sync(self) -> None:
        if self._fault is not None:
            self._fault("fsync", 0, b"")
        try:
            os.fsync(self.descriptor)
        except OSError as exc:
            raise explain("write", self.path, exc)

    def truncate(self, size: int) -> None:
        if self._fault is not None:
            self._fault("truncate", size, b"")
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as exc:
            raise explain("resize", self.path, exc)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
