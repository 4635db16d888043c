# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""chrony.conf(5): the host's PTP clock as a reference clock (TIME-01).

Private to the collection: its interface may change in any release.
"""

from typing import List, NamedTuple, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: TIME-01, "Time sync for Linux VMs in Azure".
REFCLOCK = "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2"
MAKESTEP = "makestep 1.0 -1"

#: Services besides chrony that set the clock (TIME-03).
NTP_DAEMONS = ("ntpd.service", "ntp.service", "ntpsec.service", "openntpd.service")
OTHER_CLOCKS = ("systemd-timesyncd.service",) + NTP_DAEMONS

#: chronyd's own limit of nested include files.
MAX_DEPTH = 10


class Directive(NamedTuple):
    """One line: index from 0, words split at blanks (directive name in lower case first)."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    words: List[str]


def parse(text: str) -> List[Directive]:
    """All directives; lines that begin with #, %, ; or ! are comments."""
    found = []
    for index, line in enumerate(text.split("\n")):
        words = line.split()
        if words and words[0][0] not in "#%;!":
            found.append(Directive(index, [words[0].lower()] + words[1:]))
    return found


def is_hyperv_clock(directive: Directive) -> bool:
    """True for a PHC reference clock on /dev/ptp_hyperv (options such as :extpps may follow the name)."""
    words = directive.words
    if len(words) < 3 or words[0] != "refclock" or words[1].upper() != "PHC":
        return False
    return words[2].split(":")[0] == "/dev/ptp_hyperv"


def is_numbered_clock(directive: Directive) -> bool:
    """True for a PHC reference clock by number: with accelerated networking /dev/ptp0 may be the network card's."""
    words = directive.words
    return (
        len(words) > 2 and words[0] == "refclock" and words[1].upper() == "PHC" and words[2].startswith("/dev/ptp")
    ) and not is_hyperv_clock(directive)


def plan(text: str, refclock: str = REFCLOCK, makestep: str = MAKESTEP) -> str:
    """The text with exactly one PHC clock, the host's, and one makestep without limit of updates.

    Servers and pools stay: they are what chrony falls back to.
    """
    lines: List[Optional[str]] = list(text.split("\n"))
    directives = parse(text)
    clocks = [entry for entry in directives if is_hyperv_clock(entry)]
    numbered = [entry for entry in directives if is_numbered_clock(entry)]
    steps = [entry for entry in directives if entry.words[0] == "makestep"]
    appended = []
    for found, wanted in ((clocks + numbered, refclock), (steps, makestep)):
        if not found:
            appended.append(wanted)
            continue
        if found[0].words != wanted.split():
            lines[found[0].index] = wanted
        for extra in found[1:]:
            lines[extra.index] = None
    kept = [line for line in lines if line is not None]
    if appended:
        if kept and kept[-1] == "":
            kept[-1:] = appended + [""]
        else:
            kept += appended + [""]
    return "\n".join(kept)


def included(host: Host, path: str, depth: int = 0) -> List[str]:
    """The files that a configuration takes in by include and confdir, at any depth, each once."""
    found: List[str] = []
    if depth > MAX_DEPTH or not host.is_file(path):
        return found
    for directive in parse(host.read(path)):
        names: List[str] = []
        if directive.words[0] == "include":
            names = [name for pattern in directive.words[1:2] for name in host.glob(pattern)]
        elif directive.words[0] == "confdir":
            # Of files with one name the first directory's counts; here all are read.
            names = [name for folder in directive.words[1:] for name in host.glob(folder.rstrip("/") + "/*.conf")]
        for name in names:
            if name not in found and name != path and host.is_file(name):
                found.append(name)
                found += [other for other in included(host, name, depth + 1) if other not in found and other != path]
    return found


def plan_included(text: str) -> str:
    """The text of an included file without what the main file says: the PHC clock and makestep.

    A second makestep would count instead of the first, a second clock keeps chronyd from starting elsewhere.
    """
    gone = {
        entry.index
        for entry in parse(text)
        if entry.words[0] == "makestep" or is_hyperv_clock(entry) or is_numbered_clock(entry)
    }
    return "\n".join(line for index, line in enumerate(text.split("\n")) if index not in gone)
