"""Every family and version through the roles' own task lists (see machines.py for what that is and is not).

pytest tests/roles                     all (a quarter of an hour)
pytest tests/roles -k 'rhel9 or sles15'
"""

from __future__ import annotations

import re

import boot_trees
import machines
import pytest
from boot_doubles import reader
from machines import Prepared

NAMES = sorted(machines.SYSTEMS)
each = pytest.mark.parametrize("name", NAMES)

#: GENERIC is told, not done: packages are the user's.
WITH_PACKAGES = [name for name in NAMES if machines.SYSTEMS[name].family != "generic"]


def report(text: str, name: str) -> str:
    """What Ansible said about one machine's failures."""
    return "\n".join(re.findall(rf"^(?:fatal|failed): \[{name}\].*$", text, re.M))


@each
def test_check_mode_works_on_a_fresh_machine(prepared: Prepared, name: str) -> None:
    counts = prepared.check.counts[name]
    assert counts["failed"] == counts["unreachable"] == 0, report(prepared.check.text, name)
    assert counts["changed"] > 5


@each
def test_preparing_works_and_a_second_run_changes_nothing(prepared: Prepared, name: str) -> None:
    counts = prepared.first.counts[name]
    assert counts["failed"] == counts["unreachable"] == 0, report(prepared.first.text, name)
    again = prepared.second.counts[name]
    changed = re.findall(rf"^changed: \[{name}\].*$", prepared.second.text, re.M)
    assert (again["failed"], again["changed"]) == (0, 0), changed


