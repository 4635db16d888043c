"""Elsewhere than on Azure, cloud-init is told that there is no datasource, and to leave the network alone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_plan, edits, network

LOCAL = "/etc/systemd/system/cloud-init-local.service.d/azure-elsewhere.conf"
MAIN = "/etc/systemd/system/cloud-init-main.service.d/azure-elsewhere.conf"
TAG = "7783-7084-3265-9085-8269-3286-77\n"


def tree(version: str, *units: str) -> dict[str, str]:
    return {
        "/etc/os-release": "ID=debian\nVERSION_ID=13\n",
        "/etc/cloud/cloud.cfg": "cloud_init_modules:\n  - disk_setup\n  - mounts\n",
        "/usr/lib/python3/dist-packages/cloudinit/version.py": f'__VERSION__ = "{version}"\n',
        **{f"/usr/lib/systemd/system/{name}": "[Service]\n" for name in units},
    }


@pytest.mark.parametrize(
    ("version", "units", "wanted"),
    [
        ("18.5", ["cloud-init-local.service"], [LOCAL]),
        ("22.4.2", ["cloud-init-local.service"], [LOCAL]),
        ("23.3.1", ["cloud-init-local.service"], [LOCAL]),
        ("24.2", ["cloud-init-local.service"], [LOCAL]),
        ("25.1.4", ["cloud-init-local.service", "cloud-init-main.service"], [MAIN]),
    ],
)
def test_which_unit_is_told(make_host, version: str, units: list[str], wanted: list[str]) -> None:
    changes = cloudinit_plan.plan(make_host(tree(version, *units)), {}).changes
    assert [change.path for change in changes if change.path.endswith("elsewhere.conf")] == wanted


MISSING = '    __VERSION__ = "@MISSING_MESON_BUILD_ARTIFACT@"\n'


@pytest.mark.parametrize("told", ['UPSTREAM_VERSION = "26.2"      # Required\n', None])
def test_a_version_in_another_file(make_host, told: str | None) -> None:
    """From 25.4 on version.py imports it; a build that left no file at all still has the unit of such a version."""
    files = tree("1", "cloud-init-local.service", "cloud-init-main.service")
    files["/usr/lib/python3/dist-packages/cloudinit/version.py"] = MISSING
    if told:
        files["/usr/lib/python3/dist-packages/cloudinit/meson_versions.py"] = told
    host = make_host(files)
    assert cloudinit_plan.version(host) == ((26, 2) if told else cloudinit_plan.SINGLE_PROCESS)
    changes = cloudinit_plan.plan(host, {}).changes
    assert [change.path for change in changes if change.path.endswith("elsewhere.conf")] == [MAIN]


def test_an_upgrade_moves_the_drop_in(make_host) -> None:
    host = make_host({**tree("25.1", "cloud-init-main.service"), LOCAL: cloudinit_plan.ELSEWHERE_TEXT})
    changes = {change.path: change.after for change in cloudinit_plan.plan(host, {}).changes}
    assert changes[LOCAL] is None
    assert changes[MAIN] == cloudinit_plan.ELSEWHERE_TEXT


@pytest.mark.parametrize(
    ("tag", "seed", "told"),
    [
        (TAG, False, False),
        (None, False, False),
        ("No Asset Tag\n", False, True),
        ("\n", True, False),
        ("", False, True),
    ],
)
def test_the_command(tmp_path: Path, tag: str | None, seed: bool, told: bool) -> None:
    """The shell line itself, with its absolute paths put below a directory."""
    joined = cloudinit_plan.ELSEWHERE_TEXT.replace("\\\n", "")
    words = shlex.split(re.search(r"^ExecStartPre=-(.*)$", joined, re.MULTILINE)[1])
    assert words[:2] == ["/bin/sh", "-c"]
    assert not set("$%") & set(words[2]), "systemd would expand these"
    if tag is not None:
        (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
        (tmp_path / "sys/class/dmi/id/chassis_asset_tag").write_text(tag)
    if seed:
        (tmp_path / "var/lib/cloud/seed/azure").mkdir(parents=True)
        (tmp_path / "var/lib/cloud/seed/azure/ovf-env.xml").touch()
    command = re.sub(r"/(?=sys/|var/|run/)", f"{tmp_path}/", words[2])
    subprocess.run([*words[:2], command], check=True)
    written = tmp_path / "run/cloud-init/cloud.cfg"
    assert written.exists() is told
    if told:
        assert written.read_text() == "datasource_list: [ None ]\nnetwork: {config: disabled}\n"


@pytest.mark.parametrize(
    ("version", "extra", "left"),
    [
        ("25.1.4", {"/usr/sbin/ifup": ""}, True),
        ("24.1", {"/usr/sbin/ifup": ""}, True),
        ("23.4", {"/usr/sbin/ifup": ""}, False),
        ("25.1.4", {"/usr/sbin/ifup": "", "/usr/sbin/netplan": ""}, False),
        ("25.1.4", {}, False),
    ],
)
def test_ifupdown_is_not_left_waiting_for_dhcpv6(make_host, version: str, extra: dict[str, str], left: bool) -> None:
    """The network's plan, which comes first, and cloud-init's agree on who configures the network."""
    interfaces = "auto lo\niface lo inet loopback\nallow-hotplug ens3\niface ens3 inet dhcp\n"
    host = make_host({**tree(version, "cloud-init-main.service"), "/etc/network/interfaces": interfaces, **extra})
    for path in extra:
        os.chmod(host.path(path), 0o755)
    for _run in range(2):
        edits.apply(host, network.plan(host, "ens3").changes)
        plan = cloudinit_plan.plan(host, {})
        assert plan.warnings == []
        edits.apply(host, plan.changes)
        assert not network.plan(host, "ens3").changes
    assert host.is_file(cloudinit_plan.NETWORK_FILE) is left
    assert host.is_file("/etc/network/interfaces.d/50-cloud-init") is not left
    own = host.read("/etc/network/interfaces.d/60-azure")
    assert ("iface eth0 inet dhcp" in own) is left
    assert "allow-hotplug eth0 ens3" in own
