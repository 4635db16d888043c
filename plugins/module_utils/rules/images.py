# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of images that provision without an agent, and of what only certification asks for.

Private to the collection: its interface may change in any release.
"""

import re
from typing import List

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    shorten,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.packages import (
    apt_sources,
    enabled_repositories,
    python_version,
    refreshed_repositories,
    repositories,
    repository_names,
)

CHECKS = Table()

UNIT = "azure-provisioning.service"

_NOT_AGENTLESS = "This image provisions with %s."


def _absent(context: Context) -> str:
    return "" if context.agentless else _NOT_AGENTLESS % context.provisioner


@CHECKS("NOAGENT-02")
def dhcp_client(context: Context) -> Outcome:
    """A DHCP client: NetworkManager, systemd-networkd, dhclient, dhcpcd, udhcpc or wicked."""
    if _absent(context):
        return na(_absent(context))
    commands = [
        name for name in ("NetworkManager", "dhclient", "dhcpcd", "udhcpc", "wicked") if context.has_command(name)
    ]
    enabled = context.first_enabled("systemd-networkd.service")
    found = commands + ([enabled] if enabled else [])
    return ok(join(found)) if found else bad("no DHCP client")


@CHECKS("NOAGENT-03")
def agent_gone(context: Context) -> Outcome:
    """waagent, /etc/waagent.conf and /var/lib/waagent."""
    if _absent(context):
        return na(_absent(context))
    found = ["waagent"] if context.has_agent else []
    found += [path for path in ("/etc/waagent.conf", "/etc/waagent.conf.rpmsave") if context.exists(path)]
    found += context.glob("/var/lib/waagent/*")
    return bad(join(found)) if found else ok("nothing of the agent is left")


def programs(context: Context) -> List[str]:
    """The programs that the provisioning unit starts."""
    found = []
    for match in re.finditer(r"^ExecStart=[-@:+!]*(\S+)(.*)$", context.unit_text(UNIT), re.MULTILINE):
        found.append(match.group(1))
        # An interpreter's first argument is the program that counts.
        for word in match.group(2).split():
            if word.startswith("/") and not word.startswith("/dev"):
                found.append(word)
    return found


@CHECKS("NOAGENT-04")
def program(context: Context) -> Outcome:
    """Every program that azure-provisioning.service starts exists."""
    if _absent(context):
        return na(_absent(context))
    found = programs(context)
    if not found:
        return bad("%s has no ExecStart" % UNIT)
    missing = ["%s does not exist" % path for path in found if not context.exists(path)]
    for match in re.finditer(r"^ExecStart=[-@:+!]*(/\S+)", context.unit_text(UNIT), re.MULTILINE):
        status = context.host.stat(match.group(1))
        if status is not None and not status.st_mode & 0o111:
            missing.append("%s may not be executed" % match.group(1))
    return bad(join(missing)) if missing else ok(join(found))


@CHECKS("NOAGENT-05")
def unit(context: Context) -> Outcome:
    """azure-provisioning.service: enabled, wants and follows network-online.target, nothing keeps it from starting."""
    if _absent(context):
        return na(_absent(context))
    state = context.unit_state(UNIT)
    if state != "enabled":
        return bad("%s is %s" % (UNIT, state))
    text = context.unit_text(UNIT)
    if not re.search(r"^After=.*network-online\.target", text, re.MULTILINE):
        return bad("%s does not wait for network-online.target" % UNIT)
    if not re.search(r"^(Wants|Requires)=.*network-online\.target", text, re.MULTILINE):
        return bad("%s does not want network-online.target, which then nobody starts" % UNIT)
    for match in re.finditer(r"^ConditionPathExists=\s*!(/\S+)", text, re.MULTILINE):
        if context.exists(match.group(1)):
            return bad("%s exists, so %s does not start: it has provisioned already" % (match.group(1), UNIT))
    return ok("%s is enabled" % UNIT)


@CHECKS("NOAGENT-06")
def sets_host_name(context: Context) -> Outcome:
    """The unit or one of its programs reads the instance metadata and sets the host name."""
    if _absent(context):
        return na(_absent(context))
    text = context.unit_text(UNIT) + "\n".join(
        context.text(path) or "" for path in programs(context) if "bin/" not in path or "azure" in path
    )
    if re.search(r"hostnamectl|sethostname|/etc/hostname|set-hostname", text):
        return ok("it sets the host name")
    return bad("neither %s nor its programs set the host name" % UNIT)


# -- certification ---------------------------------------------------------------------------------------------


@CHECKS("CERT-01")
def extensions_work(context: Context) -> Outcome:
    """The agent is there, Extensions.Enabled is not n, Python is 2.6 or newer, /var/lib/waagent may execute."""
    if context.agentless:
        return bad("an image without the agent cannot run extensions")
    wrong = []
    if not context.has_agent:
        wrong.append("waagent is not installed")
    if context.agent_setting("Extensions.Enabled").lower() == "n":
        wrong.append("/etc/waagent.conf: Extensions.Enabled=n")
    if python_version(context) < (2, 6):
        wrong.append("no Python")
    mount = context.options_of("/var/lib/waagent")
    if mount is not None and "noexec" in mount.options:
        wrong.append("%s is mounted noexec" % mount.target)
    return bad(join(wrong)) if wrong else ok("agent, Python and /var/lib/waagent allow it")


@CHECKS("CERT-05")
def repositories_configured(context: Context) -> Outcome:
    """The repositories that are configured: the distribution's own, with security updates."""
    if context.family in ("debian", "ubuntu"):
        sources = apt_sources(context)
        if not sources:
            return bad("apt has no source")
        shown = sorted({"%s %s" % (address, suite) for address, suite, _line in sources})
        if context.family == "ubuntu":
            suites = [suite for _address, suite, _line in sources]
            missing = [word for word in ("-security", "-updates") if not any(word in suite for suite in suites)]
            arm = context.architecture in ("aarch64", "arm64")
            host = "ports.ubuntu.com" if arm else "azure.archive.ubuntu.com"
            if not any(host in address for address, _suite, _line in sources):
                missing.append(host)
            return bad("no %s among %s" % (join(missing), join(shown))) if missing else ok(join(shown))
        own = ("deb.debian.org", "debian-archive.trafficmanager.net", "azure.deb.debian.cloud/debian")
        if context.release.id == "debian" and not any(name in address for name in own for address, _s, _l in sources):
            if any(re.search(r"//([\w-]+\.)*debian\.org/", address) for address, _s, _l in sources):
                return na("%s: Debian's own, but image tests look for %s" % (join(shown), own[0]))
            return bad("no source is Debian's own (%s): %s" % (own[0], join(shown)))
        return ok(join(shown))
    names = enabled_repositories(context)
    if not names:
        return bad("no repository is enabled")
    lowered = [name.lower() for name in names]
    wanted: List[str] = []
    if context.is_oracle():
        wanted = ["latest"]
    elif context.release.id in ("sles", "sles_sap"):
        shown = list(repository_names(context).values())
        absent = [word for word in ("Pool", "Updates") if not any(word in name for name in shown)]
        return bad("no %s among %s" % (join(absent), join(shown))) if absent else ok(join(names))
    elif context.family == "suse":
        wanted = ["oss", "update"]
        # What openSUSE's own images have: updates of the distribution, of its backports and of SLE.
        plain = [
            name
            for name in refreshed_repositories(context)
            if "update" in repository_names(context)[name].lower()
            and not re.search(r"debug|non", repository_names(context)[name].lower())
        ]
        if context.release.id == "opensuse-leap" and len(plain) < 3:
            return bad("fewer than three update repositories are refreshed by themselves: %s" % (join(plain) or "none"))
    elif context.is_el(8) or context.release.id == "fedora":
        wanted = ["base|rhel|rhui|centos|fedora"]
    missing = [word for word in wanted if not any(part in name for part in word.split("|") for name in lowered)]
    if missing:
        return bad("no %s among %s" % (join(missing), join(names)))
    # Image tests count disabled ones as well.
    rhui = [name for name in repositories(context) if name.startswith("rhui-")]
    if context.release.id == "rhel" and len(rhui) <= 5:
        return bad("an image test wants more than five rhui repositories: %s" % join(rhui or names))
    return ok(join(names))


