"""Network configuration: DHCP on any card, no MAC pin, nothing of somebody else's construction touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils import edits, network
from ansible_collections.linuxvhd.azure.plugins.modules import network_dhcp, network_sriov

DEFAULTS = {"primary": "ens3", "cloud_init": True, "legacy_ifcfg": False}

INSTALLED = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug ens3
iface ens3 inet static
    address 10.0.2.15/24
    gateway 10.0.2.2
# This is an autoconfigured IPv6 interface
iface ens3 inet6 auto
"""

KEYFILE = """\
[connection]
id=Wired connection 1
uuid=6f9b0c1e-2f6a-4bb1-9d0e-1a2f3c4d5e6f
type=ethernet
interface-name=ens3

[ethernet]
mac-address=52:54:00:12:34:56

[ipv4]
method=manual
address1=10.0.2.15/24,10.0.2.2
dns=10.0.2.3;
dns-search=example.org;

[ipv6]
method=auto
"""

ENABLED = {
    "/usr/lib/systemd/system/systemd-networkd.service": "[Install]\nWantedBy=multi-user.target\n",
    "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "-> /usr/lib/x",
}
NM_ENABLED = {
    "/usr/lib/systemd/system/NetworkManager.service": "[Install]\nWantedBy=multi-user.target\n",
    "/etc/systemd/system/multi-user.target.wants/NetworkManager.service": "-> /usr/lib/x",
}


def twice(host, **options) -> dict:
    """Run, then again: the second run changes nothing."""
    given_options = {**DEFAULTS, **options}
    planned = network_dhcp.run(given_options, host, True)
    done = network_dhcp.run(given_options, host, False)
    assert planned["diff"] == done["diff"]
    again = network_dhcp.run(given_options, host, False)
    assert not again["changed"], again["diff"]
    return done


def test_ifupdown_serves_both_names_and_gives_way_to_cloud_init(make_host) -> None:
    host = make_host({"/etc/network/interfaces": INSTALLED})
    assert twice(host)["renderers"] == ["ifupdown"]
    main = host.read("/etc/network/interfaces")
    assert "ens3" not in main and "iface lo inet loopback" in main and "static" not in main
    text = host.read("/etc/network/interfaces.d/50-cloud-init")
    assert "iface eth0 inet dhcp" in text and "iface ens3 inet dhcp" in text and "auto e" not in text
    host.write("/etc/network/interfaces.d/50-cloud-init", "# This file is generated from information provided by x\n")
    assert not network_dhcp.run(DEFAULTS, host, False)["changed"]


def test_the_hotplug_class_outlives_the_file_that_cloud_init_replaces(make_host) -> None:
    """Without it, ifup@<card>.service asks for the state of a card that nobody has brought up yet, and fails."""
    host = make_host({"/etc/network/interfaces": INSTALLED})
    twice(host)
    host.write(
        "/etc/network/interfaces.d/50-cloud-init",
        "# This file is generated from information provided by the datasource.\nauto ens3\niface ens3 inet dhcp\n",
    )
    stanzas = network.parse_interfaces(host.read("/etc/network/interfaces.d/60-azure"))
    assert [(stanza.kind, stanza.words) for stanza in stanzas] == [("allow-hotplug", ["eth0", "ens3"])]
    # Renamed by net.ifnames=0 since: what was allowed stays, so that a second run changes nothing.
    assert not network_dhcp.run({**DEFAULTS, "primary": "eth0"}, host, False)["changed"]


def test_ifupdown_without_cloud_init_has_a_file_of_its_own(make_host) -> None:
    host = make_host({"/etc/network/interfaces": "auto lo ens3\niface lo inet loopback\niface ens3 inet dhcp\n"})
    twice(host, cloud_init=False)
    assert host.is_file("/etc/network/interfaces.d/60-azure")
    assert host.read("/etc/network/interfaces") == (
        "auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/*\n"
    )


def test_bridges_and_second_cards_stay(make_host) -> None:
    text = "auto br0\niface br0 inet dhcp\n  bridge_ports ens3\niface ens3 inet manual\niface ens4 inet dhcp\n"
    host = make_host({"/etc/network/interfaces": text})
    twice(host, primary="br0")
    assert host.read("/etc/network/interfaces").startswith(text)


TWO_CARDS = """\
auto lo
iface lo inet loopback
auto enp0s3 enp0s8
iface enp0s3 inet dhcp
iface enp0s8 inet static
    address 192.168.56.10/24
iface enp0s8:1 inet static
    address 192.168.56.11/24
"""


