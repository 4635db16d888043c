# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vendor values as data: what Azure wants of a distribution, release and architecture, each with its source.

A caller asks select() and gets a Profile. Adding a release is a change of the tables below, never of code.

Private to the collection: its interface may change in any release.
"""

from typing import List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import OsRelease

#: os-release ID to family. "generic" serves whatever is not listed.
FAMILIES = {
    "rhel": "redhat",
    "centos": "redhat",
    "fedora": "redhat",
    "almalinux": "redhat",
    "rocky": "redhat",
    "ol": "redhat",
    "debian": "debian",
    "ubuntu": "ubuntu",
    "sles": "suse",
    "sles_sap": "suse",
    "opensuse": "suse",
    "opensuse-leap": "suse",
    "opensuse-tumbleweed": "suse",
    "suse": "suse",
}

#: Drivers without which a VM on Hyper-V finds neither its disk nor its network (KERN-01, INIT-01).
INITRD_REQUIRED = ("hv_vmbus", "hv_storvsc", "hv_netvsc")

#: Drivers worth having in the initramfs where the kernel offers them.
INITRD_WANTED = ("hv_utils", "hyperv_keyboard", "nvme", "nvme_core", "pci_hyperv", "mana", "mlx5_core")


class Profile(NamedTuple):
    """Vendor values for one system. cmdline_set is ordered: the last console= becomes /dev/console."""

    family: str
    cmdline_set: List[str]
    cmdline_remove: List[str]
    initrd_required: Tuple[str, ...]
    initrd_wanted: Tuple[str, ...]


def family_of(release: OsRelease) -> str:
    """redhat, debian, ubuntu, suse or generic; by ID, else by the first known word of ID_LIKE."""
    for name in [release.id] + list(release.id_like):
        if name in FAMILIES:
            return FAMILIES[name]
    return "generic"


def select(release: OsRelease, architecture: str = "x86_64") -> Profile:
    """The values for a system: its os-release and `uname -m`."""
    family = family_of(release)
    if architecture == "aarch64":
        arguments = ["console=tty1", "console=ttyAMA0"]  # BOOT-02
    else:
        # BOOT-01 and BOOT-03, the form that satisfies every document (section 3.3 and 3.4 of the requirements)
        arguments = ["console=tty1", "console=ttyS0,115200n8", "earlyprintk=ttyS0,115200"]
    arguments.append("rootdelay=300")  # BOOT-04
    if family in ("redhat", "generic"):
        arguments.append("net.ifnames=0")  # BOOT-05
    remove = ["rhgb", "quiet", "splash", "crashkernel=auto"]  # BOOT-06, BOOT-07
    remove += ["libata.atapi_enabled=0", "reserve=0x1f0,0x8"]  # BOOT-09
    return Profile(family, arguments, remove, INITRD_REQUIRED, INITRD_WANTED)
