# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would a packet of root's to Azure's own addresses leave? A reading of iptables-save and of an nftables ruleset.

A packet is taken through the output chains rule by rule, user chains included. A condition that is not understood
counts as not met, for rules that accept as for rules that refuse.

Private to the collection: its interface may change in any release.
"""

import fnmatch
import re
import shlex
from typing import Dict, List, NamedTuple, Optional, Tuple

#: The wire server (provisioning; extensions) and the instance metadata service.
WIRE, METADATA = "168.63.129.16", "169.254.169.254"

#: The card that the packet leaves by on Azure.
CARD = "eth0"

MAX_DEPTH = 32

ACCEPT, REFUSE, RETURN = "accept", "refuse", "return"


class Packet(NamedTuple):
    """The first packet of a TCP connection that root opens."""

    address: str
    port: int


#: Everything that provisioning and the agent need.
PACKETS = (Packet(WIRE, 80), Packet(WIRE, 32526), Packet(METADATA, 80))

Verdict = Tuple[str, str]


def number(address: str) -> Optional[int]:
    """An IPv4 address as a number; None where it is none."""
    parts = address.split(".")
    if len(parts) != 4 or not all(re.match(r"[0-9]{1,3}$", part) and int(part) < 256 for part in parts):
        return None
    return sum(int(part) << shift for part, shift in zip(parts, (24, 16, 8, 0)))


def covers(text: str, address: str) -> Optional[bool]:
    """Whether "10.0.0.0/8", "10.0.0.1-10.0.0.9" or a plain address holds an address; None where it is no such thing."""
    wanted = number(address)
    text = text.strip()
    first, dash, last = text.partition("-")
    if dash:
        low, high = number(first.strip()), number(last.strip())
        return None if low is None or high is None or wanted is None else low <= wanted <= high
    base, _slash, length = text.partition("/")
    start = number(base)
    if start is None or wanted is None:
        return None
    if "." in length:
        mask = number(length)
    elif re.match(r"[0-9]{0,2}$", length):
        bits = int(length or "32")
        mask = ((1 << bits) - 1) << (32 - bits) if bits <= 32 else None
    else:
        mask = None
    return None if mask is None else start & mask == wanted & mask


def _in_ports(text: str, port: int) -> Optional[bool]:
    for piece in text.split(","):
        low, _sep, high = piece.strip().replace("-", ":").partition(":")
        names = {"http": "80", "https": "443"}
        low, high = names.get(low, low), names.get(high, high)
        if not low.isdigit() or (high and not high.isdigit()):
            return None
        if int(low) <= port <= int(high or low):
            return True
    return False


# -- iptables --------------------------------------------------------------------------------------------------


class _Rule(NamedTuple):
    words: List[str]
    text: str


def _tables(text: str) -> Dict[str, Tuple[Dict[str, str], Dict[str, List[_Rule]]]]:
    """iptables-save (or `iptables -S`) by table: policies by chain, rules by chain."""
    found: Dict[str, Tuple[Dict[str, str], Dict[str, List[_Rule]]]] = {}
    table = "filter"
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith("*"):
            table = line[1:]
        policies, chains = found.setdefault(table, ({}, {}))
        policy = re.match(r"(?::|-P )(\S+) (\S+)", line)
        if policy:
            policies[policy.group(1)] = policy.group(2).upper()
        elif line.startswith("-A "):
            try:
                words = shlex.split(line)
            except ValueError:
                words = line.split()
            if len(words) > 1:
                chains.setdefault(words[1], []).append(_Rule(words[2:], line))
    return found


def _iptables_matches(words: List[str], packet: Packet) -> Tuple[bool, str]:
    """(whether a rule takes the packet, its target)."""
    met = True
    target = ""
    index = 0
    while index < len(words):
        negated = words[index] == "!"
        if negated:
            index += 1
        option = words[index] if index < len(words) else ""
        value = words[index + 1] if index + 1 < len(words) else ""
        index += 2
        result: Optional[bool]
        if option in ("-j", "-g", "--jump", "--goto"):
            # What follows belongs to the target.
            return met, value
        if option in ("-m", "--match", "--comment"):
            continue
        if option in ("-d", "--destination", "--dst"):
            results = [covers(piece, packet.address) for piece in value.split(",")]
            result = True if True in results else None if None in results else False
        elif option in ("-p", "--protocol"):
            result = value.lower() in ("tcp", "all", "6", "0")
        elif option in ("--dport", "--dports", "--destination-port", "--destination-ports"):
            result = _in_ports(value, packet.port)
        elif option in ("-o", "--out-interface"):
            result = fnmatch.fnmatch(CARD, value.replace("+", "*"))
        elif option in ("--uid-owner", "--gid-owner"):
            result = value in ("0", "root", "0-0") or value.startswith("0-")
        elif option in ("--ctstate", "--state"):
            result = "NEW" in value.upper().split(",")
        elif option == "--syn":
            index -= 1
            result = True
        elif option in ("-s", "--source", "--src") and value in ("0.0.0.0/0", "0/0"):
            result = True
        else:
            result = None
        if result is None or result == negated:
            met = False
    return met, target


def _run_iptables(chains: Dict[str, List[_Rule]], chain: str, packet: Packet, depth: int = 0) -> Verdict:
    """What a chain decides, and the rule that did."""
    if depth > MAX_DEPTH:
        return RETURN, ""
    for rule in chains.get(chain, []):
        met, target = _iptables_matches(rule.words, packet)
        if not met:
            continue
        if target == "ACCEPT":
            return ACCEPT, rule.text
        if target in ("DROP", "REJECT"):
            return REFUSE, rule.text
        if target == "RETURN":
            return RETURN, rule.text
        if target in chains:
            verdict = _run_iptables(chains, target, packet, depth + 1)
            if verdict[0] != RETURN:
                return verdict
    return RETURN, ""


def iptables_refuses(text: str) -> str:
    """The rule (or policy) of iptables-save that keeps root from Azure's addresses; "" where none does."""
    for table, (policies, chains) in sorted(_tables(text).items()):
        if table == "nat":
            continue
        for packet in PACKETS:
            verdict, rule = _run_iptables(chains, "OUTPUT", packet)
            if verdict == REFUSE:
                return rule
            if verdict == RETURN and policies.get("OUTPUT") == "DROP":
                return "the policy of OUTPUT is DROP, and nothing accepts %s:%d" % packet
    return ""


