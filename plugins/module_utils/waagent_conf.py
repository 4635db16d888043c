# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""waagent.conf (WALinuxAgent README, 2.15.0.1): parse, edit by key, known options with their types.

Format: one Key=value per line, lines that begin with # are comments; booleans are y or n, None unsets. Comments,
order, unknown keys and line ends survive an edit.

Private to the collection: its interface may change in any release.
"""

import difflib
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Key=value, as the agent reads it: it splits at the first "=" and strips both sides.
_LINE = re.compile(r"^(\s*)([A-Za-z][\w.]*)(\s*=\s*)(.*?)(\s*)$", re.S)
_COMMENTED = re.compile(r"^\s*#\s?\s*([A-Za-z][\w.]*)\s*=\s*\S")

PATH = "/etc/waagent.conf"

#: A new file: what upstream's config/waagent.conf, and Debian's package, set otherwise than the agent's code does
#: (azurelinuxagent/common/conf.py).
NEW_FILE = """# Written by the linuxvhd.azure collection: the file of the agent's package was missing.
Provisioning.MonitorHostName=y
ResourceDisk.Filesystem=ext4
"""

PROVISIONERS = ("auto", "waagent", "cloud-init", "disabled")

#: Option to its type: bool, int, str, or the tuple of its allowed values.
BOOL, INT, STR = "bool", "int", "str"
OPTIONS: Dict[str, Any] = {
    "AutoUpdate.Enabled": BOOL,
    "AutoUpdate.GAFamily": STR,
    "AutoUpdate.UpdateToLatestVersion": BOOL,
    "DVD.MountPoint": STR,
    "DetectScvmmEnv": BOOL,
    "EnableOverProvisioning": BOOL,
    "Extension.LogDir": STR,
    "Extensions.Enabled": BOOL,
    "Extensions.GoalStatePeriod": INT,
    "Extensions.InitialGoalStatePeriod": INT,
    "Extensions.WaitForCloudInit": BOOL,
    "Extensions.WaitForCloudInitTimeout": INT,
    "Home.Dir": STR,
    "HttpProxy.Host": STR,
    "HttpProxy.Port": INT,
    "Lib.Dir": STR,
    "Logs.Collect": BOOL,
    "Logs.CollectPeriod": INT,
    "Logs.Console": BOOL,
    "Logs.Verbose": BOOL,
    "OS.AllowHTTP": BOOL,
    "OS.CheckRdmaDriver": BOOL,
    "OS.EnableFIPS": BOOL,
    "OS.EnableFirewall": BOOL,
    "OS.EnableFirewallPeriod": INT,
    "OS.EnableRDMA": BOOL,
    "OS.HomeDir": STR,
    "OS.MonitorDhcpClientRestartPeriod": INT,
    "OS.OpensslPath": STR,
    "OS.PasswordPath": STR,
    "OS.RemovePersistentNetRulesPeriod": INT,
    "OS.RootDeviceScsiTimeout": INT,
    "OS.RootDeviceScsiTimeoutPeriod": INT,
    "OS.SshClientAliveInterval": INT,
    "OS.SshDir": STR,
    "OS.SudoersDir": STR,
    "OS.UpdateRdmaDriver": BOOL,
    "Pid.File": STR,
    "Protocol.EndpointDiscovery": ("dhcp", "static"),
    "Provisioning.Agent": PROVISIONERS,
    "Provisioning.AllowResetSysUser": BOOL,
    "Provisioning.DecodeCustomData": BOOL,
    "Provisioning.DeleteRootPassword": BOOL,
    "Provisioning.ExecuteCustomData": BOOL,
    "Provisioning.MonitorHostName": BOOL,
    "Provisioning.MonitorHostNamePeriod": INT,
    "Provisioning.PasswordCryptId": ("1", "2a", "5", "6"),
    "Provisioning.PasswordCryptSaltLength": INT,
    "Provisioning.RegenerateSshHostKeyPair": BOOL,
    "Provisioning.SshHostKeyPairType": ("rsa", "dsa", "ecdsa", "ed25519", "auto"),
    "ResourceDisk.EnableSwap": BOOL,
    "ResourceDisk.EnableSwapEncryption": BOOL,
    "ResourceDisk.Filesystem": STR,
    "ResourceDisk.Format": BOOL,
    "ResourceDisk.MountOptions": STR,
    "ResourceDisk.MountPoint": STR,
    "ResourceDisk.SwapSizeMB": INT,
}

#: Keys that current agents do not read: why, and what to do instead. Known to strict mode, reported as dead.
DEAD: Dict[str, str] = {
    "Provisioning.Enabled": "ignored since agent 2.2.45; Provisioning.Agent decides who provisions",
    "Provisioning.UseCloudInit": "ignored since agent 2.2.45; Provisioning.Agent decides who provisions",
    "Extensions.WaitForCloudInitTimeout": "agent 2.15 reads it as a boolean, so another number has no effect",
    "CGroups.EnforceLimits": "not read by agent 2.15",
    "CGroups.Excluded": "not read by agent 2.15",
    "LBProbeResponder": "not read by current agents",
    "Role.StateConsumer": "not read by current agents",
    "Role.ConfigurationConsumer": "not read by current agents",
    "Role.TopologyConsumer": "not read by current agents",
    "Network.Interface": "not read by current agents",
}

_BOOLEANS = {"y": "y", "yes": "y", "true": "y", "on": "y", "n": "n", "no": "n", "false": "n", "off": "n"}


#: Where the agent's own code reads the names of network cards.
_OSUTIL = (
    "/usr/lib/python3*/dist-packages/azurelinuxagent/common/osutil/default.py",
    "/usr/lib/python3*/site-packages/azurelinuxagent/common/osutil/default.py",
)
#: array.tostring() is gone from this Python on ("What's New In Python 3.9", Removed).
_NO_TOSTRING = (3, 9)


def cannot_provision(host: Host) -> str:
    """Why the installed agent fails when it provisions, "" where nothing is known against it.

    Agent 2.2.47, which Debian 11 has, calls array.tostring() to publish the host name. Under Python 3.9 that ends its
    daemon, again and again, before the VM is ever reported ready. Where cloud-init provisions it does not come to that.
    """
    python = re.search(
        r"python(\d+)\.(\d+)$", host.resolve("/usr/bin/python3") if host.exists("/usr/bin/python3") else ""
    )
    if python is None or (int(python.group(1)), int(python.group(2))) < _NO_TOSTRING:
        return ""
    for pattern in _OSUTIL:
        for path in host.glob(pattern):
            if ".tostring()" in host.read(path, ""):
                return "the installed agent is too old for Python %s.%s: it fails as soon as it sets the host name" % (
                    python.groups()
                )
    return ""


class Setting(NamedTuple):
    """One active line: index from 0, key and value as the agent reads them (a trailing comment cut off)."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    key: str
    value: str
    trailing_comment: str


