# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian systems of real packages on real file systems, mounted as an administrator mounts an image.

mmdebstrap installs into an ext4 file system on a loop device, /boot and the EFI system partition are file systems of
their own where a system has them, and /dev, /proc and /sys stand below: so grub-probe, initramfs-tools' MODULES=dep,
dracut's host-only mode, bootctl and kernel-install find a disk and do what they do on a machine. Nothing is booted.

GRUB takes /dev/loop0 to /dev/loop9 for mounted files and asks what is behind them (/etc/grub.d/10_linux), so loop
devices from 10 on are used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from guests import build, cache

MIB = 1024 * 1024
ROOT_MIB = 2048
ESP_MIB = 260

COMMON = ("linux-image-cloud-amd64", "kmod", "udev", "zstd", "util-linux", "e2fsprogs")
GRUB2 = ("grub2-common", "grub-pc-bin")

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

#: Names of /dev that generators open, by major and minor number (Linux, admin-guide/devices.txt).
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


class System(NamedTuple):
    """A system to build: Debian suite, packages beside COMMON, size of /boot (0: none), where the ESP is ("": none)."""

    name: str
    suite: str
    packages: tuple[str, ...]
    generator: str
    boot_mib: int = 0
    esp: str = ""


SYSTEMS = {
    system.name: system
    for system in (
        System("debian11", "bullseye", (*GRUB2, "initramfs-tools"), "initramfs-tools"),
        System("debian12", "bookworm", (*GRUB2, "initramfs-tools", "xz-utils", "lz4", "lzop", "bzip2"),
               "initramfs-tools", boot_mib=150),
        System("debian12-dracut", "bookworm", (*GRUB2, "dracut", "xz-utils", "lz4", "lzop", "bzip2"), "dracut",
               boot_mib=150),
        System("debian12-grub-legacy", "bookworm", ("grub-legacy", "initramfs-tools"), "initramfs-tools"),
        System("debian13", "trixie", (*GRUB2, "initramfs-tools", "dracut-core"), "initramfs-tools"),
        System("debian13-systemd-boot", "trixie", ("systemd-boot", "initramfs-tools"), "initramfs-tools", esp="/efi"),
        System("testing-dracut", "forky", (*GRUB2, "dracut"), "dracut"),
    )
}  # fmt: skip