@pytest.mark.parametrize("primary", ["", "enp0s3"])
@pytest.mark.parametrize("cloud_init", [True, False])
def test_each_card_that_had_an_address_gets_one(make_host, primary: str, cloud_init: bool) -> None:
    """A card that is served by no file any more has no address after a restart, and nobody reaches the machine."""
    host = make_host({"/etc/network/interfaces": TWO_CARDS})
    done = twice(host, primary=primary, cloud_init=cloud_init)
    texts = [host.read(path) for path in host.glob("/etc/network/interfaces.d/*") + ["/etc/network/interfaces"]]
    stanzas = [stanza for text in texts for stanza in network.parse_interfaces(text)]
    served = [stanza.words for stanza in stanzas if stanza.kind == "iface"]
    assert served.count(["enp0s8", "inet", "dhcp"]) == 1 and served.count(["enp0s3", "inet", "dhcp"]) == 1
    assert not [words for words in served if "static" in words]
    allowed = [name for stanza in stanzas if stanza.kind in ("auto", "allow-hotplug") for name in stanza.words]
    assert sorted(allowed) == ["enp0s3", "enp0s8", "eth0", "lo"]
    assert done["warnings"] and "enp0s8" in done["warnings"][0]


def test_a_card_beside_what_cloud_init_wrote(make_host) -> None:
    """Its file is kept, as it serves this machine, unless it holds a fixed address itself."""
    wrote = "# This file is generated from information provided by the datasource.\nauto ens3\niface ens3 inet %s\n"
    main = "source /etc/network/interfaces.d/*\nauto ens4\niface ens4 inet static\n  address 10.0.0.5/24\n"
    path = "/etc/network/interfaces.d/50-cloud-init"
    host = make_host({"/etc/network/interfaces": main, path: wrote % "dhcp"})
    twice(host)
    assert host.read(path) == wrote % "dhcp" + "\niface ens4 inet dhcp\n"
    host.write(path, wrote % "static" + "  address 10.0.0.6/24\n")
    twice(host)
    assert host.read(path) == network.HEADER + network.dhcp_stanzas(["eth0", "ens3", "ens4"])


@pytest.mark.parametrize(
    ("main", "extra"),
    [
        ("source /etc/network/conf.d/*.cfg\n", "auto ens3\niface ens3 inet static\n  hwaddress 52:54:00:12:34:56\n"),
        ("source-directory conf.d\nauto /e*=cable\n", "iface cable inet static\n  address 10.0.0.5/24\n"),
        ("source conf.d/[x]*\nauto /e*\n", "iface /e*=eth inet static\n  address 10.0.0.5/24\n"),
    ],
)
def test_ifupdown_with_files_elsewhere_and_patterns(make_host, main: str, extra: str) -> None:
    path = "/etc/network/conf.d/x" + (".cfg" if "cfg" in main else "")
    host = make_host({"/etc/network/interfaces": main + "auto lo\niface lo inet loopback\n", path: extra, **CARD})
    twice(host, primary="", cloud_init=False)
    left = host.read("/etc/network/interfaces") + host.read(path)
    assert "static" not in left and "hwaddress" not in left and "cable" not in left
    assert network.parse_interfaces(host.read(network.IFUPDOWN_OWN))[0].words == ["eth0", "ens3"]


LINK = "[Match]\nMACAddress=52:54:00:12:34:56\n[Link]\nName=lan0\n"


def test_a_card_with_a_name_of_its_own(make_host) -> None:
    """lan0 by a .link file: without it the card has the name that udev gives, and eth0 on Azure."""
    files = {
        "/etc/network/interfaces": "auto lan0 br0 ens9.7\niface lan0 inet static\n  address 10.0.0.5/24\n"
        "iface br0 inet manual\niface ens9.7 inet static\n  address 10.9.0.5/24\n"
        "iface wifi inet static\n  wpa-ssid x\n  address 10.8.0.5/24\niface dsl inet ppp\n",
        "/etc/systemd/network/10-lan0.link": LINK,
        "/sys/class/net/lan0/ifindex": "3\n",
        "/run/udev/data/n3": "E:ID_NET_NAME_PATH=enp1s0\n",
    }
    host = make_host(files)
    twice(host, primary="lan0", cloud_init=False)
    assert not host.exists("/etc/systemd/network/10-lan0.link")
    left = network.parse_interfaces(host.read("/etc/network/interfaces"))
    assert [s.words[0] for s in left if s.kind == "iface"] == ["br0", "ens9.7", "wifi", "dsl"]
    own = network.parse_interfaces(host.read(network.IFUPDOWN_OWN))
    assert own[0].words == ["eth0", "lan0", "enp1s0"]
    assert not network_dhcp.run({**DEFAULTS, "primary": "enp1s0", "cloud_init": False}, host, False)["changed"]


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("[Match]\nName=lan0\n[Network]\nAddress=10.0.0.5/24\n", True),
        ("[Match]\nType=ether\n[Network]\nAddress=10.0.0.5/24\n", True),
        ("[Match]\nKind=!*\nType=ether\n[Address]\nAddress=10.0.0.5/24\n", True),
        ("[Match]\nDriver=virtio_net\n[Network]\nAddress=10.0.0.5/24\n", True),
        ("[Match]\nName=br0 vlan7 wlan0 ens3.7 virbr0 docker0 veth1 lo\n[Network]\nAddress=10.0.0.5/24\n", False),
        ("[Match]\nType=wlan\n[Network]\nAddress=10.0.0.5/24\n", False),
        ("[Match]\nKind=bridge\n[Network]\nAddress=10.0.0.5/24\n", False),
        ("[Match]\nName=lan0\n[Network]\nDHCP=yes\n", False),
        ("[Match]\nType=ether\n[Link]\nMACAddress=52:54:00:12:34:56\n[Network]\nDHCP=yes\n", True),
        ("[Match]\nName=br0\n[Link]\nMACAddress=52:54:00:12:34:56\n[Network]\nDHCP=yes\n", False),
    ],
)
def test_which_files_of_networkd_go(make_host, text: str, moves: bool) -> None:
    host = make_host({**ENABLED, "/etc/systemd/network/40-x.network": text})
    twice(host, primary="")
    assert host.exists("/etc/systemd/network/40-x.network") is not moves
    wanted = "Name=en* eth* lan0\n" if moves and "lan0" in text else "Name=en* eth*\n"
    assert wanted in host.read(network.NETWORKD_OWN)


