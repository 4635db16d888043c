# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof judges: each check by itself, with the evidence it rests on.

Private to the collection: its interface may change in any release.
"""

import fnmatch
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import guest
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.console import Seen
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import IMDS, Deployment, Entry
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.pcap import Traffic
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import parse_os_release

#: Units that need what only Hyper-V has, or the network that a proof withholds; their failure is told, not judged.
NEEDS_HYPERV = ("hv-*", "hv_*", "hyperv*", "hypervkvpd*", "hypervvssd*", "hypervfcopyd*", "chrony*", "azure-vm-utils*")
NEEDS_NETWORK = (
    "apt-daily*", "apt-news*", "esm-cache*", "ua-*", "ubuntu-advantage*", "snapd.seeded*", "motd-news*", "fwupd*",
    "dnf-makecache*", "dnf-automatic*", "unattended-upgrades*", "update-notifier*", "systemd-timesyncd*", "ntp*",
)  # fmt: skip


class Check(NamedTuple):
    """One judgement: id, title, the rule it belongs to, status (pass, fail, skipped), evidence."""

    id: str
    title: str
    rule: str
    status: str
    evidence: str


class Evidence(NamedTuple):
    """Everything that was seen. later_entries: the record from the restart on. facts: see guest.FACTS."""

    options: Any
    deployment: Deployment
    generation: int
    seen: Dict[str, Seen]
    traffic: Traffic
    entries: List[Entry]
    later_entries: List[Entry]
    facts: Dict[str, List[str]]
    login: Optional[guest.Login]
    password_login: Optional[guest.Login]
    offered: str
    medium_read: int
    buses: Tuple[str, ...]
    tried_second: bool
    second: Optional[Dict[str, List[str]]]


def judge(evidence: Evidence) -> List[Check]:
    """All checks in the order of a boot. What could not be looked at is skipped, with the reason."""
    outside = [_console, _root, _network, _configuration, _ready, _provisioner]
    inside = [_user, _accounts, _hostname, _host_keys, _machine_id, _password, _resource_disk, _units, _second_boot]
    return [step(evidence) for step in outside + inside]


def _check(name: str, title: str, rule: str, passed: Optional[bool], text: str) -> Check:
    status = "skipped" if passed is None else "pass" if passed else "fail"
    return Check(name, title, rule, status, text)


def _line(evidence: Evidence, name: str) -> str:
    return evidence.seen[name].line.strip()[:160] if name in evidence.seen else ""


def _console(evidence: Evidence) -> Check:
    title = "kernel and init messages appear on the serial console"
    kernel, init = _line(evidence, "kernel"), _line(evidence, "init") or _line(evidence, "multi_user")
    if kernel and (init or _line(evidence, "login")):
        return _check("console", title, "BOOT-01", True, kernel)
    if kernel:
        return _check("console", title, "BOOT-01", False, "the kernel's messages are there, those of init are not")
    if _line(evidence, "login"):
        return _check("console", title, "BOOT-01", False, "a login prompt is there, the kernel's messages are not")
    return _check("console", title, "BOOT-01", False, "no message of the kernel on the serial port (console=ttyS0)")


def _root(evidence: Evidence) -> Check:
    title = "the root disk is found"
    buses = "attached as " + ", then as ".join(evidence.buses)
    if _line(evidence, "root"):
        return _check("root", title, "INIT-01", True, "%s (%s)" % (_line(evidence, "root"), buses))
    if evidence.facts or evidence.entries or evidence.traffic.packets:
        return _check("root", title, "INIT-01", True, "user space runs (%s)" % buses)
    return _check("root", title, "INIT-01", False, "user space was not reached (%s)" % buses)


def _network(evidence: Evidence) -> Check:
    title = "the network is configured by DHCP"
    if "ack" in evidence.traffic.dhcp:
        return _check("network", title, "NET-01", True, "DHCP: " + ", ".join(evidence.traffic.dhcp[:6]))
    if evidence.traffic.sources:
        text = "no DHCP, but packets from " + ", ".join(evidence.traffic.sources[:5])
        return _check("network", title, "NET-01", False, text)
    return _check(
        "network", title, "NET-01", False, "%d packets left the guest, none by DHCP" % evidence.traffic.packets
    )


def _configuration(evidence: Evidence) -> Check:
    title = "the provisioner reads its configuration"
    document = "\n".join(evidence.facts.get("ovf", []))
    metadata = any(entry.service == IMDS and entry.topic.startswith("instance") for entry in evidence.entries)
    if document:
        # A document that cloud-init made of metadata, because it could not read the medium, has no such element.
        if "KmsServerHostname" in document:
            return _check("configuration", title, "KERN-06", True, "ovf-env.xml was read from the medium (udf)")
        text = "the metadata service was read, the medium was not: passwords and custom data would be lost (udf)"
        return _check("configuration", title, "KERN-06", False, text)
    if metadata:
        text = "the metadata service was asked; %d bytes were read from the medium" % evidence.medium_read
        # An agentless program need not read more; the others keep the document, which a login would have shown.
        enough = True if agent_name(evidence) == "agentless" else None
        return _check("configuration", title, "KERN-06", enough, text)
    if not evidence.facts and evidence.medium_read:
        text = "%d bytes were read from the medium, but the guest could not be asked" % evidence.medium_read
        return _check("configuration", title, "KERN-06", None, text)
    if agent_name(evidence) == "agentless":
        return _check("configuration", title, "KERN-06", None, "an agentless image need not read any")
    return _check("configuration", title, "KERN-06", False, "neither the medium nor the metadata service was read")


def agent_name(evidence: Evidence) -> str:
    """Who reported ready: "cloud-init", "waagent", "agentless", or empty. By the requests' User-Agent."""
    for entry in evidence.entries:
        if entry.report is not None and entry.report.accepted and entry.report.state == "Ready":
            agent = entry.agent.lower()
            if "cloud-init" in agent:
                return "cloud-init"
            return "waagent" if agent.startswith("walinuxagent") else "agentless"
    return ""


