# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""initramfs-tools of Debian and Ubuntu (initramfs-tools(7), initramfs.conf(5), update-initramfs(8)).

Modules named in /etc/initramfs-tools/modules are included whatever MODULES= says, "dep" too. update-initramfs
makes the image beside the old one and renames it, and runs the hooks that other packages left.

Private to the collection: its interface may change in any release.
"""

from typing import List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Change
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.common import Generator, plan_file
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.reader import normalise

GENERATOR = Generator("initramfs-tools", "update-initramfs", "/boot/initrd.img-%s")

MODULES_FILE = "/etc/initramfs-tools/modules"


def listed(text: str) -> List[str]:
    """The modules that the file names: the first word of a line, # begins a comment."""
    result = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            result.append(normalise(words[0]))
    return result


def edit(text: str, drivers: Sequence[str]) -> str:
    """The file with a line for each driver that it does not name yet."""
    have = set(listed(text))
    missing = [driver for driver in drivers if normalise(driver) not in have]
    if not missing:
        return text
    first = text.split("\n", 1)[0]
    ending = "\r\n" if first.endswith("\r") else "\n"
    lead = ending if text and not text.endswith("\n") else ""
    return text + lead + "".join(driver + ending for driver in missing)


def configure(host: Host, drivers: Sequence[str]) -> List[Change]:
    """The change that makes every image from now on hold these drivers."""
    return plan_file(host, MODULES_FILE, edit(host.read(MODULES_FILE, default=""), drivers))


def command(version: str, exists: bool) -> List[str]:
    """Make the image of one release where it always is; -c where there is none to update."""
    return ["update-initramfs", "-u" if exists else "-c", "-k", version]
