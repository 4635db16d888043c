# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a grub.cfg as GRUB 2 would, as far as boot entries go (GRUB manual, "Shell-like scripting").

Understood: quoting, line continuation, comments, set and plain assignments, if with the tests that generated
files contain, functions (not run), menuentry and submenu, linux/linux16/linuxefi, initrd*, multiboot + module.
A test that cannot be decided here runs both branches, the first assignment of a variable winning.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Entry, is_linux
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

LINUX_COMMANDS = ("linux", "linux16", "linuxefi")
INITRD_COMMANDS = ("initrd", "initrd16", "initrdefi")
MULTIBOOT_COMMANDS = ("multiboot", "multiboot2", "xen_hypervisor")
MODULE_COMMANDS = ("module", "module2", "xen_module", "xen_linux")

#: The marks that grub-mkconfig writes around the output of each of its scripts.
_SECTION = re.compile(r"### (BEGIN|END) (\S+) ###")

#: The script whose entries boot other installations, which are not ours to change.
OS_PROBER = "os-prober"


class Part(NamedTuple):
    """A piece of a word: kind "text" (value is literal) or "variable" (value is its name); quoted or not."""

    kind: str
    value: str
    quoted: bool


class Word(NamedTuple):
    """One word of a command and where it stands in the text."""

    parts: Tuple[Part, ...]
    start: int
    end: int

    def literal(self) -> str:
        """The word where it holds no variable, else "" for each variable."""
        return "".join(part.value for part in self.parts if part.kind == "text")


class Command(NamedTuple):
    """Words up to a line end or semicolon. A block's braces are commands of their own ("{" and "}")."""

    words: List[Word]
    line: int
    section: str


class GrubConfig(NamedTuple):
    """What a grub.cfg says: its entries, its variables, which commands it runs, where each entry's section is.

    sections: for each entry the script that wrote it ("/etc/grub.d/10_linux"), "" where no mark tells.
    """

    entries: List[Entry]
    sections: List[str]
    variables: Dict[str, str]
    commands: List[List[str]]

    def runs(self, name: str) -> bool:
        return any(words and words[0] == name for words in self.commands)


def lex(path: str, text: str) -> List[Command]:
    """Split a configuration into commands; AzurePrepError where a quote is never closed."""
    commands: List[Command] = []
    words: List[Word] = []
    parts: List[Part] = []
    section = ""
    start = -1
    line = 1
    position = 0

    def end_word(at: int) -> None:
        nonlocal parts, start
        if start >= 0:
            words.append(Word(tuple(parts), start, at))
        parts = []
        start = -1

    def end_command(at: int) -> None:
        nonlocal words
        end_word(at)
        if words:
            commands.append(Command(words, line, section))
        words = []

    while position < len(text):
        char = text[position]
        if char in "\n;":
            end_command(position)
            line += char == "\n"
            position += 1
        elif char in " \t\r":
            end_word(position)
            position += 1
        elif char == "#" and start < 0:
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            match = _SECTION.match(text, position, end)
            if match:
                section = match.group(2) if match.group(1) == "BEGIN" else ""
            position = end
        elif char in "{}" and start < 0 and (position + 1 == len(text) or text[position + 1] in " \t\r\n;"):
            end_command(position)
            commands.append(Command([Word((Part("text", char, False),), position, position + 1)], line, section))
            position += 1
        elif char == "\\":
            if text.startswith("\n", position + 1):
                line += 1
                position += 2
                continue
            start = position if start < 0 else start
            parts.append(Part("text", text[position + 1 : position + 2], False))
            position += 2
        elif char == "'":
            start = position if start < 0 else start
            end = text.find("'", position + 1)
            if end < 0:
                raise AzurePrepError("%s line %d: a single quote is never closed." % (path, line))
            parts.append(Part("text", text[position + 1 : end], True))
            line += text.count("\n", position, end)
            position = end + 1
        elif char == '"':
            start = position if start < 0 else start
            first = line
            position += 1
            piece: List[str] = []
            while True:
                if position >= len(text):
                    raise AzurePrepError("%s line %d: a double quote is never closed." % (path, first))
                char = text[position]
                if char == '"':
                    break
                if char == "\\" and text[position + 1 : position + 2] in ('"', "$", "\\", "\n"):
                    if text[position + 1] != "\n":
                        piece.append(text[position + 1])
                    position += 2
                    continue
                name, after = _variable(text, position)
                if name is not None:
                    parts.append(Part("text", "".join(piece), True))
                    piece = []
                    parts.append(Part("variable", name, True))
                    position = after
                    continue
                line += char == "\n"
                piece.append(char)
                position += 1
            parts.append(Part("text", "".join(piece), True))
            position += 1
        else:
            start = position if start < 0 else start
            name, after = _variable(text, position)
            if name is not None:
                parts.append(Part("variable", name, False))
                position = after
                continue
            parts.append(Part("text", char, False))
            position += 1
    end_command(position)
    return commands


