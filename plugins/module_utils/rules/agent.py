# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the Azure Linux Agent: its options as the agent itself reads them.

Private to the collection: its interface may change in any release.
"""

from typing import Any, Dict, List

from ansible_collections.linuxvhd.azure.plugins.module_utils import waagent_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    quote,
)

CHECKS = Table()

CONF = waagent_conf.PATH

#: Oldest agent that Azure supports (minimum version document).
MINIMUM = (2, 2, 53, 1)

#: From here on AutoUpdate.UpdateToLatestVersion decides (WALinuxAgent README).
NEW_SWITCH = (2, 10, 0, 8)


def shown(context: Context, key: str) -> str:
    """The line that counts for a key, as evidence, or that there is none."""
    lines = (context.text(CONF) or "").split("\n")
    found = ""
    for setting in waagent_conf.parse(context.text(CONF) or ""):
        if setting.key == key:
            found = quote(CONF, setting.index + 1, lines[setting.index])
    return found or "%s has no %s" % (CONF, key)


def _absent(context: Context) -> str:
    """Why the agent's options cannot be judged; "" where they can."""
    if context.agentless:
        return "This image provisions without the agent."
    if context.text(CONF) is None:
        return "There is no %s (AGENT-01 judges whether the agent is there)." % CONF
    return ""


def _switch(context: Context, key: str, default: bool, wanted: bool) -> Outcome:
    """A boolean option against what is wanted."""
    reason = _absent(context)
    if reason:
        return na(reason)
    value = context.agent_options.get(key)
    found = waagent_conf.is_on(value, default)
    text = shown(context, key)
    if value is None:
        text += "; the agent's default is %s" % ("y" if default else "n")
    return ok(text) if found == wanted else bad(text)


@CHECKS("AGENT-01")
def agent_enabled(context: Context) -> Outcome:
    """The command waagent, its configuration file, and an enabled unit: waagent.service or walinuxagent.service."""
    if context.agentless:
        return na("This image provisions without the agent.")
    if not context.has_agent:
        return bad("waagent is not installed")
    if context.text(CONF) is None:
        return bad("there is no %s, without which the agent does not start" % CONF)
    units = tuple(context.profile.units.get("agent", ())) + ("waagent.service", "walinuxagent.service")
    enabled = context.first_enabled(*units)
    if enabled and context.exists("/var/lib/waagent/disable_agent"):
        return bad("/var/lib/waagent/disable_agent switches the agent off")
    if enabled:
        return ok("%s is enabled" % enabled)
    return bad(join("%s is %s" % (unit, context.unit_state(unit)) for unit in sorted(set(units))))


def updates_itself(context: Context) -> bool:
    """What the agent makes of its two switches."""
    options = context.agent_options
    old = waagent_conf.is_on(options.get("AutoUpdate.Enabled"), True)
    if "AutoUpdate.UpdateToLatestVersion" in options and (
        not context.agent_version or context.agent_version >= NEW_SWITCH
    ):
        return waagent_conf.is_on(options["AutoUpdate.UpdateToLatestVersion"], True)
    return old


@CHECKS("AGENT-02")
def agent_version(context: Context) -> Outcome:
    """The version in the agent's own version.py (else of its package): 2.2.53.1 or newer, or updating itself."""
    if context.agentless:
        return na("This image provisions without the agent.")
    if not context.has_agent:
        return bad("waagent is not installed")
    number = context.agent_version
    if not number:
        return dunno("The agent's version could not be told.")
    text = "WALinuxAgent " + ".".join(str(part) for part in number)
    if number >= MINIMUM:
        return ok(text)
    return ok(text + ", updating itself") if updates_itself(context) else bad(text + ", not updating itself")


@CHECKS("AGENT-03")
def auto_update(context: Context) -> Outcome:
    """AutoUpdate.UpdateToLatestVersion and AutoUpdate.Enabled as this version of the agent reads them."""
    reason = _absent(context)
    if reason:
        return na(reason)
    evidence = [shown(context, key) for key in ("AutoUpdate.UpdateToLatestVersion", "AutoUpdate.Enabled")]
    off = [key for key in ("AutoUpdate.UpdateToLatestVersion", "AutoUpdate.Enabled") if key in context.agent_options]
    if not updates_itself(context):
        return bad(join(evidence))
    if not off:
        return ok("neither switch is set; the agent's default is y")
    return ok(join(evidence))


