# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network configuration of every kind, turned to DHCP on whatever card is there (NET-01 to NET-15).

On Azure the card is called eth0; on the build hypervisor it may be ens3 or enp1s0. What is written here therefore
serves both names, is bound to no MAC address, and takes effect at the next boot only: nothing is restarted, and the
connection of the running play stays up.

Text functions are pure; plan() looks at a host and says which files have to change.

Private to the collection: its interface may change in any release.
"""

import binascii
import fnmatch
import re
import socket
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cloudinit_conf, cloudinit_plan, edits, units
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

HEADER = "# Written by the linuxvhd.azure collection: DHCP on the first card, whatever its name.\n"

INTERFACES = "/etc/network/interfaces"
INTERFACES_FOLDER = "/etc/network/interfaces.d"

#: The name under which cloud-init writes its own stanzas: what we put there gives way to it.
IFUPDOWN_CLOUD = INTERFACES_FOLDER + "/50-cloud-init"
IFUPDOWN_OWN = INTERFACES_FOLDER + "/60-azure"
CLOUD_MARK = "This file is generated from information provided by"

NETWORKD_FOLDER = "/etc/systemd/network"
NETWORKD_OWN = NETWORKD_FOLDER + "/90-azure-dhcp.network"
NETWORKD_TEXT = HEADER + "[Match]\nName=en* eth*\nType=ether\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nClientIdentifier=mac\n"

NETPLAN_FOLDER = "/etc/netplan"
NETPLAN_OWN = NETPLAN_FOLDER + "/60-azure.yaml"

NM_FOLDER = "/etc/NetworkManager/system-connections"
NM_VENDOR_FOLDER = "/usr/lib/NetworkManager/system-connections"
NM_OWN = NM_FOLDER + "/azure-dhcp.nmconnection"
NM_TEXT = (
    HEADER + "[connection]\nid=azure-dhcp\ntype=ethernet\nautoconnect=true\nautoconnect-priority=-100\n\n"
    "[ethernet]\n\n[ipv4]\nmethod=auto\ndhcp-timeout=300\n\n[ipv6]\nmethod=auto\n"
)

IFCFG_RED_HAT = "/etc/sysconfig/network-scripts"
IFCFG_SUSE = "/etc/sysconfig/network"

PERSISTENT_RULES = (
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/udev/rules.d/z25_persistent-net.rules",
    "/etc/udev/rules.d/85-persistent-net-cloud-init.rules",
)
GENERATOR = "75-persistent-net-generator.rules"

#: Names of what is no Ethernet card: bridges, bonds, VLANs, tunnels, wireless cards, ports of guests and containers.
_OTHER_KIND = re.compile(
    r"(lo(:|$)|[\w-]*br(idge)?([-\d*]|$)|bond|team|vlan|vxlan|tun|tap|wg|ppp|gre|sit\d|ip6|ipip|wl|ww|ib\d|can\d|dummy"
    r"|ifb|docker|veth|vnet|lxc|lxd|ovs|tailscale|zt|[\w-]+\.\d)"
)

#: Methods of interfaces(5) by which no Ethernet card gets an address.
_OTHER_METHODS = ("loopback", "tunnel", "v4tunnel", "6to4", "ppp", "wvdial", "can")


def is_ethernet(name: str) -> bool:
    """Whether an interface of this name (or pattern) may be an Ethernet card; on Azure it is then called eth0."""
    return bool(name) and not _OTHER_KIND.match(name)


class Stanza(NamedTuple):
    """One stanza of interfaces(5): lines first to last (from 0), its kind and words (iface; ens3 inet dhcp)."""

    first: int
    last: int
    kind: str
    words: List[str]
    body: List[str]


class Plan(NamedTuple):
    """changes to make, renderers found, and sentences for the user."""

    changes: List[edits.Change]
    renderers: List[str]
    warnings: List[str]


# -- interfaces(5), Debian's ifupdown ----------------------------------------------------------------------------


def parse_interfaces(text: str) -> List[Stanza]:
    """The stanzas of interfaces(5) in order; lines before the first stanza belong to none."""
    lines = text.split("\n")
    found: List[Stanza] = []
    keywords = ("iface", "auto", "mapping", "source", "source-directory", "no-auto-down", "no-scripts", "template")
    index = 0
    while index < len(lines):
        first = index
        joined = lines[index]
        while joined.endswith("\\") and index + 1 < len(lines):
            index += 1
            joined = joined[:-1] + " " + lines[index]
        words = joined.split()
        if words and not words[0].startswith("#"):
            if words[0] in keywords or words[0].startswith("allow-"):
                found.append(Stanza(first, index, words[0], words[1:], []))
            elif found and found[-1].kind in ("iface", "mapping"):
                last = found[-1]
                found[-1] = last._replace(last=index, body=last.body + [" ".join(words)])
        index += 1
    return found


def stanza_is_plain_dhcp(stanza: Stanza) -> bool:
    """True for `iface <name> inet dhcp` (or inet6 auto/dhcp) that names no MAC address."""
    if len(stanza.words) < 3 or stanza.words[2] not in ("dhcp", "auto"):
        return False
    return not any(line.startswith("hwaddress") for line in stanza.body)


def interfaces_without(text: str, names: Sequence[str]) -> str:
    """The text without every stanza of the named interfaces; `auto a b` lines keep the names that stay."""
    lines: List[Optional[str]] = list(text.split("\n"))
    for stanza in parse_interfaces(text):
        if stanza.kind == "iface" and stanza.words[:1] and stanza.words[0] in names:
            last = stanza.last
            for index in range(stanza.first, last + 1):
                lines[index] = None
        elif stanza.kind == "auto" or stanza.kind.startswith("allow-"):
            # `auto /e*=name` brings cards up by the stanza of that name.
            left = [name for name in stanza.words if name.split("=")[-1] not in names]
            if len(left) != len(stanza.words):
                for index in range(stanza.first, stanza.last + 1):
                    lines[index] = None
                if left:
                    lines[stanza.first] = " ".join([stanza.kind] + left)
    return "\n".join(line for line in lines if line is not None)


def dhcp_stanzas(names: Sequence[str]) -> str:
    """DHCP for each of the names; which of them are brought up, and when, hotplug_line says."""
    return "".join("\niface %s inet dhcp\n" % name for name in names)


def hotplug_line(names: Sequence[str]) -> str:
    """allow-hotplug, not auto: a card that is not there must not fail the service."""
    return "allow-hotplug %s\n" % " ".join(names)


def interfaces_files(
    read: Callable[[str], Optional[str]], glob: Callable[[str], List[str]], is_dir: Callable[[str], bool]
) -> Tuple[List[str], List[str]]:
    """(files that ifupdown reads, files of interfaces.d that it does not), by the source lines of interfaces(5)."""
    found: List[str] = []
    pending = [INTERFACES]
    while pending:
        path = pending.pop(0)
        text = None if path in found or is_dir(path) else read(path)
        if text is None:
            continue
        found.append(path)
        for stanza in parse_interfaces(text):
            for word in stanza.words if stanza.kind.startswith("source") else ():
                pattern = word if word.startswith("/") else "/etc/network/" + word
                if stanza.kind == "source-directory":
                    names = glob(pattern.rstrip("/") + "/*")
                    pending += [name for name in names if re.match(r"[\w-]+$", name.rsplit("/", 1)[1])]
                else:
                    pending += glob(pattern)
    return found, [path for path in glob(INTERFACES_FOLDER + "/*") if path not in found and not is_dir(path)]


def served_cards(host: Host, name: str, stanzas: Sequence[Stanza]) -> List[str]:
    """The cards that an iface stanza of this name is for: itself, or those of its pattern or of `auto pattern=name`."""
    words = [word for stanza in stanzas if stanza.kind not in ("iface", "mapping") for word in stanza.words]
    patterns = [word.partition("=")[0] for word in words if word.partition("=")[2] == name]
    if re.search(r"[/*?\[=]", name):
        patterns.append(name.partition("=")[0])
    if not patterns:
        # The alias of a card (eth0:1) is none of its own.
        return [] if ":" in name else [name]
    return [card for card in cards(host) if any(fnmatch.fnmatch(card, pattern.lstrip("/")) for pattern in patterns)]


def _constructions(stanzas: Sequence[Stanza]) -> Set[str]:
    """The interfaces that the stanzas make bridges, bonds, VLANs or wireless ones, and the ports of those."""
    found: Set[str] = set()
    for stanza in stanzas:
        for line in stanza.body:
            match = re.match(
                r"(?:(?:bridge|bond|vlan)[-_](?:(ports|slaves|raw[-_]device)|master|mode)|wpa-|wireless)", line
            )
            if match is not None:
                found.update(stanza.words[:1])
                if match.group(1):
                    found.update(line.split()[1:])
    return found


def moved_names(stanzas: Sequence[Stanza], always: Sequence[str] = ()) -> List[str]:
    """The names of the Ethernet stanzas that do not stay: those of `always`, and all that are not plain DHCP.

    A second card with DHCP of its own is somebody's intention; a fixed address or a MAC pin is not for Azure.
    """
    built = _constructions(stanzas)
    plain: Dict[str, bool] = {}
    for stanza in stanzas:
        name = stanza.words[0] if stanza.kind == "iface" and stanza.words else ""
        if (
            is_ethernet(name.lstrip("/"))
            and name not in built
            and stanza.words[2:3] not in [[word] for word in _OTHER_METHODS]
        ):
            plain[name] = plain.get(name, True) and stanza_is_plain_dhcp(stanza)
    return sorted(name for name in plain if name in always or not plain[name])


def _ifupdown(host: Host, primary: str, cloud_init: bool) -> Tuple[List[edits.Change], List[str]]:
    """Move Ethernet stanzas out of the installer's file into ours (requirements, section 2.4).

    Each card whose stanza goes gets DHCP instead: none that the build machine uses is left without configuration.

    With cloud-init the iface stanzas stand in the file that cloud-init replaces at boot, and the class in one of our
    own, which it does not replace. udev starts ifup@<card> for a card of that class, and by the time it runs
    cloud-init has written `auto` for the same card: were the class gone from the files by then, `ifup
    --allow=hotplug` would do nothing and the `ifquery --state` behind it would fail the unit whenever
    networking.service is not done yet. With both, the second of the two finds the card configured.
    """
    read, unread = interfaces_files(lambda path: edits.read_optional(host, path), host.glob, host.is_dir)
    paths = [path for path in read + unread if host.is_file(path)]
    texts = {path: host.read(path) for path in paths if path != IFUPDOWN_OWN}
    cloud = parse_interfaces(texts.get(IFUPDOWN_CLOUD, "")) if cloud_init else []
    if CLOUD_MARK in texts.get(IFUPDOWN_CLOUD, "") and cloud_init and not moved_names(cloud):
        # What cloud-init has written since is DHCP and serves this machine.
        del texts[IFUPDOWN_CLOUD]
    stanzas = [stanza for text in texts.values() for stanza in parse_interfaces(text)]
    moved = moved_names(stanzas, ("eth0", primary))
    built = _constructions(stanzas)
    # The card may have got another name since; what an earlier run allowed stays allowed.
    before = edits.read_optional(host, IFUPDOWN_OWN) or ""
    ours = parse_interfaces(before) if before.startswith(HEADER) else []
    names = [name for stanza in ours if stanza.kind == "allow-hotplug" for name in stanza.words]
    taken = [card for name in moved for card in served_cards(host, name, stanzas)]
    further = [name for name in dict.fromkeys(taken) if name not in names + ["eth0", primary]]
    names += ["eth0"] + ([primary] if is_ethernet(primary) and primary not in built else []) + further
    # Without its pin a card gets the name that udev gives it.
    pinned = _pins(host)[1]
    names += [udev_name(host, name) for name in names if name in pinned]
    names = list(dict.fromkeys(name for name in names if name))
    own = {IFUPDOWN_OWN: HEADER + hotplug_line(names)}
    if not cloud_init:
        own[IFUPDOWN_OWN] += dhcp_stanzas(names)
    elif IFUPDOWN_CLOUD in paths and IFUPDOWN_CLOUD not in texts:
        known = [stanza.words[0] for stanza in cloud if stanza.kind == "iface" and stanza.words]
        missing = dhcp_stanzas([name for name in dict.fromkeys(taken) if name not in known])
        own[IFUPDOWN_CLOUD] = host.read(IFUPDOWN_CLOUD) + missing
    else:
        own[IFUPDOWN_CLOUD] = HEADER + dhcp_stanzas(names)
    changes: List[edits.Change] = []
    for path in sorted(own):
        changes += edits.plan_file(host, path, own[path])
    for path, text in texts.items():
        if path in own:
            continue
        after: Optional[str] = interfaces_without(text, moved)
        if path == INTERFACES:
            after = _with_source(after or "")
        elif (
            path.startswith(INTERFACES_FOLDER)
            and after != text
            and not [stanza for stanza in parse_interfaces(after or "") if stanza.kind == "iface"]
        ):
            after = None
        changes += edits.plan_file(host, path, after)
    return changes, [
        "%s had a fixed address or a MAC address of its own in ifupdown's files; it gets DHCP from the next boot on."
        % name
        for name in further
    ]


def _with_source(text: str) -> str:
    """The text with a line that reads interfaces.d."""
    for stanza in parse_interfaces(text):
        folder = stanza.words[0] if stanza.words else ""
        if stanza.kind.startswith("source") and folder.startswith((INTERFACES_FOLDER, "interfaces.d")):
            return text
    return text + ("" if text.endswith("\n") or not text else "\n") + "\nsource %s/*\n" % INTERFACES_FOLDER


# -- INI-like files: NetworkManager keyfiles, systemd-networkd ---------------------------------------------------


def ini_values(text: str) -> List[Tuple[str, str, str, int]]:
    """(section, key, value, line from 0) of every assignment; section and key lower case."""
    found = []
    section = ""
    for index, line in enumerate(text.split("\n")):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1].strip().lower()
        elif stripped and stripped[0] not in "#;" and "=" in stripped:
            key, _sep, value = stripped.partition("=")
            found.append((section, key.strip().lower(), value.strip(), index))
    return found


def keyfile_is_ethernet(text: str) -> bool:
    values = {(section, key): value for section, key, value, _index in ini_values(text)}
    if values.get(("connection", "type")) not in ("ethernet", "802-3-ethernet"):
        return False
    # A port of a bridge or bond is somebody's construction and no connection of its own.
    return not any(values.get(("connection", key)) for key in ("master", "controller", "slave-type", "port-type"))


#: (section, key) of a keyfile that ties it to one card of the build machine.
_PINS = {
    ("ethernet", "mac-address"),
    ("ethernet", "cloned-mac-address"),
    ("802-3-ethernet", "mac-address"),
    ("802-3-ethernet", "cloned-mac-address"),
    ("match", "path"),
    ("match", "interface-name"),
}


#: What belongs to a fixed address, and keeps DHCP's own answer away.
_FIXED = re.compile(
    r"^(address(es)?\d*|gateway|dns|routes?\d*(_options)?|ignore-auto-dns|ignore-auto-routes|never-default|dad-timeout)$"
)


def keyfile_to_dhcp(text: str) -> str:
    """An Ethernet keyfile without MAC pin and fixed IPv4 address, for any card, with DHCP at boot."""
    lines: List[Optional[str]] = list(text.split("\n"))
    fixed = any(
        (section, key) == ("ipv4", "ignore-auto-dns") and value.lower() in ("true", "yes", "1")
        for section, key, value, _index in ini_values(text)
    )
    for section, key, value, index in ini_values(text):
        # A profile of one user's is not brought up at boot.
        pinned = (section, key) in _PINS or (section, key) == ("connection", "permissions") and value.strip(";") != ""
        pinned = pinned or ((section, key) == ("connection", "interface-name") and value != "eth0")
        manual_start = (section, key) == ("connection", "autoconnect") and value.lower() in ("false", "no", "0")
        if pinned or manual_start:
            lines[index] = None
        elif key == "method" and (section == "ipv4" and value != "auto" or section == "ipv6" and value == "manual"):
            lines[index] = "method=auto"
            fixed = True
    if fixed:
        for section, key, _value, index in ini_values(text):
            if section in ("ipv4", "ipv6") and _FIXED.match(key):
                lines[index] = None
    return "\n".join(line for line in lines if line is not None)


def networkd_needs_moving(text: str) -> bool:
    """True for a .network file that binds a card to a MAC address, or gives Ethernet a fixed or a MAC address."""
    values = ini_values(text)
    match = {key: value for section, key, value, _index in values if section == "match"}
    if any(match.get(key) for key in ("macaddress", "permanentmacaddress")):
        return True
    fixed = {("network", "address"), ("address", "address"), ("link", "macaddress")}
    if not any((section, key) in fixed for section, key, _value, _index in values):
        return False
    if match.get("name"):
        return any(is_ethernet(name) for name in match["name"].split())
    # Without a name it is for any card of the type.
    return "ether" in match.get("type", "ether").split() and match.get("kind", "!")[:1] == "!"


def networkd_is_dhcp(text: str) -> bool:
    """True for a .network file that gives Ethernet cards of any name DHCP."""
    values = {(section, key): value for section, key, value, _index in ini_values(text)}
    names = values.get(("match", "name"), "").split()
    wide = any(name in ("*", "e*", "eth*", "eth0", "en* eth*") for name in names) or (
        not names and values.get(("match", "type")) == "ether"
    )
    return wide and values.get(("network", "dhcp"), "").lower() in ("yes", "true", "ipv4", "both", "1")


def link_pins_mac(text: str) -> bool:
    """True for a .link file that goes by a card's MAC address, or gives the card another one."""
    return any(
        section == "match"
        and key.endswith("macaddress")
        or (section, key) == ("link", "macaddress")
        or (section, key, value.lower()) == ("link", "macaddresspolicy", "random")
        for section, key, value, _index in ini_values(text)
    )


