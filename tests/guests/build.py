"""Debian packages to a bootable disk, in four steps and without loop devices.

1. mmdebstrap installs the packages into a directory, customize.sh makes it an installed system (15 to 60 s).
2. sfdisk and mkfs.ext4 -d write partition table and file systems into an ordinary file.
3. The guest's own kernel boots that disk once with finish.sh as process 1: grub-install, update-initramfs and
   update-grub run where they belong, on the real machine, so boot sectors, firmware variables, the initramfs of
   MODULES=dep and grub.cfg are the distribution's own work and not an imitation.
4. The directory is renamed into the cache.

Why not an image builder: vmdb2 needs loop devices and root mounts, which containers lack; mkosi builds images of its
own kind (its initrd, systemd-boot or its GRUB set-up, repart layouts), so the guest would not be what Debian's
installer leaves, and that is the very thing under test. mmdebstrap is the well-kept tool for the part that is hard.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from guests import accel, cache, launch, qemu
from guests.definitions import MIB, OFFERED_PACKAGES, USER, Definition
from guests.errors import GuestError

SECTOR = 512
#: Where the first partition begins: 2048 sectors, as every partitioner has done for years.
FIRST_MIB = 1
#: Of a guest on LVM: its /boot, and what LVM needs for itself.
BOOT_MIB, LVM_MIB = 256, 8
#: Suites that have no updates and security archives.
ROLLING = ("forky", "sid", "testing", "unstable")

#: Suites whose support has ended. Their security archive is no longer whole: its index names packages that are gone.
ENDED = ("bullseye",)
#: apt settings of the building host without which the guest might not reach the archive.
APT_SETTINGS = r"^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy|Retries|ForceIPv4)\b"
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "sfdisk": "fdisk",
    "mkfs.ext4": "e2fsprogs",
    "mkswap": "util-linux",
    "mkfs.vfat": "dosfstools",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh-keygen": "openssh-client",
}
#: The finishing boot takes one to three minutes under TCG on a free machine.
FINISH_SECONDS = 1200

Plan = dict[str, int]


def say(text: str) -> None:
    """Progress goes to standard error: standard output belongs to results."""
    print(f"guests: {text}", file=sys.stderr, flush=True)


def run(argv: Sequence[str], log: Path, *, stdin: str | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in log; GuestError with the end of that output when it fails."""
    with log.open("a") as handle:
        handle.write(f"\n$ {shlex.join(argv)}\n")
        handle.flush()
        try:
            done = subprocess.run(argv, input=stdin, stdout=handle, stderr=handle, text=True, env=env, check=False)
        except FileNotFoundError:
            raise GuestError(f"{argv[0]} is not installed.") from None
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise GuestError(f"{argv[0]} ended with status {done.returncode}. The end of {log}:\n{tail}")


def system_environment() -> dict[str, str]:
    """This process's environment, with the administrator's programs within reach."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def need_tools() -> None:
    """GuestError that names every missing package at once."""
    path = system_environment()["PATH"]
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=path)})
    if missing:
        raise GuestError(f"Building a guest needs the packages {', '.join(missing)}: install them (Debian's names).")


def as_root_of_a_namespace(definition: Definition, rebuild: bool) -> Path:
    """Build in a user namespace whose root is this user, since a disk holds files of many owners. See unshare(1)."""
    words = ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--pid", "--fork", "--kill-child"]
    try:
        able = subprocess.run(
            [*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
        )
        reason = able.stderr.strip() if able.returncode else ""
    except FileNotFoundError:
        reason = "unshare is not installed"
    if reason:
        raise GuestError(
            "Building a guest as an ordinary user needs user namespaces with subordinate ids (the package uidmap, and "
            f"this user in /etc/subuid and /etc/subgid), and they do not work here ({reason}). Or build it as root: "
            f'sudo env "HOME=$HOME" tests/guests/guest build {definition.name}; starting it needs no root then.'
        )
    env = {**os.environ, "PYTHONPATH": str(cache.HERE.parent)}
    again = ["--rebuild"] if rebuild else []
    done = subprocess.run(
        [*words, sys.executable, "-m", "guests", "build", definition.name, *again], env=env, check=False
    )
    place = cache.guest_directory(definition)
    if done.returncode or not (place / "guest.json").exists():
        raise GuestError(f"The build of {definition.name} failed; its message stands above.")
    return place


def host_archive() -> tuple[str | None, str | None]:
    """(main archive, security archive) that this machine's apt uses for Debian, without trailing slash; None: none."""
    named = os.environ.get("GUESTS_MIRROR"), os.environ.get("GUESTS_SECURITY_MIRROR")
    if named[0]:
        return named
    try:
        text = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", "Identifier: Packages"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return pick_archives(text)


