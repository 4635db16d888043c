# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu-img, for the formats that it reads well: qcow2, VHDX, VMDK, VDI. The format is always named to it.

Private to the collection: its interface may change in any release.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import tempfile
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import COMMAND_PATH
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.writeout import Writeout

Progress = Callable[[int], None]

#: Releases that write malformed VHDs (DISK-04); nothing of theirs is trusted.
_BAD_FROM, _BAD_UNTIL = (2, 2, 1), (2, 6, 0)

#: The first release with image locks, and with -U to do without them.
_FORCE_SHARE_FROM = (2, 10)

#: No storage has sectors larger than this.
_LARGEST_SECTOR = 65536

_PERCENT = re.compile(rb"\((\d+)\.\d+/100%\)")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Info(NamedTuple):
    """What qemu-img info tells: bytes, phrases for the other files that the image names, and those files' paths.

    snapshots: how many internal ones there are.
    """

    virtual_size: int
    names: List[str]
    files: List[str]
    snapshots: int


def parse_version(text: str) -> Tuple[int, ...]:
    """(7, 2, 22) of "qemu-img version 7.2.22 (Debian ...)"; empty where there is none."""
    found = re.search(r"version (\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def check_version(host: Any, program: str) -> Tuple[int, ...]:
    """The release; one that damages disks is refused."""
    if host.which(program) is None:
        raise AzurePrepError(
            "An image of this format needs qemu-img, and %s is not installed; install the package qemu-utils (Debian, "
            "Ubuntu), qemu-img (Red Hat) or qemu-tools (SUSE), or name the program in qemu_img." % program
        )
    version = parse_version(host.run([program, "--version"], timeout=60).stdout)
    if _BAD_FROM <= version < _BAD_UNTIL:
        raise AzurePrepError(
            "qemu-img %s is one of the releases from 2.2.1 to 2.5 that write malformed disks; use 2.6 or newer."
            % ".".join(str(part) for part in version)
        )
    return version


def _strings(value: Any, key: str) -> List[str]:
    """All values of a key anywhere in decoded JSON, as text."""
    if isinstance(value, dict):
        here = [str(value[key])] if value.get(key) else []
        return here + [found for one in value.values() for found in _strings(one, key)]
    if isinstance(value, list):
        return [found for one in value for found in _strings(one, key)]
    return []


def parse_info(text: str, path: str) -> Info:
    """The answer of qemu-img info --output=json, for one image or a chain of them."""
    try:
        decoded = json.loads(text)
        images: List[Dict[str, Any]] = decoded if isinstance(decoded, list) else [decoded]
        top = images[0]
        size = int(top["virtual-size"])
        extents = [name for name in _strings(top.get("format-specific"), "filename") if name != path]
        data_files = _strings(top.get("format-specific"), "data-file")
        chain = [str(one.get("full-backing-filename") or "") for one in images]
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise AzurePrepError("qemu-img info says nothing usable about %s: %s" % (path, text[:200]))
    if top.get("encrypted"):
        raise AzurePrepError("%s is encrypted; decrypt it with qemu-img first." % path)
    backing = [str(top["backing-filename"])] if top.get("backing-filename") else []
    names = ["the backing file '%s'" % name for name in backing]
    names += ["the data file '%s'" % name for name in data_files]
    names += ["the extent '%s'" % name for name in extents[:8]]
    snapshots = top.get("snapshots")
    count = len(snapshots) if isinstance(snapshots, list) else 0
    return Info(size, names, [name for name in chain + data_files + extents if name], count)


def info(host: Any, program: str, version: Tuple[int, ...], format_name: str, path: str, chain: bool) -> Info:
    """What qemu-img sees in the headers. It takes no lock for that: we hold our own, or only look in check mode."""
    words = [program, "info", "--output=json", "-f", format_name]
    words += ["-U"] if version >= _FORCE_SHARE_FROM else []
    words += ["--backing-chain"] if chain else []
    words.append(path)
    result = host.run(words, check=False, timeout=600)
    if result.rc != 0:
        said = " ".join(result.stderr.split()) or "it printed nothing"
        for known in ("qemu-img: ", "Could not open '%s': " % path):
            said = said.replace(known, "", 1)
        raise AzurePrepError(
            "qemu-img %s cannot read %s as %s (exit status %d): %s"
            % (".".join(str(part) for part in version) or "of an unknown release", path, format_name, result.rc, said)
        )
    return parse_info(result.stdout, path)


def _die_with_parent() -> None:
    """In the child: end when the module ends, even by kill -9."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(words: List[str], stdout: Any, stderr: Any) -> "subprocess.Popen[bytes]":
    environment = {"PATH": ":".join(COMMAND_PATH), "LC_ALL": "C", "HOME": "/"}
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            close_fds=True,
            cwd="/",
            preexec_fn=_die_with_parent,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise AzurePrepError("Cannot start %s: %s." % (words[0], exc))


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


class Check:
    """qemu-img check, beside the conversion of the same image: a truncated image reads as zeros.

    look() and leaving without another error refuse an image whose tables contradict themselves or point past its end.
    """

    def __init__(self, program: str, format_name: str, path: str) -> None:
        self._words = [program, "check", "-f", format_name, path]
        self._format = format_name
        self._path = path

    def __enter__(self) -> "Check":
        self._said = tempfile.TemporaryFile()
        try:
            self._process = _start(self._words, self._said, self._said)
        except BaseException:
            self._said.close()
            raise
        return self

    def look(self) -> None:
        """Refuse the image if the check has ended and was not content."""
        # 0: sound. 3: leaked clusters, harmless. 63: this format has no check. 1 and 2: errors.
        if self._process.poll() in (1, 2):
            self._said.seek(0)
            lines = self._said.read(4000).decode("utf-8", "replace").strip().splitlines()
            raise AzurePrepError(
                "%s is a damaged or truncated %s image; qemu-img check says: %s"
                % (self._path, self._format, lines[0] if lines else "nothing")
            )

    def __exit__(self, kind: Any, *_error: Any) -> None:
        try:
            # A conversion that failed is best explained by what is wrong with the image.
            if kind is None or issubclass(kind, AzurePrepError):
                self._process.wait()
                self.look()
        finally:
            _end(self._process)
            self._said.close()


def _watch(words: List[str], size: int, progress: Progress) -> Tuple[int, str]:
    """Run a conversion that tells its progress; its exit status and what it complained of."""
    with tempfile.TemporaryFile() as errors:
        process = _start(words, subprocess.PIPE, errors)
        done = 0
        try:
            if process.stdout is None:
                raise AssertionError("process.stdout must be set by now")
            while True:
                output = os.read(process.stdout.fileno(), 4096)
                if not output:
                    break
                percents = _PERCENT.findall(output)
                if percents:
                    now = size * int(percents[-1]) // 100
                    progress(max(now - done, 0))
                    done = max(now, done)
            status = process.wait()
        finally:
            _end(process)
            if process.stdout is not None:
                process.stdout.close()
        errors.seek(0)
        return status, errors.read(2000).decode("utf-8", "replace").strip()


def convert(program: str, format_name: str, path: str, name: str, target: Disk, size: int, progress: Progress) -> None:
    """Convert an image into the raw file `target`, which is empty and has that name; it becomes `size` bytes long.

    What qemu-img writes is brought to the disk meanwhile: measured to take two thirds of the time of writing past the
    kernel's cache (-t none), and of a sync at the end.
    """
    words = [program, "convert", "-p", "-f", format_name, "-O", "raw", path, name]
    with Writeout(target):
        status, said = _watch(words, size, progress)
    if status != 0:
        said = said.replace(name, "dest")
        hint = " Nothing was left behind." if "No space left" in said else ""
        raise AzurePrepError(
            "qemu-img could not convert %s (exit status %d): %s%s" % (path, status, said or "it printed nothing", hint)
        )
    if size < target.size() < size + _LARGEST_SECTOR:
        target.truncate(size)  # written in whole sectors of the storage, the last one filled up with zeros
