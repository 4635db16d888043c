# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""linuxvhd.azure.azure_audit_report: shows and writes what azure_audit found on all hosts; runs on the controller only.

The work is in plugin_utils/report.py. This file fetches the results of the hosts, prints with Ansible's colours,
writes the files and decides whether the task fails.
"""

import os
import tempfile
import time
from typing import Any, Dict, List, Optional, Tuple

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.linuxvhd.azure.plugins.plugin_utils import report

display = Display()

SUFFIXES = {"json": ".json", "junit": ".xml", "html": ".html"}


def render(found: report.Report, kind: str) -> str:
    """The text of one kind of file."""
    makers = {"json": report.to_json, "junit": report.to_junit, "html": report.to_html}
    return makers[kind](found)


def write(path: str, text: str) -> None:
    """Put a text into a file so that a reader sees the old one or the new one, whole."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".azure-audit.", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "result": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str"},
                "profile": {"type": "str", "default": "recommended"},
                "path": {"type": "path"},
                "name": {"type": "str", "default": "azure-audit"},
                "formats": {
                    "type": "list",
                    "elements": "str",
                    "choices": list(SUFFIXES),
                    "default": list(SUFFIXES),
                },
                "show": {"type": "bool", "default": True},
                "fail": {"type": "bool", "default": True},
            }
        )
        names = args["hosts"]
        if names is None:
            names = task_vars.get("ansible_play_hosts_all") or []
        hostvars = task_vars.get("hostvars") or {}
        collected: List[Tuple[str, Any]] = []
        for name in names:
            variables = hostvars.get(name) or {}
            collected.append((str(name), variables.get(args["result"])))
        created = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        found = report.report(collected, args["profile"], created)
        if args["show"]:
            for line, colour in report.table(found, max(display.columns - 2, 60)):
                display.display(line, color=colour)
        files = []
        if args["path"]:
            for kind in args["formats"]:
                path = os.path.join(os.path.abspath(args["path"]), args["name"] + SUFFIXES[kind])
                files.append(path)
                if self._task.check_mode:
                    continue
                try:
                    write(path, render(found, kind))
                except OSError as exc:
                    raise AnsibleError("Cannot write the report %s: %s." % (path, exc.strerror or exc))
            if args["show"] and not self._task.check_mode:
                for path in files:
                    display.display("  written: %s" % path, color="dark gray")
        not_ready = [host.name for host in found.hosts if host.verdict != report.READY]
        result.update(
            changed=False,
            ready=found.ready,
            files=files,
            hosts={host.name: dict(host.summary, verdict=host.verdict, blocking=host.blocking) for host in found.hosts},
        )
        if not found.ready:
            result["failed"] = args["fail"]
            result["msg"] = (
                "Not ready for Azure by profile %s: %s. The lines above say why; waive a rule with azure_waive."
                % (found.profile, report.names(not_ready))
                if found.hosts
                else "There was no host to audit."
            )
        return result