def test_wicked_with_a_card_of_another_name(make_host) -> None:
    fixed = "BOOTPROTO='static'\nIPADDR='10.0.0.5/24'\n"
    base = "/etc/sysconfig/network/ifcfg-"
    files = {base + "mgmt0": fixed, base + "br1": fixed + "BRIDGE='yes'\n", base + "vlan7": fixed}
    host = make_host(files)
    twice(host)
    assert host.read(base + "mgmt0") == "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"
    assert host.read(base + "br1") == files[base + "br1"] and host.read(base + "vlan7") == fixed


def test_networkmanager(make_host) -> None:
    path = "/etc/NetworkManager/system-connections/Wired connection 1.nmconnection"
    bridge = "[connection]\ntype=ethernet\nmaster=br0\ninterface-name=ens4\n"
    host = make_host({**NM_ENABLED, path: KEYFILE, "/etc/NetworkManager/system-connections/port": bridge})
    assert twice(host)["renderers"] == ["networkmanager"]
    text = host.read(path)
    for word in ("mac-address", "interface-name", "manual", "address1", "dns="):
        assert word not in text
    assert "dns-search=example.org;" in text and "uuid=6f9b" in text
    assert host.read("/etc/NetworkManager/system-connections/port") == bridge
    assert not host.exists(network.NM_OWN)


def test_a_profile_of_a_package_is_shadowed(make_host) -> None:
    vendor = network.NM_VENDOR_FOLDER + "/a.nmconnection"
    host = make_host({**NM_ENABLED, vendor: KEYFILE})
    twice(host)
    own = network.NM_FOLDER + "/a.nmconnection"
    assert host.read(vendor) == KEYFILE and host.read(own) == network.keyfile_to_dhcp(KEYFILE)
    assert host.stat(own).st_mode & 0o777 == 0o600 and not host.exists(network.NM_OWN)


def test_networkmanager_without_any_profile_gets_one(make_host) -> None:
    host = make_host(NM_ENABLED)
    twice(host)
    assert "method=auto" in host.read(network.NM_OWN)
    assert host.stat(network.NM_OWN).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("unmanaged-devices=type:ethernet\n", ""),
        (
            "unmanaged-devices=interface-name:docker0;interface-name:eth*\n",
            "unmanaged-devices=interface-name:docker0\n",
        ),
        ("unmanaged-devices += *,except:type:wifi\n", ""),
        ("unmanaged-devices=except:interface-name:wlan0\n", ""),
        ("unmanaged-devices=*,except:type:ethernet\n", None),
        ("unmanaged-devices=none\n", None),
    ],
)
def test_networkmanager_that_leaves_ethernet_alone(make_host, before: str, after: str | None) -> None:
    folder = "/etc/NetworkManager/conf.d/"
    vendor = "/usr/lib/NetworkManager/conf.d/"
    text = "[main]\ndns=none\n[keyfile]\n"
    host = make_host({**NM_ENABLED, folder + "zz.conf": text + before, vendor + "10-a.conf": text + before})
    twice(host)
    wanted = before if after is None else after
    assert host.read(folder + "zz.conf") == text + wanted and host.read(vendor + "10-a.conf") == text + before
    assert host.exists(folder + "10-a.conf") is (after is not None)
    # Where another one brings eth0 up, the list may have been made for that.
    other = make_host({**ENABLED, folder + "zz.conf": text + before})
    twice(other)
    assert other.read(folder + "zz.conf") == text + before


def test_made_up_mac_addresses_go(make_host) -> None:
    path = "/etc/NetworkManager/conf.d/mac.conf"
    text = "[connection]\n%swifi.cloned-mac-address=random\n[connection-x]\nethernet.cloned-mac-address=permanent\n"
    link = "/etc/systemd/network/10-mac.link"
    policy = "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=random\n"
    host = make_host({**NM_ENABLED, path: text % "ethernet.cloned-mac-address=random\n", link: policy})
    twice(host)
    assert host.read(path) == text % "" and not host.exists(link)


