# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees in which users, administrators and programs left traps: links, second names, flags, mounts, strange homes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import engine, places, process
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.items import ITEMS, Item
from ansible_collections.linuxvhd.azure.plugins.module_utils.filesystems import Mount
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

MakeHost = Callable[..., Host]
SECRET = "canary-91bb"
DEFAULT = Options()
PASSWD = (
    "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/zsh\n"
    "carol:x:1002:1002::/home/carol:/bin/sh\n"
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root (files of several owners)")


def run(host: Host, options: Options = DEFAULT) -> dict:
    """Run, and hold check mode to what the run then does: every path and account with its size, nothing else."""
    planned = process.describe_plan(Context(host, options))
    result = process.run(host, Context(host, options))
    key = "removed"
    assert sorted(map(str, planned[key])) == sorted(map(str, result[key]))
    assert planned["removed_bytes"] == result["removed_bytes"]
    assert planned["accounts"] == result["accounts"]
    return result


def failed(result: dict) -> list[str]:
    return [check["id"] for check in result["checks"] if not check["ok"]]


def notes(result: dict) -> str:
    return "\n".join(result["notes"])


@pytest.mark.parametrize(
    "name",
    [".bash_history", ".zsh_history", ".python_history", ".viminfo", ".ssh/authorized_keys", ".netrc", ".cache"],
)
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "/etc"])
def test_a_link_in_a_home_never_costs_what_it_points_to(make_host: MakeHost, name: str, target: str) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/etc/group": "x:x:5:\n", f"/home/carol/{name}": f"-> {target}"})
    result = run(host)
    assert failed(result) == []
    assert host.read("/etc/passwd") == PASSWD and host.read("/etc/group") == "x:x:5:\n"


@pytest.mark.parametrize("link", [".ssh", ".aws", ".config", ".local", ".config/fish", ".local/share", ".vim"])
def test_a_linked_directory_in_a_home_is_not_entered(make_host: MakeHost, link: str) -> None:
    below = {
        "authorized_keys": "k", "id_rsa": "k", "x.pem": "-----BEGIN PRIVATE KEY-----", "credentials": "c",
        "fish_history": "h", "fish/fish_history": "h", "gcloud/x": "c", "share/nano/x": "h", "nano/x": "h",
        "share/fish/fish_history": "h", "undo/x": "h", "deploy": "-----BEGIN OPENSSH PRIVATE KEY-----",
    }  # fmt: skip
    files = {f"/srv/data/{name}": text for name, text in below.items()}
    host = make_host({"/etc/passwd": PASSWD, f"/home/carol/{link}": "-> /srv/data", **files})
    result = run(host)
    assert failed(result) == []
    assert {name: host.read(f"/srv/data/{name}") for name in below} == below


def test_links_that_stay_in_the_home_are_followed(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/etc/passwd": PASSWD,
            "/home/carol/.bash_history": "-> dotfiles/history",
            "/home/carol/dotfiles/history": SECRET,
            "/home/carol/.ssh": "-> dotfiles/ssh",
            "/home/carol/dotfiles/ssh/deploy": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "/home/carol/dotfiles/ssh/deploy.pub": "ssh-rsa",
            "/home/carol/dotfiles/ssh/config": "Host *\n",
        }
    )
    result = run(host)
    assert failed(result) == []
    assert host.read("/home/carol/dotfiles/history") == "" and host.is_link("/home/carol/.bash_history")
    assert host.listdir("/home/carol/dotfiles/ssh") == ["config"]


