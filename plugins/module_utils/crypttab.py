# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/crypttab (crypttab(5)): no swap on the OS disk, and every other device by UUID (DISK-09, DISK-12).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Callable, Dict, Iterable, List, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, fstab
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

PATH = "/etc/crypttab"

#: Name, device, key, options.
_ENTRY = re.compile(r"^(\s*(?!#)(\S+)\s+)(\S+)(?:\s+\S+(?:\s+(\S+))?)?")


def without_swap(text: str, names: Iterable[str] = ()) -> str:
    """The text without the lines that make swap at boot (mkswap on a device by its name), and those of these names."""
    wanted = set(names)

    def is_swap(line: str) -> bool:
        match = _ENTRY.match(line)
        return match is not None and (match.group(2) in wanted or "swap" in (match.group(4) or "").split(","))

    return "\n".join(line for line in text.split("\n") if not is_swap(line))


def swap_changes(host: Host, dropped: Iterable[str]) -> List[edits.Change]:
    """The change that takes encrypted swap out of crypttab; dropped are sources that fstab loses as swap."""
    text = edits.read_optional(host, PATH)
    if text is None:
        return []
    names = [source[len("/dev/mapper/") :] for source in dropped if source.startswith("/dev/mapper/")]
    return edits.plan_file(host, PATH, without_swap(text, names))


def plan(text: str, uuid_of: Callable[[str], Optional[str]]) -> fstab.Plan:
    """Name devices by UUID where uuid_of knows one; swap stays as it is."""
    lines = text.split("\n")
    replaced: Dict[str, str] = {}
    unknown: List[str] = []
    for index, line in enumerate(lines):
        match = _ENTRY.match(line)
        if match is None or not fstab.wants_uuid(match.group(3)) or "swap" in (match.group(4) or "").split(","):
            continue
        source = match.group(3)
        uuid = uuid_of(source)
        if uuid:
            lines[index] = match.group(1) + "UUID=" + uuid + line[match.end(3) :]
            replaced[source] = "UUID=" + uuid
        else:
            unknown.append(source)
    return fstab.Plan("\n".join(lines), replaced, [], unknown)
