# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module vhd_upload and shows how far it is while it runs.

A module can print nothing before it ends. So the module keeps one line in a file, this plugin's thread reads it
(directly on this machine, by a second command over the same SSH connection elsewhere) and displays it. With other
connections, with async and in check mode nothing is shown before the end; the upload itself is the same.
"""

import json
import os
import threading
import uuid
from typing import Any, Dict, Optional

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

#: Seconds between two lines where the variable azure_progress_seconds says nothing; 0 shows none.
INTERVAL = 5.0

#: Connections that take a second command while the first still runs.
SHARED_CONNECTIONS = ("ssh", "ansible.builtin.ssh", "paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh")


class Watcher:
    """Displays the line that the module keeps in a file, until stopped."""

    def __init__(self, connection: Any, path: str, interval: float, show: Any) -> None:
        self._connection = connection
        self._path = path
        self._interval = interval
        self._show = show
        self._over = threading.Event()
        self._last = ""
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10.0)

    def _read(self) -> str:
        if self._connection.transport == "local":
            try:
                with open(self._path, "r") as stream:
                    return stream.read(4096)
            except OSError:
                return ""  # not yet there, or over
        status, out, _err = self._connection.exec_command("cat %s 2>/dev/null" % self._path, sudoable=False)
        return out.decode("utf-8", "replace") if status == 0 else ""

    def _loop(self) -> None:
        while not self._over.wait(self._interval):
            try:
                line = progress_text(self._read())
            except Exception as exc:  # a display that fails must never fail an upload of hours
                Display().vvv("The progress of vhd_upload cannot be shown: %s" % type(exc).__name__)
                return
            if line and line != self._last:
                self._last = line
                self._show(line)


def progress_text(content: str) -> str:
    """The text to show, from the file's content; empty where there is none. Control characters never pass."""
    try:
        text = json.loads(content)["text"]
    except (ValueError, KeyError, TypeError):
        return ""
    return "".join(char for char in str(text) if char.isprintable())[:300]


def interval_of(task_vars: Dict[str, Any]) -> float:
    try:
        return max(float(task_vars.get("azure_progress_seconds", INTERVAL)), 0.0)
    except (TypeError, ValueError):
        return INTERVAL


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        arguments = dict(self._task.args)
        interval = interval_of(variables)
        transport = self._connection.transport
        watched = transport == "local" or transport in SHARED_CONNECTIONS
        asynchronous = bool(self._task.async_val)
        if not watched or asynchronous or not interval or self._task.check_mode or arguments.get("progress_file"):
            result.update(self._execute_module(module_args=arguments, task_vars=variables, wrap_async=asynchronous))
            return result
        path = "/tmp/.linuxvhd-azure-%s.progress" % uuid.uuid4().hex
        arguments["progress_file"] = path
        host = variables.get("inventory_hostname", "")
        watcher = Watcher(self._connection, path, interval, lambda line: Display().display("[%s] %s" % (host, line)))
        watcher.start()
        try:
            result.update(self._execute_module(module_args=arguments, task_vars=variables))
        finally:
            watcher.stop()
        if transport == "local" and os.path.exists(path):  # a module that was killed could not remove it
            os.unlink(path)
        return result
