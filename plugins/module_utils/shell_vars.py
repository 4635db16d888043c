# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables in files that a shell sources: /etc/default/grub and its drop-ins, dracut.conf, /etc/sysconfig/*.

The files are read as POSIX.1-2017 (Shell Command Language, 2.2 Quoting, 2.3 Token Recognition, 2.9.1 Simple
Commands) has it, plus bash's NAME+=value. Every character of a value remembers where it was written, so that
one argument can be taken out of a value that is put together from several assignments, and the rest of every
file stays byte for byte. Nothing is ever executed: a command substitution has no value here.

Why by hand: shlex knows words but no assignments, no expansion and no places.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Words after which a command, hence an assignment, may follow.
_OPENERS = frozenset(["then", "else", "elif", "do", "if", "while", "until", "{", "!"])
_DECLARERS = frozenset(["export", "readonly", "declare", "typeset", "local"])
_DEEPER = frozenset(["if", "while", "until", "for", "case", "{", "select"])
_SHALLOWER = frozenset(["fi", "done", "esac", "}"])

#: Under this name, which no variable has, evaluate() finds what stands for the output of a command.
COMMAND = ""

#: Stands for a value that only a running shell knows (a character that is never used).
UNKNOWN = "\ufdd0"

#: Values that refer to each other could double with every line; no command line comes near this length.
MAX_VALUE = 65536


class Place(NamedTuple):
    """Where a character was written: file number, span in its text, and the quote around it ("", '"' or "'")."""

    file: int
    start: int
    end: int
    quote: str


class Cell(NamedTuple):
    """One character of a value and where it was written; place is None for text that no file holds."""

    char: str
    place: Optional[Place]


class Assignment(NamedTuple):
    """NAME=word or NAME+=word: text[start:end] is the word as written; nested ones stand inside if, case, {}."""

    name: str
    append: bool
    start: int
    end: int
    nested: bool
    line: int


class SourcedFile(NamedTuple):
    """One file: its path as the system names it, its text, its assignments in order."""

    path: str
    text: str
    assignments: List[Assignment]


class Edit(NamedTuple):
    """Replace text[start:end] of a file by `text`."""

    file: int
    start: int
    end: int
    text: str


# -- scanning --------------------------------------------------------------------------------------------------