def test_a_history_that_points_elsewhere_loses_its_link_and_is_told(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/root/.bash_history": "-> /srv/notes", "/srv/notes": "kept"})
    result = run(host)
    assert host.read("/srv/notes") == "kept" and not host.is_link("/root/.bash_history")
    assert "/root/.bash_history was a link to /srv/notes, which was left alone." in notes(result)


@pytest.mark.parametrize("path", ["/root/.bash_history", "/var/log/app.log", "/home/carol/.zsh_history"])
def test_a_second_name_of_a_file_elsewhere_never_empties_it(make_host: MakeHost, path: str) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/root/x": "", "/var/log/x": "", "/home/carol/x": ""})
    os.link(host.path("/etc/passwd"), host.path(path))
    result = run(host)
    assert failed(result) == [] and host.read("/etc/passwd") == PASSWD and not host.exists(path)
    assert "hard link" in notes(result)


def test_second_names_in_the_same_place_are_emptied(make_host: MakeHost) -> None:
    host = make_host({"/root/.bash_history": SECRET, "/var/log/a.log": SECRET})
    os.link(host.path("/root/.bash_history"), host.path("/root/copy"))
    os.link(host.path("/var/log/a.log"), host.path("/var/log/b.log"))
    process.run(host, Context(host, Options()))
    assert host.read("/root/copy") == "" and host.read("/var/log/b.log") == ""


@as_root
@pytest.mark.parametrize(
    ("source", "named", "owner", "emptied"),
    [
        ("/home/carol/.bashrc", "/etc/passwd", 0, False),
        ("/home/carol/.bashrc", "/etc/hist", 1002, False),
        ("/home/carol/.bashrc", "/srv/carol_history", 1002, True),
        ("/home/carol/.bashrc", "/srv/history_of_bob", 1001, False),
        ("/home/carol/.bashrc", "/srv/data", 1002, False),
        ("/etc/profile", "/var/log/hist/carol.hist", 1002, True),
        ("/etc/profile", "/etc/history.conf", 0, False),
    ],
)
def test_files_that_start_up_files_call_history(
    make_host: MakeHost, source: str, named: str, owner: int, emptied: bool
) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/home/carol/x": ""})
    host.write(source, f"export HISTFILE={named}\n")
    if named != "/etc/passwd":
        host.write(named, SECRET)
        os.chown(host.path(named), owner, owner)
    os.chown(host.path("/home/carol"), 1002, 1002)
    result = run(host)
    # Below /var/log everything is emptied anyway.
    assert (host.read(named) == "") == emptied
    assert ("left alone" in notes(result)) == (not emptied)


def test_histories_with_the_users_name_in_the_path(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/etc/passwd": PASSWD,
            "/etc/profile.d/h.sh": 'HISTFILE="/srv/hist/${USER:-x}.history"\n',
            "/home/carol/.zshrc": "HISTFILE=${ZDOTDIR:-$HOME}/.mine\n",
            "/home/carol/.mine": SECRET,
            "/srv/hist/carol.history": SECRET,
            "/srv/hist/mallory.history": "kept",
        }
    )
    assert failed(run(host)) == []
    assert [host.read(p) for p in ("/home/carol/.mine", "/srv/hist/carol.history")] == ["", ""]
    assert host.read("/srv/hist/mallory.history") == "kept"


def test_histories_of_programs_that_nobody_listed(make_host: MakeHost) -> None:
    names = (".foo_history", ".psql_history-db", ".mycli-history", ".config/litecli/history", ".secret.txt.swp",
             ".node_repl_history", ".rediscli_history", ".local/state/x/history", ".python_history.old")  # fmt: skip
    host = make_host({"/etc/passwd": PASSWD, "/root/history.txt": "kept", "/etc/.shadow.swp": SECRET,
                      **{f"/root/{name}": SECRET for name in names}})  # fmt: skip
    assert failed(run(host)) == []
    assert [name for name in names if host.exists("/root/" + name)] == [] and host.read("/root/history.txt") == "kept"
    assert not host.exists("/etc/.shadow.swp")