def _variable(text: str, position: int) -> Tuple[Optional[str], int]:
    """The name after a $ at this position, and the place after it; (None, position) where none is."""
    match = re.compile(r"\$(?:\{([^}\n]*)\}|([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?]))").match(text, position)
    if not match:
        return None, position
    return match.group(1) if match.group(1) is not None else match.group(2), match.end()


def expand(words: Sequence[Word], variables: Dict[str, str]) -> List[str]:
    """Words with their variables filled in; an unquoted variable falls apart at blanks, and vanishes when empty."""
    result: List[str] = []
    for word in words:
        current: Optional[str] = None
        for part in word.parts:
            if part.kind == "text":
                current = (current or "") + part.value
                continue
            value = variables.get(part.value, "")
            if part.quoted:
                current = (current or "") + value
                continue
            pieces = re.split(r"([ \t\r\n]+)", value)
            for piece in pieces:
                if piece and not piece.strip(" \t\r\n"):
                    if current is not None:
                        result.append(current)
                    current = None
                elif piece:
                    current = (current or "") + piece
        if current is not None:
            result.append(current)
    return result


class _Interpreter:
    def __init__(self, path: str, text: str, variables: Dict[str, str]) -> None:
        self.path = path
        self.commands = lex(path, text)
        self.variables = dict(variables)
        self.entries: List[Entry] = []
        self.sections: List[str] = []
        self.ran: List[List[str]] = []
        self.position = 0

    def block_end(self, start: int) -> int:
        """The index of the "}" that closes the "{" at `start`."""
        depth = 0
        for index in range(start, len(self.commands)):
            word = self.commands[index].words[0].literal()
            # A literal "{" is always a command of its own; a quoted one is a word of a longer command.
            if len(self.commands[index].words) == 1 and word in "{}" and word:
                depth += 1 if word == "{" else -1
                if not depth:
                    return index
        raise AzurePrepError(
            "%s line %d: a { is never closed; the file is cut off or damaged." % (self.path, self.commands[start].line)
        )

    def assign(self, name: str, value: str, sure: bool) -> None:
        if not sure and (name in self.variables):
            return
        self.variables[name] = value

    def test(self, words: List[Word]) -> Optional[bool]:
        """The outcome of a condition; None where only a running GRUB knows."""
        texts = expand(words, self.variables)
        if texts and texts[0] == "!":
            inner = self.test(words[1:])
            return None if inner is None else not inner
        if texts[:1] == ["["] and texts[-1:] == ["]"]:
            texts = texts[1:-1]
        elif texts[:1] == ["test"]:
            texts = texts[1:]
        else:
            return None
        names = [part.value for word in words for part in word.parts if part.kind == "variable"]
        if any(name.startswith("feature_") for name in names):
            return True
        if any(name not in self.variables and name not in ("kernelopts", "saved_entry") for name in names):
            return None
        if len(texts) == 2 and texts[0] in ("-z", "-n"):
            return (texts[1] == "") == (texts[0] == "-z")
        if len(texts) == 1 and texts[0] in ("-z", "-n"):
            return texts[0] == "-z"
        if len(texts) == 3 and texts[1] in ("=", "==", "!="):
            return (texts[0] == texts[2]) == (texts[1] != "!=")
        return None

    def run(self, start: int, end: int, path: Tuple[str, ...], sure: bool = True) -> None:
        index = start
        # Each open "if": whether one of its branches was taken (None: unknown), then active and sure outside it.
        stack: List[Tuple[Optional[bool], bool, bool]] = []
        active = True
        while index < end:
            command = self.commands[index]
            name = command.words[0].literal()
            opener = index + 1 if index + 1 < end else end
            has_block = opener < end and self.commands[opener].words[0].literal() == "{"
            if name in ("if", "while", "until", "for"):
                outcome = self.test(command.words[1:]) if name == "if" else None
                stack.append((outcome, active, sure))
                active = active and outcome is not False
                sure = sure and outcome is True
            elif name == "elif" and stack:
                taken, outer, outer_sure = stack[-1]
                outcome = False if taken is True else self.test(command.words[1:])
                active = outer and outcome is not False
                sure = outer_sure and outcome is True and taken is False
                stack[-1] = (outcome if taken is False else taken, outer, outer_sure)
            elif name == "else" and stack:
                taken, outer, outer_sure = stack[-1]
                active = outer and taken is not True
                sure = outer_sure and taken is False
                if len(command.words) > 1:
                    self.simple(Command(command.words[1:], command.line, command.section), active, sure)
            elif name in ("fi", "done") and stack:
                _taken, active, sure = stack.pop()
            elif name in ("then", "do"):
                if len(command.words) > 1:
                    self.simple(Command(command.words[1:], command.line, command.section), active, sure)
            elif name == "function" and has_block:
                index = self.block_end(opener)
            elif name in ("menuentry", "submenu") and has_block:
                close = self.block_end(opener)
                if active:
                    self.menu(name, command, opener + 1, close, path)
                index = close
            elif name in ("menuentry", "submenu"):
                raise AzurePrepError(
                    "%s line %d: a %s without a body; the file is cut off or damaged." % (self.path, command.line, name)
                )
            else:
                self.simple(command, active, sure)
            index += 1

    def simple(self, command: Command, active: bool, sure: bool) -> None:
        if not active:
            return
        words = expand(command.words, self.variables)
        if not words:
            return
        self.ran.append(words)
        name = words[0]
        if name == "set" and len(command.words) == 2:
            text = expand_quoted(command.words[1], self.variables)
            key, sep, value = text.partition("=")
            if sep:
                self.assign(key, value, sure)
        elif name == "unset" and len(words) == 2 and sure:
            self.variables.pop(words[1], None)
        elif len(command.words) == 1 and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", command.words[0].literal()):
            text = expand_quoted(command.words[0], self.variables)
            key, _sep, value = text.partition("=")
            self.assign(key, value, sure)

    def menu(self, kind: str, command: Command, start: int, end: int, path: Tuple[str, ...]) -> None:
        words = expand(command.words, self.variables)
        title = words[1] if len(words) > 1 else ""
        identity = title
        for number, word in enumerate(words):
            if word == "--id" and number + 1 < len(words):
                identity = words[number + 1]
            elif word.startswith("--id="):
                identity = word[len("--id=") :]
        if kind == "submenu":
            self.run(start, end, path + (identity,))
            return
        saved = dict(self.variables)
        first = len(self.ran)
        self.run(start, end, path + (identity,))
        body = self.ran[first:]
        del self.ran[first:]
        self.variables = saved
        entry = entry_of(identity, title, body, self.path)
        if entry is not None:
            self.entries.append(entry)
            self.sections.append(command.section)


