#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make every kernel's initramfs hold the Hyper-V drivers, and prove it by reading the image."""

DOCUMENTATION = r"""
---
module: initrd_hyperv
short_description: Put the Hyper-V drivers into every kernel's initramfs
description:
  - For every installed, bootable kernel, lists what its initramfs image holds, configures the generator for good,
    makes those images anew that lack a driver, and reads them again (rules KERN-01 and INIT-01 to INIT-05). A
    driver that is built into the kernel counts as present.
  - Works with initramfs-tools, dracut, the mkinitrd of Enterprise Linux 5 and that of SUSE Linux Enterprise 11. The
    one that made the images is used, not the one that the distribution's name suggests. Others (Arch's mkinitcpio,
    booster, Alpine's mkinitfs) are refused with a sentence that names the setting to change there.
  - The images are read directly, whatever they are packed with (gzip, xz, lzma, bzip2, lz4, zstd, lzo) and however
    many archives they consist of. zstd needs the command C(zstd); lz4 and lzo are read faster with C(lz4) or C(lzop).
  - Where C(kernel-install) has copied an image to the EFI system partition, that copy and the one in C(/boot) both
    get the drivers, and the boot entry is left as it is.
  - Room on the file system is checked before. When an image still lacks a driver afterwards, or a step fails,
    images and configuration are put back and the module fails.
version_added: 0.1.0
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes.edits
  - linuxvhd.azure.attributes.root
options:
  drivers:
    description:
      - Drivers that every image must hold. A kernel that lacks one altogether is an error.
      - Without it C(hv_vmbus), C(hv_storvsc) and C(hv_netvsc). The generator is then also told of further drivers
        that are of use on Azure (C(nvme), C(pci_hyperv), C(mana) and others), and always of C(sd_mod), where every
        kernel has them; an image that lacks only these is not made anew.
    type: list
    elements: str
  kernels:
    description:
      - Which kernels, V(all), V(running), or a list of releases as C(uname -r) prints them.
      - A kernel without an image in C(/boot), or without a directory of modules, is not bootable and left out.
    type: list
    elements: str
    default: [all]
  rebuild:
    description:
      - With V(auto) only images that lack a driver are made anew, with V(always) all of them at every run.
      - With V(auto) all are made anew as well where another module of this collection has changed a file that they hold
        a copy of, and no run has made them since.
      - With V(never) only the configuration is changed, and what an image lacks is told as a warning.
    type: str
    choices: [auto, always, never]
    default: auto
  backup:
    description: Keep the old images in the directory C(azure-backup) beside them, and copies of changed files.
    type: bool
    default: true
notes:
  - The second run makes no image and changes nothing, unless O(rebuild=always).
  - In a mounted image the generator runs in a chroot, and may need C(/dev), C(/proc) and C(/sys) there. A
    generator that includes only the drivers of the machine it runs on (C(MODULES=dep), C(hostonly)) then sees the
    wrong machine; drivers that a new image lost are told as a warning.
seealso:
  - module: linuxvhd.azure.grub_azure_cmdline
"""

EXAMPLES = r"""
- name: INIT-01 | Put the Hyper-V drivers into every kernel's initramfs
  linuxvhd.azure.initrd_hyperv:

- name: NVMe drivers as well
  linuxvhd.azure.initrd_hyperv:
    drivers:
      - hv_vmbus
      - hv_storvsc
      - hv_netvsc
      - nvme
      - nvme_core

- name: Only see what an image mounted below /mnt/image lacks
  linuxvhd.azure.initrd_hyperv:
    root: /mnt/image
  check_mode: true
"""

RETURN = r"""
generator:
  description:
    - What makes the images, one of initramfs-tools, dracut, mkinitrd, mkinitrd-suse; of an installed system
      without any, the one that made the images, else none.
  returned: success
  type: str
  sample: initramfs-tools
kernels:
  description: Every chosen kernel and its image. Names of drivers have underscores.
  returned: success
  type: list
  elements: dict
  contains:
    version:
      description: The kernel's release.
      type: str
    image:
      description: Its image; empty where it has none.
      type: str
    builtin:
      description: Drivers asked for that are part of the kernel.
      type: list
      elements: str
    present:
      description: Drivers asked for that the image held before.
      type: list
      elements: str
    missing_before:
      description: Drivers asked for that were in neither.
      type: list
      elements: str
    missing_after:
      description: The same now, or after a run without check mode.
      type: list
      elements: str
    rebuilt:
      description: Whether the image was made anew, or would be.
      type: bool
    backup_file:
      description: The old image; empty where none was kept.
      type: str
  sample:
    - version: 6.1.0-18-amd64
      image: /boot/initrd.img-6.1.0-18-amd64
      builtin: []
      present: [hv_vmbus]
      missing_before: [hv_storvsc, hv_netvsc]
      missing_after: []
      rebuilt: true
      backup_file: /boot/azure-backup/initrd.img-6.1.0-18-amd64
backup_files:
  description: Old images and copies of changed files.
  returned: success
  type: list
  elements: str
  sample: [/boot/azure-backup/initrd.img-6.1.0-18-amd64]
actions:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
  sample: [edit /etc/initramfs-tools/modules, run update-initramfs -u -k 6.1.0-18-amd64]
warnings:
  description: Boot entries that name a file that does not exist, damaged images, drivers that a new image lost.
  returned: when there are any
  type: list
  elements: str
  sample: ['The image of the kernel 5.10.0 lacks hv_netvsc.']
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils import profiles
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import due
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import images as initramfs
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish

#: hv_storvsc finds the controller, this one the disk on it; a host-only image made elsewhere may lack it.
DISK_DRIVERS = ("sd_mod",)


def argument_spec() -> Dict[str, Any]:
    """The options, as documented above."""
    return {
        "root": {"type": "path", "default": "/"},
        "drivers": {"type": "list", "elements": "str"},
        "kernels": {"type": "list", "elements": "str", "default": ["all"]},
        "rebuild": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "backup": {"type": "bool", "default": True},
    }


def run(params: Dict[str, Any], host: Host, check_mode: bool) -> Dict[str, Any]:
    """Make the images hold the drivers; see RETURN for the result. Missing params take their defaults."""
    profile = profiles.select(host.os_release())
    drivers = params.get("drivers")
    kernels = params.get("kernels") or ["all"]
    for name in list(drivers or []) + list(kernels):
        if not name or not all(char.isalnum() or char in "-_.+~" for char in name):
            raise AzurePrepError('"%s" is no name of a driver or a kernel; give one name per list element.' % name)
    rebuild = params.get("rebuild") or "auto"
    if rebuild == "auto" and due.is_due(host):
        rebuild = "always"
    request = initramfs.Request(
        tuple(profile.initrd_required if drivers is None else drivers),
        tuple(profile.initrd_wanted if drivers is None else ()) + DISK_DRIVERS,
        tuple([kernels] if isinstance(kernels, str) else kernels),
        rebuild,
        bool(params.get("backup", True)),
    )
    outcome = initramfs.prepare(host, request, check_mode)
    if rebuild == "always" and request.kernels == ("all",) and not check_mode:
        due.clear(host)
    result: Dict[str, Any] = {
        "changed": outcome.changed,
        "generator": outcome.generator,
        "kernels": [
            {
                "version": item.before.version,
                "image": item.before.image,
                "builtin": item.before.builtin,
                "present": item.before.present,
                "missing_before": item.before.missing,
                "missing_after": item.missing_after,
                "rebuilt": item.rebuilt,
                "backup_file": item.backup_file,
            }
            for item in outcome.kernels
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
