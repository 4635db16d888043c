# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen to why it failed: the most likely cause in a sentence, with the rule that names the cure.

A pure function over a Story. Causes are tried in the order in which a boot meets them, so that the first thing
that went wrong is named, not one of its consequences.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.console import Seen
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import (
    HOST_PLUGIN,
    IMDS,
    WIRESERVER,
    Entry,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.pcap import Traffic


class Story(NamedTuple):
    """Everything known about a boot that did not end well.

    outcome: "fatal", "idle", "timeout", "ended", "loop", "failed" (reported by the guest), "refused" or "ready".
    seen: signs on the console. screen: text on the VGA screen. medium_read: bytes read from the CD-ROM.
    login: whether an SSH login with the key worked in spite of all. buses: how the disk was offered, in order.
    """

    outcome: str
    generation: int
    boots: Tuple[int, ...]
    seen: Dict[str, Seen]
    console_bytes: int
    screen: str
    traffic: Traffic
    entries: List[Entry]
    medium_read: int
    disk_written: bool
    buses: Tuple[str, ...]
    login: bool
    timeout: int


class Diagnosis(NamedTuple):
    """A cause: short stable name, rule ID (empty where no rule is about it), a sentence, what it rests on."""

    cause: str
    rule: str
    sentence: str
    evidence: str


NO_INITRAMFS = "the initramfs is missing or lacks the disk's driver."


def _line(story: Story, *names: str) -> str:
    return next((story.seen[name].line.strip() for name in names if name in story.seen), "")


def diagnose(story: Story) -> Diagnosis:
    """The most likely cause. Always answers; where nothing fits it says so and names the last landmark."""
    for step in (
        _firmware,
        _loader,
        _kernel,
        _disk,
        _userspace,
        locked_out,
        _refused,
        _reported,
        _network,
        _provisioner,
    ):
        found = step(story)
        if found is not None:
            return found
    return _unknown(story)


def _firmware(story: Story) -> Optional[Diagnosis]:
    text = story.screen
    nothing = "bios_nothing" in story.seen or re.search(r"No bootable device|not a bootable disk|Boot failed", text)
    uefi = "uefi_nothing" in story.seen or ("bds_failed" in story.seen and "kernel" not in story.seen)
    if not (nothing or uefi) or "kernel" in story.seen:
        return None
    evidence = _line(story, "bios_nothing", "uefi_nothing", "bds_failed") or _first(
        text, "No bootable|Boot failed|bootable"
    )
    other = [generation for generation in story.boots if generation != story.generation]
    if story.generation not in story.boots and other:
        words = "The firmware finds nothing to boot: the disk is made for Gen%d (%s), and Gen%d was tried."
        return Diagnosis(
            "generation_mismatch",
            "DISK-15",
            words % (other[0], "UEFI" if other[0] == 2 else "BIOS", story.generation),
            evidence,
        )
    if story.generation == 2:
        return Diagnosis(
            "no_loader",
            "DISK-16",
            "The firmware finds nothing to boot: the EFI system partition holds no loader at the fallback path "
            "EFI/BOOT/BOOTX64.EFI, and no boot entry travels with a disk.",
            evidence,
        )
    return Diagnosis(
        "no_loader", "DISK-15", "The firmware finds nothing to boot: the disk holds no boot code that runs.", evidence
    )


def _loader(story: Story) -> Optional[Diagnosis]:
    if "kernel" in story.seen:
        return None
    grub = "grub" in story.screen.lower()
    prompt = re.search(r"^\s*(grub rescue>|grub>)", story.screen, re.MULTILINE)
    if "grub_rescue" in story.seen or (prompt and grub):
        return Diagnosis(
            "boot_loader",
            "BOOT-13",
            "GRUB started but stopped at its own prompt: it does not find its configuration or its modules.",
            _line(story, "grub_rescue") or (prompt.group(0).strip() if prompt else ""),
        )
    if story.disk_written or story.traffic.packets:
        # A kernel runs, which says nothing on the console; GRUB complains of a missing font and goes on.
        return None
    error = _line(story, "grub_error") or _first(story.screen if grub else "", r"^\s*error: ")
    if error:
        words = "GRUB could not load the kernel that its configuration names, and went back to its menu: %s."
        return Diagnosis("boot_loader", "BOOT-13", words % error.rstrip("."), error)
    loading = "loading" in story.seen or re.search(r"^\s*Loading (?:Linux|initial)", story.screen, re.MULTILINE)
    if ("loader" in story.seen or grub) and not loading:
        return Diagnosis(
            "boot_menu",
            "BOOT-14",
            "GRUB stands at its menu and waits for somebody to choose: set a timeout (GRUB_TIMEOUT) after which it "
            "starts the default entry.",
            _line(story, "loader") or _first(story.screen, "GRUB"),
        )
    return None


def _kernel(story: Story) -> Optional[Diagnosis]:
    panic = _line(story, "panic") or _first(story.screen, "Kernel panic")
    words = "The kernel found no root disk"
    if not panic and "root_delay" in story.seen and not {"root", "init", "login"} & set(story.seen):
        # Only a kernel without an initramfs looks for the root disk by itself, after the time that rootdelay= says.
        evidence = _line(story, "root_delay")
        return Diagnosis("root_not_found", "INIT-02", words + " and waits for it: " + NO_INITRAMFS, evidence)
    if not panic:
        return None
    if "no_root" in story.seen or "Unable to mount root" in panic:
        return Diagnosis(
            "root_not_found", "INIT-02", words + " and stopped: " + NO_INITRAMFS, _line(story, "no_root") or panic
        )
    if "No working init" in panic:
        return None
    return Diagnosis("kernel_panic", "", "The kernel stopped with a panic.", panic)


def _disk(story: Story) -> Optional[Diagnosis]:
    if "passphrase" in story.seen and not {"multi_user", "login"} & set(story.seen):
        return Diagnosis(
            "passphrase",
            "",
            "The boot waits for the passphrase of an encrypted disk, and on Azure nobody can type it: use Azure Disk "
            "Encryption or encryption at host instead.",
            _line(story, "passphrase"),
        )
    if "no_init" in story.seen and not {"init", "multi_user"} & set(story.seen):
        return Diagnosis(
            "no_init",
            "",
            "The root file system was mounted, but holds no init program that can be started: it is not the system's "
            "root file system, or it is incomplete.",
            _line(story, "no_init"),
        )
    shell = "initramfs_shell" in story.seen
    waiting = "root_wait" in story.seen and "root" not in story.seen and "multi_user" not in story.seen
    if not (shell or waiting):
        return None
    if "root_broken" in story.seen:
        return Diagnosis(
            "root_broken",
            "DISK-03",
            "The root file system was found but cannot be mounted: it is damaged, or larger than its partition.",
            _line(story, "root_broken"),
        )
    evidence = _line(story, "root_wait", "initramfs_shell")
    if "disk" in story.seen:
        return Diagnosis(
            "root_not_found",
            "DISK-12",
            "The disk was found, but not the root file system that the boot loader names: root= does not match "
            "(use the file system's UUID); the boot stays in the initramfs.",
            evidence,
        )
    return Diagnosis(
        "initramfs_shell",
        "INIT-02",
        "The boot stays in the initramfs, where no disk was found. It holds no driver for any controller tried here "
        "(%s); whether it holds Hyper-V's own (hv_vmbus, hv_storvsc) shows initrd_hyperv." % ", ".join(story.buses),
        evidence,
    )


def _userspace(story: Story) -> Optional[Diagnosis]:
    if story.outcome == "loop":
        return Diagnosis(
            "boot_loop", "", "The guest restarted again and again and never reported ready.", _line(story, "init")
        )
    if "emergency" in story.seen:
        evidence = _line(story, "device_timeout", "emergency")
        return Diagnosis(
            "emergency_mode",
            "DISK-12",
            "systemd stopped in emergency mode: a file system in /etc/fstab cannot be mounted (name it by UUID, or "
            "remove it).",
            evidence,
        )
    if "questions" in story.seen and not {"multi_user", "login"} & set(story.seen):
        return Diagnosis(
            "questions",
            "",
            "A first-boot assistant asks questions on the console, and on Azure nobody answers them: switch it off "
            "(systemd-firstboot, jeos-firstboot, initial-setup).",
            _line(story, "questions"),
        )
    if story.outcome == "ended":
        return Diagnosis("powered_off", "", "The guest switched itself off before it reported ready.", "")
    return None


def locked_out(story: Story) -> Optional[Diagnosis]:
    """Why nobody can log in though ready was reported; None where nothing that is known explains it."""
    if story.outcome != "ready" or story.login:
        return None
    foreign = _foreign(story)
    if foreign:
        return Diagnosis(
            "static_address",
            "NET-01",
            "Ready was reported, and then the guest took the fixed address %s instead of the one by DHCP." % foreign[0],
            "packets from " + ", ".join(foreign),
        )
    if "agent_off" in story.seen and "cloud_init" not in story.seen:
        return Diagnosis(
            "nobody_provisioned",
            "AGENT-04",
            "The agent reported ready without provisioning, for its configuration says so (Provisioning.Agent, before "
            "2.2.45 Provisioning.Enabled), and cloud-init does not run: no user, no key and no host keys were made.",
            _line(story, "agent_off"),
        )
    if "ssh_failed" in story.seen:
        return Diagnosis(
            "sshd",
            "SSH-01",
            "Ready was reported, but the SSH server did not start. Without host keys it cannot, and a provisioner that "
            "makes them later need not start it again: let the image make missing keys (ssh-keygen -A) before it "
            "starts.",
            _line(story, "ssh_failed"),
        )
    if story.traffic.ssh == "closed":
        return Diagnosis(
            "sshd",
            "SSH-01",
            "Ready was reported, but nothing listens on port 22: the SSH server is not installed, not enabled, or on "
            "another port.",
            "the guest refuses connections to port 22",
        )
    if not story.traffic.ssh:
        return Diagnosis(
            "unreachable",
            "NET-01",
            "Ready was reported, but the guest answers no connection to port 22: its network did not stay up after "
            "provisioning, or a firewall of its own drops the packets.",
            "no packet from the guest's port 22",
        )
    return None


def _foreign(story: Story) -> List[str]:
    """Addresses that the guest used and that nobody gave it."""
    return [source for source in story.traffic.sources if not source.startswith(("160.", "169.254."))]


UDF = "The provisioning medium could not be mounted: the udf file system is not available (blacklisted?)."


def _refused(story: Story) -> Optional[Diagnosis]:
    refused = [entry for entry in story.entries if entry.report is not None and not entry.report.accepted]
    accepted = [entry for entry in story.entries if entry.report is not None and entry.report.accepted]
    if refused and not any(entry.report.state == "Ready" for entry in accepted if entry.report):
        return Diagnosis(
            "report_refused",
            "NOAGENT-04",
            "The guest sent a health report that the WireServer refuses: %s." % refused[-1].note.rstrip("."),
            "%s %s" % (refused[-1].method, refused[-1].target),
        )
    return None


def _reported(story: Story) -> Optional[Diagnosis]:
    for entry in story.entries:
        report = entry.report
        if report is not None and report.accepted and report.substatus == "ProvisioningFailed":
            when = "health report at %.1f s" % entry.seconds
            words = report.description.strip().rstrip(".")[:400]
            said = "The guest itself reported that provisioning failed: %s." % words
            if story.medium_read and re.search(r"mount\b.*(dvd|udf|cdrom)", words, re.IGNORECASE | re.DOTALL):
                return Diagnosis("udf", "KERN-06", UDF + " " + said, when)
            rules = (("cloud-init appears to be", "AGENT-04"), ("udf|dvd|ovf|mount", "KERN-06"), ("DHCP", "NET-01"))
            rule = next((rule for sign, rule in rules if re.search(sign, words, re.IGNORECASE)), "")
            return Diagnosis("provisioning_failed", rule, said, when)
    return None


def _network(story: Story) -> Optional[Diagnosis]:
    traffic = story.traffic
    if story.entries or "ack" in traffic.dhcp or "cloud_init_disabled" in story.seen:
        return None
    if "agent_waits" in story.seen and "cloud_init" not in story.seen:
        return None  # cloud-init would have configured the network too
    if not ("init" in story.seen or "login" in story.seen or story.disk_written or traffic.packets):
        return None
    foreign = _foreign(story)
    name = re.search(r"(\w+): renamed from eth0", _line(story, "renamed"))
    if foreign:
        return Diagnosis(
            "static_address",
            "NET-01",
            "The network is not configured by DHCP: the guest uses the fixed address %s." % foreign[0],
            "packets from %s, no DHCP request" % ", ".join(foreign),
        )
    if "other_mac" in story.seen or (name and re.match(r"eth[1-9]", name.group(1))):
        rule = "NET-01" if "other_mac" in story.seen else "NET-07"
        return Diagnosis(
            "mac_pinned",
            rule,
            "The network configuration is bound to the MAC address of another network card, so it was not applied.",
            _line(story, "other_mac", "renamed"),
        )
    if "discover" in traffic.dhcp or "request" in traffic.dhcp:
        return Diagnosis(
            "dhcp_unanswered",
            "NET-01",
            "The guest asked for an address by DHCP but did not take the one offered.",
            "DHCP: " + ", ".join(traffic.dhcp[:8]),
        )
    words = (
        "The guest asked for no address by DHCP: no interface is configured for it, or the configuration is bound to "
    )
    words += "another card's name or MAC address."
    if "cloud_init" not in story.seen:
        words += " Where cloud-init is to configure it: no sign of cloud-init was seen (CINIT-01, CINIT-10)."
    if name:
        words += (
            " The card is called %s here and eth0 on Hyper-V; configuration that names eth0 fits there, and here "
            "too with net.ifnames=0 (BOOT-05)." % name.group(1)
        )
    return Diagnosis("no_dhcp", "NET-01", words, _line(story, "no_interface", "dhcp_failed", "renamed"))


def _provisioner(story: Story) -> Optional[Diagnosis]:
    up = "ack" in story.traffic.dhcp
    asked = {entry.service for entry in story.entries}
    healthy = [entry for entry in story.entries if entry.topic == "health"]
    if "cloud_init_disabled" in story.seen:
        return Diagnosis(
            "cloud_init_disabled", "CINIT-10", "cloud-init is switched off on the kernel command line.",
            "cloud-init=disabled",
        )  # fmt: skip
    found = re.search(r"Datasource (DataSource\w+)", _line(story, "datasource"))
    if found and not found.group(1).startswith("DataSourceAzure"):
        return Diagnosis(
            "datasource",
            "CINIT-02",
            "cloud-init ran with %s, not with Azure's data source: set datasource_list: [ Azure ]." % found.group(1),
            _line(story, "datasource"),
        )
    if "udf" in story.seen or "no_media" in story.seen or "dvd_failed" in story.seen or "agent_waits" in story.seen:
        # cloud-init says on the console that it runs, before the agent starts; nothing else is wrong with the medium.
        unreadable = {"udf", "no_media", "dvd_failed"} & set(story.seen)
        known = story.medium_read or "cloud_init_off" in story.seen or not unreadable
        if "agent_waits" in story.seen and known and not found and "cloud_init" not in story.seen:
            return Diagnosis(
                "agent_waits_for_cloud_init",
                "AGENT-04",
                "The agent waits for cloud-init to provision (Provisioning.Agent), but cloud-init does not run.",
                _line(story, "agent_waits"),
            )
        if story.medium_read == 0:
            return Diagnosis(
                "no_cdrom", "KERN-08", "The provisioning CD-ROM was never read: the guest has no driver for it.",
                _line(story, "dvd_failed", "no_media"),
            )  # fmt: skip
        return Diagnosis(
            "udf",
            "KERN-06",
            UDF,
            _line(story, "udf", "dvd_failed", "no_media", "agent_waits"),
        )
    if up and not story.entries:
        if "agent_crash" in story.seen:
            return _agent_crashed(story)
        ran = {"waagent", "cloud_init"} & set(story.seen)
        # What else the system does may try addresses of the world, which says nothing of a provisioner.
        if {"imds_failed", "wire_failed"} & set(story.seen) or (ran and story.traffic.refused):
            return Diagnosis(
                "firewall",
                "NET-14",
                "The provisioner ran but reached neither the WireServer nor the metadata service: a firewall, a proxy "
                "or a route of the image's own keeps it from them.",
                _line(story, "imds_failed", "wire_failed") or "tried " + ", ".join(story.traffic.refused[:5]),
            )
        if ran:
            who = "cloud-init" if "cloud_init" in story.seen else "the agent"
            return Diagnosis(
                "provisioner_silent",
                "CINIT-02" if who == "cloud-init" else "AGENT-04",
                "The network works and %s runs, but it never asked Azure's addresses." % who,
                _line(story, "cloud_init", "waagent"),
            )
        return Diagnosis(
            "no_provisioner",
            "AGENT-01",
            "The system started and has a network, but no provisioner ran: neither cloud-init nor the agent nor a unit "
            "of the image's own is installed and enabled (or /etc/cloud/cloud-init.disabled exists).",
            _line(story, "multi_user", "login"),
        )
    if story.entries and not any(entry.report and entry.report.state == "Ready" for entry in healthy):
        last = story.entries[-1]
        topics = sorted({"%s %s" % (entry.service, entry.topic) for entry in story.entries})
        evidence = "last request %s %s at %.1f s; asked: %s" % (
            last.method,
            last.target,
            last.seconds,
            ", ".join(topics),
        )
        if "agent_crash" in story.seen:
            return _agent_crashed(story)
        if asked <= {IMDS}:
            words = "The guest asked the metadata service but never the WireServer, so it could not report ready."
        elif asked & {WIRESERVER, HOST_PLUGIN} and story.login:
            words = "The guest is provisioned (login works), but it never reported ready to the WireServer."
        else:
            words = "The guest spoke to the WireServer but never reported ready."
        return Diagnosis("not_reported", "NOAGENT-04", words, evidence)
    return None


def _agent_crashed(story: Story) -> Diagnosis:
    error = _line(story, "agent_error")
    missing = re.search(r"No such file or directory: '([^']+)'", error)
    if missing:
        words = "The agent fails before it can report ready, because a program is missing: %s. Install it."
        rule = "PKG-12" if missing.group(1) == "eject" else "AGENT-04"
        return Diagnosis("agent_crashed", rule, words % missing.group(1), error)
    return Diagnosis(
        "agent_crashed",
        "AGENT-04",
        "The agent fails with an error of its own before it can report ready (%s): it does not fit this "
        "system; use another release of it, or let cloud-init provision." % (error or "its log tells which"),
        _line(story, "agent_crash"),
    )


def _unknown(story: Story) -> Diagnosis:
    order = ("login", "multi_user", "init", "root", "disk", "kernel", "loader")
    last = next((name for name in order if name in story.seen), "")
    if not last and story.console_bytes < 200 and story.disk_written:
        return Diagnosis(
            "no_console",
            "BOOT-01",
            "The guest runs (it wrote to its disk), but nothing appears on the serial console: console=ttyS0 is "
            "missing.",
            "%d bytes on the serial port" % story.console_bytes,
        )
    if last == "loader" and "loading" in story.seen:
        words = (
            "GRUB started a kernel, and nothing of it appears on the serial console: console=ttyS0 is missing, so that "
        )
        words += "what stopped the boot cannot be seen."
        return Diagnosis("no_console", "BOOT-01", words, _line(story, "loading"))
    if not last:
        words = (
            "Nothing was seen of the guest within %d seconds: no message on the serial console and no packet."
            % story.timeout
        )
        return Diagnosis("silent", "BOOT-01", words, _first(story.screen, r"\S"))
    if story.outcome == "timeout":
        words = "The guest was still at work when the time was up (%d seconds); the last landmark was: %s." % (
            story.timeout,
            last,
        )
        return Diagnosis("timeout", "", words, _line(story, last))
    words = "The boot went as far as '%s' and then stood still; none of the known causes fits." % last
    return Diagnosis("unknown", "", words, _line(story, last))


def _first(text: str, pattern: str) -> str:
    """The first line of a text that matches, stripped."""
    return next((line.strip() for line in text.splitlines() if re.search(pattern, line)), "")
