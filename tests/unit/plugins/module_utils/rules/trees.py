"""Trees of files that keep every rule, one per kind of system, and a Context that plays a running system on them.

The trees are written by hand after what the distributions install; they are stand-ins, not copies of a system.
"""

# ruff: noqa: E501  (one line of a tree or of the table is one thing)
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import CannotLook, Context

Files = dict[str, "str | bytes | None"]

KERNEL = "6.1.0-18-amd64"
ARGUMENTS = "root=UUID=aaaa-1 ro console=tty1 console=ttyS0,115200n8 earlyprintk=ttyS0,115200 rootdelay=300"
DRIVERS = frozenset({"hv_vmbus", "hv_storvsc", "hv_netvsc", "hyperv_keyboard", "nvme", "nvme_core"})

_MODULES = [
    "kernel/drivers/hv/hv_vmbus.ko",
    "kernel/drivers/hv/hv_utils.ko",
    "kernel/drivers/scsi/hv_storvsc.ko",
    "kernel/drivers/net/hyperv/hv_netvsc.ko",
    "kernel/drivers/input/serio/hyperv-keyboard.ko",
    "kernel/fs/udf/udf.ko",
    "kernel/fs/fat/fat.ko",
    "kernel/fs/fat/vfat.ko",
    "kernel/fs/isofs/isofs.ko",
    "kernel/drivers/cdrom/cdrom.ko",
    "kernel/drivers/scsi/sr_mod.ko",
    "kernel/drivers/ata/ata_piix.ko",
    "kernel/drivers/nvme/host/nvme.ko",
    "kernel/drivers/nvme/host/nvme-core.ko",
    "kernel/drivers/net/ethernet/microsoft/mana/mana.ko",
]

WAAGENT = """# the agent
Provisioning.Agent=cloud-init
Provisioning.DeleteRootPassword=y
Provisioning.RegenerateSshHostKeyPair=y
Provisioning.SshHostKeyPairType=auto
ResourceDisk.Format=n
ResourceDisk.EnableSwap=n
AutoUpdate.Enabled=y
AutoUpdate.UpdateToLatestVersion=y
Extensions.Enabled=y
OS.RootDeviceScsiTimeout=300
OS.EnableFirewall=y
Logs.Collect=y
"""

PASSWD = "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
PASSWD += "me:x:1000:1000::/home/me:/bin/bash\nyou:x:1001:1001::/home/you:/bin/zsh\n"
SHADOW = "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nme:!:19000::::::\nyou:!:19000::::::\n"


def unit(name: str, wanted: str = "multi-user.target") -> Files:
    """An enabled unit."""
    return {
        f"/usr/lib/systemd/system/{name}": f"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy={wanted}\n",
        f"/etc/systemd/system/{wanted}.wants/{name}": f"-> /usr/lib/systemd/system/{name}",
    }


def commands(*names: str) -> Files:
    return {f"/usr/bin/{name}": "#!/bin/sh\n" for name in names}


def dpkg(packages: Mapping[str, str]) -> str:
    return "\n".join(f"Package: {n}\nStatus: install ok installed\nVersion: {v}\n" for n, v in packages.items())


def disk() -> Files:
    """An OS disk sda with one partition that holds everything."""
    return {
        "/sys/devices/host0/block/sda/size": "62914560\n",
        "/sys/devices/host0/block/sda/sda1/partition": "1\n",
        "/sys/devices/host0/block/sda/sda1/start": "2048\n",
        "/sys/class/block/sda": "-> ../../devices/host0/block/sda",
        "/sys/class/block/sda1": "-> ../../devices/host0/block/sda/sda1",
        "/dev/sda1": "",
        "/dev/disk/by-uuid/aaaa-1": "-> ../../sda1",
        "/proc/self/mountinfo": "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "22 21 0:5 / /proc rw,nosuid - proc proc rw\n",
        "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
        "/etc/fstab": "# root\nUUID=aaaa-1 / ext4 errors=remount-ro 0 1\n",
    }


def kernel(version: str = KERNEL) -> Files:
    return {
        f"/lib/modules/{version}/modules.dep": "".join(f"{name}:\n" for name in _MODULES),
        f"/lib/modules/{version}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
        f"/boot/vmlinuz-{version}": "",
        f"/boot/config-{version}": "CONFIG_WATCHDOG=y\nCONFIG_CIFS=m\n",
        **{f"/lib/modules/{version}/{name}": "" for name in _MODULES},
    }