def expand_quoted(word: Word, variables: Dict[str, str]) -> str:
    """A word that is an assignment: its variables do not fall apart."""
    return "".join(part.value if part.kind == "text" else variables.get(part.value, "") for part in word.parts)


def entry_of(identity: str, title: str, body: Sequence[Sequence[str]], source: str) -> Optional[Entry]:
    """The entry that the commands of a menuentry make; None where they boot no Linux."""
    kernel = ""
    arguments: List[str] = []
    initrd: List[str] = []
    xen = False
    for words in body:
        name, rest = words[0], list(words[1:])
        if name in LINUX_COMMANDS and rest:
            kernel, arguments = rest[0], rest[1:]
        elif name in MULTIBOOT_COMMANDS:
            xen = True
        elif name in MODULE_COMMANDS and xen and rest:
            rest = [word for word in rest if word != "--nounzip"]
            if not kernel and rest:
                # The first module of a Xen entry is the Linux kernel; a placeholder may follow its name.
                kernel, arguments = rest[0], [word for word in rest[1:] if word != "placeholder"]
            else:
                initrd.extend(rest[:1])
        elif name in INITRD_COMMANDS:
            initrd.extend(rest)
    if not kernel or not is_linux(kernel):
        return None
    return Entry(identity or title, title, kernel, initrd, arguments, source)


def parse(path: str, text: str, variables: Optional[Dict[str, str]] = None) -> GrubConfig:
    """Read a grub.cfg. variables: what the environment block (grubenv) holds.

    AzurePrepError says where the file is damaged.
    """
    interpreter = _Interpreter(path, text, variables or {})
    try:
        interpreter.run(0, len(interpreter.commands), ())
    except RecursionError:
        raise AzurePrepError("%s nests its menus too deeply to be read." % path)
    return GrubConfig(interpreter.entries, interpreter.sections, interpreter.variables, interpreter.ran)


def is_stub(config: GrubConfig) -> bool:
    """True for the small file on an EFI system partition that only loads the real one.

    Debian's and Red Hat's say configfile, SUSE's shim-install says source, some say normal.
    """
    loads = any(
        words[0] in ("configfile", "normal") or (words[0] in ("source", ".") and words[-1].endswith("/grub.cfg"))
        for words in config.commands
    )
    return not config.entries and loads and not config.runs("blscfg")


def sources_custom(config: GrubConfig) -> bool:
    """True where custom.cfg beside it is read too (/etc/grub.d/41_custom)."""
    return any(words[0] in ("source", ".") and words[-1].endswith("/custom.cfg") for words in config.commands)
