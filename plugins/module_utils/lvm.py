# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lvm.conf(5), as far as DISK-12 needs it: filters that hide the disk from LVM once it has another name.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import fstab
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: The second is read after the first, and its settings win.
FILES = ("/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf")

#: Names the disks of the machine; without it LVM looks at all of them.
DEVICES = "/etc/lvm/devices/system.devices"

MARK = "# Not on Azure: "

_STRING = r'"(?:\\.|[^"\\])*"'
_FILTER = re.compile(
    r'(?<![\w/"])"?(?:devices\s*/\s*)?(global_filter|filter)"?\s*=\s*(\[(?:[^"\]]|%s)*\]|%s)' % (_STRING, _STRING)
)

#: The names of a partition of the OS disk on Azure, which is the first SCSI disk or the second. Not in the list is what
#: is the image's own: UUIDs and labels.
_TAIL = (
    "/dev/disk/by-id/scsi-360022480aaaaaaaaaaaaaaaaaaaaaaaa-part2",
    "/dev/disk/by-id/wwn-0x60022480aaaaaaaaaaaaaaaaaaaaaaaa-part2",
    "/dev/disk/by-path/acpi-VMBUS:00-scsi-0:0:0:0-part2",
    "/dev/disk/azure/root-part2",
    "/dev/disk/cloud/azure_root-part2",
)
DISKS = (("/dev/sda2",) + _TAIL, ("/dev/sdb2",) + _TAIL)

#: A device of a name that no pattern means but one that means all.
_ANY = ("/dev/zzz",)

#: Patterns that name a device in a way that lasts: by a UUID or label, an encrypted one by its mapping, RAID.
_LASTING = re.compile(r"by-(part)?(uuid|label)|lvm-pv-uuid|(dm|md)-uuid|/mapper(?!/mpath)|/dev/md")


_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Filter(NamedTuple):
    """A setting in a file: start and end in its text, the name, the patterns in order, the line from 0."""

    start: int
    end: int
    name: str
    patterns: List[str]
    line: int


def _without_comments(text: str) -> str:
    """The text with comments blanked out, every character in its place."""
    token = re.compile(r"%s|#[^\n]*" % _STRING)
    return token.sub(lambda match: " " * len(match.group()) if match.group()[0] == "#" else match.group(), text)


def filters(text: str) -> List[Filter]:
    """The settings filter and global_filter of one file."""
    found = []
    for match in _FILTER.finditer(_without_comments(text)):
        words = [re.sub(r"\\(.)", r"\1", word[1:-1]) for word in re.findall(_STRING, match.group(2))]
        found.append(Filter(match.start(), match.end(), match.group(1), words, text.count("\n", 0, match.start())))
    return found


def accepts(patterns: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a filter lets a device of these names through, as LVM judges: of each name the first pattern counts.

    One name that is accepted is enough; a device that no pattern means is let through.
    """
    rejected = False
    for name in names:
        for pattern in patterns:
            if pattern[:1] not in ("a", "r"):
                continue
            # "a|...|", with any sign in the place of the bar; brackets come in pairs.
            expression = pattern[2:].rsplit(_PAIRS.get(pattern[1:2], pattern[1:2] or "|"), 1)[0]
            try:
                if not re.search(expression, name):
                    continue
            except re.error:
                continue
            if pattern[0] == "a":
                return True
            rejected = True
            break
    return not rejected


def hides_disk(patterns: Sequence[str]) -> bool:
    """Whether a filter keeps LVM from the OS disk on Azure: lets through names of this machine's alone.

    A pattern with a name that lasts may mean the disk, and then the filter stays.
    """
    if any(pattern[:1] == "a" and _LASTING.search(pattern) for pattern in patterns):
        return False
    seen = [accepts(patterns, names) for names in DISKS]
    # A filter that hides one name, but no others, means a certain disk.
    return not any(seen) or (not all(seen) and not accepts(patterns, _ANY))


def plan(text: str) -> str:
    """The text with the filters that hide the disk turned into comments; what else stands in their lines stays."""
    for found in reversed(filters(text)):
        if not hides_disk(found.patterns):
            continue
        first = text.rfind("\n", 0, found.start) + 1
        last = (text + "\n").index("\n", found.end)
        comment = "\n".join(MARK + line.strip() for line in text[found.start : found.end].split("\n"))
        before, after = text[first : found.start].rstrip(), text[found.end : last].strip()
        parts = ([before] if before.strip() else []) + [comment] + ([after] if after else [])
        text = text[:first] + "\n".join(parts) + text[last:]
    return text


def hiding(host: Host) -> Dict[str, List[Filter]]:
    """The filters that hide the disk on Azure, by file."""
    found: Dict[str, List[Filter]] = {}
    for path in FILES:
        if host.is_file(path):
            wrong = [item for item in filters(host.read(path)) if hides_disk(item.patterns)]
            if wrong:
                found[path] = wrong
    return found


def in_force(host: Host) -> List[Tuple[str, Filter]]:
    """Those of hiding() that no later setting replaces."""
    chosen: Dict[str, Tuple[str, Filter]] = {}
    for path in FILES:
        for item in filters(host.read(path)) if host.is_file(path) else []:
            chosen[item.name] = (path, item)
    return [chosen[name] for name in sorted(chosen) if hides_disk(chosen[name][1].patterns)]


def in_use(host: Host) -> bool:
    """Whether the system has volume groups: a volume that is there, LVM's own record, or a line of fstab."""
    for path in host.glob("/sys/class/block/dm-*/dm/uuid"):
        if host.read(path, "").startswith("LVM-"):
            return True
    if host.glob("/etc/lvm/backup/*"):
        return True
    named = re.compile(r"/dev/(mapper/|(?!disk/|md/|block/|cciss/)[^/]+/[^/]+$)")
    return any(named.match(entry.source) for entry in fstab.parse(host.read("/etc/fstab", "")).entries)
