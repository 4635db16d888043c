# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep everybody else away from a disk image while it is read or changed, and name who has it open.

Three mechanisms, because each sees what the others do not:
- a file lease (fcntl(2), F_SETLEASE): refused while any other process has the file open, mapped or attached to a
  loop device, and holds back later opens while we work;
- an open file description lock on the bytes that qemu uses as its image lock (100 to 299, qemu's block/file-posix.c);
- where the file system knows no leases, a look through /proc and the loop devices.
A block device is opened exclusively instead, which the kernel refuses while it is mounted or part of a volume.

Private to the collection: its interface may change in any release.
"""

import errno
import fcntl
import os
import random
import signal
import stat
import struct
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk, Fault, explain

# From linux/fcntl.h; Python names them only in later releases.
F_SETSIG = 10
F_OFD_GETLK = 36
F_OFD_SETLK = 37

#: Bytes 100 + n are locked by who uses permission n of an image, 200 + n by who does not share it
#: (qemu: 0 consistent read, 1 write, 2 write unchanged, 3 resize).
LOCK_START, LOCK_LENGTH = 100, 200
USES_READ, USES_WRITE, USES_RESIZE = 100, 101, 103
KEEPS_READ, KEEPS_WRITE, KEEPS_RESIZE = 200, 201, 203

#: struct flock of a 64-bit kernel: type, whence, start, length, pid, padding.
_FLOCK = "hhqqi0q"


class Locked(NamedTuple):
    """An open and guarded image. strength: "lease", "exclusive" (block device) or "scan" (no leases here)."""

    disk: Disk
    strength: str
    warnings: List[str]


class _Busy(Exception):
    """Somebody has the image; tried again until the time is over."""


def _flock(descriptor: int, command: int, kind: int, start: int, length: int) -> Tuple[int, int]:
    """One lock call; returns the (type, pid) that the kernel put into the answer."""
    answer = fcntl.fcntl(descriptor, command, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))
    fields = struct.unpack(_FLOCK, answer)
    return fields[0], fields[4]


def _conflict(descriptor: int, kind: int, start: int, length: int = 1) -> bool:
    return _flock(descriptor, F_OFD_GETLK, kind, start, length)[0] != fcntl.F_UNLCK


def lock_bytes(descriptor: int, writable: bool, exclusive: bool) -> bool:
    """Take qemu's image lock: all of it (exclusive), or that of a reader who shares with readers only.

    False when somebody else holds it. A read-only descriptor can only ask, not hold, the exclusive lock.
    """
    try:
        if exclusive and not writable:
            return not _conflict(descriptor, fcntl.F_WRLCK, LOCK_START, LOCK_LENGTH)
        if exclusive:
            _flock(descriptor, F_OFD_SETLK, fcntl.F_WRLCK, LOCK_START, LOCK_LENGTH)
            return True
        for byte in (USES_READ, KEEPS_WRITE, KEEPS_RESIZE):
            _flock(descriptor, F_OFD_SETLK, fcntl.F_RDLCK, byte, 1)
        # Asked for as a writer's lock, which conflicts with everyone's; our own description's locks never do.
        return not any(_conflict(descriptor, fcntl.F_WRLCK, byte) for byte in (USES_WRITE, USES_RESIZE, KEEPS_READ))
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if exc.errno in (errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            return True  # the file system has no such locks, so nobody can hold one
        raise


def _lease(descriptor: int, exclusive: bool) -> Optional[bool]:
    """Take a lease: True when held, False when somebody has the file open, None when leases are not to be had."""
    try:
        # The notice that somebody waits for us comes as this signal. SIGIO, the default, would end the process;
        # SIGURG is ignored unless asked for.
        fcntl.fcntl(descriptor, F_SETSIG, int(signal.SIGURG))
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK)
        return True
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EBUSY):
            return False
        return None


def _command_name(process: str) -> str:
    try:
        with open("/proc/%s/comm" % process, "rb") as stream:
            return stream.read().decode("utf-8", "replace").strip()
    except OSError:
        return "unknown"


def _mode_of(process: str, descriptor: str) -> int:
    """The access mode (O_RDONLY, O_WRONLY, O_RDWR) of another process's descriptor."""
    with open("/proc/%s/fdinfo/%s" % (process, descriptor), "rb") as stream:
        for line in stream:
            if line.startswith(b"flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE
    return os.O_RDWR


def _has_mapping(process: str, status: os.stat_result, writers_only: bool) -> bool:
    """Whether a process has mapped the file; /proc/PID/maps names device and inode."""
    wanted = b"%02x:%02x %d" % (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    with open("/proc/%s/maps" % process, "rb") as stream:
        for line in stream:
            fields = line.split(None, 5)
            if len(fields) < 5 or b" ".join((fields[3], fields[4])) != wanted:
                continue
            if not writers_only or fields[1][1:2] + fields[1][3:4] == b"ws":
                return True
    return False


def _process_holds(process: str, status: os.stat_result, writers_only: bool) -> bool:
    folder = "/proc/%s/fd" % process
    for name in os.listdir(folder):
        try:
            found = os.stat(os.path.join(folder, name))
            same = (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
            if stat.S_ISBLK(status.st_mode) and stat.S_ISBLK(found.st_mode):
                same = found.st_rdev == status.st_rdev
            if same and (not writers_only or _mode_of(process, name) != os.O_RDONLY):
                return True
        except OSError:
            continue  # closed meanwhile
    return _has_mapping(process, status, writers_only)


def _loop_holders(status: os.stat_result, writers_only: bool) -> List[Dict[str, Any]]:
    """Loop devices whose backing file it is (device and inode, as LOOP_GET_STATUS64 would tell as well)."""
    found: List[Dict[str, Any]] = []
    for name in sorted(os.listdir("/sys/block") if os.path.isdir("/sys/block") else []):
        try:
            with open("/sys/block/%s/loop/backing_file" % name, "rb") as stream:
                backing = stream.read().rstrip(b"\n")
            with open("/sys/block/%s/ro" % name, "rb") as stream:
                read_only = stream.read().strip() == b"1"
            other = os.stat(backing)
        except OSError:
            continue  # no loop device, not attached, or its file has lost its name
        if (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino) and not (writers_only and read_only):
            found.append({"pid": 0, "command": "loop device /dev/" + name})
    return found


def _device_users(status: os.stat_result) -> List[Dict[str, Any]]:
    """Mount points of a block device, and the devices (LVM, RAID, encryption) that stand on it."""
    number = "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    found: List[Dict[str, Any]] = []
    try:
        with open("/proc/self/mountinfo", "rb") as stream:
            for line in stream:
                fields = line.decode("utf-8", "replace").split()
                if len(fields) > 4 and fields[2] == number:
                    found.append({"pid": 0, "command": "the mount on %s" % fields[4]})
        users = sorted(os.listdir("/sys/dev/block/%s/holders" % number))
    except OSError:
        return found
    return found + [{"pid": 0, "command": "the device /dev/%s" % name} for name in users]


def _lock_table_holders(status: os.stat_result) -> List[Dict[str, Any]]:
    """Who /proc/locks lists for the file: the last resort, for a process whose descriptors we may not see."""
    wanted = "%02x:%02x:%d" % (os.major(status.st_dev), os.minor(status.st_dev), status.st_ino)
    found: List[Dict[str, Any]] = []
    try:
        with open("/proc/locks", "r") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return found
    for line in lines:
        fields = line.replace("-> ", "").split()
        if len(fields) >= 6 and fields[5] == wanted and fields[4].isdigit() and int(fields[4]) != os.getpid():
            found.append({"pid": int(fields[4]), "command": _command_name(fields[4])})
    return found


def holders(status: os.stat_result, writers_only: bool = False) -> List[Dict[str, Any]]:
    """Who has the file open: a list of {pid, command}; a loop device or a mount has pid 0. Root sees all."""
    found: List[Dict[str, Any]] = []
    for process in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        if int(process) == os.getpid():
            continue
        try:
            if _process_holds(process, status, writers_only):
                found.append({"pid": int(process), "command": _command_name(process)})
        except OSError:
            continue  # gone, or not ours to look into
    if stat.S_ISBLK(status.st_mode):
        return found + _device_users(status)
    return found + _loop_holders(status, writers_only)


def _name_holders(found: List[Dict[str, Any]]) -> str:
    named = ["%s (process %d)" % (one["command"], one["pid"]) if one["pid"] else one["command"] for one in found]
    return ", ".join(named) or "another process, which could not be found out"


def busy_error(path: str, status: os.stat_result, waited: float, writers_only: bool = False) -> AzurePrepError:
    """The sentence that names who has the image open."""
    found = holders(status, writers_only) or _lock_table_holders(status)
    return AzurePrepError(
        "%s is in use by %s%s; shut the VM down, or end that process, and run again."
        % (path, _name_holders(found), " after waiting %d seconds" % waited if waited >= 1 else ""),
        locked_by=found,
    )


def _guard(descriptor: int, path: str, writable: bool, exclusive: bool) -> Tuple[str, List[str]]:
    """Lease and lock for a descriptor just opened; _Busy when somebody else has the image."""
    status = os.fstat(descriptor)
    try:
        named = os.stat(path)
    except OSError:
        raise _Busy()
    if (named.st_dev, named.st_ino) != (status.st_dev, status.st_ino):
        raise _Busy()  # replaced between our look and our open
    if stat.S_ISBLK(status.st_mode):
        leased: Optional[bool] = None
        strength = "exclusive"
    else:
        leased = _lease(descriptor, exclusive)
        strength = "lease" if leased else "scan"
    if leased is False or not lock_bytes(descriptor, writable, exclusive):
        raise _Busy()
    if leased:
        return strength, []
    if holders(status, writers_only=not exclusive):
        raise _Busy()
    if strength == "exclusive":
        return strength, []
    return strength, [
        "No file lease is to be had on %s (its file system has none, or it belongs to another account); only locks and "
        "the open files of this machine could be looked at, so make sure that no other machine has it open." % path
    ]


def open_guarded(
    path: str, writable: bool, exclusive: bool, timeout: float, fault: Optional[Fault] = None, shown: str = ""
) -> Locked:
    """Open an image that nobody else has open (exclusive) or has open for writing.

    `path` is the real path, `shown` what sentences call it. Tries until `timeout` seconds have passed; two runs
    that met step back for a random moment, so that one of them wins.
    """
    shown = shown or path
    started = time.time()
    while True:
        descriptor = -1
        status = os.stat(path)
        try:
            flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
            if stat.S_ISBLK(status.st_mode):
                flags |= os.O_EXCL
            descriptor = os.open(path, flags)
            strength, warnings = _guard(descriptor, path, writable, exclusive)
            return Locked(Disk(descriptor, shown, fault), strength, warnings)
        except _Busy:
            os.close(descriptor)
        except OSError as exc:
            if descriptor >= 0:
                os.close(descriptor)
            if exc.errno not in (errno.EAGAIN, errno.EBUSY, errno.ETXTBSY):
                raise explain("open", shown, exc)
        waited = time.time() - started
        if waited >= timeout:
            raise busy_error(shown, status, waited, writers_only=not exclusive)
        time.sleep(min(random.uniform(0.02, 0.1) if waited < 1 else 1.0, max(timeout - waited, 0.01)))
