"""The role in somebody else's playbook: no facts, foreign variables, become per task, one rule's tag, another strategy.

AZURE_TEST_ANSIBLE names another ansible-playbook (an older ansible-core) for these runs.
"""

from __future__ import annotations

import re
from pathlib import Path

import machines
import pytest
import yaml

#: Names that a foreign inventory may well use too.
FOREIGN = {
    "family": "x",
    "result": {"changed": True},
    "item": "y",
    "vendor": [],
    "root": "/nowhere",
    "azure_region": "westeurope",
    "packages": 7,
}


@pytest.fixture
def foreign(workshop: Path, request: pytest.FixtureRequest) -> machines.Foreign:
    """A Debian machine and a playbook beside it."""
    place = workshop / re.sub(r"\W", "_", request.node.name)
    place.mkdir()
    return machines.Foreign(place, machines.Machine(place, "debian12"))


def test_one_rule_by_its_tag(foreign: machines.Foreign) -> None:
    before = foreign.machine.read("/etc/fstab")
    first = foreign.play({}, "--tags", "BOOT-01")
    assert (first["failed"], first["changed"]) == (0, 1), foreign.text
    assert foreign.machine.read("/etc/fstab") == before and not foreign.machine.exists("/etc/waagent.conf")
    assert "rootdelay=300" in foreign.machine.read("/boot/grub/grub.cfg")
    assert foreign.play({}, "--tags", "BOOT-01")["changed"] == 0


def test_what_the_user_removes_is_not_set_for_the_vendor(foreign: machines.Foreign) -> None:
    """By key and by key=value; also where it stands on the command line already."""
    assert foreign.play({}, "--tags", "BOOT-01")["changed"] == 1, foreign.text
    assert "rootdelay=300" in foreign.machine.read("/boot/grub/grub.cfg")
    wanted = {"vars": {"azure_cmdline_remove": ["rootdelay", "net.ifnames=0"]}}
    assert foreign.play(wanted, "--tags", "BOOT-01")["changed"] == 1, foreign.text
    text = foreign.machine.read("/boot/grub/grub.cfg")
    assert "rootdelay" not in text and "net.ifnames" not in text and "console=ttyS0,115200n8" in text
    assert foreign.play(wanted, "--tags", "BOOT-01")["changed"] == 0


def test_rules_left_out_by_their_tags(foreign: machines.Foreign) -> None:
    counts = foreign.play({}, "--skip-tags", "DISK-09,BOOT-01,INIT-01,PKG-01,NET-01,SSH-02,CINIT-02,AGENT-04")
    assert counts["failed"] == 0, foreign.text
    assert "swap" in foreign.machine.read("/etc/fstab") and "udf" not in foreign.machine.read(
        "/etc/modprobe.d/CIS.conf"
    )
    assert "quiet" in foreign.machine.read("/boot/grub/grub.cfg")


def test_check_and_diff_write_nothing(foreign: machines.Foreign) -> None:
    before = foreign.snapshot()
    counts = foreign.play({"strategy": "free", "vars": FOREIGN}, "--check", "--diff")
    assert counts["failed"] == 0 and counts["changed"] > 5, foreign.text
    assert foreign.snapshot() == before


def test_foreign_variables_become_per_task_and_strategy_free(foreign: machines.Foreign) -> None:
    role = {"ansible.builtin.import_role": {"name": "linuxvhd.azure.prepare"}, "name": "Prepare", "become": True}
    play = {"strategy": "free", "vars": FOREIGN, "tasks": [role], "roles": []}
    counts = foreign.play(play)
    assert counts["failed"] == 0, foreign.text
    assert foreign.play(play)["changed"] == 0, re.findall(r"^changed: .*", foreign.text, re.M)


@pytest.mark.parametrize("provisioner", ["waagent", "agentless"])
def test_other_provisioners_and_a_change_of_mind(foreign: machines.Foreign, provisioner: str) -> None:
    machine = foreign.machine
    assert foreign.play({"vars": {"azure_provisioner": provisioner}})["failed"] == 0, foreign.text
    assert foreign.play({"vars": {"azure_provisioner": provisioner}})["changed"] == 0, foreign.text
    wants = {path.name for path in (machine.upper / "etc/systemd/system").glob("*.wants/*")}
    if provisioner == "waagent":
        assert "Provisioning.Agent=waagent" in machine.read("/etc/waagent.conf").splitlines()
        assert {"walinuxagent.service", "azure-ssh-host-keys.service"} <= wants
    else:
        assert not machine.exists("/etc/waagent.conf")
        assert {"azure-provisioning.service", "azure-provisioning-early.service"} <= wants
    assert foreign.play({})["failed"] == 0, foreign.text
    wants = {path.name for path in (machine.upper / "etc/systemd/system").glob("*.wants/*")}
    assert "cloud-init-local.service" in wants and "azure-provisioning.service" not in wants
    assert not machine.exists("/usr/local/sbin/azure-provisioning")
    assert not machine.exists("/etc/cloud/cloud-init.disabled")
    assert "Provisioning.Agent=cloud-init" in machine.read("/etc/waagent.conf").splitlines()
    assert foreign.play({})["changed"] == 0, foreign.text


def test_the_playbook_is_what_a_reader_would_write(foreign: machines.Foreign) -> None:
    assert yaml.safe_load(foreign.write({}).read_text()) == [
        {"name": "Theirs", "hosts": "all", "gather_facts": False, "roles": ["linuxvhd.azure.prepare"]}
    ]
