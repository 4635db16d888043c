#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configure cloud-init for Azure and nothing else."""

DOCUMENTATION = r"""
---
module: cloud_init_azure
short_description: Configure cloud-init for Azure and nothing else
description:
  - Writes the datasource file (on one line, as ds-identify needs it), telemetry and log output, rules CINIT-02
    to CINIT-10. Each file is written whole; nothing is appended.
  - Takes away what installers leave behind to switch cloud-init off, masks of its generator, target and units, and a
    C(KERNEL_CMDLINE) that disables it in C(/etc/default/cloud-init) or C(/etc/environment) (rule CINIT-10).
  - For cloud-init before 23 whose init stage lacks disk_setup or mounts, writes the list of modules that counts, with
    both, to a file that is read last (C(zzz-azure_modules.cfg)).
  - Reads block mappings, quoted keys, and whole files in flow style such as JSON. Where a file has another form, the
    datasource is written once more to a file that is read last.
  - Lets cloud-init 23.2 and newer know when it is not on Azure, for which it would otherwise wait 20 minutes and more
    before the network is up.
  - Checks at the end that the effective datasource list, all files merged, is Azure alone.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  datasource_file:
    description: The file for the datasource. Without it the one that the distribution's documentation names.
    type: path
  apply_network_config:
    description: Whether cloud-init configures the network from Azure's metadata. Without it the documented
      value of the distribution.
    type: bool
  telemetry:
    description: Whether cloud-init reports its progress to the host.
    type: bool
    default: true
  swap:
    description: Whether cloud-init makes a swap partition on the temporary disk (rules SWAP-02, SWAP-03,
      SWAP-06). This overrides custom data of the same kind.
    type: bool
    default: false
  mount_point:
    description: Where the temporary disk is mounted when O(swap) is true. Without it the documented one of the
      distribution.
    type: path
"""

EXAMPLES = r"""
- name: CINIT-02 | Provision on Azure only
  linuxvhd.azure.cloud_init_azure:
"""

RETURN = r"""
version:
  description: The version of cloud-init; empty where it could not be read.
  returned: success
  type: str
  sample: 22.4.2
datasources_before:
  description: The effective datasource list before.
  returned: success
  type: list
  elements: str
  sample: [NoCloud, Azure, None]
removed:
  description: Files of installers that went.
  returned: success
  type: list
  elements: str
  sample: [/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg]
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_plan, edits, guest
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "datasource_file": {"type": "path"},
        "apply_network_config": {"type": "bool"},
        "telemetry": {"type": "bool", "default": True},
        "swap": {"type": "bool", "default": False},
        "mount_point": {"type": "path"},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Write the files; see RETURN for the result."""
    if not host.is_dir("/etc/cloud"):
        raise AzurePrepError("/etc/cloud does not exist; install cloud-init first.")
    plan = cloudinit_plan.plan(host, params)
    backups: List[str] = []
    if plan.changes and not check_mode:
        backups = edits.apply(host, plan.changes, verify=lambda: cloudinit_plan.verify(host))
        if any(change.path.startswith("/etc/systemd/system/") for change in plan.changes):
            guest.daemon_reload(host)
    return {
        "changed": bool(plan.changes),
        "diff": edits.diffs(plan.changes),
        "version": ".".join(str(part) for part in plan.version),
        "datasources_before": plan.datasources_before,
        "removed": plan.removed,
        "warnings": plan.warnings,
        "backup_files": backups,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
