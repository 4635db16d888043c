#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take swap off the operating system disk."""

DOCUMENTATION = r"""
---
module: os_disk_swap
short_description: Take swap off the operating system disk
description:
  - Switches swap off, removes the swap lines of C(/etc/fstab) and C(/etc/crypttab) and swap units, deletes swap
    files, and keeps zram swap from coming back, rules DISK-09 and CINIT-07.
  - Switches off the services that make swap files (dphys-swapfile, swapspace), takes swapon out of C(/etc/rc.local),
    and keeps cloud-init from making a swap file at first boot (rule SWAP-01). A line of C(/etc/rc.local) on which other
    lines depend stays, and the audit shows it.
  - Swap partitions and logical volumes keep their space; only their use ends.
  - Keeps the initramfs from waiting for a swap area to resume from. RV(initramfs_stale) says whether the
    initramfs must be rebuilt for that.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  keep_zram:
    description: Whether compressed swap in memory may stay.
    type: bool
    default: false
  delete_files:
    description: Whether swap files are deleted once they are off.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: DISK-09 | Take swap off the disk
  linuxvhd.azure.os_disk_swap:
  register: result
"""

RETURN = r"""
swap_before:
  description: The swap areas that were active or configured.
  returned: success
  type: list
  elements: str
  sample: [/dev/vda5, /swapfile]
initramfs_stale:
  description: Whether an initramfs was told to look for a swap area and must be rebuilt.
  returned: success
  type: bool
  sample: true
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [swapoff /dev/vda5, remove the swap lines of /etc/fstab]
backup_files:
  description: Copies of the old files.
  returned: success
  type: list
  elements: str
  sample: [/var/backups/linuxvhd-azure/etc/fstab.20260102T030405Z~]
"""

from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import swap
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "keep_zram": {"type": "bool", "default": False},
        "delete_files": {"type": "bool", "default": True},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Take swap off; see RETURN for the result."""
    plan = swap.plan(host, keep_zram=params["keep_zram"], delete_files=params["delete_files"])
    backups: List[str] = [] if check_mode else swap.apply(host, plan)
    return dict(swap.report(plan), backup_files=backups)


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