def _networkd(host: Host, primary: str) -> List[edits.Change]:
    changes: List[edits.Change] = []
    served = False
    own = edits.read_optional(host, NETWORKD_OWN) or ""
    # Cards of other names than en* and eth*; what an earlier run added stays.
    names = [value for section, key, value, _index in ini_values(own) if (section, key) == ("match", "name")]
    names = [name for value in names if own.startswith(HEADER) for name in value.split()]
    names += [primary]
    for path in host.glob(NETWORKD_FOLDER + "/*.network"):
        if host.is_link(path) or not host.is_file(path) or path == NETWORKD_OWN:
            continue
        text = host.read(path)
        drop_ins = [name for name in host.glob(path + ".d/*.conf") if host.is_file(name)]
        text = "\n".join([text] + [host.read(name) for name in drop_ins])
        if networkd_needs_moving(text):
            for name in [path] + drop_ins:
                changes += edits.plan_file(host, name, None)
            values = [value for section, key, value, _index in ini_values(text) if (section, key) == ("match", "name")]
            names += [name for value in values for name in value.split()]
        elif networkd_is_dhcp(text):
            served = True
    if not served:
        further = [name for name in names if is_ethernet(name) and re.match(r"(?!en|eth)[A-Za-z][\w-]*$", name)]
        after = NETWORKD_TEXT.replace("en* eth*", " ".join(["en*", "eth*"] + list(dict.fromkeys(further))))
        changes = edits.plan_file(host, NETWORKD_OWN, after) + changes
    return changes


