"""Every check: a tree that keeps all rules, and for each rule a change that breaks exactly this one."""

# ruff: noqa: E501  (one line of a tree or of the table is one thing)
from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import write_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import catalogue, engine
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import Context
from ansible_collections.linuxvhd.azure.plugins.modules import azure_audit

from . import trees
from .trees import ARGUMENTS, DRIVERS, KERNEL, Files, LiveContext, grub_cfg

EL7_KERNEL = "3.10.0-1160.el7.x86_64"


class Case(NamedTuple):
    """A rule, the tree it is tried on, and what breaks it. also: other rules that the same defect breaks."""

    rule: str
    tree: str
    changes: Files
    also: frozenset[str] = frozenset()
    outputs: dict[str, Any] = {}  # noqa: RUF012
    options: dict[str, Any] = {}  # noqa: RUF012


def case(rule: str, tree: str, changes: Files | None = None, also: str = "", **kwargs: Any) -> Case:
    outputs = kwargs.pop("outputs", {})
    return Case(rule, tree, changes or {}, frozenset(also.split()), outputs, kwargs)


def defaults(tree: str, arguments: str) -> Files:
    """The boot entries and their defaults with other arguments, on a Debian or Enterprise Linux tree."""
    words = arguments.split(" ro ")[1]
    files: Files = {
        "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{words}"\nGRUB_TERMINAL="serial console"\n'
        'GRUB_SERIAL_COMMAND="serial --speed=115200"\nGRUB_ENABLE_BLSCFG=true\n',
        "/proc/cmdline": arguments + "\n",
    }
    if tree.startswith(("debian", "ubuntu")):
        files["/boot/grub/grub.cfg"] = grub_cfg(arguments)
    else:
        files["/boot/grub2/grub.cfg"] = grub_cfg(arguments)
        files["/boot/loader/entries/a.conf"] = f"title EL\nlinux /vmlinuz-{KERNEL}\noptions {arguments}\n"
    return files


EL_ARGUMENTS = ARGUMENTS + " net.ifnames=0"
CONF = "/etc/waagent.conf"


def waagent(old: str, new: str) -> Files:
    assert old in trees.WAAGENT
    return {CONF: trees.WAAGENT.replace(old, new)}


def images(*missing: str) -> list[tuple[str, str, frozenset[str]]]:
    return [(KERNEL, f"/boot/initrd.img-{KERNEL}", DRIVERS - set(missing))]


SWAP_CFG = (
    "disk_setup:\n  ephemeral0:\n    layout: [66, [33, 82]]\nfs_setup:\n  - device: ephemeral0.1\n    filesystem: ext4\n"
    "  - device: ephemeral0.2\n    filesystem: swap\nmounts:\n  - [ephemeral0.1, /mnt/resource]\n"
    "  - [ephemeral0.2, none, swap, 'sw,nofail,x-systemd.requires=cloud-init.service']\n"
)
CLOUD = "/etc/cloud/cloud.cfg.d/"

