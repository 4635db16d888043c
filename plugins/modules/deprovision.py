#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: deprovision
short_description: Take the identity out of a Linux VM before its disk becomes an Azure image
version_added: 0.1.0
description:
  - The last, one-way step before a disk is captured. Removes SSH host keys, the provisioned account and accounts
    named, the state of the Azure agent and of cloud-init, leases, logs, histories, the machine id, seeds, caches and
    what the installer left.
  - Uses C(waagent -deprovision) and C(cloud-init clean) where they are installed, does everything that they leave
    behind, and then checks every result. Something left is a failure that names it.
  - On a running system the work is done by a process of its own, outside the SSH session, so that a lost connection
    does not stop it half-way. The result is handed over through the connection while that holds. It is also printed
    on the serial console in one line that begins with C(AZURE-DEPROVISION-RESULT).
  - Everything that leaves the machine reachable is done and checked first. Host keys, the connected account and the
    agent's state go only after that. When the first part fails the second is not begun.
  - An interrupted run is completed by running the module again.
  - In check mode the module lists every path and account that would go, with sizes, and touches nothing.
  - Deleting cannot promise that no secret is left anywhere on a disk (CLEAN-16). Name paths of your own in
    O(remove_paths).
extends_documentation_fragment:
  - linuxvhd.azure.attributes
  - linuxvhd.azure.attributes.root
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: On a running system a second run finds the logs and temporary files of the second login.
  safe_file_operations:
    support: full
options:
  confirm:
    description:
      - Consent. Must be exactly the name of this host in the inventory, so that a wrong C(--limit) cannot take a
        machine's keys.
    type: str
    required: true
  user:
    description:
      - Also delete the account that Azure, the agent or cloud-init made, and the account that you are connected as.
      - The account goes with its home directory, crontab, mail, sudo rules and subordinate IDs, even while it is in
        use.
      - Root and accounts of the system are never deleted because of this option.
    type: bool
    default: true
  remove_users:
    description:
      - Further accounts to delete, in the same way.
      - A name that does not exist causes a warning. UIDs below 100 are refused.
    type: list
    elements: str
    default: []
  remove_paths:
    description: Further files and directories to delete, as absolute shell patterns of at least two components.
    type: list
    elements: path
    default: []
  keep:
    description:
      - What to leave alone, by ID. An item's ID as RV(checks[].id) shows it, or a rule's ID as RV(checks[].rule)
        shows it.
      - A kept item is shown with state V(kept).
    type: list
    elements: str
    default: []
  machine_id:
    description:
      - What becomes of C(/etc/machine-id).
      - V(empty) makes systemd write a new one at the next boot. V(uninitialized) does so too, and makes systemd treat
        that boot as a first boot, which applies unit presets (systemd 247 and newer; older ones get an empty file).
        V(keep) leaves it.
    type: str
    choices: [empty, uninitialized, keep]
    default: empty
  resolv_conf:
    description:
      - What becomes of an C(/etc/resolv.conf) that is a plain file. A symbolic link is always put back with its raw
        target.
      - V(auto) removes it where something on the system writes it again, and keeps it where nothing would.
    type: str
    choices: [auto, remove, empty, keep]
    default: auto
  unregister:
    description: Give back subscriptions (Red Hat, SUSE, Ubuntu Pro) and delete what identifies the machine to the
      vendor.
    type: bool
    default: false
  run_agent:
    description:
      - Run C(waagent -force -deprovision+user) where the agent is installed. What it does is done and checked in any
        case.
    type: bool
    default: true
  specialized:
    description:
      - Keep the machine's identity (CLEAN-14). Nothing is cleaned; the agent and cloud-init are told not to provision.
    type: bool
    default: false
  allow_azure:
    description: Allow a VM that runs on Azure already.
    type: bool
    default: false
  poweroff:
    description:
      - Power the VM off once the result was handed over, or O(collect_timeout) has passed.
      - The VM stays on when a check fails.
    type: bool
    default: false
  free_space:
    description:
      - What to do with blocks that hold deleted data. V(trim) tells the disk that they are free (C(fstrim)), which
        also makes the image smaller. V(zero) fills the free space of the root file system with zeros. V(leave) does
        nothing.
      - Done after the result was handed over. Without effect with O(root).
    type: str
    choices: [trim, zero, leave]
    default: trim
  timeout:
    description: Seconds to wait for the result. The work goes on after that.
    type: int
    default: 1800
  collect_timeout:
    description: Seconds that the finished work waits for somebody to fetch its result before it goes on to O(poweroff).
    type: int
    default: 120
  inventory_hostname:
    description: Set by the action plugin of the same name. Not for use in playbooks.
    type: str
  controller_boot_id:
    description: Set by the action plugin of the same name. Not for use in playbooks.
    type: str
  run_id:
    description: Names this run, so that its result is found again after a lost connection. Set by the action plugin.
    type: str
