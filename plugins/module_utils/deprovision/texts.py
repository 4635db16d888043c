# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of configuration texts that carry the identity of the machine or of a person; each is its own inverse check.

Every function takes a file's text and returns the text as it must be; text == function(text) means nothing to do.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Sequence

#: A host name that names nobody; systemd lets a name from DHCP win over it (hostname(5)).
NEUTRAL_HOSTNAME = "localhost"

_NEUTRAL = frozenset(("", "localhost", "localhost.localdomain", "localhost.local", "(none)"))


def is_neutral(hostname: str) -> bool:
    return hostname.strip().lower() in _NEUTRAL


def fstab_without_cloudconfig(text: str) -> str:
    """fstab(5) without the lines that cloud-init added for the build machine's disks (option comment=cloudconfig)."""
    kept = []
    for line in text.splitlines(True):
        fields = line.split()
        options = fields[3].split(",") if len(fields) >= 4 and not line.lstrip().startswith("#") else []
        if "comment=cloudconfig" not in options and "x-cloud-init.comment=cloudconfig" not in options:
            kept.append(line)
    return "".join(kept)


def without_machine_id(text: str) -> str:
    """A boot entry, or /etc/kernel/cmdline, without systemd.machine_id=, which would be the id of every new machine.

    kernel-install(8) adds it to the entries that it names after the machine id.
    """
    lines = []
    for line in text.splitlines(True):
        if not line.lstrip().startswith("#"):
            line = re.sub(r"[ \t]+systemd\.machine[_-]id=\S*", "", line)
            line = re.sub(r"^systemd\.machine[_-]id=\S*[ \t]*", "", line)
        lines.append(line)
    return "".join(lines)


def initiator_name(text: str) -> str:
    """initiatorname.iscsi of Debian: its start script replaces this line by a name of the machine's own."""
    wanted = "GenerateName=yes\n"
    return text if text.strip() == wanted.strip() else wanted


def hosts_without(text: str, hostnames: Sequence[str]) -> str:
    """hosts(5) without the names of the build machine (NAME and NAME.any.domain); a line without a name goes."""
    wanted = [name.lower() for name in hostnames if not is_neutral(name)]
    if not wanted:
        return text

    def is_ours(word: str) -> bool:
        word = word.lower()
        return any(word == name or word.startswith(name + ".") for name in wanted)

    lines = []
    for line in text.splitlines(True):
        body, mark, comment = line.partition("#")
        words = body.split()
        names = words[1:]
        if not names or not any(is_ours(name) for name in names):
            lines.append(line)
            continue
        kept = [name for name in names if not is_ours(name)]
        if kept:
            end = "\n" if line.endswith("\n") else ""
            tail = " #" + comment.rstrip("\n") if mark else ""
            lines.append(words[0] + "\t" + " ".join(kept) + tail + end)
    return "".join(lines)


def sudoers_without(text: str, names: Sequence[str]) -> str:
    """sudoers(5) without the rules that begin with these users, continuation lines included."""
    gone = set(names)
    kept: List[str] = []
    dropping = False
    continued = False
    for line in text.splitlines(True):
        if not continued:
            words = line.split()
            first = words[0] if words else ""
            dropping = first in gone or (first.startswith("Defaults:") and first[9:] in gone)
        continued = line.rstrip("\n").endswith("\\")
        if not dropping:
            kept.append(line)
    return "".join(kept)


def is_blank(text: str) -> bool:
    """True where a configuration text has nothing but blank lines and comments (sudoers' #include counts as text)."""
    for line in text.split("\n"):
        line = line.strip()
        if line and (not line.startswith("#") or line.startswith(("#include", "#includedir"))):
            return False
    return True


def sudoers_users(text: str) -> List[str]:
    """The users that rules of a sudoers drop-in begin with; aliases (which look the same) among them, no groups."""
    users = []
    for line in text.split("\n"):
        match = re.match(r"\s*([A-Za-z0-9_][A-Za-z0-9_.@-]*\$?)\s+\S+\s*=", line)
        if match and not match.group(1).endswith("_Alias") and match.group(1) not in users:
            users.append(match.group(1))
    return users


