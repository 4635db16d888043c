# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sudoers(5), as far as ACC-01 needs it: who asks for whose password, and which rules exist for whom.

Private to the collection: its interface may change in any release.
"""

import fnmatch
import os
import re
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MAIN = "/etc/sudoers"
VENDOR = "/usr/etc/sudoers"
MAX_DEPTH = 128
MAX_STATEMENTS = 100000

#: What Ansible calls through sudo.
SHELLS = ("/bin/sh", "/usr/bin/sh")

#: Flags that make sudo ask for a password that is not the caller's own.
PASSWORD_FLAGS = ("targetpw", "rootpw", "runaspw")

#: One word of a list: quoted, or up to the next blank or comma.
_WORD = r'(?:"[^"]*"|(?:\\.|[^\s,="\\])+)'
_LIST = _WORD + r"(?:\s*,\s*" + _WORD + ")*"

#: The flags may be bound to a user, host, command or target: no blank before the sign, but one may follow it.
_DEFAULTS = re.compile(r"^Defaults([@:!>]\s*%s)?\s+(.*)$" % _LIST, re.S)

_ALIAS = re.compile(r"^(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.*)$", re.S)

#: "users hosts = commands"; users may be a list.
_RULE = re.compile(r"^(%s)\s+(?:%s)\s*=\s*(.*)$" % (_LIST, _LIST), re.S)

#: What may stand before a command: target users, a tag, an option, a digest.
_COMMAND_HEAD = re.compile(
    r"\s*(?:\(([^)]*)\)"
    r"|(NO(?:PASSWD|EXEC|SETENV|LOG_INPUT|LOG_OUTPUT|MAIL|FOLLOW|INTERCEPT)"
    r"|PASSWD|EXEC|SETENV|LOG_INPUT|LOG_OUTPUT|MAIL|FOLLOW|INTERCEPT)\s*:"
    r'|(?:ROLE|TYPE|APPARMOR_PROFILE|PRIVS|LIMITPRIVS|CWD|CHROOT|TIMEOUT|NOTBEFORE|NOTAFTER)\s*=\s*(?:"[^"]*"|[^\s,"]+)'
    r"|sha\d+\s*:\s*[^\s,]+\s*,?)"
)

_OPPOSITE = {"yes": "no", "no": "yes", "maybe": "maybe not", "maybe not": "maybe"}

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


class Caller(NamedTuple):
    """Somebody who calls sudo: name, user ID, names and IDs of the groups, as text."""

    name: str
    uid: str = ""
    groups: Sequence[str] = ()
    gids: Sequence[str] = ()


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


def _host_name(host: Host) -> str:
    """The short host name, which stands for %h in the name of an include."""
    name = os.uname().nodename if host.is_live else host.read("/etc/hostname", "").strip()
    return name.split(".")[0]


def included(host: Host, text: str, path: str, planned: Sequence[str] = ()) -> List[str]:
    """The files that one sudoers file includes, as sudo would read them (names with a dot or ~ are skipped).

    planned: files that count as there.
    """
    found = []
    for statement in statements(text):
        match = re.match(r"^[#@]include(dir)?\s+(.*)$", statement.text)
        if match is None:
            continue
        target = match.group(2).strip().strip('"').replace("\\ ", " ")
        if "%h" in target:
            target = target.replace("%h", _host_name(host))
        if not target.startswith("/"):
            target = path.rsplit("/", 1)[0] + "/" + target
        if match.group(1):
            folder = target.rstrip("/")
            names = {folder + "/" + name for name in host.listdir(folder) if host.is_file(folder + "/" + name)}
            names.update(name for name in planned if name.rsplit("/", 1)[0] == folder)
            found += [name for name in sorted(names) if not re.search(r"\.|~$", name[len(folder) :])]
        elif target in planned or host.is_file(target):
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


def policy(host: Host, planned: Optional[Mapping[str, str]] = None, path: str = "", depth: int = 0) -> List[str]:
    """The texts of all statements in the order in which sudo takes them: an include's where the include stands.

    planned: texts of files as they are to be, by path; they count instead of what is there.
    """
    planned = planned or {}
    path = path or (MAIN if MAIN in planned else main_file(host))
    if depth > MAX_DEPTH:
        raise AzurePrepError("%s: more than %d nested includes; remove the loop." % (path, MAX_DEPTH))
    if path not in planned and not host.is_file(path):
        return []
    found = []
    for statement in statements(planned[path] if path in planned else host.read(path)):
        if re.match(r"^[#@]include(dir)?\s", statement.text):
            for name in included(host, statement.text, path, list(planned)):
                found += policy(host, planned, name, depth + 1)
        else:
            found.append(statement.text)
        if len(found) > MAX_STATEMENTS:
            raise AzurePrepError("%s: more than %d statements with all includes." % (path, MAX_STATEMENTS))
    return found


def _commands(text: str) -> Iterator[Tuple[str, Optional[str], bool, str]]:
    """The commands of a rule behind its users: hosts, target users (None: root), whether without password, command.

    "ALL = (root) NOPASSWD: /bin/ls, PASSWD: ALL : web = ALL": a target and a tag hold until the next of their kind.
    """
    while text.strip():
        hosts, _sep, text = text.partition("=")
        runas: Optional[str] = None
        free = False
        sign = ","
        while sign == ",":
            head = _COMMAND_HEAD.match(text)
            while head is not None:
                text = text[head.end() :]
                runas = runas if head.group(1) is None else head.group(1)
                if head.group(2) in ("PASSWD", "NOPASSWD"):
                    free = head.group(2) == "NOPASSWD"
                head = _COMMAND_HEAD.match(text)
            command = re.match(r'(?:\\.|"[^"]*"|[^,:\\"])*', text)
            end = command.end() if command is not None else 0
            yield hosts, runas, free, text[:end].strip()
            sign, text = text[end : end + 1], text[end + 1 :]


def _verdict(words: Sequence[str], known: Mapping[str, List[str]], fits: Callable[[str], str], depth: int = 0) -> str:
    """What a list of sudoers says of somebody or something: yes, no, maybe, maybe not, or "" where it says nothing.

    fits says of one word yes, maybe or "". The last word that fits decides; ! turns it round.
    """
    for word in reversed(words):
        word = word.strip()
        name = word.lstrip("! ")
        turned = word[: len(word) - len(name)].count("!") % 2 == 1
        name = re.sub(r"\\(.)", r"\1", name.strip('"'))
        if name in known and depth < 16:
            answer = _verdict(known[name], known, fits, depth + 1)
        else:
            answer = fits(name)
        if answer:
            return _OPPOSITE[answer] if turned else answer
    return ""


def _fits_shell(command: str) -> str:
    """Whether a command of sudoers is everything (yes), or may be the shell that Ansible calls through sudo (maybe)."""
    path = command.split()[0] if command.split() else ""
    if path == "ALL":
        return "yes"
    for shell in SHELLS:
        folder, name = shell.rsplit("/", 1)
        if path.startswith("^") or fnmatch.fnmatchcase(shell, path) or path == folder + "/":
            return "maybe"
    return ""


def needs_no_password(policy_texts: Sequence[str], caller: Caller) -> bool:
    """Whether sudo lets somebody run everything as root without a password, by the statements of policy().

    Of several rules that match, sudo takes the last. What cannot be known here (a rule for some hosts, a netgroup)
    counts where it takes the right away, and not where it gives it.
    """
    known = aliases(policy_texts)

    def fits_caller(word: str) -> str:
        if word.startswith(("+", "%:")):
            return "maybe"
        if word.startswith("%#"):
            found = word[2:] in caller.gids
        elif word.startswith("%"):
            found = word[1:] in caller.groups
        elif word.startswith("#"):
            found = word[1:] == caller.uid
        else:
            found = word in ("ALL", caller.name)
        return "yes" if found else ""

    def fits_root(word: str) -> str:
        return "maybe" if word[:1] in ("%", "+") else "yes" if word in ("ALL", "root", "#0") else ""

    answer = False
    for text in policy_texts:
        match = _RULE.match(text)
        if match is None or _DEFAULTS.match(text) or _ALIAS.match(text):
            continue
        user = _verdict(match.group(1).split(","), known, fits_caller)
        if user in ("", "no"):
            continue
        for hosts, runas, free, command in _commands(text[match.end(1) :]):
            target = "yes" if runas is None else _verdict(runas.split(":")[0].split(","), known, fits_root)
            what = _verdict([command], known, _fits_shell)
            if target in ("", "no") or not what:
                continue
            host = _verdict(hosts.split(","), known, lambda word: "yes" if word == "ALL" else "maybe")
            if what in ("no", "maybe not") or not free:
                answer = False
            elif what == "yes" and (user, target, host) == ("yes", "yes", "yes"):
                answer = True
    return answer
