# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories that have the agent, switched on: REPO-01, REPO-03, REPO-05, REPO-06.

A repository that is configured but switched off is switched on in its file (yum.conf(5), zypper(8)); one that
belongs to a subscription is asked for with the vendor's tool, where the system is registered. Nothing is registered
here, and no repository is added: that takes somebody's account or trust.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

YUM_FOLDER = "/etc/yum.repos.d"
ZYPP_FOLDER = "/etc/zypp/repos.d"

#: What registration leaves behind: subscription-manager's identity, SUSEConnect's credentials.
RED_HAT_IDENTITY = "/etc/pki/consumer/cert.pem"
SUSE_CREDENTIALS = "/etc/zypp/credentials.d/SCCcredentials"

PUBLIC_CLOUD = "/etc/products.d/sle-module-public-cloud.prod"

_SECTION = re.compile(r"^\[([^\]]+)\]\s*$")
_ENABLED = re.compile(r"^(\s*enabled\s*[=:]\s*)(\S*)(.*)$", re.I)
_SETTING = re.compile(r"^\s*([^=:#;\s][^=:]*)[=:](.*)$")
_TRUE = ("1", "yes", "true", "on")

#: Repositories beside the ones that are meant: debug information, sources, what is not free.
_BESIDE = re.compile(r"debug|source|src|non-?oss|backports|sle", re.I)


class Plan(NamedTuple):
    """changes to files, commands to run, the repositories that both switch on, and what is left to the user."""

    changes: List[edits.Change]
    commands: List[List[str]]
    enabled: List[str]
    warnings: List[str]


def settings(lines: Iterable[str]) -> Iterator[Tuple[str, str, str]]:
    """(section, key in lower case, value) of each setting in a .repo file; a section's own line comes first, without
    a key and a value."""
    section = ""
    for line in lines:
        header = _SECTION.match(line)
        if header is not None:
            section = header.group(1)
            yield section, "", ""
            continue
        setting = _SETTING.match(line)
        if section and setting is not None:
            yield section, setting.group(1).strip().lower(), setting.group(2).strip()


def is_on(value: str) -> bool:
    """Whether a switch of a .repo file is on; only its first word counts."""
    words = value.lower().split()
    return bool(words) and words[0] in _TRUE


def parse(text: str) -> List[Tuple[str, bool]]:
    """(section, switched on) of every repository of a .repo file, in order; without the key a repository is on."""
    found: Dict[str, bool] = {}
    for section, key, value in settings(text.split("\n")):
        found.setdefault(section, True)
        if key == "enabled":
            found[section] = is_on(value)
    return list(found.items())


def enable(text: str, wanted: str) -> str:
    """The text with the repository `wanted` switched on; all else as it was."""
    lines = []
    section = ""
    for line in text.split("\n"):
        header = _SECTION.match(line)
        section = section if header is None else header.group(1)
        value = _ENABLED.match(line)
        if value is not None and section == wanted and not is_on(value.group(2)):
            line = value.group(1) + "1" + value.group(3)
        lines.append(line)
    return "\n".join(lines)


def _files(host: Host, folder: str) -> Dict[str, str]:
    return {path: host.read(path) for path in host.glob(folder + "/*.repo") if host.is_file(path)}


def _switch_on(host: Host, folder: str, pattern: str) -> Tuple[bool, List[edits.Change], List[str]]:
    """(whether one that matches is or will be on, changes, the repositories that they switch on)."""
    known = [
        (path, text, name, on)
        for path, text in _files(host, folder).items()
        for name, on in parse(text)
        if re.search(pattern, name, re.I) and not _BESIDE.search(name)
    ]
    if [name for _path, _text, name, on in known if on]:
        return True, [], []
    for path, text, name, _on in known:
        return True, edits.plan_file(host, path, enable(text, name)), [name]
    return False, [], []


def _extras(host: Host, major: int) -> Plan:
    """REPO-01."""
    wanted = "rhel-%d-server-extras-rpms" % major
    names = {name: on for text in _files(host, YUM_FOLDER).values() for name, on in parse(text)}
    if [name for name, on in names.items() if on and "extras" in name]:
        return Plan([], [], [], [])
    if host.is_file(RED_HAT_IDENTITY) and host.which("subscription-manager"):
        return Plan([], [["subscription-manager", "repos", "--enable=" + wanted]], [wanted], [])
    warning = (
        "The agent of RHEL %d is in the repository %s, which is not enabled, and the system is not registered: "
        "register it, or name another repository that has the agent (rule REPO-01)."
    ) % (major, wanted)
    return Plan([], [], [], [warning])


def _addons(host: Host, major: int) -> Plan:
    """REPO-03."""
    wanted = "ol%d_addons" % major
    there, changes, names = _switch_on(host, YUM_FOLDER, "(^|_)addons$")
    warning = "The agent of Oracle Linux %d is in the repository %s, which is not configured (rule REPO-03)."
    return Plan(changes, [], names, [] if there else [warning % (major, wanted)])


def _public_cloud(host: Host, version: Tuple[int, ...], architecture: str) -> Plan:
    """REPO-05."""
    if host.is_file(PUBLIC_CLOUD):
        return Plan([], [], [], [])
    number = str(version[0]) if version[0] == 12 else ".".join(str(part) for part in version)
    wanted = "sle-module-public-cloud/%s/%s" % (number, architecture)
    if host.is_file(SUSE_CREDENTIALS) and host.which("SUSEConnect"):
        return Plan([], [["SUSEConnect", "-p", wanted]], [wanted], [])
    warning = (
        "The agent of SLES is in the module %s, which is not activated, and the system is not registered: register it, "
        "or name another repository that has the agent (rule REPO-05)."
    ) % wanted
    return Plan([], [], [], [warning])


def _opensuse(host: Host, rolling: bool) -> Plan:
    """REPO-06."""
    plan = Plan([], [], [], [])
    for word in ("oss",) if rolling else ("oss", "update"):
        there, changes, names = _switch_on(host, ZYPP_FOLDER, word)
        # Both may stand in one file: the second edit starts from the first one's text.
        for change in changes:
            earlier = [known for known in plan.changes if known.path == change.path]
            if earlier:
                plan.changes.remove(earlier[0])
                change = change._replace(after=enable(earlier[0].after or "", names[0]))
            plan.changes.append(change)
        plan.enabled.extend(names)
        if not there:
            plan.warnings.append("No repository has %s in its name; add openSUSE's own (rule REPO-06)." % word)
    return plan


def plan(host: Host, architecture: str) -> Plan:
    """What switches on the repositories that Azure's documents name for this distribution and that are off."""
    release = host.os_release()
    major = release.major
    if release.id.startswith("opensuse"):
        return _opensuse(host, release.id == "opensuse-tumbleweed")
    if host.which("waagent"):
        return Plan([], [], [], [])
    if release.id == "rhel" and major in (6, 7):
        return _extras(host, major)
    if release.id == "ol" and major in (6, 7):
        return _addons(host, major)
    # From 16 on there are no modules.
    if release.id in ("sles", "sles_sap") and major in (12, 15):
        return _public_cloud(host, release.version, architecture)
    return Plan([], [], [], [])


def report(plan_: Plan) -> Dict[str, Any]:
    """The plan as a module's result."""
    return {
        "changed": bool(plan_.changes or plan_.commands),
        "diff": edits.diffs(plan_.changes),
        "enabled": plan_.enabled,
        "commands": [" ".join(command) for command in plan_.commands],
        "warnings": plan_.warnings,
    }