def _ready(evidence: Evidence) -> Check:
    title = "ready is reported to the WireServer, once, with the right identifiers"
    reports = [entry for entry in evidence.entries if entry.report is not None]
    good = [entry for entry in reports if entry.report and entry.report.accepted and entry.report.state == "Ready"]
    refused = [entry for entry in reports if entry.report and not entry.report.accepted]
    if refused:
        return _check("ready", title, "NOAGENT-04", False, "a report was refused: " + refused[0].note)
    failed = [entry for entry in reports if entry.report and entry.report.substatus == "ProvisioningFailed"]
    if failed and good:
        # Two provisioners, and they do not agree: Azure shows the last word.
        text = "%s, but %s reported that provisioning failed: %s"
        words = (good[0].agent or "an unnamed client", failed[-1].agent or "an unnamed client")
        told = failed[-1].report.description if failed[-1].report else ""
        return _check("ready", title, "AGENT-04", False, text % (words[0] + " reported ready", words[1], told[:200]))
    if not good:
        states = ", ".join(entry.note for entry in reports) or "none"
        return _check("ready", title, "NOAGENT-04", False, "health reports: " + states)
    by_agent: Dict[str, int] = {}
    for entry in good:
        name = entry.agent.split("/")[0] or "unnamed"
        by_agent[name] = by_agent.get(name, 0) + 1
    told = ", ".join("%s %d" % (name, count) for name, count in sorted(by_agent.items()))
    text = "container %s, incarnation %s; reports: %s" % (
        evidence.deployment.container_id,
        evidence.deployment.incarnation,
        told,
    )
    return _check("ready", title, "NOAGENT-04", max(by_agent.values()) == 1, text)


def _provisioner(evidence: Evidence) -> Check:
    title = "the wanted provisioner is the one that provisions"
    rule = {"cloud-init": "CINIT-01", "waagent": "AGENT-04", "agentless": "NOAGENT-04"}
    wanted, found = evidence.options.provisioner, agent_name(evidence)
    if not found:
        return _check("provisioner", title, "AGENT-04", None, "nobody reported ready")
    names = sorted({entry.agent for entry in evidence.entries if entry.agent})
    text = "%s (%s)" % (found, ", ".join(names)[:200] or "unnamed client")
    return _check("provisioner", title, rule[found], wanted in ("auto", found), text)


def _unreachable(evidence: Evidence, name: str, title: str, rule: str) -> Check:
    return _check(name, title, rule, None, "the guest could not be asked: no login")


def _tells_the_user(entry: Entry) -> bool:
    """Whether an answer of the metadata service held the user's name or keys."""
    topic = entry.topic.lower()
    whole = topic in ("instance", "instance/compute")
    return entry.service == IMDS and (whole or "osprofile" in topic or "publickeys" in topic)


def _user(evidence: Evidence) -> Check:
    title = "the user is created and logs in with the private key"
    if evidence.facts:
        user = guest.first(evidence.facts, "user")
        wanted = evidence.options.ssh_public_key.split()
        listed = any(len(wanted) > 1 and wanted[1] in line for line in evidence.facts.get("keys", []))
        if wanted and not listed:
            return _check("user", title, "SSH-01", False, "the key that was given is not in authorized_keys")
        rights = "root by sudo" if guest.first(evidence.facts, "sudo") == "root" else "no root by sudo"
        return _check("user", title, "SSH-01", user == evidence.options.user, "logged in as %s, %s" % (user, rights))
    if evidence.login is None:
        return _check("user", title, "SSH-01", None, "the boot ended before a login could be tried")
    told = any(_tells_the_user(entry) for entry in evidence.entries)
    if "Permission denied" in evidence.login.message and agent_name(evidence) == "agentless" and not told:
        # The article on images without an agent shows a program that does nothing but report ready.
        text = "the program that reported ready asked for neither user nor key: who may log in is the image's matter"
        return _check("user", title, "SSH-01", None, text)
    return _check("user", title, "SSH-01", False, "SSH says: %s" % (evidence.login.message or "nothing"))


