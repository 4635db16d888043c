# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell how far a long copy is: a line of JSON in a file, and a line in the system's log at each tenth.

Private to the collection: its interface may change in any release.
"""

import json
import os
import time
from typing import Any, Callable

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import explain


class Report:
    """Called with the bytes just done; total is set by whoever knows it. An empty path writes no file."""

    INTERVAL = 1.0

    def __init__(self, path: str = "", log: Callable[[str], Any] = lambda line: None) -> None:
        self.total = 0
        self.done = 0
        self._path = path
        self._log = log
        self._last = 0.0
        self._tenth = 0

    def __call__(self, count: int) -> None:
        self.done += count
        now = time.time()
        if self.total <= 0 or now - self._last < self.INTERVAL:
            return
        self._last = now
        percent = min(100, self.done * 100 // self.total)
        if percent // 10 > self._tenth:
            self._tenth = percent // 10
            self._log("%d of %d bytes done (%d %%)" % (self.done, self.total, percent))
        if self._path:
            text = json.dumps({"done_bytes": self.done, "total_bytes": self.total, "percent": percent})
            try:
                with open(self._path + ".new", "w") as stream:
                    stream.write(text + "\n")
                os.rename(self._path + ".new", self._path)
            except OSError as exc:
                raise explain("write", self._path, exc)

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_error: Any) -> None:
        for path in (self._path, self._path + ".new"):
            if self._path and os.path.exists(path):
                os.unlink(path)
