"""Systems that are broken where a hasty look sees a good one, and good ones that a hasty look takes for broken.

Each state is one change to a tree that keeps every rule: a value that a later file takes back, a unit that is masked
behind an enabled socket, a second kernel, a leftover without its account.
"""

# ruff: noqa: E501  (one line of the table is one thing)
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import engine
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import CannotLook, Context, redact

from . import trees
from .test_checks import CLOUD, CONF, DRIVERS, EL_ARGUMENTS, Case, build, case, defaults, live, waagent
from .trees import ARGUMENTS, KERNEL, grub_cfg

SECOND = "6.5.0-9-amd64"
SHIM = b"MZ" + b"\0" * 64 + "\\grubx64.efi".encode("utf-16-le")
FORCED = (
    'no-port-forwarding,command="echo \'Please login as the user \\"debian\\" rather than the user \\"root\\".\';'
    'echo;sleep 10;exit 142" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA root@x\n'
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA you@home\n"


def enabled(name: str, text: str) -> trees.Files:
    """An enabled unit of the administrator's with this content."""
    return {
        f"/etc/systemd/system/{name}": text,
        f"/etc/systemd/system/multi-user.target.wants/{name}": f"-> /etc/systemd/system/{name}",
    }


def sub(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def two_kernels(*missing: str) -> dict[str, Any]:
    """Options of a Context whose second kernel's initramfs lacks drivers."""
    first = (KERNEL, f"/boot/initrd.img-{KERNEL}", DRIVERS)
    return {"images": [first, (SECOND, f"/boot/initrd.img-{SECOND}", DRIVERS - set(missing))]}


def network_manager(*remove: str) -> trees.Files:
    """Debian with NetworkManager in the place of ifupdown, cloud-init keeping its hands off."""
    return {
        **trees.unit("NetworkManager.service"),
        "/etc/network/interfaces": "auto lo\niface lo inet loopback\n",
        CLOUD + "99-net.cfg": "network: {config: disabled}\n",
        "/etc/udev/rules.d/68-azure-sriov.rules": 'DRIVERS=="hv_pci", ENV{NM_UNMANAGED}="1"\n',
        **dict.fromkeys(remove),
    }


NO_CLOUD_NETWORK = {CLOUD + "99-net.cfg": "network: {config: disabled}\n"}
SUDO = "/etc/sudoers.d/zz"
SSHD_ON = "port 22\nclientaliveinterval 180\n"

#: Each of these must fail.
BROKEN: list[Case] = [
    # -- disk
    case("DISK-09", "debian", {"/proc/swaps": "F T S U P\n/dev/loop0 partition 1 0 -2\n", "/sys/class/block/loop0/loop/backing_file": "/swap\n"}),
    case("DISK-09", "debian", {"/proc/swaps": "F T S U P\n/var/my\\040swap file 1 0 -2\n"}),
    case("SWAP-01", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\nLABEL=swap none swap sw 0 0\n"}),
    case("SWAP-01", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\n/swapfile swap swap defaults 0 0\n"}),
    case("SWAP-01", "debian", enabled("swapfile.swap", "[Swap]\nWhat=/swapfile\n[Install]\nWantedBy=swap.target\n")),
    case("SWAP-01", "debian", {"/usr/lib/systemd/system/var-swap.swap": "[Swap]\nWhat=/var/swap\n", "/usr/lib/systemd/system/swap.target.wants/var-swap.swap": "-> ../var-swap.swap"}),
    case("SWAP-01", "debian", {"/run/systemd/generator.late/dev-sda2.swap": "[Swap]\nWhat=/dev/sda2\n"}),
    case("SWAP-01", "debian", enabled("mine.service", "[Service]\nExecStart=/sbin/swapon /swapfile\n[Install]\nWantedBy=multi-user.target\n")),
    case("SWAP-01", "debian", trees.unit("dphys-swapfile.service")),
    case("SWAP-01", "debian", {CLOUD + "50-swap.cfg": "swap:\n  filename: /swapfile\n  size: auto\n  maxsize: 2147483648\n"}),
    case("SWAP-01", "debian", {CLOUD + "50-swap.cfg": "swap: {size: 1G}\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\nLABEL=data /data xfs defaults 0 2\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\n  /dev/nvme0n1p2 /data xfs nofail 0 2\n"}),
    case("DISK-12", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\n/dev/sda3 /data\n"}),
    case("DISK-12", "debian", enabled("data.mount", "[Mount]\nWhat=/dev/vdb1\nWhere=/data\n[Install]\nWantedBy=local-fs.target\n")),
    case("DISK-12", "debian", {"/etc/crypttab": "home /dev/sda5 none luks\n"}),
    case("DISK-12", "debian", {"/etc/crypttab": "home /dev/disk/by-id/scsi-0QEMU-part5 none luks\n"}),
    case("DISK-12", "debian", {"/etc/lvm/backup/vg": "x", "/etc/lvm/lvm.conf": 'devices {\n filter = [ "a|/dev/vda|", "r|.*|" ]\n}\n'}),
    case("DISK-12", "debian", {"/etc/fstab": None, "/sys/class/block/dm-0/dm/uuid": "LVM-x", "/etc/lvm/lvm.conf": 'devices { global_filter="r|.*|" }\n'}),
    case("DISK-12", "debian", {"/usr/bin/findmnt": "x"}, outputs={"findmnt --verify": (1, "/data\n   [E] unreachable on boot required target: No such file or directory\n\n0 parse errors, 1 error, 0 warnings\n")}),
    case("DISK-13", "debian", defaults("debian", ARGUMENTS.replace("UUID=aaaa-1", "/dev/nvme0n1p1"))),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": SHIM}),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": "#!not a program"}),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": ""}),
    # -- kernel
    case("KERN-01", "debian", {f"/lib/modules/{KERNEL}/kernel/drivers/net/hyperv/hv_netvsc.ko": None}),
    case("KERN-01", "debian", {f"/lib/modules/{SECOND}/modules.dep": "kernel/fs/udf/udf.ko:\n", f"/boot/vmlinuz-{SECOND}": ""}),
    case("KERN-06", "debian", {"/lib/modprobe.d/a.conf": "alias fs-udf off\n"}),
    case("KERN-06", "debian", {"/etc/modprobe.d/a.conf": "install udf /bin/false # not by modprobe\n"}),
    case("KERN-06", "debian", {"/etc/modprobe.d/a.conf": "install udf \\\n  /bin/true\n"}),
    case("KERN-06", "debian", {"/etc/modprobe.d/a.conf": "options udf x=1\n", "/usr/lib/modprobe.d/b.conf": "blacklist udf\nblacklist udf\n"}),
    case("KERN-06", "debian", {"/etc/sysctl.d/99-hard.conf": "kernel.modules_disabled = 1\n"}),
    case("KERN-06", "debian", {"/proc/sys/kernel/modules_disabled": "1\n"}),
    case("KERN-06", "debian", {**trees.kernel(SECOND), f"/lib/modules/{SECOND}/modules.dep": "".join(f"{name}:\n" for name in trees._MODULES if "udf" not in name)}),
    case("KERN-07", "debian", {"/etc/modprobe.d/a.conf": "blacklist fat\n"}),
    case("KERN-08", "debian", defaults("debian", ARGUMENTS + " modprobe.blacklist=isofs,sr-mod")),
    case("KERN-09", "debian", {"/run/modprobe.d/a.conf": "install hv-storvsc /bin/true\n"}),
    case("INIT-02", "debian", {**trees.kernel(SECOND)}, **two_kernels("hv_storvsc")),
    case("INIT-02", "debian", {**trees.kernel(SECOND)}, images=[(KERNEL, "/boot/i", DRIVERS)]),
    # -- boot
    case("BOOT-01", "debian", {"/boot/grub/grub.cfg": grub_cfg(ARGUMENTS) + grub_cfg(sub(ARGUMENTS, "console=ttyS0,115200n8 ", "")).split("serial\n", 3)[-1]}),
    case("BOOT-01", "debian", defaults("debian", ARGUMENTS + " console=tty0")),
    case("BOOT-04", "debian", defaults("debian", ARGUMENTS + " rootdelay=5")),
    case("BOOT-05", "el9", defaults("el9", EL_ARGUMENTS + " net.ifnames=1")),
    case("BOOT-10", "debian", {"/boot/grub/grub.cfg": grub_cfg(ARGUMENTS) + "terminal_output console\n"}),
    case("BOOT-10", "debian", {"/etc/default/grub.d/zz.cfg": "GRUB_TERMINAL=console\n"}),
    case("BOOT-10", "el9", {"/etc/default/grub": 'GRUB_ENABLE_BLSCFG=true\nGRUB_CMDLINE_LINUX="console=ttyS0"\n', "/etc/default/grub.d/azure.cfg": 'GRUB_TERMINAL="serial console"\nGRUB_SERIAL_COMMAND="serial"\n'}),
    case("BOOT-12", "debian", {"/etc/default/grub.d/zz.cfg": 'GRUB_CMDLINE_LINUX=""\n'}),
    case("BOOT-12", "el9", {"/etc/kernel/cmdline": "root=UUID=aaaa-1 ro\n"}),
    # -- network
    case("NET-01", "ubuntu", {"/etc/netplan/01.yaml": "network: {version: 2, ethernets: {ens3: {match: {macaddress: '52:54:00:12:34:56'}, dhcp4: true}}}\n"}),
    case("NET-01", "ubuntu", {"/etc/netplan/my-cloud-init.yaml": "network:\n  ethernets:\n    ens3:\n      addresses: [10.0.0.5/24]\n"}),
    case("NET-01", "ubuntu", {"/lib/netplan/01.yaml": "network:\n  ethernets:\n    ens3:\n      addresses:\n        - 10.0.0.5/24\n"}),
    case("NET-01", "ubuntu", {CLOUD + "90-installer-network.cfg": "network:\n  version: 2\n  ethernets:\n    ens3:\n      addresses: [10.0.0.5/24]\n      nameservers:\n        addresses: [10.0.0.1]\n"}, also="CINIT-08"),
    case("NET-01", "debian", {"/etc/network/interfaces": "source /etc/network/mine/*\n", "/etc/network/mine/ens3": "auto ens3\niface ens3 inet static\n  address 10.0.0.5/24\n"}),
    case("NET-01", "debian", {"/etc/network/interfaces": "iface eth0 inet dhcp\n", **NO_CLOUD_NETWORK}),
    case("NET-01", "debian", {"/etc/network/interfaces": "auto lo\n", "/etc/network/interfaces.d/eth0": "auto eth0\niface eth0 inet dhcp\n", **NO_CLOUD_NETWORK}),
    case("NET-01", "debian", {"/etc/network/interfaces.d/v6": "iface eth0 inet6 static\n  address 2001:db8::5/64\n"}),
    case("NET-01", "debian", {**trees.unit("systemd-networkd.service"), "/etc/systemd/network/10.network": "[Match]\nName=e*\n[Network]\nDHCP=yes\nAddress=10.0.0.5/24\n"}),
    case("NET-01", "debian", {"/etc/systemd/network/10.link": "[Match]\nOriginalName=*\n[Link]\nMACAddress=52:54:00:12:34:56\n"}),
    case("NET-01", "debian", {"/etc/systemd/network/10.network.d/mac.conf": "[Match]\nMACAddress=52:54:00:12:34:56\n"}),
    case("NET-01", "debian", {"/etc/dhcpcd.conf": "interface eth0\nstatic ip_address=10.0.0.5/24\n"}),
    case("NET-01", "debian", defaults("debian", ARGUMENTS + " ip=10.0.0.5::10.0.0.1:255.255.255.0:web1:eth0:none")),
    case("NET-01", "debian", defaults("debian", ARGUMENTS + " ifname=eth0:52:54:00:12:34:56")),
    case("NET-01", "debian", {**network_manager(), "/etc/NetworkManager/conf.d/no.conf": "[main]\nno-auto-default=*\n"}),
    case("NET-01", "debian", {**network_manager(), "/usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf": "[keyfile]\nunmanaged-devices=*,except:type:wifi,except:type:gsm\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/system-connections/a.nmconnection": "[connection]\ntype=ethernet\n[ipv4]\nmethod=auto\naddress1=10.0.0.5/24\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/system-connections/a.nmconnection": "[connection]\ntype=ethernet\n[ethernet]\ncloned-mac-address=52:54:00:12:34:56\n[ipv4]\nmethod=auto\n"}),
    case("NET-01", "sles", {"/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='dhcp'\nLLADDR='52:54:00:12:34:56'\n"}),
    case("NET-01", "debian", {CLOUD + "60-net.cfg": '"network":\n  config:\n  - {type: physical, mac_address: "52:54:00:12:34:56"}\n'}),
    case("NET-01", "el9", {"/etc/NetworkManager/conf.d/zz.conf": "[keyfile]\nunmanaged-devices+=type:ethernet\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/conf.d/mac.conf": "[connection]\nethernet.cloned-mac-address=stable\n"}),
    case("NET-01", "debian", {"/etc/systemd/network/10.link": "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=random\n"}),
    case("NET-03", "el7", {"/etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\nBOOTPROTO=none\n"}),
    case("NET-07", "debian", {"/etc/udev/rules.d/10-mine.rules": 'SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56", \\\n  NAME="eth0"\n'}),
    case("NET-07", "debian", {"/etc/udev/rules.d/10-mine.rules": "-> /opt/mine.rules", "/opt/mine.rules": 'ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n'}),
    case("NET-07", "debian", {"/usr/lib/udev/rules.d/70-persistent-net.rules": "# none\n"}),
    case("NET-09", "el9", {"/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules": 'DRIVERS=="hv_pci", ENV{NM_UNMANAGED}="0"\n'}),
    case("NET-09", "el9", {"/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules": None, "/usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules": "x", "/etc/udev/rules.d/10-azure-unmanaged-sriov.rules": "-> /dev/null"}),
    case("NET-10", "el9", {"/etc/NetworkManager/conf.d/zz.conf": "[keyfile]\nunmanaged-devices=none\n"}),
    case("NET-13", "debian", {"/etc/resolv.conf": "-> resolv.conf.old", "/etc/resolv.conf.old": "nameserver 10.0.0.1\n"}, phase="captured"),
    case("NET-14", "debian", {"/etc/iptables/rules.v4": "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 169.254.0.0/16 -j DROP\n"}),
    case("NET-14", "debian", {**trees.unit("nftables.service"), "/etc/nftables.conf": 'include "/etc/nftables.d/*.nft"\n', "/etc/nftables.d/a.nft": "table inet f { chain o { type filter hook output priority 0; policy drop; } }\n"}),
    # -- ssh, accounts
    case("SSH-01", "debian", {"/etc/ssh/sshd_config.d/10-ip.conf": "ListenAddress 10.0.0.5\n"}),
    case("SSH-01", "debian", {"/etc/systemd/system/multi-user.target.wants/ssh.service": None, "/etc/systemd/system/ssh.service": "-> /dev/null", **trees.unit("ssh.socket", "sockets.target")}),
    case("SSH-01", "debian", {"/etc/ssh/sshd_not_to_be_run": ""}),
    case("SSH-01", "debian", {"/etc/nologin": "maintenance\n"}),
    case("SSH-01", "debian", outputs={"sshd -T": (255, "/etc/ssh/sshd_config: line 3: Bad configuration option: X")}),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config": "ClientAliveInterval 180\nMatch User *\n  ClientAliveInterval 0\n"}),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config": "#ClientAliveInterval 180\nClientAliveInterval 0\nClientAliveInterval 180\n"}, privileged=False),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config.d/00.conf": "ClientAliveInterval 0\n"}, privileged=False),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config": "Match User me\nClientAliveInterval 180\n"}, privileged=False),
    case("SSH-04", "debian", {"/etc/ssh/sshd_config": "ClientAliveInterval 180\nHostKey /etc/keys/host\n", "/etc/keys/host": "x"}, phase="captured"),
    case("ACC-01", "debian", {SUDO: 'Defaults targetpw # ask for "root"\n'}),
    case("ACC-01", "debian", {SUDO: "Defaults:anna, ben targetpw\n"}),
    case("ACC-01", "debian", {SUDO: "Defaults env_reset, \\\n  rootpw\n"}),
    case("ACC-01", "debian", {SUDO: "ALL ALL=(root) NOPASSWD: ALL\n"}),
    case("ACC-01", "debian", {"/etc/sudoers": None, "/usr/etc/sudoers": "Defaults targetpw\nALL ALL=(ALL) ALL\n"}),
    case("ACC-01", "debian", {"/etc/sudoers": "#includedir /opt/sudo.d\n", "/opt/sudo.d/x": "Defaults !!targetpw\n"}),
    case("ACC-02", "debian", {"/etc/passwd": trees.PASSWD.replace("you:x:", "you:$6$salt$hash:")}),
    case("ACC-02", "debian", {"/etc/ssh/sshd_config": "ClientAliveInterval 180\nAuthorizedKeysFile /etc/ssh/keys/%u\n", "/etc/ssh/keys/you": KEY}),
    case("ACC-02", "debian", {"/home/gone/.ssh/authorized_keys": KEY}),
    case("ACC-02", "debian", {"/run/sshd/.ssh/authorized_keys": KEY}),
    case("ACC-02", "debian", {"/root/.ssh/authorized_keys": "command=\"echo 'Please login as the user x'; /bin/bash\" " + KEY}),
    case("ACC-02", "debian", {"/root/.ssh/authorized_keys": FORCED + KEY}),
    case("ACC-02", "debian", {"/etc/shadow": trees.SHADOW.replace("you:!", "you:$y$j9T$abc$def")}),
    # -- packages, agent, cloud-init
    case("PKG-03", "debian", {"/var/lib/dpkg/status": trees.dpkg({"cloud-init": "22.4", "hyperv-daemons": "6.1"}) + "\nPackage: waagent\nStatus: install ok half-configured\nVersion: 2.9\n"}),
    case("PKG-11", "debian", {"/var/lib/dpkg/status": trees.dpkg({"waagent": "2.9", "cloud-init": "22.4"}) + "\nPackage: hyperv-daemons\nStatus: deinstall ok config-files\nVersion: 6.1\n"}),
    case("PKG-11", "debian", {"/var/lib/dpkg/status": trees.dpkg({"waagent": "2.9", "cloud-init": "22.4"}) + "\nPackage: hyperv-daemons\nStatus: install ok unpacked\nVersion: 6.1\n"}),
    case("REPO-07", "ubuntu", {"/etc/apt/sources.list": "deb http://azure.archive.ubuntu.com/ubuntu noble main\ndeb http://azure.archive.ubuntu.com/ubuntu noble-updates main\ndeb http://security.ubuntu.com/ubuntu noble-security main\n"}),
    case("CERT-05", "el9", {"/etc/yum.repos.d/os.repo": "".join(f"[rhui-rhel-{n}]\nenabled=1\n" for n in ("baseos", "appstream"))}),
    case("CERT-05", "sles", {"/etc/zypp/repos.d/os.repo": "[my-pool]\nname=my pool\nenabled=1\n[updates]\nenabled=1\n"}),
    case("CERT-05", "leap", {"/etc/zypp/repos.d/os.repo": "[repo-oss]\nenabled=1\nautorefresh=1\n[repo-update]\nenabled=1\nautorefresh=1\n"}),
    case("AGENT-01", "debian", {"/etc/systemd/system/walinuxagent.service": "-> /dev/null"}),
    case("AGENT-01", "debian", {"/var/lib/waagent/disable_agent": ""}),
    case("AGENT-04", "debian", {CONF: trees.WAAGENT + "Provisioning.Agent=waagent\n"}, also="AGENT-18"),
    case("AGENT-04", "debian", {"/etc/systemd/system/cloud-init-local.service": "-> /dev/null"}),
    case("AGENT-06", "debian", {CONF: trees.WAAGENT + "ResourceDisk.EnableSwap=y\n"}),
    case("AGENT-09", "debian", waagent("OS.RootDeviceScsiTimeout=300", "# OS.RootDeviceScsiTimeout=300")),
    case("AGENT-17", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\ntmpfs /var tmpfs noexec 0 0\n"}),
    case("AGENT-18", "debian", {CONF: trees.WAAGENT + "Provisioning.Agent=auto\n"}),
    case("CINIT-01", "debian", {"/usr/lib/systemd/system/cloud-init.service": None, "/etc/systemd/system/cloud-init.target.wants/cloud-init.service": None}),
    case("CINIT-01", "debian", {"/etc/systemd/system/cloud-config.service": "-> /dev/null"}),
    case("CINIT-02", "debian", {CLOUD + "91-azure_datasource.cfg": "# datasource_list: [ Azure ]\n"}),
    case("CINIT-02", "debian", {CLOUD + "99.cfg": "datasource_list: [ Azure, None ]\n"}),
    case("CINIT-02", "debian", {CLOUD + "91-azure_datasource.cfg": "datasource_list: [ Azure ]\nruncmd: [ 'a', 'b'\n"}),
    case("CINIT-02", "debian", {CLOUD + "91-azure_datasource.cfg": "datasource_list: [ Azure ]\nsystem_info:\n\tdefault_user: x\n"}),
    case("CINIT-02", "debian", {CLOUD + "91-azure_datasource.cfg": None, CLOUD + "91-azure_datasource.cfg.bak": "datasource_list: [ Azure ]\n"}),
    case("CINIT-02", "debian", defaults("debian", ARGUMENTS + " ds=nocloud;s=/seed/")),
    case("CINIT-02", "debian", {"/etc/cloud/ds-identify.cfg": "policy: disabled\n"}),
    case("CINIT-10", "debian", {"/etc/systemd/system-generators/cloud-init-generator": "-> /dev/null"}),
    case("CINIT-10", "debian", {"/etc/systemd/system/cloud-init.target": "-> /dev/null"}),
    case("CINIT-11", "debian", {"/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.2"\n', "/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs noexec,nosuid 0 0\n"}),
    # -- time
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0\nmakestep 1 3\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "refclock PHC /dev/ptp_hyperv poll 3\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "refclock PHC /dev/ptp_hyperv poll 3 noselect\nmakestep 1.0 -1\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "! refclock PHC /dev/ptp_hyperv poll 3\nmakestep 1.0 -1\n"}),
    case("TIME-01", "debian", {"/etc/systemd/system/chrony.service": "-> /dev/null"}),
    case("TIME-02", "debian", {"/etc/udev/rules.d/50-udev-default.rules": "-> /dev/null"}),
    case("TIME-03", "debian", trees.unit("ntpsec.service")),
    # -- leftovers
    case("CLEAN-07", "debian", {"/home/you/.python_history": "secret\n"}),
    case("CLEAN-07", "debian", {"/root/.mysql_history": "set password\n"}),
    case("CLEAN-07", "debian", {"/home/you/.local/share/fish/fish_history": "- cmd: x\n"}),
    case("CLEAN-07", "debian", {"/home/gone/.bash_history": "x\n"}),
    case("CLEAN-07", "debian", {"/root/.lesshst": "x\n", "/home/you/.psql_history": "x\n"}),
    case("CLEAN-07", "debian", {"/root/.viminfo": "x\n"}, phase="captured"),
    case("CLEAN-07", "debian", {"/home/you/.bash_history": "-> ../../var/hist", "/var/hist": "x\n"}),
    case("CLEAN-08", "debian", {"/var/log/auth.log.1": "x\n"}, phase="captured"),
    case("CLEAN-08", "debian", {"/var/log/audit/audit.log": "x\n"}, phase="captured"),
    case("CLEAN-09", "debian", {"/var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n"}, phase="captured"),
    case("CLEAN-09", "debian", {"/boot/grub/grub.cfg": grub_cfg(ARGUMENTS + " systemd.machine-id=0123")}, phase="captured"),
    case("CLEAN-13", "debian", {"/etc/shadow-": "root:$6$x$y:1::::::\n"}, phase="captured"),
    case("NVME-08", "debian", {"/etc/udev/rules.d/66-azure-storage.rules": "-> /dev/null"}),
    case("NOAGENT-04", "agentless", {"/usr/lib/systemd/system/azure-provisioning.service": "[Unit]\nWants=network-online.target\nAfter=network-online.target\n[Service]\nExecStart=/usr/local/sbin/azure-provisioning\n[Install]\nWantedBy=multi-user.target\n"}),
    case("NOAGENT-05", "agentless", {"/usr/lib/systemd/system/azure-provisioning.service": "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/usr/bin/python3 /usr/local/sbin/azure-provisioning\n[Install]\nWantedBy=multi-user.target\n"}),
    case("NOAGENT-05", "agentless", {"/usr/lib/systemd/system/azure-provisioning.service": "[Unit]\nWants=network-online.target\nAfter=network-online.target\nConditionPathExists=!/var/lib/x/done\n[Service]\nExecStart=/usr/bin/python3 /usr/local/sbin/azure-provisioning\n[Install]\nWantedBy=multi-user.target\n", "/var/lib/x/done": "i-1\n"}),
]  # fmt: skip

