# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/kernel/cmdline: what kernel-install(8) gives the entry of the next kernel.

Where the file does not exist, kernel-install takes the running kernel's arguments, so there is nothing to make.

Private to the collection: its interface may change in any release.
"""

from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Change
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

PATH = "/etc/kernel/cmdline"


def edit(text: str, wanted: Wanted) -> str:
    """The file's text, changed; line breaks are blanks, lines that start with # are comments."""
    lines = text.splitlines(True)
    numbers = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not numbers:
        return text + cmdline.edit("", wanted) + "\n" if wanted.set else text
    found = [cmdline.tokens(lines[number]) for number in numbers]
    planned = cmdline.plan([[token.value for token in part] for part in found], wanted, len(numbers) - 1)
    for number, part, pieces in zip(numbers, found, planned):
        lines[number] = cmdline.apply_pieces(lines[number], part, pieces, cmdline.KERNEL)
    return "".join(lines)


def plan(host: Host, wanted: Wanted) -> List[Change]:
    """The change of /etc/kernel/cmdline, none where the file does not exist or is as wanted."""
    if not host.is_file(PATH):
        return []
    text = host.read(PATH)
    edited = edit(text, wanted)
    return [Change(PATH, text, edited)] if edited != text else []
