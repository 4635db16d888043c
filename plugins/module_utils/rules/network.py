# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the network: addresses by DHCP, nothing tied to one machine, virtual functions left alone.

Private to the collection: its interface may change in any release.
"""

import fnmatch
import re
from typing import Dict, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf, network
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import firewall
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    UDEV_FOLDERS,
    Context,
    Line,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    quote,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.features import has_vm_utils

CHECKS = Table()

#: Names of a host that belong to no machine.
NEUTRAL_NAMES = ("", "localhost", "localhost.localdomain", "localhost.local", "localhost4", "(none)")

_IFCFG = ("/etc/sysconfig/network-scripts/ifcfg-*", "/etc/sysconfig/network/ifcfg-*")
_KEYFILES = ("/etc/NetworkManager/system-connections/*", "/usr/lib/NetworkManager/system-connections/*")


def assignments(context: Context, path: str) -> Dict[str, Tuple[str, Line]]:
    """KEY=value lines of a shell-like file, quotes taken off; the last one counts."""
    found = {}
    for line in context.lines(path):
        key, sep, value = line.text.partition("=")
        if sep and re.match(r"\w+$", key.strip()):
            found[key.strip()] = (value.split(" #")[0].strip().strip("\"'"), line)
    return found


def keyfile(context: Context, path: str) -> Dict[str, Dict[str, Tuple[str, Line]]]:
    """An ini-like file (NetworkManager, systemd): section to key to (value, line); the last of a key counts."""
    found: Dict[str, Dict[str, Tuple[str, Line]]] = {}
    section = ""
    for line in context.lines(path):
        if line.text.startswith(";"):
            continue
        match = re.match(r"\[(.+)\]$", line.text)
        if match:
            section = match.group(1).strip().lower()
            continue
        key, sep, value = line.text.partition("=")
        if sep:
            found.setdefault(section, {})[key.strip().lower()] = (value.strip(), line)
    return found


def ifcfg_files(context: Context) -> List[str]:
    """The ifcfg files of real interfaces; backups and the loopback are none."""
    names = []
    for path in context.glob(*_IFCFG):
        name = path.rsplit("ifcfg-", 1)[1]
        if name != "lo" and not name.endswith(("~", ".bak", ".orig", ".template", ".rpmsave", ".rpmnew")):
            names.append(path)
    return names


def keyfiles(context: Context) -> List[str]:
    """NetworkManager's profiles; one of a package gives way to one of the same file name in /etc."""
    found = [path for path in context.glob(*_KEYFILES) if not path.endswith(("~", ".bak"))]
    return [path for path in found if path.startswith("/etc/") or "/etc" + path[len("/usr/lib") :] not in found]


def tied_ifcfg(context: Context) -> List[str]:
    found = []
    for path in ifcfg_files(context):
        values = assignments(context, path)
        if values.get("TYPE", ("Ethernet",))[0].lower() not in ("ethernet", ""):
            continue
        for key in ("HWADDR", "MACADDR", "UUID", "LLADDR"):
            if key in values and values[key][0]:
                found.append(values[key][1].evidence)
        protocol = values.get("BOOTPROTO", ("",))[0].lower()
        if protocol in ("static", "none") or (not protocol and any(key.startswith("IPADDR") for key in values)):
            address = next((values[key][1] for key in sorted(values) if key.startswith("IPADDR")), None)
            if address is not None:
                found.append(address.evidence)
            elif path.endswith("ifcfg-eth0") and "BOOTPROTO" in values:
                found.append(values["BOOTPROTO"][1].evidence)
    return found