# -- nftables --------------------------------------------------------------------------------------------------


class _Chain(NamedTuple):
    """hook: "output" where the kernel calls the chain; policy: accept or drop."""

    hook: str
    policy: str
    rules: List[str]


def _blocks(text: str, pattern: str) -> List[Tuple[Tuple[str, ...], str]]:
    """(groups, body) of every `pattern {` … `}` of a text, by counting braces; nested ones inside others too."""
    found = []
    for match in re.finditer(pattern + r"\s*\{", text):
        depth = 1
        index = match.end()
        while index < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[index], 0)
            index += 1
        found.append((match.groups(), text[match.end() : index - 1]))
    return found


def _statements(body: str) -> List[str]:
    """The statements of a chain: separated by line ends and semicolons outside braces."""
    found = [""]
    depth = 0
    for char in body:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char in "\n;" and depth <= 0:
            found.append("")
        else:
            found[-1] += char
    return [" ".join(piece.split()) for piece in found if piece.strip()]


def _plain(text: str) -> str:
    """A ruleset with the forms that nft gives iptables' own matches written as nft's, and without comments."""
    text = re.sub(r"#\s*owner UID match (\d+)", r"meta skuid \1", text)
    text = re.sub(r"#\s*(?:conntrack )?ctstate ([A-Z,]+)", lambda match: "ct state " + match.group(1).lower(), text)
    text = re.sub(r'\bcomment\s+"[^"]*"', "", text)
    return re.sub(r"^([^\n]*?)#(?!.*\b(accept|drop|reject)\b).*$", r"\1", text, flags=re.MULTILINE)


def _values(text: str, sets: Dict[str, str]) -> List[str]:
    """The elements of "{ a, b }", "a, b" or "@name"."""
    text = text.strip()
    if text.startswith("@"):
        text = sets.get(text[1:], "")
    return [piece.strip().strip('"') for piece in text.strip("{} ").split(",") if piece.strip()]


