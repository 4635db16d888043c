"""A prepared guest after a restart, looked at from outside: by SSH, with the system's own tools, and at its console.

Nothing here calls the collection's code: a fault in it must not hide itself. The names carry the rules' IDs.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from testinfra.host import Host
from testinfra.modules.service import Service

DRIVERS = ("hv_vmbus", "hv_storvsc", "hv_netvsc")

#: Who was asked to provision (molecule.yml).
PROVISIONER = os.environ.get("MOLECULE_PROVISIONER") or "cloud-init"

#: By purpose; the names that distributions have for one package.
AGENT = "waagent walinuxagent WALinuxAgent python-azure-agent"
HYPERV = "hyperv-daemons linux-cloud-tools-common hyper-v"
GROWPART = "cloud-guest-utils cloud-utils-growpart growpart"
COMMON = (HYPERV, "chrony", "eject util-linux")
PACKAGES = {
    "cloud-init": (AGENT, "cloud-init", "gdisk gptfdisk", GROWPART, *COMMON),
    "waagent": (AGENT, "gdisk gptfdisk", *COMMON),
    "agentless": ("curl", *COMMON),
}[PROVISIONER]

has_agent = pytest.mark.skipif(PROVISIONER == "agentless", reason="no agent is wanted here")
cloud_init_provisions = pytest.mark.skipif(PROVISIONER != "cloud-init", reason="cloud-init does not provision here")
agent_provisions = pytest.mark.skipif(PROVISIONER != "waagent", reason="the agent does not provision here")
nobody_provisions = pytest.mark.skipif(PROVISIONER != "agentless", reason="an agent provisions here")


@pytest.fixture(scope="module", autouse=True)
def started(host: Host) -> None:
    """The server for SSH is up before the last services are, long before on a slow machine."""
    host.run("timeout 600 systemctl is-system-running --wait")


@pytest.fixture(scope="module")
def cmdline(host: Host) -> list[str]:
    """What the running kernel was given."""
    return host.check_output("cat /proc/cmdline").split()


@pytest.fixture(scope="module")
def fstab(host: Host) -> list[list[str]]:
    """The fields of each line of /etc/fstab that is no comment."""
    lines = host.check_output("cat /etc/fstab").splitlines()
    return [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]


@pytest.fixture(scope="module")
def agent(host: Host) -> dict[str, str]:
    """/etc/waagent.conf as the agent reads it: the last of equal keys wins."""
    lines = host.check_output("cat /etc/waagent.conf").splitlines()
    return dict(line.strip().split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))


@pytest.fixture(scope="module")
def cloud_config(host: Host) -> dict[str, object]:
    """cloud-init's configuration as cloud-init itself merges it from cloud.cfg and cloud.cfg.d."""
    code = (
        "import json; from cloudinit import util; print(json.dumps(util.read_conf_with_confd('/etc/cloud/cloud.cfg')))"
    )
    merged: dict[str, object] = json.loads(host.check_output(f"python3 -c {shlex.quote(code)}"))
    return merged


@pytest.fixture(scope="module")
def console() -> str:
    """What the machine wrote to its first serial port since the last time it was started or restarted."""
    directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "guest"
    log = Path(json.loads((directory / "guest.json").read_text())["serial_log"])
    text = log.read_bytes().decode("utf-8", "replace")
    # The restart's firmware and loader come after the last message of the system that went down.
    return text.rpartition("reboot: Restarting system")[2]


@pytest.fixture(scope="module")
def images(host: Host) -> dict[str, str]:
    """What the image of each kernel in /boot holds, as the tool lists it that came with the image's generator."""
    listed = {}
    for kernel in host.check_output("ls /boot | sed -n s/^vmlinuz-//p").split():
        if "rescue" in kernel:
            continue
        names = f"/boot/initrd.img-{kernel} /boot/initramfs-{kernel}.img /boot/initrd-{kernel}"
        path = host.check_output(f"ls {names} 2>/dev/null || true")
        lister = "lsinitrd" if host.package("dracut").is_installed else "lsinitramfs"
        assert len(path.split()) == 1, f"images of {kernel}: {path}"
        listed[kernel] = host.check_output(f"{lister} {path}")
    return listed


def one_of(host: Host, *names: str) -> Service:
    """The first of some services that is enabled, else the first."""
    # Of a unit that is not there, systemd says so with a status of its own (4), at which testinfra would end the test.
    enabled = [name for name in names if host.run("systemctl is-enabled %s", name).stdout.strip() == "enabled"]
    return host.service([*enabled, *names][0])