def parse(text: str) -> List[Setting]:
    """The active settings in order; a key may stand twice, then the last one counts."""
    found = []
    for index, line in enumerate(text.split("\n")):
        if line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        value, sep, comment = match.group(4).partition("#")
        found.append(Setting(index, match.group(2), value.strip().strip('"').strip(), (sep + comment).strip()))
    return found


def settings(text: str) -> Dict[str, str]:
    """Key to the value that counts (the last one, as the agent reads it)."""
    return {entry.key: entry.value for entry in parse(text)}


def is_on(value: Optional[str], default: bool) -> bool:
    """A boolean as the agent reads it: y or n, whatever the case; anything else means the code default."""
    word = (value or "").lower()
    return word == "y" if word in ("y", "n") else default


def nearest(key: str) -> str:
    """The known option that looks most like `key`; "" where none does."""
    known = list(OPTIONS) + list(DEAD)
    lowered = {name.lower(): name for name in known}
    if key.lower() in lowered:
        return lowered[key.lower()]
    close = difflib.get_close_matches(key.lower(), list(lowered), 1, 0.6)
    return lowered[close[0]] if close else ""


def format_value(key: str, value: Any, strict: bool = True) -> str:
    """The value as it is written for `key`; AzurePrepError where the type does not fit or the key is unknown."""
    if value is None:
        text = "None"
    elif isinstance(value, bool):
        text = "y" if value else "n"
    else:
        text = str(value).strip()
    if "\n" in text or "\r" in text or "\0" in text:
        raise AzurePrepError("waagent.conf: the value of %s has more than one line; give one line." % key)
    if "#" in text:
        raise AzurePrepError(
            "waagent.conf: the value of %s holds a #, from which on the agent ignores the line; leave it out." % key
        )
    if not re.match(r"^[A-Za-z][\w.]*$", key):
        raise AzurePrepError("waagent.conf: %r is no option name; expected Section.Option." % key)
    kind = OPTIONS.get(key, STR if key in DEAD else None)
    if kind is None:
        if not strict:
            return text
        near = nearest(key)
        raise AzurePrepError(
            "waagent.conf knows no option %s%s. Set strict to false to write it all the same."
            % (key, "; did you mean %s?" % near if near else "")
        )
    if text == "None":
        return text
    if kind == BOOL:
        if text.lower() not in _BOOLEANS:
            raise AzurePrepError("waagent.conf: %s is y or n, not %r." % (key, text))
        return _BOOLEANS[text.lower()]
    if kind == INT:
        if not re.match(r"^-?\d+$", text, re.ASCII):
            raise AzurePrepError("waagent.conf: %s is a whole number, not %r." % (key, text))
        return text
    if isinstance(kind, tuple) and text not in kind:
        raise AzurePrepError("waagent.conf: %s is one of %s, not %r." % (key, ", ".join(kind), text))
    if not text:
        raise AzurePrepError("waagent.conf: %s needs a value; None unsets it." % key)
    return text


