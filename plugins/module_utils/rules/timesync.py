# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of time synchronisation.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import chrony_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Line,
    Outcome,
    Table,
    bad,
    join,
    na,
    ok,
    version,
)

CHECKS = Table()

#: The first kernel with the host's clock as a PTP device, mainline and Enterprise Linux 7.
PTP_KERNEL, PTP_KERNEL_EL7 = (4, 11), (3, 10, 0, 693)


def directives(context: Context) -> List[Tuple[chrony_conf.Directive, Line]]:
    """All directives of chrony.conf in order, with those of confdir, sourcedir-free include and their line."""
    found: List[Tuple[chrony_conf.Directive, Line]] = []
    path = str(context.profile.paths.get("chrony_conf", "/etc/chrony.conf"))
    pending = [path if context.exists(path) else "/etc/chrony.conf"]
    seen = set()
    while pending:
        path = pending.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = context.text(path) or ""
        lines = text.split("\n")
        for entry in chrony_conf.parse(text):
            found.append((entry, Line(path, entry.index + 1, lines[entry.index].strip())))
            if entry.words[0] == "confdir":
                for folder in entry.words[1:]:
                    pending += context.glob(folder.rstrip("/") + "/*.conf")
            elif entry.words[0] == "include" and len(entry.words) > 1:
                pending += context.glob(entry.words[1])
    return found


@CHECKS("TIME-01")
def host_clock(context: Context) -> Outcome:
    """chrony.conf with its includes: refclock PHC /dev/ptp_hyperv, no numbered /dev/ptp, makestep without limit."""
    kernels = context.kernels
    if kernels and all(version(name) < (PTP_KERNEL_EL7 if context.is_el(7, 7) else PTP_KERNEL) for name in kernels):
        return na("The kernel is older than the host's clock: %s" % join(kernels))
    if not context.has_command("chronyd"):
        return bad("chrony is not installed")
    found = directives(context)
    numbered = [line.evidence for entry, line in found if chrony_conf.is_numbered_clock(entry)]
    if numbered:
        return bad(join(numbered) + ": with accelerated networking this may be the network card's clock")
    clocks = [
        line.evidence
        for entry, line in found
        if chrony_conf.is_hyperv_clock(entry) and "noselect" not in [word.lower() for word in entry.words]
    ]
    if not clocks:
        return bad("no refclock PHC /dev/ptp_hyperv in chrony's configuration")
    if context.first_enabled("chronyd.service", "chrony.service") is None:
        return bad("chrony's service is not enabled")
    steps = [(entry.words, line) for entry, line in found if entry.words[0] == "makestep"]
    if not steps:
        return bad("no makestep in chrony's configuration: a clock that is far off is only slewed")
    words, line = steps[-1]
    if len(words) < 3 or not words[2].startswith("-"):
        return bad("%s: only the first updates may step the clock, not one after a pause of the VM" % line.evidence)
    return ok(join(clocks))


@CHECKS("TIME-02")
def clock_name(context: Context) -> Outcome:
    """A udev rule that makes the link ptp_hyperv for the clock named hyperv."""
    for path in context.udev_rules:
        name = path.rsplit("/", 1)[1]
        # The vendors' other files are many and have nothing to do with clocks.
        if path.startswith("/etc/") or any(word in name for word in ("ptp", "udev-default", "hyperv", "azure")):
            for line in context.udev_lines(path):
                if re.search(r'SYMLINK\s*\+?=\s*"[^"]*\bptp_hyperv\b', line.text) and re.search(
                    r'clock_name\}\s*==\s*"hyperv"', line.text
                ):
                    return ok(line.evidence)
    return bad("no udev rule makes /dev/ptp_hyperv")


@CHECKS("TIME-03")
def one_service(context: Context) -> Outcome:
    """systemd-timesyncd and chrony are not both enabled; /etc/adjtime does not say LOCAL."""
    wrong = []
    chrony = context.first_enabled("chronyd.service", "chrony.service") if context.has_command("chronyd") else None
    if chrony and context.unit_state("systemd-timesyncd.service") == "enabled":
        wrong.append("systemd-timesyncd.service is enabled beside %s" % chrony)
    for line in context.lines("/etc/adjtime"):
        if line.text == "LOCAL":
            wrong.append(line.evidence)
    others = [unit for unit in chrony_conf.NTP_DAEMONS if context.unit_state(unit) == "enabled"]
    if chrony and others:
        wrong.append("%s is enabled beside %s" % (join(others), chrony))
    if wrong:
        return bad(join(wrong))
    service = chrony or context.first_enabled(
        "systemd-timesyncd.service", "ntpd.service", "ntp.service", "ntpsec.service"
    )
    return ok("%s, hardware clock in UTC" % service) if service else bad("no time service is enabled")