def test_disk_09_no_swap_on_the_os_disk(host: Host, fstab: list[list[str]]) -> None:
    assert host.check_output("tail -n +2 /proc/swaps") == ""
    assert [line for line in fstab if line[2] == "swap"] == []


def test_disk_12_fstab_by_uuid(host: Host, fstab: list[list[str]]) -> None:
    sources = {line[1]: line[0] for line in fstab}
    # A logical volume's name lasts, and is the only one that a snapshot of the volume does not share.
    root = host.check_output("findmnt -n -o SOURCE,UUID /").split()
    assert sources["/"] == (root[0] if root[0].startswith("/dev/mapper/") else "UUID=" + root[1])
    assert [source for source in sources.values() if re.match(r"/dev/(?!sr0|mapper/)|LABEL=|PART", source)] == []
    # Exit status 0: findmnt found nothing wrong in the whole file.
    host.run_expect([0], "findmnt --verify --verbose")


def test_disk_12_no_initramfs_waits_for_the_swap_that_is_gone(host: Host, images: dict[str, str]) -> None:
    """The installer's RESUME=UUID=... names the swap partition; without it the initramfs waits 30 seconds. dracut's
    host-only images hold a hook for each device that they wait for."""
    resume = host.run("cat /etc/initramfs-tools/conf.d/resume").stdout
    uuids = re.findall(r"^\s*RESUME=UUID=(\S+)", resume, re.MULTILINE)
    for uuid in uuids:
        host.run_expect([0], f"blkid --uuid {uuid}")
    for listed in images.values():
        for name in re.findall(r"/devexists-(\S+)\.sh", listed):
            device = re.sub(r"\\+x([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), name)
            assert host.file(device).exists, device


def test_disk_12_lvm_is_not_tied_to_this_disk(host: Host) -> None:
    assert not host.file("/etc/lvm/devices/system.devices").exists


def test_disk_16_uefi_fallback_loader(host: Host) -> None:
    if not host.file("/sys/firmware/efi").exists:
        pytest.skip("this guest has BIOS firmware")
    names = host.check_output("find /boot/efi/EFI -ipath '*/boot/bootx64.efi'")
    assert names, "a disk without firmware variables boots only from \\EFI\\BOOT\\BOOTX64.EFI"


def test_kern_06_to_08_provisioning_media_can_be_mounted(host: Host) -> None:
    for module in ("udf", "vfat", "isofs", "sr_mod"):
        said = host.check_output(f"modprobe -n -v {module}")
        assert "/bin/true" not in said
        assert "/bin/false" not in said


def test_kern_09_no_driver_of_hyper_v_is_blacklisted(host: Host) -> None:
    assert not re.search(r"^\s*(blacklist|install)\s+hv_", host.check_output("modprobe --showconfig"), re.MULTILINE)


def test_kern_06_to_09_no_initramfs_bans_a_driver(host: Host, images: dict[str, str]) -> None:
    """Each image holds a copy of /etc/modprobe.d from when it was made."""
    if not host.exists("unmkinitramfs"):
        pytest.skip("only initramfs-tools brings a program that unpacks its images")
    for kernel in images:
        unpack = (
            f'unmkinitramfs /boot/initrd.img-{kernel} "$d" && cat $(find "$d" -path "*/modprobe.d/*.conf") </dev/null'
        )
        lines = host.check_output(f'd=$(mktemp -d -p /var/tmp) && {unpack} && rm -rf "$d"')
        assert not re.search(r"^\s*(blacklist|install)\s+(udf|v?fat|isofs|sr_mod|hv_)", lines, re.MULTILINE), kernel


def test_init_01_02_every_kernel_has_its_drivers(host: Host, images: dict[str, str]) -> None:
    assert host.check_output("uname -r") in images
    for kernel, listed in images.items():
        built_in = host.check_output(f"cat /lib/modules/{kernel}/modules.builtin")
        for driver in DRIVERS:
            pattern = rf"/{driver}\.ko"
            assert re.search(pattern, listed) or re.search(pattern, built_in), f"{driver} for {kernel}"


def test_boot_01_kernel_console_on_the_serial_port(cmdline: list[str]) -> None:
    consoles = [word for word in cmdline if word.startswith("console=")]
    assert consoles[-1] == "console=ttyS0,115200n8"


def test_boot_03_04_06_arguments(cmdline: list[str]) -> None:
    assert "earlyprintk=ttyS0,115200" in cmdline
    assert "rootdelay=300" in cmdline
    assert not {"quiet", "rhgb", "crashkernel=auto"} & set(cmdline)
    # A volume's name is as good on another machine, and GRUB gives no other.
    assert [word for word in cmdline if re.match(r"root=(UUID=|LABEL=|/dev/mapper/)", word)]


def test_boot_10_grub_draws_its_menu_on_the_serial_port(host: Host, console: str) -> None:
    if host.exists("bootctl") and host.run("bootctl is-installed").rc == 0:
        pytest.skip("systemd-boot shows its menu, on the firmware's console, only where it is asked to")
    assert "GNU GRUB" in console


def test_boot_01_messages_and_a_login_prompt_on_the_serial_port(console: str) -> None:
    assert "Linux version" in console
    assert re.search(r"ttyS0\s+\S* ?login: ", console) or " login: " in console


def test_boot_16_login_prompt_is_a_running_service(host: Host) -> None:
    assert host.service("serial-getty@ttyS0").is_running


def test_ssh_01_02_server_starts_at_boot_and_keeps_sessions(host: Host) -> None:
    assert one_of(host, "ssh", "ssh.socket", "sshd").is_enabled
    # OpenSSH 10 writes keywords as its manual does.
    effective = host.check_output("sshd -T").lower().splitlines()
    assert "clientaliveinterval 180" in effective


def test_acc_01_sudo_asks_for_the_callers_own_password(host: Host) -> None:
    host.run_expect([0], "visudo -c")
    found = host.run("grep -rhE '^[[:space:]]*Defaults.*targetpw' /etc/sudoers /etc/sudoers.d").stdout
    # Debian's testing switches it off for one group.
    assert [line for line in found.splitlines() if re.search(r"(?<!!)targetpw", line)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_pkg_03_11_12_packages(host: Host, name: str) -> None:
    assert any(host.package(one).is_installed for one in name.split())


def test_nvme_07_azure_vm_utils_where_the_release_has_it(host: Host) -> None:
    asks = {
        "apt-cache": "apt-cache show azure-vm-utils",
        "dnf": "dnf -q repoquery azure-vm-utils | grep .",
        "zypper": "zypper --non-interactive search --match-exact azure-vm-utils",
    }
    if not any(host.exists(tool) and host.run(line).rc == 0 for tool, line in asks.items()):
        pytest.skip("this release does not have the package")
    assert host.package("azure-vm-utils").is_installed


def test_net_07_08_12_nothing_ties_the_network_to_this_card(host: Host) -> None:
    folders = (
        "/etc/network /etc/netplan /etc/NetworkManager /etc/systemd/network /etc/udev/rules.d /run/systemd/network"
    )
    for card in host.check_output("ls /sys/class/net").split():
        address = host.check_output(f"cat /sys/class/net/{card}/address")
        if address not in ("", "00:00:00:00:00:00"):
            assert host.run(f"grep -rliF {address} {folders}").stdout == "", card


def test_net_01_a_card_called_eth0_would_ask_for_an_address(host: Host) -> None:
    """By the word of whoever serves the network now: a dummy card for networkd, its files for the others."""
    served = []
    if host.service("systemd-networkd").is_running:
        host.check_output("ip link add eth7 type dummy")
        try:
            seen = host.check_output("sleep 2; networkctl status eth7")
        finally:
            host.check_output("ip link delete eth7")
        network = re.search(r"Network File: (/\S+)", seen)
        assert network, seen
        served.append(re.search(r"^DHCP=(yes|ipv4)$", host.file(network.group(1)).content_string, re.MULTILINE))
    if host.service("NetworkManager").is_running:
        active = host.check_output("nmcli -g UUID,TYPE connection show --active").splitlines()
        for uuid in [line.partition(":")[0] for line in active if line.endswith("ethernet")]:
            fields = "connection.interface-name,802-3-ethernet.mac-address,ipv4.method"
            shown = host.check_output(f"nmcli -g {fields} connection show {uuid}")
            served.append(shown.split("\n") == ["", "", "auto"])
    if host.exists("ifquery"):
        # It also complains of names that cloud-init's own file no longer has.
        served.append("eth0" in host.run("ifquery --list --allow=hotplug").stdout.split())
        served.append(host.run("ifquery eth0").rc == 0)
    assert served and all(served), served


@has_agent
def test_agent_01_starts_at_boot(host: Host) -> None:
    assert one_of(host, "walinuxagent", "waagent").is_enabled


@cloud_init_provisions
def test_agent_04_06_cloud_init_provisions_and_the_agent_leaves_the_resource_disk_alone(agent: dict[str, str]) -> None:
    assert agent["Provisioning.Agent"] in ("cloud-init", "auto")
    assert agent["ResourceDisk.Format"] == "n"
    assert agent.get("ResourceDisk.EnableSwap", "n") == "n"


@agent_provisions
def test_agent_04_07_the_agent_provisions_and_formats_the_resource_disk(agent: dict[str, str]) -> None:
    assert agent["Provisioning.Agent"] == "waagent"
    assert (agent["ResourceDisk.Format"], agent["ResourceDisk.MountPoint"]) == ("y", "/mnt/resource")
    assert agent["ResourceDisk.EnableSwap"] == "n"


@has_agent
def test_agent_08_09_root_password_host_keys_and_disk_time_out(agent: dict[str, str]) -> None:
    assert agent.get("Provisioning.DeleteRootPassword", "y") == "y"
    assert agent.get("Provisioning.RegenerateSshHostKeyPair", "y") == "y"
    assert agent.get("OS.RootDeviceScsiTimeout") == "300"


@agent_provisions
def test_ssh_04_missing_host_keys_are_made_at_boot(host: Host) -> None:
    assert host.service("azure-ssh-host-keys").is_enabled


@cloud_init_provisions
def test_cinit_02_azure_is_the_only_source(cloud_config: dict[str, object]) -> None:
    assert [name for name in cloud_config["datasource_list"] if name != "None"] == ["Azure"]  # type: ignore[attr-defined]


@cloud_init_provisions
def test_cinit_10_cloud_init_is_not_disabled(host: Host, cmdline: list[str]) -> None:
    assert not host.file("/etc/cloud/cloud-init.disabled").exists
    assert "cloud-init=disabled" not in cmdline


def test_agent_04_exactly_one_provisions(host: Host) -> None:
    if PROVISIONER != "cloud-init" and host.exists("cloud-init"):
        assert host.file("/etc/cloud/cloud-init.disabled").exists
        assert host.check_output("cloud-init status").splitlines()[0] == "status: disabled"
    units = [host.service(name) for name in ("azure-provisioning-early", "azure-provisioning")]
    assert [unit.exists and unit.is_enabled for unit in units] == [PROVISIONER == "agentless"] * 2


@nobody_provisions
def test_noagent_03_the_agent_is_gone(host: Host) -> None:
    assert not [name for name in AGENT.split() if host.package(name).is_installed]
    for path in ("/etc/waagent.conf", "/var/lib/waagent", "/usr/sbin/waagent"):
        assert not host.file(path).exists, path


@nobody_provisions
def test_noagent_04_05_the_program_ran_at_boot_and_saw_that_this_is_not_azure(host: Host) -> None:
    for unit in ("azure-provisioning-early", "azure-provisioning"):
        assert host.service(unit).is_enabled
        assert host.check_output(f"systemctl show -P Result {unit}") == "success"
        assert "this is not Azure" in host.check_output(f"journalctl -b -u {unit}")
    assert not host.file("/var/lib/azure-provisioning/provisioned").exists


def test_time_01_a_clock_is_kept_and_chrony_runs_without_hyper_v(host: Host) -> None:
    assert one_of(host, "chrony", "chronyd").is_running
    assert "refclock PHC /dev/ptp_hyperv" in host.run("grep -rhs ^refclock /etc/chrony /etc/chrony.conf").stdout
    # Only over the socket in /run/chrony, whose directory must be chronyd's own, may root say this.
    assert host.check_output("chronyc onoffline") == "200 OK"


def test_what_was_written_can_be_read_by_who_has_to(host: Host) -> None:
    """systemd-networkd, for one, does not run as root; the administrator's umask may be 077."""
    places = "/etc/fstab /etc/default/grub /etc/modprobe.d /etc/udev/rules.d /etc/systemd/system /etc/systemd/network"
    assert host.run(f"find {places} ! -type l ! -perm -o=r").stdout == ""


def test_nothing_failed_at_boot(host: Host) -> None:
    assert host.check_output("systemctl --failed --plain --no-legend") == ""