def _networkmanager(host: Host) -> List[edits.Change]:
    changes: List[edits.Change] = []
    found = False
    for path in host.glob(NM_FOLDER + "/*"):
        if not host.is_file(path) or path.endswith("~") or path == NM_OWN:
            continue
        text = host.read(path)
        if keyfile_is_ethernet(text):
            found = True
            changes += edits.plan_file(host, path, keyfile_to_dhcp(text))
    # A profile of a package is shadowed by one of the same file name: both then have the same UUID.
    for path in host.glob(NM_VENDOR_FOLDER + "/*.nmconnection"):
        own = NM_FOLDER + "/" + path.rsplit("/", 1)[1]
        text = host.read(path) if host.is_file(path) and not host.exists(own) else ""
        if keyfile_is_ethernet(text):
            found = True
            if keyfile_to_dhcp(text) != text:
                changes += edits.plan_file(host, own, keyfile_to_dhcp(text), 0o600)
    # An ifcfg file serves one name, Enterprise Linux 10 reads none, and servers have no-auto-default=*.
    if not found:
        changes = edits.plan_file(host, NM_OWN, NM_TEXT, 0o600) + changes
    return changes


NM_CONF = "/etc/NetworkManager/NetworkManager.conf"
NM_CONF_FOLDER = "/etc/NetworkManager/conf.d"