@each
def test_every_entry_has_its_arguments(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    wanted = ["console=tty1", "console=ttyS0,115200n8", "earlyprintk=ttyS0,115200", "rootdelay=300"]
    # On the stand-in of NetworkManager's removal ifupdown serves the card in the end.
    by_name = machine.system.ways.network in ("ifupdown", "wicked") or name == "debian12nm"
    renames = machine.system.family in ("redhat", "generic") or by_name
    entries = boot_trees.effective(machine.upper)
    assert entries
    for kernel, lines in entries.items():
        for line in lines:
            assert [word for word in wanted if word not in line] == [], (kernel, line)
            assert ("net.ifnames=0" in line) is renames, (kernel, line)
            assert len([word for word in line if word.startswith("root=")]) == 1, (kernel, line)
            assert not {"quiet", "rhgb", "splash", "splash=silent", "crashkernel=auto"} & set(line), (kernel, line)


@each
def test_every_kernel_has_its_drivers(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    kernels = [path.name[8:] for path in (machine.upper / "boot").glob("vmlinuz-*") if "rescue" not in path.name]
    assert kernels
    for kernel in kernels:
        path = machine.upper / (machine.system.ways.image % kernel).lstrip("/")
        with path.open("rb") as stream:
            held = reader.read(stream, str(path), lambda _name: None).of(kernel)
        assert set(machines.HV) <= held, (kernel, held)


@each
def test_disk(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    assert machine.read("/etc/fstab") == "# root\nUUID=0a1b\t/ ext4 defaults 0 1\ntmpfs /tmp tmpfs noexec,nosuid 0 0\n"
    assert machine.read("/proc/swaps").count("\n") == 1 and not machine.exists("/swapfile")
    assert not machine.exists("/etc/lvm/devices/system.devices")
    if machine.system.uefi:
        assert [path for path in (machine.upper / "boot/efi/EFI").rglob("*") if path.name.lower() == "bootx64.efi"]


@each
def test_drivers_may_load(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    folder = machine.upper / "etc/modprobe.d"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.conf")))
    assert not re.search(r"udf|fat|iso9660", re.sub(r"#.*", "", text)), text
    # The vendor's own file is hidden by one of its name.
    assert (folder / "vendor.conf").is_file() and "fat" not in (folder / "vendor.conf").read_text()
    assert "blacklist floppy" in text and "usb-storage" in text


@each
def test_ssh_and_sudo(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    for path in ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/00-cis.conf"):
        lines = [line.split() for line in machine.read(path).lower().splitlines()]
        assert [line[-1] for line in lines if line and line[0].startswith("clientalive")] == ["180"], path
    active = [line for line in machine.read("/etc/sudoers").splitlines() if not line.startswith("#")]
    assert active == ["Defaults env_reset", "root ALL=(ALL:ALL) ALL", "@includedir /etc/sudoers.d"]
    assert "systemctl" in machine.read("/var/log/calls")


@each
def test_network(prepared: Prepared, name: str) -> None:
    """No fixed address, no MAC address, and something that serves eth0."""
    machine = prepared.machines[name]
    assert not machine.exists("/etc/udev/rules.d/70-persistent-net.rules")
    ways = machine.system.ways.network
    place = {
        "ifupdown": "etc/network",
        "networkd": "etc/systemd/network",
        "networkmanager": "etc/NetworkManager",
        "netplan": "etc/netplan",
        "ifcfg": "etc/sysconfig/network-scripts",
        "wicked": "etc/sysconfig/network",
    }[ways]
    files = {path: path.read_text() for path in (machine.upper / place).rglob("*") if path.is_file()}
    text = "".join(files.values())
    assert "10.0.0.2" not in text and machines.MAC not in text, files
    serves = {
        "ifupdown": r"iface eth0 inet dhcp",
        "networkd": r"Name=en\* eth\*[\s\S]*DHCP=yes",
        "networkmanager": r"type=ethernet[\s\S]*method=auto",
        "netplan": r'name: "e\*"\s+dhcp4: true',
        "ifcfg": r"DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp",
        "wicked": r"BOOTPROTO='dhcp'\nSTARTMODE='auto'",
    }[ways]
    assert re.search(serves, text), files
    if ways == "wicked":
        assert 'DHCLIENT_SET_HOSTNAME="no"' in text


@pytest.mark.parametrize("name", WITH_PACKAGES)
def test_who_provisions(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    lines = machine.read("/etc/waagent.conf").splitlines()
    agent = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert agent["Provisioning.Agent"] == "cloud-init"
    assert (agent["ResourceDisk.Format"], agent["ResourceDisk.EnableSwap"]) == ("n", "n")
    texts = [path.read_text() for path in sorted((machine.upper / "etc/cloud/cloud.cfg.d").glob("*.cfg"))]
    assert "datasource_list: [ Azure ]" in [text for text in texts if "datasource_list" in text][-1].splitlines()
    documented = "90_dpkg.cfg" if machine.system.family == "ubuntu" else "91-azure_datasource.cfg"
    assert "[ Azure ]" in machine.read("/etc/cloud/cloud.cfg.d/" + documented)
    init = machine.read("/etc/cloud/cloud.cfg.d/zzz-azure_modules.cfg").partition("cloud_config_modules")[0]
    assert " - disk_setup\n" in init and " - mounts\n" in init
    wants = {path.name for path in (machine.upper / "etc/systemd/system").glob("*.wants/*")}
    ways = machine.system.ways
    for unit in (ways.agent_unit, ways.ssh_unit, ways.chrony_unit, *ways.daemon_units, "cloud-init-local.service"):
        assert unit in wants, unit


@pytest.mark.parametrize("name", sorted(machines.REPOSITORIES))
def test_repositories_that_have_the_agent_are_on(prepared: Prepared, name: str) -> None:
    """And no other one."""
    for path, before in machines.REPOSITORIES[name].items():
        wanted = before.replace("enabled=0", "enabled=1").replace(
            "[repo-non-oss]\nenabled=1", "[repo-non-oss]\nenabled=0"
        )
        assert prepared.machines[name].read(path) == wanted


@pytest.mark.parametrize("name", WITH_PACKAGES)
def test_time(prepared: Prepared, name: str) -> None:
    machine = prepared.machines[name]
    text = machine.read(machine.system.ways.chrony_conf)
    assert "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2" in text and "makestep 1.0 -1" in text
    assert "makestep 1 3" not in text and machine.read("/etc/adjtime").endswith("UTC\n")
    wants = {path.name for path in (machine.upper / "etc/systemd/system").glob("*.wants/*")}
    assert "systemd-timesyncd.service" not in wants


def test_a_network_is_there_before_networkmanager_goes(prepared: Prepared) -> None:
    """Debian 12's agent conflicts with NetworkManager: ifupdown serves both names of the card by then."""
    if "debian12nm" not in prepared.machines:
        pytest.skip("the machine debian12nm was not chosen")
    machine = prepared.machines["debian12nm"]
    calls = [line for line in machine.read("/var/log/calls").splitlines() if " install " in line and " -s " not in line]
    assert "ifupdown" in calls[0] and "waagent" in calls[1], calls
    assert not machine.exists("/usr/lib/systemd/system/NetworkManager.service")
    folder = machine.upper / "etc/network/interfaces.d"
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "iface eth0 inet dhcp" in text and "iface ens3 inet dhcp" in text


def test_an_unknown_family_is_told_what_is_left(prepared: Prepared) -> None:
    if "arch" not in prepared.machines:
        pytest.skip("the machine arch was not chosen")
    assert "is of no known family" in prepared.first.text and "PKG-01 to PKG-12" in prepared.first.text
