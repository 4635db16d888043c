# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot Loader Specification entries (type 1), as Red Hat's GRUB and systemd-boot read them.

An entry file has lines "key value"; the arguments stand on its "options" lines. Red Hat's GRUB fills in
variables ($kernelopts, $tuned_params) from its environment block; systemd-boot knows none.
Source: uapi-group.org, Boot Loader Specification; rhboot/grub2, grub-core/commands/blscfg.c.

The files are edited directly and not by grubby (rhboot/grubby, grubby-bls), where it is installed too: it writes to
one file after the other in place and has no way back when it is stopped half-way; to set one console= it takes away
every other; its shell loses blanks and expands asterisks in quoted values; and it says 0 when a file could not be
changed. What it keeps in step besides, $kernelopts in the environment block, is kept in step here as well, and
/etc/kernel/cmdline and the defaults too, so that a later grubby, grub2-mkconfig or kernel-install finds what it would
have left. Since 9.3 Red Hat's grub2-mkconfig leaves the entries alone; Fedora's, and that of 9.0 to 9.2, write every
options line anew (see grub2.py).

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import grubenv
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    Request,
    is_linux,
    kernel_version,
    wanted_for,
    wanted_for_all,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import GRUB, Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Where Red Hat's GRUB looks.
GRUB_ENTRIES = "/boot/loader/entries/*.conf"

#: The variable that Red Hat 8 keeps all arguments in.
KERNELOPTS = "kernelopts"
#: What Red Hat's GRUB takes for an entry without an options line.
DEFAULT_OPTIONS = "$default_kernelopts"

_LINE = re.compile(r"([ \t]*)([A-Za-z][A-Za-z0-9_-]*)([ \t]+)(.*)$", re.S)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))$")


class Line(NamedTuple):
    """One line: key and value where it has them, how they are set apart, and its end. Joined they give the line."""

    indent: str
    key: str
    space: str
    value: str
    end: str


def parse(text: str) -> List[Line]:
    """The lines of an entry file; comments, blanks and anything unknown are lines without a key."""
    result = []
    for piece in re.findall(r"[^\n]*\n|[^\n]+$", text):
        body = piece.rstrip("\r\n")
        end = piece[len(body) :]
        match = _LINE.match(body) if not body.lstrip().startswith("#") else None
        if match:
            result.append(Line(*(match.groups() + (end,))))
        else:
            result.append(Line("", "", "", body, end))
    return result


def render(lines: Sequence[Line]) -> str:
    return "".join(line.indent + line.key + line.space + line.value + line.end for line in lines)


def values(lines: Sequence[Line], key: str) -> List[str]:
    return [line.value.strip(" \t\r") for line in lines if line.key == key]


def expand(value: str, variables: Dict[str, str], quoting: str) -> List[str]:
    """The arguments of an options value, GRUB's variables filled in."""
    if quoting != GRUB:
        return cmdline.split(value, quoting)
    filled = re.sub(
        r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))",
        lambda match: variables.get(match.group(1) or match.group(2), ""),
        value,
    )
    return cmdline.split(filled, quoting)


def is_unified(text: str) -> bool:
    """True for an entry that boots a unified kernel image."""
    lines = parse(text)
    return bool(values(lines, "uki")) or any("/EFI/Linux/" in value for value in values(lines, "efi"))


def options_of(lines: Sequence[Line], variables: Dict[str, str], quoting: str) -> List[str]:
    """The effective arguments of an entry."""
    given = values(lines, "options")
    if not given and quoting == GRUB:
        given = [DEFAULT_OPTIONS]
    return expand(" ".join(given), variables, quoting)


def find_grub(host: Host) -> List[str]:
    return [path for path in host.glob(GRUB_ENTRIES) if host.is_file(path)]


def read(host: Host, paths: Sequence[str], variables: Dict[str, str], quoting: str) -> List[Entry]:
    """The entries of these files that boot Linux, in the order of their names."""
    entries = []
    for path in paths:
        lines = parse(host.read(path))
        kernel = (values(lines, "linux") or [""])[-1]
        if not kernel or not is_linux(kernel):
            continue
        initrd = [word for value in values(lines, "initrd") for word in value.split() if not word.startswith("$")]
        arguments = options_of(lines, variables, quoting)
        identity = path.rsplit("/", 1)[-1][: -len(".conf")]
        title = (values(lines, "title") or [identity])[-1]
        entries.append(Entry(identity, title, kernel, initrd, arguments, path))
    return entries


