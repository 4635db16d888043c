# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sudoers(5), as far as ACC-01 needs it: who asks for whose password, and which rules exist for whom.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Iterator, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MAIN = "/etc/sudoers"
MAX_DEPTH = 128

#: Flags that make sudo ask for a password that is not the caller's own.
PASSWORD_FLAGS = ("targetpw", "rootpw", "runaspw")

#: The rule that is safe only together with targetpw: everybody may do everything.
_EVERYBODY = re.compile(r"^ALL\s+ALL\s*=\s*(\(\s*ALL\s*(:\s*ALL\s*)?\)\s*)?((NO)?[A-Z]+:\s*)*ALL$")

_DEFAULTS = re.compile(r"^Defaults([@:!>][^\s]*)?\s+(.*)$", re.S)

MARK = "# Not on Azure: "


class Statement(NamedTuple):
    """One logical line: lines first to last (from 0), text with continuations joined and comment removed."""

    first: int
    last: int
    text: str


class Finding(NamedTuple):
    """A statement against ACC-01: kind is targetpw or everybody."""

    kind: str
    first: int
    last: int
    text: str


def statements(text: str) -> Iterator[Statement]:
    """Logical lines of sudoers(5); comments and blank lines are none. #include and #includedir are statements."""
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        first = index
        joined = lines[index]
        while joined.endswith("\\") and index + 1 < len(lines):
            index += 1
            joined = joined[:-1] + " " + lines[index].strip()
        index += 1
        content = joined.strip()
        if re.match(r"^#include(dir)?\s", content):
            yield Statement(first, index - 1, content)
            continue
        # A # starts a comment unless it is a user id (#1000) or quoted or escaped.
        content = re.sub(r'(^|\s)#(?!\d)[^"]*$', "", content).strip()
        if content:
            yield Statement(first, index - 1, content)


def _flags(text: str) -> Tuple[str, List[str]]:
    """The scope ("" for all) and the comma-separated flags of a Defaults line."""
    match = _DEFAULTS.match(text)
    if match is None:
        return "", []
    flags = re.findall(r'(?:[^,"]|"[^"]*")+', match.group(2))
    return match.group(1) or "", [flag.strip() for flag in flags if flag.strip()]


def _sets_flag(flag: str) -> bool:
    """True for targetpw, rootpw, runaspw that is switched on (an even number of !)."""
    name = flag.lstrip("!").strip()
    return name in PASSWORD_FLAGS and (len(flag) - len(flag.lstrip("!"))) % 2 == 0


def findings(text: str) -> List[Finding]:
    """What ACC-01 objects to in one file."""
    found = []
    for statement in statements(text):
        _scope, flags = _flags(statement.text)
        if any(_sets_flag(flag) for flag in flags):
            found.append(Finding("targetpw", statement.first, statement.last, statement.text))
        elif _EVERYBODY.match(re.sub(r"\s+", " ", statement.text)):
            found.append(Finding("everybody", statement.first, statement.last, statement.text))
    return found


def plan(text: str) -> str:
    """The file without targetpw and without the rule for everybody: those lines become comments.

    Other flags of the same Defaults line stay in force.
    """
    lines: List[str] = text.split("\n")
    for finding in reversed(findings(text)):
        old = lines[finding.first : finding.last + 1]
        new = [(MARK + line.strip()).rstrip("\\").rstrip() for line in old]
        if finding.kind == "targetpw":
            scope, flags = _flags(finding.text)
            rest = [flag for flag in flags if not _sets_flag(flag)]
            if rest:
                new.append("Defaults%s %s" % (scope, ", ".join(rest)))
        lines[finding.first : finding.last + 1] = new
    return "\n".join(lines)


def included(host: Host, text: str, path: str) -> List[str]:
    """The files that one sudoers file includes, as sudo would read them (names with a dot or ~ are skipped)."""
    found = []
    for statement in statements(text):
        match = re.match(r"^[#@]include(dir)?\s+(.*)$", statement.text)
        if match is None:
            continue
        target = match.group(2).strip().strip('"').replace("\\ ", " ")
        if not target.startswith("/"):
            target = path.rsplit("/", 1)[0] + "/" + target
        if match.group(1):
            found += [
                target.rstrip("/") + "/" + name
                for name in host.listdir(target)
                if "." not in name and not name.endswith("~") and host.is_file(target.rstrip("/") + "/" + name)
            ]
        elif host.is_file(target):
            found.append(target)
    return found


def files(host: Host, path: str = MAIN, depth: int = 0) -> List[str]:
    """The main file and all it includes, in reading order; empty where sudo is not installed."""
    if depth > MAX_DEPTH:
        raise AzurePrepError("%s: more than %d nested includes; remove the loop." % (path, MAX_DEPTH))
    if not host.is_file(path):
        return []
    found = [path]
    for name in included(host, host.read(path), path):
        if name not in found:
            found += [item for item in files(host, name, depth + 1) if item not in found]
    return found


def rules_for(text: str, user: str, groups: List[str]) -> List[str]:
    """The user rules of one file that name the user or one of the groups (ALL is not counted)."""
    wanted = {user} | {"%" + group for group in groups}
    found = []
    for statement in statements(text):
        if re.match(r"^(Defaults|[@#]include|\w+_Alias\b)", statement.text) or "=" not in statement.text:
            continue
        # "users hosts = commands": the last word before the equals sign is the host list.
        users = " ".join(statement.text.split("=", 1)[0].split()[:-1])
        if wanted & {word.strip() for word in users.split(",")}:
            found.append(statement.text)
    return found
