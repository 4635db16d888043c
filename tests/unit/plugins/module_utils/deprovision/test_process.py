# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deprovisioning a used machine's tree: what goes, what stays, what a kill in the middle leaves."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FaultAt, FaultFrom, read_only_disk, write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import process
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import STATE_FILE, Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import ITEMS
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

CANARY = "canary-7f3a"

#: A machine as its users leave it: alice was made by the agent, bob by hand; both are to go. carol stays.
USED = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\n"
    "bob:x:1001:1001::/home/bob:/bin/zsh\n"
    "carol:x:1002:1002::/home/carol:/bin/sh\n"
    "postgres:x:110:115::/var/lib/postgresql:/bin/bash\n",
    "/etc/shadow": "root:$6$%s$h:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nalice:$6$%s:1::::::\n"
    "bob:$y$j9T$%s:1::::::\ncarol:!:1::::::\npostgres:*:1::::::\n" % (CANARY, CANARY, CANARY),
    "/etc/group": "root:x:0:\nsudo:x:27:alice,bob,carol\nalice:x:1000:\nbob:x:1001:carol\ncarol:x:1002:\n",
    "/etc/gshadow": "root:*::\nsudo:*:alice:alice,bob,carol\nalice:!::\nbob:!::carol\ncarol:!::\n",
    "/etc/subuid": "alice:100000:65536\nbob:165536:65536\ncarol:231072:65536\n",
    "/etc/subgid": "alice:100000:65536\nbob:165536:65536\ncarol:231072:65536\n",
    "/etc/passwd-": "alice:x:1000\n",
    "/etc/shadow-": "alice:$6$%s\n" % CANARY,
    "/var/backups/shadow.bak": "alice:$6$%s\n" % CANARY,
    "/etc/sudoers": "Defaults env_reset\nDefaults:alice !requiretty\nroot ALL=(ALL:ALL) ALL\nbob ALL=(ALL) \\\n  ALL\n"
    "%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "/etc/sudoers.d/90-cloud-init-users": "# Created by cloud-init\nalice ALL=(ALL) NOPASSWD:ALL\n",
    "/etc/sudoers.d/waagent": "alice ALL=(ALL) NOPASSWD: ALL\n",
    "/etc/sudoers.d/bob": "bob ALL=(ALL) NOPASSWD: ALL\n",
    "/etc/sudoers.d/carol": "carol ALL=(ALL) ALL\n",
    "/var/lib/waagent/ovf-env.xml": "<wa:ProvisioningSection><UserName>alice</UserName></wa:ProvisioningSection>",
    "/var/lib/waagent/provisioned": "id",
    "/var/lib/waagent/.hidden": CANARY,
    "/var/log/waagent.log": CANARY,
    "/var/log/azure/ext/command.log": CANARY,
    "/home/alice/.bash_history": "curl -H %s\n" % CANARY,
    "/home/alice/.ssh/authorized_keys": "ssh-ed25519 AAAA alice\n",
    "/home/bob/.zsh_history": CANARY,
    "/home/bob/deep/er/file": CANARY,
    "/home/carol/.bash_history": CANARY,
    "/home/carol/.bashrc": "export HISTFILE=~/.my_history\n",
    "/home/carol/.my_history": CANARY,
    "/home/carol/notes.txt": "kept\n",
    "/home/carol/.ssh/authorized_keys": "ssh-ed25519 AAAA carol\n",
    "/home/carol/.ssh/config": "Host *\n",
    "/home/carol/.mysql_history": CANARY,
    "/root/.bash_history": "passwd alice # %s\n" % CANARY,
    "/root/.python_history": CANARY,
    "/root/.lesshst": CANARY,
    "/root/.config/fish/fish_history": CANARY,
    "/root/.bashrc": "# kept\n",
    "/root/.netrc": CANARY,
    "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA root\n",
    "/root/.ssh/known_hosts": "host ssh-ed25519 AAAA\n",
    "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_setup.py": CANARY,
    "/etc/.azure-prep.x7h2": CANARY,
    "/etc/ssh/sshd_config.d/.azure-prep.q": CANARY,
    "/etc/sudoers.20261121T094512Z~": CANARY,
    "/etc/ssh/sshd_config.20261121T094512Z.2~": CANARY,
    "/etc/mine~": "kept",
    "/home/carol/.ansible/tmp/ansible-tmp-2/x": CANARY,
    "/home/carol/.ansible/collections/kept": "kept",
    "/var/lib/postgresql/.psql_history": CANARY,
    "/var/spool/cron/crontabs/alice": "* * * * * " + CANARY,
    "/var/spool/cron/crontabs/root": "@daily true\n",
    "/var/mail/alice": CANARY,
    "/var/mail/root": CANARY,
    "/var/lib/systemd/linger/bob": "",
    "/var/lib/sudo/lectured/alice": "",
    "/etc/ssh/ssh_host_rsa_key": CANARY,
    "/etc/ssh/ssh_host_rsa_key.pub": "ssh-rsa AAAA root@builder\n",
    "/etc/ssh/ssh_host_ed25519_key": CANARY,
    "/etc/ssh/sshd_config": "UsePAM yes\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/var/lib/systemd/random-seed": CANARY,
    "/var/lib/dhcp/dhclient.eth0.leases": "lease { option host-name builder; }",
    "/var/lib/NetworkManager/internal-1-eth0.lease": "ADDRESS=10.0.2.15",
    "/var/lib/NetworkManager/secret_key": CANARY,
    "/etc/udev/rules.d/70-persistent-net.rules": "SUBSYSTEM==net",
    "/etc/udev/rules.d/70-mine.rules": "kept",
    "/etc/fstab": "UUID=1 / ext4 defaults 0 1\n/dev/disk/cloud/azure_resource-part1 /mnt auto "
    "defaults,nofail,comment=cloudconfig 0 2\n",
    "/etc/hostname": "builder\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tbuilder.example.com builder\n::1 ip6-localhost\n",
    "/etc/mailname": "builder.example.com\n",
    "/etc/aliases": "postmaster: root\nroot: alice\n",
    "/etc/dhcp/dhclient.conf": 'send host-name = gethostname();\nsend host-name "builder";\n',
    "/etc/resolv.conf": "-> ../run/systemd/resolve/stub-resolv.conf",
    "/var/log/syslog": CANARY,
    "/var/log/syslog.1": CANARY,
    "/var/log/auth.log.2.gz": CANARY,
    "/var/log/journal/0123/system.journal": CANARY,
    "/var/log/installer/cdebconf/questions.dat": CANARY,
    "/var/log/wtmp": CANARY,
    "/var/cache/apt/archives/x.deb": "deb",
    "/var/lib/apt/lists/mirror_Packages": "Package: x",
    "/var/crash/core": CANARY,
    "/tmp/.hidden": CANARY,
    "/tmp/build/file": CANARY,
    "/var/tmp/file": CANARY,
    "/var/lib/cloud/instance/user-data.txt": CANARY,
    "/var/lib/cloud/scripts/per-boot/swap.sh": "#!/bin/sh\n",
    "/var/log/cloud-init.log": CANARY,
    "/etc/netplan/50-cloud-init.yaml": "network: {}\n",
    "/usr/sbin/dhclient": "",
    "/srv/data": "kept\n",
}

