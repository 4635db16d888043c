# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, and a walk over directories that stays on their file system.

Asking the kernel anything about a path on a network file system whose server is gone, its type even, waits for ever.
So the mount table is read first, and a mount point below the place that is looked at is never touched.

Private to the collection: its interface may change in any release.
"""

import collections
import os
import re
from typing import Deque, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: File systems whose content is not on the disk that becomes the image, but somebody else's.
_REMOTE = re.compile(
    r"^(?:nfs\d?|cifs|smb\d?|smbfs|ncpfs|9p|virtiofs|vboxsf|vmhgfs|prl_fs|afs|ceph|glusterfs|lustre|gfs2?|ocfs2|gpfs|"
    r"beegfs|orangefs|autofs|fuse\..*)$"
)


class Mount(NamedTuple):
    """One line of mountinfo: where, and the type of the file system."""

    point: str
    type: str


def mounts() -> List[Mount]:
    """What is mounted on this machine, as the kernel names it (proc(5), mountinfo)."""
    found = []
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            for line in stream:
                fields = line.split()
                if len(fields) > 4:
                    raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8)]), fields[4])
                    kind = fields[fields.index(b"-") + 1] if b"-" in fields[:-1] else b""
                    found.append(Mount(os.fsdecode(raw), os.fsdecode(kind)))
    except OSError:
        return []
    return found


def is_below(real: str, top: str) -> bool:
    """Whether a real location is top or below it."""
    return top == "/" or real == top or real.startswith(top.rstrip("/") + "/")


def remote_type(real: str, known: Sequence[Mount]) -> str:
    """The type of the network file system that holds a path; empty where it is on a disk of this machine."""
    best = Mount("", "")
    for mount in known:
        if is_below(real, mount.point) and len(mount.point) >= len(best.point):
            best = mount
    return best.type if _REMOTE.match(best.type) else ""


def leads_to_remote(host: Host, path: str, known: Sequence[Mount]) -> str:
    """The type of the network file system that `path` leads to, links on the way followed; empty where to none.

    Nothing that lies on such a file system is touched. The one that holds the root directory itself is none of them.
    """
    inner = [mount for mount in known if mount.point != host.root and is_below(mount.point, host.root)]
    here = host.root
    for part in [piece for piece in path.split("/") if piece and piece != "."]:
        here = os.path.join(here, part)
        kind = remote_type(here, inner)
        if not kind and os.path.islink(here):
            target = os.readlink(here)
            folder = host.root + "/" if target.startswith("/") else os.path.dirname(here) + "/"
            kind = remote_type(os.path.normpath(folder + target), inner)
            here = here if kind else host.path(host.inside(here))
        if kind:
            return kind
    return ""


class Walk:
    """(top, directory, names of what is no directory) for everything below some directories, the nearest first.

    Links are not followed. Mount points are not entered, nor what has another file system than its top (a mounted
    image, a subvolume); `elsewhere` names them. `skip`: names of directories, or ends of their paths ("/go/pkg"), that
    are left out. `shallow`: names of directories whose own directories are looked at, and nothing below those. After
    `limit` directories the walk stops, and `stopped` is True. What cannot be read is in `errors`.
    """

    def __init__(
        self,
        host: Host,
        tops: Sequence[str],
        known: Sequence[Mount],
        depths: Optional[Dict[str, int]] = None,
        skip: FrozenSet[str] = frozenset(),
        shallow: FrozenSet[str] = frozenset(),
        limit: int = 0,
        one_device: bool = True,
    ) -> None:
        self.host = host
        self.tops = list(tops)
        self.elsewhere: List[str] = []
        self.errors: List[OSError] = []
        self.directories = 0
        self.stopped = False
        self._points = {mount.point for mount in known}
        self._depths = depths or {}
        self._names = frozenset(name for name in skip if "/" not in name)
        self._ends = tuple(name for name in skip if "/" in name)
        self._shallow = shallow
        self._limit = limit
        self._one_device = one_device

    def __iter__(self) -> Iterator[Tuple[str, str, List[str]]]:
        # (top, directory, how much deeper the walk may go, the top's file system)
        pending: Deque[Tuple[str, str, int, int]] = collections.deque()
        for top in self.tops:
            try:
                pending.append((top, top, self._depths.get(top, -1), self.host.device(top)))
            except OSError as exc:
                self.errors.append(exc)
        known = set(self.tops)
        while pending:
            top, folder, deeper, device = pending.popleft()
            if self._limit and self.directories >= self._limit:
                self.stopped = True
                return
            try:
                if folder != top and self._one_device and self.host.device(folder) != device:
                    self.elsewhere.append(folder)
                    continue
                self.directories += 1
                folders, names = self._read(folder)
            except OSError as exc:
                self.errors.append(exc)
                continue
            yield top, folder, names
            if deeper == 0:
                continue
            below = 1 if os.path.basename(folder) in self._shallow and (deeper < 0 or deeper > 1) else deeper
            for name in folders:
                path = os.path.join(folder, name)
                if path in known or name in self._names or path.endswith(self._ends):
                    continue
                if path in self._points:
                    self.elsewhere.append(path)
                else:
                    pending.append((top, path, below - 1 if below > 0 else below, device))

    @staticmethod
    def _read(folder: str) -> Tuple[List[str], List[str]]:
        """The names of directories and of everything else; what each is, the directory itself says."""
        folders: List[str] = []
        names: List[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        return sorted(folders), sorted(names)