#: Each of these must not fail.
RIGHT: list[Case] = [
    case("NOAGENT-05", "agentless", {"/usr/lib/systemd/system/azure-provisioning.service": "[Unit]\nWants=network-online.target\nAfter=network-online.target\nConditionPathExists=!/var/lib/x/done\n[Service]\nExecStart=/usr/bin/python3 /usr/local/sbin/azure-provisioning\n[Install]\nWantedBy=multi-user.target\n"}),
    case("DISK-12", "debian", {"/usr/bin/findmnt": "x", "/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\nLABEL=d /data ext4 nofail 0 2\n"}, outputs={"findmnt --verify": (1, "/data\n   [E] unreachable on boot required source: LABEL=d\n\n0 parse errors, 1 error, 0 warnings\n")}),
    case("DISK-12", "debian", {"/usr/bin/findmnt": "x"}, outputs={"findmnt --verify": (0, "none\n   [W] source none is not a device\n\n0 parse errors, 0 errors, 1 warning\n")}),
    case("DISK-12", "debian", {"/usr/bin/findmnt": "x"}, outputs={"findmnt --verify": (1, "findmnt: unrecognized option '--verify'\n")}),
    case("DISK-12", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n\n  # /dev/sda1 /old ext4\n"}),
    case("DISK-09", "debian", {"/proc/swaps": "F T S U P\n/dev/zram0 partition 1 0 100\n", "/sys/class/block/zram0/size": "1\n", "/dev/zram0": ""}),
    case("SWAP-01", "debian", {"/etc/fstab": "UUID=aaaa-1 / ext4 defaults 0 1\n/dev/disk/cloud/azure_resource-part2 none swap sw,nofail 0 0\n"}),
    case("SWAP-01", "debian", {CLOUD + "50-swap.cfg": "swap: {size: 0}\n"}),
    case("SWAP-01", "debian", {CLOUD + "50-swap.cfg": "swap:\n  filename: /mnt/resource/swapfile\n  size: 1G\n"}),
    case("SWAP-01", "debian", {"/etc/systemd/system/mine.service": "[Service]\nExecStart=/sbin/swapon /swapfile\n[Install]\nWantedBy=multi-user.target\n"}),
    case("DISK-10", "debian", {"/proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 8:1 / /var/tmp rw - ext4 /dev/sda1 rw\n23 21 0:5 / /tmp rw - tmpfs tmpfs rw\n"}),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": SHIM, "/boot/efi/EFI/BOOT/fbx64.efi": "MZ"}),
    case("DISK-16", "debian-uefi", {"/boot/efi/EFI/BOOT/BOOTX64.EFI": None, "/boot/efi/EFI/boot/bootx64.efi": SHIM, "/boot/efi/EFI/boot/grubx64.efi": "MZ"}),
    case("KERN-01", "debian", {"/lib/modules/6.0.0-1/modules.dep": "kernel/fs/udf/udf.ko:\n", "/boot/initrd.img-6.0.0-1": "left behind", "/boot/config-6.0.0-1": ""}),
    case("KERN-06", "debian", {"/etc/modprobe.d/a.conf": "# install udf /bin/true\ninstall udf /sbin/modprobe --ignore-install udf # mine\n"}),
    case("KERN-06", "debian", {"/usr/lib/modprobe.d/a.conf": "install udf /bin/true\n", "/etc/modprobe.d/a.conf": "-> /dev/null"}),
    case("DISK-12", "debian", {"/etc/lvm/lvm.conf": 'devices {\n filter = [ "a|/dev/vda|", "r|.*|" ]\n}\n'}),
    case("DISK-12", "debian", {"/etc/lvm/backup/vg": "x", "/etc/lvm/lvm.conf": 'devices {\n # filter = [ "r|.*|" ]\n filter = [ "a|.*|" ]\n}\n'}),
    case("SSH-01", "debian", {"/etc/ssh/sshd_config.d/10-ip.conf": "ListenAddress 10.0.0.5\nListenAddress [::]:22\n"}),
    case("KERN-06", "debian", {"/etc/sysctl.d/99.conf": "#kernel.modules_disabled = 1\nkernel.modules_disabled = 0\n"}),
    case("KERN-09", "ubuntu", {"/usr/lib/modprobe.d/blacklist_linux.conf": "blacklist hyperv_fb\nblacklist hyperv_drm\n", "/etc/modprobe.d/o.conf": "options hv_netvsc ring_size=256\n"}),
    case("BOOT-10", "debian", {"/etc/default/grub.d/a.cfg": 'GRUB_TERMINAL="$GRUB_TERMINAL"\nGRUB_SERIAL_COMMAND+=" --unit=0"\n'}),
    case("BOOT-10", "el9", {"/etc/default/grub": 'GRUB_TERMINAL_OUTPUT=console\nGRUB_TERMINAL="serial console"\nGRUB_SERIAL_COMMAND=serial\n'}),
    case("BOOT-12", "debian", {"/etc/default/grub": 'GRUB_CMDLINE_LINUX=""\nGRUB_TERMINAL="console serial"\nGRUB_SERIAL_COMMAND=serial\nGRUB_CMDLINE_LINUX+=" console=tty1 console=ttyS0,115200n8"\n'}),
    case("NET-01", "ubuntu", {"/etc/netplan/01.yaml": "network:\n  ethernets:\n    any:\n      match: {name: 'e*'}\n      dhcp4: true\n      nameservers: {addresses: [1.1.1.1]}\n"}),
    case("NET-01", "debian", {"/etc/network/interfaces": "source /etc/network/interfaces.d/*\n", "/etc/network/interfaces.d/eth0": "allow-hotplug /eth0\niface eth0 inet dhcp\n", **NO_CLOUD_NETWORK}),
    case("NET-01", "debian", network_manager()),
    case("NET-01", "debian", {**network_manager(), "/etc/NetworkManager/conf.d/a.conf": "[keyfile]\nunmanaged-devices=driver:mlx4_core,driver:mlx5_core\n"}),
    case("NET-01", "debian", {**network_manager(), "/usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf": "[keyfile]\nunmanaged-devices=*,except:type:wifi\n", "/etc/NetworkManager/conf.d/10-globally-managed-devices.conf": ""}),
    case("NET-01", "debian", defaults("debian", ARGUMENTS + " ip=dhcp")),
    case("NET-01", "debian", {"/etc/systemd/network/10.link": "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=none\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/conf.d/mac.conf": "[connection]\nethernet.cloned-mac-address=preserve\nwifi.cloned-mac-address=random\n"}),
    case("NET-01", "el9", {"/etc/NetworkManager/conf.d/zz.conf": "[keyfile]\nunmanaged-devices+=interface-name:docker0\n"}),
    case("NET-01", "el9", {"/usr/lib/NetworkManager/system-connections/a.nmconnection": "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\n", "/etc/NetworkManager/system-connections/a.nmconnection": "[connection]\ntype=ethernet\n"}),
    case("NET-07", "debian", {"/etc/udev/rules.d/75-persistent-net-generator.rules": "-> /dev/null", "/usr/lib/udev/rules.d/75-persistent-net-generator.rules": "x\n"}),
    case("NET-07", "debian", {"/etc/udev/rules.d/70-persistent-net.rules": "-> /dev/null"}),
    case("NET-10", "el9", {"/etc/NetworkManager/conf.d/99-azure-unmanaged-devices.conf": "[keyfile]\nunmanaged-devices=driver:mlx4_core\n", "/etc/NetworkManager/conf.d/99-b.conf": "[keyfile]\nunmanaged-devices+=driver:mlx5_core\n"}),
    case("NET-14", "debian", {"/etc/iptables/rules.v4": "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16 -m owner --uid-owner 0 -j ACCEPT\n-A OUTPUT -d 168.63.129.16 -j DROP\n"}),
    case("SSH-01", "debian", {"/etc/systemd/system/multi-user.target.wants/ssh.service": None, **trees.unit("ssh.socket", "sockets.target")}),
    case("SSH-01", "debian", outputs={"sshd -T": (1, "sshd: no hostkeys available -- exiting.")}),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config": "ClientAliveInterval 3m # three minutes\nMatch User backup\n  ClientAliveInterval 0\n"}, privileged=False),
    case("SSH-02", "debian", {"/etc/ssh/sshd_config": None, "/usr/etc/ssh/sshd_config": "ClientAliveInterval 180\n"}, privileged=False),
    case("ACC-01", "debian", {SUDO: "# Defaults targetpw\nDefaults !targetpw\nDefaults passprompt=\"targetpw, rootpw #1\"\n%wheel ALL=(ALL) ALL\n#1000 ALL=(ALL) ALL\n"}),
    case("ACC-02", "debian", {"/root/.ssh/authorized_keys": FORCED}),
    case("ACC-02", "debian", {"/etc/passwd": trees.PASSWD + "operator:x:11:0:operator:/home/me:/sbin/nologin\n", "/home/me/.ssh/authorized_keys": KEY}),
    case("ACC-02", "debian", {"/home/you/.ssh/authorized_keys": ""}),
    case("PKG-03", "debian", {"/var/lib/dpkg/status": trees.dpkg({"cloud-init": "22.4", "hyperv-daemons": "6.1"}) + "\nPackage: waagent\nStatus: install ok triggers-pending\nVersion: 2.9\n"}),
    case("CERT-05", "debian", {"/etc/apt/sources.list": "deb http://ftp.se.debian.org/debian bookworm main\n"}),
    case("AGENT-04", "debian", waagent("Provisioning.Agent=cloud-init", "Provisioning.Agent=None")),
    case("CINIT-02", "debian", {CLOUD + "90.cfg": "datasource_list: [ NoCloud ]\n", CLOUD + "05_logging.cfg": "## logs\n_log:\n - &log_base |\n   [loggers]\n   keys=root,cloudinit\n\toops: [\noutput: {all: '| tee -a /var/log/x'}\n"}),
    case("CINIT-02", "debian", {CLOUD + "99.cfg": "datasource_list: [ 'Azure' ]  # only\nusers:\n- default\n- {name: a, groups: [sudo,\n    adm]}\ntext: it's fine\n"}),
    case("TIME-01", "debian", {"/etc/chrony/chrony.conf": "makestep 1 3\nconfdir /etc/chrony/conf.d\n", "/etc/chrony/conf.d/azure.conf": "refclock PHC /dev/ptp_hyperv:x poll 3\nmakestep 1.0 -1\n"}),
    case("CLEAN-07", "debian", {"/home/you/.bash_history": "-> /dev/null", "/root/.bash_history": "", "/home/me/.bash_history": "ls\n"}),
    case("CLEAN-07", "debian", {"/root/.lesshst": "x\n", "/root/.viminfo": "x\n"}),
    case("CLEAN-08", "debian", {"/var/log/syslog": "", "/var/log/README": "see journal\n"}, phase="captured"),
]  # fmt: skip


def status(tmp_path: Path, example: Case) -> tuple[str, str]:
    build(tmp_path, example.tree, example.changes)
    found = engine.audit(live(tmp_path, example.tree, example.outputs, **example.options), "certification", strict=True)
    return next((item["status"], item["evidence"]) for item in found["findings"] if item["id"] == example.rule)


def name(example: Case) -> str:
    return f"{example.rule}-{example.tree}"


@pytest.mark.parametrize("example", BROKEN, ids=name)
def test_what_looks_right_and_is_not_fails(tmp_path: Path, example: Case) -> None:
    found, evidence = status(tmp_path, example)
    assert found == "fail", evidence


@pytest.mark.parametrize("example", RIGHT, ids=name)
def test_what_looks_wrong_and_is_not_does_not_fail(tmp_path: Path, example: Case) -> None:
    found, evidence = status(tmp_path, example)
    assert found in ("pass", "not_applicable"), evidence


@pytest.mark.parametrize(
    ("source", "arguments", "expected"),
    [("/dev/vg0/root", "", "fail"), ("/dev/mapper/vg0-root", "", "fail"), ("UUID=aaaa-1", " rd.lvm.lv=vg0/root", "fail"), ("UUID=aaaa-1", "", "pass")],
)  # fmt: skip
def test_logical_volumes_of_a_mounted_image(tmp_path: Path, source: str, arguments: str, expected: str) -> None:
    changes = {"/etc/fstab": f"{source} / ext4 defaults 0 1\n", **defaults("debian", ARGUMENTS + arguments)}
    build(tmp_path, "debian", changes)
    context = Context(Host(str(tmp_path)), privileged=True, architecture="x86_64")
    assert engine.CHECKS["DISK-07"](context).status == expected


def test_entries_that_cannot_be_read_are_no_pass(tmp_path: Path) -> None:
    """An unprivileged look at /proc/cmdline alone says nothing of the boot entries."""
    build(tmp_path, "debian", {})
    context = live(tmp_path, "debian", privileged=False)
    context._memory["entries"] = (None, CannotLook("/boot/grub/grub.cfg may be read by root only."))
    found = {item["id"]: item["status"] for item in engine.audit(context, "certification")["findings"]}
    for rule in ("DISK-13", "KERN-06", "KERN-07", "KERN-08", "KERN-09", "CINIT-10", "BOOT-01", "BOOT-09"):
        assert found[rule] == "unknown", rule


def test_an_efi_partition_that_cannot_be_read_hides_no_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "debian-uefi", {})
    context = live(tmp_path, "debian-uefi", privileged=False)
    glob = context.glob

    def denied(*patterns: str) -> list[str]:
        if any(pattern.startswith("/boot/efi/") for pattern in patterns):
            raise CannotLook("/boot/efi may be read by root only; run the audit with become.")
        return glob(*patterns)

    monkeypatch.setattr(context, "glob", denied)
    assert context.kernels == [KERNEL]
    assert engine.CHECKS["KERN-01"](context).status == "pass"