class _Scanner:
    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    def fail(self, position: int, what: str) -> AzurePrepError:
        line = self.text.count("\n", 0, position) + 1
        return AzurePrepError(
            "%s line %d: %s; no shell can read this file. Repair that line." % (self.path, line, what), path=self.path
        )

    def line_end(self, position: int) -> bool:
        """True at a line end: LF, CR LF, or the end of the file (with or without a lone CR before it)."""
        text = self.text
        if position >= len(text) or text[position] == "\n":
            return True
        return text[position] == "\r" and (position + 1 == len(text) or text[position + 1] == "\n")

    def skip_group(self, position: int, opener: str, closer: str) -> int:
        """The place after the closer of a $( or ${ whose opener stands at position."""
        start = position
        depth = 0
        text = self.text
        while position < len(text):
            char = text[position]
            if char == "\\":
                position += 2
                continue
            if char == "'" and opener == "(":
                end = text.find("'", position + 1)
                if end < 0:
                    raise self.fail(position, "a single quote is never closed")
                position = end + 1
                continue
            if char == opener:
                depth += 1
            elif char == closer:
                depth -= 1
                if not depth:
                    return position + 1
            position += 1
        raise self.fail(start, "a %s is never closed" % opener)

    def skip_backquote(self, position: int) -> int:
        start = position
        position += 1
        while position < len(self.text):
            if self.text[position] == "\\":
                position += 2
            elif self.text[position] == "`":
                return position + 1
            else:
                position += 1
        raise self.fail(start, "a backquote is never closed")

    def skip_expansion(self, position: int) -> int:
        """The place after $NAME, ${...}, $(...), $((...)), $1; the $ stands at position."""
        following = self.text[position + 1 : position + 2]
        if following == "{":
            return self.skip_group(position + 1, "{", "}")
        if following == "(":
            return self.skip_group(position + 1, "(", ")")
        match = _NAME.match(self.text, position + 1)
        if match:
            return match.end()
        return position + 2 if following and following in "0123456789@*#?$!-" else position + 1

    def skip_word(self, position: int) -> int:
        """The place after the word that starts at position."""
        text = self.text
        while position < len(text):
            char = text[position]
            if self.line_end(position) or char in " \t;&|()<>":
                return position
            if char == "\\":
                position += 3 if text.startswith("\r\n", position + 1) else 2
            elif char == "'":
                end = text.find("'", position + 1)
                if end < 0:
                    raise self.fail(position, "a single quote is never closed")
                position = end + 1
            elif char == '"':
                position = self.skip_double(position)
            elif char == "`":
                position = self.skip_backquote(position)
            elif char == "$":
                position = self.skip_expansion(position)
            else:
                position += 1
        return min(position, len(text))

    def skip_double(self, position: int) -> int:
        start = position
        position += 1
        while position < len(self.text):
            char = self.text[position]
            if char == "\\":
                position += 2
            elif char == '"':
                return position + 1
            elif char == "`":
                position = self.skip_backquote(position)
            elif char == "$":
                position = self.skip_expansion(position)
            else:
                position += 1
        raise self.fail(start, "a double quote is never closed")

    def scan(self) -> List[Assignment]:
        text = self.text
        result: List[Assignment] = []
        position = 0
        depth = 0
        command = True
        target = False
        unset = False
        declared = False
        # Where the assignments of the current command begin: before a command's name they hold for that command only.
        first = 0
        heredocs: List[Tuple[str, bool]] = []
        while position < len(text):
            char = text[position]
            if char in "\n;&|()":
                command, target, unset, declared, first = True, False, False, False, len(result)
            if char == "\n":
                position += 1
                for delimiter, strip in heredocs:
                    position = self._skip_heredoc(position, delimiter, strip)
                heredocs = []
            elif char in " \t\r":
                position += 1
            elif char == "\\" and self.line_end(position + 1):
                position += 2
            elif char == "#":
                end = text.find("\n", position)
                position = len(text) if end < 0 else end
            elif text.startswith("<<", position) and not text.startswith("<<<", position):
                position += 2
                strip = text.startswith("-", position)
                position += 1 if strip else 0
                while position < len(text) and text[position] in " \t":
                    position += 1
                end = self.skip_word(position)
                heredocs.append((re.sub(r"[\\'\"]", "", text[position:end]), strip))
                position = max(end, position + 1) if end == position else end
            elif char in ";&|()":
                position += 1
            elif char in "<>":
                position += 1
                target = True
            else:
                end = self.skip_word(position)
                word = text[position:end]
                match = _ASSIGNMENT.match(word) if command and not target else None
                if target or (word.isdigit() and text[end : end + 1] in ("<", ">")):
                    target = False
                elif unset and _NAME.match(word):
                    # As if it were assigned nothing, behind a condition: what is added goes to a line of its own.
                    line = text.count("\n", 0, position) + 1
                    result.append(Assignment(word, False, end, end, True, line))
                elif match:
                    line = text.count("\n", 0, position) + 1
                    name, operator = match.groups()
                    begin = position + match.end()
                    result.append(Assignment(name, operator == "+=", begin, end, depth > 0, line))
                elif command and word in _DECLARERS:
                    declared = True
                elif command and word in _SHALLOWER:
                    depth = max(0, depth - 1)
                else:
                    if command and word in _DEEPER:
                        depth += 1
                    if command and word not in _OPENERS and not declared:
                        del result[first:]
                        unset = word == "unset"
                    command = command and (word in _OPENERS or declared)
                position = end
        return result

    def _skip_heredoc(self, position: int, delimiter: str, strip: bool) -> int:
        while position < len(self.text):
            end = self.text.find("\n", position)
            line = self.text[position:] if end < 0 else self.text[position:end]
            position = len(self.text) if end < 0 else end + 1
            line = line.rstrip("\r")
            if (line.lstrip("\t") if strip else line) == delimiter:
                break
        return position


def parse(path: str, text: str) -> SourcedFile:
    """Find the assignments of a file; AzurePrepError names the line where a shell would give up."""
    return SourcedFile(path, text, _Scanner(path, text).scan())


# -- values ----------------------------------------------------------------------------------------------------