class Mounted(NamedTuple):
    """A system below `root`; uuid: of its root file system."""

    system: System
    root: Path
    uuid: str

    @property
    def version(self) -> str:
        """The release of its one kernel."""
        return next(path.parent.name for path in (self.root / "lib/modules").glob("*/kernel"))

    def run(self, *argv: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of its own programs inside."""
        line = ["chroot", str(self.root), *argv]
        variables = {"PATH": PATH, "LC_ALL": "C", "HOME": "/root", **environment}
        done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=900)
        if check and done.returncode:
            raise AssertionError(f"{argv}: status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="surrogateescape")

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", errors="surrogateescape")
        target.chmod(mode)


class Unavailable(Exception):
    """Why no system can be built here."""


def _tool(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=build.system_environment())
    return done.stdout.strip()


def bring_collection(root: Path) -> None:
    """Put the collection's module_utils below /run/lib of a system, for code that is run inside."""
    library = root / "run/lib/ansible_collections/linuxvhd/azure/plugins/module_utils"
    shutil.copytree(Path(__file__).resolve().parents[2] / "plugins/module_utils", library, dirs_exist_ok=True)


def _image(path: Path, mib: int, *mkfs: str) -> None:
    with path.open("wb") as stream:
        stream.truncate(mib * MIB)
    _tool(*mkfs, str(path))


@contextmanager
def _loop(image: Path) -> Iterator[str]:
    """The loop device of an image, number 10 or higher."""
    for number in range(10, 64):
        device = f"/dev/loop{number}"
        if not os.path.exists(device):
            os.mknod(device, 0o660 | 0o060000, os.makedev(7, number))
        try:
            _tool("losetup", device, str(image))
        except subprocess.CalledProcessError:
            continue
        try:
            yield device
        finally:
            subprocess.run(["losetup", "-d", device], check=False)
        return
    raise Unavailable("no loop device is free, or none is allowed here")


@contextmanager
def _mount(*argv: str) -> Iterator[None]:
    target = argv[-1]
    Path(target).mkdir(parents=True, exist_ok=True)
    _tool("mount", *argv)
    try:
        yield
    finally:
        # Lazily: a generator that a test has killed may have left a process behind.
        subprocess.run(["umount", "--lazy", target], check=False)


def install(suite: str, packages: Sequence[str], root: Path) -> None:
    """Packages of a Debian suite into an empty directory; Unavailable where that is not possible here."""
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise Unavailable("needs root and mmdebstrap")
    debs = cache.root() / "debs" / suite
    debs.mkdir(parents=True, exist_ok=True)
    archives = '"$1"/var/cache/apt/archives'
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=apt", "--architectures=amd64"]
    argv += ["--skip=cleanup/apt", "--skip=check/signed-by", "--include=" + ",".join(packages)]
    argv += ['--aptopt=Acquire::Languages { "none"; }', '--aptopt=Apt::Install-Recommends "false"']
    argv += ["--aptopt=" + line for line in build.apt_settings().splitlines()]
    argv += [f"--setup-hook=mkdir -p {archives} && cp -n {debs}/*.deb {archives}/ || true"]
    # The first images are small and quickly made; the tests make others.
    argv += ['--essential-hook=mkdir -p "$1"/etc/initramfs-tools/conf.d "$1"/etc/kernel']
    argv += ['--essential-hook=echo MODULES=list >"$1"/etc/initramfs-tools/conf.d/modules']
    argv += [f"--customize-hook=cp -n {archives}/*.deb {debs}/ || true", f"--customize-hook=rm -f {archives}/*.deb"]
    argv += [suite, str(root)]
    main, security = build.host_archive()
    # Of a release that has gone into the archive, mirrors no longer hold every update.
    lines = build.sources(suite, main, None if suite == "bullseye" else security)
    done = subprocess.run(
        [*argv, *(["-"] if lines else [])], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"no {suite} could be built here: {done.stderr.strip()[-600:]}")


def images(system: System, folder: Path) -> dict[str, Path]:
    """Build the file systems of a system in a folder; those that are whole already are kept."""
    if os.geteuid() != 0:
        raise Unavailable("needs root")
    for tool, package in (("mmdebstrap", "mmdebstrap"), ("mkfs.ext4", "e2fsprogs"), ("losetup", "mount")):
        if not shutil.which(tool, path=build.system_environment()["PATH"]):
            raise Unavailable(f"needs {tool} (package {package})")
    names = ["root"] + (["boot"] if system.boot_mib else []) + (["esp"] if system.esp else [])
    result = {name: folder / f"{system.name}.{name}.raw" for name in names}
    if all(path.exists() for path in result.values()):
        return result
    folder.mkdir(parents=True, exist_ok=True)
    work = {name: path.with_suffix(".part") for name, path in result.items()}
    # GRUB before 2.12 cannot read these features, which a newer mke2fs sets.
    ext4 = ("mkfs.ext4", "-q", "-F", "-O", "^metadata_csum_seed,^orphan_file", "-U")
    _image(work["root"], ROOT_MIB, *ext4, str(uuid.uuid4()))
    if "boot" in work:
        _image(work["boot"], system.boot_mib, *ext4, str(uuid.uuid4()))
    if "esp" in work:
        # A machine without a driver for FAT gives the partition ext4; bootctl is told to let that pass.
        fat = ("mkfs.vfat", "-F", "32", "-n", "ESP")
        _image(work["esp"], ESP_MIB, *(fat if "vfat" in Path("/proc/filesystems").read_text() else ext4[:-1]))
    place = folder / f"{system.name}.mnt"
    with ExitStack() as stack:
        stack.enter_context(_mount(stack.enter_context(_loop(work["root"])), str(place)))
        install(system.suite, (*COMMON, *system.packages), place)
        if "boot" in work:
            beside = folder / f"{system.name}.boot"
            with _loop(work["boot"]) as device, _mount(device, str(beside)):
                for path in list((place / "boot").iterdir()):
                    _tool("cp", "-a", str(path), str(beside))
                    _tool("rm", "-rf", str(path))
    for name, path in result.items():
        work[name].rename(path)
    return result


@contextmanager
def mounted(system: System, built: dict[str, Path], folder: Path) -> Iterator[Mounted]:
    """A copy of a built system, mounted below a folder with what its programs need."""
    root = folder / "mnt"
    with ExitStack() as stack:
        devices = {}
        table = ""
        for name, place in (("root", "/"), ("boot", "/boot"), ("esp", system.esp)):
            if name not in built:
                continue
            copy = folder / f"{name}.raw"
            _tool("cp", "--sparse=always", "--reflink=auto", str(built[name]), str(copy))
            device = stack.enter_context(_loop(copy))
            stack.enter_context(_mount(device, str(root) + place))
            identity = _tool("blkid", "-p", "-s", "UUID", "-o", "value", device)
            devices[identity] = device
            kind = _tool("blkid", "-p", "-s", "TYPE", "-o", "value", device)
            table += f"UUID={identity} {place} {kind} defaults 0 1\n"
        stack.enter_context(_mount("-t", "tmpfs", "-o", "mode=755", "dev", f"{root}/dev"))
        for node, (major, minor) in NODES.items():
            os.mknod(root / "dev" / node, 0o666 | 0o020000, os.makedev(major, minor))
            (root / "dev" / node).chmod(0o666)
        (root / "dev/fd").symlink_to("/proc/self/fd")
        (root / "dev/disk/by-uuid").mkdir(parents=True)
        for identity, device in devices.items():
            number = int(device.rpartition("loop")[2])
            os.mknod(root / device.lstrip("/"), 0o660 | 0o060000, os.makedev(7, number))
            (root / "dev/disk/by-uuid" / identity).symlink_to("../.." + device[len("/dev") :])
        stack.enter_context(_mount("-t", "proc", "proc", f"{root}/proc"))
        stack.enter_context(_mount("-t", "sysfs", "-o", "ro", "sysfs", f"{root}/sys"))
        stack.enter_context(_mount("-t", "tmpfs", "tmpfs", f"{root}/run"))
        result = Mounted(system, root, next(iter(devices)))
        result.write("/etc/fstab", table)
        yield result
