# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel arguments in variables of files that a shell sources: /etc/default/grub, /etc/sysconfig/bootloader.

Private to the collection: its interface may change in any release.
"""

from typing import List, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.shell_vars import Edit, SourcedFile

#: Rounds of editing until variables that refer to each other have settled.
MAX_ROUNDS = 4


def edit(
    files: Sequence[SourcedFile],
    names: Sequence[str],
    wanted: Wanted,
    target: str,
    counted: Sequence[str],
    quoting: str,
) -> List[SourcedFile]:
    """Set and remove arguments in variables that make up one line, in this order.

    target: the variable that takes new arguments. counted: the variables that reach every line; an argument in
    another one does not count as present. Variables that are made of each other, so that no edit of a part settles,
    are written out. AzurePrepError where a command's output is among the parts.
    """
    current = list(files)
    places = {number for number, name in enumerate(names) if name in counted}
    for _round in range(MAX_ROUNDS):
        values = shell_vars.evaluate(current)
        cells = [values.get(name, []) for name in names]
        tokens = [cmdline.tokens(shell_vars.text_of(part), quoting) for part in cells]
        planned = cmdline.plan(
            [[token.value for token in part] for part in tokens], wanted, list(names).index(target), places
        )
        if _entangled(cells, tokens, planned):
            return _write_out(files, names, wanted, target, places, quoting)
        edits: List[Edit] = []
        additions: List[Tuple[str, str]] = []
        for name, part, found, pieces in zip(names, cells, tokens, planned):
            part_edits, addition = _edit_segment(part, found, pieces, quoting)
            edits.extend(change for change in part_edits if change not in edits)
            if addition:
                additions.append((name, addition))
        if not edits and not additions:
            return _clean_overridden(current, names, wanted, quoting)
        current = shell_vars.apply_edits(current, edits)
        for name, addition in additions:
            current = shell_vars.apply_edits(current, [shell_vars.append_words(current, name, addition, 0)])
    return _write_out(files, names, wanted, target, places, quoting)


def _write_out(
    files: Sequence[SourcedFile], names: Sequence[str], wanted: Wanted, target: str, places: Set[int], quoting: str
) -> List[SourcedFile]:
    """Variables that are made of each other, each assigned its whole value where it is assigned last."""
    values = shell_vars.evaluate(files, shell_vars.UNKNOWN)
    texts = [shell_vars.text_of(values.get(name, [])) for name in names]
    if any(shell_vars.UNKNOWN in text for text in texts):
        raise AzurePrepError(
            "%s and what is sourced after it build %s out of each other and of a command's output; write the values "
            "out." % (files[0].path, " and ".join(names)),
            path=files[0].path,
        )
    tokens = [cmdline.tokens(text, quoting) for text in texts]
    planned = cmdline.plan(
        [[token.value for token in part] for part in tokens], wanted, list(names).index(target), places
    )
    current = list(files)
    for name, text, found, pieces in zip(names, texts, tokens, planned):
        change = shell_vars.assign(current, name, cmdline.apply_pieces(text, found, pieces, quoting), 0)
        if change is not None:
            current = shell_vars.apply_edits(current, [change])
    return current


def _entangled(
    cells: Sequence[Sequence[shell_vars.Cell]],
    tokens: Sequence[Sequence[cmdline.Token]],
    planned: Sequence[Sequence[cmdline.Piece]],
) -> bool:
    """True where what must go is written nowhere, or where the same characters make up what must stay."""
    stay: Set[shell_vars.Place] = set()
    gone: Set[Optional[shell_vars.Place]] = set()
    for part, found, pieces in zip(cells, tokens, planned):
        kept = {piece.token for piece in pieces}
        for number, token in enumerate(found):
            places = {cell.place for cell in part[token.start : token.end]}
            if number in kept:
                stay.update(place for place in places if place is not None)
            else:
                gone.update(places)
    return None in gone or bool(gone & stay)


def _edit_segment(
    cells: Sequence[shell_vars.Cell], found: Sequence[cmdline.Token], pieces: Sequence[cmdline.Piece], quoting: str
) -> Tuple[List[Edit], str]:
    """Edits that remove and insert in the middle of a value, and the words to put at its end."""
    kept = {piece.token for piece in pieces if piece.token >= 0}
    edits: List[Edit] = []
    for number, token in enumerate(found):
        if number in kept:
            continue
        start = found[number - 1].end if number else 0
        end = token.end
        if not number and len(found) > 1:
            start, end = token.start, found[1].start
        for edit in shell_vars.remove_cells(list(cells[token.start : token.end]), token.value):
            edits.append(edit)
        blanks = _written_beside(cells, start, token.start, end)
        edits.extend(edit for edit in shell_vars.remove_cells(blanks, "a blank") if edit not in edits)
    tail: List[str] = []
    for index, piece in enumerate(pieces):
        if piece.token >= 0:
            continue
        word = cmdline.quote_argument(piece.value, quoting)
        following = next((later.token for later in pieces[index + 1 :] if later.token >= 0), None)
        place = cells[found[following].start].place if following is not None else None
        if place is None:
            tail.append(word)
        else:
            text = shell_vars.encode(word + " ", place.quote)
            edits.append(Edit(place.file, place.start, place.start, text))
    return edits, " ".join(tail)


def _written_beside(cells: Sequence[shell_vars.Cell], start: int, token_start: int, end: int) -> List[shell_vars.Cell]:
    """The blanks cells[start:token_start] or those at the end of cells[token_start:end] that stand beside the token
    in its file too: a blank after "$NAME" keeps what follows from becoming part of the name."""
    result: List[shell_vars.Cell] = []
    before = cells[token_start]
    for cell in reversed(cells[start:token_start]):
        if not _adjacent(cell, before):
            break
        result.append(cell)
        before = cell
    position = end
    while position > token_start and cells[position - 1].char in cmdline.BLANKS:
        position -= 1
    for index in range(position, end):
        if not _adjacent(cells[index - 1], cells[index]):
            break
        result.append(cells[index])
    return result


def _adjacent(left: shell_vars.Cell, right: shell_vars.Cell) -> bool:
    if left.place is None or right.place is None:
        return False
    return left.place.file == right.place.file and left.place.end == right.place.start


def _clean_overridden(
    files: Sequence[SourcedFile], names: Sequence[str], wanted: Wanted, quoting: str
) -> List[SourcedFile]:
    """Take unwanted arguments out of assignments that a later one overrides: they come back with the later one gone."""
    current = list(files)
    for number, file in enumerate(current):
        edits: List[Edit] = []
        for assignment in file.assignments:
            if assignment.name not in names:
                continue
            cells = shell_vars.alone(file, assignment)
            if assignment.append:
                cells = [shell_vars.Cell(shell_vars.UNKNOWN, None)] + cells
            found = cmdline.tokens(shell_vars.text_of(cells), quoting)
            pieces = cmdline.plan([[token.value for token in found]], Wanted((), wanted.remove), 0)[0]
            pieces = [
                piece
                for index, piece in enumerate(cmdline.Piece(token.value, n) for n, token in enumerate(found))
                if piece in pieces
                or any(cmdline.same(piece.value, argument) for argument in wanted.set)
                or shell_vars.UNKNOWN in piece.value
            ]
            part_edits, _tail = _edit_segment(cells, found, pieces, quoting)
            edits.extend(edit._replace(file=number) for edit in part_edits)
        if edits:
            current = shell_vars.apply_edits(current, [edit for i, edit in enumerate(edits) if edit not in edits[:i]])
    return current
