# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit takes from the boot loader and the initramfs readers, in the shapes that the checks use.

Private to the collection: its interface may change in any release.
"""

import re
from typing import FrozenSet, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Entries for a machine in trouble: made without the arguments of everyday use, on purpose.
_RESCUE = re.compile(r"recovery|rescue|single-user|memtest", re.IGNORECASE)


def entries(host: Host) -> List[Tuple[str, List[str]]]:
    """(name, arguments) of every boot entry that boots Linux, rescue and recovery entries left out."""
    found = []
    for entry in bootloaders.read_entries(host):
        words = set(entry.arguments)
        if _RESCUE.search("%s %s %s" % (entry.id, entry.title, entry.kernel)) or words & {
            "single",
            "recovery",
            "rescue",
        }:
            continue
        found.append((entry.title or entry.id, list(entry.arguments)))
    return found


def initramfs(host: Host) -> Tuple[str, List[Tuple[str, str, FrozenSet[str]]]]:
    """(generator, [(kernel, image, modules in it)]) of every bootable kernel."""
    raise AzurePrepError("The content of initramfs images is not read yet.")
