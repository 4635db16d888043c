# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fabric's servers: HTTP over Unix sockets, reached from the guest through QEMU's guestfwd.

QEMU starts one relay process per connection (guestfwd=…-cmd:), which joins its standard input and output to the
socket of the service. Nothing listens on a network address of the host.

Why not a forwarding to a TCP port of the host: any local user could then speak to the fabric, two proofs would
need two ports, and QEMU's own forwarding from guest to host is exactly what restrict=on must forbid.

Private to the collection: its interface may change in any release.
"""

import base64
import os
import re
import shlex
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import dhcp, imds, wireserver
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import (
    HOST_PLUGIN,
    IMDS,
    WIRESERVER,
    Deployment,
    Entry,
    Report,
    Request,
    Response,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.qemu import (
    HOST_PLUGIN_PORT,
    IMDS_ADDRESS,
    SOCKET_PATH_MAX,
    WIRESERVER_ADDRESS,
    Forward,
)

#: Bounds of what a guest can make the fabric hold.
MAX_BODY = 16 * 1024 * 1024
MAX_ENTRIES = 20000
MAX_CONNECTIONS = 64
CONNECTION_TIMEOUT = 60

#: The relay, written to the proof's private folder: a module runs from a zip file, where no script has a path.
RELAY = """\
import os, select, socket, sys
peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
peer.connect(sys.argv[1])
readers = [0, peer.fileno()]
while peer.fileno() in readers:
    ready = select.select(readers, [], [], 120)[0]
    if not ready:
        break
    if 0 in ready:
        try:
            data = os.read(0, 65536)
        except OSError:
            break
        if data:
            peer.sendall(data)
        else:
            readers.remove(0)
            peer.shutdown(socket.SHUT_WR)
    if peer.fileno() in ready:
        data = peer.recv(65536)
        while data:
            data = data[os.write(1, data):]
            if not data:
                break
        else:
            break
