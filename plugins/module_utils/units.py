# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which systemd units a system has and which are enabled, read from its files.

Reading the links is what `systemctl is-enabled` does; it works for a mounted image too, and costs no process.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List, Sequence

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: systemd.unit(5), highest first.
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
UNIT_FOLDERS_ALL = UNIT_FOLDERS + ("/lib/systemd/system",)


def unit_file(host: Host, name: str) -> str:
    """The path of the unit file that counts; "" where there is none."""
    for folder in UNIT_FOLDERS_ALL:
        path = folder + "/" + name
        if host.is_file(path) or host.is_link(path):
            return path
    return ""


def state(host: Host, name: str) -> str:
    """enabled, disabled, masked, static (no [Install] section) or absent."""
    path = unit_file(host, name)
    if not path:
        # An old system: a SysV script that systemd wraps.
        script = "/etc/init.d/" + name.rsplit(".", 1)[0]
        if host.is_file(script):
            return "enabled" if host.glob("/etc/rc[2-5].d/S[0-9][0-9]" + name.rsplit(".", 1)[0]) else "disabled"
        return "absent"
    if host.is_link(path) and host.readlink(path) == "/dev/null":
        return "masked"
    if enabled_links(host, name):
        return "enabled"
    text = host.read(path, "")
    aliases = re.findall(r"^Alias=(.*)$", text, re.M)
    if any(host.is_link("/etc/systemd/system/" + alias) for line in aliases for alias in line.split()):
        return "enabled"
    if re.search(r"^(WantedBy|RequiredBy|Also|Alias)=\S", text, re.M):
        return "disabled"
    return "static"


def enabled_links(host: Host, name: str) -> List[str]:
    """The links that pull the unit in at boot."""
    return [
        link
        for folder in ("/etc/systemd/system",)
        for pattern in ("/*.wants/", "/*.requires/")
        for link in host.glob(folder + pattern + _escape(name))
    ]


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def first_existing(host: Host, names: Sequence[str]) -> str:
    """The first unit of `names` that the system has (an alias link counts as the unit it names); "" for none."""
    for name in names:
        if state(host, name) != "absent":
            return name
    return ""


def is_container(host: Host) -> bool:
    """True inside a container, where there is no boot loader and no kernel of its own to prepare."""
    if not host.is_live:
        return False
    if host.exists("/.dockerenv") or host.exists("/run/.containerenv") or host.exists("/run/systemd/container"):
        return True
    try:
        environment = host.read_bytes("/proc/1/environ")
    except (OSError, ValueError):
        return False
    return b"container=" in environment


def cloud_init_enabled(host: Host) -> bool:
    """Whether cloud-init runs at boot: installed, enabled, not switched off."""
    if not host.which("cloud-init"):
        return False
    if host.exists("/etc/cloud/cloud-init.disabled"):
        return False
    names = ("cloud-init-local.service", "cloud-init-main.service", "cloud-init.service")
    return any(state(host, name) == "enabled" for name in names)