def test_networkd(make_host) -> None:
    host = make_host(
        {
            **ENABLED,
            "/etc/systemd/network/10-mac.network": "[Match]\nMACAddress=52:54:00:12:34:56\n[Network]\nDHCP=yes\n",
            "/etc/systemd/network/20-wired.network": "[Match]\nName=ens3\n\n[Network]\nDHCP=yes\n",
            "/etc/systemd/network/10-name.link": "[Match]\nMACAddress=52:54:00:12:34:56\n[Link]\nName=lan0\n",
        }
    )
    assert twice(host)["renderers"] == ["networkd"]
    assert not host.exists("/etc/systemd/network/10-mac.network")
    assert not host.exists("/etc/systemd/network/10-name.link")
    assert host.exists("/etc/systemd/network/20-wired.network")
    assert "Name=en* eth*" in host.read(network.NETWORKD_OWN)


def test_netplan(make_host) -> None:
    yaml = pytest.importorskip("yaml")
    installer = (
        "network:\n  renderer: networkd\n  ethernets:\n    ens3:\n      match:\n        macaddress: 52:54:00:12:34:56\n"
    )
    host = make_host({**ENABLED, "/etc/netplan/01-installer.yaml": installer})
    assert "netplan" in twice(host)["renderers"]
    assert host.listdir("/etc/netplan") == ["60-azure.yaml"]
    text = yaml.safe_load(host.read(network.NETPLAN_OWN))
    assert text["network"]["renderer"] == "networkd"
    assert text["network"]["ethernets"]["zz-azure"]["dhcp4"] is True


@pytest.mark.parametrize(
    ("text", "moves", "written"),
    [
        ('{"network": {"renderer": "networkd", "ethernets": {"eth0": {"addresses": ["10.0.0.5/24"]}}}}\n', True, True),
        ('"network":\n  "ethernets":\n    "eth0":\n      "gateway4": "10.0.0.1"\n', True, True),
        ('{"network": {"bridges": {"br0": {"addresses": ["10.0.0.5/24"]}}}}\n', False, True),
        ('{"network": {"ethernets": {"eth0": {"dhcp4": true}}}}\n', False, False),
        ("# was eth0, addresses: x\nnetwork:\n  ethernets:\n    ens18: {dhcp4: true} # not eth0\n", False, True),
    ],
)
def test_netplan_in_quotes_and_comments(make_host, text: str, moves: bool, written: bool) -> None:
    host = make_host({"/etc/netplan/01.yaml": text})
    twice(host)
    assert host.exists("/etc/netplan/01.yaml") is not moves
    assert host.exists(network.NETPLAN_OWN) is written
    assert not written or ("renderer: networkd" in host.read(network.NETPLAN_OWN)) is ("renderer" in text)


def test_netplan_bridges_stay(make_host) -> None:
    text = "network:\n  bridges:\n    br0:\n      addresses: [10.0.0.1/24]\n"
    host = make_host({"/etc/netplan/01.yaml": text})
    twice(host)
    assert host.read("/etc/netplan/01.yaml") == text


def test_ifcfg(make_host) -> None:
    text = 'DEVICE=ens3\nBOOTPROTO="static"\nONBOOT=no\nHWADDR=52:54:00:12:34:56\nUUID=1\nIPADDR=10.0.0.2\nPREFIX=24\n'
    host = make_host({"/etc/sysconfig/network-scripts/ifcfg-ens3": text})
    twice(host, legacy_ifcfg=True)
    assert host.read("/etc/sysconfig/network-scripts/ifcfg-ens3") == "DEVICE=ens3\nBOOTPROTO=dhcp\nONBOOT=yes\n"
    assert host.read("/etc/sysconfig/network-scripts/ifcfg-eth0") == network.IFCFG_ETH0
    assert host.read("/etc/sysconfig/network") == "NETWORKING=yes\nHOSTNAME=localhost.localdomain\n"


def test_wicked(make_host) -> None:
    host = make_host(
        {
            "/etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\nLLADDR='52:54:00:12:34:56'\nIPADDR='10.0.0.2'\n",
            "/etc/sysconfig/network/ifcfg-lo": "IPADDR=127.0.0.1/8\n",
            "/etc/sysconfig/network/dhcp": '## Type: yesno\nDHCLIENT_SET_HOSTNAME="yes"\n',
        }
    )
    assert twice(host)["renderers"] == ["wicked"]
    assert host.read("/etc/sysconfig/network/ifcfg-eth0") == "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"
    assert host.read("/etc/sysconfig/network/ifcfg-lo") == "IPADDR=127.0.0.1/8\n"
    assert host.read("/etc/sysconfig/network/dhcp") == '## Type: yesno\nDHCLIENT_SET_HOSTNAME="no"\n'


def test_persistent_rules(make_host) -> None:
    host = make_host(
        {
            "/etc/network/interfaces": "",
            "/etc/udev/rules.d/70-persistent-net.rules": "x",
            "/etc/udev/rules.d/70-mine.rules": "x",
            "/etc/udev/rules.d/85-persistent-net-cloud-init.rules": "x",
            "/usr/lib/udev/rules.d/75-persistent-net-generator.rules": "x",
        }
    )
    twice(host)
    assert host.listdir("/etc/udev/rules.d") == ["70-mine.rules", "75-persistent-net-generator.rules"]
    assert os.readlink(Path(host.root) / "etc/udev/rules.d/75-persistent-net-generator.rules") == "/dev/null"