def common() -> Files:
    files: Files = {
        "/etc/passwd": PASSWD,
        "/etc/shadow": SHADOW,
        "/home/me/.ssh/.keep": "",
        "/home/you/.keep": "",
        "/root/.keep": "",
        "/etc/sudoers": "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
        "/etc/sudoers.d/README": "# nothing\n",
        "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nClientAliveInterval 180\n",
        "/etc/waagent.conf": WAAGENT,
        "/usr/lib/python3/dist-packages/azurelinuxagent/common/version.py": "AGENT_VERSION = '2.9.1.1'\n",
        "/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.4.2"\n',
        "/etc/cloud/cloud.cfg": "cloud_init_modules:\n - migrator\n - disk_setup\n - mounts\n"
        "output: {all: '| tee -a /var/log/cloud-init-output.log'}\n",
        "/etc/cloud/cloud.cfg.d/10-azure-kvp.cfg": "reporting:\n  logging:\n    type: log\n  telemetry:\n    type: hyperv\n",
        "/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg": "datasource_list: [ Azure ]\n",
        "/usr/lib/udev/rules.d/50-udev-default.rules": 'SUBSYSTEM=="ptp", ATTR{clock_name}=="hyperv", '
        'SYMLINK+="ptp_hyperv"\n',
        "/usr/lib/udev/rules.d/66-azure-storage.rules": 'SUBSYSTEM!="block", GOTO="end"\n',
        "/etc/adjtime": "0.0 0 0.0\n0\nUTC\n",
        "/etc/hostname": "localhost.localdomain\n",
        "/etc/resolv.conf": "-> ../run/stub.conf",
        "/run/stub.conf": "",
        "/etc/machine-id": "",
        "/proc/cmdline": ARGUMENTS + "\n",
        "/proc/modules": "ext4 1 1 - Live 0x0\n",
        "/usr/lib/systemd/system/serial-getty@.service": "[Service]\n",
        "/usr/bin/python3": "-> python3.11",
        "/usr/bin/python3.11": "#!/bin/sh\n",
    }
    files.update(
        commands(
            *[
                "sshd",
                "waagent",
                "cloud-init",
                "openssl",
                "sfdisk",
                "fdisk",
                "mkfs",
                "parted",
                "chpasswd",
                "sudo",
                "sed",
                "grep",
                "ip",
                "iptables",
                "eject",
                "growpart",
                "sgdisk",
                "chronyd",
                "dmesg",
            ]
        )
    )
    for name in ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final"):
        files.update(unit(name + ".service", "cloud-init.target"))
    return files


def debian() -> Files:
    """Debian 12 on BIOS."""
    files = {**common(), **disk(), **kernel()}
    files.update(unit("ssh.service"))
    files.update(unit("walinuxagent.service"))
    files.update(unit("chrony.service"))
    files.update(unit("networking.service"))
    files.update(
        {
            "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n',
            "/var/lib/dpkg/status": dpkg({"waagent": "2.9.1.1-2", "cloud-init": "22.4.2-1", "hyperv-daemons": "6.1"}),
            "/etc/apt/sources.list": "deb http://ftp.debian.org/debian bookworm main\n",
            "/etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n",
            "/etc/chrony/chrony.conf": "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2\nmakestep 1.0 -1\n",
            "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{ARGUMENTS.split(" ro ")[1]}"\nGRUB_TERMINAL="console serial"\n'
            'GRUB_SERIAL_COMMAND="serial --speed=115200"\n',
            "/boot/grub/grub.cfg": grub_cfg(ARGUMENTS),
        }
    )
    return files


def grub_cfg(arguments: str, version: str = KERNEL) -> str:
    return (
        "serial --speed=115200\nterminal_input console serial\nterminal_output console serial\n"
        f"menuentry 'Linux' --id 'simple' {{\n\tlinux /boot/vmlinuz-{version} {arguments}\n"
        f"\tinitrd /boot/initrd.img-{version}\n}}\n"
    )


def uefi(files: Files) -> Files:
    """The same system on UEFI."""
    result = dict(files)
    result["/sys/firmware/efi/fw_platform_size"] = "64\n"
    result["/boot/efi/EFI/BOOT/BOOTX64.EFI"] = "MZ"
    result["/boot/efi/EFI/debian/shimx64.efi"] = "MZ"
    return result