#: What leaves a card its own MAC address; any other is a made-up one, and Azure drops its frames.
_OWN_ADDRESS = ("", "permanent", "preserve")


def nm_conf_files(glob: Callable[[str], List[str]]) -> List[str]:
    """The files of NetworkManager.conf(5) in the order in which they are read; of one name the strongest alone."""
    folders = (NM_CONF_FOLDER, "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d")
    chosen: Dict[str, str] = {}
    for folder in folders:
        for path in glob(folder + "/*.conf"):
            chosen.setdefault(path.rsplit("/", 1)[1], path)
    found = [[chosen[name] for name in sorted(chosen) if chosen[name].startswith(folder + "/")] for folder in folders]
    return found[2] + found[1] + glob(NM_CONF) + found[0]


def nm_refusals(value: str) -> List[str]:
    """The words of unmanaged-devices that keep NetworkManager from eth0; exceptions alone are from everything."""
    words = [word.strip() for word in re.split(r"[,;]", value) if word.strip()]
    excepted = [word for word in words if word.startswith("except:")]
    if any(re.search(r"eth|hv_netvsc", word) for word in excepted):
        return []
    found = [
        word
        for word in words
        if word in ("*", "type:ethernet", "driver:hv_netvsc")
        or word.startswith("interface-name:")
        and fnmatch.fnmatch("eth0", word[15:].lstrip("=~"))
    ]
    return found or (excepted if excepted == words else [])


def nm_gives_mac(section: str, key: str, value: str) -> bool:
    """True for a setting of NetworkManager.conf(5) that gives Ethernet cards MAC addresses of its own."""
    keys = ("ethernet.cloned-mac-address", "802-3-ethernet.cloned-mac-address")
    return section.startswith("connection") and key in keys and value.lower() not in _OWN_ADDRESS


def nm_conf_for_ethernet(text: str, managed: bool) -> str:
    """A file of NetworkManager.conf(5) without made-up MAC addresses, and (managed) refusals of eth0."""
    lines: List[Optional[str]] = list(text.split("\n"))
    for section, key, value, index in ini_values(text):
        if nm_gives_mac(section, key, value):
            lines[index] = None
        elif managed and (section, key.rstrip("+ ")) == ("keyfile", "unmanaged-devices") and nm_refusals(value):
            left = [word.strip() for word in re.split(r"[,;]", value) if word.strip()]
            while nm_refusals(",".join(left)):
                left = [word for word in left if word not in nm_refusals(",".join(left))]
            lines[index] = (lines[index] or "").partition("=")[0] + "=" + ",".join(left) if left else None
    return "\n".join(line for line in lines if line is not None)


def _nm_conf(host: Host, managed: bool) -> List[edits.Change]:
    """What a package brings is put aside by a file of the same name in /etc."""
    changes: List[edits.Change] = []
    for path in nm_conf_files(host.glob):
        if host.is_file(path) and not path.startswith("/run/"):
            text = host.read(path)
            after = nm_conf_for_ethernet(text, managed)
            if after != text:
                own = path if path == NM_CONF else NM_CONF_FOLDER + "/" + path.rsplit("/", 1)[1]
                changes += edits.plan_file(host, own, after)
    return changes


# -- YAML: netplan, cloud-init's own network configuration -------------------------------------------------------


def yaml_ties(rows: Sequence[str], numbers: Sequence[int]) -> List[int]:
    """Those of the rows (by number, from 0) of network configuration with a MAC address or a fixed address."""
    found = []
    for number in numbers:
        text = rows[number].strip()
        for match in re.finditer(r"[\"']?\b(macaddress|mac_address|addresses|address)[\"']?\s*:\s*(\S?)", text):
            before = text[: match.start()]
            first = not before.strip(" -{") or before.rstrip()[-1:] in ("{", ",")
            mac = match.group(1).startswith("mac")
            if mac or first and "nameservers" not in before and not _below_nameservers(rows, number):
                found.append(number)
                break
    return found


def _below_nameservers(rows: Sequence[str], number: int) -> bool:
    """Whether an "addresses:" of netplan is the one of a name server: the parent is the last row with less indent."""
    indent = len(rows[number]) - len(rows[number].lstrip())
    for row in reversed(rows[:number]):
        if row.strip() and not row.lstrip().startswith("#") and len(row) - len(row.lstrip()) < indent:
            return bool(re.match(r"[\"']?nameservers", row.strip()))
    return False


def cloud_network(rows: Sequence[str]) -> List[int]:
    """The rows (by number, from 0) of a network: of its own in a file of cloud-init's configuration."""
    found = []
    inside = False
    for number, row in enumerate(rows):
        if row[:1] not in (" ", "\t", "-", "#", "", "\r", "}", "]"):
            inside = bool(re.match(r"[\"']?network[\"']?\s*:", row))
        if inside and row.strip() and not row.lstrip().startswith("#"):
            found.append(number)
    disabled = cloudinit_conf.NETWORK_DISABLED.search("\n".join(rows[number] for number in found))
    return [] if disabled else found


def _cloud_init(host: Host) -> List[edits.Change]:
    """Take out a network: for this machine's card, which cloud-init would prefer to Azure's; all else stays."""
    changes: List[edits.Change] = []
    for path in cloudinit_conf.config_files(host):
        rows = host.read(path).split("\n")
        block = cloud_network(rows)
        # What an installer left goes as a whole, with CINIT-08.
        if path in cloudinit_conf.LEFTOVERS or not yaml_ties(rows, block):
            continue
        left = [row for number, row in enumerate(rows) if number not in block]
        empty = all(not row.strip() or row.startswith(("#", "---")) for row in left)
        changes += edits.plan_file(host, path, None if empty and path != cloudinit_conf.MAIN else "\n".join(left))
    return changes


# -- netplan -----------------------------------------------------------------------------------------------------


def _plain_yaml(text: str) -> str:
    """The text without comments, and without the quotes of keys."""
    plain = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    return re.sub(r"[\"']([\w-]+)[\"'](?=\s*:)", r"\1", re.sub(r"\s#.*", "", plain))


