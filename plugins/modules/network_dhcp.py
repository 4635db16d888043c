#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the VM its address by DHCP, whatever the card is called."""

DOCUMENTATION = r"""
---
module: network_dhcp
short_description: Give the VM its address by DHCP, whatever the card is called
description:
  - Turns the present network configuration (netplan, systemd-networkd, NetworkManager, ifupdown, ifcfg, wicked)
    to DHCP without MAC address, UUID or fixed address, rules NET-01 to NET-08.
  - The card is called eth0 on Azure and may have another name on the build hypervisor; both are served.
    Bridges, bonds and further cards with DHCP of their own stay. A further card with a fixed address gets DHCP.
    With wicked the file of a further card C(eth1) goes, unless that is the one in use (rule NET-08).
  - Nothing is restarted. The running connection stays up; the new configuration counts from the next boot.
  - Removes what ties a card's name to its MAC address, and a network configuration for this machine's card from
    cloud-init's own configuration.
  - Removes settings that give a card a MAC address of their own making, and those that keep NetworkManager from
    Ethernet where no other service would bring the card up.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  primary:
    description:
      - The interface in use.
      - Without it the one of the default route, else that of the SSH connection, else the only card.
    type: str
  cloud_init:
    description: Whether cloud-init will write the network configuration at the first boot on Azure.
    type: bool
    default: true
  legacy_ifcfg:
    description: Whether C(ifcfg-eth0) and C(/etc/sysconfig/network) are written as the documents for EL 6 and
      EL 7 ask.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: NET-01 | Use DHCP on the first card
  linuxvhd.azure.network_dhcp:
"""

RETURN = r"""
renderers:
  description: The kinds of network configuration that were found.
  returned: success
  type: list
  elements: str
  sample: [ifupdown]
primary:
  description: The interface in use; empty where it is not known.
  returned: success
  type: str
  sample: ens3
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
    return {
        "root": {"type": "path", "default": "/"},
        "primary": {"type": "str"},
        "cloud_init": {"type": "bool", "default": True},
        "legacy_ifcfg": {"type": "bool", "default": False},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Write the configuration; see RETURN for the result."""
    primary = params["primary"] if params["primary"] is not None else network.primary_interface(host)
    plan = network.plan(host, primary, params["cloud_init"], params["legacy_ifcfg"])
    backups: List[str] = [] if check_mode or not plan.changes else edits.apply(host, plan.changes)
    return {
        "changed": bool(plan.changes),
        "diff": edits.diffs(plan.changes),
        "renderers": plan.renderers,
        "primary": primary,
        "warnings": plan.warnings,
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