CASES = [
    # -- disk
    case(
        "DISK-07",
        "debian",
        {
            "/proc/self/mountinfo": "21 1 254:0 / / rw - ext4 /dev/mapper/vg-root rw\n",
            "/dev/mapper/vg-root": "-> ../dm-0",
            "/dev/dm-0": "",
            "/sys/class/block/dm-0": "-> ../../devices/virtual/block/dm-0",
            "/sys/devices/virtual/block/dm-0/dm/uuid": "LVM-abc\n",
            "/sys/devices/virtual/block/dm-0/slaves/sda1": "-> ../../../../host0/block/sda/sda1",
        },
    ),
    case(
        "DISK-09",
        "debian",
        {"/proc/swaps": "Filename Type Size Used Priority\n/swapfile file 1024 0 -2\n"},
    ),
    case(
        "SWAP-01",
        "debian",
        {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\nUUID=bbbb-2 none swap sw,nofail 0 0\n"},
        also="DISK-09",
    ),
    case(
        "DISK-10",
        "debian",
        {
            "/proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:2 / /home rw - ext4 /dev/sda2 rw\n",
            "/sys/devices/host0/block/sda/sda2/partition": "2\n",
            "/sys/devices/host0/block/sda/sda2/start": "99999\n",
            "/sys/class/block/sda2": "-> ../../devices/host0/block/sda/sda2",
            "/dev/sda2": "",
        },
    ),
    case("DISK-11", "debian", {"/sys/devices/host0/block/sda/sda1/start": "63\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\nUUID=gone /data xfs defaults 0 2\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "/dev/disk/by-id/ata-QEMU_1-part1 / ext4 defaults 0 1\n"}),
    case("DISK-13", "debian", defaults("debian", ARGUMENTS.replace("UUID=aaaa-1", "/dev/sda1"))),
    case("DISK-13", "debian", defaults("debian", ARGUMENTS.replace("UUID=aaaa-1", "/dev/disk/by-id/ata-x-part1"))),
    case("DISK-14", "debian", architecture="i686", also="BOOT-12"),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": None}),
    # -- kernel
    case(
        "KERN-01",
        "debian",
        {
            f"/lib/modules/{KERNEL}/modules.dep": "".join(
                f"{name}:\n" for name in trees._MODULES if not name.endswith("hv_utils.ko")
            )
        },
    ),
    case("KERN-02", "el6", {"/etc/os-release": 'ID=rhel\nVERSION_ID="6.2"\n'}, also="REPO-04 KERN-05"),
    case("KERN-03", "debian", kernel="2.6.30-1", also="KERN-04 KERN-05"),
    case("KERN-06", "debian", {"/etc/modprobe.d/cis.conf": "install udf /bin/true\n"}),
    case("KERN-06", "debian", {"/usr/lib/modprobe.d/cis.conf": "blacklist udf\n"}),
    case("KERN-06", "debian", defaults("debian", ARGUMENTS + " module_blacklist=cramfs,udf")),
    case("KERN-07", "debian", {"/etc/modprobe.d/cis.conf": "install vfat /bin/false\n"}),
    case("KERN-08", "debian", {"/etc/modprobe.d/cis.conf": "blacklist sr_mod\n"}),
    case("KERN-09", "debian", {"/etc/modprobe.d/cis.conf": "blacklist hv_netvsc\n"}),
    case("KERN-10", "debian", {f"/boot/config-{KERNEL}": "CONFIG_WATCHDOG=y\n# CONFIG_CIFS is not set\n"}),
    case("KERN-11", "ubuntu", {"/var/lib/dpkg/status": trees.dpkg({"walinuxagent": "2.9", "cloud-init": "24.1", "linux-cloud-tools-common": "6"})}),
    case("KERN-12", "ol9", {}, kernel="2.6.39-400.el9uek.x86_64", also="KERN-01 KERN-06 KERN-07 KERN-08"),
    case("KERN-13", "el7", {}, kernel="3.10.0-693.el7.x86_64", also="REPO-08"),
    case("KERN-05", "el6", {"/etc/os-release": 'ID=rhel\nVERSION_ID="6.5"\n'}, also="REPO-04"),
    # -- initramfs
    case("INIT-02", "debian", images=images("hv_storvsc"), also="INIT-04 INIT-05"),
    case("INIT-01", "el9", images=images("hv_netvsc"), also="INIT-04 INIT-05"),
    case("INIT-03", "el6", {}, images=[("2.6.32-754.35.1.el6.x86_64", "/boot/i", frozenset())], also="INIT-04 INIT-05"),
    case("INIT-04", "debian", {f"/lib/modules/6.9/{n}": "" for n in ("modules.dep", "modules.builtin")} | {"/boot/vmlinuz-6.9": ""}, images=images(), also="INIT-02 KERN-01 KERN-06 KERN-07 KERN-08"),
    case("INIT-05", "debian", images=images("hyperv_keyboard")),
    # -- features
    case("NVME-01", "debian", features=["nvme"], also="NVME-05"),
    case("NVME-04", "debian-uefi", features=["nvme"], images=images("nvme"), also="NVME-05"),
    case("NVME-02", "el9", features=["nvme"], images=images("nvme_core"), also="NVME-01 NVME-05"),
    case("NVME-03", "sles", features=["nvme"], images=images("nvme"), also="NVME-01"),
    case("NVME-05", "debian-uefi", features=["nvme"]),
    case("NVME-05", "debian", defaults("debian", ARGUMENTS + " nvme_core.io_timeout=30")),
    case(
        "NVME-06",
        "sles",
        {f"/lib/modules/{KERNEL}/modules.dep": "".join(f"{n}:\n" for n in trees._MODULES if "nvme" not in n)},
        features=["nvme"],
        also="NVME-01",
    ),
    case("NVME-07", "ubuntu", {"/usr/lib/udev/rules.d/80-azure-disk.rules": None}),
    case("NVME-08", "debian", {"/usr/lib/udev/rules.d/66-azure-storage.rules": None}),
    case(
        "FEAT-01",
        "debian",
        {f"/lib/modules/{KERNEL}/modules.dep": "".join(f"{n}:\n" for n in trees._MODULES if "mana" not in n)},
        features=["mana"],
    ),
    case("FEAT-02", "debian", features=["hibernation"]),
    case("FEAT-03", "debian-uefi", {"/boot/efi/EFI/debian/shimx64.efi": None}),
    case("AGENT-13", "debian", {CONF: trees.WAAGENT + "OS.EnableFIPS=y\n"}),
    case("AGENT-13", "debian", defaults("debian", ARGUMENTS + " fips=1")),
    # -- boot loader
    case("BOOT-01", "debian", defaults("debian", ARGUMENTS.replace(" console=ttyS0,115200n8", "")), also="BOOT-12"),
    case("BOOT-01", "debian", defaults("debian", ARGUMENTS + " console=tty0")),
    case("BOOT-02", "debian", architecture="aarch64", also="BOOT-12"),
    case("BOOT-03", "debian", defaults("debian", ARGUMENTS.replace(" earlyprintk=ttyS0,115200", ""))),
    case("BOOT-04", "debian", defaults("debian", ARGUMENTS.replace("rootdelay=300", "rootdelay=1"))),
    case("BOOT-05", "el9", defaults("el9", ARGUMENTS)),
    case("BOOT-06", "debian", defaults("debian", ARGUMENTS + " quiet")),
    case("BOOT-07", "debian", defaults("debian", ARGUMENTS + " crashkernel=auto")),
    case("BOOT-08", "sles", defaults("sles", ARGUMENTS + " splash=silent")),
    case("BOOT-09", "debian", defaults("debian", ARGUMENTS + " libata.atapi_enabled=0")),
    case("BOOT-09", "el9", {"/boot/grub2/grubenv": "kernelopts=root=x reserve=0x1f0,0x8\n"}),
    case("BOOT-10", "debian", {"/etc/default/grub": f'GRUB_CMDLINE_LINUX="{ARGUMENTS.split(" ro ")[1]}"\n'}),
    case("BOOT-10", "debian", {"/boot/grub/grub.cfg": grub_cfg(ARGUMENTS).replace("serial", "")}),
    case(
        "BOOT-11",
        "el9",
        {
            "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{EL_ARGUMENTS.split(" ro ")[1]}"\nGRUB_TERMINAL="serial"\n'
            'GRUB_SERIAL_COMMAND="serial"\nGRUB_ENABLE_BLSCFG=false\n'
        },
    ),
    case("BOOT-12", "debian", {"/etc/default/grub": 'GRUB_CMDLINE_LINUX=""\nGRUB_TERMINAL="serial"\nGRUB_SERIAL_COMMAND="serial"\n'}),
    case(
        "BOOT-13",
        "debian",
        {
            "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{ARGUMENTS.split(" ro ")[1]} audit=1"\nGRUB_TERMINAL="serial"\n'
            'GRUB_SERIAL_COMMAND="serial"\n'
        },
    ),
    case(
        "BOOT-14",
        "debian",
        {
            "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{ARGUMENTS.split(" ro ")[1]}"\nGRUB_TERMINAL="serial"\n'
            'GRUB_SERIAL_COMMAND="serial"\nGRUB_TIMEOUT=0\n'
        },
        features=["grub_menu"],
    ),
    case("BOOT-15", "debian", {"/proc/sys/kernel/sysrq": "0\n"}, features=["sysrq"]),
    case("BOOT-16", "debian", {"/etc/systemd/system/serial-getty@ttyS0.service": "-> /dev/null"}),
    case("BOOT-17", "debian", defaults("debian", ARGUMENTS + " earlyprintk=ttS0")),
    # -- network
    case("NET-01", "debian", {"/etc/network/interfaces": "auto eth0\niface eth0 inet static\naddress 10.0.0.1\n"}),
    case("NET-01", "el9", {"/etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\nHWADDR=00:11:22:33:44:55\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/system-connections/a.nmconnection": "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\n"}),
    case("NET-01", "ubuntu", {"/etc/netplan/01.yaml": "network:\n  ethernets:\n    e:\n      match: {}\n      addresses: [10.0.0.2/24]\n"}),
    case("NET-01", "ubuntu", {"/etc/systemd/network/1.network": "[Match]\nMACAddress=00:11:22:33:44:55\n[Network]\nDHCP=yes\n"}),
    case("NET-01", "agentless", {"/etc/network/interfaces": "allow-hotplug ens3\niface ens3 inet dhcp\n"}),
    case("NET-02", "el7", {"/etc/sysconfig/network": "# Created by anaconda\n"}),
    case("NET-03", "el7", {"/etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nONBOOT=no\nBOOTPROTO=dhcp\n"}),
    case(
        "NET-04",
        "el9",
        {
            "/etc/sysconfig/network-scripts/ifcfg-eth0": None,
            "/etc/NetworkManager/conf.d/00.conf": "[main]\nno-auto-default=*\n",
        },
    ),
    case("NET-05", "debian", {"/etc/systemd/system/multi-user.target.wants/networking.service": None}),
    case("NET-06", "el6", outputs={"rpm": trees.rpm_output({**trees._EL, "NetworkManager": "0.8"})}),
    case("NET-07", "debian", {"/etc/udev/rules.d/70-persistent-net.rules": "# rules\n"}),
    case("NET-07", "el9", {"/lib/udev/rules.d/75-persistent-net-generator.rules": "# rules\n"}),
    case("NET-07", "debian", {"/etc/udev/rules.d/10-n.rules": 'ATTR{address}=="00:11:22:33:44:55", NAME="lan0"\n'}),
    case("NET-08", "sles", {"/etc/udev/rules.d/85-persistent-net-cloud-init.rules": "# rules\n"}),
    case("NET-09", "el9", {"/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules": None}),
    case("NET-10", "el9", {"/etc/NetworkManager/conf.d/99-azure-unmanaged-devices.conf": "[keyfile]\n"}),
    case("NET-11", "el9", {"/usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules": "# rules\n"}),
    case("NET-12", "sles", {"/etc/sysconfig/network/dhcp": 'DHCLIENT_SET_HOSTNAME="yes"\n'}),
    case("NET-13", "debian", {"/etc/resolv.conf": "-> ../run/nothing"}, also="CLEAN-12"),
    case("NET-14", "debian", {"/etc/iptables/rules.v4": "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16/32 -j DROP\n"}),
    case("NET-14", "debian", {"/proc/modules": "nf_tables 1\n", "/usr/sbin/nft": "x"}, outputs={"nft": "table inet f {\n\tchain o {\n\t\ttype filter hook output priority 0; policy drop;\n\t\toif lo accept\n\t}\n}\n"}),
    case("NET-15", "ubuntu", {"/etc/netplan/00-installer-config.yaml": "network: {}\n"}, phase="captured"),
    case("NET-16", "debian", {"/etc/hostname": "builder\n"}, phase="captured"),
    # -- access
    case("SSH-01", "debian", {"/etc/systemd/system/multi-user.target.wants/ssh.service": None}),
    case("SSH-02", "debian", outputs={"sshd -T": "clientaliveinterval 0\n"}),
    case("SSH-02", "debian", outputs={"sshd -T": "clientaliveinterval 300\n"}),
    case("SSH-04", "debian", {"/etc/ssh/ssh_host_rsa_key": "x"}, phase="captured", also="CLEAN-03"),
    case("CLEAN-03", "debian", {"/etc/ssh/ssh_host_rsa_key.pub": "x"}, phase="captured", also="SSH-04"),
    case("ACC-01", "debian", {"/etc/sudoers.d/suse": "Defaults targetpw\n"}),
    case("ACC-02", "debian", {"/etc/shadow": trees.SHADOW.replace("you:!", "you:$6$salt$hash")}),
    case("ACC-02", "debian", {"/root/.ssh/authorized_keys": "ssh-ed25519 AAAA me\n"}),
    case("ACC-02", "debian", {"/home/me/.ssh/authorized_keys": "ssh-ed25519 AAAA me\n"}, phase="captured"),
    case("ACC-02", "debian", {"/home/you/.ssh/authorized_keys": "# no key\n"}),
    case("ACC-03", "debian", {"/etc/shadow": trees.SHADOW.replace("root:*", "root:$6$salt$hash")}, phase="captured", account="root", also="ACC-02"),
    case("ACC-04", "debian", {"/etc/shadow": trees.SHADOW.replace("you:!", "you:")}),
    # -- repositories, packages
    case("REPO-01", "el7", {"/usr/bin/waagent": None}, also="AGENT-01 AGENT-02 CERT-01"),
    case("REPO-02", "el9", {"/etc/pki/consumer/cert.pem": "x"}, phase="captured", also="CLEAN-17"),
    case("CLEAN-17", "sles", {"/etc/zypp/credentials.d/SCCcredentials": "x"}, phase="captured"),
    case("REPO-03", "ol7", {"/etc/yum.repos.d/os.repo": "[ol_latest]\nenabled=1\n", "/usr/bin/waagent": None}, also="AGENT-01 AGENT-02 CERT-01"),
    case("REPO-04", "el6", {"/etc/os-release": 'ID=rhel\nVERSION_ID="6.5"\n'}, also="KERN-05"),
    case("REPO-05", "sles", {"/etc/products.d/sle-module-public-cloud.prod": None, "/usr/bin/waagent": None}, also="AGENT-01 AGENT-02 CERT-01"),
    case("REPO-06", "leap", {"/etc/zypp/repos.d/os.repo": "[repo-oss]\nenabled=1\n[repo-update]\nenabled=0\n"}, also="CERT-05"),
    case("REPO-07", "ubuntu", {"/etc/apt/sources.list": "deb http://archive.ubuntu.com/ubuntu noble-updates main\ndeb http://security.ubuntu.com/ubuntu noble-security main\n"}, also="CERT-05"),
    case("REPO-08", "debian", {"/run/reboot-required": "x"}),
    case("PKG-01", "el9", outputs={"rpm": trees.rpm_output({"cloud-init": "22.4", "hyperv-daemons": "0", "shim-x64": "15"})} , changes={"/usr/bin/waagent": None}, also="AGENT-01 AGENT-02 CERT-01"),
    case("PKG-02", "ubuntu", {"/usr/bin/cloud-init": None, "/var/lib/dpkg/status": trees.dpkg({"walinuxagent": "2.9", "linux-azure": "6", "linux-cloud-tools-common": "6"})}, provisioner="cloud-init", also="CINIT-01 NET-01"),
    case("PKG-03", "debian", {"/usr/bin/waagent": None, "/var/lib/dpkg/status": trees.dpkg({"cloud-init": "22.4", "hyperv-daemons": "6.1"})}, also="AGENT-01 AGENT-02 CERT-01"),
    case("PKG-04", "sles", {"/usr/bin/waagent": None}, outputs={"rpm": trees.rpm_output({"cloud-init": "23.3", "hyper-v": "9"})}, also="AGENT-01 AGENT-02 CERT-01"),
    case("PKG-05", "leap", {"/usr/bin/waagent": None}, outputs={"rpm": trees.rpm_output({"cloud-init": "23.3", "hyper-v": "9"})}, also="AGENT-01 AGENT-02 CERT-01"),
    case("PKG-06", "el7", {"/usr/lib/python3/dist-packages/azurelinuxagent/common/version.py": "AGENT_VERSION = '2.1.5'\n"}),
    case("PKG-07", "debian", {"/usr/bin/chpasswd": None}),
    case(
        "PKG-07",
        "debian",
        {
            "/usr/bin/iptables": None,
            "/usr/lib/python3/dist-packages/azurelinuxagent/common/version.py": "AGENT_VERSION = '2.15.0.1'\n",
        },
    ),
    case("PKG-08", "debian", {"/usr/bin/python3": "-> python3.6", "/usr/bin/python3.6": "#!/bin/sh\n"}),
    case("PKG-08", "debian", outputs={"openssl version": "OpenSSL 1.1.0l  10 Sep 2019\n"}),
    case("PKG-09", "debian", {"/var/lib/dpkg/status": trees.dpkg({"waagent": "2.9", "cloud-init": "22.4", "hyperv-daemons": "6", "omi": "1.6.8-0"})}),
    case("PKG-10", "debian", {"/var/cache/apt/archives/a_1_all.deb": "x"}, phase="captured"),
    case("PKG-11", "debian", {"/var/lib/dpkg/status": trees.dpkg({"waagent": "2.9", "cloud-init": "22.4"})}),
    case("PKG-12", "debian", {"/usr/bin/eject": None}),
    # -- agent
    case("AGENT-01", "debian", {"/etc/waagent.conf": None}),
    case("AGENT-01", "debian", {"/etc/systemd/system/multi-user.target.wants/walinuxagent.service": None}),
    case("AGENT-02", "debian", {**waagent("AutoUpdate.Enabled=y\nAutoUpdate.UpdateToLatestVersion=y", "AutoUpdate.Enabled=n"), "/usr/lib/python3/dist-packages/azurelinuxagent/common/version.py": "AGENT_VERSION = '2.2.47'\n"}, also="AGENT-03"),
    case("AGENT-03", "debian", waagent("AutoUpdate.Enabled=y", "AutoUpdate.Enabled=n")),
    case("AGENT-04", "debian", waagent("Provisioning.Agent=cloud-init", "Provisioning.Agent=waagent")),
    case("AGENT-05", "debian", waagent("Provisioning.Agent=cloud-init", "Provisioning.Enabled=n")),
    case("AGENT-06", "debian", waagent("ResourceDisk.Format=n", "ResourceDisk.Format=y")),
    case("AGENT-07", "debian", {**waagent("Provisioning.Agent=cloud-init", "Provisioning.Agent=disabled")}, provisioner="waagent"),
    case("AGENT-08", "debian", waagent("Provisioning.DeleteRootPassword=y", "Provisioning.DeleteRootPassword=n")),
    case("AGENT-09", "debian", waagent("OS.RootDeviceScsiTimeout=300", "OS.RootDeviceScsiTimeout=30")),
    case("AGENT-10", "debian", waagent("OS.EnableFirewall=y", "OS.EnableFirewall=n")),
    case("AGENT-11", "debian", waagent("Extensions.Enabled=y", "Extensions.Enabled=n"), also="CERT-01"),
    case("AGENT-12", "debian", {CONF: trees.WAAGENT + "Protocol.EndpointDiscovery=dns\n"}),
    case("AGENT-14", "debian", {CONF: trees.WAAGENT + "Provisioning.ExecuteCustomData=y\n"}),
    case("AGENT-15", "debian", {CONF: trees.WAAGENT + "HttpProxy.Host=proxy\n"}),
    case("AGENT-16", "debian", waagent("Logs.Collect=y", "Logs.Collect=maybe")),
    case("AGENT-17", "debian", {"/proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:5 / /var/lib/waagent rw,noexec - tmpfs tmpfs rw\n"}, also="CERT-01"),
    case("AGENT-18", "debian", waagent("Logs.Collect=y", "Logs.Collect=y # collect")),
    # -- cloud-init
    case("CINIT-01", "debian", {"/etc/systemd/system/cloud-init.target.wants/cloud-final.service": None}),
    case("CINIT-02", "debian", {CLOUD + "99-more.cfg": "datasource_list: [ NoCloud, None ]\n"}),
    case("CINIT-02", "debian", {CLOUD + "99-more.cfg": "datasource_list:\n  - Azure\n"}),
    case("CINIT-03", "debian", {"/etc/cloud/cloud.cfg": "cloud_init_modules:\n - migrator\n - mounts\noutput: {all: x}\n"}),
    case("CINIT-03", "debian", {"/etc/cloud/cloud.cfg.d/20-x.cfg": "cloud_init_modules: [migrator, mounts]\n"}),
    case("CINIT-04", "debian", {"/etc/cloud/cloud.cfg": "cloud_init_modules:\n - disk_setup\n - mounts\n"}),
    case("CINIT-05", "debian", {CLOUD + "10-azure-kvp.cfg": "Reporting:\n  telemetry:\n    type: hyperv\n"}),
    case("CINIT-07", "debian", {"/mnt/resource/swapfile": "x"}),
    case("CINIT-08", "ubuntu", {CLOUD + "99-installer.cfg": "users: []\n"}),
    case("CINIT-09", "ubuntu", {CLOUD + "90-azure.cfg": None}),
    case("CINIT-10", "debian", {"/etc/cloud/cloud-init.disabled": ""}),
    case("CINIT-11", "debian", {"/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.2"\n', "/proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:5 / /tmp rw,noexec - tmpfs tmpfs rw\n"}),
    # -- swap, time
    case("SWAP-01", "debian", {CLOUD + "99-x.cfg": '{"swap": {"filename": "/swapfile", "size": "1G"}}\n'}, also="DISK-09"),
    case("SWAP-01", "debian", {CLOUD + "98-x.cfg": "swap: {size: 1G}\n", CLOUD + "99-x.cfg": "swap:\n  filename: /x\n"}, also="DISK-09"),
    case("SWAP-02", "debian", features=["swap"]),
    case("SWAP-03", "debian", {CLOUD + "00-azure-swap.cfg": SWAP_CFG}),
    case("SWAP-04", "debian", {"/var/lib/cloud/scripts/per-boot/swap.sh": "#!/bin/sh\n"}),
    case("SWAP-05", "debian", {CONF: trees.WAAGENT.replace("EnableSwap=n", "EnableSwap=y")}, also="AGENT-06"),
    case("SWAP-06", "debian", {CLOUD + "00-azure-swap.cfg": SWAP_CFG.replace("cloud-init.service", "cloud-init-network.service"), "/etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=\"CLOUD_CFG=/x\"\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "pool pool.ntp.org iburst\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "refclock PHC /dev/ptp0 poll 3\n"}),
    case("TIME-02", "debian", {"/usr/lib/udev/rules.d/50-udev-default.rules": "# none\n"}),
    case("TIME-03", "debian", dict(trees.unit("systemd-timesyncd.service"))),
    # -- cleaning
    case("CLEAN-01", "debian", {"/var/lib/waagent/provisioned": "x"}, phase="captured"),
    case("CLEAN-04", "debian", {"/var/log/cloud-init.log": "x"}, phase="captured", also="CLEAN-08"),
    case("CLEAN-05", "debian", {"/var/lib/cloud/data/x": "x"}, phase="captured"),
    case("CLEAN-06", "debian", {"/var/log/waagent.log.1": "x"}, phase="captured", also="CLEAN-08"),
    case("CLEAN-07", "debian", {"/home/you/.zsh_history": "ls\n"}),
    case("CLEAN-07", "debian", {"/root/.bash_history": "ls\n"}),
    case("CLEAN-07", "debian", {"/home/me/.bash_history": "ls\n"}, phase="captured"),
    case("CLEAN-07", "debian", {"/home/you/a/b/c/d/.sh_history": "ls\n"}),
    case("CLEAN-08", "debian", {"/var/log/wtmp": "x"}, phase="captured"),
    case("CLEAN-09", "debian", {"/etc/machine-id": "0123456789abcdef0123456789abcdef\n"}, phase="captured"),
    case("CLEAN-10", "debian", {"/var/lib/dhcp/dhclient.eth0.leases": "x"}, phase="captured"),
    case("CLEAN-11", "debian", {"/etc/network/interfaces.d/50-cloud-init": "# x\n"}, phase="captured"),
    case("CLEAN-12", "debian", {"/etc/resolv.conf": "nameserver 10.0.0.1\n"}, phase="captured", also="NET-13"),
    case("CLEAN-13", "debian", {"/var/lib/systemd/random-seed": "x"}, phase="captured"),
    # -- no agent
    case("NOAGENT-02", "agentless", {"/usr/bin/dhclient": None}),
    case("NOAGENT-03", "agentless", {"/etc/waagent.conf": "Logs.Verbose=n\n"}),
    case("NOAGENT-04", "agentless", {"/usr/local/sbin/azure-provisioning": None}, also="NOAGENT-06"),
    case("NOAGENT-05", "agentless", {"/etc/systemd/system/multi-user.target.wants/azure-provisioning.service": None}),
    case("NOAGENT-06", "agentless", {"/usr/local/sbin/azure-provisioning": "# nothing\n"}),
    # -- certification
    case("CERT-01", "debian", {"/usr/bin/python3": None}, also="PKG-08"),
    case("CERT-05", "debian", {"/etc/apt/sources.list": "deb http://mirror.example.com/debian bookworm main\n"}),
    case("CERT-06", "debian", outputs={"dmesg": "[    1.000000] ata1: SError: failed to do it\n"}),
]  # fmt: skip

#: Rules whose check never fails, and why.
NEVER_FAILS = {
    "DISK-15": "Either firmware is right; the finding tells which generation to ask for.",
    "KERN-04": "Covered by KERN-03's case: older kernels of a known vendor are told apart by their changelog.",
    "ACC-05": "Only a remark for mounted images; nothing on the system shows whether labels are right.",
}

#: Rules that are unknown on a tree that keeps all rules, and why.
UNKNOWN_ANYWAY = {"REPO-08": "whether updates wait takes the network"}


def build(root: Path, tree: str, changes: Files) -> None:
    files = {**trees.TREES[tree](), **changes}
    write_tree(root, {path: content for path, content in files.items() if content is not None})
    for path in files:
        if path.startswith(("/usr/bin/", "/usr/sbin/")) and (root / path.lstrip("/")).is_file():
            (root / path.lstrip("/")).chmod(0o755)


def live(root: Path, tree: str, outputs: dict[str, Any] | None = None, **options: Any) -> LiveContext:
    options.setdefault("generator", trees.GENERATORS.get(tree, "initramfs-tools"))
    kernels = {"el7": EL7_KERNEL, "ol7": EL7_KERNEL, "el6": "2.6.32-754.35.1.el6.x86_64"}
    options.setdefault("kernel", kernels.get(tree, KERNEL))
    return LiveContext(root, {**trees.outputs(tree), **(outputs or {})}, **options)


def judge(context: Context) -> dict[str, tuple[str, str]]:
    """Rule to (status, evidence), every defect of a check raised."""
    result = engine.audit(context, "certification", strict=True)
    return {finding["id"]: (finding["status"], finding["evidence"]) for finding in result["findings"]}


#: What the old trees cannot keep, being old.
OLD = {
    "el7": {"PKG-08"},
    "ol7": {"PKG-08"},
    "el6": {"PKG-08"},
    "agentless": {"CERT-01"},
}


@pytest.mark.parametrize("phase", ["prepared", "captured"])
@pytest.mark.parametrize("tree", trees.TREES)
def test_a_tree_that_keeps_every_rule_passes(tmp_path: Path, tree: str, phase: str) -> None:
    build(tmp_path, tree, {})
    found = judge(live(tmp_path, tree, phase=phase))
    failing = {name: evidence for name, (status, evidence) in found.items() if status == "fail"}
    assert {name: text for name, text in failing.items() if name not in OLD.get(tree, set())} == {}
    assert {name for name, (status, _text) in found.items() if status == "unknown"} == set(UNKNOWN_ANYWAY)


@pytest.mark.parametrize("example", CASES, ids=lambda example: f"{example.rule}-{example.tree}")
def test_a_defect_gives_exactly_its_finding(tmp_path: Path, example: Case) -> None:
    build(tmp_path, example.tree, example.changes)
    options = dict(example.options)
    if "kernel" in options:
        write_tree(tmp_path, {path: text for path, text in trees.kernel(options["kernel"]).items() if text is not None})
    found = judge(live(tmp_path, example.tree, example.outputs, **options))
    failing = {name for name, (status, _evidence) in found.items() if status == "fail"}
    assert example.rule in failing, found[example.rule]
    allowed = {example.rule} | example.also | OLD.get(example.tree, set())
    assert failing <= allowed, {name: found[name] for name in failing - allowed}


def test_every_check_is_seen_failing() -> None:
    checked = {rule.id for rule in catalogue.select("certification")}
    assert checked == {example.rule for example in CASES} | set(NEVER_FAILS)
    assert not {example.rule for example in CASES} & set(NEVER_FAILS)


def test_every_rule_of_the_guest_has_a_check_or_a_reason() -> None:
    for rule in catalogue.RULES.values():
        assert bool(rule.why_unchecked) != (rule.id in engine.CHECKS), rule.id
        if rule.id in engine.CHECKS:
            assert (engine.CHECKS[rule.id].__doc__ or "").strip().endswith("."), rule.id
    assert set(engine.CHECKS) <= set(catalogue.RULES)


@pytest.mark.parametrize("tree", trees.TREES)
def test_a_mounted_image_runs_nothing_and_says_what_it_cannot_see(tmp_path: Path, tree: str) -> None:
    build(tmp_path, tree, {})
    context = Context(Host(str(tmp_path)), privileged=True)
    context._memory["initramfs"] = (("dracut", [(name, "/boot/initrd", DRIVERS) for name in context.kernels]), None)
    found = judge(context)
    failing = {name for name, (status, _text) in found.items() if status == "fail"}
    assert failing <= OLD.get(tree, set()) | {"DISK-14"}
    assert found["DISK-11"] == (
        "unknown",
        "The start of the first partition can be seen on the running system only; this is a mounted image.",
    )


def test_an_empty_root_raises_nothing(tmp_path: Path) -> None:
    found = judge(Context(Host(str(tmp_path))))
    assert found["SSH-01"][0] == "fail"
    assert found["BOOT-01"][0] == "unknown"


def test_a_family_that_the_user_names_is_judged_as_that_family(tmp_path: Path) -> None:
    """A rebuild whose os-release says nothing of what it rebuilds."""
    build(tmp_path, "debian", {"/etc/os-release": 'ID=ourlinux\nVERSION_ID="9.4"\nPRETTY_NAME="Our Linux 9.4"\n'})
    unknown, named = live(tmp_path, "debian"), live(tmp_path, "debian", family="redhat")
    assert (unknown.family, unknown.profile.family) == ("generic", "generic")
    assert (named.family, named.profile.family, named.profile.version) == ("redhat", "redhat", (9, 4))
    assert named.is_el(9) and not unknown.is_el()
    # Ubuntu's kernel for Azure.
    assert judge(live(tmp_path, "debian", family="ubuntu"))["KERN-11"][0] == "fail"
    assert judge(live(tmp_path, "debian", family="redhat"))["KERN-11"][0] == "not_applicable"


def test_the_option_of_the_module_reaches_the_rules(tmp_path: Path) -> None:
    build(tmp_path, "debian", {})
    params: dict[str, Any] = {
        **{name: option.get("default") for name, option in azure_audit.argument_spec().items()},
        "root": str(tmp_path),
        "profile": "boot",
    }
    assert azure_audit.run(params, Host(str(tmp_path)), False)["system"]["family"] == "debian"
    assert azure_audit.run({**params, "family": "suse"}, Host(str(tmp_path)), False)["system"]["family"] == "suse"


@pytest.mark.parametrize(
    ("disabled", "agent", "provisions"),
    [(True, "waagent", "waagent"), (False, "waagent", "cloud-init"), (True, "cloud-init", "cloud-init"), (True, "auto", "cloud-init")],
)  # fmt: skip
def test_who_provisions_is_seen(tmp_path: Path, disabled: bool, agent: str, provisions: str) -> None:
    """cloud-init that was told to stay away for the agent's sake does not provision; one that was just disabled fails."""
    changes = waagent("Provisioning.Agent=cloud-init", f"Provisioning.Agent={agent}")
    build(tmp_path, "debian", {**changes, **({"/etc/cloud/cloud-init.disabled": ""} if disabled else {})})
    context = live(tmp_path, "debian")
    assert context.provisioner == provisions
    if provisions == "waagent":
        assert judge(context)["CINIT-10"][0] == "not_applicable"
    elif disabled:
        assert judge(context)["CINIT-10"][0] == "fail"


_SCRAPS = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            ["=", "\n", " ", ":", "#", "[", "]", '"', "'", "\\", "\x00", "iface", "linux", "options", "- "]
        ),
    ),
    max_size=25,
).map("".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.sampled_from(list(trees.TREES)), scraps=_SCRAPS, data=st.data())
def test_no_content_of_a_file_makes_a_check_raise(tmp_path: Path, tree: str, scraps: str, data: st.DataObject) -> None:
    names = [name for name, content in trees.TREES[tree]().items() if not str(content).startswith(("-> ", "#!"))]
    spoilt = data.draw(st.lists(st.sampled_from(sorted(names)), min_size=1, max_size=8, unique=True))
    root = tmp_path / uuid.uuid4().hex
    content = scraps.encode("utf-8", "surrogatepass")
    build(root, tree, dict.fromkeys(spoilt, content))
    judge(live(root, tree))


@pytest.mark.parametrize(
    ("name", "text", "rule_id"),
    [
        ("99-x.cfg", "{% if v1 %}\ndatasource_list: [NoCloud]\n{% endif %}\n", "CINIT-02"),
        ("99-x.cfg", "cloud_init_modules: &x\n - name: ssh\n", "CINIT-03"),
    ],
)
def test_cloud_init_files_that_are_not_read_are_told(tmp_path: Path, name: str, text: str, rule_id: str) -> None:
    build(tmp_path, "debian", {CLOUD + name: text})
    status, evidence = judge(live(tmp_path, "debian"))[rule_id]
    assert status == "unknown" and CLOUD + name in evidence


@pytest.mark.parametrize(("line", "status"), [("swapon /x # y", "fail"), (": # swapon /x", "pass")])
def test_swapon_in_a_comment_does_not_count(tmp_path: Path, line: str, status: str) -> None:
    build(tmp_path, "debian", {"/etc/rc.local": "#!/bin/sh\n%s\n" % line})
    (tmp_path / "etc/rc.local").chmod(0o755)
    assert judge(live(tmp_path, "debian"))["SWAP-01"][0] == status
