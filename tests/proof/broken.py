"""Images broken on purpose: a copy, changed in its ext4 root file system by debugfs, without mounting anything.

Each entry of WAYS is a name, the change, and the cause and rule that the diagnosis must name.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

GRUB = "/boot/grub/grub.cfg"


class Disk:
    """A raw disk or fixed VHD with a GPT, whose largest partition holds ext4."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            stream.seek(512 + 72)
            start, count, size = struct.unpack("<QII", stream.read(16))
            stream.seek(start * 512)
            rows = [stream.read(size) for _ in range(count)]
        sizes = [struct.unpack("<QQ", row[32:48]) for row in rows if any(row[:16])]
        first, _last = max(sizes, key=lambda pair: pair[1] - pair[0])
        self.target = "%s?offset=%d" % (path, first * 512)

    def _debugfs(self, request: str, write: bool) -> str:
        program = shutil.which("debugfs") or "/sbin/debugfs"
        line = [program, *(["-w"] if write else []), "-R", request, self.target]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=True).stdout

    def read(self, name: str) -> str:
        return self._debugfs(f"cat {name}", False)

    def write(self, name: str, text: str) -> None:
        with tempfile.NamedTemporaryFile("w") as stream:
            stream.write(text)
            stream.flush()
            self._debugfs(f"rm {name}", True)
            self._debugfs(f"write {stream.name} {name}", True)
        for field in ("mode 0100644", "uid 0", "gid 0"):
            self._debugfs(f"sif {name} {field}", True)
        if self.read(name) != text:
            raise RuntimeError(f"debugfs did not write {name}")

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        """Change a file; an edit that changes nothing is an error, because the guest would then not be broken."""
        before = self.read(name)
        after = change(before)
        if before == after:
            raise RuntimeError(f"nothing to change in {name}")
        self.write(name, after)


class Way(NamedTuple):
    """One way to break an image, and what must be said of it."""

    name: str
    change: Callable[[Disk], None]
    cause: str
    rule: str


def _without_initramfs(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("initrd")) + "\n"


def _other_root(text: str) -> str:
    return text.replace("root=UUID=", "root=UUID=99999999-0000-")


WAYS = (
    Way("no initramfs", lambda disk: disk.edit(GRUB, _without_initramfs), "root_not_found", "INIT-02"),
    Way("root= names another file system", lambda disk: disk.edit(GRUB, _other_root), "root_not_found", "DISK-12"),
    Way(
        "fstab names a device that is not there",
        lambda disk: disk.edit("/etc/fstab", lambda text: text + "/dev/sdx1 /data ext4 defaults 0 2\n"),
        "emergency_mode",
        "DISK-12",
    ),
    Way(
        "udf is blacklisted",
        lambda disk: disk.write("/etc/modprobe.d/hardening.conf", "install udf /bin/true\nblacklist udf\n"),
        "configuration",
        "KERN-06",
    ),
    Way(
        "cloud-init is off on the command line",
        lambda disk: disk.edit(GRUB, lambda text: text.replace(" ro ", " ro cloud-init=disabled ")),
        "cloud_init_disabled",
        "CINIT-10",
    ),
    Way(
        "no serial console",
        lambda disk: disk.edit(GRUB, lambda text: text.replace("console=ttyS0", "console=ttyS3")),
        "console",
        "BOOT-01",
    ),
)


def broken_copy(image: Path, folder: Path, way: Way) -> Path:
    """A copy of the image, broken in one way."""
    copy = folder / "broken.vhd"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(copy)], check=True, timeout=300)
    way.change(Disk(copy))
    return copy
