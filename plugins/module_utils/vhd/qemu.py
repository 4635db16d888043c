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

Progress = Callable[[int], None]

#: Releases that write malformed VHDs (DISK-04); nothing of theirs is trusted.
_BAD_FROM, _BAD_UNTIL = (2, 2, 1), (2, 6, 0)

#: The first release with image locks, and with -U to do without them.
_FORCE_SHARE_FROM = (2, 10)

_PERCENT = re.compile(rb"\((\d+)\.\d+/100%\)")
_PR_SET_PDEATHSIG = 1


class Info(NamedTuple):
    """What qemu-img info tells: bytes, phrases for the other files that the image names, and those files' paths."""

    virtual_size: int
    names: List[str]
    files: List[str]


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
    except (ValueError, KeyError, IndexError, TypeError):
        raise AzurePrepError("qemu-img info says nothing usable about %s: %s" % (path, text[:200]))
    if top.get("encrypted"):
        raise AzurePrepError("%s is encrypted; decrypt it with qemu-img first." % path)
    extents = [name for name in _strings(top.get("format-specific"), "filename") if name != path]
    data_files = _strings(top.get("format-specific"), "data-file")
    backing = [str(top["backing-filename"])] if top.get("backing-filename") else []
    names = ["the backing file '%s'" % name for name in backing]
    names += ["the data file '%s'" % name for name in data_files]
    names += ["the extent '%s'" % name for name in extents[:8]]
    chain = [str(one.get("full-backing-filename") or "") for one in images]
    return Info(size, names, [name for name in chain + data_files + extents if name])


def info(host: Any, program: str, version: Tuple[int, ...], format_name: str, path: str, chain: bool) -> Info:
    """What qemu-img sees in the headers. It takes no lock for that: we hold our own, or only look in check mode."""
    words = [program, "info", "--output=json", "-f", format_name]
    words += ["-U"] if version >= _FORCE_SHARE_FROM else []
    words += ["--backing-chain"] if chain else []
    words.append(path)
    return parse_info(host.run(words, timeout=600).stdout, path)


def check(host: Any, program: str, format_name: str, path: str) -> None:
    """Refuse an image whose tables contradict themselves or point past its end (a truncated one reads as zeros)."""
    result = host.run([program, "check", "-f", format_name, path], timeout=3600, check=False)
    # 0: sound. 3: leaked clusters, harmless. 63: this format has no check. 1 and 2: errors.
    if result.rc in (1, 2):
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise AzurePrepError(
            "%s is a damaged or truncated %s image; qemu-img check says: %s"
            % (path, format_name, said[0] if said else "nothing")
        )


def _die_with_parent() -> None:
    """In the child: end when the module ends, even by kill -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def convert(
    program: str, format_name: str, path: str, target: str, size: int, progress: Progress, quiet: bool = False
) -> None:
    """Convert an image into the raw file `target`, which exists and belongs to us; it becomes `size` bytes long."""
    words = [program, "convert"] + ([] if quiet else ["-p"]) + ["-f", format_name, "-O", "raw", path, target]
    environment = {"PATH": ":".join(COMMAND_PATH), "LC_ALL": "C", "HOME": "/"}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                close_fds=True,
                cwd="/",
                preexec_fn=_die_with_parent,
            )
        except OSError as exc:
            raise AzurePrepError("Cannot start %s: %s." % (program, exc))
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
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if status != 0:
            errors.seek(0)
            said = errors.read(2000).decode("utf-8", "replace").replace(target, "dest").strip()
            hint = " Nothing was left behind." if "No space left" in said else ""
            raise AzurePrepError(
                "qemu-img could not convert %s (exit status %d): %s%s"
                % (path, status, said or "it printed nothing", hint)
            )