def test_things_that_are_no_files(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/root/x": "", "/var/log/x": "", "/etc/x": ""})
    for path in ("/root/.bash_history", "/root/.bashrc", "/var/log/xconsole", "/root/.mysql_history", "/etc/fifo"):
        os.mkfifo(host.path(path))
    os.mkdir(host.path("/root/.zsh_history"))
    Path(host.path("/root/.zsh_history/1")).write_text(SECRET)
    assert failed(run(host)) == []
    assert stat.S_ISFIFO(host.stat("/root/.bash_history").st_mode)  # type: ignore[union-attr]
    assert stat.S_ISFIFO(host.stat("/var/log/xconsole").st_mode)  # type: ignore[union-attr]
    assert not host.exists("/root/.zsh_history/1")


def test_logs_are_emptied_in_place(make_host: MakeHost) -> None:
    host = make_host({"/var/log/syslog": SECRET, "/var/log/sa/sa21": SECRET, "/var/log/lastlog": ""})
    with open(host.path("/var/log/lastlog"), "r+b") as stream:
        stream.truncate(1 << 40)
    os.chmod(host.path("/var/log/syslog"), 0o640)
    before = host.stat("/var/log/syslog")
    with open(host.path("/var/log/syslog"), "ab") as writer:
        result = run(host)
        writer.write(b"again")
    after = host.stat("/var/log/syslog")
    assert before and after and (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert host.read("/var/log/syslog") == "again" and host.stat("/var/log/lastlog").st_size == 0  # type: ignore
    assert {e["path"]: e["bytes"] for e in result["removed"]}["/var/log/lastlog"] == 1 << 40


@as_root
@pytest.mark.parametrize(
    ("flag", "path", "text"),
    [
        ("i", "/etc/resolv.conf", "nameserver 192.0.2.7\n"),
        ("a", "/var/log/secure", SECRET),
        ("i", "/home/bob/deep/file", SECRET),
        ("i", "/etc/shadow", "root:$6$abcdefghijklmnop:1::::::\nbob:$6$x:1::::::\n"),
        ("i", "/home/bob/deep", ""),
    ],
)
def test_flags_that_forbid_changes_are_lifted(make_host: MakeHost, flag: str, path: str, text: str) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/usr/sbin/dhclient": "", "/home/bob/deep/file": SECRET})
    if text:
        host.write(path, text)
    os.chmod(host.path("/usr/sbin/dhclient"), 0o755)
    if not shutil.which("chattr") or subprocess.run(["chattr", "+" + flag, host.path(path)], check=False).returncode:
        pytest.skip("no chattr here")
    result = run(host, Options(remove_users=("bob",)))
    left = subprocess.run(["lsattr", "-d", host.path(path)], capture_output=True, text=True, check=False).stdout[:20]
    subprocess.run(["chattr", "-ia", host.path(path)], check=False, capture_output=True)
    assert failed(result) == []
    if path in ("/var/log/secure", "/etc/shadow"):
        assert flag in left, "the flag must be there again"
    else:
        assert not host.exists(path)
    assert "chattr" in notes(result) or path.startswith("/home")


@as_root
def test_a_mount_in_the_connected_home_stops_before_the_way_in_is_taken(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/home/alice/data/x": "kept", "/etc/ssh/ssh_host_rsa_key": "k"})
    options = Options(connected_users=("alice",))
    context = Context(host, options)
    context.mounts = [Mount(host.path("/home/alice/data"), "ext4")]
    planned = process.describe_plan(context)
    result = process.run(host, context)
    assert failed(result) == ["connected_account"] and "unmount it" in (process.failure_sentence(result) or "")
    assert "unmount it" in notes(planned)
    assert host.exists("/etc/ssh/ssh_host_rsa_key") and host.read("/home/alice/data/x") == "kept"
    assert "alice" in host.read("/etc/passwd")


def test_what_lies_on_a_network_file_system_stays(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": PASSWD, "/home/bob/x": "kept", "/home/carol/.bash_history": "kept", "/tmp/x": "x"})
    context = Context(host, Options(remove_users=("bob",)))
    context.mounts = [Mount(host.root, "ext4"), Mount(host.path("/home"), "nfs4")]
    result = process.run(host, context)
    assert failed(result) == [] and "network file system (nfs4)" in notes(result)
    assert host.read("/home/bob/x") == "kept" and host.read("/home/carol/.bash_history") == "kept"
    assert not host.exists("/tmp/x") and "bob" not in host.read("/etc/passwd")


@as_root
def test_strange_homes(make_host: MakeHost) -> None:
    passwd = (
        "root:x:0:0::/root:/bin/sh\n1000:x:1500:1500::/srv/home/x:/bin/sh\nslash:x:1501:1501::/:/bin/sh\n"
        "none:x:1502:1502::/home/none:/bin/sh\nempty:x:1503:1503:::/bin/sh\nouter:x:1504:1504::/home/o:/bin/sh\n"
        "inner:x:1505:1505::/home/o/i:/bin/sh\nlink:x:1506:1506::/home/link:/bin/sh\nAzureUser:x:1507:1507::/home/A:/b\n"
    )
    host = make_host(
        {
            "/etc/passwd": passwd,
            "/etc/sudoers.d/waagent": "AzureUser ALL=(ALL) NOPASSWD: ALL\nADMINS ALL=(ALL) ALL\n",
            "/srv/home/x/f": SECRET,
            "/home/o/i/f": SECRET,
            "/home/o/.bash_history": SECRET,
            "/home/link": "-> /data/foreign",
            "/data/foreign/f": "kept",
            "/home/A/f": SECRET,
        }
    )
    os.chown(host.path("/srv/home/x"), 1500, 1500)
    names = ("1000", "slash", "none", "empty", "outer", "inner", "link")
    result = run(host, Options(remove_users=names))
    assert failed(result) == []
    assert host.read("/etc/passwd") == "root:x:0:0::/root:/bin/sh\n" and "AzureUser" in result["accounts"]
    assert host.listdir("/home") == [] and host.listdir("/srv/home") == []
    assert host.read("/data/foreign/f") == "kept"
    assert len([e for e in result["removed"] if e["path"].startswith("/home/o")]) == 1


def test_an_account_that_passwd_does_not_have(make_host: MakeHost) -> None:
    """A user of a directory service, or one whose account went before its files."""
    host = make_host(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
            "/etc/group": "sudo:x:27:ldapo,x\n",
            "/home/ldapo/.bash_history": SECRET,
            "/var/spool/cron/crontabs/ldapo": SECRET,
            "/var/mail/ldapo": SECRET,
            "/etc/sudoers.d/ldapo": "ldapo ALL=(ALL) ALL\n",
        }
    )
    result = run(host, Options(remove_users=("ldapo", "ghost", "../etc", ".")))
    assert failed(result) == [] and result["accounts"] == ["ldapo"]
    assert host.read("/etc/group") == "sudo:x:27:x\n" and host.exists("/etc/passwd")
    assert not any(host.exists(p) for p in ("/home/ldapo", "/etc/sudoers.d/ldapo", "/var/mail/ldapo"))
    assert "ghost, but there is no such account" in notes(result)


@pytest.mark.parametrize(
    ("link", "dbus"),
    [
        ("-> /var/lib/dbus/machine-id", "file"),
        ("file", "-> /etc/machine-id"),
        ("file", "file"),
        ("-> /nowhere", "none"),
    ],
)
def test_machine_ids_in_every_arrangement(make_host: MakeHost, link: str, dbus: str) -> None:
    text = {"file": "0123456789abcdef0123456789abcdef\n"}
    files = {"/etc/machine-id": text.get(link, link)}
    if dbus != "none":
        files["/var/lib/dbus/machine-id"] = text.get(dbus, dbus)
    host = make_host(files)
    result = run(host)
    assert failed(result) == []
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        assert not host.exists(path) or host.read_bytes(path) == b""
    assert host.is_link("/etc/machine-id") == link.startswith("->")


@pytest.mark.parametrize(
    "target",
    ["../run/systemd/resolve/stub-resolv.conf", "/run/NetworkManager/resolv.conf", "/etc/resolvconf/run/resolv.conf"],
)
def test_resolver_links_come_back_raw(make_host: MakeHost, target: str) -> None:
    host = make_host({"/etc/resolv.conf": "-> " + target})
    context = Context(host, Options())
    host.remove("/etc/resolv.conf")
    host.write("/etc/resolv.conf", "search nowhere\n")
    assert failed(process.run(host, context)) == [] and host.readlink("/etc/resolv.conf") == target


def test_cloud_init_state_with_its_instance_link(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/var/lib/cloud/instances/i-1/user-data.txt": SECRET,
            "/var/lib/cloud/instance": "-> /var/lib/cloud/instances/i-1",
            "/var/lib/cloud/data/set-hostname": "builder",
            "/var/lib/cloud/scripts/per-boot/x.sh": "#!/bin/sh\n",
            "/etc/outside": "kept",
            "/var/lib/cloud/seed": "-> /etc",
        }
    )
    assert failed(run(host)) == []
    assert host.listdir("/var/lib/cloud") == ["scripts"] and host.read("/etc/outside") == "kept"


@pytest.mark.parametrize(("debian", "expected"), [(True, "GenerateName=yes\n"), (False, None)])
def test_the_initiator_name_is_made_again(make_host: MakeHost, debian: bool, expected: str | None) -> None:
    host = make_host({"/etc/iscsi/initiatorname.iscsi": "InitiatorName=iqn.1993-08.org.debian:01:abc\n"})
    if debian:
        host.write("/lib/open-iscsi/startup-checks.sh", "#!/bin/sh\n")
    assert failed(run(host)) == []
    name = "/etc/iscsi/initiatorname.iscsi"
    assert (host.read(name) if host.exists(name) else None) == expected
    assert not run(host)["changed"]


IDENTITY = {
    "credentials": ("/root/.aws/credentials", "/root/.azure/x", "/root/.docker/config.json", "/root/.kube/config"),
    "crash_dumps": ("/var/crash/x/vmcore", "/var/lib/systemd/coredump/core.x.zst"),
    "installer": ("/root/anaconda-ks.cfg", "/var/log/installer/syslog", "/var/log/anaconda/x", "/preseed.cfg"),
    "package_cache": ("/var/cache/dnf/x/y", "/var/cache/yum/x", "/var/cache/zypp/x", "/var/lib/apt/lists/x"),
    "databases_of_names": ("/var/lib/sss/db/cache_x.ldb", "/var/lib/sss/db/ccache_X"),
    "domain_secrets": ("/etc/krb5.keytab", "/var/lib/samba/private/secrets.tdb"),
    "random_seed": ("/boot/efi/loader/random-seed", "/efi/loader/random-seed", "/var/lib/urandom/random-seed"),
    "other_identities": ("/etc/nvme/hostid", "/etc/nvme/hostnqn", "/var/lib/zypp/AnonymousUniqueId"),
    "dhcp_leases": ("/var/lib/NetworkManager/secret_key", "/var/lib/wicked/x.xml", "/var/lib/dhcpcd/eth0.lease"),
    "own_backups": ("/var/backups/linuxvhd-azure/etc/hosts.20260102T030405Z~", "/etc/hosts.20260102T030405Z~"),
    "lvm_devices": ("/etc/lvm/devices/system.devices",),
    "login_records": ("/var/lib/lastlog/lastlog2.db",),
}


@pytest.mark.parametrize("item", sorted(IDENTITY))
def test_each_kind_goes_is_checked_by_id_and_can_be_kept(make_host: MakeHost, item: str) -> None:
    host = make_host({"/root/x": "kept", **dict.fromkeys(IDENTITY[item], SECRET)})
    kept = process.run(host, Context(host, Options(keep=(item,))))
    assert [c["state"] for c in kept["checks"] if c["id"] == item] == ["kept"]
    assert [path for path in IDENTITY[item] if not host.exists(path)] == []

    result = run(host)
    assert [(c["state"], c["ok"]) for c in result["checks"] if c["id"] == item] == [("done", True)]
    assert [path for path in IDENTITY[item] if host.is_file(path) and host.read(path)] == []


@pytest.mark.parametrize("unregister", [False, True])
def test_subscriptions_go_only_where_asked(make_host: MakeHost, unregister: bool) -> None:
    files = ("/etc/pki/consumer/cert.pem", "/var/lib/rhsm/x", "/etc/zypp/credentials.d/SCC", "/etc/SUSEConnect")
    host = make_host(dict.fromkeys(files, SECRET))
    assert failed(run(host, Options(unregister=unregister))) == []
    assert [path for path in files if host.exists(path)] == ([] if unregister else list(files))


@pytest.mark.parametrize("item", [item for item in ITEMS if item.paths and item.action in ("delete", "empty")])
def test_what_cannot_go_is_a_failure_that_names_it(make_host: MakeHost, item: Item) -> None:
    """A path of each item that refuses to go: the check of that ID is false and says which path."""
    pattern = item.paths[0].replace("%h", "/root").replace("[a-p]", "p").replace("??????T??????", "260102T030405")
    path = pattern.replace("20??", "2026").replace("*", "x").replace("?", "1")
    if item.action == "empty":
        path += "/file"
    host = make_host({path: SECRET, "/usr/bin/cloud-init": "", "/etc/etckeeper/etckeeper.conf": ""})
    os.chmod(host.path("/usr/bin/cloud-init"), 0o755)
    entries = engine.find(Context(host, Options(unregister=True)), item)
    assert entries, path
    stuck = entries[-1].path

    def refuse(step: str, where: str) -> None:
        if where == stuck and step in ("unlink", "truncate"):
            raise OSError(1, "Operation not permitted")

    result = process.run(
        Host(host.root, fault=refuse), Context(Host(host.root, fault=refuse), Options(unregister=True))
    )
    assert item.id in failed(result)
    evidence = next(check["evidence"] for check in result["checks"] if check["id"] == item.id)
    assert stuck in evidence


def test_files_of_removed_accounts_elsewhere_are_told(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host(
        {"/etc/passwd": PASSWD, "/srv/work/a": "x", "/etc/motd": "Ask bob!\n", "/opt/app/conf": "user=bob"}
    )
    if os.geteuid() == 0:
        os.chown(host.path("/srv/work/a"), 1001, 1001)
    result = run(host, Options(remove_users=("bob",)))
    assert "/etc/motd still names bob." in notes(result) and "/opt/app/conf still names bob." in notes(result)
    if os.geteuid() == 0:
        assert "1 files stay that belong to the UID 1001 of bob" in notes(result)


def test_a_link_swapped_in_meanwhile_is_an_error(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host({"/home/carol/.local/x/file": SECRET})
    write_tree(tmp_path / "outside", {"/x/file": "kept"})
    real = host.path("/home/carol/.local/x/file")
    shutil.rmtree(host.path("/home/carol/.local"))
    os.symlink(tmp_path / "outside", host.path("/home/carol/.local"))
    for action in (places.truncate, places.unlink):
        with pytest.raises(OSError):
            action(real)
    assert (tmp_path / "outside/x/file").read_text() == "kept"


def test_the_code_of_a_session_that_came_back_stays_until_it_ended(make_host: MakeHost) -> None:
    host = make_host({"/tmp/ansible_payload_x/code.zip": "x", "/tmp/other": "x"})
    context = Context(host, Options())
    context.protected_later = lambda: ["/tmp/ansible_payload_x"]
    assert failed(process.run(host, context)) == []
    assert host.listdir("/tmp") == ["ansible_payload_x"]
