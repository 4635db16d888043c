# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swap on the operating system disk: find every way in which it is switched on, and end it (DISK-09, CINIT-07).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, fstab, guest, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

FSTAB = "/etc/fstab"
INITRAMFS_TOOLS = "/etc/initramfs-tools"
RESUME_FILE = INITRAMFS_TOOLS + "/conf.d/resume"
ZRAM_GENERATOR = "/usr/lib/systemd/system-generators/zram-generator"
ZRAM_CONF = "/etc/systemd/zram-generator.conf"

#: Services that make swap in memory: zram-tools, zram-config, openSUSE's.
ZRAM_UNITS = ("zramswap.service", "zram-config.service", "zram-swap.service")

#: systemd switches GPT swap partitions on by their type, without any configuration, where the loader says which disk
#: it came from: systemd-boot, and GRUB since 2.12.
GPT_AUTO = "system-generators/systemd-gpt-auto-generator"
GPT_SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"

#: What that generator may do besides: mounts that a system may rely on.
GPT_MOUNTS = ("boot.mount", "boot.automount", "efi.mount", "efi.automount", "home.mount", "srv.mount", "var.mount")

#: Swap files that an agent leaves behind on a VM that came from Azure (CINIT-07).
AGENT_FILES = ("/mnt/resource/swapfile", "/mnt/swapfile")

#: What mkswap writes at the end of the first page of 4 KiB.
SIGNATURE, SIGNATURE_END = b"SWAPSPACE2", 4096

_RESUME = re.compile(r"^(\s*(?:export\s+)?RESUME=)(\S*)(.*)$", re.M)


class Plan(NamedTuple):
    """before: areas active or configured; off: to switch off; delete: swap files; disable: units."""

    before: List[str]
    off: List[str]
    changes: List[edits.Change]
    delete: List[str]
    disable: List[str]
    initramfs_stale: bool


def _resume(host: Host, swap_known: bool) -> List[edits.Change]:
    """initramfs-tools waits for RESUME at boot; without the setting it picks a swap partition by itself."""
    if not host.is_dir(INITRAMFS_TOOLS):
        return []
    changes: List[edits.Change] = []
    named = False
    for path in [INITRAMFS_TOOLS + "/initramfs.conf"] + host.glob(INITRAMFS_TOOLS + "/conf.d/*"):
        text = edits.read_optional(host, path)
        if text is None:
            continue
        values = [match.group(2).strip("\"'") for match in _RESUME.finditer(text)]
        named = named or bool(values)
        if any(value != "none" for value in values):
            changes += edits.plan_file(host, path, _RESUME.sub(lambda match: match.group(1) + "none", text))
    if not named and swap_known:
        changes += edits.plan_file(host, RESUME_FILE, "RESUME=none\n")
    return changes


def _zram(host: Host) -> Tuple[List[edits.Change], List[str]]:
    """What makes swap in memory at boot."""
    changes: List[edits.Change] = []
    if host.exists(ZRAM_GENERATOR) or host.is_file(ZRAM_CONF):
        text = "# Written by the linuxvhd.azure collection: no swap in the image. An empty file hides the vendor's.\n"
        changes += edits.plan_file(host, ZRAM_CONF, text)
        for path in host.glob("/etc/systemd/zram-generator.conf.d/*.conf"):
            changes += edits.plan_file(host, path, None)
    return changes, [unit for unit in ZRAM_UNITS if units.state(host, unit) == "enabled"]


def _own_units(host: Host, keep_zram: bool) -> List[str]:
    """Enabled services of the administrator's that switch swap on."""
    found = []
    for path in host.glob("/etc/systemd/system/*.service"):
        name = path.rsplit("/", 1)[1]
        if host.is_link(path) or not host.is_file(path) or units.state(host, name) != "enabled":
            continue
        commands = re.findall(r"^\s*Exec(?:Start|StartPre|StartPost)\s*=(.*)$", host.read(path), re.M)
        wanted = [line for line in commands if re.search(r"\bswapon\b", line)]
        if wanted and not (keep_zram and all("zram" in line for line in wanted)):
            found.append(name)
    return found


def _gpt_auto(host: Host) -> List[edits.Change]:
    """The link that keeps systemd from switching a GPT swap partition on by its type."""
    if not any(host.is_file(folder + GPT_AUTO) for folder in ("/usr/lib/systemd/", "/lib/systemd/")):
        return []
    if not host.is_live or not host.which("lsblk"):
        return []
    if GPT_SWAP not in host.run(["lsblk", "-nro", "PARTTYPE"], check=False, timeout=60).stdout.lower():
        return []
    if any(host.exists("/run/systemd/generator.late/" + name) for name in GPT_MOUNTS):
        # Some mount comes from the generator: the swap partition is the lesser evil, and the audit shows it.
        return []
    return edits.plan_link(host, "/etc/systemd/" + GPT_AUTO, "/dev/null")