def _accounts(evidence: Evidence) -> Check:
    title = "no account of the build is left"
    if not evidence.facts:
        return _unreachable(evidence, "accounts", title, "ACC-02")
    others = [name for name in evidence.facts.get("accounts", []) if name.strip() != evidence.options.user]
    text = "other accounts with a login shell: %s" % ", ".join(others) if others else "only %s" % evidence.options.user
    return _check("accounts", title, "ACC-02", not others, text)


def _hostname(evidence: Evidence) -> Check:
    title = "the host name is set"
    if not evidence.facts:
        return _unreachable(evidence, "hostname", title, "NET-16")
    name = guest.first(evidence.facts, "hostname")
    same = name.split(".")[0].lower() == evidence.options.hostname.split(".")[0].lower()
    return _check("hostname", title, "NET-16", same, "host name %s, wanted %s" % (name, evidence.options.hostname))


def _born(facts: Dict[str, List[str]]) -> Dict[str, int]:
    """Seconds between the start of the kernel and the last change of each file; negative: not of this boot.

    A change that is still to come was made by a machine whose clock ran ahead, as on hosts with local time in the RTC.
    """
    boot, now = guest.first(facts, "boot_time"), guest.first(facts, "now")
    born = {}
    for line in facts.get("changed", []):
        moment, _space, path = line.partition(" ")
        if boot.isdigit() and moment.isdigit():
            ahead = now.isdigit() and int(moment) > int(now) + 2
            born[path.strip()] = int(now) - int(moment) - 3 if ahead else int(moment) - int(boot)
    return born


def _host_keys(evidence: Evidence) -> Check:
    title = "the SSH host keys are new"
    if not evidence.facts:
        return _unreachable(evidence, "host_keys", title, "SSH-04")
    born = {path: age for path, age in _born(evidence.facts).items() if "ssh_host" in path}
    if not born:
        return _check("host_keys", title, "SSH-04", None, "no host key was found in /etc/ssh")
    old = sorted(path for path, age in born.items() if age < -2)
    if old:
        return _check("host_keys", title, "SSH-04", False, "not made by this boot: " + ", ".join(old))
    keys = "; ".join(guest.fingerprint(line) for line in evidence.facts.get("host_keys", []))
    return _check("host_keys", title, "SSH-04", True, keys[:400] or ", ".join(sorted(born)))


def _machine_id(evidence: Evidence) -> Check:
    title = "the machine-id is new"
    if not evidence.facts:
        return _unreachable(evidence, "machine_id", title, "CLEAN-09")
    value = guest.first(evidence.facts, "machine_id")
    if not value:
        return _check("machine_id", title, "CLEAN-09", None, "the system has no /etc/machine-id")
    if not re.match(r"^[0-9a-f]{32}$", value):
        return _check("machine_id", title, "CLEAN-09", False, "/etc/machine-id says %r" % value[:40])
    if re.search(r"(^|\s)systemd\.machine[_-]id=", guest.first(evidence.facts, "cmdline")):
        return _check(
            "machine_id", title, "CLEAN-09", False, "%s comes from the boot entry: every new VM would have it" % value
        )
    age = _born(evidence.facts).get("/etc/machine-id")
    if age is None:
        return _check("machine_id", title, "CLEAN-09", None, "%s, of unknown age" % value)
    text = "written %d s after the kernel started" % age if age >= -2 else "not written by this boot"
    return _check("machine_id", title, "CLEAN-09", age >= -2, "%s, %s" % (value, text))


def _password(evidence: Evidence) -> Check:
    title = "password login is as asked"
    if not evidence.facts:
        return _unreachable(evidence, "password", title, "SSH-03")
    if evidence.options.password:
        login = evidence.password_login
        worked = login is not None and login.ok and login.out.strip() == evidence.options.user
        text = "login by password worked" if worked else "SSH says: %s" % (login.message if login else "nothing")
        return _check("password", title, "SSH-03", worked, text)
    if not evidence.offered:
        return _check("password", title, "SSH-03", None, "the server did not say what it offers")
    text = "offered: " + evidence.offered
    if "password" not in evidence.offered.split(","):
        return _check("password", title, "SSH-03", True, text)
    if agent_name(evidence) == "agentless":
        text += "; without an agent nothing switches passwords off, and the user that was made here has none"
        return _check("password", title, "SSH-03", None, text)
    return _check("password", title, "SSH-03", False, text)


