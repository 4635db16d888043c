# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the OS disk: partitions, fstab, swap on it, architecture, firmware.

A check's docstring is printed in docs/rules.md as what the audit looks at.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf, fstab, lvm, swap
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    UNIT_FOLDERS,
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

#: What /etc/fstab mounts from a device that is no partition of the OS disk.
_REMOVABLE = ("iso9660", "udf", "udf,iso9660", "auto", "swap")

#: How /etc/fstab and root= name a logical volume.
_LOGICAL_VOLUME = re.compile(r"/dev/(mapper/|dm-\d|(?!disk/|md/|block/|cciss/)[^/]+/[^/]+$)")

#: Names that udev makes of what a hypervisor says of its disk.
_HYPERVISORS = ("/dev/disk/by-id/", "/dev/disk/by-path/")

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
        if _LOGICAL_VOLUME.match(mount.source):
            return bad("%s mounts %s on /" % (FSTAB, mount.source))
        try:
            entries = context.entries
        except AzurePrepError:
            entries = []
        for name, arguments in entries:
            for argument in arguments:
                if argument.startswith("rd.lvm.lv=") or (
                    argument.startswith("root=") and _LOGICAL_VOLUME.match(argument[5:])
                ):
                    return bad("%s: %s" % (name, argument))
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
        backing = (context.text("/sys/class/block/%s/loop/backing_file" % name) or "").strip() if name else ""
        if backing:
            mount = context.mount_of(backing)
            name = context.block_name(mount.source) if mount else ""
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
    units = [folder + "/*.swap" for folder in UNIT_FOLDERS] + ["/run/systemd/generator.late/*.swap"]
    for path in context.glob(*units):
        unit = path.rsplit("/", 1)[1]
        what = [line.text[5:].strip() for line in context.lines(path) if line.text.startswith("What=")]
        if unit.startswith("dev-zram") or any(name.startswith(_RESOURCE) for name in what):
            continue
        if path.startswith("/run/systemd/generator") or context.unit_state(unit) == "enabled":
            found.append("%s is started at boot" % path)
    for unit in swap.SWAP_UNITS:
        if context.unit_state(unit) == "enabled":
            found.append("%s is enabled" % unit)
    for path in swap.RC_LOCAL:
        status = context.host.stat(path)
        if status is not None and status.st_mode & 0o111:
            lines = context.lines(path)
            found += [line.evidence for line in lines if re.search(r"\bswapon\b", re.sub(r"\s#.*", "", line.text))]
    for path in context.glob("/etc/systemd/system/*.service"):
        lines = [line for line in context.lines(path) if re.match(r"Exec\w+=.*\bswapon\b", line.text)]
        if lines and context.unit_state(path.rsplit("/", 1)[1]) == "enabled":
            found += [line.evidence for line in lines]
    return found + _cloud_init_swap(context)


