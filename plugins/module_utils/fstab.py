# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/fstab (fstab(5)): parse, render, and the plan that names every file system by UUID and drops swap.

Pure functions over text; who asks blkid is the caller. Lines that need no change survive byte for byte.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

#: Blanks and tabs part fields; other white space, such as a no-break space, belongs to them.
_FIELDS = re.compile(
    r"^([ \t]*)([^ \t\r]+)([ \t]+)([^ \t\r]+)([ \t]+)([^ \t\r]+)"
    r"(?:([ \t]+)([^ \t\r]+))?(?:([ \t]+)([^ \t\r]+))?(?:([ \t]+)([^ \t\r]+))?(.*)$",
    re.S,
)

#: fstab(5) writes blanks inside a field as octal escapes.
_ESCAPE = re.compile(r"\\([0-7]{3})")

#: Sources that stay the same whatever the disk is called (DISK-12); everything else below /dev moves.
_PERSISTENT = ("/dev/mapper/", "/dev/disk/by-uuid/", "/dev/disk/by-partuuid/", "/dev/disk/azure/", "/dev/md/")

#: Removable media that an installer lists; they carry no UUID of their own.
_REMOVABLE = re.compile(r"^/dev/(sr\d*|cdrom\S*|dvd\S*|scd\d+|fd\d*)$")

#: Names that a kernel gives in the order in which it finds disks: what DISK-12 refuses.
_VOLATILE = re.compile(r"^/dev/(sd|hd|vd|xvd|nvme|mmcblk|dm-)")


class Entry(NamedTuple):
    """One file system: index is the line number from 0; fields are unescaped, options split at commas."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    source: str
    target: str
    fstype: str
    options: Tuple[str, ...]


class Fstab(NamedTuple):
    """lines without their newlines; "\\n".join(lines) is the file."""

    lines: List[str]
    entries: List[Entry]


class Plan(NamedTuple):
    """after is the new text; replaced maps an old source to its new one; dropped are removed lines.

    unknown are sources that should be named by UUID but for which none was found.
    """

    after: str
    replaced: Dict[str, str]
    dropped: List[str]
    unknown: List[str]


def unescape(field: str) -> str:
    """A field as the kernel sees it: octal escapes resolved."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8) & 0xFF), field)


def parse(text: str) -> Fstab:
    """Read fstab(5). Comments, blank lines and lines with fewer than three fields are kept and are no entry."""
    lines = text.split("\n")
    entries = []
    for index, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            continue
        match = _FIELDS.match(line)
        if match is None:
            continue
        options = match.group(8) or "defaults"
        entries.append(
            Entry(
                index,
                unescape(match.group(2).strip('"')),
                unescape(match.group(4)),
                match.group(6),
                tuple(option for option in options.split(",") if option),
            )
        )
    return Fstab(lines, entries)


def render(fstab: Fstab) -> str:
    """The text that parse() was given."""
    return "\n".join(fstab.lines)


def is_swap(entry: Entry) -> bool:
    return entry.fstype == "swap"


def is_zram(source: str) -> bool:
    """True for compressed swap in memory, which is on no disk."""
    return source.startswith("/dev/zram")


def is_volatile(source: str) -> bool:
    """True for kernel names such as /dev/sda1, which another hypervisor gives to another disk (DISK-12)."""
    return bool(_VOLATILE.match(source))


def wants_uuid(source: str) -> bool:
    """True where the plan replaces the source by UUID=: kernel names, by-id and by-path links, labels."""
    if source.upper().startswith(("LABEL=", "PARTLABEL=", "ID=")):
        return True
    if not source.startswith("/dev/") or _REMOVABLE.match(source):
        return False
    if source.startswith(_PERSISTENT):
        return False
    if is_volatile(source) or source.startswith(("/dev/disk/", "/dev/root")):
        return True
    # /dev/<volume group>/<logical volume> is persistent, /dev/md0 and the like are not.
    return source.count("/") == 2 and source != "/dev/shm"


def plan(
    text: str,
    uuid_of: Callable[[str], Optional[str]],
    drop_swap: bool = True,
    keep_zram: bool = False,
) -> Plan:
    """Name file systems by UUID and, with drop_swap, leave out swap lines and the installer's comment above them.

    uuid_of(source) gives the file system UUID of a source as fstab names it, None where there is none.
    keep_zram keeps the lines of compressed swap in memory.
    """
    fstab = parse(text)
    lines: List[Optional[str]] = list(fstab.lines)
    replaced: Dict[str, str] = {}
    dropped: List[str] = []
    unknown: List[str] = []
    for entry in fstab.entries:
        line = fstab.lines[entry.index]
        if is_swap(entry):
            if drop_swap and not (keep_zram and is_zram(entry.source)):
                dropped.append(line)
                lines[entry.index] = None
                above = entry.index - 1
                if above >= 0 and re.match(r"^\s*#.*\bswap\b", fstab.lines[above]):
                    lines[above] = None
            continue
        if not wants_uuid(entry.source):
            continue
        uuid = uuid_of(entry.source)
        if not uuid:
            unknown.append(entry.source)
            continue
        match = _FIELDS.match(line)
        if match is None:
            continue
        start, end = match.span(2)
        lines[entry.index] = line[:start] + "UUID=" + uuid + line[end:]
        replaced[entry.source] = "UUID=" + uuid
    return Plan("\n".join(line for line in lines if line is not None), replaced, dropped, unknown)


def parse_blkid(text: str) -> Dict[str, Dict[str, str]]:
    """The output of `blkid -o export`: device name to its tags (UUID, LABEL, TYPE, PARTLABEL, ...)."""
    devices: Dict[str, Dict[str, str]] = {}
    current: Dict[str, str] = {}
    for line in text.split("\n"):
        key, sep, value = line.strip().partition("=")
        if not sep:
            current = {}
            continue
        value = re.sub(r"\\(.)", r"\1", value)
        if key == "DEVNAME":
            current = devices.setdefault(value, {})
        else:
            current[key] = value
    return devices


def uuid_lookup(devices: Dict[str, Dict[str, str]], resolve: Callable[[str], str]) -> Callable[[str], Optional[str]]:
    """uuid_of for plan(): finds a source among blkid's devices; resolve follows a link below /dev."""

    def find(source: str) -> Optional[str]:
        key, sep, value = source.partition("=")
        if sep and not source.startswith("/"):
            value = value.strip("\"'")
            matches = [tags for tags in devices.values() if tags.get(key.upper()) == value]
            # Two file systems with one label: no telling which is meant.
            return matches[0].get("UUID") if len(matches) == 1 else None
        for name in (source, resolve(source)):
            if name in devices:
                return devices[name].get("UUID")
        return None

    return find


def must_be_there(entry: Entry) -> bool:
    """True where a boot fails without the entry's device: a local device without nofail and noauto."""
    local = entry.source.startswith("/dev/") or re.match(r"^(PART)?(UUID|LABEL)=|^ID=", entry.source, re.I)
    return bool(local) and not is_swap(entry) and not {"nofail", "noauto"} & set(entry.options)


def parse_swaps(text: str) -> List[Tuple[str, str]]:
    """/proc/swaps: (path, "partition" or "file") of each active swap area."""
    found = []
    for line in text.split("\n")[1:]:
        words = line.split()
        if len(words) >= 2:
            found.append((unescape(words[0]), words[1]))
    return found