def ubuntu() -> Files:
    """Ubuntu 24.04."""
    files = debian()
    del files["/etc/network/interfaces"]
    files.update(unit("systemd-networkd.service"))
    files.update(
        {
            "/etc/os-release": 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nUBUNTU_CODENAME=noble\n'
            'PRETTY_NAME="Ubuntu 24.04"\n',
            "/var/lib/dpkg/status": dpkg(
                {
                    "walinuxagent": "2.9.1.1-0ubuntu1",
                    "cloud-init": "24.1-0",
                    "linux-azure": "6.8.0",
                    "linux-cloud-tools-common": "6.8.0",
                    "azure-vm-utils": "0.4",
                }
            ),
            "/usr/lib/udev/rules.d/80-azure-disk.rules": "# disks\n",
            "/usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules": 'ENV{NM_UNMANAGED}="1"\n',
            "/etc/apt/sources.list": "deb http://azure.archive.ubuntu.com/ubuntu noble main\n"
            "deb http://azure.archive.ubuntu.com/ubuntu noble-updates main\n"
            "deb http://azure.archive.ubuntu.com/ubuntu noble-security main\n",
            "/etc/cloud/cloud.cfg.d/90-azure.cfg": "system_info:\n  package_mirrors:\n"
            "    - search: {primary: [http://azure.archive.ubuntu.com/ubuntu/]}\n",
        }
    )
    return files


_EL = {
    "WALinuxAgent": "2.9.1.1-1",
    "cloud-init": "22.4-1",
    "hyperv-daemons": "0-1",
    "shim-x64": "15-1",
}


def redhat(version: str = "9.4", identity: str = "rhel", kernel_version: str = KERNEL) -> Files:
    """Enterprise Linux."""
    files = debian()
    for path in ("/etc/network/interfaces", "/etc/apt/sources.list", "/var/lib/dpkg/status", "/etc/chrony/chrony.conf"):
        del files[path]
    for path in [path for path in files if KERNEL in path]:
        del files[path]
    arguments = ARGUMENTS + " net.ifnames=0"
    files.update(kernel(kernel_version))
    files.update(unit("sshd.service"))
    files.update(unit("waagent.service"))
    files.update(unit("chronyd.service"))
    files.update(unit("NetworkManager.service"))
    files.update(unit("hypervkvpd.service"))
    files.update(commands("rpm"))
    repositories = [f"rhui-rhel-{name}" for name in ("baseos", "appstream", "optional", "debug", "source", "azure")]
    if identity == "ol":
        repositories = ["ol_latest", "ol_addons"]
    files.update(
        {
            "/etc/os-release": f'ID={identity}\nID_LIKE="fedora"\nVERSION_ID="{version}"\nPRETTY_NAME="EL {version}"\n',
            "/var/lib/rpm/rpmdb.sqlite": "x",
            "/etc/chrony.conf": "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2\nmakestep 1.0 -1\n",
            "/etc/yum.repos.d/os.repo": "".join(f"[{name}]\nenabled=1\n" for name in repositories),
            "/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n",
            "/etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\n",
            "/etc/NetworkManager/conf.d/99-azure-unmanaged-devices.conf": "[keyfile]\n"
            "unmanaged-devices=driver:mlx4_core;driver:mlx5_core\n",
            "/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules": 'SUBSYSTEM=="net", DRIVERS=="hv_pci", '
            'ACTION!="remove", ENV{NM_UNMANAGED}="1"\n',
            "/boot/loader/entries/a.conf": f"title EL\nlinux /vmlinuz-{kernel_version}\noptions {arguments}\n",
            "/proc/cmdline": arguments + "\n",
            "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{arguments.split(" ro ")[1]}"\nGRUB_TERMINAL="serial console"\n'
            'GRUB_SERIAL_COMMAND="serial --speed=115200"\nGRUB_ENABLE_BLSCFG=true\n',
            "/boot/grub/grub.cfg": None,
            "/boot/grub2/grub.cfg": grub_cfg(arguments, kernel_version),
        }
    )
    return {path: content for path, content in files.items() if content is not None}


