"""Images prepared by other means than this collection's: Debian's own packages, put together as its cloud images are.

    python -m proof.images FOLDER NAME...        # below tests/, as root; a minute each, nothing is booted

Every image boots in both generations (GPT with a BIOS boot partition and an EFI system partition), has the kernel's
messages on ttyS0, DHCP, no user, no host keys and an empty machine-id. Who provisions it differs: see IMAGES.
The generic one is for AZURE_TEST_IMAGE: a cloud image that nobody has prepared, which takes any datasource.
mmdebstrap makes the root directory, mkfs.ext4 -d the file system, grub-mkimage (in a chroot) the loaders.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import NamedTuple

from guests import build, cache, definitions

MIB = 1024 * 1024
SECTORS = MIB // 512
#: Places in MiB: BIOS boot partition, EFI system partition, root file system.
BIOS_AT, ESP_AT, ESP_SIZE, ROOT_AT = 1, 4, 60, 64
ROOT_SIZE = 2240
ROLES = Path(__file__).resolve().parents[2] / "roles"

COMMON = (
    "ca-certificates", "cloud-guest-utils", "dbus", "e2fsprogs", "fdisk", "grub-common", "grub-efi-amd64-bin",
    "grub-pc-bin", "hostname", "init", "initramfs-tools", "iproute2", "iputils-ping", "kmod", "libpam-systemd",
    "login", "mount", "netbase", "openssh-server", "passwd", "procps", "python3", "sudo", "tzdata", "udev",
    "zstd",
)  # fmt: skip
NETWORKD = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"
CMDLINE = "console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"

#: What the article on images without an agent shows: a program that reports ready and does nothing else.
REPORT_READY = """\
import http.client, re, time
HEADERS = {"x-ms-version": "2012-11-30", "x-ms-agent-name": "report-ready"}
for attempt in range(60):
    try:
        wire = http.client.HTTPConnection("168.63.129.16", timeout=20)
        wire.request("GET", "/machine/?comp=goalstate", None, HEADERS)
        goal = wire.getresponse().read().decode("utf-8-sig")
        break
    except OSError:
        time.sleep(2)
inner = lambda name: re.search("<%s>([^<]*)" % name, goal).group(1)
text = ("<Health><GoalStateIncarnation>%s</GoalStateIncarnation><Container><ContainerId>%s</ContainerId>"
    "<RoleInstanceList><Role><InstanceId>%s</InstanceId><Health><State>Ready</State></Health></Role>"
    "</RoleInstanceList></Container></Health>" % (inner("Incarnation"), inner("ContainerId"), inner("InstanceId")))
headers = dict(HEADERS, **{"Content-Type": "text/xml;charset=utf-8"})
wire = http.client.HTTPConnection("168.63.129.16", timeout=20)
wire.request("POST", "/machine/?comp=health", text, headers)
print("report-ready:", wire.getresponse().status, flush=True)
"""
REPORT_READY_UNIT = """\
[Unit]
Description=Report ready to Azure
Wants=network-online.target
After=network-online.target
ConditionPathExists=!/var/lib/reported-ready

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /usr/local/sbin/report-ready
ExecStartPost=/usr/bin/touch /var/lib/reported-ready
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""
#: Without cloud-init the image makes its own host keys, before sshd looks for them; the agent makes them later.
HOST_KEYS = "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n"