def pick_archives(text: str) -> tuple[str | None, str | None]:
    """The Debian archives among lines "URI ORIGIN" of `apt-get indextargets`."""
    main = security = None
    for line in text.splitlines():
        uri, _, origin = line.partition(" ")
        uri = uri.rstrip("/")
        if origin.strip() not in ("Debian", ""):
            continue
        if uri.endswith("/debian-security"):
            security = security or uri
        elif uri.endswith("/debian"):
            main = main or uri
    return main, security


def sources(suite: str, main: str | None, security: str | None) -> list[str]:
    """The lines of sources.list; empty when no archive is known (mmdebstrap then has a default of its own)."""
    if main is None:
        return []
    components = "main non-free-firmware" if suite != "bullseye" else "main"
    lines = [f"deb {main} {suite} {components}"]
    if suite not in ROLLING:
        lines.append(f"deb {main} {suite}-updates {components}")
        if security and suite not in ENDED:
            lines.append(f"deb {security} {suite}-security {components}")
    return lines


def apt_settings() -> str:
    """Those lines of this machine's apt configuration that decide whether an archive is reached."""
    try:
        text = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return "\n".join(line for line in text.splitlines() if re.match(APT_SETTINGS, line))


def plan_disk(definition: Definition) -> Plan:
    """Start and size of each partition and the size of the disk, all in MiB but total_bytes.

    BIOS: DOS label, root as 1, an extended partition 2 with swap as 5. UEFI: GPT, ESP 1, root 2, swap 3.
    """
    start = FIRST_MIB
    plan: Plan = {}
    if definition.firmware == "uefi":
        plan["esp_start"] = start
        start += definition.esp_mib
    plan["root_start"] = start
    start += definition.root_mib
    if definition.firmware == "bios":
        plan["extended_start"] = start
        start += 1  # room for the extended boot record, as fdisk aligns it
    plan["swap_start"] = start
    # One MiB at the end for GPT's second header; a DOS disk just has it free.
    plan["total_bytes"] = (start + definition.swap_mib + 1) * MIB + definition.odd_bytes
    return plan


def sfdisk_script(definition: Definition, plan: Plan) -> str:
    """Input of sfdisk(8), in sectors."""
    sectors = MIB // SECTOR
    root_size = definition.root_mib * sectors
    swap_size = definition.swap_mib * sectors
    if definition.firmware == "uefi":
        return (
            "label: gpt\n"
            f"start={plan['esp_start'] * sectors}, size={definition.esp_mib * sectors}, type=U\n"
            f"start={plan['root_start'] * sectors}, size={root_size}, type=L\n"
            f"start={plan['swap_start'] * sectors}, size={swap_size}, type=S\n"
        )
    return (
        "label: dos\n"
        f"start={plan['root_start'] * sectors}, size={root_size}, type=83, bootable\n"
        f"start={plan['extended_start'] * sectors}, size={swap_size + sectors}, type=5\n"
        f"start={plan['swap_start'] * sectors}, size={swap_size}, type=82\n"
    )


