# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of linuxvhd.azure.deprovision.

The module cannot know what the inventory calls its host, which machine runs Ansible, or that the link was lost. This
plugin tells it the first two, and after a lost link asks once more for the result of the same run.
"""

import posixpath
import time
import uuid
from typing import Any, Dict, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

#: Seconds between the attempts to reach the host again after the link was lost.
RETRY_DELAYS = (2, 5, 10, 20)

LOST = (
    "The connection to %s was lost after deprovisioning had begun there. It goes on without the connection and prints "
    "its result on the serial console, in a line that begins with AZURE-DEPROVISION-RESULT%s. "
    "Whether it was complete is not known here."
)


NO_CONSENT = (
    "confirm is %r, but this host is %r in the inventory. Deprovisioning takes away all access to the machine; set "
    "confirm (azure_confirm_capture in the playbooks) to exactly that name."
)


def controller_boot_id() -> str:
    """The boot id of the machine that runs Ansible; empty where it is not Linux."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def cleanup(self, force: bool = False) -> None:
        """Remove Ansible's temporary directory, if the machine and its account are still there."""
        try:
            super().cleanup(force=force)
        except AnsibleConnectionFailure as exc:
            display.vvv("deprovision: nothing left to clean up, the connection is gone: %s" % exc)

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        inventory_hostname = str(task_vars.get("inventory_hostname", ""))
        arguments = dict(self._task.args)
        root = str(arguments.get("root") or "/")
        # "/." and "//" are the running system too.
        live = posixpath.normpath("/" + root.lstrip("/")) == "/"
        delegate = self._task.delegate_to
        if "confirm" in arguments and str(arguments["confirm"]) != inventory_hostname:
            return dict(result, failed=True, msg=NO_CONSENT % (arguments["confirm"], inventory_hostname))
        if live and delegate and delegate != inventory_hostname:
            return dict(
                result,
                failed=True,
                msg="deprovision was delegated to %s while the play is about %s; it cleans only the host of the play."
                % (delegate, inventory_hostname),
            )
        if live and self._connection.transport in ("local", "ansible.builtin.local"):
            return dict(
                result,
                failed=True,
                msg="%s is reached by a local connection: that is the machine that runs Ansible. Deprovisioning it is "
                "refused; for a mounted image set root." % inventory_hostname,
            )
        arguments.update(
            inventory_hostname=inventory_hostname,
            controller_boot_id=controller_boot_id(),
            run_id=arguments.get("run_id") or uuid.uuid4().hex,
        )
        try:
            result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
            return result
        except AnsibleConnectionFailure as exc:
            if not live or self._task.check_mode:
                raise
            display.warning(
                "deprovision: lost the connection to %s (%s); trying to reach it again." % (inventory_hostname, exc)
            )
        for delay in RETRY_DELAYS:
            time.sleep(delay)
            try:
                self._connection.reset()
                self._connection._shell.tmpdir = None
                result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
                return result
            except AnsibleConnectionFailure as exc:
                display.vvv("deprovision: still no connection: %s" % exc)
        power = ", and then powers the VM off" if arguments.get("poweroff") else ""
        return dict(result, failed=True, connection_lost=True, changed=True, msg=LOST % (inventory_hostname, power))