def netplan_needs_moving(text: str) -> bool:
    """True for a file that binds to a MAC address or gives an Ethernet card a fixed address."""
    plain = _plain_yaml(text)
    if re.search(r"\b(bridges|bonds|vlans|wifis)\s*:", plain):
        return False
    return bool(re.search(r"\b(macaddress|addresses|gateway4|set-name)\s*:", plain))


def netplan_serves(text: str) -> bool:
    """True for a file that gives eth0 DHCP."""
    plain = _plain_yaml(text)
    dynamic = re.search(r"\bdhcp4\s*:\s*(true|yes|on)\b", plain, re.I)
    return bool(dynamic and re.search(r"\beth0\b|\be\*|\beth\*|hv_netvsc|\bname\s*:\s*[\"']\*", plain))


def netplan_text(renderer: str) -> str:
    """DHCP on any Ethernet card. The name decides the order of what netplan generates: cloud-init's comes first."""
    text = HEADER + "network:\n  version: 2\n"
    if renderer:
        text += "  renderer: %s\n" % renderer
    text += '  ethernets:\n    zz-azure:\n      match:\n        name: "e*"\n'
    return text + "      dhcp4: true\n      dhcp-identifier: mac\n"


def _netplan(host: Host) -> List[edits.Change]:
    changes: List[edits.Change] = []
    renderer = ""
    others = []
    for path in host.glob(NETPLAN_FOLDER + "/*.yaml"):
        if path == NETPLAN_OWN or not host.is_file(path):
            continue
        text = host.read(path)
        match = re.search(r"\brenderer\s*:\s*[\"']?(\w+)", _plain_yaml(text))
        if netplan_needs_moving(text):
            renderer = renderer or (match.group(1) if match else "")
            changes += edits.plan_file(host, path, None)
        else:
            others.append(text)
    serves = any(map(netplan_serves, others))
    if not serves and not host.is_file(NETPLAN_OWN):
        changes = edits.plan_file(host, NETPLAN_OWN, netplan_text(renderer), 0o600) + changes
    return changes


# -- ifcfg: Red Hat's network-scripts, SUSE's wicked -------------------------------------------------------------


_IFCFG_GONE = re.compile(
    r"^\s*(export\s+)?(HWADDR|MACADDR|LLADDR|UUID|IPADDR\w*|PREFIX\w*|NETMASK\w*|GATEWAY\w*|NETWORK|BROADCAST|DNS\d+)="
)

#: Switches that keep DHCP's answer, or NetworkManager, away; without the line the default holds, which is yes.
_IFCFG_NO = re.compile(r"^\s*(PEERDNS|PEERROUTES|DEFROUTE|NM_CONTROLLED)=['\"]?(no|NO|No|0|false)\b")


def ifcfg_is_fixed(text: str) -> bool:
    """True for an ifcfg file that gives a fixed address."""
    return bool(re.search(r"^\s*IPADDR\w*=['\"]?\S", text, re.M))


def ifcfg_to_dhcp(text: str, suse: bool = False) -> str:
    """An ifcfg file without MAC pin, UUID and fixed address, with DHCP at boot (NET-01, NET-03)."""
    wanted = {"BOOTPROTO": "'dhcp'", "STARTMODE": "'auto'"} if suse else {"BOOTPROTO": "dhcp", "ONBOOT": "yes"}
    lines = []
    seen = set()
    for line in text.split("\n"):
        match = re.match(r"^\s*([A-Z_0-9]+)=(.*)$", line)
        if _IFCFG_GONE.match(line) or _IFCFG_NO.match(line):
            continue
        if match is not None and match.group(1) in wanted:
            key = match.group(1)
            if key in seen:
                continue
            seen.add(key)
            value = match.group(2).strip().strip("'\"").lower()
            if value != wanted[key].strip("'"):
                line = "%s=%s" % (key, wanted[key])
        lines.append(line)
    missing = ["%s=%s" % (key, wanted[key]) for key in sorted(wanted) if key not in seen]
    if missing:
        if lines and lines[-1] == "":
            lines[-1:] = missing + [""]
        else:
            lines += missing + [""]
    return "\n".join(lines)


#: NET-03 in the form of the EL 6 and EL 7 documents.
IFCFG_ETH0 = "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=dhcp\nTYPE=Ethernet\nUSERCTL=no\nPEERDNS=yes\nIPV6INIT=no\n"
#: Added on EL 7, where NetworkManager is there (NET-03, section 3.16).
IFCFG_ETH0_MANAGED = "PERSISTENT_DHCLIENT=yes\nNM_CONTROLLED=yes\n"
SYSCONFIG_NETWORK = "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n"


def set_shell_variable(text: str, key: str, value: str) -> str:
    """A sysconfig text with KEY="value" once; comments and everything else stay."""
    pattern = re.compile(r"^\s*%s=(.*)$" % re.escape(key))
    lines = []
    seen = False
    for line in text.split("\n"):
        match = pattern.match(line)
        if match is not None:
            if seen:
                continue
            seen = True
            if match.group(1).strip().strip("'\"") != value:
                line = '%s="%s"' % (key, value)
        lines.append(line)
    if not seen:
        line = '%s="%s"' % (key, value)
        if lines and lines[-1] == "":
            lines.insert(len(lines) - 1, line)
        else:
            lines += [line, ""]
    return "\n".join(lines)


def _is_ethernet_ifcfg(path: str, text: str) -> bool:
    name = path.rsplit("ifcfg-", 1)[-1]
    if re.search(r"^\s*(MASTER|BRIDGE|TYPE=['\"]?(Bond|Bridge|Vlan|Team))", text, re.M) or "." in name or "~" in name:
        return False
    if re.search(r"^\s*(BRIDGE|BONDING_MASTER|BONDING_SLAVE\w*|ETHERDEVICE)=['\"]?\S", text, re.M):
        return False
    if name == "lo" or re.search(r"^\s*(TYPE=['\"]?(Wireless|InfiniBand|IPSEC)|TUNNEL\w*=)", text, re.M):
        return False
    if re.search(r"^\s*TYPE=['\"]?Ethernet", text, re.M) or re.search(r"^\s*(HWADDR|LLADDR)=['\"]?\w", text, re.M):
        return True
    device = re.search(r"^\s*DEVICE=['\"]?([^'\"\s]+)", text, re.M)
    return is_ethernet(device.group(1) if device is not None else name)


def _assign(text: str, assignments: str) -> str:
    """The text with each KEY=value line of `assignments` in force, once and without quotes."""
    for line in assignments.split():
        key, _sep, value = line.partition("=")
        text = set_shell_variable(text, key, value).replace('%s="%s"' % (key, value), line)
    return text


def _old_names_only(host: Host) -> bool:
    """Whether every boot entry has net.ifnames=0: a card is then called eth0 from the next boot on."""
    try:
        entries = bootloaders.read_entries(host)
    except AzurePrepError:
        return False
    return bool(entries) and all("net.ifnames=0" in entry.arguments for entry in entries)


