# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deprovisioning with the real agent and the real cloud-init of Debian, in a chroot with namespaces of its own.

Slow (a minute per release) and in need of root, mmdebstrap and a Debian archive; skipped with the reason elsewhere:

    pytest tests/chroot
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import systems

from guests import build, cache

CANARY = "canary-5be1"
PACKAGES = "python3,passwd,sudo,openssh-server,waagent,cloud-init,systemd-sysv,isc-dhcp-client"

OVF = """<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns="http://schemas.dmtf.org/ovf/environment/1"
 xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="http://schemas.microsoft.com/windowsazure">
<ns1:ProvisioningSection><ns1:Version>1.0</ns1:Version><ns1:LinuxProvisioningConfigurationSet>
<ns1:ConfigurationSetType>LinuxProvisioningConfiguration</ns1:ConfigurationSetType><ns1:UserName>alicia71</ns1:UserName>
<ns1:DisableSshPasswordAuthentication>true</ns1:DisableSshPasswordAuthentication><ns1:HostName>buildhost77</ns1:HostName>
</ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection></ns0:Environment>
"""

#: What runs inside, as the worker of a real machine does.
INSIDE = """
import json, sys
sys.path.insert(0, "/run/lib")
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import detached, process
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.live import Live
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
host = Host("/")
context = Context(host, Options(remove_users=("bobby71",)))
live = Live(host)
result = process.run(host, context, live)
again = process.after_result(context, live, False, "leave")
detached.disarm_resume(host)
result["again"] = [check.as_dict() for check in again]
open("/run/result.json", "w").write(json.dumps(result))
"""

