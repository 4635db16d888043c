# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Used guests are deprovisioned over SSH by the account that goes, power themselves off, and are searched offline.

Minutes per guest without KVM, in need of QEMU, debugfs and built guests; not part of the quick tiers:

    pytest tests/proof/test_deprovision.py                        # every guest and every accident
    pytest tests/proof/test_deprovision.py -k "searched and 12"   # some

Not looked at: blocks of deleted files. free_space=trim gives them back to the disk, which may or may not forget them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
from guests import build, cli, launch, start
from guests.errors import GuestError

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-2d40"
POWEROFF_SECONDS = 420
#: Nobody but the machine's own accounts goes by these names, so no package file holds them.
PEOPLE = ("bobby77", "clara78")

#: The mess of a used machine, made as root; every planted secret holds CANARY.
USE = f"""
set -u
me=$SUDO_USER
for name in {" ".join(PEOPLE)}; do
    useradd -m -s /bin/bash -G sudo $name; echo "$name:{CANARY}x9" | chpasswd
    echo "$name ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/$name
    echo "* * * * * true {CANARY}" > /var/spool/cron/crontabs/$name
    mkdir -p /var/mail; echo "From {CANARY}" > /var/mail/$name
    loginctl enable-linger $name
    setsid runuser -u $name -- sleep 3000 >/dev/null 2>&1 &
done
echo "Defaults:bobby77 !requiretty" >> /etc/sudoers
echo "root: bobby77, clara78" >> /etc/aliases
ln -s /etc/hostname /home/clara78/.bash_history; echo 'HISTFILE=/etc/hostname' >> /home/clara78/.bashrc
for home in /root /home/bobby77 /home/$me; do
    mkdir -p $home/.config/fish $home/.local/share/fish $home/.local/state/nvim $home/.ssh $home/.cache $home/.aws \\
        $home/.azure $home/.docker $home/.kube $home/.mozilla $home/.local/share/nano $home/.config/litecli
    for f in .bash_history .zsh_history .config/fish/fish_history .local/share/fish/fish_history .python_history \\
             .mysql_history .psql_history .psql_history-shop .lesshst .node_repl_history .sqlite_history .viminfo \\
             .rediscli_history .wget-hsts .netrc .cache/x .aws/credentials .azure/msal_token_cache.json .pgpass \\
             .docker/config.json .kube/config .local/state/nvim/undo .config/litecli/history .notes.txt.swp \\
             .ssh/id_ed25519 .ssh/known_hosts .git-credentials .sudo_as_admin_successful; do
        echo '{CANARY}' > $home/$f
    done
    printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\\n{CANARY}\\n' > $home/.ssh/deploy
done
for d in /var/log/journal /var/crash /var/lib/systemd/coredump /var/lib/waagent /var/log/azure/x /var/lib/dhcp \\
         /var/lib/dhcpcd /var/lib/NetworkManager /var/lib/systemd/network /var/log/installer/cdebconf /var/log/app \\
         /var/lib/cloud/instances/i-1 /var/backups/linuxvhd-azure/etc /etc/iscsi /etc/nvme /var/lib/sss/db \\
         /etc/cloud/cloud.cfg.d /var/lib/plocate; do mkdir -p $d; done
for f in /var/log/old.log.1 /var/log/app/a.log /tmp/t /var/tmp/t /var/log/azure/x/l /var/lib/waagent/c.prv \\
         /var/crash/c /var/lib/systemd/coredump/core.1 /var/lib/dhcp/dhclient.x.leases /var/lib/dhcpcd/eth0.lease \\
         /var/lib/NetworkManager/internal-1-eth0.lease /var/lib/NetworkManager/secret_key /etc/.shadow.swp \\
         /var/lib/systemd/network/x /var/log/installer/cdebconf/questions.dat /var/log/installer/syslog \\
         /var/lib/cloud/instances/i-1/user-data.txt /var/log/cloud-init.log /etc/krb5.keytab /etc/nvme/hostid \\
         /var/backups/linuxvhd-azure/etc/hosts.20260102T030405Z~ /etc/hosts.20260102T030405Z~ /root/anaconda-ks.cfg \\
         /var/lib/sss/db/cache_x.ldb /etc/shadow- /var/backups/shadow.bak /var/lib/plocate/plocate.db \\
         /var/lib/systemd/credential.secret /var/log/dpkg.log.2.gz; do echo '{CANARY}' > $f; done
echo "{CANARY}" | gzip > /var/log/syslog.3.gz
printf 'bobby77 ALL=(ALL) NOPASSWD:ALL\\n' > /etc/sudoers.d/90-cloud-init-users
printf '%s ALL=(ALL) NOPASSWD: ALL\\n' $me > /etc/sudoers.d/waagent
printf '%s ALL=(ALL) NOPASSWD: ALL\\n' $me > /etc/sudoers.d/zz-azure-prep-$me
ln -s instances/i-1 /var/lib/cloud/instance
echo "/dev/disk/cloud/azure_resource-part1 /mnt auto defaults,nofail,comment=cloudconfig,noauto 0 2" >> /etc/fstab
echo "SUBSYSTEM==net,{CANARY}" > /etc/udev/rules.d/70-persistent-net.rules
rm -f /var/lib/dbus/machine-id; cp /etc/machine-id /var/lib/dbus/machine-id
systemctl restart systemd-journald; logger '{CANARY}'; logger -p auth.info '{CANARY}'
setsid sh -c 'while :; do echo "{CANARY} $(date)" >> /var/log/app/a.log; sleep 0.2; done' >/dev/null 2>&1 &
cat > /etc/systemd/system/chatty.service <<'EOF'
[Service]
ExecStart=/bin/sh -c 'exec >>/var/log/app/chatty.log; while :; do printf canary-; echo 2d40; sleep 0.1; done'
Restart=always
EOF
systemctl daemon-reload; systemctl start chatty
sync
"""

