# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of texts that carry an identity: what they take, what they leave, and that nothing makes them fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts, texts

NAMES = ("alice", "bob")

#: Lines near to what these files hold, so that the edits have something to do, and plain noise.
WORDS = st.sampled_from(
    ["alice", "bob", "carol", "builder", "builder.example.com", "ALL=(ALL)", "ALL", "\\", "#", ":", ",", "127.0.1.1"]
    + [
        "comment=cloudconfig",
        "auto",
        "0",
        "Defaults:alice",
        'send host-name "builder";',
        "DHCP_HOSTNAME=builder",
        "=",
        '"',
    ]
)
LINES = st.lists(WORDS, max_size=7).map(" ".join)
TEXTS = st.one_of(st.lists(LINES, max_size=8).map("\n".join), st.text(max_size=80))

EDITS: dict[str, Callable[[str], str]] = {
    "fstab": texts.fstab_without_cloudconfig,
    "hosts": lambda text: texts.hosts_without(text, ["builder", "builder.example.com"]),
    "sudoers": lambda text: texts.sudoers_without(text, NAMES),
    "dhcp": lambda text: texts.dhcp_hostname_reset(text, ["builder"]),
    "aliases": lambda text: texts.aliases_without(text, NAMES),
    "sysconfig": lambda text: texts.hostname_in_sysconfig(text, ["builder"]),
    "passwd": lambda text: accounts.without_first_field(text, NAMES),
    "group": lambda text: accounts.without_members(text, NAMES, (3,), ["alice"]),
    "gshadow": lambda text: accounts.without_members(text, NAMES, (2, 3), ["alice"]),
    "lock": lambda text: accounts.lock(text, "root"),
}


@pytest.mark.parametrize("name", sorted(EDITS))
@given(text=TEXTS)
def test_an_edit_never_fails_and_is_done_once(name: str, text: str) -> None:
    once = EDITS[name](text)
    assert EDITS[name](once) == once


@pytest.mark.parametrize(
    "name", sorted(set(EDITS) - {"aliases", "group", "gshadow", "hosts", "lock", "sysconfig", "dhcp"})
)
@given(text=TEXTS)
def test_an_edit_only_takes_whole_lines(name: str, text: str) -> None:
    before = text.splitlines(True)
    for line in EDITS[name](text).splitlines(True):
        assert line in before


@given(text=TEXTS)
def test_readers_never_fail(text: str) -> None:
    found = accounts.parse_passwd(text)
    accounts.private_groups(text, found, NAMES)
    accounts.uid_min(text)
    accounts.is_hash(accounts.password_of(text, "root"))
    texts.sudoers_users(text)
    texts.is_blank(text)
    for path in texts.history_files_named(text, "/root"):
        assert path.startswith("/")


@given(text=st.text(alphabet="abc:x0/\n#+-", max_size=120))
def test_passwd_keeps_everybody_else(text: str) -> None:
    left = accounts.parse_passwd(accounts.without_first_field(text, ["a"]))
    assert left == [account for account in accounts.parse_passwd(text) if account.name != "a"]


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        ("fstab", "# x comment=cloudconfig\n", "# x comment=cloudconfig\n"),
        ("fstab", "a /mnt auto nofail,comment=cloudconfig 0 2", ""),
        ("fstab", "a /mnt auto comment=cloudconfigx 0 2\n", "a /mnt auto comment=cloudconfigx 0 2\n"),
        ("hosts", "127.0.1.1 builder\n", ""),
        ("hosts", "127.0.1.1 BUILDER.lan db # mine\n", "127.0.1.1\tdb # mine\n"),
        ("hosts", "10.0.0.1 builder2 mybuilder\n", "10.0.0.1 builder2 mybuilder\n"),
        ("hosts", "# 127.0.1.1 builder\n", "# 127.0.1.1 builder\n"),
        ("sudoers", "alice ALL=(ALL) \\\n ALL\ncarol ALL=ALL\n", "carol ALL=ALL\n"),
        ("sudoers", "alicex ALL=ALL\n%alice ALL=ALL\n", "alicex ALL=ALL\n%alice ALL=ALL\n"),
        ("sudoers", "Defaults:bob !lecture\nDefaults:bobby x\n", "Defaults:bobby x\n"),
        ("dhcp", 'send host-name "builder";\nrequest x;\n', "request x;\n"),
        ("dhcp", 'send host-name "localhost.localdomain";\n', ""),
        ("dhcp", "send host-name = gethostname();\n", "send host-name = gethostname();\n"),
        ("dhcp", "DEVICE=eth0\nDHCP_HOSTNAME=builder.example.com\n", "DEVICE=eth0\n"),
        ("dhcp", 'DHCLIENT_HOSTNAME_OPTION="builder"\n', 'DHCLIENT_HOSTNAME_OPTION="AUTO"\n'),
        ("aliases", "root: alice, carol\nalice: root\nbob@x: y\n", "root: carol\nbob@x: y\n"),
        ("lock", "root:$6$x:1:::\nroott:$6$y:1:::\n", "root:*LOCK*:1:::\nroott:$6$y:1:::\n"),
        ("lock", "root::1:::\n", "root:*LOCK*:1:::\n"),
        ("lock", "root:!$6$x:1:::\n", "root:*LOCK*:1:::\n"),
        ("lock", "root:!:1:::\n", "root:!:1:::\n"),
        ("lock", "root:*:1:::\n", "root:*:1:::\n"),
        ("group", "sudo:x:27:alice,carol,bob\nalice:x:1000:\n", "sudo:x:27:carol\n"),
        ("gshadow", "sudo:*:alice:alice,carol\n", "sudo:*::carol\n"),
    ],
)
def test_edits(edit: str, before: str, after: str) -> None:
    assert EDITS[edit](before) == after


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("HISTFILE=~/.h", ["/root/.h"]),
        ('export HISTFILE="$HOME/.h"', ["/root/.h"]),
        ("HISTFILE=${HOME}/x/.h; y", ["/root/x/.h"]),
        ("HISTFILE=/dev/null", []),
        ("HISTFILE=$XDG/h", []),
        ("unset HISTFILE", []),
        ("MYHISTFILE=/x", []),
        ("HISTFILE=/srv/../etc/passwd", []),
    ],
)
def test_history_files_named(line: str, path: list[str]) -> None:
    assert texts.history_files_named(line, "/root") == path


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/home/a", True),
        ("/srv/a", True),
        ("/", False),
        ("/root", False),
        ("/home", False),
        ("/home/a/../b", False),
        ("/usr/lib/x", False),
        ("/var", False),
        ("relative", False),
        ("", False),
        ("/home/", False),
        ("//home//a/", True),
        ("/home/shared", False),
        ("/data", False),  # holds another account's home
    ],
)
def test_home_is_removable(home: str, expected: bool) -> None:
    others = [
        accounts.Account("b", 1, 1, "/home/shared", ""),
        accounts.Account("c", 1, 1, "/data/c", ""),
    ]
    assert accounts.home_is_removable(accounts.Account("a", 1000, 1000, home, ""), others) is expected
