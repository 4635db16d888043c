#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep network managers off the virtual function of accelerated networking."""

DOCUMENTATION = r"""
---
module: network_sriov
short_description: Keep network managers off the virtual function of accelerated networking
description:
  - On a VM with accelerated networking the card appears twice, once as a synthetic device and once as a PCI
    virtual function below it. NetworkManager and systemd-networkd must leave the second alone, rules NET-09 to
    NET-11.
  - Where the package azure-vm-utils brings its rule, that one counts and no other is written.
  - Where a file that NetworkManager reads later sets the list of unmanaged devices anew,
    C(zzz-azure-unmanaged-devices.conf) adds the drivers to it.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
"""

EXAMPLES = r"""
- name: NET-09 | Leave virtual functions alone
  linuxvhd.azure.network_sriov:
"""

RETURN = r"""
vendor_rule:
  description: The rule of azure-vm-utils; empty where it is not installed.
  returned: success
  type: str
  sample: /usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, network
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {"root": {"type": "path", "default": "/"}}


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Write the rules; see RETURN for the result."""
    changes = network.plan_sriov(host)
    backups: List[str] = [] if check_mode or not changes else edits.apply(host, changes)
    return {
        "changed": bool(changes),
        "diff": edits.diffs(changes),
        "vendor_rule": network.vendor_sriov(host),
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
