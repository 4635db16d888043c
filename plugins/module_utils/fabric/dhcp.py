# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP as Azure answers it: QEMU's own replies, with Azure's options put in.

QEMU's user-mode network gives an address, but with restrict=on neither a router nor routes, and never option 245,
by which the agent learns the WireServer's address (azurelinuxagent/common/dhcp.py, parse_dhcp_resp; without it and
without a route to 168.63.129.16 it waits for ever) and cloud-init too (cloudinit/net/dhcp.py, "unknown-245").
So every frame that goes to the guest passes through here (QEMU's filter-redirector), and DHCP replies are edited. With
them go the answers of the name server (dns.py).

Private to the collection: its interface may change in any release.
"""

import select
import socket
import struct
import threading
from typing import List, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import dns
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.qemu import (
    IMDS_ADDRESS,
    NETWORK_HOST,
    WIRESERVER_ADDRESS,
)

COOKIE = b"\x63\x82\x53\x63"

#: Option numbers: RFC 2132, RFC 3442 (121), Microsoft's copy of it (249) and Azure's endpoint (245).
SUBNET_MASK, ROUTER, NAME_SERVER, CLASSLESS, CLASSLESS_MICROSOFT, AZURE_ENDPOINT, END, PAD = (
    1,
    3,
    6,
    121,
    249,
    245,
    255,
    0,
)

#: The subnet that the guest is told, much smaller than QEMU's: Azure's addresses lie behind the router.
MASK = "255.255.255.0"

#: Largest frame that is believed; the network has an MTU of 1500 and QEMU offers no offloading here.
MAX_FRAME = 70000


def _address(text: str) -> bytes:
    return socket.inet_aton(text)


def options() -> List[Tuple[int, bytes]]:
    """What Azure's DHCP server adds: mask, router, name server, routes to both fixed addresses, the WireServer."""
    router = _address(NETWORK_HOST)
    routes = b"\0" + router
    for address in (WIRESERVER_ADDRESS, IMDS_ADDRESS):
        routes += b"\x20" + _address(address) + router
    return [
        (SUBNET_MASK, _address(MASK)),
        (ROUTER, router),
        (NAME_SERVER, _address(WIRESERVER_ADDRESS)),
        (CLASSLESS, routes),
        (CLASSLESS_MICROSOFT, routes),
        (AZURE_ENDPOINT, _address(WIRESERVER_ADDRESS)),
    ]


def _kept(data: bytes) -> Optional[List[bytes]]:
    """The options of a reply as raw bytes, without those that are replaced; None where they are malformed."""
    replaced = {number for number, _value in options()}
    found = []
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        if at + 1 >= len(data) or at + 2 + data[at + 1] > len(data):
            return None
        raw = data[at : at + 2 + data[at + 1]]
        if raw[0] not in replaced:
            found.append(raw)
        at += len(raw)
    return found


def edit(frame: bytes) -> bytes:
    """An Ethernet frame on its way to the guest; a DHCP reply comes back with Azure's options, all else as it is."""
    if len(frame) < 14 + 20 + 8 + 240 or frame[12:14] != b"\x08\x00" or frame[14] >> 4 != 4 or frame[23] != 17:
        return frame
    header = (frame[14] & 15) * 4
    udp = 14 + header
    bootp = udp + 8
    if header < 20 or frame[udp : udp + 4] != b"\0\x43\0\x44" or frame[bootp + 236 : bootp + 240] != COOKIE:
        return frame
    end = udp + struct.unpack(">H", frame[udp + 4 : udp + 6])[0]
    kept = _kept(frame[bootp + 240 : end])
    if end > len(frame) or kept is None:
        return frame
    new = b"".join(kept) + b"".join(bytes([number, len(value)]) + value for number, value in options()) + bytes([END])
    payload = frame[bootp : bootp + 240] + new
    payload = payload.ljust(300, b"\0")
    ip = bytearray(frame[14:udp])
    ip[2:4] = struct.pack(">H", header + 8 + len(payload))
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack(">H", dns.checksum(bytes(ip)))
    # A zero checksum means that none was computed, which IPv4 allows (RFC 768).
    return frame[:14] + bytes(ip) + frame[udp : udp + 4] + struct.pack(">HH", 8 + len(payload), 0) + payload


class Frames:
    """Frames from a stream in which each is preceded by its length in four bytes, big endian (net/filter-mirror.c)."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> List[bytes]:
        """The frames that are complete now; ValueError where the stream cannot be one of frames."""
        self._buffer += data
        found = []
        while len(self._buffer) >= 4:
            length = struct.unpack(">I", self._buffer[:4])[0]
            if length > MAX_FRAME:
                raise ValueError("a frame of %d bytes" % length)
            if len(self._buffer) < 4 + length:
                break
            found.append(self._buffer[4 : 4 + length])
            self._buffer = self._buffer[4 + length :]
        return found


class Editor:
    """The thread between QEMU's network and the guest.

    from_network: what the network sends to the guest comes in here, and goes on through to_guest, edited.
    from_guest: a copy of what the guest sends; what it asks the name server is answered through to_guest.
    """

    def __init__(self, from_network: str, to_guest: str, from_guest: str) -> None:
        self.paths = (from_network, to_guest, from_guest)
        self._listening = []
        for path in self.paths:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            listener.listen(1)
            self._listening.append(listener)
        self._stop, self._stopped = socket.socketpair()
        self._thread: Optional[threading.Thread] = None

    def serve(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.close()
        if self._thread is not None:
            self._thread.join(timeout=5)
        for listener in self._listening:
            listener.close()
        self._stopped.close()

    def _run(self) -> None:
        peers: List[socket.socket] = []
        try:
            for listener in self._listening:
                if self._stopped in select.select([listener, self._stopped], [], [])[0]:
                    return
                peers.append(listener.accept()[0])
            self._copy(*peers)
        except (OSError, ValueError):
            # QEMU has ended, and with it the network.
            return
        finally:
            for peer in peers:
                peer.close()

    def _copy(self, network: socket.socket, target: socket.socket, sent: socket.socket) -> None:
        streams = {network: Frames(), sent: Frames()}
        waiting = b""
        target.setblocking(False)
        while True:
            # Always ready to read: QEMU waits until a frame is taken, and must not wait while we wait for it.
            ready, writable, _errors = select.select([*streams, self._stopped], [target] if waiting else [], [])
            if self._stopped in ready:
                return
            for source in [stream for stream in streams if stream in ready]:
                data = source.recv(262144)
                if not data:
                    return
                for frame in streams[source].feed(data):
                    onward = edit(frame) if source is network else dns.answer(frame)
                    if onward is not None:
                        waiting += struct.pack(">I", len(onward)) + onward
            if writable:
                waiting = waiting[target.send(waiting[:262144]) :]