def dhcp_hostname_reset(text: str, hostnames: Sequence[str]) -> str:
    """dhclient.conf, ifcfg-*, network/dhcp without a host name that was written there for the build machine.

    The agent's own deprovision writes localhost.localdomain there, which would reach the DNS of new machines.
    """
    wanted = [re.escape(name) for name in hostnames if not is_neutral(name)] + [r"localhost\.localdomain"]
    name = r"""["']?(?:%s)(?:\.[A-Za-z0-9.-]+)?["']?""" % "|".join(wanted)
    patterns = (
        r"^[ \t]*(?:supersede|send)[ \t]+(?:host-name|fqdn\.fqdn)[ \t]*=?[ \t]*%s[ \t]*;[ \t]*\n?" % name,
        r"^[ \t]*DHCP_(?:HOSTNAME|FQDN)=%s[ \t]*\n?" % name,
    )
    before = None
    while before != text:
        # A second statement on the same line is at its beginning now.
        before = text
        for pattern in patterns:
            text = re.sub(pattern, "", text, flags=re.MULTILINE)
    return re.sub(r"^([ \t]*DHCLIENT_HOSTNAME_OPTION=)%s[ \t]*$" % name, r'\1"AUTO"', text, flags=re.MULTILINE)


def history_files_named(text: str, home: str, user: str = "") -> List[str]:
    """Absolute paths that shell start-up text assigns to HISTFILE for one user; only plain paths, ~, $HOME, $USER,
    $LOGNAME and defaults (${VAR:-value}) are understood."""
    found = []
    for match in re.finditer(r"""(?:^|[\s;])HISTFILE=["']?([^\s"';&|]+)""", text):
        path = re.sub(r"\$\{(?!HOME|USER|LOGNAME)\w+:?-([^{}]*|\$\{\w+\})\}", r"\1", match.group(1))
        path = re.sub(r"\$(?:HOME\b|\{HOME(?::?-[^}]*)?\})", lambda _match: home, path)
        path = re.sub(r"\$(?:(?:USER|LOGNAME)\b|\{(?:USER|LOGNAME)(?::?-[^}]*)?\})", lambda _match: user, path)
        if path.startswith("~/"):
            path = home + path[1:]
        if path.startswith("/") and "$" not in path and ".." not in path.split("/") and not path.startswith("/dev/"):
            found.append(path)
    return found


def hostname_text(text: str) -> str:
    """/etc/hostname: the neutral name, in a complete line."""
    return NEUTRAL_HOSTNAME + "\n"


def hostname_in_sysconfig(text: str, hostnames: Sequence[str]) -> str:
    """/etc/sysconfig/network: HOSTNAME= of the build machine or the agent's value becomes localhost.localdomain."""
    wanted = [re.escape(name) for name in hostnames if not is_neutral(name)]
    if not wanted:
        return text
    return re.sub(
        r"""^([ \t]*HOSTNAME=)["']?(?:%s)(?:\.[A-Za-z0-9.-]+)?["']?[ \t]*$""" % "|".join(wanted),
        r"\1localhost.localdomain",
        text,
        flags=re.MULTILINE,
    )


def aliases_without(text: str, names: Sequence[str]) -> str:
    """aliases(5) without deliveries to accounts that are gone ("root: builder")."""
    gone = set(names)
    lines = []
    for line in text.splitlines(True):
        key, colon, value = line.partition(":")
        targets = [target.strip() for target in value.split(",")]
        if line.startswith(("#", " ", "\t")) or not colon or not gone.intersection(targets + [key.strip()]):
            lines.append(line)
            continue
        kept = [target for target in targets if target and target not in gone]
        if kept and key.strip() not in gone:
            lines.append("%s: %s%s" % (key, ", ".join(kept), "\n" if line.endswith("\n") else ""))
    return "".join(lines)


def sshd_values(text: str, keyword: str) -> List[str]:
    """All values of a keyword in sshd_config(5), in any Match block; keywords know no case, quotes are taken off."""
    found: List[str] = []
    for line in text.split("\n"):
        match = re.match(r"[ \t]*%s(?:[ \t]+|[ \t]*=[ \t]*)(.*)" % re.escape(keyword), line, re.IGNORECASE)
        if match:
            found.extend(word.strip("\"'") for word in match.group(1).split("#")[0].split())
    return [value for value in found if value]
