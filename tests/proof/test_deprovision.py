# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A used guest is deprovisioned over SSH by the account that goes, powers itself off, and its disk is searched offline.

Minutes per guest without KVM, in need of QEMU, debugfs and a built guest; not part of the quick tiers:

    pytest tests/proof/test_deprovision.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guests import cli, launch, start
from guests.errors import GuestError

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-2d40"
POWEROFF_SECONDS = 180

#: The mess of a used machine, made as root; every planted secret holds CANARY.
USE = f"""
set -u
useradd -m -s /bin/bash bobby; echo 'bobby:{CANARY}' | chpasswd
for home in /root /home/bobby /home/$SUDO_USER; do
    mkdir -p $home/.config/fish $home/.ssh
    for f in .bash_history .zsh_history .config/fish/fish_history .python_history .mysql_history .lesshst .netrc; do
        echo '{CANARY}' > $home/$f
    done
done
mkdir -p /var/spool/cron/crontabs /var/log/journal /var/crash /var/lib/waagent /var/log/azure/x /var/lib/dhcp
echo '* * * * * true {CANARY}' > /var/spool/cron/crontabs/bobby
echo 'bobby ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bobby
systemctl restart systemd-journald; logger '{CANARY}'; logger -p auth.info '{CANARY}'
for f in /var/log/old.log.1 /var/log/app.log /tmp/t /var/tmp/t /var/log/azure/x/l /var/lib/waagent/c.prv /var/crash/c \\
         /var/lib/dhcp/dhclient.x.leases /var/mail/bobby; do echo '{CANARY}' > $f; done
sync
"""

PLAYBOOK = """
- hosts: guests
  gather_facts: false
  become: true
  tasks:
    - name: See what would go
      linuxvhd.azure.deprovision: &options
        confirm: "{{ inventory_hostname }}"
        remove_users: [bobby, helpdesk]
        poweroff: true
      check_mode: true
      register: planned
    - name: Do it
      linuxvhd.azure.deprovision: *options
      register: done
    - name: Keep the results
      ansible.builtin.copy:
        content: "{{ {'planned': planned, 'done': done} | to_json }}"
        dest: "{{ lookup('env', 'RESULT') }}"
        mode: "0600"
      delegate_to: localhost
      become: false
"""


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[dict[str, Any]]:
    for program in ("qemu-system-x86_64", "qemu-img", "debugfs", "sfdisk"):
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            pytest.skip(f"needs {program}")
    directory = tmp_path / "guest"
    try:
        state = start.start(os.environ.get("GUEST", "debian12-bios"), directory)
    except GuestError as exc:
        pytest.skip(f"no guest: {exc}")
    yield state
    launch.stop(directory)


def root_file_system(disk: Path, work: Path) -> Path:
    """The files of the largest partition, copied out by debugfs."""
    raw = work / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), str(raw)], check=True)
    table = json.loads(subprocess.run(["sfdisk", "-J", str(raw)], capture_output=True, check=True).stdout)
    part = max(table["partitiontable"]["partitions"], key=lambda entry: entry["size"])
    image = work / "root.ext4"
    copy = ["dd", f"if={raw}", f"of={image}", "bs=512", f"skip={part['start']}", f"count={part['size']}", "conv=sparse"]
    subprocess.run([*copy, "status=none"], check=True)
    raw.unlink()
    target = work / "files"
    target.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump / {target}", str(image)], capture_output=True, check=True)
    image.unlink()
    return target


def files_with(root: Path, word: str, *below: str) -> list[str]:
    done = subprocess.run(
        ["grep", "-rlawF", "-e", word, *(below or (".",))], cwd=root, capture_output=True, text=True, check=False
    )
    return sorted(done.stdout.split())


def test_a_used_guest_is_searched_offline(guest: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run(launch.ssh_command(guest, "sudo", "bash", "-s"), input=USE, text=True, check=True, timeout=300)
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(json.dumps(cli.inventory_of({"used": guest})))
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAYBOOK)
    result_file = tmp_path / "result.json"
    play = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(playbook)],
        cwd=ROOT,
        env={**os.environ, "RESULT": str(result_file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert play.returncode == 0, play.stdout + play.stderr
    results = json.loads(result_file.read_text())
    planned, done = results["planned"], results["done"]
    assert [check for check in done["checks"] if not check["ok"]] == []
    assert {"bobby", "helpdesk", guest["user"]} == set(done["accounts"])
    assert {entry["path"] for entry in planned["removed"]} <= {entry["path"] for entry in done["removed"]}

    directory = Path(guest["directory"])
    deadline = time.monotonic() + POWEROFF_SECONDS
    while launch.is_ours(int(guest["pid"]), directory):
        assert time.monotonic() < deadline, "the guest is still on"
        time.sleep(1)
    serial = Path(guest["serial_log"]).read_bytes().decode("utf-8", "replace")
    assert 'AZURE-DEPROVISION-RESULT {"checks"' in serial and '"ok": true' in serial

    files = root_file_system(Path(guest["disk"]), tmp_path)
    assert files_with(files, CANARY) == []
    for word in ("bobby", "helpdesk", guest["user"], guest["name"]):
        assert files_with(files, word, "etc", "var", "root", "home", "boot") == []
    assert list((files / "etc/ssh").glob("ssh_host_*")) == []
    assert list((files / "home").iterdir()) == []
    assert (files / "etc/machine-id").read_bytes() == b""
    assert (files / "root/.bash_history").read_bytes() == b""
    assert not (files / "var/lib/azure-deprovision.json").exists() and not (files / "root/.ansible").exists()
    for path in (files / "var/log").rglob("*"):
        assert path.is_symlink() or path.is_dir() or path.stat().st_size == 0, path
    assert (files / "etc/systemd/system/azure-ssh-host-keys.service").exists()
    assert (files / "boot").is_dir() and (files / "etc/fstab").read_text()
