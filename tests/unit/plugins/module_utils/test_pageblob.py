"""The page-blob client against the strict server of pageblob_server.py."""

from __future__ import annotations

import hashlib
import re
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pageblob_server import ACCOUNT, KEY, PageBlobServer, Refused, Seen, sas

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import pageblob
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.pageblob import (
    Address,
    BlobError,
    PageBlobClient,
    Policy,
)

MIB = 1024 * 1024
QUICK = Policy(parallel=4, timeout=5.0, retry_seconds=3.0, first_pause=0.01)


def client(server: PageBlobServer, policy: Policy = QUICK, **options: str) -> PageBlobClient:
    return PageBlobClient(Address(server.url(**options)), policy)


def put(blob: PageBlobClient, offset: int, data: bytes) -> bool:
    return blob.put_pages(offset, data, hashlib.md5(data).digest())


def test_pages_arrive_and_are_listed(server: PageBlobServer) -> None:
    blob = client(server)
    assert blob.properties() is None
    blob.create(4 * MIB, {"vhdsource": "abc"})
    assert put(blob, 1024, b"x" * 1024) is True
    assert put(blob, 2048, b"y" * 512) is True
    assert put(blob, 2 * MIB, b"z" * MIB) is True
    assert blob.page_ranges(4 * MIB) == [(1024, 2560), (2 * MIB, 3 * MIB)]
    assert blob.range_md5(2 * MIB, MIB) == hashlib.md5(b"z" * MIB).digest()
    assert blob.range_md5(1024, 512) == hashlib.md5(b"x" * 512).digest()
    blob.clear_pages(1024, 1024)
    assert blob.page_ranges(4 * MIB) == [(2048, 2560), (2 * MIB, 3 * MIB)]
    state = blob.properties()
    assert state is not None
    assert (state.length, state.blob_type, state.metadata) == (4 * MIB, "PageBlob", {"vhdsource": "abc"})
    blob.close()


def test_the_checksum_of_a_long_range_needs_little_of_it(server: PageBlobServer) -> None:
    """A server that returns no Content-MD5 is read to the end instead."""
    blob = client(server)
    blob.create(4 * MIB, {})
    data = bytes(range(256)) * 16384
    put(blob, 0, data)
    assert blob.range_md5(0, 4 * MIB) == hashlib.md5(data).digest()
    server.range_md5 = False
    assert blob.range_md5(0, 4 * MIB) == hashlib.md5(data).digest()


def test_page_list_in_parts(server: PageBlobServer) -> None:
    server.page_list = 3
    blob = client(server)
    blob.create(MIB, {})
    for index in range(10):
        put(blob, index * 2048, b"d" * 512)
    assert blob.page_ranges(MIB) == [(index * 2048, index * 2048 + 512) for index in range(10)]


def test_create_refuses_what_exists(server: PageBlobServer) -> None:
    server.add(MIB)
    with pytest.raises(BlobError, match="exists already; set overwrite"):
        client(server).create(MIB, {})
    with pytest.raises(BlobError, match="changed by someone else"):
        client(server).create(MIB, {}, replace='"other"')


def test_lease_of_someone_else_is_respected(server: PageBlobServer) -> None:
    first, second = client(server), client(server)
    first.create(MIB, {})
    first.acquire_lease("11111111-1111-1111-1111-111111111111", 30)
    put(first, 0, b"a" * 512)
    with pytest.raises(BlobError, match="Someone else holds the lease") as caught:
        put(second, 0, b"b" * 512)
    assert (caught.value.status, caught.value.code) == (412, "LeaseIdMissing")
    with pytest.raises(BlobError, match="Someone else holds the lease"):
        second.acquire_lease("22222222-2222-2222-2222-222222222222", 30)
    state = second.properties()
    assert state is not None and state.lease == "fixed"
    second.acquire_lease("11111111-1111-1111-1111-111111111111", 30)  # the same id takes over: a resumed upload
    second.release_lease()
    put(client(server), 0, b"b" * 512)