def edit(text: str, variables: Dict[str, str], wanted: Wanted, quoting: str) -> str:
    """An entry file with its arguments changed; variables keep standing where they already give what is wanted."""
    lines = parse(text)
    options = [number for number, line in enumerate(lines) if line.key == "options"]
    if not options:
        given = options_of(lines, variables, quoting)
        merged = cmdline.merge(given, wanted)
        if merged == given or not values(lines, "linux"):
            return text
        end = "\r\n" if lines[0].end == "\r\n" else "\n"
        if not lines[-1].end:
            lines[-1] = lines[-1]._replace(end=end)
        return render(lines + [Line("", "options", " ", cmdline.join(merged, quoting), end)])
    # One segment per run of tokens between two variables; a variable is a segment that cannot be edited here.
    segments: List[List[str]] = []
    owners: List[Tuple[int, List[cmdline.Token]]] = []
    for number in options:
        found = cmdline.tokens(lines[number].value, quoting)
        run: List[cmdline.Token] = []
        for token in found:
            match = _REFERENCE.match(token.value) if quoting == GRUB else None
            if match:
                segments.append([item.value for item in run])
                owners.append((number, run))
                segments.append(expand(token.value, variables, quoting))
                owners.append((-1, [token]))
                run = []
            else:
                run.append(token)
        segments.append([item.value for item in run])
        owners.append((number, run))
    planned = cmdline.plan(segments, wanted, len(segments) - 1)
    fixed = all(
        owner[0] >= 0 or [piece.token for piece in pieces] == list(range(len(segment)))
        for owner, segment, pieces in zip(owners, segments, planned)
    )
    for number in options:
        text_before = lines[number].value
        found = cmdline.tokens(text_before, quoting)
        pieces: List[cmdline.Piece] = []
        index_of = {token.start: index for index, token in enumerate(found)}
        for owner, part in zip(owners, planned):
            if owner[0] == number:
                pieces.extend(
                    cmdline.Piece(piece.value, index_of[owner[1][piece.token].start] if piece.token >= 0 else -1)
                    for piece in part
                )
            elif owner[0] < 0 and _belongs(owners, owner, number):
                if fixed:
                    pieces.append(cmdline.Piece(owner[1][0].value, index_of[owner[1][0].start]))
                else:
                    pieces.extend(cmdline.Piece(piece.value, -1) for piece in part)
        lines[number] = lines[number]._replace(value=cmdline.apply_pieces(text_before, found, pieces, quoting))
    return render(lines)


def _belongs(
    owners: Sequence[Tuple[int, List[cmdline.Token]]], variable: Tuple[int, List[cmdline.Token]], number: int
) -> bool:
    """True where a variable stands on this options line: the run before it does."""
    index = next(index for index, owner in enumerate(owners) if owner is variable)
    return index > 0 and owners[index - 1][0] == number


def _other_blocks(host: Host, first: str, wanted: Wanted, quoting: str) -> List[Change]:
    """The changes of further environment blocks with arguments of their own, which the other firmware's GRUB reads."""
    changes = []
    for path in grubenv.find_all(host):
        if path == first:
            continue
        text = host.read(path)
        try:
            held = grubenv.parse(path, text).get(KERNELOPTS)
            after = (
                text if held is None else grubenv.change(path, text, KERNELOPTS, cmdline.edit(held, wanted, quoting))
            )
        except AzurePrepError:
            continue
        if after != text:
            changes.append(Change(path, text, after))
    return changes


def plan(
    host: Host, paths: Sequence[str], variables: Dict[str, str], request: Request, quoting: str
) -> Tuple[List[Change], List[Entry]]:
    """The changes of the environment block and of the entry files, and the entries afterwards."""
    changes: List[Change] = []
    entries = read(host, paths, variables, quoting)
    known = dict(variables)
    block = grubenv.find(host) if quoting == GRUB and paths else None
    used = any("$" + KERNELOPTS in host.read(path).replace("${", "$") for path in paths)
    if block is not None and (used or KERNELOPTS in grubenv.load(host)):
        text = host.read(block)
        wanted = wanted_for_all(request, entries)
        edited = cmdline.edit(known.get(KERNELOPTS, ""), wanted, quoting)
        try:
            after = grubenv.change(block, text, KERNELOPTS, edited)
        except AzurePrepError:
            # No room, or no block: the entries below then say it all themselves.
            after = text
        if after != text:
            changes.append(Change(block, text, after))
            known[KERNELOPTS] = edited
        changes += _other_blocks(host, block, wanted, quoting)
    for path in paths:
        text = host.read(path)
        kernel = (values(parse(text), "linux") or [""])[-1]
        if not kernel or not is_linux(kernel):
            continue
        edited = edit(text, known, wanted_for(request, kernel_version(kernel)), quoting)
        if edited != text:
            changes.append(Change(path, text, edited))
    texts = {change.path: change.after for change in changes}
    after_entries = []
    for entry in entries:
        lines = parse(texts.get(entry.source, host.read(entry.source)))
        arguments = options_of(lines, known, quoting)
        after_entries.append(entry._replace(arguments=arguments))
    return changes, after_entries
