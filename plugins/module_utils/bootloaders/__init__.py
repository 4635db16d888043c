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

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import grub2
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Entry,
    Plan,
    Request,
    Transaction,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

__all__ = ["Entry", "Outcome", "Request", "configure", "detect", "read_entries"]

Loader = Union[grub2.Grub2]


class Outcome(NamedTuple):
    """What configure() did or would do. entries: (before, after) pairs; an entry that came or went has None."""

    bootloader: str
    changed: bool
    entries: List[Tuple[Entry, Entry]]
    backup_files: List[str]
    actions: List[str]
    warnings: List[str]
    diff: List[Dict[str, str]]


def detect(host: Host) -> Loader:
    """The boot loader of a system; AzurePrepError says what was found where it is none that can be changed."""
    layout = grub2.find_layout(host)
    if layout is not None:
        return grub2.Grub2(host, layout)
    raise AzurePrepError(_refusal(host))


def _refusal(host: Host) -> str:
    looked = "/boot/grub2/grub.cfg, /boot/grub/grub.cfg, /boot/efi/EFI/*/grub.cfg"
    return "No boot loader that can be changed was found below %s (looked for %s)." % (host.root, looked)


def read_entries(host: Host) -> List[Entry]:
    """The effective arguments of every boot entry that boots Linux, read only."""
    return detect(host).entries()


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
    loader = detect(host)
    before = loader.entries()
    plan = loader.plan(request)
    actions = ["edit " + change.path for change in plan.changes] + ["run " + line for line in plan.commands]
    backup_files: List[str] = []
    after = plan.after
    if plan.changed and not check_mode:
        transaction = Transaction(host, request.backup)
        try:
            loader.apply(plan, request, transaction)
            loader.verify(request)
            after = loader.entries()
        except (AzurePrepError, OSError) as exc:
            failures = transaction.rollback()
            message = str(exc) if isinstance(exc, AzurePrepError) else "Cannot change the boot loader: %s." % exc
            message += " " + (" ".join(failures) if failures else "Every file was put back as it was.")
            raise AzurePrepError(message, **getattr(exc, "details", {}))
        backup_files = transaction.backup_files
    return Outcome(
        loader.name, plan.changed, _pairs(before, after), backup_files, actions, plan.warnings, _diff(plan, before)
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
