# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client for one Azure page blob, over the standard library's HTTP: the few operations that an upload needs.

Written from the Blob Storage REST reference (Put Blob, Put Page, Get Page Ranges, Get Blob, Get Blob Properties,
Set Blob Metadata, Set Blob Properties, Lease Blob), service version 2021-12-02.

Why not the official SDK: it needs some ten packages on the machine that holds the image, often a KVM host with
Python 3.6, and its page-blob path reads every hole of a sparse file and tests each byte of it in Python. The
protocol itself is eight requests.

The secret part of an address never leaves this file: every text that does goes through Address.scrub().

Private to the collection: its interface may change in any release.
"""

import base64
import binascii
import calendar
import email.utils
import hashlib
import http.client
import ipaddress
import math
import random
import re
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: First version with paged Get Page Ranges is 2020-10-02; this one is known to every cloud and to emulators.
SERVICE_VERSION = "2021-12-02"

#: Largest body of Put Page, and largest range that the service hashes on request.
MAX_RANGE = 4 * 1024 * 1024

#: Answers worth another try: the service is busy, restarting, or a gateway between gave up.
BUSY_STATUSES = (429, 503)
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)

#: Tries of one request when others go through meanwhile; a blob whose one range always fails must end.
MAX_TRIES = 10

#: Tries of the very first request when nobody answers at all: a mistyped host should not take minutes.
FIRST_TRIES = 4

#: Longest pause between two tries, and longest Retry-After that is obeyed, seconds.
MAX_PAUSE = 30.0
MAX_RETRY_AFTER = 120.0

#: Data goes to the socket in pieces of this size, so that the time-out means "no progress", not "slow line".
SEND_PIECE = 256 * 1024

#: Answers are read in pieces of this size.
READ_PIECE = 64 * 1024

#: Largest answer that is read: a page list of about a million ranges.
MAX_ANSWER = 96 * 1024 * 1024

#: Page ranges asked for in one answer (the service's maximum).
PAGE_LIST_CHUNK = 10000

#: Below this a range is read back whole on the open connection; above, the connection is dropped after the headers.
PEEK_FROM = 128 * 1024

Range = Tuple[int, int]


class BlobError(AzurePrepError):
    """The service refused: status and code as it gave them. status 0: no answer at all."""

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message, http_status=status, error_code=code)
        self.status = status
        self.code = code


class Stopped(Exception):
    """The upload is being given up; a waiting thread ends with this."""


class Response(NamedTuple):
    """An answer: header names are lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes


class BlobState(NamedTuple):
    """What Get Blob Properties tells. lease: "" where nobody holds one, else "fixed" or "infinite"."""

    length: int
    blob_type: str
    etag: str
    metadata: Dict[str, str]
    content_md5: str
    lease: str


def md5(data: Any = b"") -> Any:
    """hashlib.md5 as a checksum, also where the system forbids it as a cryptographic hash (FIPS mode)."""
    not_secret: Dict[str, Any] = {"usedforsecurity": False}  # Python 3.9, and 3.6 as Red Hat ships it
    for options in (not_secret, {}):
        try:
            return hashlib.md5(data, **options)
        except TypeError:
            continue
        except ValueError:
            break
    raise AzurePrepError("Python on this machine refuses MD5, which Azure's checksums need; upload from another.")


# -- addresses and secrets ---------------------------------------------------------------------------------------


