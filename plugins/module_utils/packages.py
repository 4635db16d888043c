# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a system has and can get, by its own package manager.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Iterable, List, Sequence, Set

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import MAX_READ, Host

DPKG_STATUS = "/var/lib/dpkg/status"


def manager(host: Host) -> str:
    """apt, dnf, yum, zypper, or "" for none of them."""
    for name, command in (("apt", "apt-get"), ("zypper", "zypper"), ("dnf", "dnf"), ("yum", "yum")):
        # dnf and zypper can be installed beside apt; the database that is kept decides.
        if host.which(command) and (name != "apt" or host.is_file(DPKG_STATUS)):
            return name
    return ""


def parse_dpkg_status(text: str) -> Set[str]:
    """The installed packages in dpkg's database, and what they provide."""
    found: Set[str] = set()
    for paragraph in re.split(r"\n\n+", text):
        if not re.search(r"^Status: \S+ \S+ installed$", paragraph, re.M):
            continue
        match = re.search(r"^Package: (\S+)$", paragraph, re.M)
        if match is None:
            continue
        found.add(match.group(1))
        provides = re.search(r"^Provides: (.*)$", paragraph, re.M)
        if provides is not None:
            found.update(re.sub(r"[\s(].*", "", item.strip()) for item in provides.group(1).split(","))
    return found


def installed(host: Host, names: Iterable[str]) -> Set[str]:
    """Those of `names` that are installed."""
    wanted = sorted(set(names))
    if not wanted:
        return set()
    if manager(host) == "apt":
        return parse_dpkg_status(host.read(DPKG_STATUS, limit=MAX_READ)) & set(wanted)
    if host.which("rpm"):
        output = host.run(["rpm", "-q", "--queryformat", "%{NAME}\\n", "--whatprovides"] + wanted, check=False).stdout
        present = {line.strip() for line in output.split("\n")}
        lacking = set(re.findall(r"no package provides (\S+)", output))
        # A capability may be provided by a package of another name: what rpm does not miss is there.
        return (set(wanted) - lacking) if lacking or len(present) > 1 else present & set(wanted)
    return set()


def available(host: Host, names: Iterable[str]) -> List[str]:
    """Those of `names` that the configured repositories offer, in the order given."""
    wanted = list(names)
    if not wanted:
        return []
    kind = manager(host)
    offered: Set[str] = set()
    if kind == "apt":
        output = host.run(["apt-cache", "policy"] + wanted, check=False, timeout=300).stdout
        current = ""
        for line in output.split("\n"):
            if line and not line.startswith(" "):
                current = line.rstrip(":").strip()
            elif line.strip().startswith("Candidate:") and "(none)" not in line:
                offered.add(current)
    elif kind in ("dnf", "yum"):
        tool = ["dnf", "-q", "repoquery", "--qf", "%{name}\\n"] if kind == "dnf" else ["repoquery", "--qf", "%{name}"]
        output = host.run(tool + wanted, check=False, timeout=600).stdout
        offered = {line.strip() for line in output.split("\n")}
    elif kind == "zypper":
        output = host.run(
            ["zypper", "--non-interactive", "--quiet", "search", "--match-exact", "--type", "package"] + wanted,
            check=False,
            timeout=600,
        ).stdout
        offered = {part.strip() for line in output.split("\n") for part in line.split("|")[1:2]}
    return [name for name in wanted if name in offered]


#: What must never go when something is installed: the way in, the interpreter, the system itself.
PRECIOUS = re.compile(
    r"^(openssh-server|openssh|sudo|python3?|python3-minimal|systemd|linux-image-.*|kernel.*|grub.*|dpkg|rpm)$"
)

APT = ["apt-get", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confdef"]
APT += ["-o", "Dpkg::Options::=--force-confold"]
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "APT_LISTCHANGES_FRONTEND": "none", "NEEDRESTART_MODE": "l"}

#: A package run may take long on a slow disk, but not for ever.
TIMEOUT = 3600


def refresh(host: Host) -> None:
    """Fetch the lists of the repositories; a repository that does not answer is no reason to stop."""
    commands = {
        "apt": ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", "update"],
        "zypper": ["zypper", "--non-interactive", "refresh"],
    }
    command = commands.get(manager(host))
    if command:
        host.run(command, check=False, env=ENVIRONMENT, timeout=TIMEOUT)


def install_command(kind: str, names: Sequence[str], simulate: bool = False) -> List[str]:
    """The command that installs all `names` in one transaction without recommended packages."""
    if kind == "apt":
        return APT + (["-s"] if simulate else []) + ["--no-install-recommends", "install"] + list(names)
    if kind == "zypper":
        options = ["--dry-run"] if simulate else []
        return ["zypper", "--non-interactive", "install", "--no-recommends"] + options + list(names)
    options = ["--assumeno"] if simulate else ["-y"]
    weak = ["--setopt=install_weak_deps=False"] if kind == "dnf" else []
    return [kind] + options + weak + ["install"] + list(names)


def remove_command(kind: str, names: Sequence[str]) -> List[str]:
    """The command that removes `names`, with their configuration where the package manager can do that."""
    if kind == "apt":
        return APT + ["purge"] + list(names)
    if kind == "zypper":
        return ["zypper", "--non-interactive", "remove"] + list(names)
    return [kind, "-y", "remove"] + list(names)


def upgrade_command(kind: str, simulate: bool = False) -> List[str]:
    """The command that brings every package to its latest version, or that lists what it would do."""
    if kind == "apt":
        return APT + (["-s"] if simulate else []) + ["dist-upgrade"]
    if kind == "zypper":
        return ["zypper", "--non-interactive"] + (["--quiet", "list-updates"] if simulate else ["update"])
    return [kind, "-q", "check-update"] if simulate else [kind, "-y", "upgrade" if kind == "dnf" else "update"]


def removals(output: str) -> List[str]:
    """The packages that apt-get -s says it would remove."""
    return re.findall(r"^Remv (\S+)", output, re.M)


def upgrades(kind: str, output: str) -> int:
    """How many packages the listing of upgrade_command(simulate=True) names."""
    if kind == "apt":
        return len(re.findall(r"^Inst ", output, re.M))
    if kind == "zypper":
        return len(re.findall(r"^v\s*\|", output, re.M))
    return len(re.findall(r"^\S+\.(?:x86_64|aarch64|noarch|i686)\s+\S+\s+\S+$", output, re.M))