def tied_keyfiles(context: Context) -> List[str]:
    found = []
    for path in keyfiles(context):
        sections = keyfile(context, path)
        connection = sections.get("connection", {})
        if connection.get("type", ("ethernet",))[0] not in ("ethernet", "802-3-ethernet"):
            continue
        for name in ("ethernet", "802-3-ethernet"):
            for key in ("mac-address", "cloned-mac-address"):
                if key in sections.get(name, {}):
                    found.append(sections[name][key][1].evidence)
        method = sections.get("ipv4", {}).get("method")
        if method is not None and method[0] not in ("auto",):
            found.append(method[1].evidence)
        else:
            # An address beside DHCP.
            for section in ("ipv4", "ipv6"):
                for key, (_value, line) in sections.get(section, {}).items():
                    if re.match(r"address(es)?\d*$", key):
                        found.append(line.evidence)
    return found


def tied_netplan(context: Context) -> List[str]:
    found = []
    for path in netplan_files(context):
        if path.endswith("/50-cloud-init.yaml"):
            # cloud-init writes this file for the machine it boots on, and the capture step removes it (CLEAN-11).
            continue
        found += _tied_yaml(context, path, context.lines(path))
    return found


def netplan_files(context: Context) -> List[str]:
    """What netplan reads (netplan(5))."""
    return context.glob(*(folder + "/netplan/*.yaml" for folder in ("/etc", "/run", "/usr/lib", "/lib")))


def _tied_yaml(context: Context, path: str, lines: List[Line]) -> List[str]:
    """Lines of network configuration in YAML, block or flow style, with a MAC address or a fixed address."""
    rows = (context.text(path) or "").split("\n")
    numbers = network.yaml_ties(rows, [line.number - 1 for line in lines])
    return [line.evidence for line in lines if line.number - 1 in numbers]


def cloud_network(context: Context) -> List[Line]:
    """The lines of a network: of its own in cloud-init's configuration, which it then uses in place of Azure's."""
    found: List[Line] = []
    for path in cloudinit_conf.config_files(context.host):
        text = context.text(path) or ""
        rows = text.split("\n")
        numbers = network.cloud_network(rows)
        found += [Line(path, number + 1, rows[number].strip()) for number in numbers]
        value = cloudinit_conf.top_level(text).get("network")
        if not numbers and value is not None and not cloudinit_conf.NETWORK_DISABLED.search(value):
            # The whole file is one mapping in flow style, or indented.
            found.append(Line(path, 1, "network: " + " ".join(value.split())))
    return found


def tied_cloud_init(context: Context) -> List[str]:
    """A network configuration for this machine's card, which cloud-init would write anew on every VM."""
    if context.provisioner != "cloud-init":
        return []
    lines = cloud_network(context)
    found: List[str] = []
    for path in sorted({line.path for line in lines}):
        found += _tied_yaml(context, path, [line for line in lines if line.path == path])
    return found


def tied_arguments(context: Context) -> List[str]:
    """Kernel arguments that set an address or name a card by its MAC address (dracut.cmdline(7))."""
    found = []
    for name, arguments in context.command_lines:
        for argument in arguments:
            if re.match(r"ip=(\[|\d+\.\d+\.\d+\.\d+:)", argument) or re.match(
                r"ifname=[^:]+:[0-9a-fA-F:]{17}", argument
            ):
                found.append("%s: %s" % (name, argument))
    return found


def tied_ifupdown(context: Context) -> List[str]:
    found = []
    for path in sum(network.interfaces_files(context.text, context.glob, context.host.is_dir), []):
        for line in context.lines(path):
            words = line.text.split()
            if words[:1] == ["iface"] and len(words) >= 4 and words[1] != "lo" and words[2] in ("inet", "inet6"):
                if words[3] not in ("dhcp", "manual", "auto"):
                    found.append(line.evidence)
            elif words[:1] == ["hwaddress"]:
                found.append(line.evidence)
    for line in context.lines("/etc/dhcpcd.conf"):
        if re.match(r"static\s+ip6?_address\s*=", line.text):
            found.append(line.evidence)
    return found