"""


class Service(NamedTuple):
    """One address of the fabric: its name in the record, its socket, and where the guest finds it."""

    name: str
    socket_path: str
    address: str
    port: int


class _Handler(BaseHTTPRequestHandler):
    """Turns one HTTP request into a Request and sends the Response."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-IIS/10.0"
    sys_version = ""
    timeout = CONNECTION_TIMEOUT
    server: Any

    def handle_any(self) -> None:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isdigit() else 0
        if size > MAX_BODY:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(size) if size else b""
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.fabric.answer(self.server.service, Request(self.command, self.path, headers, body))
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = handle_any

    def address_string(self) -> str:
        return "guest"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the record holds every request."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    fabric: "Fabric"
    service: str

    def __init__(self, fabric: "Fabric", service: str, path: str) -> None:
        self.fabric = fabric
        self.service = service
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        socketserver.UnixStreamServer.__init__(self, path, _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._slots:
            super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A guest that breaks a connection is no event; anything else belongs into the record."""
        kind = sys.exc_info()[0]
        if kind is not None and not issubclass(kind, OSError):
            self.fabric.faults.append("%s: %s" % (self.service, sys.exc_info()[1]))


class Fabric:
    """The running services of one deployment, and the record of everything the guest asked."""

    def __init__(self, deployment: Deployment, folder: str) -> None:
        self.deployment = deployment
        self.folder = folder
        self.faults: List[str] = []
        self.started = time.monotonic()
        self._lock = threading.Lock()
        self._entries: List[Entry] = []
        self._servers: List[_Server] = []
        self._serving: List[_Server] = []
        self._tenant = ""
        self._editor: Optional[dhcp.Editor] = None
        self.services = [
            Service(WIRESERVER, os.path.join(folder, "wire"), WIRESERVER_ADDRESS, 80),
            Service(HOST_PLUGIN, os.path.join(folder, "plugin"), WIRESERVER_ADDRESS, HOST_PLUGIN_PORT),
            Service(IMDS, os.path.join(folder, "imds"), IMDS_ADDRESS, 80),
        ]

    def bind(self) -> Tuple[Forward, ...]:
        """Open the sockets; gives the forwardings for QEMU. Connections wait until serve() is called."""
        relay = os.path.join(self.folder, "relay.py")
        with open(relay, "w", encoding="ascii") as stream:
            stream.write(RELAY)
        if self.deployment.certificates:
            self._tenant = make_tenant_certificate(self.folder)
        forwards = []
        for service in self.services:
            if len(os.fsencode(service.socket_path)) > SOCKET_PATH_MAX:
                raise AzurePrepError("The temporary directory %s has too long a name; set TMPDIR." % self.folder)
            server = _Server(self, service.name, service.socket_path)
            os.chmod(service.socket_path, 0o600)
            self._servers.append(server)
            words = [sys.executable or "/usr/bin/python3", "-I", "-S", relay, service.socket_path]
            forwards.append(Forward(service.address, service.port, " ".join(shlex.quote(word) for word in words)))
        out, back, sent = (os.path.join(self.folder, name) for name in ("out", "in", "sent"))
        self._editor = dhcp.Editor(out, back, sent)
        return tuple(forwards)

    @property
    def frame_sockets(self) -> Tuple[str, str, str]:
        """Where QEMU hands over frames for the guest, where it takes them back, and where it copies the guest's own."""
        if self._editor is None:
            raise AssertionError("editor must be set by now")
        return self._editor.paths

    def serve(self) -> None:
        """Answer from now on. Threads start only here: QEMU is forked before there are any."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
            self._serving.append(server)
        if self._editor is not None:
            self._editor.serve()

    def power_on(self) -> None:
        """The moment from which the record counts its seconds."""
        self.started = time.monotonic()

    def answer(self, service: str, request: Request) -> Response:
        """The answer of one service, recorded. Called from the servers' threads."""
        report: Optional[Report] = None
        if service == WIRESERVER:
            response, report = wireserver.respond(self.deployment, request, self._encrypt)
        elif service == HOST_PLUGIN:
            response = wireserver.respond_host_plugin(self.deployment, request)
        else:
            response = imds.respond(self.deployment, request)
        agent = request.headers.get("user-agent", "") or request.headers.get("x-ms-agent-name", "")
        entry = Entry(
            seconds=time.monotonic() - self.started,
            service=service,
            method=request.method,
            target=request.target[:300],
            agent=agent[:80],
            status=response.status,
            topic=response.topic,
            note=response.note[:300],
            known=response.known,
            report=report,
        )
        with self._lock:
            if len(self._entries) < MAX_ENTRIES:
                self._entries.append(entry)
        return response

    def entries(self) -> List[Entry]:
        """The record so far, oldest first."""
        with self._lock:
            return list(self._entries)

    def _encrypt(self, transport: str, cipher: str) -> str:
        return encrypt_certificates(self._tenant, self.folder, transport, cipher)

    def close(self) -> None:
        """Stop serving; connections that are open end with their relays."""
        for server in self._servers:
            if server in self._serving:
                server.shutdown()
            server.server_close()
        self._servers = []
        self._serving = []
        if self._editor is not None:
            self._editor.close()
            self._editor = None


# -- certificates ----------------------------------------------------------------------------------------------


def _openssl(arguments: List[str]) -> bytes:
    program = shutil.which("openssl")
    if program is None:
        raise AzurePrepError("The command openssl is not installed, which certificates in the goal state need.")
    done = subprocess.run(
        [program] + arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise AzurePrepError("openssl %s failed: %s" % (arguments[0], told[-1] if told else "it printed nothing"))
    return done.stdout


def make_tenant_certificate(folder: str) -> str:
    """A self-signed certificate with its key as PKCS#12 without a password; the path of the file.

    Its algorithms are those that every OpenSSL from 1.0 to 3 reads without a legacy provider.
    """
    key, certificate = os.path.join(folder, "tenant.key"), os.path.join(folder, "tenant.crt")
    bundle = os.path.join(folder, "tenant.pfx")
    line = ["req", "-x509", "-nodes", "-subj", "/CN=proof", "-days", "30", "-newkey", "rsa:2048"]
    _openssl(line + ["-keyout", key, "-out", certificate])
    line = ["pkcs12", "-export", "-inkey", key, "-in", certificate, "-out", bundle, "-passout", "pass:"]
    _openssl(line + ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"])
    return bundle


def encrypt_certificates(bundle: str, folder: str, transport: str, cipher: str) -> str:
    """The PKCS#12 file as PKCS#7 for a transport certificate (base64 without armour), in lines of base64.

    Raises ValueError where the certificate or the cipher cannot be used.
    """
    option = {"AES128_CBC": "-aes128", "DES_EDE3_CBC": "-des3"}.get(cipher.upper())
    if option is None:
        raise ValueError("the cipher %r is not known" % cipher[:40])
    body = re.sub(r"\s+", "", transport)
    if not re.match(r"^[A-Za-z0-9+/=]{100,8000}$", body):
        raise ValueError("the transport certificate is not base64")
    rows = [body[at : at + 64] for at in range(0, len(body), 64)]
    pem = "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % "\n".join(rows)
    path = os.path.join(folder, "transport-%d.pem" % threading.get_ident())
    try:
        with open(path, "w", encoding="ascii") as stream:
            stream.write(pem)
        encrypted = _openssl(["cms", "-encrypt", "-binary", "-outform", "DER", option, "-in", bundle, path])
    except (AzurePrepError, OSError, subprocess.SubprocessError) as exc:
        raise ValueError(str(exc))
    finally:
        if os.path.exists(path):
            os.unlink(path)
    # In lines: OpenSSL reads no base64 line longer than about a thousand characters.
    return base64.encodebytes(encrypted).decode("ascii")


def summary(entries: List[Entry]) -> Dict[str, int]:
    """How often each topic was asked: {"wireserver goal_state": 3, …}."""
    counts: Dict[str, int] = {}
    for entry in entries:
        key = "%s %s" % (entry.service, entry.topic)
        counts[key] = counts.get(key, 0) + 1
    return counts
