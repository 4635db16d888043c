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
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: modprobe.d(5): a file in an earlier directory hides one of the same name in a later one.
DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)

#: Where systemd-sysctl and procps read settings, the strongest first (sysctl.d(5)); /etc/sysctl.conf comes last.
SYSCTL_DIRECTORIES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
SYSCTL_CONF = "/etc/sysctl.conf"

#: A setting of sysctl.d that ends all loading of modules until the next boot, whatever a later line says.
_DISABLED = re.compile(r"^\s*-?\s*kernel[./]modules_disabled\s*=\s*(?!0+\s*$)\S")

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


def effective_files(host: Host, directories: Sequence[str] = DIRECTORIES) -> List[str]:
    """The *.conf files that modprobe (or sysctl) reads, in its order, hidden ones left out."""
    chosen: Dict[str, str] = {}
    for directory in directories:
        for name in host.listdir(directory):
            if name.endswith(".conf") and name not in chosen:
                path = directory + "/" + name
                if host.is_file(path) or host.is_link(path):
                    chosen[name] = path
    return [chosen[name] for name in sorted(chosen)]


def hides(host: Host, path: str, directories: Sequence[str] = DIRECTORIES) -> bool:
    """Whether a file keeps another of the same name, in a later directory, from being read."""
    folder, _sep, name = path.rpartition("/")
    later = directories[directories.index(folder) + 1 :] if folder in directories else ()
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


def loading_disabled(host: Host) -> List[Block]:
    """Every effective line of sysctl's files that ends the loading of modules; its module is "*"."""
    found = []
    seen = set()
    for path in effective_files(host, SYSCTL_DIRECTORIES) + [SYSCTL_CONF]:
        # /etc/sysctl.d/99-sysctl.conf is a link to /etc/sysctl.conf on some systems.
        if not host.is_file(path) or host.resolve(path) in seen:
            continue
        seen.add(host.resolve(path))
        found += [Block(path, "*", line.strip()) for line in host.read(path).split("\n") if _DISABLED.match(line)]
    return found


def allow_loading(text: str) -> str:
    """The text of a file of sysctl without the lines that end the loading of modules."""
    return "\n".join(line for line in text.split("\n") if not _DISABLED.match(line))
