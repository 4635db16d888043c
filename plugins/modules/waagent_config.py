#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set options of the Azure Linux agent."""

DOCUMENTATION = r"""
---
module: waagent_config
short_description: Set options of the Azure Linux agent
description:
  - Edits C(waagent.conf) by key. Comments, order, line ends and keys that it was not told about stay as they are.
  - Known options are checked by type before anything is written, see rules AGENT-03 to AGENT-18.
  - A key that stands twice is left once. A trailing comment behind a value that is set is taken away, because older
    agents read it as part of the value.
  - Where the agent is installed and C(/etc/waagent.conf) is missing, without which the agent does not start, the file
    is made, with the options asked for and the packages' values of the few that the agent's code sets otherwise.
  - Warns about options that the agent does not read, and where the agent and cloud-init would both provision, or
    neither would.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  path:
    description: The configuration file, as the system below O(root) names it.
    type: path
    default: /etc/waagent.conf
  settings:
    description:
      - Options by name, for example C(ResourceDisk.Format).
      - Booleans may be given as booleans or as C(y) and C(n). V(null) unsets an option (C(None) in the file).
    type: dict
    default: {}
  provisioner:
    description:
      - Who provisions, option C(Provisioning.Agent) (rule AGENT-04).
      - Without it the present value stays.
    type: str
    choices: [auto, waagent, cloud-init, disabled]
  strict:
    description:
      - Whether an option that is not known is an error. The error names the nearest known option.
    type: bool
    default: true
  backup:
    description: Whether the old file is kept below C(/var/backups/linuxvhd-azure).
    type: bool
    default: true
notes:
  - The options and their types are those of the README and the source of WALinuxAgent 2.15.0.1.
seealso:
  - name: Azure Linux VM Agent overview
    description: The documented subset of the options.
    link: https://learn.microsoft.com/azure/virtual-machines/extensions/agent-linux
"""

EXAMPLES = r"""
- name: Let cloud-init provision and keep the agent off the temporary disk
  linuxvhd.azure.waagent_config:
    provisioner: cloud-init
    settings:
      ResourceDisk.Format: false
      ResourceDisk.EnableSwap: false

- name: Let the agent provision, with swap on the temporary disk
  linuxvhd.azure.waagent_config:
    provisioner: waagent
    settings:
      ResourceDisk.Format: true
      ResourceDisk.EnableSwap: true
      ResourceDisk.SwapSizeMB: 2048
"""

RETURN = r"""
settings_before:
  description: The options that were active, by name, as the agent reads them.
  returned: success
  type: dict
  sample: {"Provisioning.Agent": "auto", "ResourceDisk.Format": "y"}
settings_after:
  description: The options that are active now, or would be in check mode.
  returned: success
  type: dict
  sample: {"Provisioning.Agent": "cloud-init", "ResourceDisk.Format": "n"}
warnings:
  description: Options without effect, and doubts about who provisions.
  returned: when there are any
  type: list
  elements: str
  sample: ["ResourceDisk.EnableSwap=y has no effect without ResourceDisk.Format=y."]
backup_file:
  description: The copy of the old file; empty where none was made.
  returned: success
  type: str
  sample: /var/backups/linuxvhd-azure/etc/waagent.conf.20260102T030405Z~
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, units, waagent_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "path": {"type": "path", "default": waagent_conf.PATH},
        "settings": {"type": "dict", "default": {}},
        "provisioner": {"type": "str", "choices": list(waagent_conf.PROVISIONERS)},
        "strict": {"type": "bool", "default": True},
        "backup": {"type": "bool", "default": True},
    }


def wanted_settings(params: Dict[str, Any]) -> Dict[str, str]:
    """The options asked for, checked and as they are written."""
    asked = dict(params["settings"] or {})
    provisioner = params["provisioner"]
    if provisioner is not None:
        other = asked.get("Provisioning.Agent", provisioner)
        if other != provisioner:
            raise AzurePrepError(
                "provisioner is %s but settings gives Provisioning.Agent=%s; leave one of them out."
                % (provisioner, other)
            )
        asked["Provisioning.Agent"] = provisioner
    return {
        str(key): waagent_conf.format_value(str(key), value, params["strict"]) for key, value in sorted(asked.items())
    }


def doubts(text: str, host: Host) -> List[str]:
    """What a reader of the file should know."""
    found = waagent_conf.dead_keys(text)
    values = waagent_conf.settings(text)
    enabled = units.cloud_init_enabled(host)
    agent = values.get("Provisioning.Agent", "auto")
    if waagent_conf.provisions(text, enabled):
        reason = waagent_conf.cannot_provision(host)
        if reason:
            found.append(
                "The agent is to provision, but %s. Install a newer agent, or let cloud-init provision." % reason
            )
        if enabled:
            found.append(
                "The agent (Provisioning.Agent=%s) and cloud-init would both provision; set the provisioner to "
                "cloud-init, or disable cloud-init." % agent
            )
    elif not enabled and agent != "disabled":
        found.append("Provisioning.Agent=%s, but cloud-init is not enabled: nobody would provision." % agent)
    if enabled and agent != "waagent" and waagent_conf.is_on(values.get("ResourceDisk.Format"), False):
        found.append("ResourceDisk.Format=y, but cloud-init manages the temporary disk; set it to n.")
    if waagent_conf.is_on(values.get("ResourceDisk.EnableSwap"), False):
        if not waagent_conf.is_on(values.get("ResourceDisk.Format"), False):
            found.append("ResourceDisk.EnableSwap=y has no effect without ResourceDisk.Format=y.")
        elif values.get("ResourceDisk.SwapSizeMB", "0") in ("0", "None"):
            found.append("ResourceDisk.EnableSwap=y needs ResourceDisk.SwapSizeMB greater than 0.")
    return found


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Edit the file as asked; see RETURN for the result."""
    path = params["path"]
    wanted = wanted_settings(params)
    missing = not host.is_file(path)
    if missing and (path != waagent_conf.PATH or not host.which("waagent")):
        raise AzurePrepError("%s does not exist; install the agent's package first, or name the file in path." % path)
    before = "" if missing else host.read(path)
    after = waagent_conf.edit(waagent_conf.NEW_FILE if missing else before, wanted)
    changes = edits.plan_file(host, path, after)
    result: Dict[str, Any] = {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "settings_before": waagent_conf.settings(before),
        "settings_after": waagent_conf.settings(after),
        "warnings": doubts(after, host),
        "backup_file": "",
    }
    if changes and not check_mode:

        def verify() -> None:
            now = waagent_conf.settings(host.read(path))
            wrong = [key for key in wanted if now.get(key) != wanted[key]]
            if wrong:
                raise AzurePrepError("%s does not hold what was written: %s." % (path, ", ".join(wrong)))

        backups = edits.apply(host, changes, params["backup"], verify)
        result["backup_file"] = backups[0] if backups else ""
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
