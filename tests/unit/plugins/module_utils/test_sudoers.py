"""sudoers(5): targetpw and the rule that is only safe with it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import guest, sudoers
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
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


JOE = sudoers.Caller("joe", "1000", ("joe", "sudo"), ("1000", "27"))


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ("joe ALL=(ALL) NOPASSWD: ALL", True),
        ("joe ALL=(ALL) NOPASSWD: SETENV: ALL", True),
        ("%sudo ALL=(ALL:ALL) ALL", False),
        ("ALL ALL=(ALL:ALL) NOPASSWD: ALL", True),
        # Of several rules that match, the last one counts.
        ("joe ALL=(ALL) NOPASSWD: ALL\n%sudo ALL=(ALL) ALL", False),
        ("%sudo ALL=(ALL) ALL\njoe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(ALL) /bin/ls", True),
        ("User_Alias OPS = anna, \\\n joe\nOPS ALL = (root) NOPASSWD: ALL", True),
        ("joe ALL=(www) NOPASSWD: ALL", False),
        ("joe ALL=(ALL) NOPASSWD: /bin/ls", False),
        ("%#27 ALL=(ALL) NOPASSWD: ALL", True),
        ("#1000 ALL=(ALL) NOPASSWD: ALL\n#1001 ALL=(ALL) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\nALL, !joe ALL=(ALL) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\nALL, !anna ALL=(ALL) ALL", False),
        ("joe ALL=(ALL) NOPASSWD: ALL\nUser_Alias US = !joe\nALL, US ALL=(ALL) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\nUser_Alias US = !joe\nanna, !US ALL=(ALL) ALL", False),
        ("joe ALL=(ALL) NOPASSWD: ALL\n%domain\\ users ALL=(ALL) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\n+admins ALL=(ALL) ALL", False),
        ("+admins ALL=(ALL) NOPASSWD: ALL", False),
        ("joe web=(ALL) NOPASSWD: ALL", False),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe web=(ALL) ALL", False),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(www) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(:adm) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(ALL, !root) ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=() ALL", True),
        ("joe ALL=NOPASSWD: ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(ALL) /usr/bin/", False),
        ("joe ALL=(ALL) NOPASSWD: ALL, !/bin/su", True),
        ("joe ALL=(ALL) NOPASSWD: ALL, !/bin/*sh", False),
        ("Cmnd_Alias SHELLS = /bin/sh, /bin/bash\njoe ALL=(ALL) NOPASSWD: ALL, !SHELLS", False),
        ("Cmnd_Alias MOST = ALL, !/bin/su\njoe ALL=(ALL) NOPASSWD: MOST", True),
        ("joe ALL=(ALL) NOPASSWD: ALL\njoe ALL=(ALL) !ALL", False),
        # A tag and a target hold until the next; a rule may have parts for several hosts.
        ("joe ALL=(ALL) NOPASSWD: /bin/ls, ALL", True),
        ("joe ALL=(ALL) NOPASSWD: /bin/ls, PASSWD: ALL", False),
        ("joe ALL=(ALL) NOPASSWD: ALL : web=(ALL) /bin/ls\\:x", True),
        ("joe web=/bin/ls : ALL=(ALL) CWD=/tmp NOPASSWD: ALL", True),
        ("joe ALL=(ALL) NOPASSWD: ALL, sha256:abc= /bin/ls", True),
        ("Defaults:joe !authenticate\nALL", False),
    ],
)
def test_who_needs_no_password(make_host, policy: str, answer: bool) -> None:
    host = make_host({"/etc/sudoers": policy + "\n"})
    assert sudoers.needs_no_password(sudoers.policy(host), JOE) is answer


def test_the_policy_is_read_in_sudos_order(make_host) -> None:
    host = make_host(
        {
            "/etc/sudoers": "one\n@includedir /etc/sudoers.d\ntwo\n@include host.%h\n@include gone\nthree\n",
            "/etc/sudoers.d/b": "b\n#include ../sudoers.more\nbb\n",
            "/etc/sudoers.d/a": "a\n",
            "/etc/sudoers.d/c.off": "c\n",
            "/etc/sudoers.d/d~": "d\n",
            "/etc/sudoers.more": "more\n",
            "/etc/host.vm1": "host\n",
            "/etc/hostname": "vm1.example.org\n",
        }
    )
    assert sudoers.policy(host) == ["one", "a", "b", "more", "bb", "two", "host", "three"]
    planned = {"/etc/sudoers": "@includedir sudoers.d/\n", "/etc/sudoers.d/aa": "aa", "/etc/sudoers.d/b": "B"}
    assert sudoers.policy(host, planned) == ["a", "aa", "B"]
    with pytest.raises(AzurePrepError, match="nested includes"):
        sudoers.policy(host, {"/etc/sudoers": "@include /etc/sudoers\n"})


#: A later rule than that of the include wins, and asks for a password that the user does not know.
LATE = {
    "rule of the user's own": "Defaults targetpw\nALL ALL=(ALL) ALL\nroot ALL=(ALL) ALL\n{}{} ALL=(ALL) ALL\n",
    "rule of all groups": "Defaults targetpw\n{}%{} ALL=(ALL) ALL\nALL ALL=(ALL) NOPASSWD: ALL\n",
    "alias": "Defaults rootpw\n{}User_Alias OPS = root, {}\nOPS ALL=(ALL) ALL\nALL ALL=(ALL) NOPASSWD: ALL\n",
}


@pytest.mark.parametrize("name", LATE)
def test_the_rule_for_the_user_comes_last_where_a_later_one_would_win(make_host, name: str) -> None:
    text = LATE[name].format("@includedir /etc/sudoers.d\n", "joe")
    host = make_host(
        {"/etc/sudoers": text, "/etc/passwd": "joe:x:1000:1000::/:/bin/sh\n", "/etc/group": "joe:x:1000:\n"}
    )
    params = {"keep_user": "joe", "root": "/"}
    planned = sudoers_targetpw.run(params, host, True)
    done = sudoers_targetpw.run(params, host, False)
    assert done["rule_file"] == planned["rule_file"] == "/etc/sudoers"
    assert host.read("/etc/sudoers").endswith("\njoe ALL=(ALL:ALL) NOPASSWD: ALL\n")
    assert [entry["after"] for entry in planned["diff"]] == [entry["after"] for entry in done["diff"]]
    assert not host.exists("/etc/sudoers.d") and len(done["backup_files"]) == 1
    assert sudoers.needs_no_password(sudoers.policy(host), JOE)
    assert not sudoers_targetpw.run(params, host, False)["changed"]


def test_a_user_whom_the_changed_policy_refuses_gets_the_old_one_back(make_host, monkeypatch) -> None:
    text = LATE["alias"].format("", "joe")
    host = make_host({"/etc/sudoers": text, "/etc/passwd": "joe:x:1000:1000::/:/bin/sh\n"})
    # sudo itself answers before and after.
    answers = [True, False]
    monkeypatch.setattr(guest, "sudo_lets_in", lambda _host, _user: answers.pop(0))
    with pytest.raises(AzurePrepError, match="sudo refuses the user joe"):
        sudoers_targetpw.run({"keep_user": "joe", "root": "/"}, host, False)
    assert host.read("/etc/sudoers") == text


#: Runs a line before and after the module, with a sudoers of its own in place of the system's.
REAL = """
import sys
from pathlib import Path
from ansible_collections.linuxvhd.azure.plugins.module_utils import guest
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.modules import sudoers_targetpw
host = Host("/")
before = guest.sudo_lets_in(host, "nobody")
result = sudoers_targetpw.run({"keep_user": "nobody", "root": "/"}, host, False)
print(before, guest.sudo_lets_in(host, "nobody"), result["rule_file"])
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("sudo", "visudo", "unshare", "runuser"))),
    reason="needs root, sudo and a mount namespace",
)
@pytest.mark.parametrize("name", LATE)
def test_the_real_sudo_lets_the_user_in(tmp_path, name: str) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace here")
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name if "{}%" in LATE[name] else "nobody"
    (tmp_path / "etc").mkdir()
    text = LATE[name].format("@includedir /etc/sudoers.d\n", group)
    (tmp_path / "etc/sudoers").write_text(text)
    (tmp_path / "etc/sudoers.d").mkdir()
    script = """
        set -e
        mkdir {0}/upper {0}/work {0}/var
        mount -t overlay overlay -o lowerdir=/etc,upperdir={0}/upper,workdir={0}/work /etc
        mount --bind {0}/var /var/backups
        rm -rf /etc/sudoers.d /etc/sudoers
        cp -r {0}/etc/* /etc && chmod 440 /etc/sudoers && chown -R 0:0 /etc/sudoers /etc/sudoers.d
        exec {1} -c "$2"
    """.format(tmp_path, sys.executable)
    command = ["unshare", "-m", "sh", "-c", script, "sh", "", REAL]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if "mount" in done.stderr:
        pytest.skip("no overlay here: " + done.stderr)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str("NOPASSWD" in text), "True", "/etc/sudoers"]


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