def ifupdown_brings_up(context: Context) -> str:
    """The line of interfaces(5) that gives eth0 an address by DHCP at boot; "" where none does."""
    read, _unread = network.interfaces_files(context.text, context.glob, context.host.is_dir)
    lines = [line for path in read for line in context.lines(path)]
    starts = [
        word
        for line in lines
        if line.text.split()[0] in ("auto", "allow-auto", "allow-hotplug")
        for word in line.text.split()[1:]
    ]
    for line in lines:
        words = line.text.split()
        if words[:1] != ["iface"] or words[2:4] != ["inet", "dhcp"] or not fnmatch.fnmatch("eth0", words[1]):
            continue
        if any(fnmatch.fnmatch("eth0", re.sub(r"=.*", "", word).lstrip("/")) for word in starts):
            return line.evidence
    return ""


def tied_networkd(context: Context) -> List[str]:
    found = []
    patterns = [
        folder + suffix
        for folder in ("/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network")
        for suffix in ("/*.network", "/*.link", "/*.network.d/*.conf", "/*.link.d/*.conf")
    ]
    for path in context.glob(*patterns):
        if path.rsplit("/", 1)[1].startswith("10-cloud-init-") or "/10-netplan-" in path:
            continue
        sections = keyfile(context, path)
        match = sections.get("match", {})
        for key in ("macaddress", "permanentmacaddress"):
            if key in match:
                found.append(match[key][1].evidence)
        link = sections.get("link", {})
        if "macaddress" in link:
            found.append(link["macaddress"][1].evidence)
        if link.get("macaddresspolicy", ("",))[0].lower() == "random":
            found.append(link["macaddresspolicy"][1].evidence)
        address = sections.get("network", {}).get("address") or sections.get("address", {}).get("address")
        if address is not None and match.get("name", ("",))[0] != "lo":
            found.append(address[1].evidence)
    return found


