# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/kernel/cmdline: what kernel-install(8) gives the entry of the next kernel.

Where the file does not exist, kernel-install takes the arguments of the kernel that runs: the old ones until the next
boot, and in a chroot those of another machine. So it is made where kernel-install has written the entries itself.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    find_image,
    kernel_version,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

PATH = "/etc/kernel/cmdline"
#: What kernel-install reads where that does not exist.
VENDOR_PATH = "/usr/lib/kernel/cmdline"

#: kernel-install adds it to the entries that are named after it.
MACHINE_ID = "systemd.machine_id"


#: Rounds of editing until no line has become a comment by losing what stood before a "#".
MAX_ROUNDS = 4


def edit(text: str, wanted: Wanted) -> str:
    """The file's text, changed; line breaks are blanks, lines that start with # are comments."""
    for _round in range(MAX_ROUNDS):
        edited = _edit_once(text, wanted)
        if edited == text:
            break
        text = edited
    return text


def _edit_once(text: str, wanted: Wanted) -> str:
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


def first(host: Host, entries: Sequence[Entry]) -> List[Change]:
    """The change that makes the file where there is none, of the newest entry that kernel-install(8) has written."""
    if host.exists(PATH) or host.exists(VENDOR_PATH) or host.which("kernel-install") is None:
        return []
    made = [
        entry
        for entry in entries
        if re.match(r"/[^/]+/%s/linux$" % re.escape(kernel_version(entry.kernel)), entry.kernel)
        and find_image(host, entry.kernel) is not None
    ]
    if not made:
        return []
    newest = max(made, key=lambda entry: [int(part) for part in re.findall(r"\d+", kernel_version(entry.kernel))])
    arguments = [word for word in newest.arguments if cmdline.key_of(word) != cmdline.key_of(MACHINE_ID)]
    return [Change(PATH, None, cmdline.join(arguments) + "\n")]