#: The same through the detached worker, killed a little later each time until it gets to its end.
INSIDE_KILLED = """
import json, os, signal, sys, time
sys.path.insert(0, "/run/lib")
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import detached
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

def workers():
    found = []
    for name in os.listdir("/proc"):
        try:
            words = open("/proc/%s/cmdline" % name, "rb").read().split(b"\\0") if name.isdigit() else []
        except OSError:
            continue
        if any(word.endswith(b"/worker.py") for word in words):
            found.append(int(name))
    return found

host, spool = Host("/"), detached.Spool()
options = Options(remove_users=("bobby71",), connected_users=("alicia71",))
killed, result = [], None
for number in range(40):
    spec = dict(token=str(number), options=options._asdict(), poweroff=False, free_space="leave", collect_timeout=5)
    detached.start(spool, spec, host)
    end = time.monotonic() + 0.5 + 0.6 * number
    while time.monotonic() < end and spool.read("result.json") is None:
        time.sleep(0.02)
    if spool.read("result.json") is None:
        step = (spool.read("progress.json") or {}).get("step", "")
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        while workers():
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                time.sleep(0.05)
        killed.append(step)
        continue
    result = detached.wait(spool, str(number), 60)
    break
while workers():
    time.sleep(0.1)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        continue
result["again"], result["killed"] = [], killed
open("/run/result.json", "w").write(json.dumps(result))
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def pristine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(suite, root directory) of a minimal Debian with both provisioners."""
    if os.geteuid() != 0 or not shutil.which("mmdebstrap") or not shutil.which("unshare"):
        pytest.skip("needs root, mmdebstrap and unshare")
    suite = request.param
    root = tmp_path_factory.mktemp("chroot") / suite
    archives = build.sources(suite, *build.host_archive())
    settings = tmp_path_factory.mktemp("apt") / "apt.conf"
    settings.write_text(build.apt_settings() + "\n")
    debs = cache.root() / "debs" / suite
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={PACKAGES}"]
    command += [f"--aptopt={settings}", "--skip=cleanup/apt,cleanup/reproducible"]
    if debs.is_dir():
        command += [
            '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
            f'--setup-hook=cp -n {debs}/*.deb "$1/var/cache/apt/archives/" || true',
        ]
    done = subprocess.run([*command, suite, str(root), *archives], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no {suite} could be built here: {done.stderr.strip()[-400:]}")
    yield suite, root
    shutil.rmtree(root, ignore_errors=True)


def used_copy(root: Path, target: Path) -> Path:
    """A copy of the system that somebody has worked on."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(target)], check=True)
    for name in ("alicia71", "bobby71"):
        subprocess.run(["chroot", str(target), "useradd", "-m", "-s", "/bin/bash", name], check=True)
        subprocess.run(["chroot", str(target), "chpasswd"], input=f"{name}:{CANARY}", text=True, check=True)
    subprocess.run(["chroot", str(target), "chpasswd"], input=f"root:{CANARY}", text=True, check=True)
    files = {
        "etc/hostname": "buildhost77\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 buildhost77\n",
        "root/.bash_history": CANARY,
        "home/alicia71/.bash_history": CANARY,
        "home/bobby71/data": CANARY,
        "var/lib/waagent/ovf-env.xml": OVF,
        "var/lib/waagent/x.prv": CANARY,
        "var/log/waagent.log": CANARY,
        "var/log/azure/e/l.log": CANARY,
        "etc/sudoers.d/waagent": "alicia71 ALL=(ALL) NOPASSWD: ALL\n",
        "etc/sudoers.d/90-cloud-init-users": "alicia71 ALL=(ALL) NOPASSWD:ALL\n",
        "var/lib/cloud/seed/nocloud/user-data": CANARY,
        "var/lib/cloud/instances/i/user-data.txt": CANARY,
        "var/lib/cloud/scripts/per-boot/swap.sh": "#!/bin/sh\n",
        "var/log/cloud-init.log": CANARY,
        "etc/network/interfaces.d/50-cloud-init": "auto eth0\niface eth0 inet dhcp\n",
        "etc/ssh/sshd_config.d/50-cloud-init.conf": "PasswordAuthentication yes\n",
        "etc/ssh/ssh_host_rsa_key": CANARY,
        "var/lib/dhcp/dhclient.eth0.leases": "lease { host buildhost77 }",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "var/log/journal/x/system.journal": CANARY,
        "tmp/x": CANARY,
    }
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (target / "etc/resolv.conf").unlink(missing_ok=True)
    (target / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    conf = target / "etc/waagent.conf"
    conf.write_text(re.sub(r"(?m)^Provisioning.Agent=.*", "Provisioning.Agent=waagent", conf.read_text()))
    return target


def deprovision(root: Path, code: str = INSIDE) -> dict[str, Any]:
    """Run it inside: own processes, own host name, no network."""
    systems.bring_collection(root)
    (root / "run/inside.py").write_text(code)
    inner = f"mount -t proc proc {root}/proc && exec chroot {root} /usr/bin/python3 -B /run/inside.py"
    subprocess.run(
        ["unshare", "--uts", "--pid", "--mount", "--net", "--ipc", "--fork", "sh", "-c", inner],
        check=True,
        timeout=400,
    )
    return json.loads((root / "run/result.json").read_text())


def files_with(root: Path, word: str) -> list[str]:
    """Files of the system, /proc and /run left out, that hold a word."""
    done = subprocess.run(
        ["grep", "-rlaw", "--exclude-dir=run", "--exclude-dir=proc", "-e", word, "."],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(done.stdout.split())


def assert_clean(root: Path, result: dict[str, Any]) -> None:
    """What must hold however often the run was interrupted."""
    assert [check for check in result["checks"] + result["again"] if not check["ok"]] == []
    assert files_with(root, CANARY) == []
    assert [
        path for path in files_with(root, "alicia71") + files_with(root, "bobby71") if not path.startswith("./usr/")
    ] == []
    assert [
        path for path in files_with(root, "buildhost77") if not path.startswith(("./usr/", "./var/lib/dpkg/"))
    ] == []
    assert (root / "etc/resolv.conf").readlink() == Path("../run/systemd/resolve/stub-resolv.conf")
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "etc/hostname").read_text() == "localhost\n"
    assert re.search(r"(?m)^root:\*LOCK\*:", (root / "etc/shadow").read_text())
    assert (root / "var/lib/cloud/scripts/per-boot/swap.sh").exists()
    assert (root / "usr/bin/cloud-init").exists() and (root / "etc/waagent.conf").exists()
    assert not (root / "var/lib/azure-deprovision.json").exists()


def test_both_provisioners(pristine: tuple[str, Path], tmp_path: Path) -> None:
    suite, base = pristine
    root = used_copy(base, tmp_path / "used")
    result = deprovision(root)
    assert_clean(root, result)
    ran = " | ".join(result["actions"])
    assert "-force -deprovision+user: exit status 0" in ran and "cloud-init clean --logs --seed" in ran
    if suite != "bookworm":
        assert "--configs all" in ran
    assert "cloud-init" in next(c["evidence"] for c in result["checks"] if c["id"] == "ssh_host_keys_return")


def test_killed_again_and_again(pristine: tuple[str, Path], tmp_path: Path) -> None:
    """The worker is killed at many moments; run again each time, it gets to the same end."""
    _suite, base = pristine
    root = used_copy(base, tmp_path / "used")
    result = deprovision(root, INSIDE_KILLED)
    # How many moments there are depends on the machine's speed.
    assert len(result["killed"]) >= 2
    assert_clean(root, result)


def test_nothing_unexpected_went(pristine: tuple[str, Path], tmp_path: Path) -> None:
    """Everything that the packages own is still there and unchanged, but for what the items name."""
    _suite, base = pristine
    root = used_copy(base, tmp_path / "used")
    verify = ["chroot", str(root), "dpkg", "--verify"]
    before = set(subprocess.run(verify, capture_output=True, text=True, check=False).stdout.splitlines())
    deprovision(root)
    after = set(subprocess.run(verify, capture_output=True, text=True, check=False).stdout.splitlines())
    # apt makes these two again whenever it needs them.
    assert {line for line in after - before if not line.endswith(("/lists/partial", "/archives/partial"))} == set()
