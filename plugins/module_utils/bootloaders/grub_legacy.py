# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB Legacy (0.9x): menu.lst or grub.conf of Enterprise Linux 5 and 6, SLES 11 and old Debian.

GRUB reads the file itself at boot, so nothing is generated. New kernels take their arguments from elsewhere, and
that is kept in step: grubby copies those of the default entry; SUSE's perl-Bootloader reads
/etc/sysconfig/bootloader; Debian's update-grub reads the "# kopt=" and "# defoptions=" comments of the file itself.
Source: GRUB Legacy manual 0.97, "Configuration"; update-grub(8) of grub-legacy.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, NamedTuple, Optional, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, profiles, shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import sourced
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    Plan,
    Request,
    Transaction,
    check_entries,
    is_linux,
    kernel_version,
    stale_entries,
    wanted_for,
    wanted_for_all,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import KERNEL, Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

CONFIGS = ("/boot/grub/grub.conf", "/boot/grub/menu.lst")
ESP_CONFIGS = "/boot/efi/EFI/*/grub.conf"
#: On Enterprise Linux a link to the menu, wherever that is; SUSE's file of this name is none.
LINK = "/etc/grub.conf"

#: perl-Bootloader's settings on SUSE, and the variables in them that hold a kernel's arguments.
SUSE_SETTINGS = "/etc/sysconfig/bootloader"
SUSE_VARIABLES = ("DEFAULT_APPEND", "FAILSAFE_APPEND", "XEN_KERNEL_APPEND")

SERIAL_LINE = "serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1"
TIMEOUT = 5
TIMEOUTS = {"redhat": 10, "suse": 10}

#: Directives that draw a picture instead of a menu: over a serial line nothing of it is seen.
PICTURES = ("splashimage", "gfxmenu", "hiddenmenu")

_LINE = re.compile(r"([ \t]*)([A-Za-z]+)([ \t]*=[ \t]*|[ \t]+|$)(.*)$", re.S)
_KERNEL_OPTION = re.compile(r"((?:--\S+[ \t]+)*)(\S+)(.*)$", re.S)
_AUTOMAGIC = re.compile(r"(# (kopt|kopt_2_6|defoptions)=)(.*)$", re.S)


class Line(NamedTuple):
    """One line of a menu: directive (lower case, "" where it is none), what stands around it, and its end."""

    indent: str
    directive: str
    space: str
    value: str
    end: str


def parse(text: str) -> List[Line]:
    """The lines of a menu; comments and blanks are lines without a directive."""
    result = []
    for piece in re.findall(r"[^\n]*\n|[^\n]+$", text):
        body = piece.rstrip("\r\n")
        end = piece[len(body) :]
        match = _LINE.match(body)
        if match and not body.lstrip().startswith("#"):
            result.append(Line(*(match.groups() + (end,))))
        else:
            result.append(Line("", "", "", body, end))
    return result


def render(lines: Sequence[Line]) -> str:
    return "".join(line.indent + line.directive + line.space + line.value + line.end for line in lines)


class Section(NamedTuple):
    """An entry's lines: where its title is, and the line that holds the Linux kernel (None: it boots no Linux)."""

    title: int
    kernel: Optional[int]
    initrd: List[str]


def sections(lines: Sequence[Line]) -> List[Section]:
    """The entries of a menu. Under Xen the first module is the Linux kernel, the next ones its initrd."""
    result: List[Section] = []
    title: Optional[int] = None
    kernel: Optional[int] = None
    initrd: List[str] = []
    xen = False
    for number, line in enumerate(lines):
        name = line.directive.lower()
        if name == "title":
            if title is not None:
                result.append(Section(title, kernel, initrd))
            title, kernel, initrd, xen = number, None, [], False
        elif title is None:
            continue
        elif name == "kernel":
            path = kernel_path(line)
            xen = bool(re.match(r"xen", path.rsplit("/", 1)[-1]))
            kernel = number if path and is_linux(path) and not xen else None
        elif name in ("module", "modulenounzip"):
            path = kernel_path(line)
            if xen and kernel is None and path:
                kernel = number
            elif path:
                initrd.append(path)
        elif name == "initrd":
            initrd.extend(line.value.split())
    if title is not None:
        result.append(Section(title, kernel, initrd))
    return result


def kernel_path(line: Line) -> str:
    """The file that a kernel or module line names, GRUB's device before it taken away."""
    match = _KERNEL_OPTION.match(line.value)
    return re.sub(r"^\([^)]*\)", "", match.group(2)) if match else ""


def arguments_of(line: Line) -> str:
    match = _KERNEL_OPTION.match(line.value)
    return match.group(3) if match else ""


def entries_of(path: str, text: str) -> List[Entry]:
    """The entries of a menu that boot Linux; an entry's id is its number, as "default" counts."""
    lines = parse(text)
    result = []
    for number, section in enumerate(sections(lines)):
        if section.kernel is None:
            continue
        line = lines[section.kernel]
        result.append(
            Entry(
                str(number),
                lines[section.title].value.strip(),
                kernel_path(line),
                [re.sub(r"^\([^)]*\)", "", name) for name in section.initrd],
                cmdline.split(arguments_of(line)),
                path,
            )
        )
    return result


def edit(text: str, request: Request, family: str) -> str:
    """A menu with the arguments of every entry, and GRUB's own terminal, changed."""
    lines = parse(text)
    for section in sections(lines):
        if section.kernel is None:
            continue
        line = lines[section.kernel]
        match = _KERNEL_OPTION.match(line.value)
        if match is None:
            continue
        options, name, arguments = match.groups()
        wanted = wanted_for(request, kernel_version(kernel_path(line)))
        edited = cmdline.edit(arguments, wanted)
        if edited and edited[0] not in " \t":
            edited = " " + edited
        lines[section.kernel] = line._replace(value=options + name + edited)
    lines = _edit_automagic(lines, wanted_for_all(request, entries_of("", text)))
    if request.serial_console:
        lines = _edit_terminal(lines, TIMEOUTS.get(family, TIMEOUT))
    return render(lines)


