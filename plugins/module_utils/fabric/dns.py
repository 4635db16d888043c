# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name server that every Azure VM has, at the WireServer's address: here it knows no name.

A guest that is told of no name server never counts as online where netplan writes systemd-networkd-wait-online's
drop-in (from 1.1.2 on with --dns): two minutes are lost, and a unit fails that does not fail on Azure. QEMU's own
name server would ask the world. So a copy of every frame that the guest sends comes here (QEMU's filter-mirror), and a
query gets "no such name" (RFC 1035, 4.1.1, RCODE 3) at once, whatever is asked for.

Private to the collection: its interface may change in any release.
"""

import socket
import struct
from typing import Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.qemu import WIRESERVER_ADDRESS

PORT = 53
HEADER = 12
NO_SUCH_NAME = 3

#: Bits of the second word of a message: it is an answer, its operation, "recursion desired", "recursion available".
ANSWER, OPERATION, DESIRED, AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data[: len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def respond(message: bytes) -> Optional[bytes]:
    """The answer to a query with one question; None for what is no such query."""
    if len(message) < HEADER:
        return None
    number, flags, questions = struct.unpack(">HHH", message[:6])
    if flags & (ANSWER | OPERATION) or questions != 1:
        return None
    at = HEADER
    while at < len(message) and message[at]:
        if message[at] > 63:
            # A pointer, which a question has no use for.
            return None
        at += 1 + message[at]
    # The empty label, type and class.
    end = at + 5
    if end > len(message):
        return None
    flags = ANSWER | (flags & DESIRED) | AVAILABLE | NO_SUCH_NAME
    return struct.pack(">HHHHHH", number, flags, 1, 0, 0, 0) + message[HEADER:end]


def answer(frame: bytes) -> Optional[bytes]:
    """An Ethernet frame that the guest has sent; the frame with the answer where it is a query, else None."""
    if len(frame) < 14 + 20 + 8 or frame[12:14] != b"\x08\x00" or frame[14] >> 4 != 4 or frame[23] != 17:
        return None
    header = (frame[14] & 15) * 4
    udp = 14 + header
    fragment = struct.unpack(">H", frame[20:22])[0] & 0x3FFF
    if header < 20 or fragment or len(frame) < udp + 8 or frame[30:34] != socket.inet_aton(WIRESERVER_ADDRESS):
        return None
    source, target, length = struct.unpack(">HHH", frame[udp : udp + 6])
    if target != PORT or length < 8 or udp + length > len(frame):
        return None
    message = respond(frame[udp + 8 : udp + length])
    if message is None:
        return None
    size = 20 + 8 + len(message)
    ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 17, 0) + frame[30:34] + frame[26:30])
    ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
    # A zero checksum means that none was computed, which IPv4 allows (RFC 768).
    datagram = struct.pack(">HHHH", target, source, 8 + len(message), 0) + message
    return frame[6:12] + frame[0:6] + b"\x08\x00" + bytes(ip) + datagram
