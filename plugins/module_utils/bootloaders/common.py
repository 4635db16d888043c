# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all boot loaders share: an entry, a request, a plan, and changes that are undone when a later one fails.

Private to the collection: its interface may change in any release.
"""

import os
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Data, Host

#: The argument that very old kernels need (rule KERN-05).
NUMA_OFF = "numa=off"

#: Where a boot loader's paths may start, seen from the running system.
BOOT_DIRECTORIES = ("/boot", "/boot/efi", "/efi", "/esp")


class Entry(NamedTuple):
    """One boot entry: its kernel and initrd as the entry names them, and its effective arguments in order.

    id: what the loader calls it. title: what a person sees. source: the file that holds it.
    """

    id: str
    title: str
    kernel: str
    initrd: List[str]
    arguments: List[str]
    source: str


class Request(NamedTuple):
    """What the caller wants of every entry. numa: auto, off or keep."""

    set: Tuple[str, ...]
    remove: Tuple[str, ...]
    numa: str
    serial_console: bool
    backup: bool


class Change(NamedTuple):
    """A file and its new text; before is None for a new file."""

    path: str
    before: Optional[str]
    after: str


class Plan(NamedTuple):
    """What would be done: file changes, commands, the entries afterwards, and remarks for the user.

    refusal: why it cannot be done as things stand ("" where it can): something is not installed yet.
    """

    changes: List[Change]
    commands: List[str]
    after: List[Entry]
    warnings: List[str]
    refusal: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.commands)


def kernel_version(path: str) -> str:
    """The release in a kernel image's name: /boot/vmlinuz-6.1.0-18-amd64 -> 6.1.0-18-amd64, "" where none is.

    Entries made by kernel-install keep it in the directory: /<machine-id>/6.8.5-301.fc40.x86_64/linux.
    """
    name = path.rstrip("/").split("/")[-1]
    match = re.match(r"(?:vmlinu[xz]|bzImage|zImage|[Ii]mage(?:\.gz)?|kernel|linux)-(.+)$", name)
    if match:
        version = match.group(1)
        return version[: -len(".efi")] if version.endswith(".efi") else version
    parent = path.rstrip("/").split("/")[-2] if path.count("/") > 1 else ""
    return parent if name in ("linux", "vmlinuz", "vmlinux") and re.match(r"\d", parent) else ""


def is_linux(path: str) -> bool:
    """False for what is booted by the same command but is no Linux: memory tests, firmware shells."""
    name = path.rstrip("/").split("/")[-1].lower()
    return not re.match(r"(memtest|mt86|ipxe|shell|fwsetup|memdisk|sbm|grub)", name)


def find_image(host: Host, path: str) -> Optional[str]:
    """A loader's path as the running system names it; None where the file does not exist.

    A loader counts from its own partition: /vmlinuz-1 may be /boot/vmlinuz-1, and on btrfs /@/boot/vmlinuz-1.
    """
    path = re.sub(r"^\([^)]*\)", "", path)
    parts = [part for part in path.split("/") if part]
    for skip in range(len(parts)):
        rest = "/" + "/".join(parts[skip:])
        for base in ("",) + BOOT_DIRECTORIES:
            if host.is_file(base + rest):
                return base + rest
    return None


def wanted_for(request: Request, version: str) -> Wanted:
    """The request as it applies to one kernel, numa=off included or taken out."""
    wanted = Wanted(request.set, request.remove)
    if request.numa == "keep" or any(cmdline.key_of(argument) == "numa" for argument in request.set):
        return wanted
    if request.numa == "off" or cmdline.needs_numa_off(version):
        return Wanted(wanted.set + (NUMA_OFF,), wanted.remove)
    return Wanted(wanted.set, wanted.remove + (NUMA_OFF,)) if version else wanted


def wanted_for_all(request: Request, entries: Sequence[Entry]) -> Wanted:
    """The request for a place that serves every kernel; numa=off only where all of them want the same."""
    each = {wanted_for(request, kernel_version(entry.kernel)) for entry in entries}
    if len(each) == 1:
        return each.pop()
    if not each and request.numa == "off":
        return Wanted(request.set + (NUMA_OFF,), request.remove)
    return Wanted(request.set, request.remove)


def check_entries(entries: Sequence[Entry], request: Request) -> None:
    """AzurePrepError naming the first entry that is not as asked."""
    for entry in entries:
        found = cmdline.problems(entry.arguments, wanted_for(request, kernel_version(entry.kernel)))
        if found:
            raise AzurePrepError(
                'The boot entry "%s" (%s) would not get what was asked: %s.'
                % (entry.title or entry.id, entry.source, "; ".join(found)),
                entry=entry.id,
            )


def stale_entries(host: Host, entries: Sequence[Entry]) -> List[str]:
    """A sentence for every file that an entry names and that does not exist."""
    result = []
    for entry in entries:
        for path in [entry.kernel] + entry.initrd:
            if path and "$" not in path and find_image(host, path) is None:
                result.append(
                    'The boot entry "%s" (%s) names %s, which does not exist.'
                    % (entry.title or entry.id, entry.source, path)
                )
    return result


class Transaction:
    """File changes that can all be taken back. Each single write is atomic by itself (see Host.write)."""

    def __init__(self, host: Host, backup: bool) -> None:
        self._host = host
        self._backup = backup
        self._before: Dict[str, Optional[bytes]] = {}
        self._modes: Dict[str, int] = {}
        self._order: List[str] = []
        self._copies: Dict[str, str] = {}

    def protect(self, path: str) -> None:
        """Remember a file before something changes it; keep a copy on disk where backups are wanted."""
        real = self._host.resolve(path)
        if real in self._before:
            return
        status = self._host.stat(real)
        if status is None:
            self._before[real] = None
        else:
            self._before[real] = self._host.read_bytes(real)
            self._modes[real] = status.st_mode & 0o7777
            if self._backup:
                self._copies[real] = self._host.backup(real)
        self._order.append(real)

    def write(self, path: str, data: Data, mode: Optional[int] = None) -> None:
        self.protect(path)
        self._host.write(path, data, mode=mode)

    def rollback(self) -> List[str]:
        """Put every file back; returns a sentence for each one that could not be."""
        failures = []
        for path in reversed(self._order):
            before = self._before[path]
            copy = self._copies.get(path)
            try:
                if before is None:
                    self._host.remove(path)
                elif self._host.is_file(path) and self._host.read_bytes(path) == before:
                    if copy is not None:
                        self._host.remove(copy)
                elif copy is not None:
                    # Takes no room: the disk may be full by now.
                    self._host.rename(copy, path)
                else:
                    self._host.write(path, before, mode=self._modes[path])
            except (AzurePrepError, OSError) as exc:
                failures.append("%s could not be put back: %s" % (path, exc))
        return failures

    def changed(self) -> bool:
        """True where a file is not what it was."""
        return any(
            self._before[path] != (self._host.read_bytes(path) if self._host.is_file(path) else None)
            for path in self._order
        )

    def commit(self) -> List[str]:
        """All is well: the copies that stay. A file that was protected but not changed needs none."""
        kept = []
        for path in self._order:
            copy = self._copies.get(path)
            if copy is None:
                continue
            if self._host.is_file(path) and self._host.read_bytes(path) == self._before[path]:
                self._host.remove(copy)
            else:
                kept.append(copy)
        return kept


#: ELF e_machine (ELF specification, and linux/elf-em.h) of the architectures that Azure has.
_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}


def machine(host: Host) -> str:
    """`uname -m` of a system; of a mounted image by the ELF header of one of its programs."""
    if not host.is_live:
        for path in ("/bin/sh", "/usr/bin/env", "/sbin/init", "/usr/lib/systemd/systemd"):
            if not host.is_file(path):
                continue
            with open(host.path(path), "rb") as stream:
                head = stream.read(20)
            if head[:4] == b"\x7fELF" and len(head) == 20:
                number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
                return _ELF_MACHINES.get(number, "x86_64")
    return os.uname().machine