@pytest.mark.parametrize("action", ["drop", "lose", "cut", Refused(500, "InternalError"), Refused(408, "")])
def test_a_passing_fault_is_tried_again(server: PageBlobServer, action: object) -> None:
    blob = client(server)
    blob.create(MIB, {})
    failed: list[int] = []

    def fault(seen: Seen) -> object:
        if seen.comp == "page" and len(failed) < 2:
            failed.append(seen.number)
            return action
        return None

    server.fault = fault  # type: ignore[assignment]
    put(blob, 0, b"q" * 300 * 1024)
    assert server.blob().content()[: 300 * 1024] == b"q" * 300 * 1024
    assert len(failed) == 2
    assert blob.retries >= 1


def test_a_damaged_body_is_sent_again(server: PageBlobServer) -> None:
    blob = client(server)
    blob.create(MIB, {})
    flips = iter(["flip", "flip"])
    server.fault = lambda seen: next(flips, None) if seen.comp == "page" else None
    put(blob, 0, b"q" * 4096)
    assert server.blob().content()[:4096] == b"q" * 4096


def test_retry_after_is_obeyed_and_slows_everybody(server: PageBlobServer) -> None:
    blob = client(server)
    blob.create(MIB, {})
    answers = iter([Refused(503, "ServerBusy", {"Retry-After": "1"})])
    server.fault = lambda seen: next(answers, None) if seen.comp == "page" else None
    started = time.monotonic()
    put(blob, 0, b"q" * 512)
    assert time.monotonic() - started >= 1.0
    assert blob.pace.limit == 2  # halved from 4


def test_patience_ends_with_a_sentence(server: PageBlobServer) -> None:
    blob = client(server, Policy(parallel=2, timeout=1.0, retry_seconds=0.4, first_pause=0.05))
    blob.create(MIB, {})
    server.fault = lambda seen: Refused(503, "ServerBusy")
    started = time.monotonic()
    with pytest.raises(BlobError, match=r"did not accept a request \(PUT page\).*503 ServerBusy"):
        put(blob, 0, b"q" * 512)
    assert time.monotonic() - started < 3


def test_nobody_answers() -> None:
    blob = PageBlobClient(Address(f"http://127.0.0.1:9/{ACCOUNT}/images/disk.vhd?{sas('images', 'disk.vhd')}"), QUICK)
    with pytest.raises(BlobError, match="in 4 tries .* connection refused"):
        blob.properties()


def test_a_silent_server_times_out(server: PageBlobServer) -> None:
    blob = client(server, Policy(parallel=2, timeout=0.2, retry_seconds=0.3, first_pause=0.01))
    server.fault = lambda seen: 1.0
    with pytest.raises(BlobError, match="nothing moved for"):
        blob.properties()


def test_an_expired_token_is_named(server: PageBlobServer) -> None:
    with pytest.raises(BlobError, match="SAS token of .* has expired .*2020-01-01.*; make a new one") as caught:
        client(server, expires="2020-01-01T00:00:00Z").create(MIB, {})
    assert "sig" not in str(caught.value)


def test_missing_permission_is_named(server: PageBlobServer) -> None:
    with pytest.raises(BlobError, match=r"needs the permissions read, create and write"):
        client(server, permissions="r").create(MIB, {})


def test_a_wrong_signature_is_named_without_showing_it(server: PageBlobServer) -> None:
    url = server.url().replace("sp=rcw", "sp=rcwd")
    with pytest.raises(BlobError, match="token was not accepted") as caught:
        PageBlobClient(Address(url), QUICK).create(MIB, {})
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["sig"][0]
    assert signature not in str(caught.value) and urllib.parse.quote(signature, safe="") not in str(caught.value)


def test_bearer_is_renewed_once() -> None:
    with PageBlobServer(bearer="new-token").running() as server:
        asked: list[bool] = []

        def bearer(fresh: bool) -> str:
            asked.append(fresh)
            return "new-token" if fresh else "old-token"

        blob = PageBlobClient(Address(f"{server.base}/images/disk.vhd"), QUICK, bearer)
        blob.create(MIB, {})
        assert asked == [False, True]


def test_oversized_and_misplaced_pages_are_refused_by_the_server(server: PageBlobServer) -> None:
    """The stand-in is strict where emulators are not."""
    blob = client(server, Policy(parallel=1, timeout=2.0, retry_seconds=0.2, first_pause=0.01))
    blob.create(8 * MIB, {})
    for offset, data, status in ((0, b"x" * 5 * MIB, 413), (100, b"x" * 512, 416), (8 * MIB, b"x" * 512, 416)):
        with pytest.raises(BlobError) as caught:
            put(blob, offset, data)
        assert caught.value.status in (status, 0)
    with pytest.raises(BlobError, match="Md5Mismatch"):
        blob.put_pages(0, b"x" * 512, hashlib.md5(b"y").digest())


