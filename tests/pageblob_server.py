"""A strict page-blob server: what Azure Blob Storage enforces and emulators let pass, and faults on demand.

Enforced, from the REST reference: alignment to 512 bytes, 4 MiB a request (413), ranges inside the blob (416),
Content-MD5 (400), leases and conditions (409, 412), SAS signature, permissions and end (403), the managed disk's
upload mode (pages only). Page lists come merged and in parts. It shares no code with the client.

    python tests/pageblob_server.py --port 10000 [--null] [--latency 0.025] [--rate 62914560]
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import hashlib
import hmac
import http.server
import io
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

ACCOUNT = "devstoreaccount1"
#: The key of every storage emulator, published in its documentation: no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
MAX_PUT = 4 * 1024 * 1024
PAGE = 512


def sas(
    container: str,
    blob: str,
    permissions: str = "rcw",
    expires: str = "2099-01-01T00:00:00Z",
    key: str = KEY,
    account: str = ACCOUNT,
) -> str:
    """A service SAS for one blob, as query text (string-to-sign of version 2020-12-06 and later)."""
    version = "2021-12-02"
    fields = [permissions, "", expires, f"/blob/{account}/{container}/{blob}", "", "", "", version, "b"]
    text = "\n".join([*fields, "", "", "", "", "", "", ""])
    signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
    return urllib.parse.urlencode({"sv": version, "sr": "b", "sp": permissions, "se": expires, "sig": signature})


class Ranges:
    """Sorted, disjoint, merged intervals."""

    def __init__(self) -> None:
        self.items: list[tuple[int, int]] = []

    def remove(self, begin: int, end: int) -> None:
        kept: list[tuple[int, int]] = []
        for low, high in self.items:
            if high <= begin or low >= end:
                kept.append((low, high))
                continue
            if low < begin:
                kept.append((low, begin))
            if high > end:
                kept.append((end, high))
        self.items = kept

    def add(self, begin: int, end: int) -> None:
        import bisect

        first = bisect.bisect_left(self.items, (begin, 0))
        if first and self.items[first - 1][1] >= begin:
            first -= 1
        last = first
        while last < len(self.items) and self.items[last][0] <= end:
            begin, end = min(begin, self.items[last][0]), max(end, self.items[last][1])
            last += 1
        self.items[first:last] = [(begin, end)]


@dataclass
class Blob:
    size: int
    file: int
    kind: str = "PageBlob"
    metadata: dict[str, str] = field(default_factory=dict)
    content_md5: str = ""
    etag: str = '"0"'
    ranges: Ranges = field(default_factory=Ranges)
    lease_id: str = ""
    lease_end: float = 0.0  # monotonic; 0 with an id: infinite
    stale_lease: str = ""

    def leased(self) -> bool:
        if self.lease_id and self.lease_end and time.monotonic() > self.lease_end:
            self.stale_lease, self.lease_id = self.lease_id, ""
        return bool(self.lease_id)

    def content(self) -> bytes:
        return os.pread(self.file, self.size, 0).ljust(self.size, b"\0")


class Refused(Exception):
    def __init__(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.headers = status, code, headers or {}


class Drop(Exception):
    """Close the connection without a word."""


@dataclass
class Seen:
    """One request as it arrived. `target` holds the query, secrets included: tests look for leaks elsewhere."""

    number: int
    method: str
    comp: str
    target: str
    headers: dict[str, str]


#: A fault looks at a request and returns None, or one of: "drop" (before it is done), "lose" (after it is done,
#: without an answer), "half" (after it is done, within the answer), "wrong md5" (after it is done, the answer tells
#: another checksum), "flip" (a bit of the body is turned on its way), Refused (answer with it), seconds (wait).
Fault = Callable[[Seen], "None | str | float | Refused"]


class PageBlobServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int = 0,
        *,
        null: bool = False,
        disk: bool = False,
        key: str | None = KEY,
        bearer: str | None = None,
        fault: Fault | None = None,
        latency: float = 0.0,
        rate: float = 0.0,
        page_list: int = 10000,
        echo_md5: bool = True,
        range_md5: bool = True,
        folder: str | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.null, self.disk, self.key, self.bearer, self.fault = null, disk, key, bearer, fault
        self.latency, self.rate, self.page_list = latency, rate, page_list
        self.echo_md5, self.range_md5, self.folder = echo_md5, range_md5, folder
        self.lock = threading.RLock()
        self.blobs: dict[str, Blob] = {}
        self.containers = {f"/{ACCOUNT}/images"}
        self.seen: list[Seen] = []
        self.count = 0
        self.put_bytes = 0
        self.puts: list[tuple[int, int]] = []
        self.most_at_once = self._at_once = 0
        self._etag = 0
        self._rate_free = 0.0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def url(self, blob: str = "disk.vhd", **options: str) -> str:
        token = sas("images", blob, **options)
        return f"{self.base}/images/{urllib.parse.quote(blob)}?{token}"

    def blob(self, name: str = "disk.vhd") -> Blob:
        return self.blobs[f"/{ACCOUNT}/images/{name}"]

    def add(self, size: int, name: str = "disk.vhd", kind: str = "PageBlob", data: bytes = b"") -> Blob:
        """A blob that is there before the test begins."""
        blob = Blob(size, self.new_file(), kind, etag=self.next_etag())
        if data:
            os.pwrite(blob.file, data, 0)
            blob.ranges.add(0, len(data))
        self.blobs[f"/{ACCOUNT}/images/{name}"] = blob
        return blob

    def new_file(self) -> int:
        handle, name = tempfile.mkstemp(dir=self.folder)
        os.unlink(name)
        return handle

    def next_etag(self) -> str:
        self._etag += 1
        return f'"0x{self._etag:08X}"'

    def throttle(self, size: int) -> None:
        if not self.rate:
            return
        with self.lock:
            now = time.monotonic()
            self._rate_free = max(self._rate_free, now) + size / self.rate
            wait = self._rate_free - now
        time.sleep(wait)

    @contextlib.contextmanager
    def running(self) -> Iterator[PageBlobServer]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that vanish are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PageBlobServer
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    do_PUT = do_HEAD = do_DELETE = do_GET

    def serve(self) -> None:
        server = self.server
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.lock:
            server.count += 1
            seen = Seen(server.count, self.command, query.get("comp", "blob"), self.path, headers)
            if not server.null:
                server.seen.append(seen)
            server._at_once += 1
            server.most_at_once = max(server.most_at_once, server._at_once)
        action = server.fault(seen) if server.fault else None
        try:
            if isinstance(action, (int, float)):
                time.sleep(action)
            if server.latency:
                time.sleep(server.latency)
            if action == "drop":
                raise Drop
            if action == "cut":  # in the middle of the body
                self.rfile.read(int(headers.get("content-length", "0")) // 2)
                raise Drop
            body = self.read_body(headers)
            if isinstance(action, Refused):
                raise action
            if action == "flip" and body:
                body = bytes([body[0] ^ 1]) + body[1:]
            self.authorize(parts.path, query, headers)
            status, answer, content = self.dispatch(parts.path, query, headers, body)
            if action == "lose":
                raise Drop
            if action == "wrong md5" and "Content-MD5" in answer:
                answer["Content-MD5"] = base64.b64encode(bytes(16)).decode()
            if action == "half":
                self.half_answer(status, answer, content)
            self.answer(status, answer, content)
        except Refused as refused:
            text = (
                f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refused.code}</Code><Message>'
                f"{refused.code} at {self.path}\nRequestId:0</Message></Error>"
            )
            self.answer(refused.status, {"x-ms-error-code": refused.code, **refused.headers}, text.encode())
        except (Drop, ConnectionError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            with server.lock:
                server._at_once -= 1

    def read_body(self, headers: dict[str, str]) -> bytes:
        length = int(headers.get("content-length", "0"))
        if length > MAX_PUT and headers.get("x-ms-page-write"):
            self.close_connection = True
            raise Refused(413, "RequestBodyTooLarge", {"Connection": "close"})
        self.server.throttle(length)
        if not self.server.null:
            body = self.rfile.read(length)
            if len(body) < length:
                raise Drop
            return body
        left = length
        buffer = memoryview(bytearray(1 << 18))
        while left:
            got = self.rfile.readinto(buffer[: min(left, len(buffer))])  # type: ignore[attr-defined]
            if not got:
                raise Drop
            left -= got
        return b""

    def half_answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Cut within the body where there is one, else within the header lines."""
        real, self.wfile = self.wfile, io.BytesIO()  # type: ignore[assignment]
        self.answer(status, headers, content)
        whole = self.wfile.getvalue()  # type: ignore[attr-defined]
        self.wfile = real
        self.wfile.write(whole[: len(whole) - len(content) // 2 if len(content) > 1 else len(whole) // 2])
        self.wfile.flush()
        raise Drop

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("x-ms-request-id", "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    # -- rules ---------------------------------------------------------------------------------------------------

    def authorize(self, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
        server = self.server
        if server.null:
            return
        if "x-ms-version" not in headers:
            raise Refused(400, "MissingRequiredHeader")
        if server.bearer is not None:
            if headers.get("authorization") != "Bearer " + server.bearer:
                raise Refused(401, "InvalidAuthenticationInfo")
            return
        if server.key is None:
            return
        if "sig" not in query:
            raise Refused(409 if self.command == "PUT" else 404, "NoAuthenticationInformation")
        account, container, blob = urllib.parse.unquote(path).lstrip("/").split("/", 2)
        expected = sas(container, blob, query.get("sp", ""), query.get("se", ""), server.key, account)
        if dict(urllib.parse.parse_qsl(expected))["sig"] != query["sig"]:
            raise Refused(403, "AuthenticationFailed")
        end = datetime.datetime.fromisoformat(query["se"].replace("Z", "+00:00"))
        if end < datetime.datetime.now(datetime.timezone.utc):
            raise Refused(403, "AuthenticationFailed")
        needs = "r" if self.command in ("GET", "HEAD") else "d" if self.command == "DELETE" else "w"
        allowed = query.get("sp", "")
        creating = self.command == "PUT" and "comp" not in query
        if needs not in allowed and not (creating and "c" in allowed):
            raise Refused(403, "AuthorizationPermissionMismatch")

    def check_lease(self, blob: Blob, headers: dict[str, str]) -> None:
        given = headers.get("x-ms-lease-id", "")
        if blob.leased():
            if not given:
                raise Refused(412, "LeaseIdMissing")
            if given != blob.lease_id:
                raise Refused(412, "LeaseIdMismatchWithBlobOperation")
        elif given:
            raise Refused(412, "LeaseLost" if given == blob.stale_lease else "LeaseNotPresentWithBlobOperation")

    def check_conditions(self, blob: Blob | None, headers: dict[str, str]) -> None:
        if blob is not None and headers.get("if-none-match") == "*":
            raise Refused(409, "BlobAlreadyExists")
        wanted = headers.get("if-match")
        if wanted and (blob is None or (wanted != "*" and wanted != blob.etag)):
            raise Refused(412, "ConditionNotMet")

    def page_range(self, headers: dict[str, str], blob: Blob) -> tuple[int, int]:
        text = headers.get("x-ms-range") or headers.get("range", "")
        if not text.startswith("bytes="):
            raise Refused(400, "MissingRequiredHeader")
        first, _, last = text[6:].partition("-")
        begin, end = int(first), int(last) + 1
        if begin % PAGE or end % PAGE or begin >= end or end > blob.size:
            raise Refused(416, "InvalidPageRange")
        return begin, end

    # -- operations ----------------------------------------------------------------------------------------------

    def dispatch(
        self, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        server = self.server
        name = urllib.parse.unquote(path)
        comp = query.get("comp", "")
        if query.get("restype") == "container":
            with server.lock:
                server.containers.add(name)
            return 201, {}, b""
        if not server.null and name.rsplit("/", 1)[0] not in server.containers and "/images/" not in name:
            raise Refused(404, "ContainerNotFound")
        if comp == "page" and self.command == "PUT":
            return self.put_page(self.find(name), headers, body)
        with server.lock:
            if server.disk and (self.command, comp) not in (("GET", "pagelist"), ("GET", ""), ("HEAD", "")):
                raise Refused(403, "AuthorizationPermissionMismatch")
            if self.command == "PUT" and not comp:
                return self.put_blob(name, headers)
            blob = self.find(name)
            if self.command == "HEAD":
                return self.head(blob)
            if self.command == "DELETE":
                self.check_lease(blob, headers)
                del server.blobs[name]
                return 202, {}, b""
            if comp == "pagelist":
                return self.get_page_ranges(blob, query)
            if comp == "lease":
                return self.lease(blob, headers)
            if comp == "metadata":
                self.check_lease(blob, headers)
                blob.metadata = {key[10:]: value for key, value in headers.items() if key.startswith("x-ms-meta-")}
                blob.etag = server.next_etag()
                return 200, {"ETag": blob.etag}, b""
            if comp == "properties":
                self.check_lease(blob, headers)
                blob.content_md5 = headers.get("x-ms-blob-content-md5", "")
                blob.etag = server.next_etag()
                return 200, {"ETag": blob.etag}, b""
            if self.command == "GET" and not comp:
                return self.get(blob, headers)
        raise Refused(400, "InvalidQueryParameterValue")

    def find(self, name: str) -> Blob:
        blob = self.server.blobs.get(name)
        if blob is None:
            raise Refused(404, "BlobNotFound")
        return blob

    def put_blob(self, name: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        server = self.server
        old = server.blobs.get(name)
        self.check_conditions(old, headers)
        if old is not None:
            self.check_lease(old, headers)
        size = int(headers.get("x-ms-blob-content-length", "-1"))
        if headers.get("x-ms-blob-type") != "PageBlob" or size < 0 or size % PAGE:
            raise Refused(400, "InvalidHeaderValue")
        blob = Blob(size, server.new_file(), etag=server.next_etag())
        blob.metadata = {key[10:]: value for key, value in headers.items() if key.startswith("x-ms-meta-")}
        blob.content_md5 = headers.get("x-ms-blob-content-md5", "")
        if old is not None:
            blob.lease_id, blob.lease_end = old.lease_id, old.lease_end
        server.blobs[name] = blob
        return 201, {"ETag": blob.etag}, b""

    def put_page(self, blob: Blob, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        server = self.server
        begin, end = self.page_range(headers, blob)
        kind = headers.get("x-ms-page-write")
        if kind == "update":
            if int(headers["content-length"]) != end - begin:
                raise Refused(400, "InvalidHeaderValue")
            if end - begin > MAX_PUT:
                raise Refused(413, "RequestBodyTooLarge")
            given = headers.get("content-md5", "")
            computed = given if server.null else base64.b64encode(hashlib.md5(body).digest()).decode()
            if given and computed != given:
                raise Refused(400, "Md5Mismatch")
        elif kind != "clear" or int(headers.get("content-length", "0")):
            raise Refused(400, "InvalidHeaderValue")
        with server.lock:
            self.check_lease(blob, headers)
            self.check_conditions(blob, {key: headers[key] for key in ("if-match",) if key in headers})
            blob.etag = server.next_etag()
            if kind == "clear":
                blob.ranges.remove(begin, end)
                os.pwrite(blob.file, bytes(end - begin), begin)
                return 201, {"ETag": blob.etag}, b""
            blob.ranges.add(begin, end)
            server.put_bytes += end - begin
            server.puts.append((begin, end))
            etag = blob.etag
        if not server.null:
            os.pwrite(blob.file, body, begin)
        answer = {"ETag": etag}
        if server.echo_md5:
            answer["Content-MD5"] = computed
        return 201, answer, b""

    def head(self, blob: Blob) -> tuple[int, dict[str, str], bytes]:
        headers = {
            "Content-Length": str(blob.size),
            "x-ms-blob-type": blob.kind,
            "ETag": blob.etag,
            "x-ms-lease-status": "locked" if blob.leased() else "unlocked",
            "x-ms-lease-state": "leased" if blob.leased() else "available",
        }
        if blob.leased():
            headers["x-ms-lease-duration"] = "fixed" if blob.lease_end else "infinite"
        if blob.content_md5:
            headers["Content-MD5"] = blob.content_md5
        headers.update({"x-ms-meta-" + key: value for key, value in blob.metadata.items()})
        return 200, headers, b""

    def get_page_ranges(self, blob: Blob, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        chunk = min(int(query.get("maxresults", "10000")), self.server.page_list)
        first = int(query.get("marker", "0"))
        part = blob.ranges.items[first : first + chunk]
        rows = "".join(f"<PageRange><Start>{low}</Start><End>{high - 1}</End></PageRange>" for low, high in part)
        following = str(first + chunk) if first + chunk < len(blob.ranges.items) else ""
        text = f'<?xml version="1.0"?><PageList>{rows}<NextMarker>{following}</NextMarker></PageList>'
        return 200, {"x-ms-blob-content-length": str(blob.size), "ETag": blob.etag}, text.encode()

    def lease(self, blob: Blob, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        action = headers.get("x-ms-lease-action")
        given = headers.get("x-ms-lease-id", "")
        self.check_conditions(blob, {key: headers[key] for key in ("if-match",) if key in headers})
        if action == "acquire":
            proposed = headers.get("x-ms-proposed-lease-id", "")
            if blob.leased() and blob.lease_id != proposed:
                raise Refused(409, "LeaseAlreadyPresent")
            seconds = int(headers.get("x-ms-lease-duration", "0"))
            if seconds != -1 and not 15 <= seconds <= 60:
                raise Refused(400, "InvalidHeaderValue")
            blob.lease_id = proposed
            blob.lease_end = 0.0 if seconds == -1 else time.monotonic() + seconds
            return 201, {"x-ms-lease-id": proposed, "ETag": blob.etag}, b""
        if action in ("renew", "release"):
            if not blob.leased() and given == blob.stale_lease and given:
                blob.lease_id, blob.lease_end = given, time.monotonic() + 30
            if not blob.leased():
                raise Refused(409, "LeaseNotPresentWithLeaseOperation")
            if given != blob.lease_id:
                raise Refused(409, "LeaseIdMismatchWithLeaseOperation")
            if action == "release":
                blob.lease_id, blob.stale_lease = "", ""
            elif blob.lease_end:
                blob.lease_end = time.monotonic() + 30
            return 200, {"ETag": blob.etag}, b""
        raise Refused(400, "InvalidHeaderValue")

    def get(self, blob: Blob, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        text = headers.get("x-ms-range") or headers.get("range", "")
        if not text:
            return 200, {"ETag": blob.etag}, blob.content()
        first, _, last = text[6:].partition("-")
        begin, end = int(first), min(int(last) + 1, blob.size)
        answer = {"ETag": blob.etag, "Content-Range": f"bytes {begin}-{end - 1}/{blob.size}"}
        content = os.pread(blob.file, end - begin, begin).ljust(end - begin, b"\0")
        if headers.get("x-ms-range-get-content-md5") == "true":
            if end - begin > MAX_PUT:
                raise Refused(400, "OutOfRangeInput")
            if self.server.range_md5:
                answer["Content-MD5"] = base64.b64encode(hashlib.md5(content).digest()).decode()
        return 206, answer, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--null", action="store_true", help="take pages and forget them, no checks of content")
    parser.add_argument("--disk", type=int, default=0, help="behave as a managed disk of this many bytes")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes per second, all requests together")
    parser.add_argument("--count", action="store_true", help="for each input line, print bytes of pages, forget all")
    options = parser.parse_args()
    server = PageBlobServer(
        options.port, null=options.null, disk=bool(options.disk), latency=options.latency, rate=options.rate
    )
    if options.disk:
        server.add(options.disk)
    print(server.url(), flush=True)
    if not options.count:
        server.serve_forever()
        return
    with server.running():
        for _line in sys.stdin:
            print(server.put_bytes, flush=True)
            server.put_bytes = 0
            server.puts.clear()
            server.blobs.clear()


if __name__ == "__main__":
    main()