def _cloud_init_swap(context: Context) -> List[str]:
    """Evidence of `swap:` in cloud-init's configuration: at first boot it makes a swap file, /swap.img by default."""
    files = [(path, context.text(path) or "") for path in cloudinit_conf.config_files(context.host)]
    found = cloudinit_conf.swap_file(files)
    return ["%s: swap: makes %s" % found] if found is not None else []


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
        named = mount.source.startswith("/dev/") or "=" in mount.source
        if mount.fstype in _REMOVABLE or not named or (root is not None and mount.source == root.source):
            continue
        if not context.live and ("noauto" in mount.options or mount.source.startswith(_RESOURCE)):
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
    """Every line of /etc/fstab: no kernel device name, no name of this hypervisor's disk, no UUID that is not there.

    The same of mount units and /etc/crypttab; where LVM is used, no filter of lvm.conf that hides such a disk.
    """
    text = context.text(FSTAB)
    hidden = lvm.in_force(context.host)
    hidden = hidden if hidden and lvm.in_use(context.host) else []
    if text is None and not hidden:
        return ok("there is no %s" % FSTAB)
    text = text or ""
    parsed = fstab.parse(text)
    wrong = []
    for entry in parsed.entries:
        line = quote(FSTAB, entry.index + 1, parsed.lines[entry.index])
        if fstab.is_volatile(entry.source) or entry.source.startswith(_HYPERVISORS):
            wrong.append(line)
        elif (
            context.live
            and context.listdir("/dev/disk")
            and "nofail" not in entry.options
            and "noauto" not in entry.options
        ):
            key, sep, value = entry.source.partition("=")
            folder = "/dev/disk/by-" + key.lower()
            value = value.strip("\"'").replace("/", "\\x2f").replace(" ", "\\x20")
            if sep and key.upper() in _TAGS and value not in context.listdir(folder):
                wrong.append(line + " names no existing file system")
    known_lines = {entry.index for entry in parsed.entries}
    for index, row in enumerate(parsed.lines):
        if row.strip() and not row.lstrip().startswith("#") and index not in known_lines:
            wrong.append(quote(FSTAB, index + 1, row) + " is no entry of fstab(5)")
    for path in context.glob("/etc/systemd/system/*.mount"):
        what = [item for item in context.lines(path) if item.text.startswith("What=")]
        volatile = bool(what) and fstab.is_volatile(what[-1].text[5:].strip())
        if volatile and context.unit_state(path.rsplit("/", 1)[1]) == "enabled":
            wrong.append(what[-1].evidence)
    for item in context.lines("/etc/crypttab"):
        source = (item.text.split() + ["", ""])[1]
        if fstab.is_volatile(source) or source.startswith(_HYPERVISORS):
            wrong.append(item.evidence)
    for path, setting in hidden:
        wrong.append(quote(path, setting.line + 1, "%s = %s" % (setting.name, " ".join(setting.patterns))))
    wrong += _findmnt(context, parsed) if not wrong else []
    return bad(join(wrong)) if wrong else ok("%s: %d entries, all by a lasting name" % (FSTAB, len(parsed.entries)))


def _findmnt(context: Context, parsed: fstab.Fstab) -> List[str]:
    """What `findmnt --verify` objects to, where it knows that option; neither warnings nor nofail entries count."""
    if not context.live or not context.has_command("findmnt"):
        return []
    result = context.run("findmnt", "--verify")
    text = result.stdout + result.stderr
    counted = re.search(r"(\d+) parse errors?, (\d+) errors?", text)
    if counted is None or not int(counted.group(1)) + int(counted.group(2)):
        return []
    may_fail = [entry.target for entry in parsed.entries if "nofail" in entry.options]
    found = []
    target = ""
    for line in text.split("\n"):
        if line[:1] not in ("", " ", "\t"):
            target = line.strip()
        if line.strip().startswith("[E]") and target not in may_fail:
            found.append("%s %s" % (target, line.strip()))
    if int(counted.group(1)):
        found.append(counted.group())
    return ["findmnt --verify: %s" % join(found, 3)] if found else []


@CHECKS("DISK-13")
def root_argument(context: Context) -> Outcome:
    """root= of every boot entry, and of the running kernel."""
    wrong = []
    seen = []
    lines = context.command_lines
    for name, arguments in lines:
        for argument in arguments:
            if argument.startswith("root="):
                value = argument[5:]
                seen.append(value)
                if fstab.is_volatile(value) or value.startswith(_HYPERVISORS):
                    wrong.append("%s: %s" % (name, argument))
    if wrong:
        return bad(join(wrong))
    if not seen:
        return dunno("No boot entry has a root= argument.")
    context.all_entries_seen()
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
                        return _loader(context, path)
    if not folders:
        return dunno("No EFI partition is mounted on /boot/efi, /efi or /boot.")
    return bad("EFI/BOOT/%s is missing on the EFI partition" % wanted.upper())


def _loader(context: Context, path: str) -> Outcome:
    """A fallback loader: a PE program; a shim with what it loads beside it (GRUB, or its own fallback program)."""
    try:
        content = context.host.read_bytes(path)
    except PermissionError:
        return dunno("%s may be read by root only; run the audit with become." % path)
    if content[:2] != b"MZ":
        return bad("%s is no EFI program" % path)
    suffix = "aa64" if path.lower().endswith("aa64.efi") else "x64"
    second = ("grub%s.efi" % suffix, "fb%s.efi" % suffix)
    if second[0].encode("utf-16-le") in content:
        folder = path.rsplit("/", 1)[0]
        beside = [name for name in context.listdir(folder) if name.lower() in second]
        if not beside:
            return bad("%s is a shim, and neither %s is beside it" % (path, " nor ".join(second)))
        return ok("%s, a shim with %s" % (path, join(beside)))
    return ok(path)