def _ifcfg_red_hat(host: Host, legacy: bool) -> List[edits.Change]:
    """legacy: EL 6 and 7, whose network service reads these files itself and fails where a device is missing."""
    changes: List[edits.Change] = []
    eth0 = IFCFG_RED_HAT + "/ifcfg-eth0"
    wanted = IFCFG_ETH0
    if units.state(host, "NetworkManager.service") != "absent":
        wanted += IFCFG_ETH0_MANAGED
    renamed = legacy and _old_names_only(host)
    for path in host.glob(IFCFG_RED_HAT + "/ifcfg-*"):
        if not host.is_file(path):
            continue
        text = host.read(path)
        if not _is_ethernet_ifcfg(path, text):
            continue
        name = path.rsplit("ifcfg-", 1)[1]
        after: Optional[str] = ifcfg_to_dhcp(text)
        if renamed and re.search(r"^\s*DEVICE=['\"]?(en|em|p\d)", text, re.M):
            after = None
        elif legacy and path == eth0:
            after = _assign(after or "", wanted)
        changes += edits.plan_file(host, path, after)
        if ifcfg_is_fixed(text):
            for other in ("route-", "route6-", "rule-", "rule6-"):
                changes += edits.plan_file(host, IFCFG_RED_HAT + "/" + other + name, None)
    if legacy and not host.is_file(eth0):
        changes = edits.plan_file(host, eth0, wanted) + changes
    settings = edits.read_optional(host, "/etc/sysconfig/network")
    if legacy or settings is not None:
        # A gateway of the build network is none on Azure.
        lines = [line for line in (settings or "").split("\n") if not re.match(r"^\s*GATEWAY(DEV)?=", line)]
        text = "\n".join(lines)
        changes += edits.plan_file(host, "/etc/sysconfig/network", _assign(text, SYSCONFIG_NETWORK) if legacy else text)
    return changes


def suse_routes(text: str) -> str:
    """/etc/sysconfig/network/routes without default routes: DHCP gives the one that counts."""
    return "\n".join(
        line for line in text.split("\n") if line.split()[:1] not in (["default"], ["0.0.0.0/0"], ["::/0"])
    )


def suse_netconfig(text: str) -> str:
    """/etc/sysconfig/network/config with the name servers that DHCP gives, and no others."""
    for key, pattern, value in (
        ("NETCONFIG_DNS_STATIC_SERVERS", r"\S", ""),
        ("NETCONFIG_DNS_POLICY", r"^(STATIC)?$", "auto"),
    ):
        match = re.search(r"^\s*%s=(.*)$" % key, text, re.M)
        if match is not None and re.search(pattern, match.group(1).strip().strip("'\"").strip()):
            text = set_shell_variable(text, key, value)
    return text


def _wicked(host: Host, primary: str) -> Tuple[List[edits.Change], List[str]]:
    """DHCP for eth0 and cards of other names; NET-08 wants no file of a further eth<n>, but the one in use stays."""
    changes: List[edits.Change] = []
    sentences: List[str] = []
    in_use = (primary, _card_of(host, _ssh_address(host)))
    # The only card of a copied machine: without the rule that calls it eth1 it is eth0.
    freed = _pins(host)[1] if len(cards(host)) == 1 else []
    for path in host.glob(IFCFG_SUSE + "/ifcfg-*"):
        if host.is_file(path) and _is_ethernet_ifcfg(path, host.read(path)):
            text = host.read(path)
            name = path.rsplit("ifcfg-", 1)[1]
            further = bool(re.match(r"eth[1-9]\d*$", name))
            kept = not further or name in in_use and name not in freed
            changes += edits.plan_file(host, path, ifcfg_to_dhcp(text, suse=True) if kept else None)
            if ifcfg_is_fixed(text) or not kept:
                changes += edits.plan_file(host, IFCFG_SUSE + "/ifroute-" + name, None)
            if further and kept:
                sentences.append(
                    "%s stays, as %s is in use; remove it before the capture (rule NET-08)." % (path, name)
                )
            elif further:
                sentences.append("%s has no configuration from the next boot on: %s goes (rule NET-08)." % (name, path))
    eth0 = IFCFG_SUSE + "/ifcfg-eth0"
    if not host.is_file(eth0):
        changes = edits.plan_file(host, eth0, "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n") + changes
    dhcp = IFCFG_SUSE + "/dhcp"
    if host.is_file(dhcp):
        changes += edits.plan_file(host, dhcp, set_shell_variable(host.read(dhcp), "DHCLIENT_SET_HOSTNAME", "no"))
    for name, edit in (("routes", suse_routes), ("config", suse_netconfig)):
        path = IFCFG_SUSE + "/" + name
        if host.is_file(path):
            text = host.read(path)
            after = edit(text)
            # A file that nothing is left in but comments does no harm; an empty one goes.
            changes += edits.plan_file(host, path, after if after.strip() or not text.strip() else None)
    return changes, sentences


# -- the host ----------------------------------------------------------------------------------------------------


def cards(host: Host) -> List[str]:
    """The Ethernet cards of the running system."""
    return [
        name
        for name in host.listdir("/sys/class/net")
        if host.exists("/sys/class/net/%s/device" % name) and host.read("/sys/class/net/%s/type" % name, "") == "1\n"
    ]


def _ssh_address(host: Host) -> bytes:
    """The address of this machine that the play's SSH connection uses; empty without one.

    sudo takes SSH_CONNECTION from the environment, so the processes above this one are asked as well.
    """
    process = "self"
    for _level in range(20):
        try:
            environment = host.read("/proc/%s/environ" % process, "")
            parents = host.read("/proc/%s/stat" % process, "").rpartition(")")[2].split()
            match = re.search(r"(?:^|\0)SSH_CONNECTION=\S+ \S+ (?:::ffff:(?=\d+\.))?([0-9A-Fa-f.:]+)", environment)
            if match is not None:
                return socket.inet_pton(socket.AF_INET6 if ":" in match.group(1) else socket.AF_INET, match.group(1))
        except (AzurePrepError, OSError):
            break
        if len(parents) < 2:
            break
        process = parents[1]
    return b""


def _card_of(host: Host, address: bytes) -> str:
    """The interface whose network an address of this machine is in."""
    best: Tuple[int, str] = (0, "")
    if len(address) == 4:
        number = int.from_bytes(address, "little")
        for fields in _routes(host):
            mask = int(fields[7], 16)
            if number & mask == int(fields[1], 16):
                best = max(best, (bin(mask).count("1"), fields[0]))
    for line in host.read("/proc/net/if_inet6", "").split("\n") if address else ():
        if line.split()[:1] == [binascii.hexlify(address).decode("ascii")]:
            best = (128, line.split()[-1])
    return best[1]


