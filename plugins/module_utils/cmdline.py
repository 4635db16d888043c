# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel command line: an ordered list of arguments, some of them repeated, edited without losing a byte.

Who reads a line decides how it is quoted. The kernel knows the double quote only (lib/cmdline.c, next_arg);
GRUB 2 strips single quotes, double quotes and backslashes before it hands the line over (GRUB manual, "Writing
full configuration files directly", Quoting). What follows a lone "--" belongs to init and is never touched.

Why by hand: shlex forgets blanks and quotes, so it can read such a line but never give it back unchanged.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: Quoting as the kernel itself reads it, and as GRUB 2 reads its configuration.
KERNEL = "kernel"
GRUB = "grub"

#: Blanks between arguments: isspace() of the kernel.
BLANKS = " \t\n\r\v\f"

#: Keys that may stand several times on one line, each with its own meaning (kernel-parameters.txt,
#: dracut.cmdline(7), kernel-command-line(7)). A new value joins the old ones. Every other key holds one value.
REPEATABLE = frozenset(
    "console netconsole crashkernel ip nameserver ifname bond bridge vlan team rd.route memmap hugepages hugepagesz "
    "initcall_blacklist module_blacklist modprobe.blacklist rd.driver.blacklist rd.driver.pre rd.driver.post "
    "rd.lvm.lv rd.lvm.vg rd.luks.uuid rd.luks.name rd.luks.options rd.luks.key rd.md.uuid rd.dm.uuid rd.zfcp rd.dasd "
    "rd.znet rd.iscsi.param rd.break systemd.mask systemd.wants systemd.setenv systemd.mount-extra "
    "systemd.set_credential dyndbg video quirks usbcore.quirks earlycon "
    "initrd acpi_osi".replace("-", "_").split()
)

#: The only repeatable key whose last value wins and whose values are told apart by their device.
CONSOLE = "console"


#: The key that a generator of configurations writes itself; another one behind it counts, as the kernel has it.
ROOT = "root"


class Token(NamedTuple):
    """One argument on a line: text[start:end] as written, and what it means once the quotes are gone."""

    start: int
    end: int
    value: str


class Wanted(NamedTuple):
    """What a line shall hold and shall not hold.

    set: arguments, "key" or "key=value", in order. remove: "key" (with any value) or "key=value".
    An argument named in both is kept.
    """

    set: Tuple[str, ...]
    remove: Tuple[str, ...]


class Piece(NamedTuple):
    """One argument during planning: what it means, which token of which segment it was (-1: a new one)."""

    value: str
    token: int


# -- reading ---------------------------------------------------------------------------------------------------


def tokens(text: str, quoting: str = KERNEL) -> List[Token]:
    """The arguments of a line with their places. Never fails: an open quote runs to the end, as the kernel has it."""
    result: List[Token] = []
    position = 0
    while position < len(text):
        if text[position] in BLANKS:
            position += 1
            continue
        start = position
        value: List[str] = []
        quote = ""
        while position < len(text) and (quote or text[position] not in BLANKS):
            char = text[position]
            if quoting == GRUB and char == "\\" and quote != "'" and position + 1 < len(text):
                following = text[position + 1]
                # Inside double quotes GRUB takes the backslash away only before these.
                if quote == '"' and following not in '\\"$':
                    value.append(char)
                value.append(following)
                position += 2
                continue
            if quote:
                if char == quote:
                    quote = ""
                else:
                    value.append(char)
            elif char == '"' or (quoting == GRUB and char == "'"):
                quote = char
            else:
                value.append(char)
            position += 1
        result.append(Token(start, position, "".join(value)))
    return result


def split(text: str, quoting: str = KERNEL) -> List[str]:
    """The arguments of a line in order, quotes taken away: 'ro  a="b c"' -> ["ro", "a=b c"]."""
    return [token.value for token in tokens(text, quoting)]


def quote_argument(argument: str, quoting: str = KERNEL) -> str:
    """The spelling of one argument that split() reads back as it is."""
    special = BLANKS + ('"' if quoting == KERNEL else "\"'\\$;&|<>{}#")
    if argument and not any(char in special for char in argument):
        return argument
    if quoting == KERNEL:
        if '"' in argument:
            raise AzurePrepError("The argument %s cannot be passed to the kernel: it holds a double quote." % argument)
        key, sep, value = argument.partition("=")
        return '%s="%s"' % (key, value) if sep and not any(c in BLANKS for c in key) else '"%s"' % argument
    return '"%s"' % re.sub(r'([\\"$])', r"\\\1", argument)


def join(arguments: Sequence[str], quoting: str = KERNEL) -> str:
    """A line that split() reads back as these arguments."""
    return " ".join(quote_argument(argument, quoting) for argument in arguments)


def key_of(argument: str) -> str:
    """The key of an argument. The kernel takes "-" and "_" in a key for the same."""
    return argument.partition("=")[0].replace("-", "_")


def matches(argument: str, pattern: str) -> bool:
    """True where `pattern`, "key" or "key=value", names this argument."""
    if key_of(argument) != key_of(pattern):
        return False
    return "=" not in pattern or argument.partition("=")[2] == pattern.partition("=")[2]


def same(left: str, right: str) -> bool:
    """True for the same key and the same value (or none in both)."""
    return key_of(left) == key_of(right) and left.partition("=")[1:] == right.partition("=")[1:]


def kernel_part(arguments: Sequence[str]) -> List[str]:
    """The arguments before "--"; what follows it is for init."""
    result: List[str] = []
    for argument in arguments:
        if argument == "--":
            break
        result.append(argument)
    return result


def console_device(argument: str) -> str:
    """console=ttyS0,115200n8 -> ttyS0; a line given by its address keeps that address."""
    value = argument.partition("=")[2]
    head = value.split(",")[0]
    return value if head in ("uart", "uart8250", "brl") else head


def check_arguments(arguments: Sequence[str], option: str) -> None:
    """Refuse, as a sentence that names the option, what cannot be one argument of a command line."""
    for argument in arguments:
        if not argument or argument.startswith("=") or argument == "--":
            raise AzurePrepError('%s: "%s" is no kernel argument; give "key" or "key=value".' % (option, argument))
        if any(char in "\n\r\v\f\0" for char in argument) or any(char in BLANKS for char in key_of(argument)):
            raise AzurePrepError(
                "%s: %r is not one kernel argument; give each argument as its own list element." % (option, argument)
            )
        if '"' in argument:
            raise AzurePrepError("%s: %s holds a double quote; blanks in a value need none here." % (option, argument))


# -- planning --------------------------------------------------------------------------------------------------


def _groups(wanted: Sequence[str]) -> List[Tuple[str, List[str]]]:
    """The wanted arguments by key, in the order of each key's first appearance, repeated ones once."""
    order: List[str] = []
    groups: Dict[str, List[str]] = {}
    for argument in wanted:
        key = key_of(argument)
        if key not in groups:
            groups[key] = []
            order.append(key)
        if not any(same(argument, other) for other in groups[key]):
            groups[key].append(argument)
    return [(key, groups[key]) for key in order]


def _is_repeatable(key: str, values: Sequence[str]) -> bool:
    return key in REPEATABLE or len(values) > 1


def _ends_with(consoles: Sequence[str], wanted: Sequence[str]) -> bool:
    """True where the consoles of a line end with the wanted ones, and no device stands there twice."""
    if len(consoles) < len(wanted):
        return False
    tail = consoles[len(consoles) - len(wanted) :]
    if not all(same(have, want) for have, want in zip(tail, wanted)):
        return False
    devices = {console_device(argument) for argument in wanted}
    return not any(console_device(argument) in devices for argument in consoles[: len(consoles) - len(wanted)])


def plan(
    segments: Sequence[Sequence[str]], wanted: Wanted, target: int, counted: Optional[Set[int]] = None
) -> List[List[Piece]]:
    """Change a line made of segments (GRUB_CMDLINE_LINUX then GRUB_CMDLINE_LINUX_DEFAULT, ...) into what is wanted.

    segments: the arguments of each segment, in the order in which they make up the line.
    target: the segment that takes new arguments. counted: the segments that reach every line they serve; an
    argument elsewhere does not count as present (default: all). The result has the same segments; each piece
    names the token it came from, so that the caller can leave its bytes alone.
    """
    count = set(range(len(segments))) if counted is None else set(counted)
    result: List[List[Piece]] = [[Piece(value, number) for number, value in enumerate(segment)] for segment in segments]
    # What follows "--" is init's: cut it off, edit, put it back. It ends every later segment too.
    tails: List[List[Piece]] = [[] for _segment in result]
    for index, pieces in enumerate(result):
        cut = next((number for number, piece in enumerate(pieces) if piece.value == "--"), None)
        if cut is not None:
            tails[index] = pieces[cut:]
            result[index] = pieces[:cut]
            for later in range(index + 1, len(result)):
                tails[later] = result[later]
                result[later] = []
            target = min(target, index)
            break

    def is_wanted(value: str) -> bool:
        return any(same(value, argument) for argument in wanted.set)

    for index, pieces in enumerate(result):
        result[index] = [
            piece
            for piece in pieces
            if is_wanted(piece.value) or not any(matches(piece.value, pattern) for pattern in wanted.remove)
        ]
    for key, values in _groups(wanted.set):
        if key == CONSOLE:
            _plan_consoles(result, values, target, count)
        elif _is_repeatable(key, values):
            present = [piece.value for index in sorted(count) for piece in result[index]]
            for value in values:
                if not any(same(value, other) for other in present):
                    for index in range(len(result)):
                        if index not in count:
                            result[index] = [piece for piece in result[index] if not same(piece.value, value)]
                    result[target].append(Piece(value, -1))
        else:
            _plan_single(result, key, values[0], target, count)
    return [pieces + tail for pieces, tail in zip(result, tails)]


def _plan_single(result: List[List[Piece]], key: str, value: str, target: int, count: Set[int]) -> None:
    places = [
        (index, number)
        for index, pieces in enumerate(result)
        for number, piece in enumerate(pieces)
        if key_of(piece.value) == key
    ]
    good = [place for place in places if same(result[place[0]][place[1]].value, value)]
    if places and len(good) == len(places) and any(index in count for index, _number in places):
        return
    inside = [place for place in places if place[0] in count]
    keep = next((place for place in good if place[0] in count), inside[0] if inside else None)
    for index in range(len(result)):
        result[index] = [
            (piece if (index, number) in good else Piece(value, -1)) if (index, number) == keep else piece
            for number, piece in enumerate(result[index])
            if (index, number) not in places or (index, number) == keep
        ]
    if keep is None:
        result[target].append(Piece(value, -1))


def _plan_consoles(result: List[List[Piece]], values: List[str], target: int, count: Set[int]) -> None:
    def consoles(indices: Sequence[int]) -> List[str]:
        return [piece.value for index in indices for piece in result[index] if key_of(piece.value) == CONSOLE]

    if _ends_with(consoles(range(len(result))), values) and _ends_with(consoles(sorted(count)), values):
        return
    devices = {console_device(value) for value in values}
    moved: List[Piece] = []
    for index in range(len(result)):
        kept: List[Piece] = []
        for piece in result[index]:
            if key_of(piece.value) != CONSOLE:
                kept.append(piece)
            elif console_device(piece.value) not in devices:
                # A console after the target would become /dev/console: it goes before the wanted ones instead.
                if index > target:
                    moved.append(Piece(piece.value, -1))
                else:
                    kept.append(piece)
        result[index] = kept
    result[target].extend(moved)
    result[target].extend(Piece(value, -1) for value in values)


def merge(arguments: Sequence[str], wanted: Wanted) -> List[str]:
    """What a single line becomes: merge(["ro", "quiet"], ...) -> ["ro", "console=ttyS0"]."""
    return [piece.value for piece in plan([arguments], wanted, 0)[0]]


def edit(text: str, wanted: Wanted, quoting: str = KERNEL) -> str:
    """A line as text, changed; every byte of what stays is kept, and the very same text where nothing changes."""
    found = tokens(text, quoting)
    return apply_pieces(text, found, plan([[token.value for token in found]], wanted, 0)[0], quoting)


def apply_pieces(text: str, found: Sequence[Token], pieces: Sequence[Piece], quoting: str) -> str:
    """The text of a line after a plan: kept tokens with the blanks before them, new ones after one blank."""
    if [piece.token for piece in pieces] == list(range(len(found))):
        return text
    lead = text[: found[0].start] if found else ""
    end = found[-1].end if found else len(text.rstrip(BLANKS))
    parts: List[str] = []
    for piece in pieces:
        if piece.token < 0:
            parts.append((" " if parts else "") + quote_argument(piece.value, quoting))
            continue
        token = found[piece.token]
        before = found[piece.token - 1].end if piece.token else token.start
        blanks = text[before : token.start] if piece.token else " "
        parts.append((blanks if parts else "") + text[token.start : token.end])
    return lead + "".join(parts) + text[end:]


# -- checking --------------------------------------------------------------------------------------------------


def problems(arguments: Sequence[str], wanted: Wanted) -> List[str]:
    """What is not as wanted on an effective line, each as half a sentence; empty where all is well."""
    line = kernel_part(arguments)
    result: List[str] = []
    for key, values in _groups(wanted.set):
        have = [argument for argument in line if key_of(argument) == key]
        if key == CONSOLE:
            if not _ends_with(have, values):
                result.append("its consoles are %s, not %s" % (" ".join(have) or "none", " ".join(values)))
            continue
        for value in values:
            if not any(same(value, argument) for argument in have):
                result.append("%s is missing" % value)
        if key == ROOT and have and same(have[-1], values[-1]):
            continue
        if not _is_repeatable(key, values):
            result.extend("%s is still there" % other for other in have if not same(other, values[0]))
    for pattern in wanted.remove:
        result.extend(
            "%s is still there" % argument
            for argument in line
            if matches(argument, pattern) and not any(same(argument, value) for value in wanted.set)
        )
    return sorted(set(result), key=result.index)


# -- numa=off --------------------------------------------------------------------------------------------------

#: Older kernels fail on Hyper-V with NUMA on (rule KERN-05); Red Hat's got the fix in 6.6.
NUMA_FIXED = (2, 6, 37)
NUMA_FIXED_EL = (2, 6, 32, 504)


def kernel_numbers(version: str) -> Tuple[int, ...]:
    """The leading numbers of a kernel release: "2.6.32-431.el6.x86_64" -> (2, 6, 32, 431)."""
    match = re.match(r"\d+(?:[.-]\d+)*", version)
    return tuple(int(number) for number in re.split(r"[.-]", match.group(0))) if match else ()


def needs_numa_off(version: str) -> bool:
    """True for a kernel release that must boot with numa=off on Hyper-V; False for one that cannot be read."""
    numbers = kernel_numbers(version)
    if len(numbers) < 2:
        return False
    if re.search(r"\.el\d", version):
        base, _sep, build = version.partition("-")
        head = (kernel_numbers(base) + (0, 0, 0))[:3]
        return head + (kernel_numbers(build) + (0,))[:1] < NUMA_FIXED_EL
    return (numbers + (0, 0, 0))[:3] < NUMA_FIXED
