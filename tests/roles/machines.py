"""Stand-ins of every family and version, on which the roles' own task lists run through Ansible.

A machine is this computer's root directory under an overlay in a mount namespace of its own: /etc, /boot, /var and
the like are its own, written from tests/unit/fixtures/boot and the tables below; programs that would touch a real
system (package managers, boot loader tools, systemctl, swapoff) are stand-ins in commands.py. /proc, /sys and most of
/dev are plain files. What it shows is the roles' logic: which tasks run, in which order, what they write, and that a
second run changes nothing. It shows nothing about a distribution's real tools; the guests do that.
"""

# ruff: noqa: E501, SIM905  (one line of a table is one thing)
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boot_trees
from boot_doubles import ImageHost, image, kernel_tree

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
HV = ("hv_vmbus", "hv_storvsc", "hv_netvsc")
MODULES = (*HV, "hv_utils", "hyperv-keyboard", "udf", "vfat", "fat", "isofs", "cdrom", "sr_mod", "ext4", "virtio_blk")
MODULES += ("nvme", "nvme-core")

#: Directories that hold nothing of this computer's.
OWN = "boot dev etc home media mnt opt proc root run srv sys tmp var usr/etc usr/lib/dracut usr/lib/kernel usr/lib/modprobe.d "
OWN += "usr/lib/modules usr/lib/systemd usr/lib/udev usr/lib/grub usr/lib/python3 usr/local usr/share/grub usr/lib/sysctl.d"

#: Programs of this computer that a machine must not find.
HIDDEN = """apt apt-cache apt-get apt-mark blkid bootctl chronyd cloud-init debconf dnf dnf5 dpkg dpkg-query dracut
efibootmgr findmnt growpart grub-install grub-mkconfig grub2-mkconfig grubby ifup kernel-install lsblk lsinitramfs
lsinitrd mkinitramfs mkinitrd mokutil netplan networkctl nmcli restorecon rpm sfdisk sshd sudo swapoff swapon
systemctl systemd-detect-virt udevadm update-bootloader update-grub update-grub2 update-initramfs visudo waagent wicked
yum zypper""".split()

#: What packages bring: files of interest. "unit NAME" makes a unit, with the text that follows where there is one.
CLOUD_UNITS = ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")
CLOUD_CFG = "users:\n - default\ncloud_init_modules:\n - migrator\n - growpart\ncloud_config_modules:\n - disk_setup\n - mounts\n"
PAYLOAD: dict[str, dict[str, str]] = {
    "agent": {
        "/etc/waagent.conf": "# agent\nProvisioning.Agent=auto\nResourceDisk.Format=y\nResourceDisk.EnableSwap=y\n"
        "AutoUpdate.Enabled=n\n",
        "/usr/sbin/waagent": "#!/bin/sh\n",
    },
    "cloud_init": {
        "/etc/cloud/cloud.cfg": CLOUD_CFG,
        "/usr/bin/cloud-init": "#!/bin/sh\n",
        "/usr/lib/python3/dist-packages/cloudinit/version.py": '__VERSION__ = "22.4.2"\n',
        **{f"/usr/lib/systemd/system/{name}.service": "unit cloud-init.target" for name in CLOUD_UNITS},
    },
    "chrony": {"/usr/sbin/chronyd": "#!/bin/sh\n"},
}


class Family(NamedTuple):
    """What machines of one family have in common: the manager, unit names, files of packages."""

    manager: str
    agent: str
    agent_unit: str
    ssh_unit: str
    chrony_unit: str
    chrony_conf: str
    daemons: tuple[str, ...]
    daemon_units: tuple[str, ...]
    network: str
    mkconfig: str
    initramfs: str
    image: str


APT = Family("apt", "waagent", "walinuxagent.service", "ssh.service", "chrony.service", "/etc/chrony/chrony.conf",
             ("hyperv-daemons",), ("hyperv-daemons.hv-kvp-daemon.service",), "ifupdown", "grub-mkconfig",
             "initramfs-tools", "/boot/initrd.img-%s")  # fmt: skip
UBUNTU = APT._replace(agent="walinuxagent", daemons=("linux-cloud-tools-azure", "linux-cloud-tools-common"),
                      daemon_units=("hv-kvp-daemon.service",), network="netplan")  # fmt: skip