#: Files that must survive, content and all.
KEPT = (
    "/etc/sudoers.d/carol",
    "/home/carol/notes.txt",
    "/home/carol/.bashrc",
    "/home/carol/.ssh/config",
    "/home/carol/.ansible/collections/kept",
    "/root/.bashrc",
    "/var/spool/cron/crontabs/root",
    "/etc/ssh/sshd_config",
    "/etc/udev/rules.d/70-mine.rules",
    "/etc/mine~",
    "/var/lib/cloud/scripts/per-boot/swap.sh",
    "/srv/data",
    "/etc/netplan/50-cloud-init.yaml",  # no cloud-init here that would write it again
)

OPTIONS = Options(remove_users=("bob",))

MakeHost = Callable[..., Host]


@pytest.fixture
def used(make_host: MakeHost) -> Host:
    host = make_host(USED)
    os.chmod(host.path("/usr/sbin/dhclient"), 0o755)
    os.chmod(host.path("/etc/shadow"), 0o640)
    os.chmod(host.path("/var/lib/cloud/scripts/per-boot/swap.sh"), 0o755)
    return host


def all_files(host: Host) -> dict[str, bytes]:
    found = {}
    for folder, _names, files in os.walk(host.root):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                found[host.inside(path)] = Path(path).read_bytes()
    return found


