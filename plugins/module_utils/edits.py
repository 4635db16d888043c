# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several files changed as one: all of them, or none.

A module plans a list of Change, shows it as a diff, and applies it; where a write or the check that follows fails,
what was already written is put back before the error goes on.

Private to the collection: its interface may change in any release.
"""

import os
import stat
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Where the old content of changed files is kept. Not beside the file: some directories are read whole
#: (interfaces.d), and some checks search every file of a directory (modprobe.d).
BACKUP_FOLDER = "/var/backups/linuxvhd-azure"


class Change(NamedTuple):
    """One file: its text before (None: was not there) and after (None: removed), mode of a new file.

    link: the file becomes a symbolic link with this raw target instead; after is then None.
    """

    path: str
    before: Optional[str]
    after: Optional[str]
    mode: int = 0o644
    link: Optional[str] = None


def read_optional(host: Host, path: str) -> Optional[str]:
    """The text of a file, None where there is none (a dangling link counts as none)."""
    return host.read(path) if host.is_file(path) else None


def plan_file(host: Host, path: str, after: Optional[str], mode: int = 0o644) -> List[Change]:
    """The change that gives a file this text (None: removes it); empty where nothing is to do."""
    before = read_optional(host, path)
    if before == after and (after is not None or not host.is_link(path)):
        return []
    return [Change(path, before, after, mode)]


def plan_link(host: Host, path: str, target: str) -> List[Change]:
    """The change that makes `path` a symbolic link with the raw target; empty where it is one."""
    if host.is_link(path) and host.readlink(path) == target:
        return []
    return [Change(path, read_optional(host, path), None, 0o644, target)]


def diffs(changes: Sequence[Change]) -> List[Dict[str, str]]:
    """The changes as Ansible shows them."""
    found = []
    for change in changes:
        after = change.after if change.after is not None else ""
        if change.link is not None:
            after = "-> %s\n" % change.link
        found.append(
            {
                "before": change.before or "",
                "after": after,
                "before_header": change.path if change.before is not None else change.path + " (absent)",
                "after_header": change.path
                if change.after is not None or change.link is not None
                else change.path + " (removed)",
            }
        )
    return found


def keep(host: Host, path: str) -> str:
    """Copy a file below BACKUP_FOLDER, under its own path and the time; returns the copy's path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = "%s%s.%s~" % (BACKUP_FOLDER, path, stamp)
    number = 1
    while host.exists(copy):
        number += 1
        copy = "%s%s.%s.%d~" % (BACKUP_FOLDER, path, stamp, number)
    if not host.is_dir(BACKUP_FOLDER):
        host.mkdir(BACKUP_FOLDER, 0o700)
    host.mkdir(os.path.dirname(copy))
    host.copy(path, copy)
    return copy


def _restore(host: Host, change: Change, mode: Optional[int], target: Optional[str]) -> None:
    if target is not None:
        host.symlink(target, change.path)
    elif change.before is None:
        host.remove(change.path)
    else:
        if host.is_link(change.path):
            host.remove(change.path)
        host.write(change.path, change.before, mode=mode)


def relabel(host: Host, paths: Sequence[str]) -> None:
    """Give written files the SELinux label of the policy, where SELinux is on."""
    if paths and host.is_live and host.exists("/sys/fs/selinux/enforce") and host.which("restorecon"):
        host.run(["restorecon", "-F"] + list(paths), check=False)


def apply(
    host: Host, changes: Sequence[Change], backup: bool = True, verify: Optional[Callable[[], None]] = None
) -> List[str]:
    """Write the changes in order, run verify, and return the backup files.

    Where a step raises AzurePrepError, the files already written get their old content back, then it goes on.
    """
    backups: List[str] = []
    done = []
    try:
        for change in changes:
            link = host.readlink(change.path) if host.is_link(change.path) else None
            known = host.stat(change.path)
            mode = stat.S_IMODE(known.st_mode) if known is not None and not stat.S_ISLNK(known.st_mode) else None
            if backup and change.before is not None:
                backups.append(keep(host, change.path))
            replaces_link = link is not None and (change.before is None or change.after is None)
            done.append((change, mode, link if replaces_link else None))
            if change.link is not None:
                host.symlink(change.link, change.path)
            elif change.after is None:
                host.remove(change.path)
            else:
                if change.before is None and link is not None:
                    host.remove(change.path)
                host.write(change.path, change.after, mode=change.mode if change.before is None else None)
        if verify is not None:
            verify()
    except AzurePrepError as exc:
        failed = []
        for change, mode, link in reversed(done):
            try:
                _restore(host, change, mode, link)
            except AzurePrepError:
                failed.append(change.path)
        if failed:
            raise AzurePrepError(
                "%s The old content of %s could not be put back; it is in %s."
                % (exc, ", ".join(failed), ", ".join(backups) or "no backup"),
                **exc.details,
            )
        raise
    relabel(host, [change.path for change in changes if change.after is not None])
    return backups