class Address:
    """Where the blob is. `public` names it without the token; `host`, `path` and `query` go into requests."""

    def __init__(self, url: str, allow_http: bool = False) -> None:
        text = url.strip()
        if re.search(r"[\x00-\x20\x7f]", text):
            raise AzurePrepError("The blob URL holds white space or control characters; copy it again, in one line.")
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port
            host = parts.hostname or ""
        except ValueError:
            raise AzurePrepError("The blob URL is not a URL: its host or port cannot be read.")
        if parts.scheme not in ("https", "http") or not host:
            raise AzurePrepError("The blob URL must begin with https:// and name a host.")
        if parts.username is not None:
            raise AzurePrepError("The blob URL must not carry a user name or password; use a SAS token.")
        segments = [segment for segment in parts.path.split("/") if segment]
        if len(segments) < (3 if _is_ip(host) else 1) or parts.path.endswith("/"):
            raise AzurePrepError("The blob URL names no blob: %s://%s%s" % (parts.scheme, parts.netloc, parts.path))
        self.secure = parts.scheme == "https"
        self.host = host
        self.port = port or (443 if self.secure else 80)
        self.netloc = parts.netloc
        self.path = urllib.parse.quote(parts.path, safe="/%$-_.~!*'(),+=@:;&")
        self.query = parts.query
        self.public = "%s://%s%s" % (parts.scheme, parts.netloc, parts.path)
        fields = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
        self.signature = fields.get("sig", [""])[0]
        self.permissions = fields.get("sp", [""])[0]
        self.expires = fields.get("se", [""])[0]
        self.secrets = set()  # type: ignore[var-annotated]
        for secret in (self.query, self.signature, urllib.parse.quote(self.signature, safe="")):
            self.hide(secret)
        if not self.secure and not allow_http and not is_loopback(host):
            raise AzurePrepError(
                "The blob URL is plain http: its token could be read on the way. Use https, or allow_http for a"
                " test server on a network you trust."
            )

    @property
    def is_managed_disk(self) -> bool:
        """True for the hosts that upload SAS tokens of managed disks name (md-..., md-impexp-...)."""
        return self.host.startswith("md-")

    def hide(self, secret: str) -> None:
        """From now on scrub() removes this text."""
        if len(secret) >= 4:
            self.secrets.add(secret)

    def scrub(self, text: str) -> str:
        """The text without any secret that is known, and without anything that looks like a signature."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "<hidden>")
        text = re.sub(r"(?i)\b(sig=)[^&\s'\"<>]+", r"\1<hidden>", text)
        return re.sub(r"(?i)\b(bearer )[\w.~+/-]+=*", r"\1<hidden>", text)

    def expired(self) -> bool:
        """True where the token's own end (se) has passed."""
        try:
            text = self.expires.replace("Z", "")
            for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
                try:
                    moment = time.strptime(text.split(".")[0], form)
                except ValueError:
                    continue
                return time.time() > calendar.timegm(moment)
        except (OverflowError, ValueError):
            return False
        return False


def _is_ip(host: str) -> bool:
    """Emulators are reached by address, or as localhost, and have the account's name as first path segment."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def is_loopback(host: str) -> bool:
    """True for this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def blob_url(account_url: str, container: str, blob: str) -> str:
    """The address of a blob from its three parts; each is checked against the naming rules of the service."""
    if "?" in account_url or "#" in account_url:
        raise AzurePrepError("account_url must end after the account; a SAS token belongs into url, with the blob.")
    if not re.match(r"^(\$root|\$web|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9])$", container):
        raise AzurePrepError(
            "%r is no container name: 3 to 63 lower-case letters, digits and single hyphens, no hyphen at the ends."
            % container
        )
    if not blob or len(blob) > 1024 or blob.startswith("/") or blob.endswith(("/", ".")):
        raise AzurePrepError("%r is no blob name: 1 to 1024 characters, no slash at the ends, no dot last." % blob)
    return "%s/%s/%s" % (account_url.rstrip("/"), container, urllib.parse.quote(blob, safe="/-_.~"))


# -- pace --------------------------------------------------------------------------------------------------------