PIN = 'SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="52:54:00:12:34:56", NAME="%s"\n'


def test_rules_and_links_with_a_mac_address_under_any_name(make_host) -> None:
    rules = "/etc/udev/rules.d/"
    links = "/etc/systemd/network/"
    other = 'KERNEL=="sda", \\\n  MODE="0600"\n'
    host = make_host(
        {
            "/etc/network/interfaces": "auto lan1\niface lan1 inet static\n  address 10.0.0.5/24\n",
            rules + "10-network.rules": "# " + PIN % "lan0" + PIN % "lan0",
            rules + "70-my-net.rules": other
            + (PIN % "lan1").replace(", NAME", ", \\\n  NAME")
            + 'ATTR{address}=="1", NAME="x"\n',
            rules + "70-persistent-net.rules": "-> /dev/null",
            rules + "85-persistent-net-cloud-init.rules": "-> nowhere",
            "/usr/local/lib/udev/rules.d/z.rules": PIN % "lan2",
            links + "10-x.link": "[Match]\nType=ether\n[Link]\nName=lan0\n",
            links + "10-x.link.d/m.conf": "[Match]\nPermanentMACAddress=52:54:00:12:34:56\n",
            links + "20-y.link": "[Match]\nOriginalName=*\n[Link]\nMACAddress=52:54:00:12:34:56\n",
            links + "30-z.link": "[Match]\nOriginalName=*\n[Link]\nMACAddressPolicy=none\n",
            "/sys/class/net/lan1/ifindex": "4\n",
            "/run/udev/data/n4": "E:ID_NET_NAME_SLOT=ens4\n",
        }
    )
    backups = twice(host)["backup_files"]
    assert host.listdir(rules) == ["70-my-net.rules", "70-persistent-net.rules"]
    assert host.read(rules + "70-my-net.rules") == other + 'ATTR{address}=="1", NAME="x"\n'
    assert not host.listdir("/usr/local/lib/udev/rules.d")
    assert [path for path in host.listdir(links) if host.is_file(links + path)] == ["30-z.link"]
    assert not host.listdir(links + "10-x.link.d") and len(backups) == 7
    assert network.parse_interfaces(host.read(network.IFUPDOWN_OWN))[0].words == ["eth0", "ens3", "lan1", "ens4"]


CLOUD_STATIC = """\
"network":
  version: 1
  config:
  - type: physical
    name: eth0
    mac_address: "52:54:00:12:34:56"
    subnets:
      - type: static
        address: 10.0.0.5/24
"""


def test_a_network_of_cloud_inits_own_for_this_machine(make_host) -> None:
    """It beats what Azure says, on every VM; what says nothing of this machine, or switches it off, stays."""
    folder = "/etc/cloud/cloud.cfg.d/"
    kept = {
        folder + "10-any.cfg": "network: {ethernets: {eth0: {dhcp4: true, nameservers: {addresses: [1.1.1.1]}}}}\n",
        folder + "90-off.cfg": "network: {config: disabled}\n",
        folder + "99-installer.cfg": CLOUD_STATIC,
    }
    host = make_host(
        {
            **kept,
            "/etc/network/interfaces": "",
            "/etc/cloud/cloud.cfg": "users: []\nnetwork: {ethernets: {a: {macaddress: '52:54:00:12:34:56'}}}\n",
            folder + "60-net.cfg": "# mine\n" + CLOUD_STATIC,
            folder + "70-more.cfg": "a: 1\n" + CLOUD_STATIC + "# b\nb: {c: 2}\n",
        }
    )
    assert len(twice(host)["backup_files"]) == 4
    assert host.read("/etc/cloud/cloud.cfg") == "users: []\n"
    assert not host.exists(folder + "60-net.cfg")
    assert host.read(folder + "70-more.cfg") == "a: 1\n# b\nb: {c: 2}\n"
    assert {path: host.read(path) for path in kept} == kept


def test_nothing_known_is_said(make_host) -> None:
    assert "eth0 gets its address" in network_dhcp.run(DEFAULTS, make_host({}), True)["warnings"][0]


def test_primary_interface(make_host) -> None:
    table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    row = "%s\t%s\t0202000A\t0003\t0\t0\t%d\t00000000\t0\t0\t0\n"
    routes = table + row % ("wlan0", "00000000", 600) + row % ("ens3", "00000000", 100) + row % ("x", "0002000A", 0)
    assert network.primary_interface(make_host({"/proc/net/route": routes})) == "ens3"
    assert network.primary_interface(make_host({"/proc/net/route": table})) == ""