def cloud_init_enabled(context: Context) -> bool:
    """What the agent's own question (is cloud-init-local.service enabled) would be answered."""
    return context.unit_state("cloud-init-local.service") == "enabled"


@CHECKS("AGENT-04")
def who_provisions(context: Context) -> Outcome:
    """Provisioning.Agent against what is enabled: cloud-init's units, or the agent alone, if it can."""
    reason = _absent(context)
    if reason:
        return na(reason)
    value = context.agent_options.get("Provisioning.Agent", "auto").lower()
    if value == "none":
        # The agent takes the word None for "not set".
        value = "auto"
    text = shown(context, "Provisioning.Agent")
    active = cloud_init_enabled(context)
    if value == "disabled":
        return ok(text + ": for a specialized image")
    if value == "cloud-init":
        return ok(text) if active else bad(text + ", but cloud-init-local.service is not enabled")
    doubt = "" if active else waagent_conf.cannot_provision(context.host)
    if doubt and value in ("waagent", "auto"):
        return bad("%s, but %s" % (text, doubt))
    if value == "waagent":
        return bad(text + ", but cloud-init is enabled as well: both would provision") if active else ok(text)
    if value == "auto":
        if context.provisioner == "cloud-init" and not active:
            return bad(text + ", and cloud-init-local.service is not enabled: the agent would provision")
        return ok("%s: %s" % (text, "cloud-init" if active else "the agent"))
    return bad(text + ": no value that the agent knows")


@CHECKS("AGENT-05")
def dead_switches(context: Context) -> Outcome:
    """Provisioning.Enabled and Provisioning.UseCloudInit on agents from 2.2.45 on."""
    reason = _absent(context)
    if reason:
        return na(reason)
    number = context.agent_version
    keys = [key for key in ("Provisioning.Enabled", "Provisioning.UseCloudInit") if key in context.agent_options]
    if not keys:
        return ok("neither is set")
    if number and number < (2, 2, 45):
        return ok(join(shown(context, key) for key in keys))
    if "Provisioning.Agent" in context.agent_options:
        return na("%s: no effect beside Provisioning.Agent" % join(shown(context, key) for key in keys))
    return bad(join(shown(context, key) for key in keys))


@CHECKS("AGENT-06")
def resource_disk_left(context: Context) -> Outcome:
    """With cloud-init: ResourceDisk.Format and ResourceDisk.EnableSwap are n."""
    if context.provisioner != "cloud-init":
        return na("cloud-init does not provision here.")
    reason = _absent(context)
    if reason:
        return na(reason)
    wrong = [
        shown(context, key)
        for key in ("ResourceDisk.Format", "ResourceDisk.EnableSwap")
        if waagent_conf.is_on(context.agent_options.get(key), False)
    ]
    if wrong:
        return bad(join(wrong))
    return ok(join(shown(context, key) for key in ("ResourceDisk.Format", "ResourceDisk.EnableSwap")))


@CHECKS("AGENT-07")
def resource_disk_formatted(context: Context) -> Outcome:
    """Without cloud-init: ResourceDisk.Format is y."""
    if context.provisioner != "waagent":
        return na("The agent does not provision here.")
    return _switch(context, "ResourceDisk.Format", False, True)


@CHECKS("AGENT-08")
def identity(context: Context) -> Outcome:
    """Provisioning.DeleteRootPassword, .RegenerateSshHostKeyPair and .SshHostKeyPairType."""
    reason = _absent(context)
    if reason:
        return na(reason)
    wrong = [
        shown(context, key)
        for key in ("Provisioning.DeleteRootPassword", "Provisioning.RegenerateSshHostKeyPair")
        if not waagent_conf.is_on(context.agent_options.get(key), False)
    ]
    kind = context.agent_options.get("Provisioning.SshHostKeyPairType", "rsa").lower()
    if kind not in ("rsa", "auto", "ecdsa", "ed25519"):
        wrong.append(shown(context, "Provisioning.SshHostKeyPairType"))
    return bad(join(wrong)) if wrong else ok("y, y, %s in %s" % (kind, CONF))