notes:
  - Needs root rights on the target.
  - Run nothing on the target afterwards. Every login writes new traces.
  - With O(root) other than V(/), files of a mounted image are cleaned directly. No tool of the image is run, because
    C(waagent -deprovision) would set the host name of the machine that it runs on.
seealso:
  - name: Generalize a VM before creating an image
    description: Microsoft's documentation of the same step.
    link: https://learn.microsoft.com/azure/virtual-machines/generalize
author:
  - The linuxvhd.azure contributors (@linuxvhd)
"""

EXAMPLES = r"""
- name: See what would go
  linuxvhd.azure.deprovision:
    confirm: "{{ inventory_hostname }}"
  check_mode: true
  register: plan

- name: Clean the VM and power it off
  linuxvhd.azure.deprovision:
    confirm: "{{ azure_confirm_capture }}"
    remove_users: [builder]
    poweroff: true

- name: Clean a mounted image, keep its logs
  linuxvhd.azure.deprovision:
    confirm: "{{ inventory_hostname }}"
    root: /mnt/image
    keep: [logs, journal]
"""

RETURN = r"""
removed:
  description: What went, or would go in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The item that it belongs to, as in RV(checks[].id).
      type: str
      returned: always
      sample: ssh_host_keys
    action:
      description: One of delete, truncate, edit, link, create.
      type: str
      returned: always
      sample: delete
    kind:
      description: One of file, directory, link, account, text (a file whose text changes).
      type: str
      returned: always
      sample: file
    path:
      description: The path, or the name of the account.
      type: str
      returned: always
      sample: /etc/ssh/ssh_host_rsa_key
    bytes:
      description: Size of the content that goes, of a directory with everything below.
      type: int
      returned: always
      sample: 2602
    files:
      description: Number of files that go.
      type: int
      returned: always
      sample: 1
removed_bytes:
  description: Sum of the sizes in RV(removed).
  returned: success
  type: int
  sample: 18350123
accounts:
  description: Accounts that go.
  returned: success
  type: list
  elements: str
  sample: [azureuser]
checks:
  description: One post-condition per item, looked at after the work.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The item.
      type: str
      returned: always
      sample: machine_id
    rule:
      description: The rule that asks for it.
      type: str
      returned: always
      sample: CLEAN-09
    ok:
      description: Whether it holds.
      type: bool
      returned: always
      sample: true
    state:
      description: One of done, left, kept, not_applicable, and in check mode planned.
      type: str
      returned: always
      sample: done
    evidence:
      description: What was found.
      type: str
      returned: always
      sample: /etc/machine-id is empty
actions:
  description: Commands that were run and their exit status, and other steps. Exit statuses prove nothing; the checks
    do.
  returned: success
  type: list
  elements: str
  sample: ["cloud-init clean --logs --seed --machine-id: exit status 0"]
notes:
  description: What stays and may be unwanted, such as accounts with passwords and files in /etc that name a removed
    account.
  returned: success
  type: list
  elements: str
  sample: ["/etc/motd still names builder."]
stopped:
  description: Why the second part was not begun, or what to do when a check of the second part failed.
  returned: when a check failed
  type: str
  sample: Stopped before host keys and the account in use were touched, so that you can still log in.