_CONDITION = re.compile(
    r"(?P<key>ip daddr|ip6 \w+|(?:tcp|udp|th|sctp) dport|ip protocol|meta l4proto|meta nfproto|"
    r"(?:meta )?(?:skuid|skgid)|ct state|(?:meta )?oif(?:name)?)\s+(?P<not>!=\s*)?"
    r"(?P<value>\{[^}]*\}|@\S+|\"[^\"]*\"|[^\s{}]+(?:\s*,\s*[^\s{}]+)*)\s*"
)
_NOISE = re.compile(
    r"(counter(?:\s+packets \d+ bytes \d+)?|log(?:\s+(?:prefix \"[^\"]*\"|level \w+|group \d+|flags \w+))*)\s*"
)
_VERDICT = re.compile(r"(accept|drop|reject|return|(?:jump|goto)\s+(\S+))\b.*$")


def _nft_matches(rule: str, packet: Packet, sets: Dict[str, str]) -> Tuple[bool, str, str]:
    """(whether a rule takes the packet, its verdict, the chain it jumps to)."""
    met = True
    rest = rule
    while rest:
        verdict = _VERDICT.match(rest)
        if verdict:
            return met, verdict.group(1).split()[0], verdict.group(2) or ""
        noise = _NOISE.match(rest)
        if noise:
            rest = rest[noise.end() :]
            continue
        condition = _CONDITION.match(rest)
        if not condition:
            # Not understood: look on for the verdict, but do not take the packet.
            met = False
            rest = rest.partition(" ")[2]
            continue
        key, values = condition.group("key"), _values(condition.group("value"), sets)
        result: Optional[bool] = False
        if key == "ip daddr":
            results = [covers(value, packet.address) for value in values]
            result = True if True in results else None if None in results else False
        elif key in ("tcp dport", "th dport"):
            results = [_in_ports(value, packet.port) for value in values]
            result = True if True in results else None if None in results else False
        elif key in ("ip protocol", "meta l4proto"):
            result = bool({"tcp", "6"} & set(values))
        elif key == "meta nfproto":
            result = "ipv4" in values
        elif key.endswith(("skuid", "skgid")):
            result = bool({"0", "root"} & set(values))
        elif key == "ct state":
            result = "new" in values
        elif "oif" in key:
            result = any(fnmatch.fnmatch(CARD, value) for value in values)
        if result is None or result == bool(condition.group("not")):
            met = False
        rest = rest[condition.end() :]
    return False, "", ""


def _run_nft(chains: Dict[str, _Chain], name: str, packet: Packet, sets: Dict[str, str], depth: int = 0) -> Verdict:
    if depth > MAX_DEPTH or name not in chains:
        return RETURN, ""
    for rule in chains[name].rules:
        met, verdict, other = _nft_matches(rule, packet, sets)
        if not met:
            continue
        if verdict == "accept":
            return ACCEPT, rule
        if verdict in ("drop", "reject"):
            return REFUSE, rule
        if verdict == "return":
            return RETURN, rule
        if verdict in ("jump", "goto"):
            inner = _run_nft(chains, other, packet, sets, depth + 1)
            if inner[0] != RETURN or verdict == "goto":
                return inner
    return RETURN, ""


def nft_refuses(text: str) -> str:
    """The rule (or policy) of an nftables ruleset that keeps root from Azure's addresses; "" where none does."""
    for (family, _name), body in _blocks(_plain(text), r"\btable\s+(?:(\w+)\s+)?(\S+)"):
        if (family or "ip") not in ("ip", "inet"):
            continue
        sets = {}
        for (name,), content in _blocks(body, r"\bset\s+(\S+)"):
            elements = re.search(r"elements\s*=\s*\{([^}]*)\}", content)
            sets[name] = elements.group(1) if elements else ""
        chains: Dict[str, _Chain] = {}
        for (name,), content in _blocks(body, r"\bchain\s+(\S+)"):
            statements = _statements(content)
            head = " ".join(statements[:3])
            hook = re.search(r"\bhook (\w+)", head)
            policy = re.search(r"\bpolicy (\w+)", head)
            rules = [line for line in statements if not re.match(r"(type \w+ hook|policy )", line)]
            chains[name] = _Chain(hook.group(1) if hook else "", policy.group(1) if policy else "accept", rules)
        for name, chain in sorted(chains.items()):
            if chain.hook != "output":
                continue
            for packet in PACKETS:
                verdict, rule = _run_nft(chains, name, packet, sets)
                if verdict == REFUSE:
                    return rule
                if verdict == RETURN and chain.policy == "drop":
                    return "chain %s has policy drop, and nothing accepts %s:%d" % (name, packet.address, packet.port)
    return ""
