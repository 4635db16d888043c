# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts in the files of passwd(5), shadow(5), group(5), gshadow(5) and subuid(5): read, remove, lock.

Why not userdel: it refuses while a process of the user lives (or, with -f, stops half-way with an exit status that
says little), knows no other root directory without a chroot, and cannot be repeated after an interruption.

Private to the collection: its interface may change in any release.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence

#: What the agent itself writes for a locked root (WALinuxAgent, del_root_password); no password hashes to it.
LOCKED = "*LOCK*"

#: First UID of people's accounts where /etc/login.defs does not say (shadow-utils' default).
DEFAULT_UID_MIN = 1000

#: "nobody" and above: never a person.
UID_MAX = 60000

_SYSTEM_DIRECTORIES_TEXT = (
    "/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /nonexistent /opt /proc /root /run /sbin /snap "
    "/srv /sys /tmp /usr /usr/bin /usr/lib /usr/local /usr/sbin /usr/share /var /var/cache /var/empty /var/lib "
    "/var/log /var/mail /var/run /var/spool /var/tmp /var/www"
)

#: A home directory below which the system lives is never deleted.
SYSTEM_DIRECTORIES = frozenset(_SYSTEM_DIRECTORIES_TEXT.split())


class Account(NamedTuple):
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def parse_passwd(text: str) -> List[Account]:
    """Accounts in file order; a line that is none (comment, NIS compat, damaged) is passed over."""
    accounts = []
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) < 7 or not fields[0] or fields[0][0] in "#+-":
            continue
        if not (fields[2].isdigit() and fields[3].isdigit()):
            continue
        # isdigit() accepts digits that int() does not (superscripts)
        try:
            uid, gid = int(fields[2]), int(fields[3])
        except ValueError:
            continue
        accounts.append(Account(fields[0], uid, gid, fields[5], fields[6]))
    return accounts


def uid_min(login_defs: str) -> int:
    """UID_MIN of login.defs(5)."""
    for line in login_defs.split("\n"):
        words = line.split()
        if len(words) >= 2 and words[0] == "UID_MIN":
            try:
                return int(words[1], 0)
            except ValueError:
                return DEFAULT_UID_MIN
    return DEFAULT_UID_MIN


def without_first_field(text: str, names: Sequence[str]) -> str:
    """passwd, shadow, subuid, subgid: the text without the lines of these accounts."""
    gone = set(names)
    return "".join(line for line in text.splitlines(True) if line.split(":", 1)[0].rstrip("\n") not in gone)


def without_members(text: str, names: Sequence[str], member_fields: Sequence[int], groups: Sequence[str]) -> str:
    """group (member field 3) and gshadow (2 administrators, 3 members): without these members and these groups."""
    gone = set(names)
    dropped = set(groups)
    lines = []
    for line in text.splitlines(True):
        body = line.rstrip("\n")
        end = line[len(body) :]
        fields = body.split(":")
        if len(fields) >= 4 and fields[0] in dropped:
            continue
        if len(fields) >= 4:
            for index in member_fields:
                members = fields[index].split(",")
                if gone.intersection(members):
                    fields[index] = ",".join(name for name in members if name not in gone)
            body = ":".join(fields)
        lines.append(body + end)
    return "".join(lines)


def private_groups(group_text: str, accounts: Sequence[Account], names: Sequence[str]) -> List[str]:
    """Groups that go with their accounts: same name, nobody else's primary group, no other member."""
    gone = set(names)
    primary = {account.gid for account in accounts if account.name not in gone}
    found = []
    for line in group_text.split("\n"):
        fields = line.split(":")
        if len(fields) < 4 or fields[0] not in gone or not fields[2].isdigit():
            continue
        others = [name for name in fields[3].split(",") if name and name not in gone]
        if int(fields[2]) not in primary and not others:
            found.append(fields[0])
    return found


def password_of(shadow_text: str, name: str) -> Optional[str]:
    """The password field of an account; None where it has no line."""
    for line in shadow_text.split("\n"):
        fields = line.split(":")
        if len(fields) >= 2 and fields[0] == name:
            return fields[1]
    return None


def is_hash(password: Optional[str]) -> bool:
    """True where a password could be found for this field: a hash (also one locked with "!"), or an empty field."""
    if password is None:
        return False
    return password == "" or password.lstrip("!").startswith("$") or len(password.lstrip("!*")) >= 13


def lock(shadow_text: str, name: str) -> str:
    """The text with this account's password field set so that no password fits and no hash is left."""
    lines = []
    for line in shadow_text.splitlines(True):
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] == name and fields[1] != LOCKED and not is_locked(fields[1]):
            fields[1] = LOCKED
            line = ":".join(fields)
        lines.append(line)
    return "".join(lines)


def is_locked(password: Optional[str]) -> bool:
    """True where no password fits and no hash is kept behind the mark ("!", "!!", "*", "!*", "*LOCK*")."""
    return password is not None and password != "" and (password == LOCKED or not password.strip("!*"))


def home_is_removable(account: Account, others: Sequence[Account]) -> bool:
    """Whether a home directory belongs to this account alone: no system directory, not shared, holds no other home."""
    home = "/" + "/".join(part for part in account.home.split("/") if part)
    if not account.home.startswith("/") or home in SYSTEM_DIRECTORIES or ".." in home.split("/"):
        return False
    if home.startswith(("/usr/", "/etc/", "/bin/", "/sbin/", "/lib", "/boot/", "/dev/", "/proc/", "/sys/")):
        return False
    for other in others:
        other_home = "/" + "/".join(part for part in other.home.split("/") if part)
        if other.name != account.name and (other_home == home or other_home.startswith(home + "/")):
            return False
    return True


def by_name(accounts: Sequence[Account]) -> Dict[str, Account]:
    return {account.name: account for account in accounts}
