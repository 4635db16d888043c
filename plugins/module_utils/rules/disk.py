# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the OS disk: partitions, fstab, swap on it, architecture, firmware.

A check's docstring is printed in docs/rules.md as what the audit looks at.

Private to the collection: its interface may change in any release.
"""

from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils import fstab
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    quote,
)

CHECKS = Table()

FSTAB = "/etc/fstab"

#: Sectors of 512 bytes before the first partition: 1 MiB (certification FAQ).
FIRST_SECTOR = 2048

#: File systems that live on a disk; everything else in the mount table is no partition.
_DISK_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "bcachefs")

#: Tags by which /etc/fstab can name a file system (fstab(5)).
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")

#: Names of the resource disk that cloud-init, the agent and udev use.
_RESOURCE = (
    "/dev/disk/cloud/azure_resource",
    "/dev/disk/azure/resource",
    "/dev/disk/azure/local",
    "/dev/zram",
    "ephemeral0",
)


@CHECKS("DISK-07")
def root_on_device_mapper(context: Context) -> Outcome:
    """The device of / in the mount table (of a mounted image: in /etc/fstab), resolved through sysfs."""
    mount = context.mount_of("/")
    if mount is None:
        return dunno("The mount of / was not found.")
    if not context.live:
        if mount.source.startswith(("/dev/mapper/", "/dev/dm-")):
            return bad("%s mounts %s on /" % (FSTAB, mount.source))
        if context.glob("/etc/lvm/backup/*"):
            return dunno(
                "%s mounts %s on /, and the image holds volume groups (/etc/lvm/backup)." % (FSTAB, mount.source)
            )
        return ok("%s mounts %s on /" % (FSTAB, mount.source))
    name = context.root_block
    if name.startswith("dm-"):
        kind = (context.text("/sys/class/block/%s/dm/uuid" % name) or "").split("-")[0] or "device-mapper"
        return bad("/ is %s (%s, %s)" % (mount.source, name, kind))
    return ok("/ is %s (%s)" % (mount.source, name))


def swap_on_os_disk(context: Context) -> List[str]:
    """Evidence of every swap area, active or configured, that is not on another disk."""
    found = active_swap(context) if context.live else []
    return found + configured_swap(context)


def active_swap(context: Context) -> List[str]:
    """Evidence of the swap areas in use that lie on the OS disk, or on one that cannot be told."""
    found = []
    for path, kind in fstab.parse_swaps(context.text("/proc/swaps") or ""):
        if kind == "file":
            mount = context.mount_of(path)
            name = context.block_name(mount.source) if mount else ""
        else:
            name = context.block_name(path)
        if name.startswith("zram"):
            continue
        disks = context.disks_of(name)
        if not disks or disks & context.os_disks:
            found.append("/proc/swaps: %s (%s) on %s" % (path, kind, join(sorted(disks)) or "an unknown disk"))
    return found


def configured_swap(context: Context) -> List[str]:
    """Evidence of the swap areas that will be used after a boot and are not on the resource disk."""
    found = []
    parsed = fstab.parse(context.text(FSTAB) or "")
    for entry in parsed.entries:
        if not fstab.is_swap(entry) or entry.source.startswith(_RESOURCE) or "noauto" in entry.options:
            continue
        if context.live and not entry.source.startswith("/dev/disk/cloud/"):
            mount = None if entry.source.startswith("/dev/") or "=" in entry.source else context.mount_of(entry.source)
            disks = context.disks_of(context.block_name(mount.source if mount else entry.source))
            if disks and not disks & context.os_disks:
                continue
        found.append(quote(FSTAB, entry.index + 1, parsed.lines[entry.index]))
    for path in context.glob("/etc/systemd/system/*.swap", "/run/systemd/generator.late/*.swap"):
        unit = path.rsplit("/", 1)[1]
        if "zram" not in unit and (path.startswith("/run/") or context.unit_state(unit) == "enabled"):
            found.append("%s is started at boot" % path)
    return found


@CHECKS("DISK-09")
def no_swap(context: Context) -> Outcome:
    """/proc/swaps, /etc/fstab and systemd's swap units: no area on the disk that holds the root file system."""
    found = swap_on_os_disk(context)
    if found:
        return bad(join(found))
    return ok("no swap in %s%s" % (FSTAB, " and /proc/swaps, or on other disks only" if context.live else ""))


@CHECKS("SWAP-01")
def swap_configuration(context: Context) -> Outcome:
    """/etc/fstab and systemd's swap units: nothing but the resource disk will be used for swap after a boot."""
    found = configured_swap(context)
    return bad(join(found)) if found else ok("no swap outside the resource disk is configured")