def test_a_home_that_cannot_be_read_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path, "debian", {"/home/you/.private/.bash_history": "x\n"})
    import os

    scandir = os.scandir

    def refuse(folder: str) -> Any:
        if folder.endswith("/you/.private"):
            raise PermissionError(13, "no", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CannotLook, match=r"/home/you/\.private"):
        engine.CHECKS["CLEAN-07"](live(tmp_path, "debian"))


def test_the_two_scripts_that_take_the_sleep_out_of_rootdelay(tmp_path: Path) -> None:
    build(tmp_path, "debian", {})
    scripts = frozenset({"init-top/azure-rootdelay-off", "init-premount/azure-rootdelay-on", "init-top/udev"})
    for held, sleeps in ((scripts, False), (scripts - {"init-premount/azure-rootdelay-on"}, True), (frozenset(), True)):
        context = live(tmp_path, "debian", images=[(KERNEL, "/boot/initrd.img", DRIVERS, held)])
        found = engine.CHECKS["BOOT-04"](context)
        assert found.status == "pass"
        assert ("sleeps for all of it at every boot: /boot/initrd.img" in found.evidence) is sleeps
    dracut = live(tmp_path, "debian", images=[(KERNEL, "/boot/i", DRIVERS, frozenset())], generator="dracut")
    assert "sleeps" not in engine.CHECKS["BOOT-04"](dracut).evidence


