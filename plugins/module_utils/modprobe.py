# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""modprobe.d(5): which directives keep a module from loading, and the plan that takes them away.

A module is blocked by `blacklist <module>` (no loading by alias: no mount, no coldplug) and by an `install` line
whose command loads nothing. Hardening guides write both, often more than once.

Private to the collection: its interface may change in any release.
"""

import re
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


class Directive(NamedTuple):
    """One blacklist or install line: lines first to last (from 0, continued lines count), module normalised."""

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
    """All blacklist and install lines; other lines are no directive here."""
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
        if len(parts) >= 2 and parts[0] in ("blacklist", "install"):
            found.append(
                Directive(first, index, parts[0], normalise(parts[1]), parts[2].strip() if len(parts) > 2 else "")
            )
        index += 1
    return found


def blocks(directive: Directive) -> bool:
    """True where the directive keeps its module from loading."""
    if directive.verb == "blacklist":
        return True
    command = directive.command
    if not command or _NOTHING.match(command):
        return True
    # An install line that calls modprobe or insmod in the end still loads the module.
    return "modprobe" not in command and "insmod" not in command


def blocked_lines(text: str, modules: Iterable[str]) -> List[Tuple[Directive, str]]:
    """The blocking directives for `modules` in one file, each with its first line as written."""
    wanted = {normalise(name) for name in modules}
    lines = text.split("\n")
    return [(entry, lines[entry.first]) for entry in parse(text) if entry.module in wanted and blocks(entry)]


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
