# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sudoers(5), as far as ACC-01 needs it: who asks for whose password, and which rules exist for whom.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MAIN = "/etc/sudoers"
VENDOR = "/usr/etc/sudoers"
MAX_DEPTH = 128

#: Flags that make sudo ask for a password that is not the caller's own.
PASSWORD_FLAGS = ("targetpw", "rootpw", "runaspw")

#: One word of a list: quoted, or up to the next blank or comma.
_WORD = r'(?:"[^"]*"|[^\s,="]+)'
_LIST = _WORD + r"(?:\s*,\s*" + _WORD + ")*"

#: The flags may be bound to a user, host, command or target: no blank before the sign, but one may follow it.
_DEFAULTS = re.compile(r"^Defaults([@:!>]\s*%s)?\s+(.*)$" % _LIST, re.S)

_ALIAS = re.compile(r"^(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.*)$", re.S)

#: "users hosts = commands"; users may be a list.
_RULE = re.compile(r"^(%s)\s+(?:%s)\s*=\s*(.*)$" % (_LIST, _LIST), re.S)

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


def _without_comment(text: str) -> str:
    """The text up to the # that starts a comment: one behind a blank and outside quotes that is no user id (#1000)."""
    quoted = False
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "#" and not quoted and re.match(r"(^|\s)#(?!\d)", text[max(index - 1, 0) :]):
            return text[:index]
    return text


def _has_comment(line: str) -> bool:
    return _without_comment(line) != line and not re.match(r"^\s*#include(dir)?\s", line)


def statements(text: str) -> Iterator[Statement]:
    """Logical lines of sudoers(5); comments and blank lines are none. #include and #includedir are statements."""
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        first = index
        joined = lines[index]
        # A comment ends with its line, whatever it ends in.
        while joined.endswith("\\") and index + 1 < len(lines) and not _has_comment(joined):
            index += 1
            joined = joined[:-1] + " " + lines[index].strip()
        index += 1
        content = joined.strip()
        if re.match(r"^#include(dir)?\s", content):
            yield Statement(first, index - 1, content)
            continue
        content = _without_comment(content).strip()
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


def aliases(texts: Iterable[str]) -> Dict[str, List[str]]:
    """All aliases of a policy: name to its members, of every kind (their names are distinct)."""
    found: Dict[str, List[str]] = {}
    for text in texts:
        for statement in statements(text):
            match = _ALIAS.match(statement.text)
            if match is None:
                continue
            for part in match.group(2).split(" : "):
                name, _sep, members = part.partition("=")
                found[name.strip()] = [word.strip() for word in members.split(",")]
    return found


def _members(words: Sequence[str], known: Dict[str, List[str]], depth: int = 0) -> List[str]:
    """The words with aliases resolved, quotes gone; a loop of aliases ends at the limit of sudo's includes."""
    found: List[str] = []
    for word in words:
        word = word.strip().strip('"')
        if word in known and depth < 16:
            found += _members(known[word], known, depth + 1)
        else:
            found.append(word)
    return found


def grants_everything(text: str, known: Dict[str, List[str]]) -> List[str]:
    """The users of a rule that lets them run every command as root or anybody; empty for any other statement.

    Aliases are resolved with `known`; what a rule denies (a leading !) is left out of account.
    """
    if _DEFAULTS.match(text) or _ALIAS.match(text):
        return []
    match = _RULE.match(text)
    if match is None:
        return []
    commands = match.group(2)
    runas = re.match(r"^\(([^:)]*)", commands)
    if runas is not None and runas.group(1).strip():
        users = _members(runas.group(1).split(","), known)
        if not {"ALL", "root", "#0"} & set(users):
            return []
    commands = re.sub(r"\([^)]*\)", " ", commands)
    commands = re.sub(r"\b[A-Z_]+\s*=\s*\S+", " ", commands)
    commands = re.sub(r"\b[A-Z_]+\s*:(?=\s|[A-Z/])", " ", commands)
    if "ALL" not in _members(re.split(r"[,:]", commands), known):
        return []
    return _members(match.group(1).split(","), known)


def findings(text: str, known: Optional[Dict[str, List[str]]] = None) -> List[Finding]:
    """What ACC-01 objects to in one file; known are the aliases of the whole policy, without them the file's own."""
    known = aliases([text]) if known is None else known
    found = []
    for statement in statements(text):
        _scope, flags = _flags(statement.text)
        if any(_sets_flag(flag) for flag in flags):
            found.append(Finding("targetpw", statement.first, statement.last, statement.text))
        elif "ALL" in grants_everything(statement.text, known):
            found.append(Finding("everybody", statement.first, statement.last, statement.text))
    return found


def policy_findings(host: Host) -> List[Tuple[str, Finding]]:
    """findings() over every file of the policy, with its path."""
    texts = {path: host.read(path) for path in files(host)}
    known = aliases(texts.values())
    return [(path, finding) for path in texts for finding in findings(texts[path], known)]


def plan(text: str, known: Optional[Dict[str, List[str]]] = None) -> str:
    """The file without targetpw and without the rule for everybody: those lines become comments.

    Other flags of the same Defaults line stay in force.
    """
    lines: List[str] = text.split("\n")
    for finding in reversed(findings(text, known)):
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


def main_file(host: Host) -> str:
    """The file that sudo starts with: the vendor's below /usr where none is in /etc (SUSE 16)."""
    return VENDOR if not host.is_file(MAIN) and host.is_file(VENDOR) else MAIN


def files(host: Host, path: str = "", depth: int = 0) -> List[str]:
    """The main file and all it includes, in reading order; empty where sudo is not installed."""
    path = path or main_file(host)
    if depth > MAX_DEPTH:
        raise AzurePrepError("%s: more than %d nested includes; remove the loop." % (path, MAX_DEPTH))
    if not host.is_file(path):
        return []
    found = [path]
    for name in included(host, host.read(path), path):
        if name not in found:
            found += [item for item in files(host, name, depth + 1) if item not in found]
    return found


def needs_no_password(texts: Sequence[str], user: str, groups: Sequence[str]) -> bool:
    """Whether the user may run everything without a password, ACC-01's own rule for everybody left out.

    Of several rules that match, sudo takes the last.
    """
    known = aliases(texts)
    wanted = {user} | {"%" + group for group in groups}
    answer = False
    for text in texts:
        for statement in statements(text):
            users = grants_everything(statement.text, known)
            if "ALL" not in users and wanted & set(users):
                answer = bool(re.search(r"\bNOPASSWD\s*:", statement.text))
    return answer