#: What a watcher inside does, as root, when the work comes to a step: seen on the serial console.
WATCHER = """
import json, os, re, subprocess, sys, time
step, action = sys.argv[1], sys.argv[2]
while True:
    try:
        now = json.load(open("/run/azure-deprovision/progress.json"))["step"]
    except (OSError, ValueError):
        now = ""
    if re.search(step, now):
        break
    time.sleep(0.01)
with open("/dev/ttyS0", "w") as console:
    console.write("\\r\\nWATCHER %s at: %s\\r\\n" % (action, now))
if action == "kill":
    for name in os.listdir("/proc"):
        try:
            words = open("/proc/%s/cmdline" % name, "rb").read().split(b"\\0") if name.isdigit() else []
        except OSError:
            continue
        if any(word.endswith(b"/worker.py") for word in words):
            os.kill(int(name), 9)
elif action == "unplug":
    for name in os.listdir("/sys/class/net"):
        if name != "lo":
            subprocess.call(["/sbin/ip", "link", "set", name, "down"])
elif action == "reset":
    open("/proc/sysrq-trigger", "w").write("b")
"""

PLAYBOOK = """
- hosts: guests
  gather_facts: false
  become: true
  tasks:
    - name: See what would go
      linuxvhd.azure.deprovision: &options
        confirm: "{{ inventory_hostname }}"
        remove_users: [bobby77, clara78, helpdesk]
        poweroff: true
      check_mode: true
      register: planned
    - name: Do it
      linuxvhd.azure.deprovision: *options
      register: done
      ignore_errors: true
    - name: Keep the results
      ansible.builtin.copy:
        content: "{{ {'planned': planned, 'done': done} | to_json }}"
        dest: "{{ lookup('env', 'RESULT') }}"
        mode: "0600"
      delegate_to: localhost
      become: false
"""


