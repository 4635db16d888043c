# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a fixed VHD in place, out of a raw disk or of a fixed VHD: a plan of a few small writes.

What is written does not depend on the size of the disk. Each phase of a plan is on the disk before the next
begins, and after each of them the file is a whole image:

1. the footer at its new place, in one write that makes the file grow. Before it: the old image, after it: a valid VHD.
   When a partition table has to follow, this footer is marked as unfinished, in bytes that readers ignore.
2. zeros over the footer of before, which has become part of the disk, and the backup GPT at the new end;
3. the primary GPT header (one sector) and the size in the protective MBR;
4. the footer once more, without the mark.

A run that finds the mark, or the leftover footer of before, does what is missing.

Private to the collection: its interface may change in any release.
"""

from typing import List, NamedTuple, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer as vhd_footer
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import gpt
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.disk import Disk
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.footer import MIB, SIZE, Footer

_UUID_AT = slice(68, 84)


class Plan(NamedTuple):
    """What to do to a file.

    phases: lists of writes, each list synced before the next is begun; none when the file is right already.
    footer: the footer at the end. reasons: why, as sentences without a subject. table: the GPT as found.
    """

    size: int
    footer: Footer
    phases: List[List[gpt.Write]]
    reasons: List[str]
    table: Optional[gpt.Table]
    warnings: List[str]


def virtual_read(disk: Disk, size: int) -> gpt.Read:
    """Read the disk inside a file, never what follows it."""

    def read(offset: int, length: int) -> bytes:
        return disk.read(offset, max(0, min(length, size - offset)))

    return read


def leftovers(read: gpt.Read, footer: Footer) -> List[int]:
    """Where footers of this very VHD, from before it grew, lie in the last MiB of the disk.

    A sound one tells its own place. A wrong one, which repair was to replace, is known by its UUID alone, and taken for
    one only where the mark says that a run was cut.
    """
    start = max(footer.current_size - MIB, 0)
    tail = read(start, footer.current_size - start)
    found = []
    at = tail.find(vhd_footer.COOKIE)
    while at >= 0:
        data = tail[at : at + SIZE]
        if len(data) == SIZE and data[_UUID_AT] == footer.unique_id:
            old = vhd_footer.parse(data, "", check=False)
            whole = data[64:68] == vhd_footer.render_checksum(data)
            own_place = (old.disk_type, old.current_size) == (vhd_footer.FIXED, start + at)
            if (whole and own_place) or footer.unfinished:
                found.append(start + at)
        at = tail.find(vhd_footer.COOKIE, at + 1)
    return found


def plan(
    disk: Disk,
    old: Optional[Footer],
    size: int,
    wanted: Footer,
    fix_gpt: bool,
    rewrite: List[str],
    damaged: bool = False,
) -> Plan:
    """Plan for a disk of `size` bytes at the beginning of the file, `old` being its footer (None: raw).

    `wanted` is the footer at the end of the work; its current_size is at least `size`. `rewrite` says why a footer
    that could stay is to be written all the same. `damaged`: `old` cannot be relied on to be recognised again.
    """
    read = virtual_read(disk, size)
    new_size = wanted.current_size
    grows = new_size > size
    reasons = list(rewrite)
    if old is None:
        reasons.insert(0, "is a raw disk without a footer")
    if grows:
        reasons.append("has a virtual size of %d bytes, which is not a whole number of MiB" % size)
    stray = leftovers(read, old) if old is not None and not grows else []
    if stray:
        reasons.append("still holds, as part of its disk, the footer from before it grew")
    if old is not None and old.unfinished:
        reasons.append("was left unfinished by an interrupted run")
    table = gpt.inspect(read, size)
    warnings: List[str] = []
    if not reasons:
        return Plan(size, wanted, [], [], table, warnings)

    backup: List[gpt.Write] = []
    primary: List[gpt.Write] = []
    if fix_gpt and table is not None:
        backup, primary, problem = gpt.plan_relocation(read, table, new_size, finish=old is not None and old.unfinished)
        if problem:
            warnings.append(problem)
    clean = [gpt.Write(at, bytes(SIZE), "zeros over the footer from before") for at in stray]
    if old is not None and grows:
        clean.append(gpt.Write(size, bytes(SIZE), "zeros over the footer from before"))
    final = gpt.Write(new_size, vhd_footer.render(wanted), "the footer")
    phases: List[List[gpt.Write]] = []
    footer_stays = old is not None and not grows and not rewrite and not old.unfinished
    if backup or primary or (damaged and grows):
        marked = vhd_footer.unfinished(wanted)
        if old != marked:
            phases.append([gpt.Write(new_size, vhd_footer.render(marked), "the footer, marked as unfinished")])
        phases += [clean + backup, primary, [final]]
    elif old is not None and old.unfinished and not grows:
        phases += [clean, [final]]
    elif footer_stays:
        phases.append(clean)
    else:
        phases += [[final], clean]
    return Plan(new_size, wanted, [phase for phase in phases if phase], reasons, table, warnings)


def apply(disk: Disk, todo: Plan) -> None:
    """Write phase after phase, each on the disk before the next."""
    for phase in todo.phases:
        for write in phase:
            disk.write(write.offset, write.data)
        disk.sync()