class Image(NamedTuple):
    """One image: suite, who provisions (generic: cloud-init with any datasource), how the network comes up, kernel."""

    name: str
    suite: str
    provisioner: str
    network: str = "networkd"
    kernel: str = "linux-image-cloud-amd64"

    def packages(self) -> list[str]:
        names = {*COMMON, self.kernel}
        names |= {"cloud-init", "eject"} if self.provisioner in ("cloud-init", "both") else set()
        # grub-cloud installs nothing in a chroot, and is what update-grub finds in Debian's cloud images.
        names |= {"apt-utils", "cloud-init", "grub-cloud-amd64"} if self.provisioner == "generic" else set()
        # The agent calls eject, which its package recommends at most.
        names |= {"eject", "waagent"} if self.provisioner in ("waagent", "both") else set()
        names |= {"curl", "eject"} if self.provisioner == "agentless" else set()
        names |= {"ifupdown", "isc-dhcp-client"} if self.network == "ifupdown" else set()
        names |= {"netplan.io"} if self.network == "netplan" else set()
        # Before Debian 12 resolved was part of the systemd package.
        if self.network in ("networkd", "netplan") and self.suite != "bullseye":
            names.add("systemd-resolved")
        return sorted(names)


IMAGES = {
    image.name: image
    for image in (
        Image("debian11-both", "bullseye", "both", "ifupdown"),
        Image("debian11-waagent", "bullseye", "waagent", "ifupdown"),
        Image("debian12-cloud-init", "bookworm", "cloud-init", "netplan"),
        Image("debian12-waagent", "bookworm", "waagent", "networkd", "linux-image-amd64"),
        Image("debian12-agentless", "bookworm", "agentless"),
        Image("debian12-report-ready", "bookworm", "report-ready"),
        Image("debian12-generic", "bookworm", "generic", "netplan"),
        Image("debian13-both", "trixie", "both", "netplan"),
        Image("debian13-waagent", "trixie", "waagent"),
        Image("testing-cloud-init", "forky", "cloud-init", "netplan"),
        Image("testing-both", "forky", "both", "netplan"),
    )
}


def _run(argv: list[str], log: Path, text: str | None = None) -> None:
    build.run(argv, log, stdin=text, env=build.system_environment())


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(text)
    path.chmod(mode)


def _install(image: Image, work: Path, log: Path) -> Path:
    root = work / "root"
    debs = cache.root() / "debs" / image.suite
    debs.mkdir(parents=True, exist_ok=True)
    archives = '"$1"/var/cache/apt/archives'
    argv = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=apt", "--architectures=amd64"]
    argv += ["--skip=cleanup/apt", "--skip=check/signed-by", "--include=" + ",".join(image.packages())]
    argv += ['--aptopt=Acquire::Languages { "none"; }', '--aptopt=Apt::Install-Recommends "false"']
    argv += ["--aptopt=" + line for line in build.apt_settings().splitlines()]
    argv += [f"--setup-hook=mkdir -p {archives} && cp -n {debs}/*.deb {archives}/ || true"]
    argv += [f"--customize-hook=cp -n {archives}/*.deb {debs}/ || true", f"--customize-hook=rm -f {archives}/*.deb"]
    for name in definitions.OFFERED_PACKAGES if image.provisioner == "generic" else ():
        # As in the guests: preparing it needs no download. A package that the release does not have is left out.
        apt = 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -y -q'
        argv += [f"--customize-hook={apt} --download-only install {name} || true"]
    argv += [image.suite, str(root)]
    archive, security = build.host_archive()
    # Of a release that has gone into the archive, mirrors no longer hold every update.
    lines = build.sources(image.suite, archive, None if image.suite == "bullseye" else security)
    _run([*argv, *(["-"] if lines else [])], log, "\n".join(lines) + "\n" if lines else None)
    return root


def _network(image: Image, root: Path, log: Path) -> None:
    if image.network == "ifupdown":
        lines = "auto lo\niface lo inet loopback\n"
        if image.provisioner in ("cloud-init", "both"):
            lines = "source-directory /etc/network/interfaces.d\n\n" + lines
        else:
            lines += "\nauto eth0\niface eth0 inet dhcp\n"
        _write(root, "/etc/network/interfaces", lines)
        return
    if image.provisioner not in ("cloud-init", "both", "generic"):
        _write(root, "/etc/systemd/network/50-dhcp.network", NETWORKD)
    _run(["chroot", str(root), "systemctl", "enable", "systemd-networkd", "systemd-resolved"], log)


