# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deprovisioning begins only with consent, on the right machine, and with names that mean something."""

from __future__ import annotations

import os

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import guard
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.modules import deprovision


@pytest.mark.parametrize("confirm", ["", "Box", "box ", "other", "box,other"])
def test_consent_names_the_host_exactly(confirm: str) -> None:
    with pytest.raises(AzurePrepError, match="'box' in the inventory"):
        guard.check_confirm(confirm, "box")


def test_consent_given() -> None:
    guard.check_confirm("box", "box")


def test_a_module_called_without_its_action_plugin_says_so() -> None:
    with pytest.raises(AzurePrepError, match="linuxvhd.azure.deprovision"):
        guard.check_confirm("box", None)


def test_a_misspelt_keep_is_refused() -> None:
    with pytest.raises(AzurePrepError, match="log, which is no item"):
        guard.check_keep(["log"])
    guard.check_keep(["logs", "CLEAN-09"])


@pytest.mark.parametrize(
    "path", ["/etc", "relative/x", "/", "", "/a/../etc", "/*/x", "*", "/etc/*", "/var/?*", "/usr//bin/", "/./var/lib"]
)
def test_remove_paths_that_are_too_wide_are_refused(path: str) -> None:
    with pytest.raises(AzurePrepError, match="remove_paths"):
        guard.check_paths([path])


def test_the_controller_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        own = stream.read().strip()
    with pytest.raises(AzurePrepError, match="machine that runs Ansible"):
        guard.check_target(Host("/"), True, own)


@pytest.mark.parametrize(
    ("facts", "allow", "message"),
    [
        ({"/run/systemd/container": "lxc"}, False, r"container \(lxc\)"),
        ({"/proc/1/cgroup": "0::/kubepods/x"}, False, r"container \(kubepods\)"),
        ({"/sys/class/dmi/id/chassis_asset_tag": guard.AZURE_ASSET_TAG + "\n"}, False, "on Azure already"),
        ({"/sys/class/dmi/id/chassis_asset_tag": guard.AZURE_ASSET_TAG + "\n"}, True, None),
        ({"/sys/class/dmi/id/chassis_asset_tag": "No Asset Tag\n"}, False, None),
    ],
)
def test_what_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, make_host, facts: dict[str, str], allow: bool, message: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(guard, "_text", lambda path: facts.get(path, ""))
    monkeypatch.setattr(guard.os.path, "exists", lambda path: False)
    monkeypatch.setattr(guard, "_container_environment", lambda: "")
    host = make_host()
    if message is None:
        guard.check_target(host, allow, "another-boot")
    else:
        with pytest.raises(AzurePrepError, match=message):
            guard.check_target(host, allow, "another-boot")


def test_root_rights_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(AzurePrepError, match="become"):
        guard.check_target(Host("/"), True, "")


@pytest.mark.parametrize("root", ["/proc/self/root", "/usr/.."])
def test_a_root_that_is_the_running_system_is_refused(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another name it would slip past what protects the machine that runs Ansible."""
    spec = {name: value.get("default") for name, value in deprovision.argument_spec().items()}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        own = stream.read().strip()
    params = {**spec, "confirm": "x", "inventory_hostname": "x", "root": root, "controller_boot_id": own}
    with pytest.raises(AzurePrepError, match="running system itself|machine that runs Ansible"):
        deprovision.run(params, Host(root), True)
