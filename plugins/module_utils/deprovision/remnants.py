# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays and may be unwanted, told in sentences and not changed: names of removed accounts, files that belong to
nobody now, passwords, snapshots.

Private to the collection: its interface may change in any release.
"""

import os
import re
import stat as stat_module
import time
from typing import Dict, Iterator, List, Pattern, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import filesystems
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts as acc
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import engine
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import STATE_FILE, Context
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import walk

#: Where names are looked for, and what is too big or known to be noise.
_SEARCHED = ("/etc", "/root", "/home", "/opt", "/srv", "/usr/local", "/var/lib", "/var/spool", "/var/www", "/boot")
_NOISE = frozenset(("ssl", "selinux", "alternatives", "terminfo", ".git", "dpkg", "apt", "rpm", "modules", "mlocate"))
_MAX_SIZE = 256 * 1024
_MAX_NAMED = 20

#: Seconds that looking over the whole disk may take; it is a help, no check.
_PATIENCE = 90.0


def sentences(context: Context) -> List[str]:
    found = list(leftovers_of_people(context))
    found.extend(older_copies(context))
    found.extend(swap_on_disk(context))
    found.extend(look_over(context))
    return found


def _words(context: Context) -> List[str]:
    """Names of people and of the machine; not the distribution's, which cloud-init's default account has too."""
    words = [account.name for account in context.removed_accounts] + list(context.hostnames)
    everywhere = (context.host.os_release().id, "linux")
    return [word for word in words if len(word) > 2 and word.lower() not in everywhere]


def look_over(context: Context) -> Iterator[str]:
    """Files that name a removed account or the build machine, and files that a removed account owned."""
    words = _words(context)
    uids = {a.uid: a.name for a in context.removed_accounts if a.uid > 0}
    for account in engine.remaining(context):
        uids.pop(account.uid, None)
    if not words and not uids:
        return
    pattern = re.compile(
        r"(?<![\w.-])(%s)(?![\w-])" % "|".join(re.escape(word) for word in words) if words else r"(?!)"
    )
    end = time.monotonic() + _PATIENCE
    orphans: Dict[int, List[str]] = {}
    counts: Dict[int, int] = {}
    named = 0
    for path, details in _files(context, end):
        if details.st_uid in uids:
            counts[details.st_uid] = counts.get(details.st_uid, 0) + 1
            if len(orphans.setdefault(details.st_uid, [])) < 3:
                orphans[details.st_uid].append(path)
        if named > _MAX_NAMED or not stat_module.S_ISREG(details.st_mode) or not 0 < details.st_size <= _MAX_SIZE:
            continue
        searched = path.startswith(_SEARCHED) and path != STATE_FILE
        word = _word_in(context, path, pattern) if searched else ""
        if word:
            named += 1
            if named > _MAX_NAMED:
                yield "More files name them; the list was cut at %d." % _MAX_NAMED
            else:
                yield "%s still names %s." % (path, word)
    for uid, paths in sorted(orphans.items()):
        yield "%d files stay that belong to the UID %d of %s, which the next account will get: %s." % (
            counts[uid],
            uid,
            uids[uid],
            ", ".join(paths) + (", ..." if counts[uid] > len(paths) else ""),
        )
    if time.monotonic() > end:
        yield "The disk was not looked over to its end for names and files of removed accounts; it takes too long."


def _word_in(context: Context, path: str, pattern: "Pattern[str]") -> str:
    try:
        with open(os.path.join(context.host.root, path.lstrip("/")), "rb") as stream:
            match = pattern.search(stream.read().decode("utf-8", "surrogateescape"))
    except OSError:
        return ""
    return match.group(1) if match else ""


def _files(context: Context, end: float) -> Iterator[Tuple[str, os.stat_result]]:
    """(path, lstat) of everything on the disks of this machine; links are not followed."""
    skipped = {"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/lib/azure-deprovision"}
    skipped |= {
        context.host.inside(mount.point)
        for mount in context.mounts
        if filesystems.is_below(mount.point, context.host.root)
        and (mount.type in ("tmpfs", "proc", "overlay", "squashfs"))
        or filesystems.remote_type(mount.point, context.mounts)
    }
    base = context.host.root
    for folder, names, files in walk(base):
        if time.monotonic() > end:
            return
        inside = context.host.inside(folder)
        prefix = "" if inside == "/" else inside
        names[:] = sorted(n for n in names if prefix + "/" + n not in skipped and n not in _NOISE)
        for name in sorted(names + files):
            try:
                details = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            yield prefix + "/" + name, details


def _stays(context: Context, home: str) -> bool:
    """Whether a home directory is still there; one on a network file system was told of before."""
    return not context.remote(home) and context.host.exists(home)


def leftovers_of_people(context: Context) -> Iterator[str]:
    """Accounts that stay with a password, and homes that stay without their account."""
    for account in context.removed_accounts:
        if account.home.startswith("/") and account.home != "/" and _stays(context, account.home):
            yield "%s, the home directory of %s, stays: it is shared or not the account's own." % (
                account.home,
                account.name,
            )
    shadow = context.host.read("/etc/shadow", "")
    for account in engine.remaining(context):
        if account.name != "root" and acc.is_hash(acc.password_of(shadow, account.name)):
            yield (
                "The account %s stays, and with it its password; name it in remove_users if it should go."
                % account.name
            )


def older_copies(context: Context) -> Iterator[str]:
    """Places that keep earlier states of files that were deleted now."""
    snapshots = context.host.glob("/.snapshots/*/snapshot")
    if snapshots:
        yield (
            "%d snapshots in /.snapshots keep old keys, accounts and logs; delete them (snapper delete) before capture."
            % len(snapshots)
        )
    deployments = context.host.glob("/ostree/deploy/*/deploy/*")
    if len(deployments) > len(context.host.glob("/ostree/deploy/*/deploy/*.origin")) + 1:
        yield "Older ostree deployments keep their own /etc; remove them (rpm-ostree cleanup -rp) before capture."


def swap_on_disk(context: Context) -> Iterator[str]:
    """Swap on the disk holds pages of memory, passwords among them."""
    places_named = []
    for line in context.host.read("/etc/fstab", "").split("\n"):
        fields = line.split()
        if len(fields) >= 3 and not fields[0].startswith("#") and fields[2] == "swap":
            places_named.append(fields[0])
    places_named += [path for path in ("/swapfile", "/swap.img", "/var/swap") if context.host.is_file(path)]
    if places_named:
        yield (
            "Swap on the disk (%s) holds pages of memory, passwords among them; linuxvhd.azure.os_disk_swap removes it."
            % ", ".join(sorted(set(places_named)))
        )