# -- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://x/y/z", "must begin with https"),
        ("https://", "must begin with https"),
        ("https://acct.blob.core.windows.net", "names no blob"),
        ("https://acct.blob.core.windows.net/c/", "names no blob"),
        ("http://127.0.0.1:10000/devstoreaccount1/c", "names no blob"),
        ("https://a b/c/d", "white space"),
        ("https://x:99999/c/d", "cannot be read"),
        ("https://u:p@x/c/d", "user name or password"),
        ("http://acct.blob.core.windows.net/c/d?sig=SECRET", "plain http"),
    ],
)
def test_addresses_that_are_refused(url: str, sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence) as caught:
        Address(url)
    assert "SECRET" not in str(caught.value)


def test_scrub_hides_every_spelling() -> None:
    token = sas("images", "disk.vhd")
    address = Address("https://acct.blob.core.windows.net/images/disk.vhd?" + token)
    signature = urllib.parse.parse_qs(token)["sig"][0]
    for leak in (token, signature, urllib.parse.quote(signature, safe=""), "Authorization: Bearer abc.def-1"):
        text = address.scrub(f"before {leak} after")
        assert signature not in text and urllib.parse.quote(signature, safe="") not in text and "abc.def" not in text
        assert text.startswith("before ") and text.endswith(" after")
    assert KEY not in address.public and "sig" not in address.public


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (("https://a.blob.core.windows.net?sv=1", "images", "d.vhd"), "SAS token belongs into url"),
        (("https://a.blob.core.windows.net", "Images", "d.vhd"), "no container name"),
        (("https://a.blob.core.windows.net", "im--ages", "d.vhd"), "no container name"),
        (("https://a.blob.core.windows.net", "im", "d.vhd"), "no container name"),
        (("https://a.blob.core.windows.net", "images", "/d.vhd"), "no blob name"),
        (("https://a.blob.core.windows.net", "images", ""), "no blob name"),
    ],
)
def test_blob_names_are_checked(parts: tuple[str, str, str], sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence):
        pageblob.blob_url(*parts)


def test_blob_url_quotes() -> None:
    url = pageblob.blob_url("https://a.blob.core.windows.net/", "images", "sub/ä 1.vhd")
    assert url == "https://a.blob.core.windows.net/images/sub/%C3%A4%201.vhd"
    assert Address(url).path == "/images/sub/%C3%A4%201.vhd"


@given(st.binary(max_size=400))
def test_page_list_parser_takes_anything(body: bytes) -> None:
    try:
        pageblob.parse_page_list(body)
        pageblob.parse_page_list(b"<PageList>" + body)
    except AzurePrepError:
        pass


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=8))
def test_page_list_is_sorted_or_refused(items: list[tuple[int, int]]) -> None:
    rows = "".join(f"<PageRange><Start>{low}</Start><End>{high}</End></PageRange>" for low, high in items)
    try:
        ranges, marker = pageblob.parse_page_list(f"<PageList>{rows}</PageList>".encode())
    except AzurePrepError:
        return
    assert marker == ""
    assert ranges == sorted(ranges)
    assert all(low < high for low, high in ranges)


@given(st.text(max_size=40))
def test_retry_after_is_bounded(text: str) -> None:
    assert 0.0 <= pageblob.retry_after({"retry-after": text}) <= pageblob.MAX_RETRY_AFTER


def test_retry_after_forms() -> None:
    assert pageblob.retry_after({"retry-after": "7"}) == 7.0
    assert pageblob.retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, now=20.0) == 10.0
    assert pageblob.retry_after({}) == 0.0
    assert pageblob.retry_after({"retry-after": "nan"}) == 0.0


@given(st.text(max_size=200))
def test_any_url_gives_an_address_or_a_sentence(text: str) -> None:
    try:
        Address(text)
    except AzurePrepError as exc:
        assert re.search(r"\w", str(exc))