def test_firewall_rules_that_cannot_be_listed_are_no_pass(tmp_path: Path) -> None:
    build(tmp_path, "debian", {"/proc/modules": "nf_tables 1 1\n", "/usr/sbin/nft": "x"})
    check = engine.CHECKS["NET-14"]
    assert check(live(tmp_path, "debian", {"nft": (1, "Operation not permitted")})).status == "unknown"
    with pytest.raises(AzurePrepError, match="by root only"):
        check(live(tmp_path, "debian", {"nft": ""}, privileged=False))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("me:$6$rounds=5000$salt$Abc/def.:19000:0", "Abc/def"),
        ("me:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o", "X3DX6M94c7o"),
        ("password_pbkdf2 root grub.pbkdf2.sha512.10000.ABCDEF.012345", "ABCDEF"),
        ("deb https://token123@mirror.example.com/debian x main", "token123"),
        ("deb https://me:hunter2@mirror.example.com/debian x main", "hunter2"),
        ("HttpProxy.Host=http://u:hunter2@proxy", "hunter2"),
        ("//srv/x /mnt cifs username=me,password=hunter2,ro 0 0", "hunter2"),
        ("//srv/x /mnt cifs username=me,pass=hunter2,ro 0 0", "hunter2"),
        ("export AWS_SECRET_ACCESS_KEY=hunter2", "hunter2"),
        ('{"client_secret": "hunter2"}', "hunter2"),
        ("PASSPHRASE='two words' x", "two words"),
        ("psk=hunter2hunter2", "hunter2"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln back", "eyJzdWIiOiIxIn0"),
        ("https://x.blob.core.windows.net/a?sv=2020&sig=abc%2Bdef&se=1", "abc%2Bdef"),
        ("DefaultEndpointsProtocol=https;AccountKey=abcd1234==;x", "abcd1234"),
        (KEY, "AAAAC3NzaC1lZDI1NTE5AAAAIA"),
    ],
)
def test_no_secret_gets_into_evidence(text: str, secret: str) -> None:
    assert secret not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Provisioning.DeleteRootPassword=n",
        '/etc/ssh/sshd_config:3 "ClientAliveInterval 0"',
        "root=UUID=aaaa-1 ro quiet",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