def suse(identity: str = "sles", version: str = "15.5") -> Files:
    """SLES or openSUSE Leap with wicked."""
    files = redhat()
    for path in [
        path
        for path in files
        if "NetworkManager" in path
        or "network-scripts" in path
        or "yum.repos" in path
        or "sriov" in path
        or path == "/etc/sysconfig/network"
    ]:
        del files[path]
    files.update(unit("wicked.service"))
    files.update(unit("hv_kvp_daemon.service"))
    files.update(commands("wicked"))
    names = ["SLE-Pool", "SLE-Updates"]
    if identity != "sles":
        names = ["repo-oss", "repo-update", "repo-backports-update", "repo-sle-update"]
    files.update(
        {
            "/etc/os-release": f'ID={identity}\nID_LIKE="suse"\nVERSION_ID="{version}"\nPRETTY_NAME="SUSE {version}"\n',
            "/etc/sysconfig/network/dhcp": 'DHCLIENT_SET_HOSTNAME="no"\n',
            "/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n",
            "/etc/zypp/repos.d/os.repo": "".join(f"[{name}]\nenabled=1\nautorefresh=1\n" for name in names),
            "/etc/products.d/sle-module-public-cloud.prod": "<product/>",
            "/usr/lib/udev/rules.d/80-azure-disk.rules": "# disks\n",
        }
    )
    return files


def agentless() -> Files:
    """Debian that provisions by its own unit."""
    files = debian()
    for path in [path for path in files if "waagent" in path or "walinuxagent" in path or "azurelinuxagent" in path]:
        del files[path]
    files.update(unit("azure-provisioning.service"))
    files["/usr/lib/systemd/system/azure-provisioning.service"] = (
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\n"
        "[Service]\nType=oneshot\nExecStart=/usr/bin/python3 /usr/local/sbin/azure-provisioning\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    files["/usr/local/sbin/azure-provisioning"] = "# sets the name with hostnamectl\n"
    files.update(commands("dhclient"))
    return files


TREES = {
    "debian": debian,
    "debian-uefi": lambda: uefi(debian()),
    "ubuntu": ubuntu,
    "el9": redhat,
    "el7": lambda: redhat("7.9", "rhel", "3.10.0-1160.el7.x86_64"),
    "el6": lambda: redhat("6.10", "rhel", "2.6.32-754.35.1.el6.x86_64"),
    "ol7": lambda: redhat("7.9", "ol", "3.10.0-1160.el7.x86_64"),
    "ol9": lambda: redhat("9.4", "ol"),
    "sles": suse,
    "leap": lambda: suse("opensuse-leap", "15.6"),
    "agentless": agentless,
}

#: What each tree's packages are where rpm tells them.
PACKAGES = {
    "sles": {"python-azure-agent": "2.9.1.1", "cloud-init": "23.3", "hyper-v": "9", "shim": "15"},
    "leap": {"python-azure-agent": "2.9.1.1", "cloud-init": "23.3", "hyper-v": "9", "shim": "15"},
}

#: What makes the initramfs on each tree; initramfs-tools where it is not named.
GENERATORS = dict.fromkeys(("el9", "el7", "ol7", "ol9", "sles", "leap"), "dracut") | {"el6": "mkinitrd"}


def rpm_output(packages: Mapping[str, str]) -> str:
    return "".join(f"{name}\t{version}\n" for name, version in packages.items())


class LiveContext(Context):
    """A Context over a tree that behaves as on a running system, with commands that give what the test says."""

    def __init__(self, root: Path, outputs: Mapping[str, Any] | None = None, **options: Any) -> None:
        kernel_version = options.pop("kernel", KERNEL)
        images = options.pop("images", None)
        generator = options.pop("generator", "initramfs-tools")
        options.setdefault("architecture", "x86_64")
        options.setdefault("privileged", True)
        options.setdefault("account", "me")
        super().__init__(Host(str(root)), **options)
        self.live = True
        self.ran: list[tuple[str, ...]] = []
        self._outputs = dict(outputs or {})
        self._memory["uname"] = (kernel_version, None)
        if images is None:
            images = [(name, f"/boot/initrd.img-{name}", DRIVERS) for name in self.kernels]
        self._memory["initramfs"] = ((generator, images), None)

    def run(self, *argv: str) -> CommandResult:
        line = " ".join(argv)
        self.ran.append(argv)
        found = self._outputs.get(line, self._outputs.get(argv[0]))
        if found is None:
            raise CannotLook(f"{line} is not part of this test.")
        rc, text = found if isinstance(found, tuple) else (0, found)
        return CommandResult(list(argv), rc, text, text if rc else "")


def outputs(tree: str) -> dict[str, Any]:
    """What commands print on a tree that keeps every rule."""
    return {
        "sshd -T": "port 22\nclientaliveinterval 180\n",
        "rpm": rpm_output(PACKAGES.get(tree, _EL)),
        "openssl version": "OpenSSL 3.0.11 19 Sep 2023\n",
        "dmesg": "[    0.000000] Linux version 6.1.0\n",
    }