@CHECKS("DISK-10")
def single_root(context: Context) -> Outcome:
    """The mount table: file systems of the OS disk besides /, /boot and the EFI partition."""
    root = context.mount_of("/")
    extra = []
    disks = context.os_disks if context.live else set()
    for mount in context.mounts:
        if mount.fstype not in _DISK_FILE_SYSTEMS or (root is not None and mount.source == root.source):
            continue
        if mount.target in ("/", "/boot", "/boot/efi", "/efi"):
            continue
        if context.live and not context.disks_of(context.block_name(mount.source)) & disks:
            continue
        extra.append("%s on %s" % (mount.source, mount.target))
    return bad(join(extra)) if extra else ok("no other file system of the OS disk is mounted")


@CHECKS("DISK-11")
def first_partition(context: Context) -> Outcome:
    """The start of each partition of the OS disk in sysfs, in sectors of 512 bytes."""
    context.needs_live("The start of the first partition")
    starts = []
    for disk in sorted(context.os_disks):
        for name in context.listdir("/sys/class/block/" + disk):
            start = (context.text("/sys/class/block/%s/%s/start" % (disk, name)) or "").strip()
            if start.isdigit():
                starts.append((int(start), name))
    if not starts:
        return dunno("No partition was found on %s." % join(sorted(context.os_disks)))
    first, name = min(starts)
    text = "%s starts at sector %d" % (name, first)
    return ok(text) if first >= FIRST_SECTOR else bad(text)


@CHECKS("DISK-12")
def fstab_names(context: Context) -> Outcome:
    """Every line of /etc/fstab: no kernel device name, no name of this hypervisor's disk, no UUID that is not there."""
    text = context.text(FSTAB)
    if text is None:
        return ok("there is no %s" % FSTAB)
    parsed = fstab.parse(text)
    wrong = []
    for entry in parsed.entries:
        line = quote(FSTAB, entry.index + 1, parsed.lines[entry.index])
        if fstab.is_volatile(entry.source) or entry.source.startswith(("/dev/disk/by-id/", "/dev/disk/by-path/")):
            wrong.append(line)
        elif context.live and "nofail" not in entry.options and "noauto" not in entry.options:
            key, sep, value = entry.source.partition("=")
            folder = "/dev/disk/by-" + key.lower()
            value = value.strip("\"'").replace("/", "\\x2f").replace(" ", "\\x20")
            known = context.listdir(folder) if sep and key.upper() in _TAGS else []
            if known and value not in known:
                wrong.append(line + " names no existing file system")
    return bad(join(wrong)) if wrong else ok("%s: %d entries, all by a lasting name" % (FSTAB, len(parsed.entries)))


@CHECKS("DISK-13")
def root_argument(context: Context) -> Outcome:
    """root= of every boot entry, and of the running kernel."""
    wrong = []
    seen = []
    for name, arguments in context.command_lines:
        for argument in arguments:
            if argument.startswith("root="):
                value = argument[5:]
                seen.append(value)
                if fstab.is_volatile(value) or value.startswith(("/dev/disk/by-id/", "/dev/disk/by-path/")):
                    wrong.append("%s: %s" % (name, argument))
    if wrong:
        return bad(join(wrong))
    if not seen:
        return dunno("No boot entry has a root= argument.")
    return ok("root=" + join(sorted(set(seen))))


@CHECKS("DISK-14")
def sixty_four_bit(context: Context) -> Outcome:
    """uname -m; in a mounted image the header of a program."""
    machine = context.architecture
    return ok(machine) if machine in ("x86_64", "amd64", "aarch64", "arm64") else bad(machine)


@CHECKS("DISK-15")
def generation(context: Context) -> Outcome:
    """/sys/firmware/efi; in a mounted image an EFI partition."""
    if context.is_uefi:
        return ok("UEFI: create the image with generation V2")
    return ok("BIOS: create the image with generation V1")


@CHECKS("DISK-16")
def fallback_loader(context: Context) -> Outcome:
    """EFI/BOOT/BOOTX64.EFI (BOOTAA64.EFI) on the EFI partition, whatever its case."""
    if not context.is_uefi:
        return na("The machine starts by BIOS.")
    wanted = "bootaa64.efi" if context.architecture in ("aarch64", "arm64") else "bootx64.efi"
    folders = 0
    for base in ("/boot/efi", "/efi", "/boot"):
        for top in context.listdir(base):
            if top.lower() != "efi" or not context.host.is_dir("%s/%s" % (base, top)):
                continue
            for middle in context.listdir("%s/%s" % (base, top)):
                folders += 1
                if middle.lower() != "boot":
                    continue
                for name in context.listdir("%s/%s/%s" % (base, top, middle)):
                    path = "%s/%s/%s/%s" % (base, top, middle, name)
                    if name.lower() == wanted and context.size(path) > 0:
                        return ok(path)
    if not folders:
        return dunno("No EFI partition is mounted on /boot/efi, /efi or /boot.")
    return bad("EFI/BOOT/%s is missing on the EFI partition" % wanted.upper())
