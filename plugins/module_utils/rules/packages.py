# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of repositories and packages.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, Iterator, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import repositories as repository_files
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Line,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    version,
)

CHECKS = Table()

#: From this version on the agent sets up its firewall with iptables or nft itself (WALinuxAgent 2.15).
FIREWALL_AGENT = (2, 15)


def repository_settings(context: Context, path: str) -> Iterator[Tuple[str, str, str]]:
    """(id, key, value) of each setting in a .repo file; an id's own line comes first, with an empty key."""
    return repository_files.settings(line.text for line in context.lines(path))


def repositories(context: Context) -> Dict[str, Tuple[bool, str]]:
    """Repositories of yum, dnf and zypper: id to (enabled, file)."""
    found: Dict[str, Tuple[bool, str]] = {}
    for path in context.glob("/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo", "/etc/distro.repos.d/*.repo"):
        for name, key, value in repository_settings(context, path):
            if not key:
                found.setdefault(name, (True, path))
            elif key == "enabled":
                found[name] = (repository_files.is_on(value), path)
    return found


def repository_names(context: Context) -> Dict[str, str]:
    """Repositories of zypper: alias to "alias name", as `zypper lr` shows both."""
    found: Dict[str, str] = {}
    for path in context.glob("/etc/zypp/repos.d/*.repo"):
        for alias, key, value in repository_settings(context, path):
            if not key:
                found[alias] = alias
            elif key == "name":
                found[alias] = "%s %s" % (alias, value)
    return found


def refreshed_repositories(context: Context) -> List[str]:
    """Aliases of the enabled repositories of zypper that are refreshed by themselves."""
    found = set()
    for path in context.glob("/etc/zypp/repos.d/*.repo"):
        for alias, key, value in repository_settings(context, path):
            if key.lower() == "autorefresh" and re.match(r"(1|true|yes|on)\b", value, re.IGNORECASE):
                found.add(alias)
    return sorted(found & set(enabled_repositories(context)))


def enabled_repositories(context: Context) -> List[str]:
    return sorted(name for name, (enabled, _path) in repositories(context).items() if enabled)


def apt_sources(context: Context) -> List[Tuple[str, str, Line]]:
    """(address, suite, line) of every enabled source of apt, mirror lists followed."""
    found = []
    for path in ["/etc/apt/sources.list"] + context.glob("/etc/apt/sources.list.d/*.list"):
        for line in context.lines(path):
            text = re.sub(r"\[[^\]]*\]", "", line.text)
            words = text.split()
            if len(words) >= 3 and words[0] == "deb":
                found.append((words[1], words[2], line))
    for path in context.glob("/etc/apt/sources.list.d/*.sources"):
        stanza: Dict[str, Tuple[str, Line]] = {}
        rows = (context.text(path) or "").split("\n") + [""]
        key = ""
        for number, row in enumerate(rows, 1):
            if row.startswith("#"):
                continue
            if not row.strip():
                if (
                    stanza.get("enabled", ("yes",))[0].lower() != "no"
                    and "deb" in stanza.get("types", ("",))[0].split()
                ):
                    for address in stanza.get("uris", ("",))[0].split():
                        for suite in stanza.get("suites", ("",))[0].split():
                            found.append((address, suite, stanza["uris"][1]))
                stanza = {}
                continue
            if row[0] in " \t" and key:
                stanza[key] = (stanza[key][0] + " " + row.strip(), stanza[key][1])
                continue
            key, _sep, value = row.partition(":")
            key = key.strip().lower()
            stanza[key] = (value.strip(), Line(path, number, row.strip()))
    expanded: List[Tuple[str, str, Line]] = []
    for address, suite, line in found:
        match = re.match(r"mirror\+file:(/.*)", address)
        mirrors = [entry.text.split()[0] for entry in context.lines(match.group(1))] if match else []
        expanded.extend((mirror, suite, line) for mirror in (mirrors or [address]))
    return expanded


@CHECKS("REPO-01")
def extras(context: Context) -> Outcome:
    """RHEL 6 and 7: the extras repository, unless the agent is there already."""
    if context.release.id != "rhel" or not context.is_el(6, 7):
        return na("It concerns RHEL 6 and 7.")
    names = [name for name in enabled_repositories(context) if "extras" in name]
    if names or context.has_agent:
        return ok(join(names) or "the agent is installed already")
    return bad("no enabled repository has extras in its name")