def install(definition: Definition, work: Path, log: Path, key: str, password: str, swap_uuid: str) -> Path:
    """Step 1: the root directory."""
    root = work / "root"
    debs = cache.root() / "debs" / definition.suite
    debs.mkdir(parents=True, exist_ok=True)
    uefi = definition.firmware == "uefi"
    env = {
        **system_environment(),
        "GUEST_NAME": definition.name,
        "GUEST_USER": USER,
        "GUEST_PASSWORD": password,
        "GUEST_KEY": key,
        "GUEST_DEBS": str(debs),
        "GUEST_OFFERED": " ".join(OFFERED_PACKAGES),
        "GUEST_NETWORK": definition.network,
        "GUEST_NIC": definition.nic,
        "GUEST_FIRMWARE": definition.firmware,
        "GUEST_FSTAB": definition.fstab,
        "GUEST_ROOT_PART": "2" if uefi else "1",
        "GUEST_SWAP_PART": "3" if uefi else "5",
        "GUEST_SWAP_UUID": swap_uuid,
        "GUEST_ROOT_MIB": str(definition.root_mib),
        "GUEST_SWAP_MIB": str(definition.swap_mib),
        "GUEST_CMDLINE": definition.cmdline,
        "GUEST_INITRAMFS": definition.initramfs,
        "GUEST_APT_CONF": apt_settings(),
        "GUEST_FINISH": str(cache.HERE / "finish.sh"),
    }
    archives = '"$1"/var/cache/apt/archives'
    seed = f"mkdir -p {archives} && cp -n {shlex.quote(str(debs))}/*.deb {archives}/ || true"
    argv = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=apt", "--architectures=amd64"]
    argv += ["--skip=cleanup/apt", "--skip=check/signed-by", f"--include={','.join(definition.all_packages())}"]
    argv += ['--aptopt=Acquire::Languages { "none"; }', *[f"--aptopt={line}" for line in apt_settings().splitlines()]]
    argv += [f"--setup-hook={seed}"]
    argv += [f'--customize-hook=sh {shlex.quote(str(cache.HERE / name))} "$1"' for name in definition.scripts]
    argv += [definition.suite, str(root)]
    lines = sources(definition.suite, *host_archive())
    run([*argv, *(["-"] if lines else [])], log, stdin="\n".join(lines) + "\n" if lines else None, env=env)
    return root


def write_disk(definition: Definition, root: Path, disk: Path, log: Path, swap_uuid: str) -> None:
    """Step 2: partition table and file systems in a sparse file."""
    plan = plan_disk(definition)
    with disk.open("wb") as handle:
        handle.truncate(plan["total_bytes"])
    env = system_environment()
    run(["sfdisk", "--quiet", str(disk)], log, stdin=sfdisk_script(definition, plan), env=env)
    # Features that GRUB before 2.12 cannot read are switched off whatever this machine's mke2fs.conf says.
    offset = plan["root_start"] * MIB
    without = "^metadata_csum_seed,^orphan_file"
    if definition.loader == "grub-legacy":
        without += ",^64bit,^metadata_csum"
    run(
        ["mkfs.ext4", "-q", "-F", "-L", "root", "-O", without, "-E", f"offset={offset}"]
        + ["-d", str(root), str(disk), f"{definition.root_mib * 1024}k"],
        log,
        env=env,
    )
    parts = [("swap_start", definition.swap_mib, ["mkswap", "-L", "swap", "-U", swap_uuid])]
    if definition.firmware == "uefi":
        parts.append(("esp_start", definition.esp_mib, ["mkfs.vfat", "-F", "32", "-n", "ESP"]))
    for place, size_mib, argv in parts:
        piece = disk.with_suffix(f".{place}")
        with piece.open("wb") as handle:
            handle.truncate(size_mib * MIB)
        piece.chmod(0o600)
        run([*argv, str(piece)], log, env=env)
        copy_sparse(piece, disk, plan[place] * MIB)
        piece.unlink()


def write_lvm_disk(definition: Definition, disk: Path, log: Path) -> None:
    """A disk with room for /boot and for a volume group, to which layout-lvm.sh moves the installed system."""
    sectors = MIB // SECTOR
    boot, volumes = BOOT_MIB * sectors, (definition.root_mib + definition.swap_mib + LVM_MIB) * sectors
    first = FIRST_MIB * sectors
    with disk.open("wb") as handle:
        handle.truncate((first + boot + volumes) * SECTOR + MIB + definition.odd_bytes)
    script = (
        f"label: dos\nstart={first}, size={boot}, type=83, bootable\nstart={first + boot}, size={volumes}, type=8e\n"
    )
    env = system_environment()
    run(["sfdisk", "--quiet", str(disk)], log, stdin=script, env=env)


