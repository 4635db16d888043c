"""Images broken on purpose: a copy, changed in its ext4 root file system by debugfs, without mounting anything.

Each entry of WAYS is a name, the change, and the cause and rule that the diagnosis must name. `on` says which image
is broken: "" for the one under test (cloud-init provisions it), else one of proof.images.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

GRUB = "/boot/grub/grub.cfg"


class Disk:
    """A raw disk or fixed VHD with a GPT or a DOS label, whose largest partition holds ext4."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            label = stream.read(512)
            rows: list[bytes] = []
            if label[450] == 0xEE:
                stream.seek(512 + 72)
                start, count, size = struct.unpack("<QII", stream.read(16))
                stream.seek(start * 512)
                rows = [stream.read(size) for _ in range(count)]
        sizes = [struct.unpack("<QQ", row[32:48]) for row in rows if any(row[:16])]
        dos = [struct.unpack("<II", label[at + 8 : at + 16]) for at in (446, 462, 478, 494)]
        sizes += [(first, first + length) for first, length in dos if not rows and length]
        first, _last = max(sizes, key=lambda pair: pair[1] - pair[0])
        self.target = "%s?offset=%d" % (path, first * 512)

    def _debugfs(self, request: str, write: bool) -> str:
        program = shutil.which("debugfs") or "/sbin/debugfs"
        line = [program, *(["-w"] if write else []), "-R", request, self.target]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        # Its errors stand on standard error behind one line of its version; the status is 0 all the same.
        return done.stdout + done.stderr.partition("\n")[2]

    def read(self, name: str) -> str:
        return self._debugfs(f"cat {name}", False)

    def write(self, name: str, text: str, mode: str = "644") -> None:
        with tempfile.NamedTemporaryFile("w") as stream:
            stream.write(text)
            stream.flush()
            self._debugfs(f"rm {name}", True)
            self._debugfs(f"write {stream.name} {name}", True)
        for field in (f"mode 0100{mode}", "uid 0", "gid 0"):
            self._debugfs(f"sif {name} {field}", True)
        if self.read(name) != text:
            raise RuntimeError(f"debugfs did not write {name}")

    def remove(self, name: str) -> None:
        """Remove a file or link that must be there."""
        if "File not found" in self._debugfs(f"stat {name}", False):
            raise RuntimeError(f"{name} is not there")
        self._debugfs(f"rm {name}", True)

    def mask(self, unit: str) -> None:
        """Mask a unit of systemd."""
        self._debugfs(f"rm /etc/systemd/system/{unit}", True)
        self._debugfs(f"symlink /etc/systemd/system/{unit} /dev/null", True)
        if "/dev/null" not in self._debugfs(f"stat /etc/systemd/system/{unit}", False):
            raise RuntimeError(f"debugfs did not mask {unit}")

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change a file; an edit that changes nothing is an error, because the guest would then not be broken."""
        before = self.read(name)
        after = change(before)
        if before == after:
            raise RuntimeError(f"nothing to change in {name}")
        found = re.search(r"Mode:\s+0?(\d{3})\b", self._debugfs(f"stat {name}", False))
        if not found:
            raise RuntimeError(f"debugfs tells no mode of {name}")
        self.write(name, after, found.group(1))


class Way(NamedTuple):
    """One way to break an image, and what must be said of it. options: how it is then proven."""

    name: str
    change: Callable[[Disk], None]
    cause: str
    rule: str
    on: str = ""
    options: dict[str, Any] = {}


def _without_initramfs(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("initrd")) + "\n"


def _command_line(words: str) -> Callable[[Disk], None]:
    return lambda disk: disk.edit(GRUB, lambda text: text.replace(" ro ", f" ro {words} "))


def _replace(name: str, old: str, new: str) -> Callable[[Disk], None]:
    return lambda disk: disk.edit(name, lambda text: text.replace(old, new))


def _write(name: str, text: str) -> Callable[[Disk], None]:
    return lambda disk: disk.write(name, text)


def _mask(unit: str) -> Callable[[Disk], None]:
    return lambda disk: disk.mask(unit)


def _no_kernel(disk: Disk) -> None:
    for name in set(re.findall(r"/boot/vmlinuz-\S+", disk.read(GRUB))):
        disk.remove(name)


def _no_init(disk: Disk) -> None:
    for name in ("/usr/sbin/init", "/usr/lib/systemd/systemd"):
        disk.remove(name)


def _no_boot_code(disk: Disk) -> None:
    """Boot code that says it is there and only goes back to the firmware (int 0x18)."""
    with disk.path.open("r+b") as stream:
        stream.write(b"\xcd\x18" + bytes(438))


def _nothing(disk: Disk) -> None:
    """The image stays as it is; the way it is proven is wrong."""


MODPROBE = "/etc/modprobe.d/hardening.conf"
NO_UDF = "install udf /bin/true\nblacklist udf\n"
WANTS = "/etc/systemd/system/multi-user.target.wants"
STATIC = "[Match]\nType=ether\n\n[Network]\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
NO_ROUTE = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n\n[Route]\nDestination=168.63.129.16/32\nType=blackhole\n"
OTHER_MAC = "[Match]\nMACAddress=52:54:00:12:34:56\n\n[Network]\nDHCP=yes\n"
NETWORK = "/etc/systemd/network/50-dhcp.network"
DRIVERS = "virtio_blk,virtio_scsi,ahci,nvme,vmw_pvscsi"
PROGRAM = "/usr/local/sbin/azure-provisioning"

WAYS = (
    Way("no boot code", _no_boot_code, "no_loader", "DISK-15"),
    Way("another generation", _nothing, "generation_mismatch", "DISK-15", options={"generation": "2"}),
    Way("no boot loader configuration", lambda disk: disk.remove(GRUB), "boot_loader", "BOOT-13"),
    Way("no kernel", _no_kernel, "boot_loader", "BOOT-13"),
    Way(
        "a menu that waits",
        lambda disk: disk.edit(GRUB, lambda text: re.sub(r"set timeout=\d+", "set timeout=-1", text)),
        "boot_menu",
        "BOOT-14",
    ),
    Way("no initramfs", lambda disk: disk.edit(GRUB, _without_initramfs), "root_not_found", "INIT-02"),
    Way("no driver in the initramfs", _command_line("modprobe.blacklist=" + DRIVERS), "initramfs_shell", "INIT-02"),
    Way(
        "root= names another file system",
        _replace(GRUB, "root=UUID=", "root=UUID=99999999-0000-"),
        "root_not_found",
        "DISK-12",
    ),
    Way("no init program", _no_init, "no_init", ""),
    Way("init fails", _command_line("init=/bin/false"), "kernel_panic", ""),
    Way(
        "fstab names a device that is not there",
        lambda disk: disk.edit("/etc/fstab", lambda text: text + "/dev/sdx1 /data ext4 defaults 0 2\n"),
        "emergency_mode",
        "DISK-12",
    ),
    Way(
        "udf is blacklisted",
        _write(MODPROBE, NO_UDF),
        "configuration",
        "KERN-06",
    ),
    Way("cloud-init is off", _command_line("cloud-init=disabled"), "cloud_init_disabled", "CINIT-10"),
    Way(
        "cloud-init is off by its file, the agent waits for it",
        _write("/etc/cloud/cloud-init.disabled", ""),
        "agent_waits_for_cloud_init",
        "AGENT-04",
    ),
    Way(
        "another data source",
        _write("/etc/cloud/cloud.cfg.d/99-local.cfg", "datasource_list: [ NoCloud, None ]\n"),
        "datasource",
        "CINIT-02",
    ),
    Way("the SSH server is masked", _mask("ssh.service"), "sshd", "SSH-01"),
    Way("no serial console", _replace(GRUB, "console=ttyS0", "console=ttyS3"), "console", "BOOT-01"),
    Way("the agent is disabled", lambda disk: disk.remove(f"{WANTS}/walinuxagent.service"),
        "no_provisioner", "AGENT-01", "debian12-waagent"),
    Way("the agent waits for cloud-init", _replace("/etc/waagent.conf", "Agent=waagent", "Agent=cloud-init"),
        "agent_waits_for_cloud_init", "AGENT-04", "debian12-waagent"),
    Way("the agent may not mount udf", _write(MODPROBE, NO_UDF),
        "udf", "KERN-06", "debian12-waagent"),
    # Nothing is broken here but the release: its agent calls what its Python no longer has.
    Way("an agent too old for its Python", _nothing, "agent_crashed", "AGENT-04", "debian11-waagent"),
    Way("the agent may not provision", _replace("/etc/waagent.conf", "Agent=waagent", "Agent=disabled"),
        "nobody_provisioned", "AGENT-04", "debian12-waagent"),
    Way("the agent lacks eject", lambda disk: disk.remove("/usr/bin/eject"),
        "agent_crashed", "PKG-12", "debian12-waagent"),
    Way("a fixed address", _write(NETWORK, STATIC), "static_address", "NET-01", "debian12-waagent"),
    Way("a route that ends at the image itself", _write(NETWORK, NO_ROUTE), "firewall", "NET-14", "debian12-waagent"),
    Way("bound to another card's MAC address", _write(NETWORK, OTHER_MAC), "no_dhcp", "NET-01", "debian12-waagent"),
    Way("provisioned and never reported", _replace(PROGRAM, "health Ready || return 1", ":"),
        "not_reported", "NOAGENT-04", "debian12-agentless"),
    Way("a report for another VM", _replace(PROGRAM, "<ContainerId>$CONTAINER", "<ContainerId>0$CONTAINER"),
        "report_refused", "NOAGENT-04", "debian12-agentless"),
    Way("no host keys, and nothing makes them", _replace(PROGRAM, "ssh-keygen -A >/dev/null", "true"),
        "sshd", "SSH-01", "debian12-agentless"),
)  # fmt: skip


def broken_copy(image: Path, folder: Path, way: Way) -> Path:
    """A copy of the image, broken in one way."""
    copy = folder / ("broken" + image.suffix)
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(copy)], check=True, timeout=300)
    way.change(Disk(copy))
    return copy