@CHECKS("REPO-02", "CLEAN-17")
def unregistered(context: Context) -> Outcome:
    """Identity certificates of subscription-manager and SUSEConnect's credentials."""
    if context.release.id not in ("rhel", "sles", "sles_sap") and context.family != "suse":
        return na("This distribution has no subscription.")
    found = context.glob("/etc/pki/consumer/cert.pem", "/etc/zypp/credentials.d/SCCcredentials")
    return context.after_capture(bad(join(found)) if found else ok("not registered"))


@CHECKS("REPO-03")
def addons(context: Context) -> Outcome:
    """Oracle Linux 6 and 7: the addons repository, unless the agent is there already."""
    if not context.is_oracle() or not context.is_el(6, 7):
        return na("It concerns Oracle Linux 6 and 7.")
    names = [name for name in enabled_repositories(context) if "addons" in name]
    if names or context.has_agent:
        return ok(join(names) or "the agent is installed already")
    return bad("no enabled repository has addons in its name")


@CHECKS("REPO-04")
def http_caching(context: Context) -> Outcome:
    """Enterprise Linux 6.5 and older: http_caching=packages in /etc/yum.conf."""
    if not context.is_el(1, 6) or context.release.version >= (6, 6):
        return na("It concerns Enterprise Linux 6.5 and older.")
    for line in context.lines("/etc/yum.conf"):
        if line.text.replace(" ", "") == "http_caching=packages":
            return ok(line.evidence)
    return bad("/etc/yum.conf has no http_caching=packages")


@CHECKS("REPO-05")
def public_cloud(context: Context) -> Outcome:
    """SLES: the product file of the Public Cloud module, unless the agent is there already."""
    if context.release.id not in ("sles", "sles_sap"):
        return na("It concerns SLES.")
    found = context.glob("/etc/products.d/sle-module-public-cloud.prod")
    if found or context.has_agent:
        return ok(join(found) or "the agent is installed already")
    return bad("the Public Cloud module is not activated")


@CHECKS("REPO-06")
def opensuse_repositories(context: Context) -> Outcome:
    """openSUSE: enabled repositories with oss and with update in their names."""
    if not context.release.id.startswith("opensuse"):
        return na("It concerns openSUSE.")
    names = enabled_repositories(context)
    missing = [word for word in ("oss", "update") if not any(word in name.lower() for name in names)]
    if context.release.id == "opensuse-tumbleweed" and "update" in missing:
        missing.remove("update")
    return bad("no enabled repository has %s in its name" % join(missing)) if missing else ok(join(names))


@CHECKS("REPO-07")
def azure_mirror(context: Context) -> Outcome:
    """apt's sources: azure.archive.ubuntu.com; on arm64 ports.ubuntu.com."""
    wanted = "ports.ubuntu.com" if context.architecture in ("aarch64", "arm64") else "azure.archive.ubuntu.com"
    sources = apt_sources(context)
    hits = [line for address, _suite, line in sources if wanted in address]
    others = [
        line.evidence
        for address, _suite, line in sources
        if re.search(r"//([a-z]{2}\.)?(archive|security)\.ubuntu\.com/", address)
    ]
    if hits and others:
        return bad(join(sorted(set(others))))
    if hits:
        return ok(hits[0].evidence)
    return bad(sources[0][2].evidence if sources else "apt has no source")


@CHECKS("REPO-08")
def updates(context: Context) -> Outcome:
    """A reboot that waits (/run/reboot-required, a newer kernel than the running one). Updates are not asked for."""
    for path in ("/run/reboot-required", "/var/run/reboot-required"):
        if context.exists(path):
            return bad("%s: a reboot waits" % path)
    running = context.running_kernel
    if running and running in context.kernels:
        same = [
            name for name in context.kernels if re.sub(r"[\d.]+", "", name)[-6:] == re.sub(r"[\d.]+", "", running)[-6:]
        ]
        newest = max(same or [running], key=version)
        if version(newest) > version(running):
            return bad("kernel %s runs, %s is installed: reboot" % (running, newest))
    return dunno("No reboot waits; whether updates do takes the network, which the audit does not use.")