class Guest:
    """A started guest and what is kept of it: state, directory of this test, name in the inventory."""

    def __init__(self, name: str, work: Path) -> None:
        self.work = work
        self.directory = work / "guest"
        self.state = start.start(name, self.directory)
        self.hostname = self.ssh("hostname").strip()

    @property
    def serial(self) -> str:
        return Path(self.state["serial_log"]).read_bytes().decode("utf-8", "replace")

    def ssh(self, *words: str, text: str = "", seconds: float = 300) -> str:
        command = launch.ssh_command(self.state, *words)
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, timeout=seconds)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def watch(self, step: str, action: str) -> None:
        self.ssh("sudo", "tee", "/run/watcher.py", text=WATCHER)
        self.ssh("sudo", "systemd-run", "--quiet", "python3", "/run/watcher.py", f"'{step}'", action)

    def play(self, **popen: Any) -> subprocess.Popen[str]:
        """ansible-playbook with the playbook above, its SSH connections below this test's directory."""
        inventory = self.work / "inventory.yml"
        text = json.dumps(cli.inventory_of({"used": self.state}))
        inventory.write_text(text.replace("ServerAliveInterval=30", "ServerAliveInterval=5"))
        (self.work / "play.yml").write_text(PLAYBOOK)
        # Short: a path of a socket has at most 108 bytes.
        self.sockets = Path("/tmp") / f"azdp{os.getpid()}"
        env = {
            **os.environ,
            "RESULT": str(self.work / "result.json"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.sockets),
            "ANSIBLE_SSH_CONTROL_PATH": "%(directory)s/%%h-%%p",
        }
        command = ["ansible-playbook", "-v", "-i", str(inventory), str(self.work / "play.yml")]
        with (self.work / "play.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, text=True, **popen)

    def results(self, process: subprocess.Popen[str], seconds: float = 900) -> dict[str, Any]:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        log = (self.work / "play.log").read_text()
        assert (self.work / "result.json").exists(), log
        results = json.loads((self.work / "result.json").read_text())
        (self.work / "result.json").replace(self.work / f"result-{time.time_ns()}.json")
        return results

    def wait_on_console(self, pattern: str, seconds: float) -> None:
        launch.wait_for_text(self.is_on, Path(self.state["serial_log"]), pattern, seconds)

    def is_on(self) -> bool:
        return launch.is_ours(int(self.state["pid"]), self.directory)

    def wait_off(self) -> None:
        deadline = time.monotonic() + POWEROFF_SECONDS
        while self.is_on():
            assert time.monotonic() < deadline, "the guest is still on: " + self.serial[-2000:]
            time.sleep(0.5)

    def files(self) -> Path:
        """The files of the largest partition, copied out by debugfs."""
        raw = self.work / "disk.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", self.state["disk"], str(raw)], check=True)
        table = json.loads(subprocess.run(["sfdisk", "-J", str(raw)], capture_output=True, check=True).stdout)
        part = max(table["partitiontable"]["partitions"], key=lambda entry: entry["size"])
        image = self.work / "root.ext4"
        copy = ["dd", f"if={raw}", f"of={image}", "bs=1M", "iflag=skip_bytes,count_bytes", "conv=sparse", "status=none"]
        subprocess.run([*copy, f"skip={part['start'] * 512}", f"count={part['size'] * 512}"], check=True)
        self.raw = raw
        target = self.work / "files"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        subprocess.run(["debugfs", "-R", f"rdump / {target}", str(image)], capture_output=True, check=True)
        image.unlink()
        return target

    def close(self) -> None:
        launch.stop(self.directory)
        shutil.rmtree(getattr(self, "sockets", "/nonexistent"), ignore_errors=True)
        shutil.rmtree(self.work / "files", ignore_errors=True)
        (self.work / "disk.raw").unlink(missing_ok=True)


@pytest.fixture
def guest(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Guest]:
    for program in ("qemu-system-x86_64", "qemu-img", "debugfs", "sfdisk"):
        if not shutil.which(program, path=build.system_environment()["PATH"]):
            pytest.skip(f"needs {program}")
    try:
        state = Guest(request.param, tmp_path)
    except GuestError as exc:
        pytest.skip(f"no guest: {exc}")
    state.ssh("sudo", "bash", "-s", text=USE)
    yield state
    state.close()