def edit(text: str, wanted: Dict[str, str]) -> str:
    """Give each key its (formatted) value, once; later lines of a key that stands twice are taken out.

    A key that is only there as a comment gets its line below that comment, a new one its line at the end.
    A line that has the value already stays as it is, unless a trailing comment follows it.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    ending = "\r" if newline == "\r\n" else ""
    lines: List[Optional[str]] = list(text.split("\n"))
    active: Dict[str, List[Setting]] = {}
    for entry in parse(text):
        active.setdefault(entry.key, []).append(entry)
    inserts: List[Tuple[int, str]] = []
    appended: List[str] = []
    for key, value in wanted.items():
        line = "%s=%s%s" % (key, value, ending)
        entries = active.get(key, [])
        if entries:
            first = entries[0]
            if first.value != value or first.trailing_comment:
                lines[first.index] = line
            for extra in entries[1:]:
                lines[extra.index] = None
            continue
        places = []
        for index, content in enumerate(text.split("\n")):
            match = _COMMENTED.match(content)
            if match is not None and match.group(1) == key:
                places.append(index)
        if places:
            inserts.append((places[-1], line))
        else:
            appended.append(line)
    for index, line in sorted(inserts, reverse=True):
        lines.insert(index + 1, line)
    kept = [line for line in lines if line is not None]
    if appended:
        if kept and kept[-1] == "":
            kept[-1:] = appended + [""]
        else:
            if ending and kept:
                kept[-1] = (kept[-1] or "") + ending
            kept += appended + [""]
    return "\n".join(kept)


def dead_keys(text: str) -> List[str]:
    """A sentence for each active key that the agent does not read."""
    return ["%s has no effect: %s." % (entry.key, DEAD[entry.key]) for entry in parse(text) if entry.key in DEAD]


def provisions(text: str, cloud_init_enabled: bool) -> bool:
    """Whether the agent would provision: Provisioning.Agent, where auto means "unless cloud-init-local is enabled"."""
    agent = settings(text).get("Provisioning.Agent", "auto").lower()
    if agent == "waagent":
        return True
    return agent not in ("cloud-init", "disabled") and not cloud_init_enabled