def brings_eth0_up(context: Context) -> str:
    """What gives eth0, the card's name on Azure, an address by DHCP; "" where nothing does."""
    if context.provisioner == "cloud-init" and context.has_command("cloud-init"):
        files = [(path, context.text(path) or "") for path in cloudinit_conf.config_files(context.host)]
        own = cloud_network(context)
        if own and any(re.search(r"\beth0\b|\beth\*|\be\*|[\"']\*[\"']|hv_netvsc", line.text) for line in own):
            return own[0].path
        if not own and not cloudinit_conf.network_disabled(files):
            return "cloud-init, at first boot"
    if uses_network_manager(context) and not network_manager_refuses(context):
        return "NetworkManager"
    for path in netplan_files(context):
        if network.netplan_serves(context.text(path) or ""):
            return path
    if context.unit_state("systemd-networkd.service") == "enabled":
        folders = ("/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
        for path in context.glob(*(folder + "/*.network" for folder in folders)):
            text = context.text(path) or ""
            shadow = "/etc/systemd/network/" + path.rsplit("/", 1)[1]
            if path != shadow and context.exists(shadow, follow=False):
                continue
            named = keyfile(context, path).get("match", {}).get("name", ("",))[0].split()
            dynamic = keyfile(context, path).get("network", {}).get("dhcp", ("no",))[0].lower() not in ("no", "ipv6")
            if network.networkd_is_dhcp(text) or ("eth0" in named and dynamic):
                return path
    line = ifupdown_brings_up(context)
    if line:
        return line
    for path in ifcfg_files(context):
        values = assignments(context, path)
        starts = values.get("ONBOOT", values.get("STARTMODE", ("auto",)))[0].lower() not in ("no", "off", "manual")
        if path.endswith("ifcfg-eth0") and "dhcp" in values.get("BOOTPROTO", ("",))[0].lower() and starts:
            return path
    return ""


def network_manager_settings(context: Context, section: str, key: str) -> List[Tuple[str, Line]]:
    """One setting of NetworkManager.conf(5) in the order in which it is read.

    "key+=value" adds to what was read before; "key=value" takes its place, and is the first of what is returned.
    """
    found: List[Tuple[str, Line]] = []
    for path in network.nm_conf_files(context.glob):
        sections = keyfile(context, path)
        if key in sections.get(section, {}):
            found = [sections[section][key]]
        if key + "+" in sections.get(section, {}):
            found.append(sections[section][key + "+"])
    return found


def tied_network_manager(context: Context) -> List[str]:
    """Settings of NetworkManager.conf(5) that give every card a made-up MAC address, whose frames Azure drops."""
    if not uses_network_manager(context):
        return []
    return [
        line.evidence
        for path in network.nm_conf_files(context.glob)
        for section, values in keyfile(context, path).items()
        for key, (value, line) in values.items()
        if network.nm_gives_mac(section, key, value)
    ]


def network_manager_unmanaged(context: Context) -> str:
    """The line by which NetworkManager leaves eth0 to others; "" where there is none."""
    managed = network_manager_settings(context, "keyfile", "unmanaged-devices")
    refused = network.nm_refusals(",".join(value for value, _line in managed))
    return join(line.evidence for value, line in managed if any(word in value for word in refused)) if refused else ""


def network_manager_alone(context: Context) -> bool:
    """Whether NetworkManager is the only one that could bring eth0 up, for cloud-init too."""
    others = netplan_files(context) or context.unit_state("systemd-networkd.service") == "enabled"
    others = others or (context.exists(network.INTERFACES) and context.has_command("ifup"))
    return uses_network_manager(context) and not others


def network_manager_refuses(context: Context) -> str:
    """Why NetworkManager would leave eth0 alone on Azure; "" where it gives it DHCP."""
    unmanaged = network_manager_unmanaged(context)
    if unmanaged:
        return unmanaged
    for path in keyfiles(context):
        sections = keyfile(context, path)
        connection = sections.get("connection", {})
        if connection.get("type", ("",))[0] not in ("ethernet", "802-3-ethernet"):
            continue
        automatic = connection.get("autoconnect", ("true",))[0].lower() not in ("false", "no", "0")
        name = connection.get("interface-name", ("eth0",))[0]
        if automatic and name == "eth0" and sections.get("ipv4", {}).get("method", ("auto",))[0] == "auto":
            return ""
    for value, line in network_manager_settings(context, "main", "no-auto-default")[-1:]:
        if (
            value
            and value.lower() not in ("no", "false")
            and not [p for p in ifcfg_files(context) if "ifcfg-eth0" in p]
        ):
            return line.evidence
    return ""


@CHECKS("NET-01")
def dhcp(context: Context) -> Outcome:
    """Files of every network manager: no static address, MAC address or UUID, and something gives eth0 DHCP."""
    found = tied_ifcfg(context) + tied_keyfiles(context) + tied_netplan(context)
    found += tied_ifupdown(context) + tied_networkd(context) + tied_cloud_init(context) + tied_arguments(context)
    found += tied_network_manager(context)
    if found:
        return bad(join(found))
    # What cloud-init writes for NetworkManager does not help where that leaves the card alone.
    why = network_manager_unmanaged(context) if network_manager_alone(context) else ""
    how = "" if why else brings_eth0_up(context)
    if not how and not why and uses_network_manager(context):
        why = network_manager_refuses(context)
    if why:
        return bad("NetworkManager leaves eth0 alone: " + why)
    if how:
        return ok("nothing tied to this machine; eth0 gets DHCP by %s" % how)
    return bad("nothing gives eth0, the card's name on Azure, an address by DHCP")


@CHECKS("NET-02")
def sysconfig_network(context: Context) -> Outcome:
    """/etc/sysconfig/network: NETWORKING=yes; newer releases do not read the file."""
    path = "/etc/sysconfig/network"
    values = assignments(context, path)
    networking = values.get("NETWORKING")
    fine = networking is not None and networking[0].lower() == "yes"
    if not context.is_el():
        return na("It concerns Enterprise Linux.")
    if context.is_el(8):
        if fine:
            return ok(networking[1].evidence)  # type: ignore[index]
        return na("NetworkManager does not read %s; image tests that still look for NETWORKING=yes object." % path)
    if not fine:
        return bad(networking[1].evidence if networking else "%s has no NETWORKING=yes" % path)
    if "HOSTNAME" in values and values["HOSTNAME"][0] not in NEUTRAL_NAMES:
        return context.after_capture(bad(values["HOSTNAME"][1].evidence))
    return _literal([networking[1]], ("NETWORKING=yes",))  # type: ignore[index]


@CHECKS("NET-03")
def ifcfg_eth0(context: Context) -> Outcome:
    """ifcfg-eth0: DEVICE=eth0, ONBOOT=yes, BOOTPROTO=dhcp; newer releases use profiles (NET-04)."""
    path = "/etc/sysconfig/network-scripts/ifcfg-eth0"
    if not context.is_el():
        return na("It concerns Enterprise Linux.")
    values = assignments(context, path)
    wrong = []
    for key, wanted in (("DEVICE", "eth0"), ("ONBOOT", "yes"), ("BOOTPROTO", "dhcp")):
        if values.get(key, ("",))[0].lower() != wanted:
            wrong.append(values[key][1].evidence if key in values else "%s has no %s=%s" % (path, key, wanted))
    if context.is_el(8) and wrong:
        return na("NetworkManager needs no ifcfg-eth0 (NET-04); image tests that still look for it object.")
    if wrong:
        return bad(join(wrong))
    keys = ("DEVICE", "ONBOOT", "BOOTPROTO")
    return _literal([values[key][1] for key in keys], ("DEVICE=eth0", "ONBOOT=yes", "BOOTPROTO=dhcp"))


def _literal(lines: List[Line], wanted: Tuple[str, ...]) -> Outcome:
    """Kept; but an image test that looks for the very words does not find a value in quotes."""
    differing = [line.evidence for line, word in zip(lines, wanted) if word.lower() not in line.text.lower()]
    if differing:
        return na("%s: right, but image tests that look for %s object" % (join(differing), join(wanted)))
    return ok(join(line.evidence for line in lines))


def uses_network_manager(context: Context) -> bool:
    return context.unit_state("NetworkManager.service") == "enabled"


@CHECKS("NET-04")
def profile_for_eth0(context: Context) -> Outcome:
    """A profile that brings eth0 up by DHCP, or NetworkManager's automatic one, not switched off."""
    if not (context.is_el(8) or context.release.id == "fedora"):
        return na("It concerns Enterprise Linux 8 and newer.")
    wrong = []
    for path in keyfiles(context):
        sections = keyfile(context, path)
        connection = sections.get("connection", {})
        if connection.get("interface-name", ("eth0",))[0] != "eth0" or "ipv4" not in sections:
            continue
        if connection.get("autoconnect", ("true",))[0].lower() == "false":
            wrong.append(connection["autoconnect"][1].evidence)
        elif sections["ipv4"].get("method", ("auto",))[0] == "auto":
            return ok("%s: DHCP" % path)
    values = assignments(context, "/etc/sysconfig/network-scripts/ifcfg-eth0")
    if values.get("BOOTPROTO", ("",))[0].lower() == "dhcp" and values.get("ONBOOT", ("yes",))[0].lower() == "yes":
        return ok("/etc/sysconfig/network-scripts/ifcfg-eth0: DHCP")
    for path in context.glob(
        "/etc/NetworkManager/NetworkManager.conf", "/etc/NetworkManager/conf.d/*.conf"
    ) + context.glob("/usr/lib/NetworkManager/conf.d/*.conf"):
        value = keyfile(context, path).get("main", {}).get("no-auto-default")
        if value is not None and value[0]:
            wrong.append(value[1].evidence)
    if wrong:
        return bad("no profile brings eth0 up: " + join(wrong))
    return ok("no profile names eth0; NetworkManager makes one with DHCP by itself")


@CHECKS("NET-05")
def network_service(context: Context) -> Outcome:
    """An enabled unit that brings the network up."""
    units = (
        "NetworkManager.service",
        "systemd-networkd.service",
        "networking.service",
        "wicked.service",
        "network.service",
    )
    enabled = context.first_enabled(*units)
    if enabled:
        return ok("%s is enabled" % enabled)
    return bad("none of %s is enabled" % join(units))


@CHECKS("NET-06")
def no_network_manager(context: Context) -> Outcome:
    """Enterprise Linux 6: the package NetworkManager."""
    if not context.is_el(6, 6):
        return na("From Enterprise Linux 7 on NetworkManager stays.")
    package = context.installed("NetworkManager")
    return bad(package + " is installed") if package else ok("NetworkManager is not installed")


@CHECKS("NET-07")
def persistent_rules(context: Context) -> Outcome:
    """udev's rules: no 70-persistent-net.rules, no live 75-persistent-net-generator.rules, no name by MAC address."""
    found = []
    for folder in UDEV_FOLDERS:
        for name in context.listdir(folder):
            path = "%s/%s" % (folder, name)
            masked = context.host.is_link(path) and context.host.readlink(path) == "/dev/null"
            if re.match(r"(70|z25)[-_]persistent-net\.rules$", name) and not masked:
                found.append(path)
    for path in context.udev_rules:
        if path.startswith(UDEV_FOLDERS[:3]) and path not in found:
            for line in context.udev_lines(path):
                if network.udev_pins_name(line.text):
                    found.append(line.evidence)
    if found:
        return bad(join(found))
    mask = "/etc/udev/rules.d/75-persistent-net-generator.rules"
    masked = context.host.is_link(mask) and context.host.readlink(mask) == "/dev/null"
    for folder in UDEV_FOLDERS:
        path = folder + "/75-persistent-net-generator.rules"
        if path == mask and (masked or not context.size(path)):
            continue
        if context.exists(path):
            if not masked:
                return bad("%s would write names by MAC address" % path)
            if context.family == "redhat":
                return na("%s is masked; image tests that look for the file itself object." % path)
    return ok("no persistent names")


@CHECKS("NET-08")
def suse_leftovers(context: Context) -> Outcome:
    """85-persistent-net-cloud-init.rules and ifcfg-eth* files other than one for eth0 with DHCP."""
    found = context.glob("/etc/udev/rules.d/85-persistent-net-cloud-init.rules")
    for path in context.glob("/etc/sysconfig/network/ifcfg-eth*"):
        values = assignments(context, path)
        if not path.endswith("ifcfg-eth0") or not values.get("BOOTPROTO", ("",))[0].lower().startswith("dhcp"):
            found.append(path)
    return bad(join(found)) if found else ok("no leftover interface files")


def sriov_rules(context: Context) -> List[str]:
    """Evidence of udev rules that take virtual functions from the network manager, written by hand."""
    found = []
    for path in context.udev_rules:
        name = path.rsplit("/", 1)[1]
        if "azure-unmanaged-sriov" in name or ("sriov" not in name and not path.startswith(UDEV_FOLDERS[:3])):
            continue
        for line in context.udev_lines(path):
            if re.search(r"hv_pci|mlx[45]_core|\bmana\b", line.text) and re.search(
                r'ENV\{NM_UNMANAGED\}\s*:?=\s*"1"', line.text
            ):
                found.append(line.evidence)
    return found


def _packaged_sriov(context: Context) -> List[str]:
    return [path for path in context.udev_rules if path.endswith("azure-unmanaged-sriov.rules")]


@CHECKS("NET-09")
def virtual_functions(context: Context) -> Outcome:
    """Where NetworkManager runs: a udev rule that marks virtual functions (driver hv_pci) as not its own."""
    packaged = _packaged_sriov(context)
    own = sriov_rules(context)
    if packaged or own:
        return ok(join(packaged or own))
    if not uses_network_manager(context):
        return na("NetworkManager does not run.")
    return bad("no udev rule keeps NetworkManager from virtual functions (driver hv_pci)")


@CHECKS("NET-10")
def unmanaged_drivers(context: Context) -> Outcome:
    """unmanaged-devices in NetworkManager's configuration names mlx4_core and mlx5_core."""
    if not context.is_el(8) or not uses_network_manager(context):
        return na("It concerns NetworkManager on Enterprise Linux 8 and newer.")
    if _packaged_sriov(context):
        return ok("azure-vm-utils does it")
    together = network_manager_settings(context, "keyfile", "unmanaged-devices")
    text = ",".join(value for value, _line in together)
    if "driver:mlx4_core" in text and "driver:mlx5_core" in text:
        return ok(join(line.evidence for _value, line in together))
    if together:
        return bad(join(line.evidence for _value, line in together))
    return bad("no unmanaged-devices=driver:mlx4_core,driver:mlx5_core in /etc/NetworkManager/conf.d")


@CHECKS("NET-11")
def one_policy(context: Context) -> Outcome:
    """azure-vm-utils' rule and a hand-written one for virtual functions do not stand side by side."""
    packaged = _packaged_sriov(context)
    own = sriov_rules(context)
    if packaged and own:
        return bad("%s and %s" % (join(packaged), join(own)))
    if not packaged and not own:
        return na("There is no SR-IOV rule%s." % (" although azure-vm-utils is there" if has_vm_utils(context) else ""))
    return ok(join(packaged or own))


@CHECKS("NET-12")
def suse_host_name(context: Context) -> Outcome:
    """DHCLIENT_SET_HOSTNAME="no" in /etc/sysconfig/network/dhcp, where wicked reads it."""
    path = "/etc/sysconfig/network/dhcp"
    if not context.exists(path) and not context.has_command("wicked"):
        return na("wicked is not used.")
    value = assignments(context, path).get("DHCLIENT_SET_HOSTNAME")
    if value is None:
        return bad("%s has no DHCLIENT_SET_HOSTNAME" % path)
    return _literal([value[1]], ('DHCLIENT_SET_HOSTNAME="no"',)) if value[0] == "no" else bad(value[1].evidence)


@CHECKS("NET-13", "CLEAN-12")
def resolver(context: Context) -> Outcome:
    """/etc/resolv.conf: a symbolic link that leads somewhere, or absent."""
    path = "/etc/resolv.conf"
    if context.host.is_link(path):
        target = context.host.readlink(path)
        # Below /run the target appears with the service that writes it.
        resolved = target if target.startswith("/") else "/etc/" + target
        if context.live and not context.exists(path):
            return bad("%s leads to %s, which does not exist" % (path, target))
        if not re.match(r"(/var)?/run/|/usr/lib/systemd/|/etc/\.\./(run|usr/lib/systemd|var/run)/", resolved):
            # A link to a file that stays is as stale in a new VM as the file itself.
            return context.after_capture(bad("%s -> %s" % (path, resolved)))
        return ok("%s -> %s" % (path, resolved))
    if not context.exists(path):
        return ok("there is no %s" % path)
    lines = [line for line in context.lines(path) if line.text.startswith("nameserver")]
    text = lines[0].evidence if lines else "%s is a plain file" % path
    return context.after_capture(bad(text))


def _built_in(context: Context, module: str) -> bool:
    try:
        return bool(context.running_kernel) and context.module(context.running_kernel, module) == "built in"
    except AzurePrepError:
        # Without the kernel's tables the list of loaded modules has to do.
        return False


def _with_includes(context: Context, text: str) -> str:
    """nftables.conf with the files that it includes, one level deep, as nft puts them in."""
    parts = []
    for line in re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).split("\n"):
        match = re.match(r'\s*include\s+"([^"]+)"', line)
        if match is None:
            parts.append(line)
            continue
        pattern = match.group(1) if match.group(1).startswith("/") else "/etc/" + match.group(1)
        parts += [context.text(path) or "" for path in context.glob(pattern)]
    return "\n".join(parts)