def provisioning_packages(context: Context) -> Outcome:
    """The packages of the profile for whoever provisions; a command of the same purpose counts as well."""
    wanted = ["agent", "cloud_init"]
    if context.agentless:
        return na("This image provisions without the agent and cloud-init.")
    if context.provisioner == "waagent":
        wanted.remove("cloud_init")
    commands = {"agent": "waagent", "cloud_init": "cloud-init", "growpart": "growpart", "gdisk": "sgdisk"}
    missing = []
    seen = []
    for purpose in wanted + ["growpart", "gdisk"]:
        names = context.profile.packages.get(purpose, ())
        if context.half_installed(*names):
            missing += context.half_installed(*names)
            continue
        found = context.installed(*names) if names else None
        if found or context.has_command(commands[purpose]):
            seen.append(found or commands[purpose])
        elif purpose in wanted:
            missing.append(names[0] if names else commands[purpose])
        else:
            seen.append("no " + (names[0] if names else commands[purpose]))
    return bad("not installed: " + join(missing)) if missing else ok(join(seen))


@CHECKS("PKG-01", "PKG-02", "PKG-03")
def packages(context: Context) -> Outcome:
    """The agent's package and, where it provisions, cloud-init's; gdisk and growpart are reported besides."""
    return provisioning_packages(context)


@CHECKS("PKG-04")
def packages_sles(context: Context) -> Outcome:
    """SLES: the agent's package and, where it provisions, cloud-init's; gdisk and growpart are reported besides."""
    if context.release.id.startswith("opensuse"):
        return na("It concerns SLES; PKG-05 speaks for openSUSE.")
    return provisioning_packages(context)


@CHECKS("PKG-05")
def packages_opensuse(context: Context) -> Outcome:
    """openSUSE: the agent's package and, where it provisions, cloud-init's."""
    if not context.release.id.startswith("opensuse"):
        return na("It concerns openSUSE.")
    return provisioning_packages(context)


@CHECKS("PKG-06")
def pyasn1(context: Context) -> Outcome:
    """Agents before 2.2.53: the package python-pyasn1."""
    number = context.agent_version
    if not context.has_agent or not number or number >= (2, 2, 53):
        return na("Only agents before 2.2.53 need it.")
    package = context.installed("python-pyasn1", "python2-pyasn1", "python3-pyasn1", "python36-pyasn1")
    return ok(package) if package else bad("no python-pyasn1")


@CHECKS("PKG-07")
def agent_tools(context: Context) -> Outcome:
    """Commands that the agent calls: openssl, sfdisk, mkfs, parted, chpasswd, sudo, sed, grep, ip, nft or iptables."""
    if context.agentless:
        return na("This image has no agent.")
    alternatives = (
        ("openssl",),
        ("sfdisk", "fdisk"),
        ("mkfs", "mkfs.ext4"),
        ("parted", "sfdisk", "sgdisk"),
        ("chpasswd",),
        ("sudo",),
        ("sed",),
        ("grep",),
        ("ip",),
    )
    missing = [" or ".join(names) for names in alternatives if not any(context.has_command(name) for name in names)]
    number = context.agent_version
    if missing:
        return bad("not installed: " + join(missing))
    if any(context.has_command(name) for name in ("iptables", "nft")):
        return ok("all are installed")
    if number and number < FIREWALL_AGENT:
        return ok("all are installed but iptables and nft, which agents from 2.15 on need to guard the wire server")
    return bad("not installed: iptables or nft")