class Pace:
    """How many requests may be under way: halved when the service is busy, one more after a calm stretch."""

    CALM_STRETCH = 24

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = most
        self._running = 0
        self._calm = 0
        self._not_before = 0.0
        self._halved = 0.0
        self._stopped = False
        self._condition = threading.Condition()

    @property
    def limit(self) -> int:
        return self._limit

    def enter(self) -> None:
        """Wait for a place, and for the end of a pause that the service asked for."""
        with self._condition:
            while True:
                if self._stopped:
                    raise Stopped()
                wait = self._not_before - time.monotonic()
                if wait <= 0 and self._running < self._limit:
                    self._running += 1
                    return
                self._condition.wait(wait if wait > 0 else None)

    def leave(self, fine: bool) -> None:
        with self._condition:
            self._running -= 1
            if fine:
                self._calm += 1
                if self._calm >= self.CALM_STRETCH and self._limit < self._most:
                    self._limit += 1
                    self._calm = 0
            self._condition.notify_all()

    def busy(self, pause: float) -> None:
        """The service said that it is busy: fewer requests, and none before `pause` seconds have passed."""
        with self._condition:
            now = time.monotonic()
            if now - self._halved > 1.0:  # eight threads told the same thing at once: that is one sign, not eight
                self._limit = max(1, self._limit // 2)
                self._halved = now
            self._calm = 0
            self._not_before = max(self._not_before, now + pause)
            self._condition.notify_all()

    def sleep(self, seconds: float) -> None:
        """A pause of this thread alone, cut short by stop()."""
        end = time.monotonic() + seconds
        with self._condition:
            while not self._stopped:
                wait = end - time.monotonic()
                if wait <= 0:
                    return
                self._condition.wait(wait)
        raise Stopped()

    def stop(self) -> None:
        """Everybody who waits here ends with Stopped."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()


def retry_after(headers: Dict[str, str], now: Optional[float] = None) -> float:
    """Seconds that a Retry-After header asks for (a number or a date); 0.0 where there is none or it is odd."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        parsed = email.utils.parsedate_tz(text)
        if parsed is None:
            return 0.0
        try:
            seconds = email.utils.mktime_tz(parsed) - (time.time() if now is None else now)
        except (OverflowError, ValueError):
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER)


# -- answers -----------------------------------------------------------------------------------------------------


def error_of(response: Response) -> Tuple[str, str]:
    """(code, message) of a refusal: from the x-ms-error-code header, else from the XML or JSON-less body."""
    text = response.body[:65536].decode("utf-8", "replace")
    code = response.headers.get("x-ms-error-code", "")
    if not code:
        found = re.search(r"<Code>\s*([A-Za-z0-9]+)\s*</Code>", text)
        code = found.group(1) if found else ""
    found = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    message = " ".join(found.group(1).split("RequestId:")[0].split()) if found else ""
    detail = re.search(r"<AuthenticationErrorDetail>(.*?)</AuthenticationErrorDetail>", text, re.DOTALL)
    if detail:
        message = (message + " " + " ".join(detail.group(1).split())).strip()
    return code, message


_PAGE_ITEM = re.compile(rb"<PageRange>\s*<Start>\s*(\d{1,15})\s*</Start>\s*<End>\s*(\d{1,15})\s*</End>\s*</PageRange>")
_NEXT_MARKER = re.compile(rb"<NextMarker>([^<]+)</NextMarker>")


def parse_page_list(body: bytes) -> Tuple[List[Range], str]:
    """(ranges with exclusive ends, marker of the next part or "") of a Get Page Ranges answer.

    Raises AzurePrepError for anything that is no page list, is unsorted or overlaps.
    """
    if b"<PageList" not in body:
        raise AzurePrepError("The server's answer to Get Page Ranges is no page list; is this Azure Blob Storage?")
    ranges: List[Range] = []
    for found in _PAGE_ITEM.finditer(body):
        start, end = int(found.group(1)), int(found.group(2)) + 1
        if end <= start or (ranges and start < ranges[-1][1]):
            raise AzurePrepError("The server's page list is out of order at byte %d." % start)
        if ranges and start == ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((start, end))
    marker = _NEXT_MARKER.search(body)
    return ranges, marker.group(1).decode("utf-8", "replace").strip() if marker else ""