ROUTES = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\nenp0s8\t0038A8C0\t00000000\t1\t0\t0\t0\t00FFFFFF\n"
)
NONE = "0" * 32


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"/proc/net/ipv6_route": f"{NONE} 00 {NONE} 00 {NONE} ffffffff 1 0 200200 lo\n"
          f"{NONE} 00 {NONE} 00 fe80{NONE[4:]} 00000400 1 0 3 ens3\n"}, "ens3"),
        # As sudo leaves it: the variable is the parent's.
        ({"/proc/net/route": ROUTES, "/proc/self/environ": "A=1\0", "/proc/self/stat": "9 (a) b) S 8 9",
          "/proc/8/environ": "X=SSH\0SSH_CONNECTION=192.168.56.1 5 192.168.56.10 22\0", "/proc/8/stat": ""}, "enp0s8"),
        ({"/proc/net/if_inet6": "fe80" + "0" * 27 + "1 02 40 20 80 ens3\n", "/proc/self/stat": "",
          "/proc/self/environ": "SSH_CONNECTION=fe80::2%ens3 5 fe80::1%ens3 22\0"}, "ens3"),
        ({"/sys/class/net/ens5/device/vendor": "", "/sys/class/net/ens5/type": "1\n"}, "ens5"),
        ({"/proc/self/environ": "SSH_CONNECTION=? ? : ?\0", "/proc/self/stat": "1"}, ""),
    ],
)  # fmt: skip
def test_primary_interface_without_a_default_route(make_host, files, wanted: str) -> None:
    assert network.primary_interface(make_host(files)) == wanted


def test_sriov_by_the_vendor_or_by_us_but_not_both(make_host) -> None:
    host = make_host({**NM_ENABLED, **ENABLED})
    assert network_sriov.run({}, host, False)["changed"]
    assert 'DRIVERS=="hv_pci", ACTION!="remove", ENV{NM_UNMANAGED}="1"' in host.read(network.SRIOV_RULE)
    assert host.is_file(network.SRIOV_NM) and host.is_file(network.SRIOV_NETWORK)
    assert not network_sriov.run({}, host, False)["changed"]
    host.write("/usr/lib/udev/rules.d/10-azure-unmanaged-sriov.rules", "x")
    assert network_sriov.run({}, host, False)["changed"]
    assert not host.exists(network.SRIOV_RULE) and not host.exists(network.SRIOV_NETWORK)
    assert not network_sriov.run({}, host, False)["changed"]


def test_a_later_list_of_unmanaged_devices(make_host) -> None:
    """A list in a file of a later name takes the place of ours; what it says stays, and the drivers are added."""
    later = "/etc/NetworkManager/conf.d/zz.conf"
    host = make_host({**NM_ENABLED, later: "[keyfile]\nunmanaged-devices=interface-name:docker0\n"})
    assert network_sriov.run({}, host, False)["changed"]
    assert "unmanaged-devices+=driver:mlx4_core" in host.read(network.SRIOV_NM_LAST)
    assert not network_sriov.run({}, host, False)["changed"]
    host.write(later, "[keyfile]\nunmanaged-devices+=interface-name:docker0\n")
    assert network_sriov.run({}, host, False)["changed"]
    assert not host.exists(network.SRIOV_NM_LAST)


WORDS = st.sampled_from(
    ["iface", "auto", "allow-hotplug", "ens3", "eth0", "inet", "dhcp", "static", "\n", "\\\n", " ", "[ipv4]", "method="]
    + [
        "manual",
        "[connection]",
        "type=ethernet",
        "mac-address=1",
        "address1=",
        "HWADDR=",
        "BOOTPROTO=",
        "source",
        "=",
        "#",
    ]
)


@given(st.lists(WORDS, max_size=30).map("".join) | st.lists(WORDS, max_size=30).map(" ".join) | st.text())
@settings(max_examples=150, deadline=None)
def test_any_text_is_survived(text: str) -> None:
    once = network.interfaces_without(text, ["ens3"])
    assert not [s for s in network.parse_interfaces(once) if s.kind == "iface" and s.words[:1] == ["ens3"]]
    keyfile = network.keyfile_to_dhcp(text)
    assert network.keyfile_to_dhcp(keyfile) == keyfile
    ifcfg = network.ifcfg_to_dhcp(text)
    assert network.ifcfg_to_dhcp(ifcfg) == ifcfg
    network.networkd_needs_moving(text)
    network.netplan_needs_moving(text)
    rows = text.split("\n")
    network.yaml_ties(rows, range(len(rows)))
    network.cloud_network(rows)
    network.udev_rules(text)
    conf = network.nm_conf_for_ethernet(text, True)
    assert network.nm_conf_for_ethernet(conf, True) == conf
    once = network.set_shell_variable(text, "A", "no")
    assert network.set_shell_variable(once, "A", "no") == once


IFCFG = "/etc/sysconfig/network-scripts/"