def run(host: Host, options: Options = OPTIONS) -> dict:
    return process.run(host, Context(host, options))


def test_a_used_machine_comes_out_clean(used: Host) -> None:
    result = run(used)
    assert [check for check in result["checks"] if not check["ok"]] == []
    files = all_files(used)
    assert [path for path, content in files.items() if CANARY.encode() in content] == []
    # carol is a member of bob's group, so that group stays, as userdel leaves it.
    group_files = ("/etc/group", "/etc/gshadow")
    for word in (rb"\balice\b", rb"\bbob\b", rb"\bbuilder\b"):
        named = [path for path, content in files.items() if re.search(word, content)]
        assert [path for path in named if word != rb"\bbob\b" or path not in group_files] == []
    for path in KEPT:
        assert files[path] == USED[path].encode(), path


def test_details_of_the_result(used: Host) -> None:
    run(used)
    assert used.read("/etc/group") == "root:x:0:\nsudo:x:27:carol\nbob:x:1001:carol\ncarol:x:1002:\n"
    assert "alice" not in used.read("/etc/gshadow")
    assert used.read("/etc/sudoers").startswith("Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo")
    assert used.read("/etc/shadow").startswith("root:*LOCK*:19000:0:99999:7:::\n")
    assert stat.S_IMODE(os.stat(used.path("/etc/shadow")).st_mode) == 0o640
    assert used.read_bytes("/etc/machine-id") == b""
    assert used.readlink("/var/lib/dbus/machine-id") == "/etc/machine-id"
    assert used.readlink("/etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"
    assert used.read("/etc/hosts") == "127.0.0.1\tlocalhost\n::1 ip6-localhost\n"
    assert used.read("/etc/fstab") == "UUID=1 / ext4 defaults 0 1\n"
    assert used.read("/etc/dhcp/dhclient.conf") == "send host-name = gethostname();\n"
    assert used.read("/etc/hostname") == "localhost\n"
    assert used.read_bytes("/root/.bash_history") == b"" and used.read_bytes("/home/carol/.my_history") == b""
    assert used.read_bytes("/var/log/syslog") == b"" and not used.exists("/var/log/syslog.1")
    assert used.is_dir("/var/log/journal") and used.listdir("/var/log/journal") == []
    assert not used.exists("/home/alice") and not used.exists("/home/bob")
    assert not used.exists(STATE_FILE)
    assert not used.exists("/root/.ansible") and used.listdir("/home/carol/.ansible") == ["collections"]


def test_check_mode_lists_what_a_run_does_and_touches_nothing(used: Host) -> None:
    before = all_files(used)
    planned = process.describe_plan(Context(used, OPTIONS))
    assert all_files(used) == before
    assert planned["changed"]
    done = run(used)
    assert {(e["kind"], e["path"]) for e in planned["removed"]} == {(e["kind"], e["path"]) for e in done["removed"]}
    assert {"alice", "bob"} == {e["path"] for e in planned["removed"] if e["kind"] == "account"}
    sizes = {e["path"]: e["bytes"] for e in planned["removed"]}
    assert sizes["/home/bob"] == 2 * len(CANARY)
    assert sizes["/etc/ssh/ssh_host_rsa_key"] == len(CANARY)


def test_a_second_run_changes_nothing(used: Host) -> None:
    run(used)
    before = all_files(used)
    again = run(used)
    assert not again["changed"] and again["removed"] == []
    assert all_files(used) == before


def steps_of_every_kind(root: str, wanted: tuple[str, ...] = ()) -> tuple[set[str], list[tuple[int, str, str]]]:
    """What an undisturbed run leaves, and the first and the last step of each kind that it took.

    wanted: the kinds, where not all count. All steps would take minutes: each costs a run and a half.
    """
    counter = FaultAt()
    reference = Host(root, fault=counter)
    run(reference)
    places: dict[str, list[int]] = {}
    for number, (step, _path) in enumerate(counter.steps):
        places.setdefault(step, []).append(number)
    assert set(wanted) <= set(places) and len(places) > 6 and len(counter.steps) > 80
    kinds = [found for step, found in places.items() if not wanted or step in wanted]
    chosen = {found[0] for found in kinds} | {found[-1] for found in kinds}
    return set(all_files(reference)), [(number, *counter.steps[number]) for number in sorted(chosen)]


def test_killed_at_steps_of_every_kind_and_run_again(used: Host, tmp_path: Path) -> None:
    """Wherever a process ends without tidying up, the next run ends with the same tree as one that was not cut."""
    pristine = tmp_path / "pristine"
    shutil.copytree(used.root, pristine, symlinks=True)
    expected, steps = steps_of_every_kind(used.root)
    for number, step, path in steps:
        root = tmp_path / "cut"
        shutil.copytree(pristine, root, symlinks=True)
        count = itertools.count()

        def kill(_step: str, _path: str, number: int = number, count: Iterator[int] = count) -> None:
            if next(count) == number:
                os._exit(9)

        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            try:
                run(Host(str(root), fault=kill))
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, (step, path)
        host = Host(str(root))
        result = run(host)
        assert process.failure_sentence(result) is None, (step, path)
        assert set(all_files(host)) == expected, (step, path)
        shutil.rmtree(root)


def test_a_disk_that_is_full_is_told_and_a_run_with_room_finishes(used: Host, tmp_path: Path) -> None:
    pristine = tmp_path / "pristine"
    shutil.copytree(used.root, pristine, symlinks=True)
    expected, steps = steps_of_every_kind(used.root, ("create", "write", "fsync"))
    for number, step, path in steps:
        root = tmp_path / "full"
        shutil.copytree(pristine, root, symlinks=True)
        try:
            sentence = process.failure_sentence(run(Host(str(root), fault=FaultFrom(number))))
        except AzurePrepError as exc:
            # Before anything was touched: what a repeated run has to know could not be written down.
            sentence = str(exc)
            assert number < 4 and all_files(Host(str(root))) == all_files(Host(str(pristine)))
        assert sentence and re.search("full|[Nn]o space", sentence), (step, path, sentence)
        host = Host(str(root))
        assert process.failure_sentence(run(host)) is None, (step, path)
        assert set(all_files(host)) == expected, (step, path)
        shutil.rmtree(root)


def test_a_read_only_disk_keeps_the_way_in(used: Host) -> None:
    before = all_files(used)
    with pytest.raises(AzurePrepError, match="mounted read-only"):
        run(Host(used.root, fault=read_only_disk()))
    assert all_files(used) == before
    # What was writable when it began and is read-only from then on.
    result = run(Host(used.root, fault=FaultFrom(8, errno.EROFS, FaultFrom.CHANGES)))
    assert "can still log in" in result["stopped"]
    assert "read-only" in (process.failure_sentence(result) or "").lower()
    for path in ("/etc/ssh/ssh_host_rsa_key", "/root/.ssh/authorized_keys", "/etc/shadow", "/etc/passwd"):
        assert used.read_bytes(path) == before[path], path


def test_an_error_in_the_main_phase_keeps_the_way_in(used: Host) -> None:
    def refuse(step: str, path: str) -> None:
        if path == "/var/crash/core":
            raise OSError(1, "Operation not permitted")

    host = Host(used.root, fault=refuse)
    result = run(host)
    assert "/var/crash/core" in (process.failure_sentence(result) or "")
    assert "can still log in" in result["stopped"]
    assert used.exists("/etc/ssh/ssh_host_rsa_key") and used.exists("/root/.ssh/authorized_keys")
    assert used.exists("/var/lib/waagent/ovf-env.xml")


def test_every_item_can_be_kept(used: Host) -> None:
    for item in ITEMS:
        planned = process.describe_plan(Context(used, OPTIONS._replace(keep=(item.id,))))
        (check,) = [check for check in planned["checks"] if check["id"] == item.id]
        assert check["state"] == "kept" and check["ok"]
        assert [e for e in planned["removed"] if e["id"] == item.id] == []


def test_all_items_kept_changes_nothing(used: Host) -> None:
    before = all_files(used)
    result = run(used, OPTIONS._replace(keep=tuple(item.id for item in ITEMS)))
    assert not result["changed"] and all_files(used) == before


def test_keep_by_rule(used: Host) -> None:
    run(used, OPTIONS._replace(keep=("CLEAN-03",)))
    assert used.exists("/etc/ssh/ssh_host_rsa_key")


def test_user_false_keeps_the_provisioned_account_but_not_its_keys(used: Host) -> None:
    run(used, Options(user=False))
    assert "alice:" in used.read("/etc/passwd") and "bob:" in used.read("/etc/passwd")
    assert used.exists("/etc/sudoers.d/waagent") and not used.exists("/home/alice/.ssh/authorized_keys")


def test_user_is_known_after_its_traces_are_gone(used: Host) -> None:
    """A run cut after the agent's state went still removes the agent's user: the state file remembers."""
    context = Context(used, OPTIONS)
    context.save_state()
    for path in ("/var/lib/waagent/ovf-env.xml", "/etc/sudoers.d/waagent", "/etc/sudoers.d/90-cloud-init-users"):
        used.remove(path)
    result = run(used)
    assert "alice" in result["accounts"] and "alice" not in used.read("/etc/passwd")


@pytest.mark.parametrize(
    ("policy", "writer", "expected"),
    [
        ("auto", True, None),
        ("auto", False, "nameserver 192.0.2.1\n"),
        ("remove", False, None),
        ("empty", True, ""),
        ("keep", True, "nameserver 192.0.2.1\n"),
    ],
)
def test_plain_resolv_conf(make_host: MakeHost, policy: str, writer: bool, expected: str | None) -> None:
    host = make_host({"/etc/resolv.conf": "nameserver 192.0.2.1\n", "/usr/sbin/dhclient": ""})
    if writer:
        os.chmod(host.path("/usr/sbin/dhclient"), 0o755)
    result = run(host, Options(resolv_conf=policy))
    assert process.failure_sentence(result) is None
    assert host.exists("/etc/resolv.conf") == (expected is not None)
    if expected is not None:
        assert host.read("/etc/resolv.conf") == expected


def test_resolv_conf_link_comes_back_after_the_agent_took_it(used: Host) -> None:
    context = Context(used, OPTIONS)
    used.remove("/etc/resolv.conf")
    result = process.run(used, context)
    assert process.failure_sentence(result) is None
    assert used.readlink("/etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"


def test_machine_id_uninitialized_needs_a_systemd_that_knows_it(make_host: MakeHost) -> None:
    files = {"/etc/machine-id": "abc\n", "/usr/lib/systemd/libsystemd-shared-252.so": ""}
    host = make_host(files)
    run(host, Options(machine_id="uninitialized"))
    assert host.read("/etc/machine-id") == "uninitialized\n"
    host.rename("/usr/lib/systemd/libsystemd-shared-252.so", "/usr/lib/systemd/libsystemd-shared-239.so")
    run(host, Options(machine_id="uninitialized"))
    assert host.read("/etc/machine-id") == ""


IDENTITY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("kept", [False, True])
def test_boot_entries_give_no_machine_its_id_and_keep_their_name(make_host: MakeHost, kept: bool) -> None:
    path = "/boot/efi/loader/entries/%s-6.12.conf" % IDENTITY
    entry = "title Debian\nmachine-id %s\noptions root=UUID=1 ro%s quiet\nlinux /%s/6.12/linux\n"
    files = {
        "/etc/machine-id": IDENTITY + "\n",
        "/usr/lib/systemd/libsystemd-shared-257.so": "",
        "/etc/kernel/cmdline": "systemd.machine_id=%s root=UUID=1 ro systemd.machine-id=a\n" % IDENTITY,
        path: entry % (IDENTITY, " systemd.machine_id=" + IDENTITY, IDENTITY),
    }
    host = make_host(files)
    for _run in range(2):
        run(host, Options(machine_id="keep" if kept else "empty"))
        assert host.read(path) == (files[path] if kept else entry % (IDENTITY, "", IDENTITY))
        assert host.read("/etc/kernel/cmdline") == (files["/etc/kernel/cmdline"] if kept else "root=UUID=1 ro\n")
        assert host.read("/etc/kernel/entry-token", "") == ("" if kept else IDENTITY + "\n")
        assert host.read("/etc/machine-id") == (files["/etc/machine-id"] if kept else "")


@pytest.mark.parametrize(
    "change",
    [
        {"/usr/lib/systemd/libsystemd-shared-257.so": None, "/usr/lib/systemd/libsystemd-shared-247.so": ""},
        {"/etc/kernel/entry-token": "debian\n"},
        {"/etc/machine-id": "uninitialized\n"},
        {"/etc/machine-id": "fedcba9876543210fedcba9876543210\n"},
    ],
)
def test_entries_that_need_no_name(make_host: MakeHost, change: dict[str, str | None]) -> None:
    files: dict[str, str | None] = {
        "/etc/machine-id": IDENTITY + "\n",
        "/usr/lib/systemd/libsystemd-shared-257.so": "",
        "/boot/loader/entries/%s-6.12.conf" % IDENTITY: "linux /vmlinuz\noptions ro\n",
        **change,
    }
    host = make_host({path: text for path, text in files.items() if text is not None})
    run(host)
    assert host.read("/etc/kernel/entry-token", "") == (change.get("/etc/kernel/entry-token") or "")


def test_host_keys_that_nobody_would_make_get_a_unit(make_host: MakeHost) -> None:
    host = make_host(
        {"/usr/sbin/sshd": "", "/usr/bin/ssh-keygen": "", "/etc/ssh/ssh_host_rsa_key": "k", "/etc/systemd/system/x": ""}
    )
    for path in ("/usr/sbin/sshd", "/usr/bin/ssh-keygen"):
        os.chmod(host.path(path), 0o755)
    result = run(host)
    assert process.failure_sentence(result) is None
    assert "ExecStart=/usr/bin/ssh-keygen -A" in host.read("/etc/systemd/system/azure-ssh-host-keys.service")
    assert host.exists("/etc/systemd/system/multi-user.target.wants/azure-ssh-host-keys.service")
    result = run(host, Options(keep=("ssh_host_keys_return",)))
    assert not result["changed"]


@pytest.mark.parametrize(
    "files",
    [
        {"/usr/bin/cloud-init": "x"},
        {
            "/usr/sbin/waagent": "x",
            "/etc/waagent.conf": "Provisioning.Agent=waagent\nProvisioning.RegenerateSshHostKeyPair=y\n",
        },
        {
            "/usr/lib/systemd/system/sshd-keygen.target": "[Unit]\n",
            "/usr/lib/systemd/system/sshd.service": "[Unit]\nWants=sshd-keygen.target\n",
        },
        {
            "/etc/systemd/system/azure-provisioning.service": "[Service]\nExecStart=/usr/local/sbin/azure-ready\n",
            "/usr/local/sbin/azure-ready": "#!/bin/sh\nssh-keygen -A\n",
            "/etc/systemd/system/a.target.wants/azure-provisioning.service": "-> ../azure-provisioning.service",
        },
    ],
)
def test_host_keys_that_somebody_makes_need_no_unit(make_host: MakeHost, files: dict[str, str]) -> None:
    base = {"/usr/sbin/sshd": "", "/usr/bin/ssh-keygen": "", "/etc/systemd/system/x": ""}
    host = make_host({**base, **files})
    for path in list(base) + list(files):
        if "/bin/" in path or "/sbin/" in path:
            os.chmod(host.path(path), 0o755)
    result = run(host)
    assert process.failure_sentence(result) is None
    assert not host.exists("/etc/systemd/system/azure-ssh-host-keys.service")


def test_a_unit_for_the_first_boot_does_not_run_with_an_empty_machine_id(make_host: MakeHost) -> None:
    """Debian 13's openssh-server; the images of others may have an agent that makes the keys, this one has none."""
    unit = "[Unit]\nConditionFirstBoot=yes\n\n[Service]\nExecStart=ssh-keygen -A\n"
    files = {
        "/usr/sbin/sshd": "",
        "/usr/bin/ssh-keygen": "",
        "/etc/systemd/system/ssh.service.wants/sshd-keygen.service": "-> /usr/lib/systemd/system/sshd-keygen.service",
        "/usr/lib/systemd/system/sshd-keygen.service": unit,
    }
    host = make_host(files)
    for path in ("/usr/sbin/sshd", "/usr/bin/ssh-keygen"):
        os.chmod(host.path(path), 0o755)
    assert process.failure_sentence(run(host)) is None
    assert host.exists("/etc/systemd/system/multi-user.target.wants/azure-ssh-host-keys.service")


def test_network_files_go_only_where_cloud_init_writes_them_again(make_host: MakeHost) -> None:
    files = {"/usr/bin/cloud-init": "", "/etc/netplan/00-installer-config.yaml": "network: {}\n"}
    host = make_host(files)
    os.chmod(host.path("/usr/bin/cloud-init"), 0o755)
    host.write("/etc/cloud/cloud.cfg.d/99-off.cfg", "network:\n  config: disabled\n")
    run(host)
    assert host.exists("/etc/netplan/00-installer-config.yaml")
    host.remove("/etc/cloud/cloud.cfg.d/99-off.cfg")
    run(host)
    assert not host.exists("/etc/netplan/00-installer-config.yaml")


def test_homes_that_are_not_only_theirs_stay(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\na:x:1000:1000::/:/bin/sh\nb:x:1001:1001::/srv/shared:/bin/sh\n"
            "c:x:1002:1002::/srv/shared:/bin/sh\nd:x:1003:1003::/home/d/../../etc:/bin/sh\ne:x:1004:1004::/usr/x:/bin/sh\n",
            "/srv/shared/file": "kept",
            "/usr/x/file": "kept",
            "/etc/file": "kept",
        }
    )
    result = run(host, Options(remove_users=("a", "b", "d", "e")))
    assert process.failure_sentence(result) is None
    assert host.exists("/srv/shared/file") and host.exists("/usr/x/file") and host.exists("/etc/file")
    assert any("/srv/shared" in note and "stays" in note for note in result["notes"])
    assert host.read("/etc/passwd") == "root:x:0:0::/root:/bin/sh\nc:x:1002:1002::/srv/shared:/bin/sh\n"


def test_links_are_not_followed_out(make_host: MakeHost, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write_tree(outside, {"/precious": "kept"})
    host = make_host(
        {"/tmp/link": f"-> {outside}", "/root/.bash_history": "-> /dev/null", "/var/log/x.log": "-> /etc/x"}
    )
    host.write("/etc/x", "kept")
    run(host)
    assert (outside / "precious").read_text() == "kept"
    assert host.readlink("/root/.bash_history") == "/dev/null"
    assert host.read("/etc/x") == "kept" and host.is_link("/var/log/x.log")


def test_system_accounts_are_refused(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n"})
    for name in ("root", "daemon"):
        with pytest.raises(AzurePrepError, match="account of the system"):
            run(host, Options(remove_users=(name,)))
    result = run(host, Options(remove_users=("ghost",)))
    assert any("ghost" in note for note in result["notes"])


def test_specialized_cleans_nothing(used: Host) -> None:
    used.write("/etc/waagent.conf", "# c\nProvisioning.Agent=auto\nOther=y\n")
    used.write("/usr/bin/cloud-init", "", mode=0o755)
    before = all_files(used)
    preview = process.specialize(used, True)
    assert preview["changed"] and all_files(used) == before
    result = process.specialize(used, False)
    assert result["changed"] and all(check["ok"] for check in result["checks"])
    after = all_files(used)
    assert after.pop("/etc/waagent.conf") == b"# c\nProvisioning.Agent=disabled\nOther=y\n"
    after.pop("/etc/cloud/cloud-init.disabled")
    before.pop("/etc/waagent.conf")
    assert after == before
    assert not process.specialize(used, False)["changed"]


#: A VM that was provisioned without an agent, on Azure, as it is before it becomes an image again.
AGENTLESS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/bash\n",
    "/etc/sudoers.d/azure-provisioning": "anna ALL=(ALL) NOPASSWD: ALL\n",
    "/home/anna/.ssh/authorized_keys": "ssh-ed25519 AAAA anna\n",
    "/usr/local/sbin/azure-provisioning": "#!/bin/sh\nssh-keygen -A\n",
    "/var/lib/azure-provisioning/provisioned": "i-1\n",
    "/usr/sbin/sshd": "",
    "/usr/bin/ssh-keygen": "",
    **{
        f"/etc/systemd/system/azure-provisioning{name}.service": "[Service]\n"
        "ExecStart=/usr/local/sbin/azure-provisioning x\n[Install]\nWantedBy=multi-user.target\n"
        for name in ("", "-early")
    },
}
WANTS = "/etc/systemd/system/multi-user.target.wants/"


def agentless(make_host: MakeHost, **more: str) -> Host:
    host = make_host({**AGENTLESS, **more})
    for path in AGENTLESS:
        if "bin/" in path:
            os.chmod(host.path(path), 0o755)
    return host


def test_a_vm_without_an_agent_becomes_an_image_that_provisions_again(make_host: MakeHost) -> None:
    host = agentless(make_host)
    planned = process.describe_plan(Context(host, Options()))
    result = run(host)
    assert process.failure_sentence(result) is None
    assert result["accounts"] == planned["accounts"] == ["anna"] and "anna" not in host.read("/etc/passwd")
    for path in ("/etc/sudoers.d/azure-provisioning", "/home/anna", "/var/lib/azure-provisioning/provisioned"):
        assert not host.exists(path)
    for name in ("azure-provisioning-early.service", "azure-provisioning.service"):
        assert host.readlink(WANTS + name) == "/etc/systemd/system/" + name
    # The program makes the host keys, so that nobody else has to.
    assert not host.exists("/etc/systemd/system/azure-ssh-host-keys.service")
    assert {entry["path"] for entry in result["removed"]} == {entry["path"] for entry in planned["removed"]}
    assert not run(host)["changed"]


@pytest.mark.parametrize("path", ["/usr/bin/cloud-init", "/usr/sbin/waagent"])
def test_units_without_an_agent_stay_off_where_somebody_else_provisions(make_host: MakeHost, path: str) -> None:
    host = agentless(make_host)
    host.write(path, "", mode=0o755)
    assert process.failure_sentence(run(host)) is None
    assert not host.exists(WANTS + "azure-provisioning.service")


def test_a_masked_unit_stays_masked(make_host: MakeHost) -> None:
    host = agentless(make_host)
    host.symlink("/dev/null", "/etc/systemd/system/azure-provisioning.service")
    run(host)
    assert not host.is_link(WANTS + "azure-provisioning.service")


def test_a_specialised_image_without_an_agent_does_not_provision(make_host: MakeHost) -> None:
    host = agentless(make_host)
    assert not process.specialize(host, False)["changed"]
    host.remove("/var/lib/azure-provisioning/provisioned")
    assert process.specialize(host, False)["changed"]
    assert host.exists("/var/lib/azure-provisioning/provisioned")


def test_the_documented_list_of_items_is_the_real_one() -> None:
    text = (Path(__file__).parents[5] / "docs/deprovision.md").read_text(encoding="utf-8")
    for item in ITEMS:
        assert f"| `{item.id}` | {item.rule} | {item.title} |" in text


def test_keys_where_sshd_config_puts_them(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/etc/ssh/sshd_config": "hostkey /etc/keys/host\nAuthorizedKeysFile .ssh/k /etc/keys/%u/pub\n",
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/:/bin/sh\n",
            "/etc/ssh/sshd_config.d/x.conf": "Match User a\n  AuthorizedKeysFile=%h/keys\n  HostKey rel\n",
            "/etc/keys/host": "k",
            "/etc/keys/host.pub": "k",
            "/etc/keys/alice/pub": "k",
            "/etc/keys/other": "kept",
            "/root/keys": "k",
            "/root/rel": "kept",
        }
    )
    run(host)
    left = sorted(path for path in all_files(host) if "keys" in path or "rel" in path)
    assert left == ["/etc/keys/other", "/root/rel"]


def test_a_home_behind_a_link_goes_with_the_link(make_host: MakeHost) -> None:
    uid = os.getuid() or 1000
    host = make_host(
        {
            "/etc/passwd": f"alice:x:{uid}:{uid}::/home/alice:/bin/sh\n",
            "/home/alice": "-> /data/alice",
            "/data/alice/file": CANARY,
            "/data/bob/file": "kept",
        }
    )
    if os.getuid() == 0:
        os.chown(host.path("/data/alice"), uid, uid)
    result = run(host, Options(remove_users=("alice",)))
    assert process.failure_sentence(result) is None
    assert host.listdir("/data") == ["bob"] and host.listdir("/home") == []


def test_host_name_in_sysconfig(make_host: MakeHost) -> None:
    host = make_host({"/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=builder.example.com\n"})
    run(host)
    assert host.read("/etc/sysconfig/network") == "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n"