def files_with(root: Path, word: str, *below: str) -> list[str]:
    done = subprocess.run(
        ["grep", "-rlawF", "-e", word, *(name for name in (below or (".",)) if (root / name).exists())],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(done.stdout.split())


def assert_clean(guest: Guest, files: Path) -> None:
    """What must hold on the disk however the work was disturbed."""
    assert 'AZURE-DEPROVISION-RESULT {"checks"' in guest.serial and '"ok": true' in guest.serial
    assert '"left"' not in guest.serial
    assert files_with(files, CANARY) == []
    for word in (*PEOPLE, "helpdesk", guest.state["user"], guest.hostname):
        assert files_with(files, word, "etc", "var", "root", "home", "boot", "srv", "opt") == [], word
    assert list((files / "etc/ssh").glob("ssh_host_*")) == []
    assert list((files / "home").iterdir()) == []
    assert (files / "etc/machine-id").read_bytes() == b""
    # The agent deletes root's, without it the file is emptied.
    assert not (files / "root/.bash_history").exists() or (files / "root/.bash_history").read_bytes() == b""
    assert not list((files / "var/lib").glob("azure-deprovision*")) and not (files / "root/.ansible").exists()
    assert not list((files / "etc/systemd/system").rglob("azure-deprovision*"))
    for path in (files / "var/log").rglob("*"):
        assert path.is_symlink() or path.is_dir() or path.stat().st_size == 0, path
    for folder in ("tmp", "var/tmp", "var/crash", "var/log/journal", "var/lib/waagent", "var/lib/dhcp"):
        assert not (files / folder).exists() or list((files / folder).iterdir()) == [], folder
    assert re.search(r"(?m)^root:[!*]", (files / "etc/shadow").read_text())
    for name in ("boot/grub/grub.cfg", "etc/fstab", "usr/bin/python3", "etc/ssh/sshd_config", "var/lib/dpkg/status"):
        assert (files / name).exists(), name


# -- one used guest per kind, nothing goes wrong -------------------------------------------------------------------

#: What changes without an entry of its own: the account files, and what any machine writes while it runs.
CHANGES = re.compile(
    r"^/(?:etc/(?:passwd|shadow|group|gshadow|subuid|subgid|resolv\.conf|\.pwd\.lock)|var/lib/dbus/machine-id"
    r"|etc/(?:systemd/system/(?:multi-user\.target\.wants/)?azure-ssh-host-keys\.service)"
    r"|var/lib/(?:systemd/(?:timers|timesync|rfkill|linger|catalog)|logrotate|chrony|private)(?:/.*)?"
    r"|var/lib/cloud(?:/.*)?|var/cache/(?:apparmor|ldconfig|debconf)(?:/.*)?|lost\+found)$"
)


def listing(guest: Guest) -> dict[str, tuple[str, ...]]:
    """Path to (mode, owner, group, size, seconds of the last change) of every file and link of the root file system."""
    words = "find / -xdev -not -type d -printf '%p\\t%m\\t%U\\t%G\\t%s\\t%T@\\n'"
    found = {}
    for line in guest.ssh("sudo", words).splitlines():
        path, mode, *details = line.split("\t")
        # debugfs does not bring setuid bits along.
        found[path] = (format(int(mode, 8) & 0o777, "o"), *details[:-1], details[-1].split(".")[0])
    return found


def listing_of(files: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for path in files.rglob("*"):
        details = path.lstat()
        if not stat.S_ISDIR(details.st_mode):
            found["/" + str(path.relative_to(files))] = (
                format(details.st_mode & 0o777, "o"),
                str(details.st_uid),
                str(details.st_gid),
                str(details.st_size),
                str(int(details.st_mtime)),
            )
    return found


@pytest.mark.parametrize(
    "guest", ["debian12-agents", "debian12-bios", "debian13-agents", "debian11-agents", "debian13-uefi"], indirect=True
)
def test_a_used_guest_is_searched_offline(guest: Guest, tmp_path: Path) -> None:
    name = guest.state["name"]
    old_key = guest.ssh("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    old_id = guest.ssh("cat", "/etc/machine-id").strip()
    before = listing(guest)
    # Somebody is at a terminal, with a secret in the history that the shell has not written yet.
    terminal = subprocess.Popen(
        launch.ssh_command(guest.state)[:1] + ["-tt"] + launch.ssh_command(guest.state)[1:],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert terminal.stdin is not None
    terminal.stdin.write(f"export TOKEN={CANARY}\n".encode())
    terminal.stdin.flush()
    results = guest.results(guest.play())
    planned, done = results["planned"], results["done"]
    assert not done["failed"], done["msg"]
    assert [check for check in done["checks"] if not check["ok"]] == []
    assert {*PEOPLE, "helpdesk", guest.state["user"]} == set(done["accounts"])
    # What only appears between the two tasks (their own logs and temporary files) is all that differs.
    missed = {entry["path"] for entry in planned["removed"]} ^ {entry["path"] for entry in done["removed"]}
    # And the link that the agent deletes on its way and that is put back: it was there before and is there after.
    missed -= {entry["path"] for entry in done["removed"] if (entry["id"], entry["action"]) == ("resolv_conf", "link")}
    assert [path for path in missed if not path.startswith(("/tmp", "/var/tmp", "/var/log", "/var/lib"))] == []
    guest.wait_off()
    terminal.kill()

    files = guest.files()
    (tmp_path / "notes.json").write_text(json.dumps(done["notes"], indent=1))
    assert_clean(guest, files)
    if "agents" in name:
        assert any("-force -deprovision+user: exit status 0" in text for text in done["actions"])
        assert any("cloud-init clean" in text for text in done["actions"])
        assert (files / "usr/bin/cloud-init").exists() and (files / "etc/waagent.conf").exists()
    else:
        assert (files / "etc/systemd/system/azure-ssh-host-keys.service").exists()

    after = listing_of(files)
    told = {entry["path"] for entry in done["removed"]}
    below = tuple(entry["path"] + "/" for entry in done["removed"] if entry["kind"] == "directory")
    gone = [p for p in before if p not in after and p not in told and not p.startswith(below) and not CHANGES.match(p)]
    # Files below /dev on the disk are hidden while the system runs.
    new = [p for p in after if p not in before and not CHANGES.match(p) and not p.startswith(("/var/log/", "/dev/"))]
    changed = [
        p
        for p in after
        if p in before and after[p] != before[p] and p not in told and not CHANGES.match(p)
        if not p.startswith("/var/log/") and not (files / p.lstrip("/")).is_symlink()
    ]
    assert (gone, new, changed) == ([], [], [])
    for path in [p for p in before if p in after and p.startswith("/var/log/")]:
        assert before[path][:3] == after[path][:3], f"owner or mode of {path}"

    # The first boot makes a new identity.
    if "agents" in name:
        result = proof.prove(
            proof.Options(
                str(guest.raw), timeout=600, second_boot=False, bus="virtio-blk", artifacts=str(tmp_path / "boot")
            ),
            print,
        )
        assert result["ready"], result["report"]
        assert result["provisioned"]["machine_id"] not in ("", None, old_id)
        assert old_key.split()[1] not in json.dumps(result["provisioned"])
    else:
        options = start.Options(wait=False)
        firmware = guest.state["firmware"]
        store = guest.directory / "vars.fd" if firmware == "uefi" else None
        (tmp_path / "again").mkdir()
        again = start.boot(name, tmp_path / "again", guest.raw, "raw", firmware, options, template=store)
        try:
            deadline = time.monotonic() + 300
            key = ""
            while time.monotonic() < deadline and not key:
                scan = ["ssh-keyscan", "-t", "ed25519", "-p", str(again["port"]), "127.0.0.1"]
                key = subprocess.run(scan, capture_output=True, text=True, check=False).stdout
                time.sleep(1)
        finally:
            launch.stop(tmp_path / "again")
        assert key and old_key.split()[1] not in key


# -- accidents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guest", ["debian12-agents"], indirect=True)
def test_a_link_that_is_never_seen_again(guest: Guest) -> None:
    """The network goes in the middle and stays away: the work goes on, its result is on the console, power is off."""
    guest.watch("^package_cache", "unplug")
    results = guest.results(guest.play())
    assert results["done"]["failed"] and results["done"]["connection_lost"]
    assert "serial console" in results["done"]["msg"] and "not known" in results["done"]["msg"]
    guest.wait_off()
    assert "WATCHER unplug" in guest.serial
    assert_clean(guest, guest.files())


@pytest.mark.parametrize("guest", ["debian12-bios"], indirect=True)
def test_the_worker_and_the_ssh_connection_are_killed(guest: Guest) -> None:
    """The work is killed twice and begins again by itself; the SSH connection is killed and the result still comes."""
    guest.watch("^tool_history|^credentials", "kill")
    guest.watch("^dhcp_leases|^tmp", "kill")
    guest.watch("^installer|^package_cache", "note")
    play = guest.play()
    guest.wait_on_console("WATCHER note", 300)
    killed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            # The master of the shared connection: "ssh: /tmp/.../127.0.0.1-PORT [mux]".
            if os.fsencode(guest.sockets) in line and b"[mux]" in line:
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(line)
    results = guest.results(play)
    assert killed, "no master connection was found"
    assert not results["done"]["failed"], results["done"]["msg"]
    guest.wait_off()
    assert guest.serial.count("WATCHER kill") == 2
    assert_clean(guest, guest.files())


@pytest.mark.parametrize("guest", ["debian12-agents"], indirect=True)
def test_the_machine_is_reset_in_the_middle(guest: Guest) -> None:
    """Once while one can still log in: run again. Once when nobody can: the next boot completes it and powers off."""
    guest.watch("^crash_dumps|^mail", "reset")
    play = guest.play()
    guest.wait_on_console("WATCHER reset", 300)
    play.kill()
    play.wait()
    time.sleep(5)
    launch.wait_for_ssh(guest.is_on, guest.state, 300)
    guest.watch("^journal|^logs: |^login_records|^checking", "reset")
    results = guest.results(guest.play())
    assert results["done"]["failed"] and results["done"]["connection_lost"]
    guest.wait_off()
    assert guest.serial.count("WATCHER reset") == 2
    assert_clean(guest, guest.files())
