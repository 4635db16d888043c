# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file beside dest into which an image is built, so that dest never holds a part of one.

Private to the collection: its interface may change in any release.
"""

import fcntl
import os
import signal
import struct
import tempfile
import threading
from typing import Any, Callable, Dict, List, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, Fault, explain
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.locks import F_OFD_SETLK

SUFFIX = ".vhd-align.tmp"

#: We lock byte 0 of our own file; qemu-img, which writes into it, locks bytes 100 to 299.
_OWN_LOCK = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)


class Interrupted(BaseException):
    """A signal asks us to end. No Exception, so that nothing but the clean-up sees it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruptible:
    """While it lasts, SIGTERM, SIGHUP and SIGINT raise Interrupted instead of ending the process on the spot."""

    SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def __enter__(self) -> "Interruptible":
        self._before: Dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self._before[number] = signal.signal(number, self._raise)
        return self

    @staticmethod
    def _raise(number: int, _frame: Any) -> None:
        raise Interrupted(number)

    def __exit__(self, *_error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Uninterrupted:
    """While it lasts, the same signals wait; for a few writes that belong together."""

    def __enter__(self) -> "Uninterrupted":
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, Interruptible.SIGNALS)
        return self

    def __exit__(self, *_error: Any) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, F_OFD_SETLK, _OWN_LOCK)
    except OSError:
        return False
    return True


def _prefix(dest: str) -> str:
    return ".%s." % os.path.basename(dest)[:100]


def remove_leftovers(dest: str) -> List[str]:
    """Remove what runs for the same dest left beside it when they were killed; a file still locked is in use."""
    folder = os.path.dirname(dest)
    removed = []
    for name in sorted(os.listdir(folder)):
        if not (name.startswith(_prefix(dest)) and name.endswith(SUFFIX)):
            continue
        path = os.path.join(folder, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue  # gone meanwhile, or not ours
        try:
            if _lock(descriptor):
                os.unlink(path)
                removed.append(path)
        except OSError as exc:
            raise explain("remove the leftover", path, exc)
        finally:
            os.close(descriptor)
    return removed


class Workfile:
    """A locked file beside dest, empty at first. keep() gives it dest's name; leaving without that removes it."""

    def __init__(self, dest: str, fault: Optional[Fault] = None) -> None:
        self.dest = dest
        self._fault = fault
        self.path = ""
        self.disk = Disk(-1, dest, fault)

    def __enter__(self) -> "Workfile":
        folder = os.path.dirname(self.dest)
        try:
            while True:
                descriptor, self.path = tempfile.mkstemp(prefix=_prefix(self.dest), suffix=SUFFIX, dir=folder)
                self.disk = Disk(descriptor, self.dest, self._fault)
                if _lock(descriptor) and os.fstat(descriptor).st_nlink == 1:
                    return self
                self.disk.close()  # another run took it for a leftover before we had our lock
        except OSError as exc:
            raise explain("write in the directory", folder, exc)

    def keep(self, finish: Callable[[str], None], mtime_ns: int) -> None:
        """Sync, set attributes (finish is given the path) and time, and put it under dest's name."""
        try:
            finish(self.path)
            os.utime(self.path, ns=(mtime_ns, mtime_ns))
            self.disk.sync()
            if self._fault is not None:
                self._fault("rename", 0, b"")
            os.rename(self.path, self.dest)
            self.path = ""
            if self._fault is not None:
                self._fault("fsync_dir", 0, b"")
            descriptor = os.open(os.path.dirname(self.dest), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise explain("write", self.dest, exc)

    def __exit__(self, *_error: Any) -> None:
        with Uninterrupted():
            if self.path:
                try:
                    os.unlink(self.path)
                except FileNotFoundError:
                    pass
                self.path = ""
            self.disk.close()


def interrupted_error(signal_number: int, dest: str) -> AzurePrepError:
    return AzurePrepError(
        "Stopped by signal %d before %s was complete; nothing was left behind. Run again." % (signal_number, dest)
    )
