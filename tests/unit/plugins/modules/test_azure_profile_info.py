"""What the roles learn about a system, for every family on a tree; and what is installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import packages
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.modules import azure_packages, azure_profile_info

DPKG = """\
Package: openssh-server
Status: install ok installed
Provides: ssh-server, foo (= 1)

Package: waagent
Status: deinstall ok config-files

Package: sudo
Status: install ok installed
"""


def look(host: Host, **given: object) -> dict:
    params = {name: option.get("default") for name, option in azure_profile_info.argument_spec().items()}
    return azure_profile_info.run({**params, **given}, host, False)


SYSTEMS = [
    ('ID="rhel"\nVERSION_ID="9.4"\nID_LIKE="fedora"\n', "redhat", "cloud-init", ["WALinuxAgent", "cloud-init"]),
    ('ID="centos"\nVERSION_ID="7"\n', "redhat", "cloud-init", ["WALinuxAgent", "cloud-init"]),
    ('ID="ol"\nVERSION_ID="8.9"\nID_LIKE="fedora"\n', "redhat", "cloud-init", ["WALinuxAgent", "cloud-init"]),
    ("ID=debian\nVERSION_ID=12\n", "debian", "cloud-init", ["waagent", "cloud-init"]),
    ("ID=ubuntu\nVERSION_ID=22.04\nID_LIKE=debian\n", "ubuntu", "cloud-init", ["walinuxagent", "cloud-init"]),
    ('ID=sles\nVERSION_ID="15.5"\nID_LIKE=suse\n', "suse", "cloud-init", ["python-azure-agent", "cloud-init"]),
    ('ID=sles\nVERSION_ID="11.4"\n', "suse", "waagent", ["python-azure-agent"]),
    ("ID=arch\n", "generic", "cloud-init", ["WALinuxAgent", "cloud-init"]),
]


@pytest.mark.parametrize(("release", "family", "provisioner", "required"), SYSTEMS)
def test_families(make_host, release: str, family: str, provisioner: str, required: list[str]) -> None:
    found = look(make_host({"/etc/os-release": release}))
    assert (found["family"], found["provisioner"]) == (family, provisioner)
    assert set(required) <= set(found["packages_required"])
    assert found["changed"] is False and found["generation"] == "V1"
    assert found["vendor"]["waagent_settings"]["ResourceDisk.Format"] is (provisioner == "waagent")


def test_a_system_half_way(make_host) -> None:
    host = make_host(
        {
            "/etc/os-release": "ID=debian\nVERSION_ID=12\n",
            "/var/lib/dpkg/status": DPKG,
            "/etc/waagent.conf": "",
            "/sys/firmware/efi/runtime": "",
            "/proc/cmdline": "root=/dev/vda1 modprobe.blacklist=floppy,udf cloud-init=disabled quiet\n",
            "/usr/lib/systemd/system/ssh.service": "[Install]\nWantedBy=multi-user.target\n",
            "/etc/systemd/system/multi-user.target.wants/ssh.service": "-> /usr/lib/systemd/system/ssh.service",
            "/usr/lib/systemd/system/walinuxagent.service": "[Install]\nWantedBy=multi-user.target\n",
            "/usr/lib/systemd/system/hv-kvp-daemon.service": "[Install]\nWantedBy=multi-user.target\n",
            "/etc/systemd/system/hv-kvp-daemon.service": "-> /dev/null",
        }
    )
    found = look(host, family="debian")
    assert found["generation"] == "V2"
    assert found["units"]["ssh"] == {"ssh.service": "enabled"}
    assert found["units_to_enable"]["agent"] == ["walinuxagent.service"]
    assert found["units_to_enable"]["hyperv_daemons"] == ["hv-kvp-daemon.service"]
    assert found["cmdline_extra_remove"] == ["modprobe.blacklist=floppy,udf", "cloud-init=disabled"]
    assert found["cmdline_extra_set"] == ["modprobe.blacklist=floppy"]
    assert found["installed"]["agent"] and found["agent_leftovers"] == ["/etc/waagent.conf"]


def test_agentless_wants_curl_and_no_agent(make_host) -> None:
    found = look(make_host({"/etc/os-release": "ID=debian\nVERSION_ID=12\n"}), provisioner="agentless")
    assert "curl" in found["packages_required"] and "waagent" not in found["packages_required"]


FIXED = {"/etc/network/interfaces": "iface ens3 inet static\n", "/usr/sbin/ifup": "x"}


@pytest.mark.parametrize("provisioner", ["cloud-init", "waagent", "agentless"])
@pytest.mark.parametrize(
    ("release", "more", "expected"),
    [
        ("ID=debian\nVERSION_ID=12\n", {}, ["isc-dhcp-client"]),
        ("ID=debian\nVERSION_ID=13\n", {}, ["dhcpcd-base"]),
        ("ID=ubuntu\nVERSION_ID=16.04\nID_LIKE=debian\n", {}, ["isc-dhcp-client"]),
        ("ID=ubuntu\nVERSION_ID=24.04\nID_LIKE=debian\n", {}, ["dhcpcd-base"]),
        ("ID=debian\nVERSION_ID=12\n", {"/usr/sbin/dhclient": "x"}, []),
        ("ID=debian\nVERSION_ID=12\n", {"/usr/sbin/udhcpc": "x"}, []),
        ("ID=debian\nVERSION_ID=13\n", {"/usr/sbin/dhcpcd": "x"}, []),
        ("ID=debian\nVERSION_ID=13\n", {"/usr/sbin/ifup": None, "/etc/network/interfaces": None}, []),
        ("ID=arch\n", {}, []),
    ],
)
def test_ifupdown_gets_a_dhcp_client_where_it_has_none(
    make_host, provisioner: str, release: str, more: dict[str, str | None], expected: list[str]
) -> None:
    files = {path: text for path, text in {**FIXED, **more}.items() if text is not None}
    host = make_host({"/etc/os-release": release, **files})
    for path in files:
        if "bin/" in path:
            os.chmod(host.path(path), 0o755)
    found = look(host, provisioner=provisioner)
    assert found["packages_by_purpose"].get("dhcp_client", []) == expected
    assert set(expected) <= set(found["packages_required"])


def test_a_root_by_id_becomes_one_by_uuid(make_host) -> None:
    host = make_host(
        {
            "/proc/cmdline": "root=/dev/disk/by-id/ata-x-part2 ro\n",
            "/dev/sda2": "",
            "/dev/disk/by-id/ata-x-part2": "-> ../../sda2",
            "/dev/disk/by-uuid/1234": "-> ../../sda2",
        }
    )
    assert look(host)["cmdline_root"] == ["root=UUID=1234"]


DISKS = {
    "/dev/vda1": "",
    "/dev/vda2": "",
    "/dev/disk/by-uuid/1234": "-> ../../vda1",
    "/dev/disk/by-uuid/5678": "-> ../../vda2",
    "/dev/disk/by-label/root": "-> ../../vda1",
}
ENTRIES = "menuentry 'a' {{\n linux /vmlinuz-1 {}\n}}\nmenuentry 'b' {{\n linux /vmlinuz-2 {}\n}}\n"


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("root=/dev/vda1", "root=UUID=1234", ["root=UUID=1234"]),
        ("root=/dev/vda1", "root=LABEL=root", ["root=UUID=1234"]),
        ("root=/dev/disk/by-id/gone", "ro", []),
        ("root=/dev/vda1", "root=/dev/vda2", []),
        ("root=LABEL=root", "root=UUID=1234", []),
        ("root=/dev/mapper/vg-root", "root=/dev/mapper/vg-root", []),
        ("root=/dev/vda3", "ro", []),
    ],
)
def test_root_is_named_to_last_where_all_entries_boot_one_device(
    make_host, first: str, second: str, wanted: list[str]
) -> None:
    host = make_host({"/boot/grub/grub.cfg": ENTRIES.format(first, second), **DISKS})
    assert look(host)["cmdline_root"] == wanted


def test_arguments_against_a_rule_are_found_in_every_entry(make_host) -> None:
    first = "root=UUID=1234 modprobe.blacklist=udf,nouveau ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:none ip=dhcp"
    second = "module-blacklist=x rd.driver.blacklist=hv-netvsc ifname=eth0:52:54:00:12:34:56 BOOTIF=01-52 ip=eth0:dhcp"
    host = make_host({"/boot/grub/grub.cfg": ENTRIES.format(first, second), **DISKS})
    found = look(host)
    assert found["cmdline_extra_set"] == ["modprobe.blacklist=nouveau"]
    assert sorted(found["cmdline_extra_remove"]) == [
        "BOOTIF=01-52",
        "ifname=eth0:52:54:00:12:34:56",
        "ip=192.0.2.7::192.0.2.1:255.255.255.0::eth0:none",
        "modprobe.blacklist=udf,nouveau",
        "rd.driver.blacklist=hv-netvsc",
    ]


def test_dpkg_status() -> None:
    assert packages.parse_dpkg_status(DPKG) == {"openssh-server", "ssh-server", "foo", "sudo"}


class Apt:
    """Stands for apt-get and apt-cache of a system, and remembers what was run."""

    def __init__(self, host: Host, offered: set[str], removes: list[str]) -> None:
        self.host, self.offered, self.removes = host, offered, removes
        self.ran: list[list[str]] = []

    def run(self, argv, check=True, stdin=None, env=None, timeout=None) -> CommandResult:
        words = list(argv)
        self.ran.append(words)
        output = ""
        if words[:2] == ["apt-cache", "policy"]:
            output = "".join(f"{name}:\n  Candidate: 1\n" for name in words[2:] if name in self.offered)
        elif "-s" in words:
            output = "".join(f"Remv {name} [1]\n" for name in self.removes)
        elif words[0] == "apt-get" and ("install" in words or "purge" in words):
            names = words[words.index("install" if "install" in words else "purge") + 1 :]
            status = self.host.read("/var/lib/dpkg/status")
            for name in names:
                if "purge" in words:
                    status = status.replace(f"Package: {name}\nStatus: install ok installed\n", "")
                else:
                    status += f"\n\nPackage: {name}\nStatus: install ok installed\n"
            self.host.write("/var/lib/dpkg/status", status)
        return CommandResult(words, 0, output, "")


@pytest.fixture
def apt(make_host, monkeypatch):
    def make(offered: set[str] = frozenset(), removes: list[str] = ()) -> tuple[Host, Apt]:
        host = make_host({"/var/lib/dpkg/status": DPKG, "/etc/network/interfaces": "iface lo inet loopback\n"})
        fake = Apt(host, set(offered), list(removes))
        monkeypatch.setattr(host, "run", fake.run)
        monkeypatch.setattr(host, "which", lambda name: "/usr/bin/" + name if name != "rpm" else None)
        return host, fake

    return make


def packages_of(**given: object) -> dict:
    return {"required": [], "optional": [], "absent": [], "upgrade": False, **given}


def test_one_transaction_and_then_nothing(apt) -> None:
    host, fake = apt({"gdisk"})
    params = packages_of(required=["sudo", "waagent"], optional=["gdisk", "azure-vm-utils"])
    planned = azure_packages.run(params, host, True)
    assert planned["changed"] and not [words for words in fake.ran if words[0] == "apt-get"]
    result = azure_packages.run(params, host, False)
    assert result["installed"] == ["waagent", "gdisk"] and result["not_offered"] == ["azure-vm-utils"]
    installs = [words for words in fake.ran if "install" in words and "-s" not in words]
    assert len(installs) == 1 and "--no-install-recommends" in installs[0]
    fake.ran.clear()
    assert not azure_packages.run({**params, "optional": ["gdisk"]}, host, False)["changed"]
    assert fake.ran == []


def test_what_must_stay_stays(apt) -> None:
    host, _fake = apt(removes=["openssh-server"])
    with pytest.raises(AzurePrepError, match="would remove openssh-server"):
        azure_packages.run(packages_of(required=["waagent"]), host, False)


def test_networkmanager_goes_only_when_something_else_is_set_up(apt) -> None:
    host, fake = apt({"isc-dhcp-client"}, ["network-manager"])
    result = azure_packages.run(packages_of(required=["waagent"]), host, False)
    assert result["removed"] == ["network-manager"]
    assert "iface eth0 inet dhcp" in host.read("/etc/network/interfaces.d/50-cloud-init")
    order = [words[-1] for words in fake.ran if "install" in words and "-s" not in words]
    assert order == ["isc-dhcp-client", "waagent"]


def test_removal(apt) -> None:
    host, _fake = apt()
    params = packages_of(absent=["sudo", "walinuxagent"])
    assert azure_packages.run(params, host, False)["removed"] == ["sudo"]
    assert not azure_packages.run(params, host, False)["changed"]


def test_no_package_manager_is_a_sentence(make_host) -> None:
    with pytest.raises(AzurePrepError, match="by hand: waagent"):
        azure_packages.run(packages_of(required=["waagent"]), make_host({}), False)


@pytest.mark.parametrize(
    ("kind", "text", "count"),
    [
        ("apt", "Inst a [1] (2)\nConf a\n", 1),
        ("dnf", "\nkernel.x86_64   5.14   baseos\nvim.noarch 9 appstream\n", 2),
        ("zypper", "S | Repository | Name\n--+--\nv | Main | vim\n", 1),
    ],
)
def test_upgrades_are_counted(kind: str, text: str, count: int) -> None:
    assert packages.upgrades(kind, text) == count


def test_files_of_an_agentless_choice(make_host) -> None:
    """Links are found also where they lead nowhere, and come before the units that they name."""
    host = make_host({"/etc/os-release": "ID=debian\nVERSION_ID=12\n", "/usr/local/sbin/azure-provisioning": "x"})
    link = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
    host.symlink("../azure-provisioning.service", link)
    params = {"root": host.root, "family": None, "provisioner": None, "kernel_package": "", "query_packages": False}
    result = azure_profile_info.run(params, host, True)
    assert result["agentless_files"] == [link, "/usr/local/sbin/azure-provisioning"]


def test_what_stands_beside_and_in_the_way(make_host) -> None:
    enabled = "[Install]\nWantedBy=multi-user.target\n"
    host = make_host(
        {
            "/etc/ssh/sshd_config": "ListenAddress 10.0.0.5\nMatch User x\n AllowUsers x\nMatch all\nAllowGroups ops\n",
            "/usr/lib/systemd/system/ntpsec.service": enabled,
            "/etc/systemd/system/multi-user.target.wants/ntpsec.service": "-> /usr/lib/systemd/system/ntpsec.service",
            "/usr/lib/systemd/system/openntpd.service": enabled,
            "/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n",
            "/proc/cmdline": "ro ds=nocloud;s=http://192.0.2.1/ ci.ds=Azure\n",
        }
    )
    found = look(host)
    assert found["other_clocks"] == ["ntpsec.service"] and found["rtc_local"] is True
    assert found["cmdline_extra_remove"] == ["ds=nocloud;s=http://192.0.2.1/"]
    assert [sentence for sentence in found["warnings"] if "AllowGroups ops" in sentence]
    assert [sentence for sentence in found["warnings"] if "listens on 10.0.0.5 only" in sentence]
    assert not [sentence for sentence in found["warnings"] if "AllowUsers" in sentence]


def test_the_update_initramfs_of_dracut_is_not_initramfs_tools(make_host) -> None:
    release = {"/etc/os-release": "ID=debian\nVERSION_CODENAME=forky\n", "/usr/sbin/update-initramfs": "#!/bin/sh\n"}
    host = make_host(release)
    (Path(host.root) / "usr/sbin/update-initramfs").chmod(0o755)
    assert host.which("update-initramfs") and not look(host)["installed"]["initramfs_tools"]
    host = make_host({**release, "/etc/initramfs-tools/scripts/init-premount/x": ""})
    assert look(host)["installed"]["initramfs_tools"]