def test_enterprise_linux_7_with_a_fixed_address_on_another_name(make_host) -> None:
    """The network service of EL 7 fails where a card that it shall bring up is missing, as ens192 is on Azure."""
    files = {
        IFCFG
        + "ifcfg-ens192": "DEVICE=ens192\nTYPE=Ethernet\nBOOTPROTO=none\nIPADDR=10.0.0.2\nDNS1=10.0.0.1\nPEERDNS=no\n",
        IFCFG + "route-ens192": "10.9.0.0/16 via 10.0.0.1\n",
        IFCFG + "ifcfg-eth0": "NAME=x\nDEVICE=eth0\nHWADDR=52:54:00:12:34:56\nBOOTPROTO=static\nNM_CONTROLLED=no\n",
        "/etc/sysconfig/network": "# head\nGATEWAY=10.0.0.1\nNETWORKING=yes\nHOSTNAME=build7.example.org\n",
        **NM_ENABLED,
    }
    host = make_host({**files, "/boot/grub2/grub.cfg": "menuentry a {\n linux16 /vmlinuz-3 ro net.ifnames=0\n}\n"})
    twice(host, legacy_ifcfg=True)
    assert not host.exists(IFCFG + "ifcfg-ens192") and not host.exists(IFCFG + "route-ens192")
    lines = host.read(IFCFG + "ifcfg-eth0").split()
    assert lines[:2] == ["NAME=x", "DEVICE=eth0"] and not [line for line in lines if "HWADDR" in line]
    for line in network.IFCFG_ETH0.split() + network.IFCFG_ETH0_MANAGED.split():
        assert lines.count(line) == 1, line
    assert host.read("/etc/sysconfig/network") == "# head\nNETWORKING=yes\nHOSTNAME=localhost.localdomain\n"


def test_enterprise_linux_7_keeps_a_name_that_boot_entries_keep(make_host) -> None:
    host = make_host(
        {
            IFCFG + "ifcfg-ens192": "DEVICE=ens192\nTYPE=Ethernet\nBOOTPROTO=dhcp\nONBOOT=yes\n",
            "/boot/grub2/grub.cfg": "menuentry a {\n linux16 /vmlinuz-3 ro\n}\n",
        }
    )
    twice(host, legacy_ifcfg=True)
    assert host.exists(IFCFG + "ifcfg-ens192") and host.exists(IFCFG + "ifcfg-eth0")


def test_enterprise_linux_9_has_a_profile_for_any_name(make_host) -> None:
    """no-auto-default=* of the server package: a card without a profile stays down."""
    host = make_host(
        {
            IFCFG + "ifcfg-System_one": "TYPE=Ethernet\nHWADDR=52:54:00:12:34:56\nBOOTPROTO=none\nIPADDR0=10.0.0.2\n"
            "NM_CONTROLLED=no\nDEFROUTE=no\n",
            IFCFG + "ifcfg-ens192": "DEVICE=ens192\nBOOTPROTO=dhcp\nONBOOT=yes\n",
            IFCFG + "ifcfg-wlan0": "TYPE=Wireless\nHWADDR=52:54:00:12:34:57\n",
            **NM_ENABLED,
        }
    )
    twice(host)
    assert host.read(network.NM_OWN) == network.NM_TEXT
    assert host.read(IFCFG + "ifcfg-System_one") == "TYPE=Ethernet\nBOOTPROTO=dhcp\nONBOOT=yes\n"
    assert "HWADDR" in host.read(IFCFG + "ifcfg-wlan0")


def test_a_keyfile_that_keeps_dhcp_away(make_host) -> None:
    text = (
        "[connection]\nid=x\ntype=ethernet\npermissions=user:anna:;\nautoconnect=false\n[ipv4]\nmethod=auto\n"
        "dns=10.0.0.1;\nignore-auto-dns=true\nnever-default=true\nroutes1=10.0.0.0/8\nroute1_options=mtu=1400\n"
    )
    after = network.keyfile_to_dhcp(text)
    assert after == "[connection]\nid=x\ntype=ethernet\n[ipv4]\nmethod=auto\n"
    plain = "[connection]\ntype=ethernet\npermissions=\n[ipv4]\nmethod=auto\nroute1=10.0.0.0/8\n"
    assert network.keyfile_to_dhcp(plain) == plain


def test_a_drop_in_with_a_fixed_address(make_host) -> None:
    host = make_host(
        {
            "/etc/systemd/network/10-lan.network": "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n",
            "/etc/systemd/network/10-lan.network.d/fixed.conf": "[Network]\nAddress=10.0.0.2/24\n",
            "/etc/systemd/network/20-other.network": "[Match]\nName=br0\nMACAddress=\n",
            **ENABLED,
        }
    )
    twice(host)
    assert host.read(network.NETWORKD_OWN) == network.NETWORKD_TEXT
    assert not host.exists("/etc/systemd/network/10-lan.network.d/fixed.conf")
    assert host.exists("/etc/systemd/network/20-other.network")


def test_wicked_with_a_fixed_route_and_name_server(make_host) -> None:
    base = "/etc/sysconfig/network/"
    host = make_host(
        {
            base + "ifcfg-lan0": "BOOTPROTO='static'\nLLADDR='52:54:00:12:34:56'\nIPADDR='10.0.0.2/24'\n",
            base + "ifroute-lan0": "10.9.0.0/16 10.0.0.1 - lan0\n",
            base + "routes": "default 10.0.0.1 - -\n",
            base + "config": 'NETCONFIG_DNS_POLICY=""\nNETCONFIG_DNS_STATIC_SERVERS="10.0.0.1 10.0.0.2"\nOTHER="x"\n',
        }
    )
    twice(host)
    assert host.read(base + "ifcfg-lan0") == "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n"
    assert not host.exists(base + "routes") and not host.exists(base + "ifroute-lan0")
    assert host.read(base + "config") == ('NETCONFIG_DNS_POLICY="auto"\nNETCONFIG_DNS_STATIC_SERVERS=""\nOTHER="x"\n')


