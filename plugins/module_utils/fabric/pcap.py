# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packets tell: QEMU's filter-dump file, read for the few events that a diagnosis needs.

The file is in the format of libpcap (little endian, Ethernet). Only headers are looked at; a file that is cut
short or damaged gives what could be read.

Private to the collection: its interface may change in any release.
"""

import struct
from typing import List, NamedTuple, Optional, Tuple

GLOBAL_HEADER = 24
RECORD_HEADER = 16

#: DHCP message types (RFC 2132, 9.6).
DHCP_TYPES = {1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform"}


class Traffic(NamedTuple):
    """What was seen on the guest's wire.

    dhcp: message types in order ("discover", "offer", …). acknowledged: capture time of the first ack, or None.
    sources: addresses for which the guest spoke (ARP sender, IPv4 source), without 0.0.0.0.
    refused: "address:port" of TCP connections that the guest tried and that lead nowhere here.
    packets: how many came from the guest.
    ssh: how the guest's port 22 answered: "open" (once is enough), "closed" (by a reset), or "" for not at all.
    """

    packets: int
    dhcp: Tuple[str, ...]
    acknowledged: Optional[float]
    sources: Tuple[str, ...]
    refused: Tuple[str, ...]
    ssh: str = ""


NOTHING = Traffic(0, (), None, (), ())


def _address(data: bytes) -> str:
    return ".".join(str(byte) for byte in data)


def _dhcp_type(payload: bytes) -> str:
    """The message type in a BOOTP payload, empty where it is none."""
    at = 240
    if len(payload) < at or payload[236:240] != b"\x63\x82\x53\x63":
        return ""
    while at + 1 < len(payload) and payload[at] != 255:
        if payload[at] == 0:
            at += 1
            continue
        if payload[at] == 53 and at + 2 < len(payload):
            return DHCP_TYPES.get(payload[at + 2], "")
        at += 2 + payload[at + 1]
    return ""


def read(data: bytes, mac: str, served: Tuple[str, ...] = ()) -> Traffic:
    """Read a capture. mac: the guest's address; served: "address:port" pairs that the fabric answers."""
    own = bytes(int(part, 16) for part in mac.split(":"))
    packets, acknowledged = 0, None
    dhcp: List[str] = []
    sources: List[str] = []
    refused: List[str] = []
    ssh = ""
    at = GLOBAL_HEADER
    while at + RECORD_HEADER <= len(data):
        seconds, micros, length, _wire = struct.unpack_from("<IIII", data, at)
        frame = data[at + RECORD_HEADER : at + RECORD_HEADER + length]
        at += RECORD_HEADER + length
        if len(frame) < 34:
            continue
        from_guest = frame[6:12] == own
        packets += 1 if from_guest else 0
        kind = frame[12:14]
        source = ""
        if kind == b"\x08\x06" and from_guest:
            source = _address(frame[28:32])
        elif kind == b"\x08\x00":
            header = (frame[14] & 15) * 4
            body = frame[14 + header :]
            if from_guest:
                source = _address(frame[26:30])
            if frame[23] == 17 and len(body) >= 8 and body[0:2] in (b"\0\x43", b"\0\x44"):
                message = _dhcp_type(body[8:])
                if message:
                    dhcp.append(message)
                    if message == "ack" and acknowledged is None:
                        acknowledged = seconds + micros / 1e6
            elif frame[23] == 6 and from_guest and len(body) >= 14 and body[13] & 0x12 == 0x02:
                target = "%s:%d" % (_address(frame[30:34]), struct.unpack(">H", body[2:4])[0])
                if target not in served and target not in refused:
                    refused.append(target)
            elif frame[23] == 6 and from_guest and len(body) >= 14 and body[0:2] == b"\0\x16":
                if body[13] & 0x12 == 0x12:
                    ssh = "open"
                elif body[13] & 0x04:
                    ssh = ssh or "closed"
        if source and source != "0.0.0.0" and source not in sources:
            sources.append(source)
    return Traffic(packets, tuple(dhcp), acknowledged, tuple(sources), tuple(refused), ssh)
