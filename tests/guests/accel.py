"""KVM or TCG? KVM only where a guest really runs on it.

The device node proves nothing: inside another virtual machine /dev/kvm may open and create a VM whose guest then
hangs. So: the CPU must offer vmx or svm, and a boot sector that ends the machine must end it within seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from guests import cache
from guests.errors import GuestError

#: A boot sector: mov dx,0xf4; mov al,0x10; out dx,al; hlt. QEMU's isa-debug-exit then ends with (0x10 << 1) | 1.
PROBE_SECTOR = bytes([0xBA, 0xF4, 0x00, 0xB0, 0x10, 0xEE, 0xF4]).ljust(510, b"\0") + b"\x55\xaa"
PROBE_STATUS = 0x21
PROBE_SECONDS = 10


class Accel(NamedTuple):
    """kvm or tcg, and why."""

    name: str
    reason: str


def qemu_version() -> tuple[int, int]:
    """Major and minor version of qemu-system-x86_64; GuestError when it is missing."""
    try:
        text = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise GuestError(
            f"qemu-system-x86_64 does not run ({exc}): install qemu-system-x86 and qemu-utils (Debian's names)."
        ) from None
    return parse_version(text)


def parse_version(text: str) -> tuple[int, int]:
    """(7, 2) from "QEMU emulator version 7.2.22 (Debian ...)"."""
    match = re.search(r"version (\d+)\.(\d+)", text)
    if not match:
        raise GuestError(f"qemu-system-x86_64 --version says {text[:80]!r}, which names no version.")
    return int(match[1]), int(match[2])


def has_hardware_flag(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo has vmx or svm among its flags."""
    return any(
        {"vmx", "svm"} & set(line.partition(":")[2].split())
        for line in cpuinfo.splitlines()
        if line.startswith("flags")
    )


def probe() -> Accel:
    """Find out, without looking at the remembered answer."""
    try:
        if not has_hardware_flag(Path("/proc/cpuinfo").read_text()):
            return Accel("tcg", "the CPU shows neither vmx nor svm")
    except OSError as exc:
        return Accel("tcg", f"/proc/cpuinfo is not readable: {exc.strerror}")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accel("tcg", "/dev/kvm cannot be opened for reading and writing")
    with tempfile.TemporaryDirectory(prefix="kvm-probe-") as directory:
        disk = Path(directory) / "probe.raw"
        disk.write_bytes(PROBE_SECTOR.ljust(64 * 1024, b"\0"))
        command = ["qemu-system-x86_64", "-machine", "pc,accel=kvm", "-cpu", "host", "-m", "64", "-nodefaults"]
        command += ["-no-user-config", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
        command += ["-drive", f"if=ide,format=raw,file={disk}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return Accel("tcg", f"a boot sector under KVM did not end within {PROBE_SECONDS} seconds")
    if done.returncode == PROBE_STATUS:
        return Accel("kvm", "a boot sector under KVM ran to its end")
    return Accel("tcg", f"QEMU with KVM ended with status {done.returncode}: {done.stderr.strip()[:200]}")


def choose(wanted: str = "auto") -> Accel:
    """The accelerator to use. auto asks the machine once per boot and QEMU version and remembers the answer."""
    if wanted in ("kvm", "tcg"):
        return Accel(wanted, "asked for")
    if wanted != "auto":
        raise GuestError(f"The accelerator {wanted!r} is none of auto, kvm and tcg.")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    key = f"{boot} {os.access('/dev/kvm', os.R_OK | os.W_OK)} {qemu_version()}"
    memory = cache.root() / "accel.json"
    try:
        remembered = json.loads(memory.read_text())
        if remembered["key"] == key:
            return Accel(remembered["name"], remembered["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing usable is remembered: ask
    answer = probe()
    temporary = memory.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"key": key, "name": answer.name, "reason": answer.reason}))
    temporary.replace(memory)
    return answer
