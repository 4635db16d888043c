# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed kernels, their drivers and their initramfs images, and what a generator of images must offer.

Private to the collection: its interface may change in any release.
"""

import os
import re
import subprocess
from typing import List, NamedTuple, Optional, Sequence, Set

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    find_image,
    kernel_version,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host, walk
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import reader
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.reader import Content, normalise

MODULE_DIRECTORIES = ("/lib/modules", "/usr/lib/modules")

#: How a kernel image is named in /boot, by release.
KERNEL_PATTERNS = ("/boot/vmlinuz-%s", "/boot/vmlinux-%s", "/boot/vmlinux-%s.gz", "/boot/Image-%s", "/boot/image-%s")

#: kernel-install(8) with the layout "bls": $BOOT/<entry token>/<release>/linux and initrd.
TOKEN_PATTERNS = ("/boot/*/%s/", "/efi/*/%s/", "/boot/efi/*/%s/")

#: How an image is named, by release, the most usual first.
IMAGE_PATTERNS = ("/boot/initrd.img-%s", "/boot/initramfs-%s.img", "/boot/initrd-%s", "/boot/initrd-%s.img")

_MODULE_FILE = re.compile(r"(.+)\.ko(?:\.(?:gz|xz|zst|bz2))?$")


class Kernel(NamedTuple):
    """A kernel that the system can boot: its release, its image file, its initramfs ("" where it has none)."""

    version: str
    kernel: str
    image: str


class Generator(NamedTuple):
    """A tool that makes images: its name here, its command, and where it puts an image ("%s": the release)."""

    name: str
    command: str
    image_pattern: str


def _glob_text(text: str) -> str:
    """A release as a literal part of a shell pattern."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def modules_directory(host: Host, version: str) -> Optional[str]:
    """The directory with a release's drivers; None where there is none, or only what a removal left behind."""
    for base in MODULE_DIRECTORIES:
        path = "%s/%s" % (base, version)
        if host.is_dir(path + "/kernel") or host.is_file(path + "/modules.dep"):
            return path
        if host.is_file(path + "/modules.builtin"):
            return path
    return None


def boot_entries(host: Host) -> List[Entry]:
    """The boot entries where a boot loader that we know holds any; else none."""
    try:
        return bootloaders.read_entries(host)
    except AzurePrepError:
        return []


def find_kernel(host: Host, version: str, entries: Sequence[Entry]) -> Optional[str]:
    """The image file of a release; None where it cannot be booted any more."""
    for pattern in KERNEL_PATTERNS:
        if host.is_file(pattern % version):
            return pattern % version
    for pattern in TOKEN_PATTERNS:
        for directory in host.glob(pattern % _glob_text(version)):
            if host.is_file(directory + "/linux"):
                return directory + "/linux"
    for entry in entries:
        if kernel_version(entry.kernel) == version:
            found = find_image(host, entry.kernel)
            if found is not None:
                return found
    return None


def find_initramfs(host: Host, version: str, kernel: str, entries: Sequence[Entry]) -> str:
    """The image that a release boots with: the one its boot entries name, else one by its usual name; "" for none."""
    for entry in entries:
        if kernel_version(entry.kernel) != version:
            continue
        # Microcode comes in an image of its own, before the one that counts.
        for name in reversed(entry.initrd):
            found = find_image(host, name)
            if found is not None and not re.search(r"ucode|microcode", found):
                return found
    for pattern in IMAGE_PATTERNS:
        if host.is_file(pattern % version):
            return pattern % version
    beside = os.path.dirname(kernel) + "/initrd"
    if host.is_file(beside):
        return beside
    if host.is_file(beside + ".img"):
        return beside + ".img"
    return ""


def installed_kernels(host: Host, entries: Optional[Sequence[Entry]] = None) -> List[Kernel]:
    """Every installed, bootable kernel, in the order of their releases."""
    known = boot_entries(host) if entries is None else entries
    versions: Set[str] = set()
    for base in MODULE_DIRECTORIES:
        versions.update(host.listdir(base))
    result = []
    for version in sorted(versions, key=_version_key):
        if modules_directory(host, version) is None:
            continue
        kernel = find_kernel(host, version, known)
        if kernel is not None:
            result.append(Kernel(version, kernel, find_initramfs(host, version, kernel, known)))
    return result


def _version_key(version: str) -> List[object]:
    """Numbers compare as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", version)]


def builtin_modules(host: Host, version: str) -> Set[str]:
    """The drivers that are part of a kernel image, by modules.builtin."""
    directory = modules_directory(host, version)
    text = host.read("%s/modules.builtin" % directory, default="") if directory else ""
    result = set()
    for line in text.splitlines():
        match = _MODULE_FILE.match(line.strip().rsplit("/", 1)[-1])
        if match:
            result.add(normalise(match.group(1)))
    return result


def loadable_modules(host: Host, version: str) -> Set[str]:
    """The drivers that a release has as files."""
    directory = modules_directory(host, version)
    if directory is None:
        return set()
    result = set()
    for base, _directories, names in walk(host.path(directory)):
        for name in names:
            match = _MODULE_FILE.match(name)
            # Symbolic links into another release (weak-updates) count only while they lead somewhere.
            if match and (not os.path.islink(os.path.join(base, name)) or _leads_somewhere(host, base, name)):
                result.add(normalise(match.group(1)))
    return result


def _leads_somewhere(host: Host, base: str, name: str) -> bool:
    return host.is_file(host.inside(os.path.join(base, name)))


def decompressor(host: Host) -> reader.Starter:
    """Starts zstd, lz4 or lzop: this machine's own, else that of the mounted image."""
    live = Host("/")

    def start(name: str) -> "Optional[subprocess.Popen[bytes]]":
        program = live.which(name)
        line = [program, "-dc"] if program else []
        if not program and not host.is_live:
            inside = host.which(name)
            chroot = live.which("chroot")
            if inside and chroot and os.geteuid() == 0:
                line = [chroot, host.root, inside, "-dc"]
        if not line:
            return None
        return subprocess.Popen(
            [word for word in line if word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )

    return start


def read_image(host: Host, path: str) -> Content:
    """What an image holds; AzurePrepError where it cannot be read as one."""
    try:
        with open(host.path(path), "rb") as stream:
            return reader.read(stream, path, decompressor(host))
    except OSError as exc:
        raise AzurePrepError("Cannot read the image %s: %s." % (path, exc.strerror or exc))
    except MemoryError:
        raise AzurePrepError("Cannot read the image %s: it needs more memory than there is to unpack." % path)


def plan_file(host: Host, path: str, text: str) -> List[Change]:
    """The change that gives a file this text; none where it has it."""
    before = host.read(path) if host.exists(path) else None
    return [Change(path, before, text)] if before != text else []
