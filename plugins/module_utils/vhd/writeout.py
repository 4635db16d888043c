# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring what is written to a file to the disk while the rest is still being written.

A copy has to be on the disk before it gets its name. Left alone, the kernel keeps most of it in memory until the sync
at the end, and the disk is idle during the copy, the processor during the sync. A thread that syncs all the while lets
both work at the same time.

Private to the collection: its interface may change in any release.
"""

import os
import threading
from typing import Any, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, explain

#: Seconds between the end of one sync and the next.
INTERVAL = 0.05


class Writeout:
    """While it lasts, a thread syncs the data of a file. Leaving it raises what the disk complained of.

    The kernel tells a failed write to one sync of a descriptor and not again: an error that this thread has seen must
    not be lost, since the sync at the end would succeed.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._over = threading.Event()
        self._failure: Optional[OSError] = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def _loop(self) -> None:
        while not self._over.wait(INTERVAL):
            try:
                os.fdatasync(self._disk.descriptor)
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