def _refusal(where: str, rule: str) -> str:
    return "%s: %s" % (where, rule) if rule else ""


@CHECKS("NET-14")
def azure_reachable(context: Context) -> Outcome:
    """The rules in force (nft, iptables, when their kernel modules are loaded) and those kept in files, for output."""
    found = []
    looked = []
    ufw = assignments(context, "/etc/default/ufw").get("DEFAULT_OUTPUT_POLICY")
    if ufw is not None and assignments(context, "/etc/ufw/ufw.conf").get("ENABLED", ("no",))[0].lower() == "yes":
        looked.append("/etc/default/ufw")
        if ufw[0].upper() in ("DROP", "REJECT"):
            found.append(ufw[1].evidence)
    for path in ("/etc/iptables/rules.v4", "/etc/sysconfig/iptables"):
        text = context.text(path)
        if text is not None:
            looked.append(path)
            found.append(_refusal(path, firewall.iptables_refuses(text)))
    if context.unit_state("nftables.service") == "enabled":
        for path in ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf"):
            text = context.text(path)
            if text is not None:
                looked.append(path)
                found.append(_refusal(path, firewall.nft_refuses(_with_includes(context, text))))
    unseen = ""
    if context.live:
        modules = {line.split(" ")[0] for line in (context.text("/proc/modules") or "").split("\n")}
        # Listing rules would load these modules; where they are not loaded there are no rules.
        for module, names, refuses in (
            ("nf_tables", ("nft",), firewall.nft_refuses),
            ("nf_tables", ("iptables-nft-save",), firewall.iptables_refuses),
            ("iptable_filter", ("iptables-legacy-save", "iptables-save"), firewall.iptables_refuses),
        ):
            if module not in modules and not _built_in(context, module):
                continue
            name = next((name for name in names if context.has_command(name)), "")
            if not name:
                if module == "iptable_filter" or not context.has_command("iptables-nft-save"):
                    unseen = unseen or "%s is loaded, but there is no %s to list its rules." % (module, names[0])
                continue
            context.needs_root("the firewall's rules")
            words = (name, "list", "ruleset") if name == "nft" else (name,)
            result = context.run(*words)
            if result.rc != 0:
                unseen = "%s failed: %s" % (" ".join(words), result.stderr.strip())
                continue
            looked.append(" ".join(words))
            found.append(_refusal(" ".join(words), refuses(result.stdout)))
            if name == "nft":
                unseen = ""
    wrong = [text for text in found if text]
    if wrong:
        return bad(join(wrong))
    if unseen:
        return dunno(unseen)
    return ok("nothing refuses them: " + join(looked) if looked else "no firewall rules are loaded or kept")


@CHECKS("NET-15")
def netplan_leftovers(context: Context) -> Outcome:
    """/etc/netplan: nothing but the file that cloud-init writes."""
    found = [path for path in context.glob("/etc/netplan/*.yaml") if not path.endswith("/50-cloud-init.yaml")]
    return context.after_capture(bad(join(found)) if found else ok("no installer file in /etc/netplan"))


@CHECKS("NET-16")
def host_name(context: Context) -> Outcome:
    """/etc/hostname (/etc/HOSTNAME): localhost.localdomain, localhost, or empty."""
    for path in ("/etc/hostname", "/etc/HOSTNAME"):
        text = context.text(path)
        if text is not None:
            names = [line.strip() for line in text.split("\n") if line.strip() and not line.startswith("#")]
            name = names[0] if names else ""
            if name in NEUTRAL_NAMES:
                return ok(quote(path, 1, name))
            return context.after_capture(bad(quote(path, 1, name)))
    return ok("there is no /etc/hostname")
