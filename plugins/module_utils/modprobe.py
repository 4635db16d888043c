# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""modprobe.d(5): which directives keep a module from loading, and the plan that takes them away.

A module is blocked by `blacklist <module>` (no loading by alias: no mount, no coldplug), by an `install` line
whose command loads nothing, and by an `alias` line that leads its name elsewhere (`alias udf off`). Hardening guides
write all of them, often more than once. Install and alias lines may name a pattern, or the alias that a mount asks
for (fs-udf) instead of the module. Seen with kmod 30: blacklist takes neither.

Private to the collection: its interface may change in any release.
"""

import re
from fnmatch import fnmatchcase
from typing import Dict, Iterable, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: modprobe.d(5): a file in an earlier directory hides one of the same name in a later one.
DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)

#: Commands of an install line that load nothing.
_NOTHING = re.compile(r"^(\S*/)?(true|false|:|echo|logger|exit)(\s|$)")

#: Names besides fs-<module> by which the kernel asks for a module.
_ALIASES = {"isofs": ("fs_iso9660", "iso9660"), "sr_mod": ("block_major_11_0",)}


class Directive(NamedTuple):
    """One blacklist, install or alias line: lines first to last (from 0, continued lines count).

    module is the name or pattern, normalised; command what follows it (of an alias the module that it stands for).
    """

    first: int
    last: int
    verb: str
    module: str
    command: str


class Block(NamedTuple):
    """A directive that keeps `module` from loading, and the file that holds it."""

    path: str
    module: str
    line: str


def normalise(name: str) -> str:
    """Module names are the same with - and _; a path or suffix is none of ours."""
    return name.replace("-", "_")


def parse(text: str) -> List[Directive]:
    """All blacklist, install and alias lines; other lines are no directive here."""
    lines = text.split("\n")
    found = []
    index = 0
    while index < len(lines):
        first = index
        words = lines[index]
        while words.endswith("\\") and index + 1 < len(lines):
            index += 1
            words = words[:-1] + " " + lines[index]
        parts = words.split(None, 2)
        if len(parts) >= 2 and parts[0] in ("blacklist", "install", "alias"):
            found.append(
                Directive(first, index, parts[0], normalise(parts[1]), parts[2].strip() if len(parts) > 2 else "")
            )
        index += 1
    return found


def blocks(directive: Directive) -> bool:
    """True where the directive keeps what it names from loading."""
    if directive.verb == "blacklist":
        return True
    command = directive.command
    if directive.verb == "alias":
        return bool(command)
    if not command or _NOTHING.match(command):
        return True
    # An install line that calls modprobe or insmod in the end still loads the module.
    return "modprobe" not in command and "insmod" not in command


def _asked_for(module: str) -> List[str]:
    """The names by which a module is asked for: its own, and those of a mount."""
    return [module, "fs_" + module] + list(_ALIASES.get(module, ()))


def concerns(directive: Directive, modules: Iterable[str]) -> str:
    """The first of `modules` (normalised) that the directive keeps from loading; "" for none."""
    if not blocks(directive):
        return ""
    for module in modules:
        if directive.verb == "blacklist":
            found = directive.module == module
        elif directive.verb == "alias" and normalise(directive.command.split()[0]) == module:
            found = False
        elif directive.verb == "alias" and module == "hv_vmbus" and directive.module == "vmbus:*":
            found = True
        else:
            found = any(fnmatchcase(name, directive.module) for name in _asked_for(module))
        if found:
            return module
    return ""


def blocked_lines(text: str, modules: Iterable[str]) -> List[Tuple[Directive, str]]:
    """The blocking directives for `modules` in one file, each with its first line as written.

    A directive with a pattern is given the name of the module that it blocks.
    """
    wanted = [normalise(name) for name in modules]
    lines = text.split("\n")
    found = []
    for entry in parse(text):
        module = concerns(entry, wanted)
        if module:
            found.append((entry._replace(module=module), lines[entry.first]))
    return found


def allow(text: str, modules: Iterable[str]) -> str:
    """The text without the directives that block one of `modules`.

    They are taken out, not commented: the documented check is a plain grep for the module's name.
    """
    lines = text.split("\n")
    for directive, _line in reversed(blocked_lines(text, modules)):
        del lines[directive.first : directive.last + 1]
    return "\n".join(lines)


def effective_files(host: Host) -> List[str]:
    """The *.conf files that modprobe reads, in its order, hidden ones left out."""
    chosen: Dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in host.listdir(directory):
            if name.endswith(".conf") and name not in chosen:
                path = directory + "/" + name
                if host.is_file(path) or host.is_link(path):
                    chosen[name] = path
    return [chosen[name] for name in sorted(chosen)]


def hides(host: Host, path: str) -> bool:
    """Whether a file keeps another of the same name, in a later directory, from being read."""
    folder, _sep, name = path.rpartition("/")
    later = DIRECTORIES[DIRECTORIES.index(folder) + 1 :] if folder in DIRECTORIES else ()
    return any(host.exists(other + "/" + name) for other in later)


def blocked(host: Host, modules: Iterable[str]) -> List[Block]:
    """Every effective directive on the host that keeps one of `modules` from loading."""
    wanted = list(modules)
    found = []
    for path in effective_files(host):
        if not host.is_file(path):
            continue
        for directive, line in blocked_lines(host.read(path), wanted):
            found.append(Block(path, directive.module, line.strip()))
    return found
