# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd_config(5): what is effective (the first value counts, Match blocks, Include), and how to set an option.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: sshd's own limit of nested Include files.
MAX_DEPTH = 16

MAIN = "/etc/ssh/sshd_config"

#: What sshd reads where there is no file of the administrator's (SLES 16, openSUSE).
VENDOR = "/usr/etc/ssh/sshd_config"

_LINE = re.compile(r"^(\s*)\"?([A-Za-z][A-Za-z0-9]*)\"?(\s*=\s*|\s+)(.*?)(\s*)$", re.S)


class Directive(NamedTuple):
    """One keyword line of a file: index from 0, keyword lower case, value as written, in_match: inside Match."""

    path: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    keyword: str
    value: str
    in_match: bool


def parse(text: str, path: str = MAIN, in_match: bool = False) -> List[Directive]:
    """The directives of one file in order. A Match line opens a block that lasts to the next Match."""
    found = []
    inside = in_match
    for index, line in enumerate(text.split("\n")):
        if line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        keyword = match.group(2).lower()
        value = match.group(4)
        if not value.startswith('"'):
            # A comment may follow a value since OpenSSH 8.
            value = re.split(r"\s#", value, maxsplit=1)[0].rstrip()
        if keyword == "match":
            # "Match all" ends a block: what follows is global again.
            inside = in_match or value.strip().lower() != "all"
        found.append(Directive(path, index, keyword, value.strip('"'), inside and keyword != "match"))
    return found


def include_paths(value: str) -> List[str]:
    """The patterns of an Include line; relative ones are below /etc/ssh."""
    return [word if word.startswith("/") else "/etc/ssh/" + word for word in re.findall(r'[^\s"]+', value)]


def flatten(
    read: Callable[[str], str],
    expand: Callable[[str], Sequence[str]],
    path: str = MAIN,
    in_match: bool = False,
    depth: int = 0,
) -> List[Directive]:
    """All directives in the order in which sshd sees them, Include resolved where it stands.

    read(path) gives a file's text, expand(pattern) the existing files of a pattern, sorted.
    A Match block in an included file ends with that file.
    """
    if depth > MAX_DEPTH:
        raise AzurePrepError("%s: more than %d nested Include files; remove the loop." % (path, MAX_DEPTH))
    found: List[Directive] = []
    for directive in parse(read(path), path, in_match):
        if directive.keyword != "include":
            found.append(directive)
            continue
        for pattern in include_paths(directive.value):
            for name in expand(pattern):
                found.extend(flatten(read, expand, name, directive.in_match, depth + 1))
    return found


def flatten_host(host: Host, path: str = MAIN) -> List[Directive]:
    """flatten() over the files of a host; empty where sshd_config does not exist."""
    if path == MAIN and not host.is_file(path):
        path = VENDOR
    if not host.is_file(path):
        return []
    return flatten(host.read, lambda pattern: [n for n in host.glob(pattern) if host.is_file(n)], path)


def effective(directives: Sequence[Directive], keyword: str) -> Optional[str]:
    """The value that counts outside Match blocks: the first; None where none is set."""
    for directive in directives:
        if directive.keyword == keyword.lower() and not directive.in_match:
            return directive.value
    return None


def fixed_addresses(directives: Sequence[Directive]) -> List[str]:
    """The addresses on which alone sshd listens, where one of them is this machine's own; empty where it is any."""
    found = []
    for directive in directives:
        if directive.keyword != "listenaddress" or not directive.value.split():
            continue
        word = directive.value.split()[0].lower()
        match = re.match(r"^\[([^\]]*)\](:\d+)?$|^([^:]*)(:\w+)?$", word)
        address = word if match is None else (match.group(1) or match.group(3) or "")
        if address in ("0.0.0.0", "::", "*", "any"):
            return []
        found.append(address)
    local = [address for address in found if re.match(r"^(localhost|127\.|::1$)", address)]
    return found if len(local) < len(found) else []


def set_in_text(text: str, keyword: str, value: str, insert: bool) -> str:
    """Give every global line of `keyword` the value; with insert, write one before the first Match if none is there.

    Lines inside Match blocks belong to somebody's exception and stay.
    """
    lines = text.split("\n")
    directives = parse(text)
    own = [entry for entry in directives if entry.keyword == keyword.lower() and not entry.in_match]
    for entry in own:
        match = _LINE.match(lines[entry.index])
        if match is not None and entry.value != value:
            lines[entry.index] = "%s%s %s" % (match.group(1), match.group(2), value)
    if not own and insert:
        line = "%s %s" % (keyword, value)
        commented = re.compile(r"^\s*#\s*%s\b" % re.escape(keyword), re.I)
        first_match = min([entry.index for entry in directives if entry.keyword == "match"] or [len(lines)])
        places = [index for index, content in enumerate(lines[:first_match]) if commented.match(content)]
        if places:
            lines.insert(places[-1] + 1, line)
        elif first_match < len(lines):
            lines.insert(first_match, line)
        elif lines and lines[-1] == "":
            lines.insert(len(lines) - 1, line)
        else:
            lines.extend([line, ""])
    return "\n".join(lines)


def plan(
    texts: Dict[str, str], order: Sequence[Directive], keyword: str, value: str, main: str = MAIN
) -> Dict[str, str]:
    """The files that must change so that `keyword` is `value` everywhere outside Match: path to new text.

    The main file always names the value (some checkers read only that file); any other file that sets the
    keyword globally gets the same value, so that the order of files no longer matters.
    """
    changed = {}
    touched = {entry.path for entry in order if entry.keyword == keyword.lower() and not entry.in_match}
    for path in sorted(touched | {main}):
        before = texts[path]
        after = set_in_text(before, keyword, value, insert=path == main)
        if after != before:
            changed[path] = after
    return changed


def parse_effective(text: str) -> Dict[str, str]:
    """The output of `sshd -T`: keyword (lower case) to its first value."""
    values: Dict[str, str] = {}
    for line in text.split("\n"):
        key, _sep, value = line.strip().partition(" ")
        if key:
            values.setdefault(key.lower(), value)
    return values
