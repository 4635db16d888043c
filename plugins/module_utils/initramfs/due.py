# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note that a file was changed of which every initramfs holds a copy, for a run that ends before the rebuild.

What an image holds of modprobe.d, crypttab or lvm.conf is not read here; the next run of initrd_hyperv goes by the
note, makes all images anew and takes it away.

Private to the collection: its interface may change in any release.
"""

from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

NOTE = "/var/lib/linuxvhd-azure/initramfs-due"


def note(host: Host) -> List[edits.Change]:
    """The change that leaves the note; it goes before the others, and is taken back with them."""
    text = "A file was changed of which the initramfs holds a copy; linuxvhd.azure.initrd_hyperv makes it anew.\n"
    return [] if is_due(host) else edits.plan_file(host, NOTE, text)


def is_due(host: Host) -> bool:
    """Whether the note is there."""
    return host.is_file(NOTE)


def clear(host: Host) -> None:
    """Take the note away, and its directory."""
    if is_due(host):
        host.remove(NOTE)
        folder = NOTE.rsplit("/", 1)[0]
        if not host.listdir(folder):
            host.rmdir(folder)
