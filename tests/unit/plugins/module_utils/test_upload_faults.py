"""Uploads through connections that break anywhere, a busy service, a token that ends, blobs that others replace."""

from __future__ import annotations

import email.utils
import time
from pathlib import Path

import pytest
from pageblob_server import PageBlobServer, Refused, Seen
from test_upload import MIB, QUICK, SIZE, make_vhd, send

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError


@pytest.fixture
def vhd(tmp_path: Path) -> Path:
    return make_vhd(tmp_path / "disk.vhd", pieces=6)


@pytest.mark.parametrize("action", ["drop", "cut", "lose", "half", "wrong md5"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_every_request_fails_once(server: PageBlobServer, vhd: Path, action: str, overwrite: bool) -> None:
    """Whichever request it is that breaks, and wherever: a repetition must not take its own work for a stranger's."""
    if overwrite:
        server.add(SIZE + 512, data=b"x" * 512)
    met: set[tuple[str, str, str]] = set()

    def fault(seen: Seen) -> str | None:
        key = (seen.method, seen.comp, seen.headers.get("x-ms-range", ""))
        if key in met:
            return None
        met.add(key)
        return action

    server.fault = fault
    result = send(server, vhd, overwrite=overwrite)
    assert result.action == ("replace" if overwrite else "create")
    assert server.blob().content() == vhd.read_bytes()
    assert not server.blob().leased()


@pytest.mark.parametrize(("status", "as_date"), [(429, False), (500, False), (503, False), (503, True)])
def test_retry_after_is_kept(server: PageBlobServer, vhd: Path, status: int, as_date: bool) -> None:
    """In seconds or as a date: no try of that request before its time, and after 429 and 503 no request at all."""
    refused_at: list[float] = []
    early: list[Seen] = []

    def fault(seen: Seen) -> Refused | None:
        if seen.comp == "page" and not refused_at:
            refused_at.append(time.time())
            text = email.utils.formatdate(int(time.time()) + 2, usegmt=True) if as_date else "1"
            return Refused(status, "Busy", {"Retry-After": text})
        if refused_at and seen.comp == "page" and time.time() < refused_at[0] + 0.9:
            early.append(seen)
        return None

    server.fault = fault
    started = time.monotonic()
    send(server, vhd, policy=QUICK._replace(parallel=1))
    assert time.monotonic() - started >= 0.9
    assert early == []
    assert server.blob().content() == vhd.read_bytes()


def test_a_token_whose_time_really_ends(server: PageBlobServer, tmp_path: Path) -> None:
    path = make_vhd(tmp_path / "disk.vhd", pieces=60)
    ends = int(time.time()) + 5
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))

    def fault(seen: Seen) -> None:
        if server.put_bytes:
            time.sleep(max(ends + 0.1 - time.time(), 0))

    server.fault = fault
    with pytest.raises(AzurePrepError, match=rf"has expired \(its end was {end}\).*run the same again") as caught:
        send(server, path, url=server.url(expires=end), policy=QUICK._replace(parallel=1, timeout=20.0))
    assert caught.value.details["resumable"] is True
    assert server.blob().content()[-512:] == bytes(512)
    server.fault = None
    server.blob().lease_id = ""
    result = send(server, path)
    assert result.action == "resume" and result.resumed_bytes > 0
    assert server.blob().content() == path.read_bytes()


def test_a_blob_that_somebody_replaces_at_the_same_moment(server: PageBlobServer, vhd: Path) -> None:
    server.add(SIZE + 512, data=b"x" * 512)

    def fault(seen: Seen) -> None:
        if seen.method == "PUT" and seen.comp == "blob":
            server.blob().etag = server.next_etag()

    server.fault = fault
    with pytest.raises(AzurePrepError, match="was changed by someone else at the same moment"):
        send(server, vhd, overwrite=True)
    assert server.blob().content()[:512] == b"x" * 512
    assert server.put_bytes == 0


@pytest.mark.parametrize(("size", "kind"), [(SIZE + MIB + 512, "PageBlob"), (512, "PageBlob"), (100, "AppendBlob")])
def test_a_blob_of_another_size_or_type(server: PageBlobServer, vhd: Path, size: int, kind: str) -> None:
    server.add(size, kind=kind)
    with pytest.raises(AzurePrepError, match="exists already and was left alone"):
        send(server, vhd)
    assert server.blob().size == size
    send(server, vhd, overwrite=True)
    assert server.blob().content() == vhd.read_bytes()