def _provisioner(image: Image, root: Path, log: Path) -> None:
    if image.provisioner in ("cloud-init", "both"):
        # C.UTF-8 needs no generating; that of another locale fails without recommended packages.
        _write(root, "/etc/cloud/cloud.cfg.d/90-azure.cfg", "datasource_list: [ Azure ]\nlocale: C.UTF-8\n")
    if image.provisioner == "generic":
        _write(root, "/etc/cloud/cloud.cfg.d/90-locale.cfg", "locale: C.UTF-8\n")
    if image.provisioner == "waagent":
        # Debian has the agent wait for cloud-init.
        text = (root / "etc/waagent.conf").read_text()
        _write(root, "/etc/waagent.conf", re.sub(r"(?m)^Provisioning\.Agent=.*$", "Provisioning.Agent=waagent", text))
    if image.provisioner in ("waagent", "report-ready"):
        _write(root, "/etc/systemd/system/ssh.service.d/host-keys.conf", HOST_KEYS)
    units: list[str] = []
    if image.provisioner == "agentless":
        files = ROLES / "provision_agentless" / "files"
        _write(root, "/usr/local/sbin/azure-provisioning", (files / "azure-provisioning").read_text(), 0o755)
        units = ["azure-provisioning-early.service", "azure-provisioning.service"]
        for unit in units:
            _write(root, f"/etc/systemd/system/{unit}", (files / unit).read_text())
    if image.provisioner == "report-ready":
        _write(root, "/usr/local/sbin/report-ready", REPORT_READY, 0o755)
        units = ["report-ready.service"]
        _write(root, "/etc/systemd/system/report-ready.service", REPORT_READY_UNIT)
    if units:
        _run(["chroot", str(root), "systemctl", "enable", *units], log)