def _routes(host: Host) -> List[List[str]]:
    """The IPv4 routes of /proc/net/route (proc(5)), as fields."""
    rows = [line.split() for line in host.read("/proc/net/route", "").split("\n")[1:]]
    return [fields for fields in rows if len(fields) > 7 and fields[6].isdigit()]


def primary_interface(host: Host) -> str:
    """The interface of the default route; without one that of the SSH connection, or the only card.

    "" where there is none of these, or a mounted image is looked at.
    """
    best: Tuple[int, str] = (1 << 32, "")
    for fields in _routes(host):
        if fields[1] == "00000000":
            best = min(best, (int(fields[6]), fields[0]))
    for line in host.read("/proc/net/ipv6_route", "").split("\n") if not best[1] else ():
        fields = line.split()
        if len(fields) > 9 and fields[:2] == ["0" * 32, "00"] and fields[9] != "lo":
            best = min(best, (int(fields[5], 16), fields[9]))
    found = cards(host)
    return best[1] or _card_of(host, _ssh_address(host)) or (found[0] if len(found) == 1 else "")


#: Rules of a firewall, which may name the card.
FIREWALL_FILES = ("/etc/nftables.conf", "/etc/nftables.d/*", "/etc/iptables/*", "/etc/iptables.*", "/etc/ufw/*.rules")


def udev_name(host: Host, card: str) -> str:
    """The name that udev gives a card by itself (systemd.net-naming-scheme(7)); "" where it gives none."""
    number = host.read("/sys/class/net/%s/ifindex" % card, "").strip()
    known = dict(line[2:].partition("=")[::2] for line in host.read("/run/udev/data/n" + number, "").split("\n"))
    names = [known.get("ID_NET_NAME_" + kind, "") for kind in ("ONBOARD", "SLOT", "PATH")]
    return next((name for name in names if name), "")


def other_name(host: Host, primary: str) -> str:
    """The name that udev gives the card in use, where it is none that the kernel gives; else "".

    A card that an old rule pins to eth0 gets udev's name as soon as the rule is gone.
    Empty too where there are several cards: which of them the kernel would call eth0 is not known.
    """
    if cards(host) != [primary]:
        return ""
    return udev_name(host, primary) if re.match(r"eth\d+$", primary) else primary


def old_names(host: Host, primary: str) -> Tuple[List[str], List[str]]:
    """BOOT-05 where the documents do not ask for it: (["net.ifnames=0"] or nothing, sentences for the user).

    ifupdown and wicked serve a card by its name, so an image that serves ens3 is without network on the next machine,
    where the card sits elsewhere. With the argument it is eth0 everywhere, as it is on Azure (requirements, 3.6).
    Netplan, networkd and NetworkManager serve any card, and keep their names.
    """
    name = other_name(host, primary) if {"ifupdown", "wicked"} & set(renderers(host)) else ""
    if not name:
        return [], []
    pattern = re.compile(r"(?<![\w.-])%s(?![\w-])" % re.escape(primary))
    for path in [path for wanted in FIREWALL_FILES for path in host.glob(wanted)]:
        if host.is_file(path) and primary != "eth0" and pattern.search(host.read(path)):
            return [], [
                "%s names the network card %s, which is eth0 on Azure. Name both there, or no card; until then the "
                "card keeps its name here (no net.ifnames=0, rule BOOT-05)." % (path, primary)
            ]
    return ["net.ifnames=0"], []


def renderers(host: Host) -> List[str]:
    """Which network configurations the system uses: netplan, networkd, networkmanager, ifupdown, ifcfg, wicked."""
    found = []
    if host.is_dir(NETPLAN_FOLDER) and (host.which("netplan") or host.glob(NETPLAN_FOLDER + "/*.yaml")):
        found.append("netplan")
    if units.state(host, "systemd-networkd.service") == "enabled":
        found.append("networkd")
    nm = units.state(host, "NetworkManager.service")
    if nm in ("enabled", "static") or (nm == "disabled" and host.glob(NM_FOLDER + "/*.nmconnection")):
        found.append("networkmanager")
    if host.is_file(INTERFACES) and (host.which("ifup") or not found):
        found.append("ifupdown")
    if host.glob(IFCFG_RED_HAT + "/ifcfg-*"):
        found.append("ifcfg")
    if host.glob(IFCFG_SUSE + "/ifcfg-*") and "networkmanager" not in found:
        found.append("wicked")
    return found


#: Commands of the DHCP clients that ifupdown starts, best first (interfaces(5), method dhcp).
DHCP_COMMANDS = ("dhclient", "udhcpc", "dhcpcd")


def lacks_dhcp_client(host: Host) -> bool:
    """Whether ifupdown configures the network and has no client for DHCP, as with a fixed address (NET-01, NOAGENT-02).

    NetworkManager, networkd and wicked have their own.
    """
    return "ifupdown" in renderers(host) and not any(host.which(name) for name in DHCP_COMMANDS)


#: The administrator's folders of udev's rules, and of .link files; a package's own hold no machine's addresses.
_RULES_FOLDERS = ("/etc/udev/rules.d", "/usr/local/lib/udev/rules.d")
_LINK_FOLDERS = (NETWORKD_FOLDER, "/usr/local/lib/systemd/network")


def udev_pins_name(rule: str) -> bool:
    """True for a rule (its lines joined) that names a card by its MAC address."""
    return bool(
        re.search(r'ATTRS?\{address\}\s*==\s*"[^"]*[0-9a-fA-F]{2}:[^"]*"', rule) and re.search(r"\bNAME\s*:?=", rule)
    )


def udev_rules(text: str) -> List[str]:
    """The rules of a file, continued lines together and as they stand; comments are rules of their own here."""
    found: List[str] = []
    for line in text.split("\n"):
        if found and found[-1].endswith("\\") and not found[-1].lstrip().startswith("#"):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def _pins(host: Host) -> Tuple[List[edits.Change], List[str]]:
    """(changes that take MAC addresses out of udev's rules and .link files, the names that these give cards)."""
    names: List[str] = []
    changes: List[edits.Change] = []
    for path in PERSISTENT_RULES:
        if host.is_link(path) and not host.exists(path) and host.readlink(path) != "/dev/null":
            changes += edits.plan_file(host, path, None)
    for path in [path for folder in _RULES_FOLDERS for path in host.glob(folder + "/*.rules") if host.is_file(path)]:
        text = host.read(path)
        rules = udev_rules(text)
        left = [
            rule for rule in rules if rule.lstrip().startswith("#") or not udev_pins_name(rule.replace("\\\n", " "))
        ]
        if left != rules:
            names += re.findall(r'\bNAME\s*:?=\s*"([^"]+)"', "\n".join(rule for rule in rules if rule not in left))
        if path in PERSISTENT_RULES:
            left = []
        if left != rules:
            empty = all(not rule.strip() or rule.lstrip().startswith("#") for rule in left)
            changes += edits.plan_file(host, path, None if empty else "\n".join(left))
    for folder in _LINK_FOLDERS:
        drop_ins = [path for path in host.glob(folder + "/*.link.d/*.conf") if host.is_file(path)]
        links = {path.rpartition(".d/")[0] for path in drop_ins} | set(host.glob(folder + "/*.link"))
        for link in sorted(links):
            # What a drop-in matches goes for the whole file: without it, that would be for every card.
            paths = [link] if host.is_file(link) else []
            paths += [path for path in drop_ins if path.startswith(link + ".d/")]
            text = "\n".join(host.read(path) for path in paths)
            if link_pins_mac(text):
                values = ini_values(text)
                names += [value for section, key, value, _index in values if (section, key) == ("link", "name")]
                for path in paths:
                    changes += edits.plan_file(host, path, None)
    return changes, names


