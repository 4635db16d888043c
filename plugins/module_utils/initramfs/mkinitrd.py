# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mkinitrd: Red Hat's of release 5, and SUSE's up to release 11 (mkinitrd(8) of each).

SUSE's reads INITRD_MODULES in /etc/sysconfig/kernel and takes file names within /boot. Red Hat's has no list of
drivers of its own; /etc/modprobe.conf's scsi_hostadapter lines are what it reads, and a driver that is asked for
once is given on the command line.

Private to the collection: its interface may change in any release.
"""

from typing import List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils import shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Change
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.common import Generator
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.reader import normalise

REDHAT = Generator("mkinitrd", "mkinitrd", "/boot/initrd-%s.img")
SUSE = Generator("mkinitrd-suse", "mkinitrd", "/boot/initrd-%s")

#: Drivers that no scsi_hostadapter line may name.
NETWORK = ("hv_netvsc",)

SYSCONFIG = "/etc/sysconfig/kernel"
VARIABLE = "INITRD_MODULES"
MODPROBE_CONF = "/etc/modprobe.conf"


def is_suse(host: Host) -> bool:
    """True where SUSE's kernel settings stand: both tools have the same name."""
    return VARIABLE in host.read(SYSCONFIG, default="")


def configure_suse(host: Host, drivers: Sequence[str]) -> List[Change]:
    """The change of INITRD_MODULES that makes every image from now on hold these drivers."""
    text = host.read(SYSCONFIG, default="")
    files = [shell_vars.parse(SYSCONFIG, text)]
    have = {normalise(word) for word in (shell_vars.value(files, VARIABLE) or "").split()}
    missing = [driver for driver in drivers if normalise(driver) not in have]
    if not missing:
        return []
    edited = shell_vars.apply_edits(files, [shell_vars.append_words(files, VARIABLE, " ".join(missing), 0)])
    return [Change(SYSCONFIG, text if host.exists(SYSCONFIG) else None, edited[0].text)]


def configure_redhat(host: Host, drivers: Sequence[str]) -> List[Change]:
    """The change of /etc/modprobe.conf: a scsi_hostadapter alias per driver; a network driver has none there."""
    text = host.read(MODPROBE_CONF, default="")
    aliases = {}
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) >= 3 and words[0] == "alias":
            aliases[words[1]] = normalise(words[2])
    added = []
    for driver in drivers:
        if normalise(driver) in aliases.values() or normalise(driver) in NETWORK:
            continue
        number = 0
        while "scsi_hostadapter" + (str(number) if number else "") in aliases:
            number += 1
        name = "scsi_hostadapter" + (str(number) if number else "")
        aliases[name] = normalise(driver)
        added.append("alias %s %s\n" % (name, driver))
    if not added:
        return []
    lead = "\n" if text and not text.endswith("\n") else ""
    return [Change(MODPROBE_CONF, text if host.exists(MODPROBE_CONF) else None, text + lead + "".join(added))]


def command_redhat(version: str, image: str, drivers: Sequence[str]) -> List[str]:
    return ["mkinitrd"] + ["--preload=" + driver for driver in drivers] + ["-v", "-f", image, version]


def command_suse(kernel: str, image: str) -> List[str]:
    """SUSE's mkinitrd takes names within /boot."""
    for path in (kernel, image):
        if not path.startswith("/boot/"):
            raise AzurePrepError("mkinitrd works within /boot only; %s is not there." % path)
    return ["mkinitrd", "-k", kernel[len("/boot/") :], "-i", image[len("/boot/") :]]