def _read_all(answer: http.client.HTTPResponse) -> bytes:
    """The body, in small pieces: read(n) of Python before 3.10 reserves n bytes, however few there are."""
    pieces: List[bytes] = []
    size = 0
    while size <= MAX_ANSWER:
        piece = answer.read(READ_PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    raise http.client.HTTPException("the answer is longer than %d bytes" % MAX_ANSWER)


class _Lines:
    """A stream of which only lines are read; remembers whether the last one was empty, which is the end of the data."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.ended = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        self.ended = not line
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Answer(http.client.HTTPResponse):
    """An answer whose header is whole. http.client takes the end of the connection for the end of the header, and
    would hand out half an ETag."""

    def begin(self) -> None:
        stream = self.fp
        lines = _Lines(stream)
        self.fp = lines  # type: ignore[assignment]
        super().begin()
        if self.fp is lines:  # type: ignore[comparison-overlap]
            self.fp = stream
        if lines.ended:
            self.close()
            raise http.client.IncompleteRead(b"")


# -- the client --------------------------------------------------------------------------------------------------


class Policy(NamedTuple):
    """Patience: requests at a time, seconds without progress on a socket, seconds without any success at all."""

    parallel: int = 8
    timeout: float = 60.0
    retry_seconds: float = 300.0
    first_pause: float = 0.5


class PageBlobClient:
    """The operations on one page blob, safe to call from many threads; each thread has its own connection.

    bearer: where given, returns the value of a token for the Authorization header; called as bearer(fresh), with
    fresh=True after the service refused the last one.
    fault, for tests only: called as fault(step) before each request is sent; it may raise.
    """

    def __init__(
        self,
        address: Address,
        policy: Policy,
        bearer: Optional[Callable[[bool], str]] = None,
        fault: Optional[Callable[[str], None]] = None,
    ) -> None:
        self.address = address
        self.policy = policy
        self.pace = Pace(policy.parallel)
        self.lease_id = ""
        self.retries = 0
        self.body_bytes = 0
        self.requests = 0
        self._bearer = bearer
        self._fault = fault
        self._local = threading.local()
        self._lock = threading.Lock()
        self._success = time.monotonic()
        self._succeeded = False
        self._open: List[http.client.HTTPConnection] = []
        self._context: Optional[ssl.SSLContext] = ssl.create_default_context() if address.secure else None
        self._proxy = _proxy_of(address)

    # -- plumbing ------------------------------------------------------------------------------------------------

    def _connect(self) -> http.client.HTTPConnection:
        address = self.address
        host, port = (self._proxy.host, self._proxy.port) if self._proxy else (address.host, address.port)
        if address.secure:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self.policy.timeout, context=self._context
            )
            if self._proxy:
                connection.set_tunnel(address.host, address.port, headers=self._proxy.headers)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.policy.timeout)
        connection.response_class = _Answer
        connection.connect()
        with self._lock:
            self._open.append(connection)
        return connection

    def _drop(self, connection: Optional[http.client.HTTPConnection]) -> None:
        if connection is None:
            return
        connection.close()
        with self._lock:
            if connection in self._open:
                self._open.remove(connection)
        if getattr(self._local, "connection", None) is connection:
            self._local.connection = None

    def close(self) -> None:
        """Close every connection, also those of other threads."""
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            connection.close()

    def _target(self, query: Dict[str, str]) -> str:
        pairs = "&".join("%s=%s" % (key, urllib.parse.quote(value, safe="")) for key, value in query.items())
        whole = "&".join(part for part in (pairs, self.address.query) if part)
        prefix = ""
        if self._proxy and not self.address.secure:
            prefix = "http://" + self.address.netloc
        return prefix + self.address.path + ("?" + whole if whole else "")

    def _exchange(
        self, method: str, target: str, headers: Dict[str, str], body: Optional[memoryview], peek: bool
    ) -> Response:
        """One request and its answer on this thread's connection; OSError or HTTPException when it breaks."""
        connection = None if peek else getattr(self._local, "connection", None)
        reused = connection is not None
        try:
            if connection is None:
                connection = self._connect()
                if peek:
                    # Only the headers are wanted: keep the kernel from fetching the body into its buffer.
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                else:
                    self._local.connection = connection
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            try:
                connection.endheaders()
                position = 0
                while body is not None and position < len(body):
                    connection.send(body[position : position + SEND_PIECE])
                    position += SEND_PIECE
            except (BrokenPipeError, ConnectionResetError):
                # The server may have answered before it had read everything; without an answer this raises again.
                answer = connection.getresponse()
            else:
                answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            wanted = not (peek and answer.status in (200, 206) and fields.get("content-md5"))
            content = _read_all(answer) if wanted else b""
            length = fields.get("content-length", "")
            if wanted and method != "HEAD" and length.isdigit() and len(content) < int(length):
                raise http.client.IncompleteRead(content)
            if peek or answer.will_close:
                self._drop(connection)
            return Response(answer.status, fields, content)
        except (OSError, http.client.HTTPException) as exc:
            self._drop(connection)
            if reused and isinstance(exc, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
                # An idle connection that the server had closed meanwhile says nothing about this request.
                return self._exchange(method, target, headers, body, peek)
            raise
        except BaseException:
            self._drop(connection)
            raise

    def request(
        self,
        method: str,
        query: Optional[Dict[str, str]] = None,
        headers: Optional[Dict[str, str]] = None,
        body: Any = None,
        okay: Tuple[int, ...] = (200,),
        peek: bool = False,
        lease: bool = False,
    ) -> Response:
        """Send until one of the `okay` statuses comes back; BlobError for a refusal or when patience ends."""
        step = "%s %s" % (method, (query or {}).get("comp", "blob"))
        view = memoryview(body) if body is not None else None
        tries = 0
        started = time.monotonic()
        fresh = False
        while True:
            if self._fault is not None:
                self._fault(step)
            sent = dict(headers or {})
            sent["x-ms-version"] = SERVICE_VERSION
            sent["x-ms-date"] = email.utils.formatdate(usegmt=True)
            sent["User-Agent"] = "linuxvhd.azure"
            if lease and self.lease_id:
                sent["x-ms-lease-id"] = self.lease_id
            if view is not None:
                sent["Content-Length"] = str(len(view))
            elif method == "PUT":
                sent["Content-Length"] = "0"
            if self._bearer is not None:
                sent["Authorization"] = "Bearer " + self._bearer(fresh)
            if self._proxy and not self.address.secure:
                sent.update(self._proxy.headers)
            tries += 1
            pause = 0.0
            self.pace.enter()
            fine = False
            try:
                with self._lock:
                    self.requests += 1
                    if view is not None:
                        self.body_bytes += len(view)
                answer = self._exchange(method, self._target(query or {}), sent, view, peek)
                fine = answer.status not in RETRY_STATUSES
            except (OSError, http.client.HTTPException) as exc:
                answer = None
                problem = self._reason(exc)
                if _is_certificate_error(exc):
                    raise BlobError("%s does not prove its identity: %s" % (self.address.host, problem))
            finally:
                self.pace.leave(fine)
            if answer is not None:
                if answer.status in okay:
                    self._note_success()
                    return answer
                code, message = error_of(answer)
                if answer.status == 401 and self._bearer is not None and not fresh:
                    fresh = True
                    continue
                damaged = answer.status == 400 and code == "Md5Mismatch"
                if answer.status not in RETRY_STATUSES and not damaged:
                    self._note_success()
                    raise self._refusal(step, answer.status, code, message)
                problem = "it answered %d %s" % (answer.status, code or message or "without a reason")
                pause = retry_after(answer.headers)
            with self._lock:
                self.retries += 1
            self._give_up(step, answer, tries, started, problem)
            backoff = min(self.policy.first_pause * 2 ** min(tries - 1, 10), MAX_PAUSE)
            pause = max(pause, backoff * random.uniform(0.5, 1.0))
            if answer is not None and answer.status in BUSY_STATUSES:
                self.pace.busy(pause)
            else:
                self.pace.sleep(pause)

    def _note_success(self) -> None:
        self._success = time.monotonic()
        self._succeeded = True

    def _give_up(self, step: str, answer: Optional[Response], tries: int, started: float, problem: str) -> None:
        """Raise when patience has ended: no success anywhere for long, or this one request failed too often."""
        now = time.monotonic()
        quiet = now - max(started, self._success)
        busy = answer is not None and answer.status in BUSY_STATUSES
        silent = answer is None and not self._succeeded
        if quiet < self.policy.retry_seconds and (busy or tries < (FIRST_TRIES if silent else MAX_TRIES)):
            return
        raise BlobError(
            "%s did not accept a request (%s) in %d tries over %d seconds; the last time %s."
            % (self.address.host, step, tries, now - started, problem),
            status=answer.status if answer is not None else 0,
        )

    def _reason(self, exc: BaseException) -> str:
        if isinstance(exc, socket.timeout):
            text = "nothing moved for %d seconds" % self.policy.timeout
        elif isinstance(exc, socket.gaierror):
            text = "the host name %s is not known (%s)" % (self.address.host, exc.strerror)
        elif isinstance(exc, http.client.RemoteDisconnected):
            text = "the connection was closed without an answer"
        elif isinstance(exc, http.client.BadStatusLine):
            text = "what came back was not HTTP; is there a proxy in between?"
        elif isinstance(exc, http.client.IncompleteRead):
            text = "the connection was cut within an answer"
        elif isinstance(exc, OSError) and exc.strerror:
            text = exc.strerror.lower()
        else:
            text = str(exc) or type(exc).__name__
        return self.address.scrub(text)

    def _refusal(self, step: str, status: int, code: str, message: str) -> BlobError:
        """The service's refusal as a sentence with a remedy."""
        where = self.address.public
        said = " (%d %s)" % (status, code or "without a code")
        remedy = _REMEDIES.get(code)
        if status in (401, 403) and (self.address.expired() or "not valid in the specified time frame" in message):
            remedy = "The SAS token of %s has expired%s; make a new one and run the same again."
            return BlobError(
                remedy % (where, " (its end was %s)" % self.address.expires if self.address.expires else ""),
                status,
                code,
            )
        if remedy is None and status in (401, 403):
            remedy = "Access to %s was refused; check that the token is for this blob and has read and write permission"
        if remedy is not None:
            return BlobError((remedy % where) + said + ".", status, code)
        detail = ": " + self.address.scrub(message)[:400].rstrip(".") if message else ""
        return BlobError("%s refused %s%s%s." % (where, step, said, detail), status, code)

    # -- operations ----------------------------------------------------------------------------------------------

    def properties(self) -> Optional[BlobState]:
        """The blob's state; None where there is no such blob."""
        answer = self.request("HEAD", okay=(200, 404))
        if answer.status == 404:
            if answer.headers.get("x-ms-error-code") == "ContainerNotFound":
                raise self._refusal("HEAD", 404, "ContainerNotFound", "")
            return None
        fields = answer.headers
        lease = ""
        if fields.get("x-ms-lease-status", "unlocked") == "locked":
            lease = fields.get("x-ms-lease-duration", "fixed")
        prefix = "x-ms-meta-"
        length = fields.get("content-length", "")
        return BlobState(
            length=int(length) if length.isdigit() else -1,
            blob_type=fields.get("x-ms-blob-type", ""),
            etag=fields.get("etag", ""),
            metadata={name[len(prefix) :]: value for name, value in fields.items() if name.startswith(prefix)},
            content_md5=fields.get("content-md5", ""),
            lease=lease,
        )

    def create(self, size: int, metadata: Dict[str, str], replace: str = "") -> str:
        """Put Blob: an empty page blob of `size` bytes; returns its ETag.

        replace: ETag of the blob that may be replaced; without it, the blob must not exist (If-None-Match: *).
        """
        headers = {
            "x-ms-blob-type": "PageBlob",
            "x-ms-blob-content-length": str(size),
            "x-ms-blob-content-type": "application/octet-stream",
        }
        headers.update({"x-ms-meta-" + name: value for name, value in metadata.items()})
        headers["If-Match" if replace else "If-None-Match"] = replace or "*"
        answer = self.request("PUT", headers=headers, okay=(201,), lease=True)
        return answer.headers.get("etag", "")

    def put_pages(self, offset: int, data: Any, checksum: bytes) -> bool:
        """Write pages. True when the service returned the same MD5, computed from what arrived there.

        False says that it has to be read back: nothing came back, or another MD5 did. An empty checksum sends none, and
        nothing is then certain.
        """
        encoded = base64.b64encode(checksum).decode("ascii")
        headers = {
            "x-ms-page-write": "update",
            "x-ms-range": "bytes=%d-%d" % (offset, offset + len(data) - 1),
            "Content-Type": "application/octet-stream",
        }
        if checksum:
            headers["Content-MD5"] = encoded
        answer = self.request("PUT", {"comp": "page"}, headers, data, okay=(201,), lease=True)
        returned = answer.headers.get("content-md5", "")
        return bool(checksum) and returned == encoded

    def clear_pages(self, offset: int, length: int) -> None:
        """Make pages read as zeros and vanish from the page list."""
        headers = {"x-ms-page-write": "clear", "x-ms-range": "bytes=%d-%d" % (offset, offset + length - 1)}
        self.request("PUT", {"comp": "page"}, headers, okay=(201,), lease=True)

    def page_ranges(self, size: int) -> List[Range]:
        """What the blob holds: sorted, disjoint ranges with exclusive ends, neighbours joined."""
        ranges: List[Range] = []
        marker = ""
        while True:
            query = {"comp": "pagelist", "maxresults": str(PAGE_LIST_CHUNK)}
            if marker:
                query["marker"] = marker
            part, following = parse_page_list(self.request("GET", query).body)
            for start, end in part:
                if end > size or (ranges and start < ranges[-1][1]):
                    raise AzurePrepError("The page list of %s does not fit its size." % self.address.public)
                if ranges and start == ranges[-1][1]:
                    ranges[-1] = (ranges[-1][0], end)
                else:
                    ranges.append((start, end))
            if not following:
                return ranges
            if following == marker or not part:
                raise AzurePrepError("The page list of %s does not end." % self.address.public)
            marker = following

    def range_md5(self, offset: int, length: int) -> bytes:
        """The MD5 of a stored range of at most 4 MiB, computed by the service from what it holds.

        The service sends the range along; for a long one the connection is dropped after the headers, so that
        little of it crosses the line. A service that returns no checksum is read to the end and hashed here.
        """
        headers = {
            "x-ms-range": "bytes=%d-%d" % (offset, offset + length - 1),
            "x-ms-range-get-content-md5": "true",
        }
        answer = self.request("GET", headers=headers, okay=(200, 206), peek=length > PEEK_FROM)
        returned = answer.headers.get("content-md5", "")
        if answer.body:
            if len(answer.body) != length:
                raise BlobError(
                    "%s returned %d bytes where %d were asked for." % (self.address.public, len(answer.body), length)
                )
            return bytes(md5(answer.body).digest())
        try:
            return base64.b64decode(returned, validate=True)
        except (binascii.Error, ValueError):
            return b""

    def set_metadata(self, metadata: Dict[str, str]) -> None:
        headers = {"x-ms-meta-" + name: value for name, value in metadata.items()}
        self.request("PUT", {"comp": "metadata"}, headers, lease=True)

    def set_content_md5(self, encoded: str) -> None:
        """Set the blob's Content-MD5 property (base64); other content properties would be cleared, so set them."""
        headers = {"x-ms-blob-content-md5": encoded, "x-ms-blob-content-type": "application/octet-stream"}
        self.request("PUT", {"comp": "properties"}, headers, lease=True)

    def acquire_lease(self, lease_id: str, seconds: int, etag: str = "") -> None:
        """Take the blob for us: nobody else may write while the lease lasts. The same id takes it over again."""
        headers = {
            "x-ms-lease-action": "acquire",
            "x-ms-lease-duration": str(seconds),
            "x-ms-proposed-lease-id": lease_id,
        }
        if etag:
            headers["If-Match"] = etag
        self.request("PUT", {"comp": "lease"}, headers, okay=(200, 201))
        self.lease_id = lease_id

    def renew_lease(self) -> None:
        headers = {"x-ms-lease-action": "renew", "x-ms-lease-id": self.lease_id}
        self.request("PUT", {"comp": "lease"}, headers)

    def release_lease(self) -> None:
        headers = {"x-ms-lease-action": "release", "x-ms-lease-id": self.lease_id}
        self.lease_id = ""
        self.request("PUT", {"comp": "lease"}, headers)


_LEASED = "Someone else holds the lease of %s, so nothing was written past it; wait for them, or break the lease"
_LOST = "The lease of %s was taken by someone else while the upload ran, so it stopped writing"

#: What the service's error codes mean for an upload.
_REMEDIES = {
    "LeaseIdMissing": _LEASED,
    "LeaseAlreadyPresent": _LEASED,
    "LeaseIdMismatchWithLeaseOperation": _LOST,
    "LeaseIdMismatchWithBlobOperation": _LOST,
    "LeaseNotPresentWithBlobOperation": _LOST,
    "LeaseNotPresentWithLeaseOperation": _LOST,
    "LeaseIsBrokenAndCannotBeRenewed": _LOST,
    "LeaseIsBreakingAndCannotBeAcquired": _LEASED,
    "LeaseLost": _LOST,
    "BlobAlreadyExists": "%s exists already; set overwrite to replace it",
    "ConditionNotMet": "%s was changed by someone else at the same moment; look at it and run again",
    "BlobNotFound": "%s was deleted while the upload ran",
    "ContainerNotFound": "The container of %s does not exist; create it first",
    "ContainerBeingDeleted": "The container of %s is being deleted; wait, or use another",
    "InvalidBlobType": "%s exists and is no page blob; set overwrite to replace it",
    "BlobImmutableDueToPolicy": "%s may not be changed: an immutability policy protects it",
    "AuthorizationPermissionMismatch": "The token may not do this to %s; it needs the permissions"
    " read, create and write (sp=rcw), a credential the role Storage Blob Data Contributor",
    "AuthenticationFailed": "The token was not accepted for %s; check that it was copied whole and is for this blob",
    "InvalidAuthenticationInfo": "The token was not accepted for %s",
    "AuthorizationFailure": "Access to %s was refused; look at the firewall and network rules of the storage account",
    "PublicAccessNotPermitted": "%s needs a token: add the SAS to url",
    "NoAuthenticationInformation": "%s needs a token: add the SAS to url",
    "ResourceNotFound": "%s does not exist",
    "AccountIsDisabled": "The storage account of %s is disabled",
    "FeatureNotSupportedByHierarchicalNamespace": "%s is in an account with a hierarchical namespace, which has no"
    " page blobs; use a general-purpose v2 account without it",
    "UnsupportedHeader": "%s does not take page blobs; use a general-purpose v2 account",
}


# -- proxies -----------------------------------------------------------------------------------------------------


class Proxy(NamedTuple):
    host: str
    port: int
    headers: Dict[str, str]


def _proxy_of(address: Address) -> Optional[Proxy]:
    """The proxy that the environment names for this address (https_proxy, http_proxy, no_proxy)."""
    if is_loopback(address.host) or urllib.request.proxy_bypass(address.host):
        return None
    text = urllib.request.getproxies().get("https" if address.secure else "http", "")
    if not text:
        return None
    try:
        parts = urllib.parse.urlsplit(text if "://" in text else "http://" + text)
        host, port = parts.hostname, parts.port or 3128
    except ValueError:
        raise AzurePrepError("The proxy that the environment names is not a URL; correct https_proxy.")
    if not host or parts.scheme not in ("http", ""):
        raise AzurePrepError("Only http:// proxies are supported; correct https_proxy or add the host to no_proxy.")
    headers: Dict[str, str] = {}
    if parts.username is not None:
        pair = "%s:%s" % (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
        encoded = base64.b64encode(pair.encode("utf-8")).decode("ascii")
        headers["Proxy-Authorization"] = "Basic " + encoded
        address.hide(encoded)
        address.hide(urllib.parse.unquote(parts.password or ""))
    return Proxy(host, port, headers)


def _is_certificate_error(exc: BaseException) -> bool:
    if not isinstance(exc, (ssl.SSLError, ssl.CertificateError)):
        return False
    return "certificate" in str(exc).lower()


def iter_pieces(begin: int, end: int, size: int = MAX_RANGE) -> Iterator[Range]:
    """A range cut at multiples of `size`."""
    while begin < end:
        stop = min(end, begin - begin % size + size)
        yield begin, stop
        begin = stop