def copy_sparse(source: Path, target: Path, offset: int) -> None:
    """Write source into target at offset, without its zero blocks."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        position = offset
        for block in iter(lambda: reader.read(MIB), b""):
            if block.count(0) != len(block):
                writer.seek(position)
                writer.write(block)
            position += len(block)


def finish(definition: Definition, root: Path, work: Path) -> None:
    """Step 3: one boot of the guest's own kernel, with finish.sh as process 1."""
    boot = root / "boot"
    kernel = sorted(boot.glob("vmlinuz-*"))[-1]
    initrd = boot / kernel.name.replace("vmlinuz", "initrd.img")
    if not initrd.exists():
        raise GuestError(f"The installed system has no initramfs for {kernel.name}: see the build log.")
    code = variables = None
    if definition.firmware == "uefi":
        code, template = qemu.ovmf_pair()
        variables = work / "vars.fd"
        shutil.copyfile(template, variables)
    chosen = accel.choose(os.environ.get("GUESTS_ACCEL", "auto"))
    root_device = "vda2" if definition.firmware == "uefi" else "vdb1" if definition.lvm else "vda1"
    machine = qemu.Machine(
        disk=work / "disk.raw",
        disk_format="raw",
        serial_log=work / "finish.log",
        accel=chosen.name,
        qemu_version=accel.qemu_version(),
        firmware=definition.firmware,
        ovmf_code=code,
        ovmf_vars=variables,
        seed=work / "installed.raw" if definition.lvm else None,
        kernel=kernel,
        initrd=initrd,
        append=f"root=/dev/{root_device} ro console=ttyS0 panic=-1 net.ifnames=0 init=/finish-installation",
    )
    process = launch.spawn(qemu.arguments(machine), work / "finish.qemu.log")
    try:
        launch.wait_for_end(process, machine.serial_log, "GUEST-BUILD-DONE", "GUEST-BUILD-FAILED", FINISH_SECONDS)
    finally:
        launch.end(process)


def build(definition: Definition, *, rebuild: bool = False) -> Path:
    """The directory of the built guest: from the cache, or built now. The lock makes a second builder wait."""
    place = cache.guest_directory(definition)
    if (place / "guest.json").exists() and not rebuild:
        return place
    need_tools()
    if os.geteuid() != 0:
        # Made here, so that they belong to the user whatever the namespace does.
        cache.private_key()
        return as_root_of_a_namespace(definition, rebuild)
    with cache.lock(definition.name):
        if (place / "guest.json").exists() and not rebuild:
            return place
        place.parent.mkdir(mode=0o700, exist_ok=True)
        started = time.monotonic()
        work = Path(tempfile.mkdtemp(prefix=f".{definition.name}.", dir=place.parent))
        log = work / "build.log"
        try:
            key = cache.private_key().with_suffix(".pub").read_text().strip()
            password = secrets.token_urlsafe(12)
            swap_uuid = str(uuid.uuid4())
            say(f"{definition.name}: installing packages (log: {log})")
            root = install(definition, work, log, key, password, swap_uuid)
            installed = time.monotonic()
            say(f"{definition.name}: packages took {installed - started:.0f} s; writing the disk")
            write_disk(definition, root, work / "disk.raw", log, swap_uuid)
            if definition.lvm:
                (work / "disk.raw").rename(work / "installed.raw")
                write_lvm_disk(definition, work / "disk.raw", log)
            written = time.monotonic()
            say(
                f"{definition.name}: disk took {written - installed:.0f} s; finishing boot (log: {work / 'finish.log'})"
            )
            finish(definition, root, work)
            done = time.monotonic()
            say(
                f"{definition.name}: finishing boot took {done - written:.0f} s, the whole build {done - started:.0f} s"
            )
            shutil.rmtree(root)
            (work / "installed.raw").unlink(missing_ok=True)
            about = {**definition._asdict(), "user": USER, "password": password, "generation": definition.generation}
            about["seconds"] = {"packages": installed - started, "disk": written - installed, "finish": done - written}
            (work / "guest.json").write_text(json.dumps(about, indent=2) + "\n")
            (work / "guest.json").chmod(0o600)
        except BaseException:
            kept = cache.root() / "failed-build"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.rmtree(work / "root", ignore_errors=True)
            work.rename(kept)
            say(f"the logs of the failed build are in {kept}")
            raise
        if place.exists():
            shutil.rmtree(place)
        work.rename(place)
    return place
