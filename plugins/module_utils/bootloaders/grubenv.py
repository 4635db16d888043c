# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's environment block, grubenv (GRUB manual, "The GRUB environment block"; grub-core/lib/envblk.c).

A file of 1024 bytes: a comment line, NAME=VALUE lines in which a backslash protects a backslash or a line feed,
then "#" up to the end. GRUB writes to its sectors at boot, so its size never changes.

Private to the collection: its interface may change in any release.
"""

from typing import Dict, List, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: The size that GRUB itself makes.
SIZE = 1024
SIGNATURE = "# GRUB Environment Block\n"

#: No block is larger than this; a bigger file is something else.
MAX_SIZE = 64 * 1024

PATHS = (
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
)
ESP_PATTERN = "/boot/efi/EFI/*/grubenv"


def _lines(path: str, text: str) -> Tuple[str, Dict[str, str]]:
    """The block without its padding, and its variables; a protected line feed is part of a value."""
    if len(text) > MAX_SIZE:
        raise AzurePrepError("%s is too large for a GRUB environment block; recreate it with grub-editenv." % path)
    if not text.startswith("# GRUB Environment Block"):
        raise AzurePrepError(
            "%s is no GRUB environment block (its first line is not %r); recreate it with grub-editenv create."
            % (path, SIGNATURE.strip())
        )
    body = text.rstrip("#")
    values: Dict[str, str] = {}
    position = 0
    while position < len(body):
        line = []
        raw_start = position
        while position < len(body) and body[position] != "\n":
            if body[position] == "\\" and position + 1 < len(body):
                position += 1
            line.append(body[position])
            position += 1
        position += 1
        if body[raw_start : raw_start + 1] != "#":
            name, sep, value = "".join(line).partition("=")
            if sep:
                values[name] = value
    return body, values


def parse(path: str, text: str) -> Dict[str, str]:
    """The variables of a block; AzurePrepError where the file is none."""
    return _lines(path, text)[1]


def change(path: str, text: str, name: str, value: Optional[str]) -> str:
    """The block with one variable set (None: taken out), its size kept; AzurePrepError where it does not fit."""
    body, values = _lines(path, text)
    if values.get(name) == value:
        return text
    kept = []
    position = 0
    written = value is None
    while position < len(body):
        start = position
        while position < len(body) and body[position] != "\n":
            position += 2 if body[position] == "\\" else 1
        position = min(position + 1, len(body))
        line = body[start:position]
        if not line.startswith("#") and line.startswith(name + "="):
            if written:
                continue
            line = _render(name, value or "")
            written = True
        kept.append(line)
    result = "".join(kept)
    if not written:
        result += ("" if result.endswith("\n") else "\n") + _render(name, value or "")
    size = max(SIZE, len(text.encode("utf-8", "surrogateescape")))
    padding = size - len(result.encode("utf-8", "surrogateescape"))
    if padding < 0:
        raise AzurePrepError("%s has no room for %s: a GRUB environment block holds %d bytes." % (path, name, size))
    return result + "#" * padding


def _render(name: str, value: str) -> str:
    return "%s=%s\n" % (name, value.replace("\\", "\\\\").replace("\n", "\\\n"))


def find_all(host: Host) -> List[str]:
    """The environment blocks of a system: beside grub.cfg, and in the EFI system partition. An image that boots by
    both firmwares may have two; a link and what it leads to are one."""
    result: List[str] = []
    seen = set()
    for path in list(PATHS) + host.glob(ESP_PATTERN):
        if host.is_file(path) and host.resolve(path) not in seen:
            seen.add(host.resolve(path))
            result.append(path)
    return result


def find(host: Host) -> Optional[str]:
    """The environment block that GRUB reads, that of the BIOS first."""
    return next(iter(find_all(host)), None)


def load(host: Host) -> Dict[str, str]:
    """The variables of the system's block; empty where there is none or it is damaged, as GRUB has it."""
    path = find(host)
    if path is None:
        return {}
    try:
        return parse(path, host.read(path))
    except AzurePrepError:
        return {}
