# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages by the real dnf, zypper and rpm, as Debian packages them, from a repository of small RPMs made here.

The tools are Debian's versions of them (dnf 4.14, zypper 1.14, rpm 4.18 in Debian 12); the system around them is no
Enterprise Linux and no SUSE. Needs root and mmdebstrap; skipped with the reason elsewhere: pytest tests/chroot
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import systems

PACKAGES = ("dnf", "zypper", "rpm", "createrepo-c", "python3")

SPEC = """Name: WALinuxAgent
Version: {version}
Release: 1
Summary: A package of the test
License: none
BuildArch: noarch
%description
Nothing.
%package -n cloud-init
Summary: Another one
Provides: cloud-config
%description -n cloud-init
Nothing.
%package -n hyperv-daemons
Summary: One that stays out
%description -n hyperv-daemons
Nothing.
%files
%files -n cloud-init
%files -n hyperv-daemons
"""
REPOSITORY = "[test]\nname=test\nbaseurl=file:///repository\nenabled=1\ngpgcheck=0\ntype=rpm-md\n"

#: Functions of the collection, run inside; which(): only one package manager is there.
INSIDE = """
import json, subprocess, sys
sys.path.insert(0, "/run/lib")
from ansible_collections.linuxvhd.azure.plugins.module_utils import packages
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
KIND, OTHERS, STEP = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
class One(Host):
    def which(self, name):
        return None if name in OTHERS else Host.which(self, name)
def run(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()
host, names = One("/"), ["WALinuxAgent", "cloud-init", "cloud-config", "hyperv-daemons", "nothing-here"]
result = {"manager": packages.manager(host)}
packages.refresh(host)
if STEP == "pretend":
    result["run"] = run(packages.install_command(KIND, names[:2], True))
elif STEP == "install":
    result["run"] = run(packages.install_command(KIND, names[:2]))
elif STEP == "upgrade":
    result["run"] = run(packages.upgrade_command(KIND))
elif STEP == "remove":
    result["run"] = run(packages.remove_command(KIND, ["WALinuxAgent"]))
result["available"] = packages.available(host, names)
result["installed"] = sorted(packages.installed(host, names))
result["upgrades"] = packages.upgrades(KIND, run(packages.upgrade_command(KIND, True))[1])
print("RESULT" + json.dumps(result))
"""


def inside(root: Path, *argv: str) -> str:
    environment = {"PATH": systems.PATH, "HOME": "/root", "LC_ALL": "C"}
    done = subprocess.run(
        ["chroot", str(root), *argv], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{argv}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    return done.stdout


def publish(root: Path, version: str) -> None:
    """Put the packages of one version into the repository, and nothing else."""
    shutil.rmtree(root / "repository", ignore_errors=True)
    (root / "repository").mkdir()
    (root / "repository/test.spec").write_text(SPEC.format(version=version))
    inside(root, "rpmbuild", "--quiet", "-bb", "--define", "_rpmdir /repository", "/repository/test.spec")
    inside(root, "createrepo_c", "--quiet", "/repository")
    inside(root, "dnf", "-q", "clean", "all")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("managers") / "root"
    try:
        systems.install("bookworm", PACKAGES, root)
    except systems.Unavailable as exc:
        pytest.skip(str(exc))
    for name in ("etc/yum.repos.d", "etc/zypp/repos.d", "etc/rpm", "etc/dnf/vars"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("etc/yum.repos.d/test.repo", "etc/zypp/repos.d/test.repo"):
        (root / name).write_text(REPOSITORY)
    # Debian's rpm keeps its database elsewhere, so that nobody installs RPMs by mistake.
    (root / "etc/rpm/macros").write_text("%_dbpath /var/lib/rpm\n")
    (root / "etc/dnf/vars/releasever").write_text("9\n")
    systems.bring_collection(root)
    (root / "run/inside.py").write_text(INSIDE)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize(("kind", "others"), [("dnf", "apt-get,zypper,yum"), ("zypper", "apt-get,dnf,yum")])
def test_packages_come_and_go(system: Path, kind: str, others: str) -> None:
    shutil.rmtree(system / "var/lib/rpm", ignore_errors=True)
    (system / "var/lib/rpm").mkdir()
    inside(system, "rpm", "--initdb")
    publish(system, "2.9")

    def step(name: str) -> dict[str, Any]:
        output = inside(system, "python3", "-B", "/run/inside.py", kind, others, name)
        answer: dict[str, Any] = json.loads(output.rpartition("RESULT")[2])
        assert answer["manager"] == kind
        assert answer["available"] == ["WALinuxAgent", "cloud-init", "hyperv-daemons"]
        return answer

    assert step("look")["installed"] == []
    pretended = step("pretend")
    assert "WALinuxAgent" in pretended["run"][1] and pretended["installed"] == []
    done = step("install")
    assert done["run"][0] == 0, done["run"][1]
    # What a package provides counts under that name too.
    assert done["installed"] == ["WALinuxAgent", "cloud-config", "cloud-init"]
    assert done["upgrades"] == 0
    publish(system, "2.10")
    assert step("look")["upgrades"] == 2
    assert step("upgrade")["upgrades"] == 0
    assert inside(system, "rpm", "-q", "WALinuxAgent").strip() == "WALinuxAgent-2.10-1.noarch"
    # zypper's own status is not asked: afterwards it cannot cache the database of Debian's rpm (status 8).
    assert step("remove")["installed"] == ["cloud-config", "cloud-init"]