def _expand(
    scanner: _Scanner, number: int, start: int, end: int, values: Dict[str, List[Cell]], quote: str = ""
) -> List[Cell]:
    """The cells of text[start:end], a word or (with quote '"') the inside of a double-quoted string."""
    text = scanner.text
    cells: List[Cell] = []
    position = start
    while position < end:
        char = text[position]
        if char == "\\" and position + 1 < end:
            following = text[position + 1]
            if following == "\n":
                position += 2
                continue
            if text.startswith("\r\n", position + 1):
                position += 3
                continue
            if quote and following not in '$`"\\':
                cells.append(Cell(char, Place(number, position, position + 1, quote)))
                position += 1
                continue
            cells.append(Cell(following, Place(number, position, position + 2, quote)))
            position += 2
        elif char == "'" and not quote:
            close = text.index("'", position + 1)
            cells.extend(Cell(text[i], Place(number, i, i + 1, "'")) for i in range(position + 1, close))
            position = close + 1
        elif char == '"' and not quote:
            close = scanner.skip_double(position)
            cells.extend(_expand(scanner, number, position + 1, close - 1, values, '"'))
            position = close
        elif char == "`":
            position = scanner.skip_backquote(position)
            cells.extend(values.get(COMMAND, []))
        elif char == "$":
            close = scanner.skip_expansion(position)
            cells.extend(_parameter(text[position:close], values))
            if close == position + 1:
                cells.append(Cell("$", Place(number, position, close, quote)))
            position = close
        else:
            cells.append(Cell(char, Place(number, position, position + 1, quote)))
            position += 1
    return cells


def _parameter(expression: str, values: Dict[str, List[Cell]]) -> List[Cell]:
    """$NAME, ${NAME}, ${NAME:-word}, ${NAME:+word}: their value; anything else has none here."""
    match = re.match(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)(.*)$", expression, re.S)
    if not match:
        return values.get(COMMAND, []) if expression.startswith("$(") else []
    value = values.get(match.group(1), [])
    rest = match.group(2)
    if not expression.startswith("${") or rest == "}":
        return value
    rest = rest[:-1]
    fallback = [Cell(char, None) for char in rest.lstrip(":")[1:].strip("\"'")]
    if rest.startswith((":-", "-", ":=", "=")):
        return value or fallback
    if rest.startswith((":+", "+")):
        return fallback if value else []
    return values.get(COMMAND, [])


class _Unknown(Dict[str, List[Cell]]):
    """Variables of which nothing is known: each one stands for one character that no argument has."""

    def get(self, _name: str, _default: Any = None) -> Any:
        return [Cell(UNKNOWN, None)]


def alone(file: SourcedFile, assignment: Assignment) -> List[Cell]:
    """The value of one assignment by itself: what it takes from variables and commands shows as UNKNOWN."""
    return _expand(_Scanner(file.path, file.text), 0, assignment.start, assignment.end, _Unknown())


def evaluate(files: Sequence[SourcedFile], command: str = "") -> Dict[str, List[Cell]]:
    """The variables after the files were sourced in this order; conditional assignments count as made.

    command: what stands for the output of a command, which is never run.
    """
    values: Dict[str, List[Cell]] = {COMMAND: [Cell(char, None) for char in command]}
    for number, file in enumerate(files):
        scanner = _Scanner(file.path, file.text)
        for assignment in file.assignments:
            cells = _expand(scanner, number, assignment.start, assignment.end, values)
            if assignment.append:
                cells = values.get(assignment.name, []) + cells
            if len(cells) > MAX_VALUE:
                raise AzurePrepError(
                    "%s line %d: the value of %s grows beyond %d characters; repair that line."
                    % (file.path, assignment.line, assignment.name, MAX_VALUE)
                )
            values[assignment.name] = cells
    del values[COMMAND]
    return values


def text_of(cells: Sequence[Cell]) -> str:
    return "".join(cell.char for cell in cells)


def value(files: Sequence[SourcedFile], name: str) -> Optional[str]:
    """The value of one variable after all files; None where no file assigns it."""
    values = evaluate(files)
    return text_of(values[name]) if name in values else None


# -- editing ---------------------------------------------------------------------------------------------------


def encode(text: str, quote: str) -> str:
    """Text as it must be written inside a quote context so that a shell reads it back."""
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", text)
    if quote == "'":
        return text.replace("'", "'\\''")
    return re.sub(r"([^A-Za-z0-9_@%+=:,./\-])", r"\\\1", text)


def quoted(text: str) -> str:
    """A double-quoted word."""
    return '"%s"' % encode(text, '"')


def last_assignment(files: Sequence[SourcedFile], name: str) -> Optional[Tuple[int, Assignment]]:
    """The assignment of a variable that a shell makes last: file number and place."""
    for number in reversed(range(len(files))):
        for assignment in reversed(files[number].assignments):
            if assignment.name == name:
                return number, assignment
    return None


