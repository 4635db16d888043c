# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path really leads: links and second names that people put into their home directories, and flags.

Root deletes and empties files here in places where ordinary users may write. Nothing outside such a place may come to
harm by a link in it.

Private to the collection: its interface may change in any release.
"""

import array
import errno
import fcntl
import os
import re
import shutil
import stat as stat_module
from typing import Any, List, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.filesystems import Mount, Walk, is_below
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import TEMPORARY_PREFIX, Host, walk

#: ioctl_iflags(2): numbers on 64-bit machines of the architectures that Azure has, and the two flags of chattr(1)
#: that forbid root to change a file.
_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
_FROZEN = 0x00000010 | 0x00000020

#: A history file outside of a home directory is emptied only where its name says that it is one, and never here.
_NO_HISTORY_HERE = re.compile(r"^/(?:etc|usr|bin|sbin|lib\w*|boot|dev|proc|sys|run)(?:/|$)")


def lies_below(host: Host, home: str, path: str) -> bool:
    """Whether the directory that holds `path` is the home directory or below it, links on the way followed."""
    return is_below(host.path(os.path.dirname(path)), host.path(home))


def is_history_place(host: Host, path: str, home: str, trusted: bool) -> bool:
    """Whether a file outside of the home directory that a start-up file calls HISTFILE may be emptied.

    trusted: the start-up file is the administrator's. One of a user may name only a file of that user's own.
    """
    real = host.resolve(path)
    details = host.stat(path)
    owner = host.stat(home)
    if details is None or owner is None or not stat_module.S_ISREG(details.st_mode) or host.is_link(path):
        return False
    if _NO_HISTORY_HERE.match(real) or "hist" not in os.path.basename(real).lower():
        return False
    return trusted or (details.st_uid == owner.st_uid and owner.st_uid != 0)


def all_names_below(host: Host, top: str, details: os.stat_result, known: Sequence[Mount]) -> bool:
    """Whether every name of a file with several (hard links) is below a directory.

    All names are on one file system, so no other one is looked at, and no further than to the last name.
    """
    seen = 0
    for _top, folder, names in Walk(host, [top], known):
        for name in names:
            try:
                other = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            seen += (other.st_dev, other.st_ino) == (details.st_dev, details.st_ino)
        if seen >= details.st_nlink:
            return True
    return False


# -- acting on a place and on nothing else ----------------------------------------------------------------------------


def open_parent(real: str) -> int:
    """A descriptor of the directory that holds a resolved path; a link put there meanwhile is an error."""
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in [part for part in os.path.dirname(real).split("/") if part]:
        try:
            following = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def unlink(real: str) -> None:
    """Delete a file or a link; one that is gone already is fine."""
    parent = open_parent(real)
    try:
        os.unlink(os.path.basename(real), dir_fd=parent)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)


def truncate(real: str) -> None:
    """Cut a regular file to zero bytes in place: owner, mode, label and the writers' open descriptors stay."""
    parent = open_parent(real)
    try:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(os.path.basename(real), flags, dir_fd=parent)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)
    try:
        if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
            raise AzurePrepError("%s is not a regular file any more; it was left alone." % real, path=real)
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def remove_directory(real: str) -> Optional[Tuple[str, OSError]]:
    """Delete a tree; links in it are deleted, never followed. Returns (path, error) of the first failure."""
    failures: List[Tuple[str, OSError]] = []

    def note(_function: Any, where: str, info: Any) -> None:
        error = info[1]
        if not isinstance(error, OSError):
            raise error
        if error.errno != errno.ENOENT:
            failures.append((where, error))

    parent = open_parent(real)
    try:
        held = "/proc/self/fd/%d/%s" % (parent, os.path.basename(real))
        try:
            shutil.rmtree(held if os.path.lexists(held) else real, onerror=note)
        except RecursionError:
            # It calls itself, and holds a descriptor, for each level.
            failures.append((real, OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
        if any(error.errno in (errno.EMFILE, errno.ENAMETOOLONG) for _path, error in failures):
            failures = _remove_deep(parent, os.path.basename(real))
    finally:
        os.close(parent)
    return failures[0] if failures and os.path.lexists(real) else None


def _remove_deep(parent: int, top: str) -> List[Tuple[str, OSError]]:
    """Delete the directory `top` however deep it is: every directory in it is first moved up to its first level."""
    failures: List[Tuple[str, OSError]] = []
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

    def empty(name: str, number: int, holder: int) -> List[str]:
        """Delete the files of a directory, move up its directories; the new names of these."""
        moved: List[str] = []
        descriptor = os.open(name, flags, dir_fd=holder)
        try:
            for inner in os.listdir(descriptor):
                try:
                    if stat_module.S_ISDIR(os.lstat(inner, dir_fd=descriptor).st_mode):
                        above = "%s%d.%d" % (TEMPORARY_PREFIX, number, len(moved))
                        os.rename(inner, above, src_dir_fd=descriptor, dst_dir_fd=base)
                        moved.append(above)
                    else:
                        os.unlink(inner, dir_fd=descriptor)
                except OSError as exc:
                    failures.append((inner, exc))
        finally:
            os.close(descriptor)
        return moved

    try:
        base = os.open(top, flags, dir_fd=parent)
        try:
            pending = empty(top, 0, parent)
            for number, name in enumerate(pending, 1):
                try:
                    # The list grows while it is gone through.
                    pending.extend(empty(name, number, base))
                    os.rmdir(name, dir_fd=base)
                except OSError as exc:
                    failures.append((name, exc))
        finally:
            os.close(base)
        os.rmdir(top, dir_fd=parent)
    except OSError as exc:
        failures.append((top, exc))
    return failures


# -- flags of chattr(1) ------------------------------------------------------------------------------------------


def _flags(descriptor: int) -> int:
    buffer = array.array("L", [0])
    fcntl.ioctl(descriptor, _GET_FLAGS, buffer, True)
    return buffer[0]


def thaw(real: str) -> int:
    """Take the flags from a file or directory that forbid changes; returns what was taken, 0 for nothing."""
    try:
        details = os.lstat(real)
        if not (stat_module.S_ISREG(details.st_mode) or stat_module.S_ISDIR(details.st_mode)):
            return 0
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        now = _flags(descriptor)
        if now & _FROZEN:
            fcntl.ioctl(descriptor, _SET_FLAGS, array.array("L", [now & ~_FROZEN]))
        return now & _FROZEN
    except OSError:
        # A file system without such flags; a real obstacle shows itself when the change is made.
        return 0
    finally:
        os.close(descriptor)


def freeze(real: str, flags: int) -> None:
    """Set flags again that thaw() took; a file that is gone needs none."""
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.ioctl(descriptor, _SET_FLAGS, array.array("L", [_flags(descriptor) | flags]))
    finally:
        os.close(descriptor)


def thaw_tree(real: str) -> None:
    """Take the flags from everything in a tree that is about to be deleted."""
    thaw(real)
    for folder, names, files in walk(real):
        for name in names + files:
            thaw(os.path.join(folder, name))