"""

import os
import pwd
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import detached, guard, process
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import NO_MEMORY


def argument_spec() -> Dict[str, Any]:
    return {
        "confirm": {"type": "str", "required": True},
        "root": {"type": "path", "default": "/"},
        "user": {"type": "bool", "default": True},
        "remove_users": {"type": "list", "elements": "str", "default": []},
        "remove_paths": {"type": "list", "elements": "path", "default": []},
        "keep": {"type": "list", "elements": "str", "default": []},
        "machine_id": {"type": "str", "choices": ["empty", "uninitialized", "keep"], "default": "empty"},
        "resolv_conf": {"type": "str", "choices": ["auto", "remove", "empty", "keep"], "default": "auto"},
        "unregister": {"type": "bool", "default": False},
        "run_agent": {"type": "bool", "default": True},
        "specialized": {"type": "bool", "default": False},
        "allow_azure": {"type": "bool", "default": False},
        "poweroff": {"type": "bool", "default": False},
        "free_space": {"type": "str", "choices": ["trim", "zero", "leave"], "default": "trim"},
        "timeout": {"type": "int", "default": 1800},
        "collect_timeout": {"type": "int", "default": 120},
        "inventory_hostname": {"type": "str"},
        "controller_boot_id": {"type": "str"},
        "run_id": {"type": "str"},
    }


def connected_users() -> List[str]:
    """Accounts that this session belongs to: who called sudo, who logged in, whose SSH session it is."""
    names = [os.environ.get("SUDO_USER", ""), os.environ.get("DOAS_USER", "")]
    uids = {info.uid for info in detached.session_processes()}
    try:
        with open("/proc/self/loginuid", "rb") as stream:
            uids.add(int(stream.read()))
    except (OSError, ValueError):
        # No audit in this kernel: the other signs decide.
        uids.discard(-1)
    for uid in sorted(uids):
        try:
            names.append(pwd.getpwuid(uid).pw_name)
        except (KeyError, OverflowError):
            continue
    return sorted({name for name in names if name and name != "root"})


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Deprovision, or say what would go. Raises AzurePrepError where it must not begin or something was left."""
    guard.check_confirm(params["confirm"], params["inventory_hostname"])
    guard.check_keep(params["keep"])
    guard.check_paths(params["remove_paths"])
    if host.is_live:
        guard.check_target(host, params["allow_azure"], params["controller_boot_id"])
    elif os.path.samefile(host.root, "/"):
        raise AzurePrepError(
            "root: %s leads to the running system itself; leave root out to deprovision that." % params["root"]
        )
    elif params["poweroff"]:
        raise AzurePrepError("poweroff is for running systems; leave it out with root: %s." % params["root"])
    options = Options(
        user=params["user"],
        remove_users=tuple(params["remove_users"]),
        keep=tuple(params["keep"]),
        machine_id=params["machine_id"],
        resolv_conf=params["resolv_conf"],
        unregister=params["unregister"],
        remove_paths=tuple(params["remove_paths"]),
        run_agent=params["run_agent"],
        connected_users=tuple(connected_users()) if host.is_live else (),
    )
    if params["specialized"] and (check_mode or not host.is_live):
        return process.specialize(host, check_mode)
    context = Context(host, options, detached.own_paths() if host.is_live else ())
    if check_mode:
        return process.describe_plan(context)
    if not host.is_live:
        result = process.run(host, context)
    else:
        spec = {
            "token": params["run_id"] or "none",
            "options": options._asdict(),
            "protected": context.protected,
            "pids": detached.session_pids(),
            "specialized": params["specialized"],
            "poweroff": params["poweroff"],
            "free_space": params["free_space"],
            "timeout": params["timeout"],
            "collect_timeout": params["collect_timeout"],
        }
        result = detached.collect_or_start(spec, host, detached.Spool())
        if "error" in result:
            raise AzurePrepError(result["error"], **{k: v for k, v in result.items() if k not in ("error", "token")})
    result.pop("token", None)
    process.raise_for(result)
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = run(module.params, Host(module.params["root"]), module.check_mode)
    except AzurePrepError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    except MemoryError:
        module.fail_json(msg=NO_MEMORY % module.params["root"])
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