def line_break(text: str) -> str:
    """The line end that a file uses: that of its first line, LF where it has none."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def append_line(files: Sequence[SourcedFile], number: int, line: str) -> Edit:
    """Add a line at the end of a file, after a line break where the last line lacks one.

    It ends with LF in a file with DOS line ends too: to a shell the carriage return would be part of the value.
    """
    text = files[number].text
    ending = line_break(text)
    lead = ending if text and not text.endswith("\n") else ""
    body = text[: -len(ending)] if text.endswith(ending) else text
    if (len(body) - len(body.rstrip("\\"))) % 2:
        # The last line goes on below: an empty line ends it.
        lead += ending
    return Edit(number, len(text), len(text), lead + line + "\n")


def append_words(files: Sequence[SourcedFile], name: str, words: str, default_file: int) -> Edit:
    """Add words at the end of a variable's value, inside its quotes; assign it where nothing does."""
    found = last_assignment(files, name)
    if found is None:
        return append_line(files, default_file, "%s=%s" % (name, quoted(words)))
    number, assignment = found
    file = files[number]
    raw = file.text[assignment.start : assignment.end]
    if assignment.nested:
        # Behind a condition the shell may pass it over: continue the value on a line of its own.
        return append_line(files, number, '%s="${%s} %s"' % (name, name, encode(words, '"')))
    empty = not text_of(_expand(_Scanner(file.path, file.text), number, assignment.start, assignment.end, {}))
    if raw[:1] in ("'", '"') and len(raw) >= 2 and raw[-1] == raw[0] and _is_one_string(raw):
        inner = raw[1:-1]
        space = "" if not inner and not assignment.append or inner[-1:] in (" ", "\t") else " "
        return Edit(number, assignment.end - 1, assignment.end - 1, space + encode(words, raw[0]))
    if re.match(r"[A-Za-z0-9_@%+=:,./\-]*$", raw):
        lead = raw + " " if raw or assignment.append else ""
        return Edit(number, assignment.start, assignment.end, quoted(lead + words))
    glued = empty and "$" not in raw and not assignment.append
    return Edit(number, assignment.end, assignment.end, quoted(("" if glued else " ") + words))


def _is_one_string(raw: str) -> bool:
    """True where the quote that opens a word closes only at its end."""
    if raw[0] == "'":
        return "'" not in raw[1:-1]
    try:
        return _Scanner("", raw).skip_double(0) == len(raw)
    except AzurePrepError:
        return False


def assign(files: Sequence[SourcedFile], name: str, text: str, default_file: int) -> Optional[Edit]:
    """Give a variable this very value where it is assigned last; None where it has it already."""
    if value(files, name) == text:
        return None
    word = text if re.match(r"[A-Za-z0-9_./-]+$", text) else quoted(text)
    found = last_assignment(files, name)
    if found is None or found[1].nested:
        return append_line(files, found[0] if found else default_file, "%s=%s" % (name, word))
    number, assignment = found
    if assignment.append:
        return append_line(files, number, "%s=%s" % (name, word))
    # A carriage return behind it would be part of the new value.
    end = assignment.end + files[number].text.startswith("\r\n", assignment.end)
    return Edit(number, assignment.start, end, word)


def remove_cells(cells: Sequence[Cell], what: str) -> List[Edit]:
    """Take these characters out of the files; AzurePrepError where one of them is written in none."""
    edits: List[Edit] = []
    for cell in cells:
        if cell.place is None:
            raise AzurePrepError(
                "%s comes from a shell expansion that cannot be edited; write it out, or remove it there." % what
            )
        edit = Edit(cell.place.file, cell.place.start, cell.place.end, "")
        if edit not in edits:
            edits.append(edit)
    return edits


def apply_edits(files: Sequence[SourcedFile], edits: Sequence[Edit]) -> List[SourcedFile]:
    """The files with all edits made (spans as in the given files), parsed again."""
    result: List[SourcedFile] = []
    for number, file in enumerate(files):
        text = file.text
        own = [(edit.start, edit.end, order, edit.text) for order, edit in enumerate(edits) if edit.file == number]
        for start, end, _order, replacement in sorted(own, reverse=True):
            text = text[:start] + replacement + text[end:]
        result.append(file if text == file.text else parse(file.path, text))
    return result
