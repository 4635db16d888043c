"""Firewall rules as packets meet them: what keeps root from the wire server and the metadata service."""

# ruff: noqa: E501  (one ruleset is one thing)
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import firewall

#: What the agent itself sets up: everybody but root is kept out.
AGENT = """*security
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A OUTPUT -d 168.63.129.16/32 -p tcp -m tcp --dport 53 -j ACCEPT
-A OUTPUT -d 168.63.129.16/32 -p tcp -m owner --uid-owner 0 -j ACCEPT
-A OUTPUT -d 168.63.129.16/32 -p tcp -m conntrack --ctstate INVALID,NEW -j DROP
COMMIT
"""

IPTABLES_OPEN = [
    "",
    AGENT,
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 10.0.0.0/8 -j DROP\n",
    "*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -o lo -j ACCEPT\n-A OUTPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\n",
    "*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -p tcp -m multiport --dports 22,80,32526 -j ACCEPT\n",
    "*filter\n:OUTPUT DROP [0:0]\n:user - [0:0]\n-A OUTPUT -j user\n-A user -d 168.63.129.16 -j ACCEPT\n-A user -d 169.254.0.0/16 -j ACCEPT\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 169.254.169.254/32 ! -o eth0 -j DROP\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 169.254.169.254/32 -m owner ! --uid-owner 0 -j REJECT --reject-with icmp-port-unreachable\n",
    '*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m comment --comment "no -j DROP here" -j LOG\n',
    "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j DOCKER\n",
]

IPTABLES_SHUT = [
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16/32 -j DROP\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 169.254.0.0/16 -j DROP\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 160.0.0.0/255.0.0.0 -j ACCEPT\n-A OUTPUT -j REJECT\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16 -p tcp -m tcp --dport 32526 -j DROP\n",
    "*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -o lo -j ACCEPT\n-A OUTPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n",
    "*filter\n:OUTPUT DROP [0:0]\n-A OUTPUT -d 168.63.129.16 -j ACCEPT\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n:user - [0:0]\n-A OUTPUT -j user\n-A user -p tcp -j DROP\n",
    "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16 -m owner --uid-owner 1000 -j ACCEPT\n-A OUTPUT -d 168.63.129.16 -j DROP\n",
    "-P OUTPUT DROP\n-A OUTPUT -o lo -j ACCEPT\n",
    "*security\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 168.63.129.16/32 -p tcp -m conntrack --ctstate INVALID,NEW -j DROP\n",
]


def nft(rules: str, policy: str = "accept", more: str = "", family: str = "inet") -> str:
    return (
        f"table {family} filter {{\n{more}\n\tchain output {{\n\t\ttype filter hook output priority 0; policy {policy};\n"
        + "".join(f"\t\t{line}\n" for line in rules.split("|"))
        + "\t}\n}\n"
    )


NFT_OPEN = [
    "",
    "flush ruleset\n" + nft(""),
    nft("ip daddr 10.0.0.0/8 drop"),
    nft('oifname "lo" accept|ct state { new, established } accept', "drop"),
    nft("tcp dport { 80, 32526 } counter packets 0 bytes 0 accept", "drop"),
    nft(
        "ip daddr @azure accept",
        "drop",
        "\tset azure {\n\t\ttype ipv4_addr\n\t\telements = { 168.63.129.16, 169.254.169.254 }\n\t}",
    ),
    nft("jump mine|drop", "accept", "\tchain mine {\n\t\tmeta skuid 0 accept\n\t}"),
    nft("ip daddr 168.63.129.16 meta skuid 0 accept|ip daddr 168.63.129.16 ct state invalid,new drop"),
    nft(
        "ip daddr 168.63.129.16 ip protocol tcp # owner UID match 0 counter packets 1 bytes 2 accept|ip daddr 168.63.129.16 ip protocol tcp ct state invalid,new counter drop",
        family="ip",
    ),
    nft("drop", family="ip6"),
    nft('ip daddr 168.63.129.16 log prefix "drop " accept'),
    "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n",
]

NFT_SHUT = [
    nft("ip daddr 168.63.129.16 drop"),
    nft("ip daddr 169.254.0.0/16 reject with icmp type admin-prohibited"),
    nft("ip daddr { 10.0.0.0/8, 169.254.169.254 } drop"),
    nft("ip daddr 169.254.0.0-169.254.255.255 drop"),
    nft("oif lo accept|ct state established,related accept", "drop"),
    nft("tcp dport 443 accept|reject"),
    nft("meta skuid 1000 accept|drop"),
    nft(
        "ip daddr @shut drop",
        "accept",
        "\tset shut {\n\t\ttype ipv4_addr; flags interval;\n\t\telements = { 168.0.0.0/8 }\n\t}",
    ),
    nft("goto mine|accept", "accept", "\tchain mine {\n\t\ttcp dport != 22 drop\n\t}"),
    "table ip x { chain o { type filter hook output priority 0; policy accept; ip daddr 168.63.129.16 drop; } }",
]


@pytest.mark.parametrize("text", IPTABLES_OPEN)
def test_iptables_that_lets_root_out(text: str) -> None:
    assert firewall.iptables_refuses(text) == ""


@pytest.mark.parametrize("text", IPTABLES_SHUT)
def test_iptables_that_keeps_root_in(text: str) -> None:
    assert firewall.iptables_refuses(text) != ""


@pytest.mark.parametrize("text", NFT_OPEN)
def test_nftables_that_lets_root_out(text: str) -> None:
    assert firewall.nft_refuses(text) == ""


@pytest.mark.parametrize("text", NFT_SHUT)
def test_nftables_that_keeps_root_in(text: str) -> None:
    assert firewall.nft_refuses(text) != ""


def test_a_loop_of_chains_ends() -> None:
    firewall.iptables_refuses("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j a\n-A a -j b\n-A b -j a\n")
    firewall.nft_refuses(nft("jump a", "accept", "\tchain a {\n\t\tjump a\n\t}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("168.63.129.16", True),
        ("168.63.129.17", False),
        ("0.0.0.0/0", True),
        ("168.63.129.16/33", None),
        ("168.63.0.0/255.255.0.0", True),
        ("eth0", None),
        ("", None),
        ("١٦٨.63.129.16", None),
    ],
)
def test_networks(text: str, expected: bool | None) -> None:
    assert firewall.covers(text, firewall.WIRE) is expected


_SCRAPS = st.lists(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(
            ["*filter\n", ":OUTPUT DROP\n", "-A OUTPUT ", "-d ", "! ", "-j DROP\n", "table inet a {", "chain o {", "}", "\n",
             "type filter hook output priority 0;", "ip daddr ", "drop\n", "jump o\n", '"', "{ 1, 2 } ", "@x ", "0.0.0.0/0 "]
        ),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(_SCRAPS)
def test_no_ruleset_makes_it_raise(text: str) -> None:
    firewall.iptables_refuses(text)
    firewall.nft_refuses(text)
