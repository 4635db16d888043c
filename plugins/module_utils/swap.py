# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swap on the operating system disk: find every way in which it is switched on, and end it (DISK-09, CINIT-07).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf, crypttab, edits, fstab, guest, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import due

FSTAB = "/etc/fstab"
INITRAMFS_TOOLS = "/etc/initramfs-tools"
RESUME_FILE = INITRAMFS_TOOLS + "/conf.d/resume"
ZRAM_GENERATOR = "/usr/lib/systemd/system-generators/zram-generator"
ZRAM_CONF = "/etc/systemd/zram-generator.conf"

#: Drop-ins of the generator: a file in /etc hides those of its name in the others (zram-generator.conf(5)).
ZRAM_DROP_INS = ZRAM_CONF + ".d"
ZRAM_VENDOR_DROP_INS = (
    "/usr/local/lib/systemd/zram-generator.conf.d",
    "/usr/lib/systemd/zram-generator.conf.d",
    "/lib/systemd/zram-generator.conf.d",
)

#: Services that make swap in memory: zram-tools, zram-config, openSUSE's.
ZRAM_UNITS = ("zramswap.service", "zram-config.service", "zram-swap.service")

#: Services of packages that make swap files on a disk, and units of that name by guides.
SWAP_UNITS = ("dphys-swapfile.service", "swapspace.service", "swapfile.service", "mkswap.service")

#: Where those packages keep their files: the settings that name one, what is taken without, a pattern.
DPHYS_CONF, DPHYS_FILE = "/etc/dphys-swapfile", "/var/swap"
SWAPSPACE_FILES = "/var/lib/swapspace/[0-9]*"

RC_LOCAL = ("/etc/rc.local", "/etc/rc.d/rc.local")

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
        vendor = {path.rsplit("/", 1)[1] for folder in ZRAM_VENDOR_DROP_INS for path in host.glob(folder + "/*.conf")}
        own = {path.rsplit("/", 1)[1] for path in host.glob(ZRAM_DROP_INS + "/*.conf")}
        for name in sorted(vendor | own):
            path = "%s/%s" % (ZRAM_DROP_INS, name)
            if not (host.is_link(path) and host.readlink(path) == "/dev/null"):
                changes += edits.plan_file(host, path, text if name in vendor else None)
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


def _service_files(host: Host, disabled: List[str]) -> List[str]:
    """Swap files of the services that are switched off here."""
    found = []
    if "dphys-swapfile.service" in disabled:
        named = re.findall(r"^\s*CONF_SWAPFILE=[\"']?(/[^\s\"'#]*)", host.read(DPHYS_CONF, ""), re.M)
        found += [path for path in [named[-1] if named else DPHYS_FILE] if _is_swap_file(host, path)]
    if "swapspace.service" in disabled:
        found += [path for path in host.glob(SWAPSPACE_FILES) if _is_swap_file(host, path)]
    return found


#: Words of the shell that open or close something; a line that has them in pairs can go as a whole.
_PAIRS = (("if", "fi"), ("do", "done"), ("case", "esac"), ("if", "then"), ("{", "}"), ("(", ")"))


def _stands_alone(line: str) -> bool:
    """Whether a line of a shell script can be taken out without changing what the lines around it mean."""
    if line.rstrip().endswith(("&&", "||", "|")) or line.count('"') % 2 or line.count("'") % 2:
        return False
    if "<<" in line or ";;" in line:
        return False
    words = re.findall(r"[(){}]|[^\s;&|(){}]+", line)
    if any(words.count(first) != words.count(last) for first, last in _PAIRS):
        return False
    return not {"elif", "else"} & set(words) or "if" in words


def without_swapon(text: str, keep_zram: bool = False) -> str:
    """A shell script with the lines that run swapon as comments; one that other lines depend on stays.

    The colon before the comment is a command: an if whose only line this was stays complete.
    """
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        end = start
        while lines[end].endswith("\\") and end + 1 < len(lines):
            end += 1
        whole = "\n".join(lines[start : end + 1])
        wanted = re.search(r"\bswapon\b", whole) and not (keep_zram and "zram" in whole)
        if wanted and not lines[start].lstrip().startswith((":", "#")) and _stands_alone(whole):
            for index in range(start, end + 1):
                row = lines[index].rstrip("\\")
                lead = row[: len(row) - len(row.lstrip())]
                lines[index] = "%s%s# %s" % (lead, ": " if index == start else "", row.lstrip())
        start = end + 1
    return "\n".join(lines)


def _rc_local(host: Host, keep_zram: bool) -> List[edits.Change]:
    """The script of the administrator's that runs at the end of the boot, where it may be executed."""
    changes: List[edits.Change] = []
    for path in sorted({host.resolve(path) for path in RC_LOCAL if host.is_file(path)}):
        status = host.stat(path)
        if status is not None and status.st_mode & 0o111:
            changes += edits.plan_file(host, path, without_swapon(host.read(path), keep_zram))
    return changes


def _cloud_init(host: Host) -> List[edits.Change]:
    """SWAP-01: the file that keeps cloud-init from making a swap file; it stays once it is there."""
    files = [(path, host.read(path, "")) for path in cloudinit_conf.config_files(host)]
    if cloudinit_conf.swap_file(files) is None:
        return []
    return edits.plan_file(host, cloudinit_conf.SWAP_OFF_FILE, cloudinit_conf.swap_off_text())


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


def _is_swap_file(host: Host, path: str) -> bool:
    """Whether a file has what mkswap writes."""
    if not host.is_file(path):
        return False
    with open(host.path(path), "rb") as stream:
        return stream.read(SIGNATURE_END).endswith(SIGNATURE)


def _forgotten(host: Host) -> List[str]:
    """Swap files that an earlier run took out of fstab, and was interrupted before it deleted them."""
    found = []
    for path in host.glob("%s%s.*~" % (edits.BACKUP_FOLDER, FSTAB)):
        for entry in fstab.parse(host.read(path)).entries:
            if entry.fstype == "swap" and entry.source.startswith("/") and _is_swap_file(host, entry.source):
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
    encrypted = crypttab.swap_changes(host, dropped)
    changes += encrypted
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
    # A script of SysV is switched off through systemctl too, where that is there.
    services = [
        unit
        for unit in SWAP_UNITS
        if units.state(host, unit) == "enabled" and (units.unit_file(host, unit) or host.which("systemctl"))
    ]
    disable = sorted(set(disable) | set(_own_units(host, keep_zram)) | set(services))
    changes += _rc_local(host, keep_zram) + _cloud_init(host) + _gpt_auto(host)
    files = [path for path, kind in active if kind == "file"]
    files += [source for source in dropped if source.startswith("/") and not source.startswith("/dev/")]
    files += list(AGENT_FILES) + _forgotten(host) + _service_files(host, services)
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
        initramfs_stale=bool(resume) or (bool(disks or encrypted) and host.which("dracut") is not None),
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

    note = due.note(host) if plan_.initramfs_stale else []
    backups = edits.apply(host, note + plan_.changes, verify=finish)
    if plan_.changes:
        guest.daemon_reload(host)
    return backups