def _generalize(root: Path) -> None:
    for path in (root / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    _write(root, "/etc/machine-id", "")
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    _write(root, "/etc/hostname", "localhost\n")
    _write(root, "/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    if (root / "usr/lib/systemd/systemd-resolved").exists():
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    else:
        _write(root, "/etc/resolv.conf", "")


def _loaders(root: Path, uuid_of_root: str, names: str, log: Path) -> None:
    """grub.cfg by hand, and both core images; GRUB's modules stand where it looks for them."""
    kernel = sorted((root / "boot").glob("vmlinuz-*"))[-1].name
    version = kernel.partition("-")[2]
    extra = " net.ifnames=0" if names == "ifupdown" else ""
    _write(
        root,
        "/boot/grub/grub.cfg",
        "serial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\n"
        "set timeout=0\nmenuentry 'Debian GNU/Linux' {\n"
        f"    search --no-floppy --fs-uuid --set=root {uuid_of_root}\n"
        f"    linux /boot/{kernel} root=UUID={uuid_of_root} ro {CMDLINE}{extra}\n"
        f"    initrd /boot/initrd.img-{version}\n}}\n",
    )
    # By the file system's identifier: which disk is the first depends on what else hangs on the machine.
    _write(root, "/boot/grub/early.cfg", f"search.fs_uuid {uuid_of_root} root\nset prefix=($root)/boot/grub\n")
    for form, modules in (("i386-pc", "biosdisk"), ("x86_64-efi", "")):
        shutil.copytree(root / "usr/lib/grub" / form, root / "boot/grub" / form, dirs_exist_ok=True)
        words = ["grub-mkimage", "-O", form, "-o", f"/boot/grub/core.{form}", "-c", "/boot/grub/early.cfg"]
        words += ["-p", "/boot/grub", *modules.split(), "part_gpt", "ext2", "search_fs_uuid", "normal"]
        _run(["chroot", str(root), *words], log)


def _disk(root: Path, disk: Path, uuid_of_root: str, log: Path) -> None:
    with disk.open("wb") as stream:
        stream.truncate((ROOT_AT + ROOT_SIZE + 1) * MIB)
    places = (
        (1, ROOT_AT * SECTORS, ROOT_SIZE * SECTORS, "L"),
        (14, BIOS_AT * SECTORS, (ESP_AT - BIOS_AT) * SECTORS, "21686148-6449-6E6F-744E-656564454649"),
        (15, ESP_AT * SECTORS, ESP_SIZE * SECTORS, "U"),
    )
    rows = "".join(f"{disk}{at} : start={start}, size={size}, type={kind}\n" for at, start, size, kind in places)
    _run(["sfdisk", "--quiet", str(disk)], log, "label: gpt\n" + rows)
    core = (root / "boot/grub/core.i386-pc").read_bytes()
    boot = bytearray((root / "usr/lib/grub/i386-pc/boot.img").read_bytes())
    start = BIOS_AT * SECTORS
    # boot.img names the sector of the core image at 0x5c; the core's first sector holds a list of its further blocks:
    # start (8 bytes), length (2), segment (2), at its end. The two no-ops at 0x66 are how grub-install leaves them.
    boot[0x5C:0x64] = start.to_bytes(8, "little")
    boot[0x66:0x68] = b"\x90\x90"
    core = core.ljust(-(-len(core) // 512) * 512, b"\0")
    first = bytearray(core[:512])
    first[0x1F4:0x1FC] = (start + 1).to_bytes(8, "little")
    first[0x1FC:0x1FE] = (len(core) // 512 - 1).to_bytes(2, "little")
    esp = disk.with_suffix(".esp")
    with esp.open("wb") as stream:
        stream.truncate(ESP_SIZE * MIB)
    _run(["mkfs.vfat", "-F", "32", "-n", "ESP", str(esp)], log)
    _run(["mmd", "-i", str(esp), "::EFI", "::EFI/BOOT"], log)
    _run(["mcopy", "-i", str(esp), str(root / "boot/grub/core.x86_64-efi"), "::EFI/BOOT/BOOTX64.EFI"], log)
    build.copy_sparse(esp, disk, ESP_AT * MIB)
    esp.unlink()
    with disk.open("r+b") as stream:
        table = stream.read(512)
        stream.seek(0)
        stream.write(bytes(boot[:440]) + table[440:])
        stream.seek(start * 512)
        stream.write(bytes(first) + core[512:])
    _run(
        ["mkfs.ext4", "-q", "-F", "-U", uuid_of_root, "-O", "^metadata_csum_seed,^orphan_file"]
        + ["-E", f"offset={ROOT_AT * MIB}", "-d", str(root), str(disk), f"{ROOT_SIZE * 1024}k"],
        log,
    )


def make(image: Image, folder: Path) -> Path:
    """Make one image, a raw disk in folder; a finished one is kept. Root only: a root directory has many owners."""
    target = folder / f"{image.name}.raw"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{image.name}.log"
    work = Path(tempfile.mkdtemp(prefix=".image-", dir=folder))
    try:
        root = _install(image, work, log)
        uuid_of_root = str(uuid.uuid4())
        _write(root, "/etc/fstab", f"UUID={uuid_of_root} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n")
        _network(image, root, log)
        _provisioner(image, root, log)
        _run(["chroot", str(root), "update-initramfs", "-u", "-k", "all"], log)
        _loaders(root, uuid_of_root, image.network, log)
        _generalize(root)
        _disk(root, work / "disk.raw", uuid_of_root, log)
        (work / "disk.raw").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


if __name__ == "__main__":
    if os.geteuid() != 0 or len(sys.argv) < 3 or not set(sys.argv[2:]) <= set(IMAGES):
        sys.exit(f"usage (as root): python -m proof.images FOLDER NAME...; there are: {', '.join(IMAGES)}")
    for word in sys.argv[2:]:
        try:
            print(make(IMAGES[word], Path(sys.argv[1])), flush=True)
        except (OSError, subprocess.SubprocessError, build.GuestError) as exc:
            print(f"{word}: {exc}", file=sys.stderr)
            sys.exit(1)
