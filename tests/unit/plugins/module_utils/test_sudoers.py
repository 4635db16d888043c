"""sudoers(5): targetpw and the rule that is only safe with it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import sudoers
from ansible_collections.linuxvhd.azure.plugins.modules import sudoers_targetpw

SUSE = """\
Defaults always_set_home
Defaults targetpw   # ask for the password of the target user i.e. root
ALL   ALL=(ALL) ALL   # WARNING! Only use this together with 'Defaults targetpw'!
root ALL=(ALL:ALL) ALL
## Uncomment
# Defaults targetpw
@includedir /etc/sudoers.d
"""


def test_suse() -> None:
    after = sudoers.plan(SUSE)
    assert [finding.kind for finding in sudoers.findings(SUSE)] == ["targetpw", "everybody"]
    assert sudoers.findings(after) == []
    assert "root ALL=(ALL:ALL) ALL\n" in after and "\n# Not on Azure: Defaults targetpw" in after


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("Defaults !targetpw", None),
        ("Defaults env_reset, targetpw,insults", "# Not on Azure: {}\nDefaults env_reset, insults"),
        ("Defaults:joe rootpw", "# Not on Azure: {}"),
        ('Defaults secure_path="/a,b", \\\n  targetpw', None),
        ("ALL ALL=(ALL:ALL) NOPASSWD: ALL", "# Not on Azure: {}"),
        ("%wheel ALL=(ALL) ALL", None),
        ("ALL ALL=(ALL) /bin/ls", None),
        ("#1000 ALL=(ALL) ALL", None),
        ("#targetpw", None),
    ],
)
def test_lines(line: str, after: str | None) -> None:
    text = sudoers.plan(line)
    if "secure_path" in line:
        assert 'Defaults secure_path="/a,b"' in text.split("\n")
    else:
        assert text == (line if after is None else after.format(line))


def test_includes_are_followed_as_sudo_does(make_host) -> None:
    host = make_host(
        {
            "/etc/sudoers": "#includedir /etc/sudoers.d\n@include sudoers.local\n",
            "/etc/sudoers.d/10-a": "joe ALL=(ALL) NOPASSWD: ALL\n",
            "/etc/sudoers.d/10-a.bak": "x",
            "/etc/sudoers.d/b~": "x",
            "/etc/sudoers.local": "@include /etc/sudoers.d/10-a\n",
        }
    )
    assert sudoers.files(host) == ["/etc/sudoers", "/etc/sudoers.d/10-a", "/etc/sudoers.local"]


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("joe ALL=(ALL) NOPASSWD: ALL", True),
        ("joe ALL=(ALL) NOPASSWD: SETENV: ALL", True),
        ("%sudo ALL=(ALL:ALL) ALL", False),
        ("ALL ALL=(ALL:ALL) NOPASSWD: ALL", False),
        # Of several rules that match, the last one counts.
        ("joe ALL=(ALL) NOPASSWD: ALL\n%sudo ALL=(ALL) ALL", False),
        ("%sudo ALL=(ALL) ALL\njoe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(ALL) /bin/ls", True),
        ("User_Alias OPS = anna, \\\n joe\nOPS ALL = (root) NOPASSWD: ALL", True),
        ("joe ALL=(www) NOPASSWD: ALL", False),
        ("joe ALL=(ALL) NOPASSWD: /bin/ls", False),
    ],
)
def test_who_needs_no_password(policy: str, answer: bool) -> None:
    assert sudoers.needs_no_password([policy + "\n"], "joe", ["sudo"]) is answer


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        # Each was given to visudo 1.9.13, which takes it; what it means was read with cvtsudoers.
        ("Defaults: anna targetpw", ["targetpw"]),
        ("Defaults:anna, joe targetpw, insults", ["targetpw"]),
        ("Defaults! /bin/ls targetpw", ["targetpw"]),
        ("Defaults ! targetpw", []),
        ("Defaults use_pty, \\\n\ttargetpw, \\\n timestamp_timeout=15", ["targetpw"]),
        ("# notes \\\nDefaults targetpw", ["targetpw"]),
        ("ALL ALL=(ALL) ALL # note \\\nDefaults targetpw", ["everybody", "targetpw"]),
        ('Defaults badpass_message="no, targetpw", env_reset', []),
        ("ALL, anna ALL=(ALL) ALL", ["everybody"]),
        ('"ALL" ALL = (root) ALL', ["everybody"]),
        ("ALL ALL=(ALL)ALL", ["everybody"]),
        ("ALL ALL=(ALL) SETENV: NOPASSWD: ALL", ["everybody"]),
        ("ALL ALL=(ALL) CWD=/tmp ALL", ["everybody"]),
        ("ALL ALL=(ALL) ALL, !/bin/su", ["everybody"]),
        ("User_Alias EVERY = ALL : X = anna\nCmnd_Alias ANY = ALL\nEVERY ALL=(ALL) ANY", ["everybody"]),
        ("User_Alias LOOP = LOOP, joe\nLOOP ALL=(ALL) ALL", []),
        ("ALL ALL=(www) ALL", []),
        ("ALL ALL=(ALL) NOPASSWD: /usr/bin/ALL", []),
        ("%ALL ALL=(ALL) ALL", []),
        ("Defaults targetpw\r\nALL ALL=(ALL) ALL\r", ["targetpw", "everybody"]),
    ],
)
def test_what_counts(text: str, kinds: list[str]) -> None:
    assert [finding.kind for finding in sudoers.findings(text + "\n")] == kinds
    after = sudoers.plan(text + "\n")
    assert sudoers.findings(after) == []
    if shutil.which("visudo"):
        done = subprocess.run(["visudo", "-c", "-f", "-"], input=after, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (after, done.stderr)


def test_an_alias_of_another_file_counts(make_host) -> None:
    host = make_host(
        {
            "/etc/sudoers": "@includedir /etc/sudoers.d\n",
            "/etc/sudoers.d/10-alias": "User_Alias EVERY = ALL\n",
            "/etc/sudoers.d/20-rule": "EVERY ALL=(ALL) ALL\n",
        }
    )
    assert [(path, finding.kind) for path, finding in sudoers.policy_findings(host)] == [
        ("/etc/sudoers.d/20-rule", "everybody")
    ]
    params = {"keep_user": None, "root": "/"}
    assert sudoers_targetpw.run(params, host, False)["changed"]
    assert sudoers.policy_findings(host) == []


def test_the_vendors_file_below_usr_gives_way_to_one_in_etc(make_host) -> None:
    """SUSE 16: sudo reads /usr/etc/sudoers where there is no /etc/sudoers."""
    host = make_host(
        {
            "/usr/etc/sudoers": SUSE + "@includedir /usr/etc/sudoers.d\n",
            "/usr/etc/sudoers.d/50-vendor": "Defaults rootpw\n",
            "/etc/passwd": "joe:x:1000:1000::/home/joe:/bin/bash\n",
        }
    )
    params = {"keep_user": "joe", "root": "/"}
    first = sudoers_targetpw.run(params, host, False)
    assert first["changed"] and first["rule_file"] == "/etc/sudoers.d/zz-azure-prep-joe"
    assert host.read("/usr/etc/sudoers").startswith("Defaults always_set_home\nDefaults targetpw")
    assert "\n# Not on Azure: Defaults targetpw" in host.read("/etc/sudoers")
    assert host.read("/usr/etc/sudoers.d/50-vendor") == "# Not on Azure: Defaults rootpw\n"
    assert not sudoers_targetpw.run(params, host, False)["changed"]