_TROUBLE = re.compile(r"fail|error|warning", re.IGNORECASE)
_CLOUD_TROUBLE = re.compile(r"\[(ERROR|WARNING|CRITICAL)\]:")

#: Lines with such a word that tell of no trouble. Each is a message of a healthy boot.
_HARMLESS = re.compile(
    r"errors=remount-ro|RAS: Correctable Errors collector initialized|failsafe|nofail|"
    r"BERT: Boot Error Record Table support is disabled|failed to load regulatory\.db|regulatory\.0: Direct firmware|"
    r"was skipped because all trigger condition checks failed|was skipped because of a failed condition check|"
    r"Fast TSC calibration|verbose warnings, quota|systemd-journald-audit\.socket|ipmi_si|dev fd0, sector 0|"
    r"acpi PNP0A03:00|Perf event create on CPU 0 failed with -2|open /dev/vmbus/hv_(?:fcopy|vss) failed",
    re.IGNORECASE,
)


@CHECKS("CERT-06")
def boot_log(context: Context) -> Outcome:
    """dmesg, /var/log/syslog or messages, cloud-init.log: fail, error or warning, known harmless lines left out."""
    context.needs_live("The log of the last boot")
    found = []
    looked = []
    result = context.run("dmesg")
    if result.rc == 0:
        looked.append("dmesg")
        found += _trouble("dmesg", result.stdout)
    for path in ("/var/log/syslog", "/var/log/messages"):
        text = context.text(path)
        if text:
            looked.append(path)
            found += _trouble(path, text)
    text = context.text("/var/log/cloud-init.log")
    if text:
        looked.append("/var/log/cloud-init.log")
        for number, line in enumerate(text.split("\n"), 1):
            if _CLOUD_TROUBLE.search(line):
                found.append('/var/log/cloud-init.log:%d "%s"' % (number, shorten(line, 100)))
    if found:
        return bad("%d lines: %s" % (len(found), join(found, 3)))
    if not looked or result.rc != 0:
        return dunno("dmesg may be read by root only; run the audit with become.")
    return ok("nothing unexpected in " + join(looked))


def _trouble(name: str, text: str) -> List[str]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if _TROUBLE.search(line) and not _HARMLESS.search(line):
            found.append('%s:%d "%s"' % (name, number, shorten(line, 100)))
    return found
