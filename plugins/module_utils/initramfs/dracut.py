# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dracut of Red Hat's and SUSE's families, and of Debian where it is installed (dracut(8), dracut.conf(5)).

Drivers named in add_drivers are included in host-only images too. The blanks inside the quotes matter: each
file's value is glued to the one before. dracut copies a finished image over the old one, so it is given another
name to write to, and says 0 when a driver was missing, so the image is read.

Private to the collection: its interface may change in any release.
"""

from typing import Dict, List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils import shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Change
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.common import Generator, plan_file
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs.reader import normalise

GENERATOR = Generator("dracut", "dracut", "/boot/initramfs-%s.img")

MAIN = "/etc/dracut.conf"
DROP_IN = "/etc/dracut.conf.d/azure.conf"
DIRECTORIES = ("/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d")


def files(host: Host) -> List[str]:
    """The configuration in the order in which dracut sources it; a name in /etc hides the same name in /usr/lib."""
    names: Dict[str, str] = {}
    for directory in DIRECTORIES:
        for path in host.glob(directory + "/*.conf"):
            names[path.rsplit("/", 1)[-1]] = path
    return ([MAIN] if host.is_file(MAIN) else []) + [names[name] for name in sorted(names)]


def configured(host: Host, replaced: Dict[str, str]) -> Dict[str, List[str]]:
    """The words of add_drivers, force_drivers and omit_drivers, `replaced` standing in for the files it names."""
    paths = files(host)
    for path in replaced:
        if path not in paths:
            head = [other for other in paths if other == MAIN]
            tail = [other for other in paths if other != MAIN] + [path]
            paths = head + sorted(tail, key=lambda name: name.rsplit("/", 1)[-1])
    sourced = [shell_vars.parse(path, replaced.get(path, host.read(path, default=""))) for path in paths]
    values = shell_vars.evaluate(sourced)
    return {
        name: [normalise(word) for word in shell_vars.text_of(values.get(name, [])).split()]
        for name in ("add_drivers", "force_drivers", "omit_drivers")
    }


def line(drivers: Sequence[str]) -> str:
    return 'add_drivers+=" %s "\n' % " ".join(drivers)


def configure(host: Host, drivers: Sequence[str]) -> List[Change]:
    """The change of the drop-in that makes every image from now on hold these drivers.

    AzurePrepError where the configuration leaves a driver out by name.
    """
    have = configured(host, {})
    omitted = [driver for driver in drivers if normalise(driver) in have["omit_drivers"]]
    if omitted:
        raise AzurePrepError(
            "dracut is told to leave out %s (omit_drivers in %s); take that out first."
            % (", ".join(omitted), ", ".join(files(host)))
        )
    named = set(have["add_drivers"] + have["force_drivers"])
    missing = [driver for driver in drivers if normalise(driver) not in named]
    if not missing:
        return []
    text = host.read(DROP_IN, default="")
    # An empty line in between ends a last line that says it goes on below.
    lead = "" if not text or text.endswith("\n") and not text.endswith("\\\n") else "\n"
    after = text + lead + line(missing)
    result = configured(host, {DROP_IN: after})
    lost = [driver for driver in drivers if normalise(driver) not in result["add_drivers"] + result["force_drivers"]]
    if lost:
        raise AzurePrepError(
            "A file that dracut reads after %s sets add_drivers anew and loses %s; write += there."
            % (DROP_IN, ", ".join(lost))
        )
    return plan_file(host, DROP_IN, after)


def command(version: str, image: str) -> List[str]:
    """Make the image of one release in this file."""
    return ["dracut", "-f", image, version]
