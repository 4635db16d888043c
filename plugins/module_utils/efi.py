# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The removable-media path of a UEFI disk (UEFI specification 3.5.1.1; DISK-16).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MOUNT_POINTS = ("/boot/efi", "/efi", "/boot")

#: Loader suffix to the file name that firmware looks for.
FALLBACK = {"x64": "BOOTX64.EFI", "aa64": "BOOTAA64.EFI"}

#: What stays beside a shim: it loads grub<arch>.efi from its own directory, and mm<arch>.efi for keys.
_BESIDE = ("grub%s.efi", "mm%s.efi")


def find_esp(host: Host) -> str:
    """Where the EFI system partition is mounted; "" where the system has none."""
    for path in MOUNT_POINTS:
        if _child(host, path, "EFI"):
            return path
    return ""


def _child(host: Host, folder: str, name: str) -> str:
    """The path of an entry whatever its case (FAT ignores it); "" where there is none."""
    for entry in host.listdir(folder):
        if entry.lower() == name.lower():
            return folder + "/" + entry
    return ""


def plan(host: Host, esp: str) -> Dict[str, str]:
    """Target to source of the files to copy; empty where the fallback path holds a loader already."""
    top = _child(host, esp, "EFI")
    if not top:
        return {}
    boot = _child(host, top, "BOOT") or top + "/BOOT"
    vendors = [
        top + "/" + name
        for name in host.listdir(top)
        if name.lower() not in ("boot", "microsoft", "tools", "linux", "systemd") and host.is_dir(top + "/" + name)
    ]
    for suffix, target in sorted(FALLBACK.items()):
        if _child(host, boot, target):
            return {}
        for vendor in vendors:
            shim = _child(host, vendor, "shim%s.efi" % suffix)
            grub = _child(host, vendor, "grub%s.efi" % suffix)
            if not shim and not grub:
                continue
            copies = {boot + "/" + target: shim or grub}
            for pattern in _BESIDE if shim else ():
                source = _child(host, vendor, pattern % suffix)
                if source:
                    copies[boot + "/" + re.sub(r".*/", "", source)] = source
            return copies
    return {}


def apply(host: Host, copies: Dict[str, str]) -> None:
    """Copy; the loader itself last, so that a half-done copy is not started. A failure leaves none of the copies."""
    order = sorted(copies, key=lambda path: path.rsplit("/", 1)[1].upper().startswith("BOOT"))
    size = sum(len(host.read_bytes(copies[target])) for target in order)
    folder = order[0].rsplit("/", 1)[0]
    if host.free_bytes(folder) < size:
        raise AzurePrepError("%s has no room for the %d bytes of the boot loader; free some space." % (folder, size))
    new = [target for target in order if not host.exists(target)]
    try:
        for target in order:
            host.write(target, host.read_bytes(copies[target]), mode=0o755)
    except AzurePrepError:
        for target in new:
            host.remove(target)
        raise
