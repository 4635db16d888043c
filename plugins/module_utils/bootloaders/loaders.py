# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot loaders: which one a system has, the effective arguments of every boot entry, and their change.

read_entries(host) only reads and serves the audit too; configure(host, request, check_mode) changes, checks the
result and puts everything back where it is not what was asked.

Private to the collection: its interface may change in any release.
"""

from typing import Dict, List, NamedTuple, Tuple, Union

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import bls, grub2, grub_legacy, systemd_boot
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    Plan,
    Request,
    Transaction,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

__all__ = ["Entry", "Outcome", "Request", "configure", "detect", "read_entries"]

Loader = Union[grub2.Grub2, grub_legacy.GrubLegacy, systemd_boot.SystemdBoot]


class Outcome(NamedTuple):
    """What configure() did or would do. entries: (before, after) pairs; an entry that came or went has None."""

    bootloader: str
    changed: bool
    entries: List[Tuple[Entry, Entry]]
    backup_files: List[str]
    actions: List[str]
    warnings: List[str]
    diff: List[Dict[str, str]]


#: Loaders whose configuration is not ours to change, by a file that shows them.
OTHERS = (
    ("/etc/lilo.conf", "LILO"),
    ("/etc/elilo.conf", "ELILO"),
    ("/etc/zipl.conf", "zipl"),
    ("/etc/yaboot.conf", "yaboot"),
    ("/boot/extlinux/extlinux.conf", "extlinux"),
    ("/boot/syslinux/syslinux.cfg", "syslinux"),
    ("/boot/efi/EFI/refind/refind.conf", "rEFInd"),
    ("/boot/limine.conf", "Limine"),
    ("/boot/boot.scr", "U-Boot"),
)

UNIFIED_IMAGES = ("/boot/efi/EFI/Linux/*.efi", "/efi/EFI/Linux/*.efi", "/boot/EFI/Linux/*.efi", "/esp/EFI/Linux/*.efi")


def unified_images(host: Host) -> List[str]:
    """Unified kernel images where a boot loader finds them by itself, and the entry files that name one."""
    found = [path for pattern in UNIFIED_IMAGES for path in host.glob(pattern)]
    return found + [path for path in systemd_boot.entry_files(host) if bls.is_unified(host.read(path))]


def detect_all(host: Host) -> List[Loader]:
    """The boot loaders of a system, the one that most likely starts it first.

    More than one only where each has entries of its own: the firmware's choice is not visible from here, so all are
    changed. AzurePrepError says what was found where there is none that can be changed.
    """
    result: List[Loader] = []
    layout = grub2.find_layout(host)
    if layout is not None and (layout.configs or layout.bls_entries):
        result.append(grub2.Grub2(host, layout))
    legacy = grub_legacy.find(host)
    if legacy and not result:
        result.append(grub_legacy.GrubLegacy(host, legacy))
    entries = systemd_boot.find(host, with_boot=not result)
    if entries:
        other = systemd_boot.SystemdBoot(host, entries)
        # A grub.cfg without entries is what a removed GRUB left behind, or loads what the entry files say.
        result = [loader for loader in result if loader.entries()] + [other]
    if not result and layout is not None:
        result.append(grub2.Grub2(host, layout))
    if not result:
        raise AzurePrepError(_refusal(host))
    return result


def detect(host: Host) -> Loader:
    """The boot loader that most likely starts a system; see detect_all()."""
    return detect_all(host)[0]


def _refusal(host: Host) -> str:
    where = "" if host.is_live else " below " + host.root
    images = unified_images(host)
    if images:
        return (
            "This system%s boots unified kernel images (%s), whose command line is sealed into the image; build them "
            "anew with the arguments that are wanted." % (where, ", ".join(images))
        )
    for path, name in OTHERS:
        if host.is_file(path):
            return "The boot loader of this system%s is %s (%s), which cannot be changed here; use GRUB 2." % (
                where,
                name,
                path,
            )
    return (
        "No boot loader was found%s: neither GRUB 2 (grub.cfg in /boot/grub2, /boot/grub or /boot/efi/EFI/*) "
        "nor GRUB Legacy (/boot/grub/menu.lst, grub.conf) nor loader entries (loader/entries/*.conf in /boot, /efi or "
        "/boot/efi). In a mounted image, mount its /boot and EFI system partition too." % where
    )


def read_entries(host: Host) -> List[Entry]:
    """The effective arguments of every boot entry that boots Linux, read only."""
    return [entry for loader in detect_all(host) for entry in loader.entries()]


def _pairs(before: List[Entry], after: List[Entry]) -> List[Tuple[Entry, Entry]]:
    """Entries before and after, matched by id and file (by place where an id occurs twice)."""
    left: Dict[Tuple[str, str], List[Entry]] = {}
    for entry in before:
        left.setdefault((entry.source, entry.id), []).append(entry)
    result = []
    for entry in after:
        same = left.get((entry.source, entry.id))
        result.append((same.pop(0) if same else entry._replace(arguments=[]), entry))
    return result


def configure(host: Host, request: Request, check_mode: bool = False) -> Outcome:
    """Give every boot entry what is asked; in check mode say what would be done.

    AzurePrepError where that fails; every file is then as it was before.
    """
    if check_mode:
        warnings = [
            "A run was cut off; the next one puts %s back first, and what it had held counts as before." % change.path
            for change in grub2.unfinished(host)
        ]
    else:
        warnings = grub2.recover(host, request.backup)
    recovered = bool(warnings)
    loaders = detect_all(host)
    before = [entry for loader in loaders for entry in loader.entries()]
    plans = [loader.plan(request) for loader in loaders]
    plan = _join(plans)
    warnings += plan.warnings + [
        "%s is a unified kernel image, whose command line is sealed into it; it was left alone." % path
        for path in unified_images(host)
    ]
    if plan.refusal and not check_mode:
        raise AzurePrepError(plan.refusal + " Nothing was changed.")
    if plan.refusal:
        # An earlier task may be about to install it: in check mode it is not there yet.
        warnings.append(plan.refusal + " A run would fail.")
    changed = plan.changed
    actions = ["edit " + change.path for change in plan.changes] + ["run " + line for line in plan.commands]
    backup_files: List[str] = []
    after = plan.after
    if plan.changed and not check_mode:
        transaction = Transaction(host, request.backup)
        try:
            for loader, part in zip(loaders, plans):
                if part.changed:
                    loader.apply(part, request, transaction)
            for loader in loaders:
                warnings += loader.verify(request)
            changed = transaction.changed()
            after = [entry for loader in loaders for entry in loader.entries()]
            backup_files = transaction.commit()
        except (AzurePrepError, OSError) as exc:
            failures = transaction.rollback()
            message = str(exc) if isinstance(exc, AzurePrepError) else "Cannot change the boot loader: %s." % exc
            message = (
                message.rstrip(".") + ". " + (" ".join(failures) if failures else "Every file was put back as it was.")
            )
            raise AzurePrepError(message, **getattr(exc, "details", {}))
    return Outcome(
        "+".join(loader.name for loader in loaders),
        changed or recovered,
        _pairs(before, after),
        backup_files,
        actions,
        warnings,
        _diff(plan, before),
    )


def _join(plans: List[Plan]) -> Plan:
    """Several loaders' plans as one; a file that two of them change (/etc/kernel/cmdline) counts once."""
    changes: List[Change] = []
    for plan in plans:
        changes += [change for change in plan.changes if change not in changes]
    return Plan(
        changes,
        [line for plan in plans for line in plan.commands],
        [entry for plan in plans for entry in plan.after],
        [text for plan in plans for text in plan.warnings],
        " ".join(plan.refusal for plan in plans if plan.refusal),
    )


def _diff(plan: Plan, before: List[Entry]) -> List[Dict[str, str]]:
    """Ansible's diff: each edited file, then the command line of each entry that changes."""
    result = []
    for change in plan.changes:
        result.append(
            {
                "before": change.before or "",
                "after": change.after,
                "before_header": change.path if change.before is not None else "(absent) " + change.path,
                "after_header": change.path,
            }
        )
    for old, new in _pairs(before, plan.after):
        if old.arguments != new.arguments:
            header = "effective arguments of %s (%s)" % (new.title or new.id, new.source)
            result.append(
                {
                    "before": "\n".join(old.arguments) + "\n",
                    "after": "\n".join(new.arguments) + "\n",
                    "before_header": header,
                    "after_header": header,
                }
            )
    return result
