#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set and remove kernel arguments in every boot entry, and give the boot loader a serial console."""

DOCUMENTATION = r"""
---
module: grub_azure_cmdline
short_description: Set kernel arguments in every boot entry, and GRUB's serial console
description:
  - Reads the effective kernel arguments of every boot entry, sets and removes arguments where the system's boot
    loader keeps them, generates its configuration with the distribution's own tool, reads the entries back and
    fails if they are not what was asked (rules KERN-05 and BOOT-01 to BOOT-14).
  - Understands GRUB 2 with C(/etc/default/grub), its drop-ins and C(/etc/grub.d/40_custom); GRUB 2 with Boot
    Loader Specification entries, C($kernelopts) and C(/etc/kernel/cmdline); GRUB Legacy (C(menu.lst),
    C(grub.conf)); and systemd-boot entries. Unified kernel images and other loaders are refused.
  - Where C(kernel-install) has written systemd-boot's entries and there is no C(/etc/kernel/cmdline), it is made,
    because the next entry would otherwise take the arguments of the kernel that runs.
  - Arguments that it was not told about stay where they are, byte for byte.
  - New arguments go to C(GRUB_CMDLINE_LINUX), which reaches recovery entries too. On Ubuntu and SUSE they go to
    C(GRUB_CMDLINE_LINUX_DEFAULT) where C(GRUB_DISABLE_RECOVERY=true) means that there are none.
  - A generated C(grub.cfg) is compared with the old one before it takes its place. When a step fails, every
    file is put back.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  set:
    description:
      - Arguments that every entry shall have, C(key) or C(key=value), in this order.
      - Another value of the same key is replaced. Arguments that may stand several times (C(console),
        C(rd.lvm.lv) and the like) join the others; C(console) arguments come last in the order given, so that
        the last one becomes C(/dev/console), and an old one of the same device is replaced.
      - Without it the vendor's values for this system.
    type: list
    elements: str
  remove:
    description:
      - Arguments that no entry shall have. C(key) removes it with any value, C(key=value) only with this one.
      - What is named in O(set) as well is kept. Without it the vendor's values for this system, among them
        C(quiet), C(rhgb) and C(crashkernel=auto).
    type: list
    elements: str
  numa:
    description:
      - With V(auto), C(numa=off) stands in the entries of kernels that need it (older than 2.6.37, Enterprise
        Linux kernels older than 2.6.32-504) and in no other.
      - V(off) sets it everywhere, V(keep) leaves it as it is.
    type: str
    choices: [auto, "off", keep]
    default: auto
  serial_console:
    description:
      - Give the boot loader's menu to the first serial port as well as to the screen, and show it.
      - Does nothing on aarch64, where the firmware does this, and for systemd-boot, which has no such setting.
    type: bool
    default: true
  backup:
    description: Keep a copy of every file that is changed.
    type: bool
    default: true
notes:
  - The second run changes nothing and runs no command.
  - In a mounted image the generator of C(grub.cfg) runs in a chroot, and needs C(/dev), C(/proc) and C(/sys) there.
seealso:
  - module: linuxvhd.azure.initrd_hyperv
"""

EXAMPLES = r"""
- name: BOOT-01 | Give every boot entry the arguments that Azure wants
  linuxvhd.azure.grub_azure_cmdline:

- name: Only a serial console, and no splash
  linuxvhd.azure.grub_azure_cmdline:
    set:
      - console=tty1
      - console=ttyS0,115200n8
    remove:
      - splash
      - quiet

- name: Work on an image mounted below /mnt/image
  linuxvhd.azure.grub_azure_cmdline:
    root: /mnt/image
    serial_console: false
"""

RETURN = r"""
bootloader:
  description: Which boot loader was found, one of grub2, grub2-bls, grub-legacy, systemd-boot.
  returned: success
  type: str
  sample: grub2
entries:
  description: Every boot entry that boots Linux, with its effective arguments in order.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: What the boot loader calls the entry.
      type: str
    title:
      description: What a person sees in the menu.
      type: str
    kernel:
      description: The kernel image as the entry names it.
      type: str
    source:
      description: The file that holds the entry.
      type: str
    before:
      description: The arguments before.
      type: list
      elements: str
    after:
      description: The arguments now, or after a run without check mode.
      type: list
      elements: str
  sample:
    - id: gnulinux-6.1.0-18-amd64-advanced-2a1f
      title: Debian GNU/Linux, with Linux 6.1.0-18-amd64
      kernel: /boot/vmlinuz-6.1.0-18-amd64
      source: /boot/grub/grub.cfg
      before: [root=UUID=2a1f, ro, quiet]
      after: [root=UUID=2a1f, ro, "console=tty1", "console=ttyS0,115200n8", rootdelay=300]
backup_files:
  description: Copies of the files that were changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/default/grub.20260102T030405Z~]
actions:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
  sample: [edit /etc/default/grub, run /usr/sbin/grub-mkconfig -o /boot/grub/grub.cfg]
warnings:
  description: Entries that name a file that does not exist, and entries that were left alone.
  returned: when there are any
  type: list
  elements: str
  sample: ['The boot entry "old" (/boot/grub/menu.lst) names /vmlinuz-2.6.32-71, which does not exist.']
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, profiles
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import machine
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "set": {"type": "list", "elements": "str"},
        "remove": {"type": "list", "elements": "str"},
        "numa": {"type": "str", "choices": ["auto", "off", "keep"], "default": "auto"},
        "serial_console": {"type": "bool", "default": True},
        "backup": {"type": "bool", "default": True},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Give every boot entry what is asked; see RETURN for the result. Missing params take their defaults."""
    architecture = machine(host)
    profile = profiles.select(host.os_release(), architecture)
    wanted = profile.cmdline_set if params.get("set") is None else params["set"]
    unwanted = profile.cmdline_remove if params.get("remove") is None else params["remove"]
    cmdline.check_arguments(wanted, "set")
    cmdline.check_arguments(unwanted, "remove")
    request = bootloaders.Request(
        tuple(wanted),
        tuple(unwanted),
        params.get("numa") or "auto",
        bool(params.get("serial_console", True)) and architecture != "aarch64",
        bool(params.get("backup", True)),
    )
    outcome = bootloaders.configure(host, request, check_mode)
    result: Dict[str, Any] = {
        "changed": outcome.changed,
        "bootloader": outcome.bootloader,
        "entries": [
            {
                "id": after.id,
                "title": after.title,
                "kernel": after.kernel,
                "source": after.source,
                "before": before.arguments,
                "after": after.arguments,
            }
            for before, after in outcome.entries
        ],
        "backup_files": outcome.backup_files,
        "actions": outcome.actions,
        "diff": outcome.diff,
    }
    if outcome.warnings:
        result["warnings"] = outcome.warnings
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    finish(module, run)


if __name__ == "__main__":
    main()