def _resource_disk(evidence: Evidence) -> Check:
    title = "the resource disk is formatted and mounted"
    rule = "SWAP-01"
    if not evidence.options.resource_disk_gib:
        return _check("resource_disk", title, rule, None, "no resource disk was asked for (resource_disk_gib)")
    if not evidence.facts:
        return _unreachable(evidence, "resource_disk", title, rule)
    links = evidence.facts.get("resource", [])
    if not links:
        text = "the udev rules of cloud-init and the agent know the resource disk by its VMBus identifier, "
        text += "which only Hyper-V gives"
        return _check("resource_disk", title, rule, None, text)
    mounts = [line for line in evidence.facts.get("mounts", []) if line.split()[1] in ("/mnt", "/mnt/resource")]
    swaps = evidence.facts.get("swaps", [])[1:]
    text = "%s; swap: %s" % (mounts[0] if mounts else "not mounted", swaps[0].split()[0] if swaps else "none")
    return _check("resource_disk", title, rule, bool(mounts), text)


def _units(evidence: Evidence) -> Check:
    title = "no unit has failed"
    if not evidence.facts:
        return _unreachable(evidence, "units", title, "CERT-06")
    if not guest.first(evidence.facts, "system"):
        return _check("units", title, "CERT-06", None, "the system does not run systemd")
    failed = [line.split()[0] for line in evidence.facts.get("failed", []) if line.split()]
    told: List[str] = []
    judged: List[str] = []
    for unit in failed:
        reason = _excuse(unit)
        (told if reason else judged).append("%s%s" % (unit, " (%s)" % reason if reason else ""))
    text = "system is %s" % guest.first(evidence.facts, "system")
    if judged:
        text = "failed: " + ", ".join(judged)
    if told:
        text += "; not judged: " + ", ".join(told)
    return _check("units", title, "CERT-06", not judged, text)


def _excuse(unit: str) -> str:
    if any(fnmatch.fnmatch(unit, pattern) for pattern in NEEDS_HYPERV):
        return "needs Hyper-V's devices"
    if any(fnmatch.fnmatch(unit, pattern) for pattern in NEEDS_NETWORK):
        return "needs a network beyond Azure's addresses"
    return ""


def _second_boot(evidence: Evidence) -> Check:
    title = "a second boot does not provision again"
    rule = "NOAGENT-04"
    if not evidence.tried_second:
        reason = "not asked for" if not evidence.options.second_boot else "the first boot did not come so far"
        return _check("second_boot", title, rule, None, reason)
    if evidence.second is None or "end" not in evidence.second:
        return _check("second_boot", title, rule, False, "the guest did not come back after a restart")
    problems = []
    for name, words in (
        ("machine_id", "machine-id"),
        ("host_keys", "host keys"),
        ("hostname", "host name"),
        ("keys", "authorized keys"),
    ):
        if evidence.facts.get(name) != evidence.second.get(name):
            problems.append("new " + words)
    reports = [entry for entry in evidence.later_entries if entry.report is not None]
    told = ", ".join("%s by %s" % (entry.note, entry.agent or "an unnamed client") for entry in reports)
    # An agent that provisioning is switched off in reports ready at every start (azurelinuxagent/pa/provision/
    # default.py, run) and does nothing else. A report by anyone else, or another state, is provisioning.
    heartbeat = all(
        entry.agent.lower().startswith("walinuxagent") and entry.report is not None and entry.report.state == "Ready"
        for entry in reports
    )
    if reports and not heartbeat:
        problems.append("health reports: " + told)
    text = "same machine-id, host keys, host name and keys; " + (told or "no health report")
    if problems:
        text = "; ".join(problems)
    return _check("second_boot", title, rule, not problems, text)


def provisioned(facts: Dict[str, List[str]], judged: List[Check]) -> Dict[str, Any]:
    """The module's short answer: who and what was provisioned; empty values where the guest could not be asked."""
    status = {check.id: check.status for check in judged}
    return {
        "user": guest.first(facts, "user"),
        "hostname": guest.first(facts, "hostname"),
        "ssh_key": status.get("user") == "pass",
        "host_keys": [guest.fingerprint(line) for line in facts.get("host_keys", [])],
        "host_keys_new": status.get("host_keys") == "pass",
        "machine_id": guest.first(facts, "machine_id"),
    }


def release_name(facts: Dict[str, List[str]]) -> str:
    """The pretty name of the system, empty where it could not be asked."""
    return parse_os_release("\n".join(facts.get("release", []))).pretty_name