def _forgotten(host: Host) -> List[str]:
    """Swap files that an earlier run took out of fstab, and was interrupted before it deleted them."""
    found = []
    for path in host.glob("%s%s.*~" % (edits.BACKUP_FOLDER, FSTAB)):
        for entry in fstab.parse(host.read(path)).entries:
            if entry.fstype == "swap" and entry.source.startswith("/") and host.is_file(entry.source):
                with open(host.path(entry.source), "rb") as stream:
                    if stream.read(SIGNATURE_END).endswith(SIGNATURE):
                        found.append(entry.source)
    return found


def plan(host: Host, keep_zram: bool = False, delete_files: bool = True) -> Plan:
    """What has to happen so that no swap is on the OS disk, now and after a reboot."""
    active = [
        (path, kind)
        for path, kind in fstab.parse_swaps(host.read("/proc/swaps", ""))
        if not (keep_zram and fstab.is_zram(path))
    ]
    text = edits.read_optional(host, FSTAB) or ""
    fstab_plan = fstab.plan(text, lambda source: None, drop_swap=True, keep_zram=keep_zram)
    dropped = [entry.source for entry in fstab.parse("\n".join(fstab_plan.dropped)).entries]
    changes = edits.plan_file(host, FSTAB, fstab_plan.after) if dropped else []
    # Links first: a backup copies what a link points to.
    for pattern in ("wants", "requires"):
        for path in host.glob("/etc/systemd/system/*.%s/*.swap" % pattern):
            changes += edits.plan_file(host, path, None)
    for path in host.glob("/etc/systemd/system/*.swap"):
        if not host.is_link(path):
            changes += edits.plan_file(host, path, None)
    for path in host.glob("/usr/lib/systemd/system/*.swap"):
        changes += edits.plan_link(host, "/etc/systemd/system/" + path.rsplit("/", 1)[1], "/dev/null")
    disable: List[str] = []
    if not keep_zram:
        more, disable = _zram(host)
        changes += more
    disable = sorted(set(disable) | set(_own_units(host, keep_zram)))
    changes += _gpt_auto(host)
    files = [path for path, kind in active if kind == "file"]
    files += [source for source in dropped if source.startswith("/") and not source.startswith("/dev/")]
    files += list(AGENT_FILES) + _forgotten(host)
    delete = sorted({path for path in files if host.is_file(path)}) if delete_files else []
    disks = [path for path, kind in active if kind == "partition" and not fstab.is_zram(path)]
    disks += [source for source in dropped if not source.startswith("/") or source.startswith("/dev/")]
    resume = _resume(host, bool(disks))
    return Plan(
        before=sorted({path for path, _kind in active} | set(dropped)),
        off=[path for path, _kind in active],
        changes=changes + resume,
        delete=delete,
        disable=disable,
        initramfs_stale=bool(resume) or (bool(disks) and host.which("dracut") is not None),
    )


def actions(plan_: Plan) -> List[str]:
    """The plan in words, in the order in which it is carried out."""
    found = ["swapoff %s" % path for path in plan_.off]
    found += ["edit %s" % change.path for change in plan_.changes]
    found += ["systemctl disable --now %s" % unit for unit in plan_.disable]
    found += ["delete %s" % path for path in plan_.delete]
    return found


def report(plan_: Plan) -> Dict[str, Any]:
    """The plan as a module's result."""
    steps = actions(plan_)
    return {
        "changed": bool(steps),
        "diff": edits.diffs(plan_.changes),
        "swap_before": plan_.before,
        "initramfs_stale": plan_.initramfs_stale,
        "actions": steps,
    }


def apply(host: Host, plan_: Plan) -> List[str]:
    """Carry the plan out; returns the backup files. Where swap cannot be switched off nothing else happens.

    Files go last: what fails until then puts the configuration back, which still names them.
    """
    for path in plan_.off:
        host.run(["swapoff", path], timeout=600)

    def finish() -> None:
        for unit in plan_.disable:
            host.run(["systemctl", "disable"] + (["--now"] if host.is_live else []) + [unit], timeout=120)
        for path in plan_.delete:
            host.remove(path)

    backups = edits.apply(host, plan_.changes, verify=finish)
    if plan_.changes:
        guest.daemon_reload(host)
    return backups