EL = Family("dnf", "WALinuxAgent", "waagent.service", "sshd.service", "chronyd.service", "/etc/chrony.conf",
            ("hyperv-daemons",), ("hypervkvpd.service",), "networkmanager", "grub2-mkconfig", "dracut",
            "/boot/initramfs-%s.img")  # fmt: skip
EL7 = EL._replace(manager="yum", network="ifcfg")
SUSE = EL._replace(manager="zypper", agent="python-azure-agent", daemons=("hyper-v",),
                   daemon_units=("hv_kvp_daemon.service",), network="wicked", image="/boot/initrd-%s")  # fmt: skip


class System(NamedTuple):
    """One machine: the boot tree it starts from, its family's ways, and what differs."""

    tree: str
    ways: Family
    family: str
    release: str = ""
    uefi: bool = False
    grub: Mapping[str, Any] = {}


_BLS = {"bls": True}
_NEWER = {"bls": True, "newer_bls": True}

SYSTEMS: dict[str, System] = {
    "centos7": System("el7", EL7, "redhat"),
    "ol7": System(
        "el7", EL7, "redhat", 'ID="ol"\nID_LIKE="fedora"\nVERSION_ID="7.9"\nPRETTY_NAME="Oracle Linux 7.9"\n'
    ),
    "alma8": System("el8", EL, "redhat", grub=_BLS),
    "ol8": System("el8", EL, "redhat", 'ID="ol"\nVERSION_ID="8.9"\nPRETTY_NAME="Oracle Linux 8.9"\n', grub=_BLS),
    "rhel9": System("el9", EL, "redhat", uefi=True, grub=_NEWER),
    "rocky9": System("el9", EL, "redhat", 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n', grub=_NEWER),
    "rhel10": System("el10", EL, "redhat", uefi=True, grub=_NEWER),
    "debian9": System("debian9", APT, "debian"),
    "debian10": System("debian10", APT, "debian"),
    "debian11": System("debian11", APT, "debian"),
    "debian12": System("debian12", APT, "debian"),
    # The agent's package takes NetworkManager off Debian 12.
    "debian12nm": System("debian12", APT._replace(network="networkmanager"), "debian"),
    "debian13": System("debian13", APT._replace(network="networkd"), "debian", uefi=True),
    "ubuntu1604": System("ubuntu1604", UBUNTU._replace(network="ifupdown"), "ubuntu"),
    "ubuntu1804": System("ubuntu1804", UBUNTU, "ubuntu"),
    "ubuntu2004": System("ubuntu2004", UBUNTU, "ubuntu"),
    "ubuntu2204": System("ubuntu2204", UBUNTU, "ubuntu", uefi=True),
    "ubuntu2404": System("ubuntu2404", UBUNTU, "ubuntu"),
    "sles12": System("sles12", SUSE, "suse"),
    "sles15": System("sles15", SUSE, "suse"),
    "sles16": System(
        "sles15",
        SUSE._replace(network="networkmanager"),
        "suse",
        'ID="sles"\nID_LIKE="suse"\nVERSION_ID="16.0"\nPRETTY_NAME="SLES 16"\n',
    ),  # fmt: skip
    "leap15": System("leap15", SUSE, "suse"),
    "arch": System(
        "debian12", APT._replace(manager="", network="networkd"), "generic", 'ID=arch\nPRETTY_NAME="Arch Linux"\n'
    ),  # fmt: skip
}

#: What breaks the rules on every machine.
HARDENING = {
    "/etc/modprobe.d/CIS.conf": "install udf /bin/true # CIS\ninstall usb-storage /bin/false\nblacklist vfat\n",
    "/etc/modprobe.d/more.conf": "install udf /bin/false\nalias fs-iso9660 off\n",
    "/usr/lib/modprobe.d/vendor.conf": "install *fat /bin/true\n",
    "/etc/ssh/sshd_config": "Port 22\nMatch User x\n  X11Forwarding no\nMatch all\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    "/etc/ssh/sshd_config.d/00-cis.conf": "clientaliveinterval = 0\n",
    "/etc/sudoers": "Defaults env_reset, \\\n  targetpw\nroot ALL=(ALL:ALL) ALL\nALL ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
    "/etc/sudoers.d/admin": "%wheel ALL=(ALL) NOPASSWD: ALL\n",
    "/etc/fstab": "# root\n/dev/vda1\t/ ext4 defaults 0 1\n/dev/vda5  none\tswap sw 0 0\n/swapfile none swap sw 0 0 # more\n"
    "tmpfs /tmp tmpfs noexec,nosuid 0 0\n",
    "/swapfile": "swap",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/swapfile file 1 0 -2\n",
    "/proc/cmdline": "root=/dev/vda1 ro quiet\n",
    "/proc/net/route": "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    "ens3\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\n",
    "/sys/class/net/ens3/type": "1\n",
    "/sys/class/net/ens3/device/vendor": "0x1af4\n",
    "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
    "/proc/filesystems": "nodev\ttmpfs\n\text4\n",
    "/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n",
    "/etc/udev/rules.d/70-persistent-net.rules": 'ATTR{address}=="52:54:00:12:34:56", NAME="eth0"\n',
    "/etc/lvm/devices/system.devices": "VERSION=1.1.1\n",
    "/etc/cloud/cloud.cfg.d/99-seed.cfg": "datasource_list:\n  - NoCloud\n  - None\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/bash\n",
    "/etc/group": "root:x:0:\nwheel:x:10:anna\nanna:x:1000:\n",
    "/etc/shadow": "root:*:1::::::\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "/dev/vda1": "",
    "/dev/disk/by-uuid/0a1b": "-> ../../vda1",
    "/run/systemd/system/.keep": "",
    "/home/anna/.keep": "",
    "/usr/local/sbin/.keep": "",
}

MAC = "52:54:00:12:34:56"
NETWORKS: dict[str, dict[str, str]] = {
    "ifupdown": {
        "/etc/network/interfaces": "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\n"
        f"allow-hotplug ens3\niface ens3 inet static\n  address 10.0.0.2/24\n  hwaddress ether {MAC}\n",
        "/usr/sbin/ifup": "#!/bin/sh\n",
    },
    "networkd": {
        "/etc/systemd/network/10-lan.network": f"[Match]\nMACAddress={MAC}\n[Network]\nAddress=10.0.0.2/24\n",
        "/usr/lib/systemd/system/systemd-networkd.service": "unit multi-user.target enabled",
    },
    "networkmanager": {
        "/etc/NetworkManager/system-connections/lan.nmconnection": "[connection]\nid=lan\ntype=ethernet\n"
        f"interface-name=ens3\n[ethernet]\nmac-address={MAC}\n[ipv4]\nmethod=manual\naddress1=10.0.0.2/24\n",
        "/usr/lib/systemd/system/NetworkManager.service": "unit multi-user.target enabled",
    },
    "netplan": {
        "/etc/netplan/01-installer.yaml": "network:\n  version: 2\n  ethernets:\n    ens3:\n      match:\n"
        f"        macaddress: {MAC}\n      addresses: [10.0.0.2/24]\n",
        "/usr/sbin/netplan": "#!/bin/sh\n",
        "/usr/lib/systemd/system/systemd-networkd.service": "unit multi-user.target enabled",
    },
    "ifcfg": {
        "/etc/sysconfig/network-scripts/ifcfg-ens3": f"DEVICE=ens3\nHWADDR={MAC}\nBOOTPROTO=none\nIPADDR=10.0.0.2\n",
        "/usr/lib/systemd/system/network.service": "unit multi-user.target",
        "/usr/lib/systemd/system/NetworkManager.service": "unit multi-user.target enabled",
    },
    "wicked": {
        "/etc/sysconfig/network/ifcfg-eth0": f"BOOTPROTO='static'\nLLADDR='{MAC}'\nIPADDR='10.0.0.2/24'\n",
        "/etc/sysconfig/network/dhcp": 'DHCLIENT_SET_HOSTNAME="yes"\n',
        "/usr/lib/systemd/system/wicked.service": "unit multi-user.target enabled",
    },
}

#: Repositories that have the agent, configured and off.
REPOSITORIES: dict[str, dict[str, str]] = {
    "ol7": {"/etc/yum.repos.d/public-yum-ol7.repo": "[ol7_latest]\nenabled=1\n\n[ol7_addons]\nenabled=0\n"},
    "leap15": {
        "/etc/zypp/repos.d/all.repo": "[repo-oss]\nenabled=0\n\n[repo-update]\nenabled=0\n\n[repo-non-oss]\nenabled=0\n"
    },
}

MANAGERS = {"apt": ("apt-get", "apt-cache"), "dnf": ("dnf", "rpm"), "yum": ("yum", "repoquery", "rpm"),
            "zypper": ("zypper", "rpm"), "": ()}  # fmt: skip
STAND_INS = (
    "systemctl",
    "swapoff",
    "swapon",
    "blkid",
    "lsblk",
    "findmnt",
    "sshd",
    "visudo",
    "systemd-detect-virt",
    "sudo",
)
GENERATORS = {"initramfs-tools": "update-initramfs", "dracut": "dracut"}


def why_not() -> str:
    """Why these machines cannot be made here; "" where they can."""
    if os.geteuid() != 0:
        return "the machines need root (mount namespaces)"
    if not Path("/usr/bin/python3").exists():
        return "the machines run /usr/bin/python3"
    with_overlay = "d=$(mktemp -d) && mount -t tmpfs t $d && mkdir $d/u $d/w $d/m && " \
        "mount -t overlay o -o lowerdir=/,upperdir=$d/u,workdir=$d/w $d/m"  # fmt: skip
    done = subprocess.run(["unshare", "-m", "sh", "-c", with_overlay], capture_output=True, text=True, check=False)
    return f"no overlay in a mount namespace: {done.stderr.strip()}" if done.returncode else ""


class Machine:
    """A machine below `place`: upper/ is what differs from this computer."""

    def __init__(self, place: Path, name: str, **changes: str) -> None:
        self.name = name
        self.system = SYSTEMS[name]
        self.place = place / name
        self.upper = self.place / "upper"
        for folder in ("upper", "work", "merged"):
            (self.place / folder).mkdir(parents=True)
        for folder in OWN.split():
            path = self.upper / folder
            path.mkdir(parents=True, exist_ok=True)
            os.setxattr(path, "trusted.overlay.opaque", b"y")
        os.chmod(self.upper / "tmp", 0o1777)
        for name_ in HIDDEN:
            for folder in ("usr/bin", "usr/sbin"):
                self._hide(f"{folder}/{name_}")
        self._hide(".dockerenv")
        for path_ in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"):
            self._copy(path_)
        self.write({**HARDENING, **boot_trees.load(self.system.tree), **NETWORKS[self.system.ways.network]})
        if self.system.release:
            self.write({"/etc/os-release": self.system.release})
        if self.system.ways.initramfs == "initramfs-tools":
            self.write({f"/etc/initramfs-tools/scripts/{name}/.keep": "" for name in ("init-top", "init-premount")})
        self.write({**REPOSITORIES.get(name, {}), **changes})
        self._packages()
        self._boot()
        self._commands()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            # /lib, /bin and /sbin are links of this computer's; a directory would hide them.
            path = self.upper / re.sub(r"^(lib|bin|sbin)/", r"usr/\1/", name.lstrip("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or (path.exists() and not path.is_file()):
                path.unlink()
            if isinstance(content, str) and content.startswith("unit "):
                _unit, target, *enabled = content.split()
                path.write_text(f"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy={target}\n")
                if enabled:
                    link = self.upper / f"etc/systemd/system/{target}.wants" / path.name
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(name)
            elif isinstance(content, str) and content.startswith("-> "):
                path.symlink_to(content[3:].strip())
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content, encoding="utf-8", errors="surrogateescape")
            if isinstance(content, str) and content.startswith("#!"):
                path.chmod(0o755)

    def read(self, name: str) -> str:
        return (self.upper / name.lstrip("/")).read_text(encoding="utf-8", errors="surrogateescape")

    def exists(self, name: str) -> bool:
        path = self.upper / name.lstrip("/")
        return os.path.lexists(path) and not (path.is_char_device() and not path.is_symlink())

    def _hide(self, name: str) -> None:
        path = self.upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if Path("/", name).exists():
            os.mknod(path, 0o020000, os.makedev(0, 0))

    def _copy(self, name: str) -> None:
        source, target = Path(name), self.upper / name.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            target.write_bytes(source.read_bytes())

    def _packages(self) -> None:
        """The packages that repositories offer, in a file that the stand-in of the package manager reads."""
        ways = self.system.ways
        chrony = {**PAYLOAD["chrony"], ways.chrony_conf: "pool pool.ntp.org iburst\nmakestep 1 3\n"}
        chrony[f"/usr/lib/systemd/system/{ways.chrony_unit}"] = "unit multi-user.target"
        agent = {**PAYLOAD["agent"], f"/usr/lib/systemd/system/{ways.agent_unit}": "unit multi-user.target"}
        offers: dict[str, dict[str, str]] = {ways.agent: agent, "cloud-init": PAYLOAD["cloud_init"], "chrony": chrony}
        offers[ways.daemons[0]] = {
            f"/usr/lib/systemd/system/{unit}": "unit multi-user.target" for unit in ways.daemon_units
        }
        for name in (*ways.daemons[1:], "cloud-utils-growpart", "cloud-guest-utils", "growpart", "gdisk", "gptfdisk", "eject",
                     "util-linux", "curl", "netplan.io", "isc-dhcp-client"):  # fmt: skip
            offers.setdefault(name, {})
        interfaces = "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
        offers["ifupdown"] = {"/usr/sbin/ifup": "#!/bin/sh\n", "/etc/network/interfaces": interfaces}
        for name, files in offers.items():
            target = self.upper / "var/offers" / name
            (target / "files").mkdir(parents=True)
            for path, content in files.items():
                keeper, self.upper = self.upper, target / "files"
                self.write({path: content})
                self.upper = keeper
        present = ["openssh-server", "openssh", "sudo"]
        if self.name == "debian12nm":
            present.append("network-manager")
        self.write({"/var/installed": "\n".join(present) + "\n", "/usr/bin/cloud-place": ""})
        (self.upper / "usr/bin/cloud-place").unlink()
        if ways.manager == "apt":
            self.write(
                {"/var/lib/dpkg/status": "".join(f"Package: {n}\nStatus: install ok installed\n\n" for n in present)}
            )
        self.write({f"/usr/lib/systemd/system/{ways.ssh_unit}": "unit multi-user.target enabled",
                    "/usr/lib/systemd/system/systemd-timesyncd.service": "unit sysinit.target enabled"})  # fmt: skip

    def _boot(self) -> None:
        """Kernels with images that lack the Hyper-V drivers, and a grub.cfg by the stand-in of its generator."""
        ways = self.system.ways
        for path in sorted((self.upper / "boot").glob("vmlinuz-*")):
            version = path.name[len("vmlinuz-") :]
            if "rescue" in version:
                continue
            self.write({k: v for k, v in kernel_tree(version, MODULES).items() if not k.startswith("/boot")})
            self.write({ways.image % version: image(version, ("ext4", "virtio_blk"), ways.initramfs)})
        if self.system.uefi:
            vendor = "redhat" if ways.manager == "dnf" else self.system.family
            self.write({"/sys/firmware/efi/fw_platform_size": "64\n", f"/boot/efi/EFI/{vendor}/shimx64.efi": "MZ",
                        f"/boot/efi/EFI/{vendor}/grubx64.efi": "MZ"})  # fmt: skip
        block = self.upper / "boot/grub2/grubenv"
        if block.exists():
            block.write_text(block.read_text().ljust(1024, "#"))
        if self.system.grub.get("bls"):
            self.write({"/usr/sbin/grub2-mkconfig": "#!/bin/sh\n# --no-grubenv-update\n"})
        folder = self.upper / ("boot/grub2" if (self.upper / "boot/grub2").is_dir() else "boot/grub")
        host = ImageHost(str(self.upper), tools=[ways.mkconfig], drop_ins=ways.manager in ("apt", ""),
                         bls=bool(self.system.grub.get("bls")))  # fmt: skip
        (folder / "grub.cfg").write_text(host.generate(), encoding="utf-8", errors="surrogateescape")

    def _commands(self) -> None:
        ways = self.system.ways
        names = [*STAND_INS, *MANAGERS[ways.manager], ways.mkconfig, GENERATORS[ways.initramfs]]
        if ways.mkconfig == "grub-mkconfig":
            names.append("update-grub")
        options = {"drop_ins": ways.manager in ("apt", ""), **self.system.grub}
        comment = "# --no-grubenv-update\n" if self.system.grub.get("bls") else ""
        for name in names:
            path = self.upper / "usr/sbin" / name
            path.unlink(missing_ok=True)
            path.write_text(
                f"#!/bin/sh\n{comment}exec /usr/bin/python3 -B /repository/tests/roles/commands.py {name} "
                f"'{options!r}' \"$@\"\n".replace("'drop_ins'", '"drop_ins"')
                .replace("'bls'", '"bls"')
                .replace("'newer_bls'", '"newer_bls"')
            )
            path.chmod(0o755)

    def shell(self, command: str) -> list[str]:
        """The argument vector that runs a shell command on the machine."""
        layers = f"lowerdir=/,upperdir={self.upper},workdir={self.place}/work"
        merged = self.place / "merged"
        script = (
            f"mount -t overlay o -o {layers} {merged} && cd {merged} && mkdir -p repository && "
            f"mount --bind {ROOT} repository && "
            "for d in null zero random urandom full; do : >dev/$d && mount --bind /dev/$d dev/$d || exit 1; done; "
            "exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "
            'chroot . /bin/sh -c "$1"'
        )
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", command]


def inventory(machines: list[Machine], place: Path) -> Path:
    """An inventory in which each machine is reached by a program that stands in for ssh."""
    lines = ["all:", "  hosts:"]
    for machine in machines:
        lines.append(f"    {machine.name}:")
    lines += [
        "  vars:",
        "    ansible_connection: ssh",
        f"    ansible_ssh_executable: {place}/ssh",
        "    ansible_ssh_transfer_method: piped",
        "    ansible_pipelining: true",
        "    ansible_control_path: none",
        "    ansible_python_interpreter: /usr/bin/python3",
    ]
    wrapper = place / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -B {HERE}/ssh.py {place} "$@"\n')
    wrapper.chmod(0o755)
    path = place / "inventory.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


def recap(text: str) -> dict[str, dict[str, int]]:
    """Host to its counts in the play recap."""
    found = {}
    for line in text.partition("PLAY RECAP")[2].splitlines():
        match = re.match(r"^(\S+)\s+: (.*)$", line)
        if match:
            found[match.group(1)] = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", match.group(2))}
    return found


class Run(NamedTuple):
    """One run of a playbook on every machine: its output, and the counts of each machine."""

    text: str
    counts: dict[str, dict[str, int]]


def play(inventory: Path, playbook: str | Path, *arguments: str, strategy: str = "linear", forks: int = 4) -> Run:
    """Run a playbook as a user does from the root of a clone."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    ansible = os.environ.get("AZURE_TEST_ANSIBLE") or (str(beside) if beside.exists() else "ansible-playbook")
    argv = [ansible, "-i", str(inventory), "-f", str(forks), str(playbook)]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOST_KEY_CHECKING": "False"}
    environment["ANSIBLE_STRATEGY"] = strategy
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    done = subprocess.run(
        [*argv, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    return Run(text, recap(text))


class Prepared(NamedTuple):
    """The machines after preparation, and the three runs."""

    machines: dict[str, Machine]
    check: Run
    first: Run
    second: Run


class Foreign:
    """Somebody else's playbook for one machine."""

    def __init__(self, place: Path, machine: Machine) -> None:
        self.place = place
        self.machine = machine
        self.inventory = inventory([machine], place)
        self.text = ""

    def write(self, more: Mapping[str, Any]) -> Path:
        """A play of theirs: no facts, the role; `more` replaces and adds keywords of the play."""
        base = {"name": "Theirs", "hosts": "all", "gather_facts": False, "roles": ["linuxvhd.azure.prepare"]}
        path = self.place / "theirs.yml"
        path.write_text(json.dumps([{**base, **more}]))
        return path

    def play(self, more: Mapping[str, Any], *arguments: str) -> dict[str, int]:
        """Run the play; the counts of the machine, {"failed": 1} where there is no recap."""
        run = play(self.inventory, self.write(more), *arguments)
        self.text = run.text
        return run.counts.get(self.machine.name, {"failed": 1, "changed": -1})

    def snapshot(self) -> dict[str, bytes]:
        """What is on the machine but for Ansible's and the stand-ins' own traces."""
        found = {}
        for path in self.machine.upper.rglob("*"):
            name = str(path.relative_to(self.machine.upper))
            if path.is_file() and not name.startswith(("root/.ansible", "var/log/calls", "tmp/", "dev/")):
                found[name] = path.read_bytes()
        return found