def _edit_automagic(lines: List[Line], wanted: Wanted) -> List[Line]:
    """Debian's comments that its update-grub makes the kernel lines of; kopt reaches the recovery entries too."""
    found = {}
    for number, line in enumerate(lines):
        match = _AUTOMAGIC.match(line.value) if not line.directive else None
        if match and match.group(2) not in found:
            found[match.group(2)] = (number, match)
    order = [name for name in ("kopt", "kopt_2_6", "defoptions") if name in found]
    if "kopt" not in order:
        return lines
    result = list(lines)
    tokens = {name: cmdline.tokens(found[name][1].group(3)) for name in order}
    for first in [name for name in order if name != "defoptions"]:
        names = [first] + [name for name in order if name == "defoptions"]
        planned = cmdline.plan(
            [[token.value for token in tokens[name]] for name in names],
            wanted,
            0,
            {0},
        )
        for name, pieces in zip(names, planned):
            number, match = found[name]
            text = cmdline.apply_pieces(match.group(3), tokens[name], pieces, KERNEL)
            result[number] = lines[number]._replace(value=match.group(1) + text)
    return result


def _edit_terminal(lines: List[Line], timeout: int) -> List[Line]:
    """The menu on the serial port and the screen, and shown."""
    first = next((number for number, line in enumerate(lines) if line.directive.lower() == "title"), len(lines))
    terminal = "terminal --timeout=%d serial console" % timeout
    wanted = {"serial": SERIAL_LINE, "terminal": terminal}
    result: List[Line] = []
    seen = set()
    place = None
    ending = "\r\n" if lines and lines[0].end == "\r\n" else "\n"
    for number, line in enumerate(lines):
        name = line.directive.lower()
        if number < first:
            if name in PICTURES:
                line = Line("", "", "", "#" + line.indent + line.directive + line.space + line.value, line.end)
            elif name in wanted:
                if name in seen:
                    continue
                seen.add(name)
                words = (line.directive + line.space + line.value).split()
                keep = name == "terminal" and {"serial", "console"} <= set(words)
                if not keep and words != wanted[name].split():
                    line = Line(line.indent, name, " ", wanted[name].split(" ", 1)[1], line.end)
            elif name == "timeout":
                text = line.value.strip()
                if not (text.isdigit() and int(text) >= timeout):
                    line = line._replace(value=str(timeout), space=line.space or " ")
                seen.add("timeout")
                result.append(line)
                place = len(result)
                continue
        if number == first and place is None:
            place = len(result)
        result.append(line)
    if place is None:
        place = len(result)
    missing = [wanted[name] for name in ("serial", "terminal") if name not in seen]
    if "timeout" not in seen:
        missing.insert(0, "timeout %d" % timeout)
    if missing and place and not result[place - 1].end:
        result[place - 1] = result[place - 1]._replace(end=ending)
    added = []
    for text in missing:
        directive, _blank, value = text.partition(" ")
        added.append(Line("", directive, " ", value, ending))
    return result[:place] + added + result[place:]


def find(host: Host) -> List[str]:
    """The menus of this system; a link and the file that it leads to are one."""
    result: List[str] = []
    seen = set()
    linked = [host.resolve(LINK)] if host.is_link(LINK) else []
    for path in list(CONFIGS) + host.glob(ESP_CONFIGS) + linked:
        if host.is_file(path) and host.resolve(path) not in seen:
            seen.add(host.resolve(path))
            result.append(path)
    return result


class GrubLegacy:
    """GRUB Legacy of one system: reads, plans, applies."""

    name = "grub-legacy"

    def __init__(self, host: Host, paths: Sequence[str]) -> None:
        self._host = host
        self.paths = list(paths)

    def entries(self) -> List[Entry]:
        return [entry for path in self.paths for entry in entries_of(path, self._host.read(path))]

    def plan(self, request: Request) -> Plan:
        host = self._host
        before = self.entries()
        if not before:
            raise AzurePrepError("%s holds no entry that boots Linux; nothing was changed." % ", ".join(self.paths))
        family = profiles.family_of(host.os_release())
        changes: List[Change] = []
        after: List[Entry] = []
        for path in self.paths:
            text = host.read(path)
            edited = edit(text, request, family)
            after.extend(entries_of(path, edited))
            if edited != text:
                changes.append(Change(path, text, edited))
        changes.extend(self._suse_change(request, before))
        check_entries(after, request)
        return Plan(changes, [], after, stale_entries(host, before))

    def _suse_change(self, request: Request, entries: Sequence[Entry]) -> List[Change]:
        host = self._host
        if not host.is_file(SUSE_SETTINGS):
            return []
        text = host.read(SUSE_SETTINGS)
        files = [shell_vars.parse(SUSE_SETTINGS, text)]
        wanted = wanted_for_all(request, entries)
        for name in SUSE_VARIABLES:
            if shell_vars.value(files, name):
                files = sourced.edit(files, (name,), wanted, name, (name,), KERNEL)
        return [Change(SUSE_SETTINGS, text, files[0].text)] if files[0].text != text else []

    def apply(self, plan: Plan, request: Request, transaction: Transaction) -> None:
        for change in plan.changes:
            transaction.write(change.path, change.after)

    def verify(self, request: Request) -> List[str]:
        check_entries(self.entries(), request)
        return []
