# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring what is written to a file to the disk while the rest is still being written.

A copy has to be on the disk before it gets its name. Left alone, the kernel keeps most of it in memory until the sync
at the end, and the disk is idle during the copy, the processor during the sync. A thread that starts the writing all
the while lets both work at the same time.

Private to the collection: its interface may change in any release.
"""

import errno
import os
import threading
from typing import Any, Callable, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, explain

#: Seconds between the end of one step and the next.
INTERVAL = 0.02

#: Bytes worth a step: many small ones would cut the file into many extents.
STEP = 32 * 1024 * 1024

#: linux/fs.h: begin to write what is dirty and not being written, do not wait for it, leave the journal alone.
SYNC_FILE_RANGE_WRITE = 2


def _starter() -> Callable[[int], None]:
    """What begins to write a file's data: sync_file_range(2), which Python lacks; without it, fdatasync."""
    import ctypes  # not needed for work in place

    try:
        call = ctypes.CDLL(None, use_errno=True).sync_file_range
    except AttributeError:
        return os.fdatasync
    call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]

    def start(descriptor: int) -> None:
        if call(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP):
            raise OSError(number, os.strerror(number))
        os.fdatasync(descriptor)

    return start


class Writeout:
    """While it lasts, a thread brings the data of a file to the disk. Leaving it raises what the disk complained of.

    The kernel tells a failed write to one sync of a descriptor and not again: an error that this thread has seen must
    not be lost, since the sync at the end would succeed.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._over = threading.Event()
        self._failure: Optional[OSError] = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        start = _starter()
        seen = 0
        while not self._over.wait(INTERVAL):
            written = self._disk.written
            if 0 < written - seen < STEP:
                continue
            seen = written
            try:
                start(self._disk.descriptor)
            except OSError as exc:
                self._failure = exc
                return

    def __enter__(self) -> "Writeout":
        self._thread.start()
        return self

    def __exit__(self, kind: Any, *_error: Any) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None and kind is None:
            raise explain("write", self._disk.path, self._failure)