@CHECKS("AGENT-09")
def scsi_timeout(context: Context) -> Outcome:
    """OS.RootDeviceScsiTimeout: 300 or more."""
    reason = _absent(context)
    if reason:
        return na(reason)
    value = context.agent_options.get("OS.RootDeviceScsiTimeout", "")
    text = shown(context, "OS.RootDeviceScsiTimeout")
    return ok(text) if value.isdigit() and int(value) >= 300 else bad(text)


@CHECKS("AGENT-10")
def agent_firewall(context: Context) -> Outcome:
    """OS.EnableFirewall."""
    return _switch(context, "OS.EnableFirewall", False, True)


@CHECKS("AGENT-11")
def extensions(context: Context) -> Outcome:
    """Extensions.Enabled."""
    return _switch(context, "Extensions.Enabled", True, True)


@CHECKS("AGENT-12")
def endpoint(context: Context) -> Outcome:
    """Protocol.EndpointDiscovery where it is set."""
    value = context.agent_options.get("Protocol.EndpointDiscovery")
    if value is None:
        return na("Not set.")
    text = shown(context, "Protocol.EndpointDiscovery")
    return ok(text) if value.lower() in ("dhcp", "static") else bad(text)


@CHECKS("AGENT-14")
def custom_data(context: Context) -> Outcome:
    """Provisioning.ExecuteCustomData where it is switched on."""
    if not waagent_conf.is_on(context.agent_options.get("Provisioning.ExecuteCustomData"), False):
        return na("Not switched on.")
    return _switch(context, "Provisioning.DecodeCustomData", False, True)


@CHECKS("AGENT-15")
def proxy(context: Context) -> Outcome:
    """HttpProxy.Host and HttpProxy.Port where one is set."""
    values = [context.agent_options.get(key, "None") for key in ("HttpProxy.Host", "HttpProxy.Port")]
    present = [value.lower() not in ("none", "") for value in values]
    if not any(present):
        return na("No proxy is set.")
    if not all(present):
        return bad(join(shown(context, key) for key in ("HttpProxy.Host", "HttpProxy.Port")))
    return ok(join(shown(context, key) for key in ("HttpProxy.Host", "HttpProxy.Port")))


@CHECKS("AGENT-16")
def log_collection(context: Context) -> Outcome:
    """Logs.Collect where it is set."""
    value = context.agent_options.get("Logs.Collect")
    if value is None:
        return na("Not set.")
    text = shown(context, "Logs.Collect")
    return ok(text) if value.lower() in ("y", "n") else bad(text)


@CHECKS("AGENT-17")
def executable(context: Context) -> Outcome:
    """The options with which the file system of /var/lib/waagent is mounted, now and by /etc/fstab."""
    if context.agentless:
        return na("This image has no agent.")
    mount = context.options_of("/var/lib/waagent")
    if mount is None:
        return dunno("The file system of /var/lib/waagent was not found.")
    text = "%s on %s (%s)" % (mount.source, mount.target, ",".join(mount.options))
    return bad(text) if "noexec" in mount.options else ok(text)


@CHECKS("AGENT-18")
def well_formed(context: Context) -> Outcome:
    """Each active line of waagent.conf: Key=value, no comment behind it, no key twice with another value."""
    reason = _absent(context)
    if reason:
        return na(reason)
    text = context.text(CONF) or ""
    lines = text.split("\n")
    settings = waagent_conf.parse(text)
    wrong: List[str] = []
    seen: Dict[str, Any] = {}
    for setting in settings:
        line = quote(CONF, setting.index + 1, lines[setting.index])
        if setting.trailing_comment:
            wrong.append(line)
        if setting.key in seen and seen[setting.key] != setting.value:
            wrong.append(line + " stands twice")
        seen[setting.key] = setting.value
    known = {setting.index for setting in settings}
    for index, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#") and index not in known:
            wrong.append(quote(CONF, index + 1, line) + " is not Key=value")
    return bad(join(wrong)) if wrong else ok("%s: %d settings" % (CONF, len(settings)))