@pytest.mark.parametrize(
    ("primary", "files", "left"),
    [
        ("eth0", {}, ["ifcfg-eth0"]),
        ("eth1", {}, ["ifcfg-eth0", "ifcfg-eth1"]),
        ("eth1", {"/sys/class/net/eth1/device/vendor": "", "/sys/class/net/eth1/type": "1\n"}, ["ifcfg-eth0"]),
        (
            "eth0",
            {
                "/proc/net/route": ROUTES.replace("enp0s8", "eth1"),
                "/proc/self/environ": "SSH_CONNECTION=192.168.56.1 5 192.168.56.10 22\0",
            },
            ["ifcfg-eth0", "ifcfg-eth1"],
        ),
    ],
)
def test_wicked_and_a_second_card(make_host, primary: str, files, left: list[str]) -> None:
    base = "/etc/sysconfig/network/"
    second = {base + "ifcfg-eth1": "BOOTPROTO='dhcp'\nSTARTMODE='auto'\n", base + "ifroute-eth1": "x\n"}
    host = make_host({**second, **files, "/etc/udev/rules.d/70-persistent-net.rules": PIN % "eth1"})
    warnings = twice(host, primary=primary)["warnings"]
    assert [name for name in host.listdir(base) if name.startswith("ifcfg")] == left
    assert len(warnings) == 1 and "NET-08" in warnings[0]


def test_netplan_stays_alone_once_virtual_functions_are_left_alone(make_host) -> None:
    """The file of NET-09 is no networkd configuration of the system's own: a second run would add one to netplan's."""
    host = make_host({"/etc/netplan/01.yaml": "network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n", **ENABLED})
    twice(host)
    edits.apply(host, network.plan_sriov(host))
    assert host.exists(network.SRIOV_NETWORK)
    assert not network_dhcp.run(DEFAULTS, host, False)["changed"]


CARD = {
    "/sys/class/net/lo/type": "772\n",
    "/sys/class/net/ens3/device/vendor": "0x1af4\n",
    "/sys/class/net/ens3/type": "1\n",
    "/sys/class/net/ens3/ifindex": "2\n",
}
PINNED = {
    "/sys/class/net/eth0/device/vendor": "0x1af4\n",
    "/sys/class/net/eth0/type": "1\n",
    "/sys/class/net/eth0/ifindex": "2\n",
    "/run/udev/data/n2": "E:ID_BUS=pci\nE:ID_NET_NAME_MAC=enx525400123456\nE:ID_NET_NAME_PATH=enp0s3\n",
}
SECOND = {"/sys/class/net/ens4/device/vendor": "0x1af4\n", "/sys/class/net/ens4/type": "1\n"}
WANTED = ["net.ifnames=0"]


@pytest.mark.parametrize(
    ("files", "primary", "wanted"),
    [
        ({"/etc/network/interfaces": INSTALLED, **CARD}, "ens3", WANTED),
        ({"/etc/sysconfig/network/ifcfg-ens3": "BOOTPROTO='dhcp'\n", **CARD}, "ens3", WANTED),
        # Pinned to eth0 by a rule that goes: udev would call it enp0s3 from then on.
        ({"/etc/network/interfaces": INSTALLED, **PINNED}, "eth0", WANTED),
        # Called so by the kernel, as on Hyper-V: nothing would rename it.
        ({"/etc/network/interfaces": INSTALLED, **PINNED, "/run/udev/data/n2": "E:ID_NET_NAME_MAC=x\n"}, "eth0", []),
        # Which of two cards would be eth0 is not known.
        ({"/etc/network/interfaces": INSTALLED, **CARD, **SECOND}, "ens3", []),
        # A bridge is built of a card by its name.
        ({"/etc/network/interfaces": INSTALLED, **CARD}, "br0", []),
        ({"/etc/network/interfaces": INSTALLED, **CARD}, "", []),
        # These serve any card.
        ({**NM_ENABLED, **CARD}, "ens3", []),
        ({**ENABLED, **CARD}, "ens3", []),
    ],
)
def test_a_card_that_is_served_by_name_is_eth0_from_now_on(make_host, files, primary: str, wanted: list[str]) -> None:
    assert network.old_names(make_host(files), primary) == (wanted, [])


def test_a_card_that_a_firewall_names_keeps_its_name(make_host) -> None:
    rules = (
        'table inet filter { chain input { type filter hook input priority 0; policy drop; iifname "%s" accept } }\n'
    )
    files = {"/etc/network/interfaces": INSTALLED, **CARD}
    arguments, sentences = network.old_names(make_host({**files, "/etc/nftables.conf": rules % "ens3"}), "ens3")
    assert arguments == [] and "/etc/nftables.conf names the network card ens3" in sentences[0]
    assert network.old_names(make_host({**files, "/etc/nftables.conf": rules % "ens34"}), "ens3") == (WANTED, [])