@CHECKS("PKG-08")
def supported_versions(context: Context) -> Outcome:
    """The python3 (else python) in the path, 3.9 or newer, and `openssl version`, 3, 1.1.1 or 1.0.2."""
    wrong = []
    seen = []
    number = python_version(context)
    text = ".".join(str(part) for part in number)
    if not number:
        wrong.append("neither python3 nor python is installed")
    elif number < (3, 9):
        wrong.append("Python %s" % text)
    else:
        seen.append("Python %s" % text)
    if not context.has_command("openssl"):
        wrong.append("openssl is not installed")
    elif not context.live:
        release = context.packages.get("openssl", "")
        if not release:
            return dunno("%s; the version of openssl is not in the package database." % join(wrong or seen))
        number = version(release.split(":")[-1])
    else:
        words = context.run("openssl", "version").stdout.split()
        release = words[1] if len(words) > 1 else ""
        number = version(re.sub(r"[a-z].*", "", release))
        if not number:
            return dunno("`openssl version` gave no version.")
    if context.has_command("openssl"):
        text = "OpenSSL " + ".".join(str(part) for part in number[:3])
        (seen if number >= (3,) or number[:3] in ((1, 1, 1), (1, 0, 2)) else wrong).append(text)
    return bad(join(wrong)) if wrong else ok(join(seen))


def python_version(context: Context) -> Tuple[int, ...]:
    """The version of python3, else python, in the path: by the name its link leads to, else by asking it."""
    for name in ("python3", "python"):
        path = context.host.which(name)
        if path is None:
            continue
        match = re.search(r"python(\d+)\.(\d+)$", context.host.resolve(path))
        if match:
            return int(match.group(1)), int(match.group(2))
        result = context.run(name, "--version")
        match = re.search(r"(\d+)\.(\d+)", result.stdout + result.stderr)
        if match:
            return int(match.group(1)), int(match.group(2))
    return ()


@CHECKS("PKG-09")
def omi(context: Context) -> Outcome:
    """The package omi, or /opt/omi."""
    release = context.packages.get("omi", "")
    if release:
        number = version(release.replace("-", "."))
        return ok("omi " + release) if number >= (1, 6, 8, 1) else bad("omi " + release)
    if context.exists("/opt/omi/bin/omiserver"):
        if not context.live:
            return dunno("/opt/omi is there, no package tells its version.")
        match = re.search(r"OMI-(\d+(?:\.\d+)+(?:-\d+)?)", context.run("/opt/omi/bin/omiserver", "--version").stdout)
        if match is None:
            return bad("/opt/omi is there and does not tell its version")
        text = match.group(1)
        return ok("OMI " + text) if version(text) >= (1, 6, 8, 1) else bad("OMI " + text)
    return ok("omi is not installed")


@CHECKS("PKG-10")
def caches(context: Context) -> Outcome:
    """Downloaded packages in /var/cache, and known_hosts of root and of the homes."""
    found = context.glob(
        "/var/cache/apt/archives/*.deb",
        "/var/cache/dnf/*/packages/*.rpm",
        "/var/cache/yum/*/*/*/packages/*.rpm",
        "/var/cache/zypp/packages/*/*/*.rpm",
        "/root/.ssh/known_hosts",
    )
    known = [home + "/.ssh/known_hosts" for home in context.local_homes]
    found += [path for path in known if context.exists(path, follow=False)]
    return context.after_capture(bad(join(found, 3)) if found else ok("no downloaded packages, no known_hosts"))


@CHECKS("PKG-11")
def hyperv_daemons(context: Context) -> Outcome:
    """The Hyper-V daemons' package of the profile, and that their units are neither disabled nor masked."""
    names = context.profile.packages.get("hyperv_daemons", ())
    package = context.installed(*names)
    if package is None and context.half_installed(*names):
        return bad(join(context.half_installed(*names)))
    if package is None:
        family = [
            name for name in context.packages if name.startswith(("linux-cloud-tools-", "hyperv-daemons", "hypervkvpd"))
        ]
        package = family[0] if family else None
    if package is None:
        return bad("not installed: " + (names[0] if names else "the Hyper-V daemons"))
    units = context.profile.units.get("hyperv_daemons", ())
    off = [unit for unit in units if context.unit_state(unit) in ("disabled", "masked")]
    return bad("%s: %s" % (package, join("%s is not enabled" % unit for unit in off))) if off else ok(package)


@CHECKS("PKG-12")
def eject(context: Context) -> Outcome:
    """The command eject."""
    if context.has_command("eject"):
        return ok("eject is installed")
    # Seen with the agent 2.7.3: an exception that nobody catches, after the provisioning medium was read.
    ends = ", without which the agent ends before it has provisioned" if context.provisioner == "waagent" else ""
    return bad("eject is not installed" + ends)
