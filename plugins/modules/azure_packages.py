#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install what an image for Azure needs, in one transaction."""

DOCUMENTATION = r"""
---
module: azure_packages
short_description: Install what an image for Azure needs, in one transaction
description:
  - Installs missing packages with the system's own package manager (apt, dnf, yum, zypper) in one transaction
    and without recommended packages. Optional packages that no repository offers are passed over.
  - Nothing is asked of the repositories while nothing is missing.
  - Refuses an installation that would remove the SSH server, sudo, Python, the kernel or the boot loader.
    Debian's package of the agent conflicts with NetworkManager; before that goes, ifupdown gets a DHCP
    configuration, so that the VM has a network after the next boot.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes
  - linuxvhd.azure.attributes.root
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  safe_file_operations:
    support: N/A
    details: The package manager writes the files.
options:
  required:
    description: Packages that must be there.
    type: list
    elements: str
    default: []
  optional:
    description: Packages that are wanted where the repositories offer them.
    type: list
    elements: str
    default: []
  absent:
    description: Packages that must not be there; their configuration goes with them where the system can do that.
    type: list
    elements: str
    default: []
  upgrade:
    description: Whether all packages are brought to their latest version (rule REPO-08).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: PKG-03 | Install the provisioning stack
  linuxvhd.azure.azure_packages:
    required: [waagent, cloud-init]
    optional: [hyperv-daemons, gdisk, cloud-guest-utils, eject]
"""

RETURN = r"""
installed:
  description: Packages that were installed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [waagent, cloud-init]
not_offered:
  description: Optional packages that no repository offers; known only where something was missing and not in
    check mode.
  returned: success
  type: list
  elements: str
  sample: [azure-vm-utils]
removed:
  description: Packages of O(absent) that went, and those that had to go for others.
  returned: success
  type: list
  elements: str
  sample: [network-manager]
upgraded:
  description: How many packages were, or would be, brought to a newer version by O(upgrade).
  returned: success
  type: int
  sample: 0
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, network, packages
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

#: A DHCP client for ifupdown, best first.
DHCP_CLIENTS = ("isc-dhcp-client", "dhcpcd-base", "dhcpcd5")


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "required": {"type": "list", "elements": "str", "default": []},
        "optional": {"type": "list", "elements": "str", "default": []},
        "absent": {"type": "list", "elements": "str", "default": []},
        "upgrade": {"type": "bool", "default": False},
    }


def execute(host: Host, command: List[str]) -> None:
    """Run a package manager; its last words become the error."""
    host.run(command, env=packages.ENVIRONMENT, timeout=packages.TIMEOUT)


def keep_network(host: Host) -> None:
    """Give the VM a network without NetworkManager, for the next boot, before NetworkManager goes (pitfall P16)."""
    clients = packages.available(host, DHCP_CLIENTS)
    execute(host, packages.install_command("apt", ["ifupdown"] + clients[:1]))
    plan = network.plan(host, network.primary_interface(host), cloud_init=True)
    edits.apply(host, plan.changes)
    if "ifupdown" not in plan.renderers:
        raise AzurePrepError(
            "The agent's package would remove NetworkManager, and no other network configuration could be made; "
            "set up ifupdown or systemd-networkd first."
        )


def planned_removals(host: Host, kind: str, names: List[str]) -> List[str]:
    """What would go for `names` to come; AzurePrepError where it is something that must stay."""
    if kind != "apt" or not names:
        return []
    output = host.run(
        packages.install_command(kind, names, simulate=True), env=packages.ENVIRONMENT, timeout=packages.TIMEOUT
    ).stdout
    found = packages.removals(output)
    precious = [name for name in found if packages.PRECIOUS.match(name)]
    if precious:
        raise AzurePrepError(
            "Installing %s would remove %s; resolve that conflict by hand first."
            % (", ".join(names), ", ".join(precious))
        )
    return found


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Install what is missing; see RETURN for the result."""
    kind = packages.manager(host)
    wanted = list(params["required"]) + list(params["optional"])
    present = packages.installed(host, wanted)
    missing = [name for name in params["required"] if name not in present]
    optional = [name for name in params["optional"] if name not in present]
    result: Dict[str, Any] = {"changed": False, "installed": [], "not_offered": [], "removed": [], "upgraded": 0}
    if not kind:
        if missing:
            raise AzurePrepError(
                "No known package manager was found; install these packages by hand: %s." % ", ".join(missing)
            )
        return result
    if missing or optional or params["upgrade"]:
        if not check_mode:
            packages.refresh(host)
        if params["upgrade"]:
            listing = host.run(
                packages.upgrade_command(kind, True), check=False, env=packages.ENVIRONMENT, timeout=packages.TIMEOUT
            ).stdout
            result["upgraded"] = packages.upgrades(kind, listing)
            if result["upgraded"] and not check_mode:
                execute(host, packages.upgrade_command(kind))
        if optional and (not check_mode or kind == "apt"):
            offered = packages.available(host, optional)
            result["not_offered"] = [name for name in optional if name not in offered]
            optional = offered
    unwanted = sorted(packages.installed(host, params["absent"]))
    if unwanted and not check_mode:
        execute(host, packages.remove_command(kind, unwanted))
    names = missing + optional
    result["installed"] = names
    result["removed"] = unwanted
    result["changed"] = bool(names or unwanted or result["upgraded"])
    if names and not check_mode:
        going = planned_removals(host, kind, names)
        result["removed"] = unwanted + going
        if "network-manager" in going:
            keep_network(host)
        execute(host, packages.install_command(kind, names))
        absent = sorted(set(names) - packages.installed(host, names))
        if absent:
            raise AzurePrepError("%s installed nothing for %s." % (kind, ", ".join(absent)))
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