def plan_persistent(host: Host) -> List[edits.Change]:
    """NET-07, NET-08: no rule or link file ties a card's name to its MAC address."""
    changes = _pins(host)[0]
    if any(host.is_file(folder + "/udev/rules.d/" + GENERATOR) for folder in ("/usr/lib", "/lib")):
        changes += edits.plan_link(host, "/etc/udev/rules.d/" + GENERATOR, "/dev/null")
    return changes


def plan(host: Host, primary: str = "", cloud_init: bool = True, legacy_ifcfg: bool = False) -> Plan:
    """All changes that leave DHCP on whatever card is there; primary is the interface of the default route.

    cloud_init: cloud-init writes the network configuration at first boot, so ours stands where it may replace it.
    """
    found = renderers(host)
    managed = cloud_init and cloudinit_plan.network_managed(host)
    changes: List[edits.Change] = []
    warnings: List[str] = []
    if cloud_init:
        changes += _cloud_init(host)
    # With netplan, networkd's and NetworkManager's own files are not the ones to edit, unless there are some.
    if "netplan" in found:
        changes += _netplan(host)
    theirs = [path for path in host.glob(NETWORKD_FOLDER + "/*.network") if path != SRIOV_NETWORK]
    if "networkd" in found and ("netplan" not in found or theirs):
        changes += _networkd(host, primary)
    if "networkmanager" in found and ("netplan" not in found or host.glob(NM_FOLDER + "/*")):
        changes += _networkmanager(host)
    if "networkmanager" in found:
        changes += _nm_conf(host, not {"netplan", "networkd", "ifupdown"} & set(found))
    if "ifupdown" in found:
        moved, sentences = _ifupdown(host, primary, managed)
        changes += moved
        warnings += sentences
    if "ifcfg" in found or legacy_ifcfg:
        changes += _ifcfg_red_hat(host, legacy_ifcfg)
    if "wicked" in found:
        moved, sentences = _wicked(host, primary)
        changes += moved
        warnings += sentences
    if not found:
        warnings.append("No known network configuration was found; make sure that eth0 gets its address by DHCP.")
    return Plan(changes + plan_persistent(host), found, warnings)


# -- accelerated networking: NET-09 to NET-11 --------------------------------------------------------------------

SRIOV_RULE = "/etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules"
SRIOV_TEXT = 'SUBSYSTEM=="net", DRIVERS=="hv_pci", ACTION!="remove", ENV{NM_UNMANAGED}="1"\n'
SRIOV_NETWORKD_RULE = "/etc/udev/rules.d/68-azure-sriov-networkd-unmanaged.rules"
SRIOV_NETWORKD_TEXT = 'SUBSYSTEM=="net", DRIVERS=="hv_pci", ACTION!="remove", ENV{AZURE_UNMANAGED_SRIOV}="1"\n'
SRIOV_NETWORK = NETWORKD_FOLDER + "/01-azure-unmanaged-sriov.network"
SRIOV_NETWORK_TEXT = "[Match]\nProperty=AZURE_UNMANAGED_SRIOV=1\n\n[Link]\nUnmanaged=yes\n"
SRIOV_NM = "/etc/NetworkManager/conf.d/99-azure-unmanaged-devices.conf"
SRIOV_NM_TEXT = "[keyfile]\nunmanaged-devices=driver:mlx4_core,driver:mlx5_core\n"
#: Used only where a file of somebody else, which is read later, sets the list anew; it adds to that.
SRIOV_NM_LAST = NM_CONF_FOLDER + "/zzz-azure-unmanaged-devices.conf"
SRIOV_NM_LAST_TEXT = SRIOV_NM_TEXT.replace("=", "+=", 1)


def vendor_sriov(host: Host) -> str:
    """The rule of azure-vm-utils, which serves NetworkManager and networkd at once; "" where it is not installed."""
    for folder in ("/usr/lib/udev/rules.d", "/lib/udev/rules.d"):
        path = folder + "/10-azure-unmanaged-sriov.rules"
        if host.is_file(path):
            return path
    return ""


def _sets_anew(host: Host) -> bool:
    """Whether a file that NetworkManager reads after ours takes the drivers out of the list of unmanaged devices."""
    paths = [path for path in nm_conf_files(host.glob) if path not in (SRIOV_NM, SRIOV_NM_LAST)]
    text = SRIOV_NM_TEXT
    for path in [path for path in paths if path > SRIOV_NM and path.startswith(NM_CONF_FOLDER) and host.is_file(path)]:
        for section, key, value, _index in ini_values(host.read(path)):
            if (section, key.rstrip("+ ")) == ("keyfile", "unmanaged-devices"):
                text = text + value if key.endswith("+") else value
    return not ("driver:mlx4_core" in text and "driver:mlx5_core" in text)


def plan_sriov(host: Host) -> List[edits.Change]:
    """Keep the virtual function of accelerated networking out of the hands of network managers, in one way only."""
    texts: Dict[str, Optional[str]] = {}
    names = renderers(host)
    if vendor_sriov(host):
        # The package's rule also knows MANA; ours beside it would be a second opinion.
        for path in (SRIOV_RULE, SRIOV_NETWORKD_RULE, SRIOV_NETWORK):
            texts[path] = None
    else:
        texts[SRIOV_RULE] = SRIOV_TEXT
        if "networkd" in names or "netplan" in names:
            texts[SRIOV_NETWORKD_RULE] = SRIOV_NETWORKD_TEXT
            texts[SRIOV_NETWORK] = SRIOV_NETWORK_TEXT
        if "networkmanager" in names:
            texts[SRIOV_NM] = SRIOV_NM_TEXT
            texts[SRIOV_NM_LAST] = SRIOV_NM_LAST_TEXT if _sets_anew(host) else None
    changes: List[edits.Change] = []
    for path in sorted(texts):
        changes += edits.plan_file(host, path, texts[path])
    return changes
