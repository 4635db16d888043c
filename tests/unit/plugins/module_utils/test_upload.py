"""Uploads against the strict server: content, order, resume, faults, other writers. Small images, every rule."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import os
import random
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pageblob_server import PageBlobServer, Refused, Seen, sas

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer, upload
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.pageblob import Address, PageBlobClient, Policy
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.upload_source import GIB, open_source
from ansible_collections.linuxvhd.azure.plugins.modules import vhd_upload

MIB = 1024 * 1024
SIZE = 24 * MIB
#: A hundred in the slow tier (tests/upload), enough for a regression here.
INTERRUPTIONS = int(os.environ.get("UPLOAD_INTERRUPTIONS", "15"))
QUICK = Policy(parallel=4, timeout=5.0, retry_seconds=3.0, first_pause=0.005)


class Killed(BaseException):
    """Stands for kill -9: nothing is tidied up."""


def make_vhd(path: Path, size: int = SIZE, seed: int = 1, pieces: int = 12) -> Path:
    """A sparse fixed VHD with random data at random places."""
    chance = random.Random(seed)
    with path.open("wb") as stream:
        for _ in range(pieces):
            offset = chance.randrange(size - 300_000)
            stream.seek(offset)
            stream.write(chance.randbytes(chance.randrange(1, 300_000)))
        stream.truncate(size)
        stream.seek(size)
        unique = uuid.UUID(int=chance.getrandbits(128)).bytes
        stream.write(footer.render(footer.make(size, unique, 800_000_000)))
    return path


@pytest.fixture
def vhd(tmp_path: Path) -> Path:
    return make_vhd(tmp_path / "disk.vhd")


def send(
    server: PageBlobServer,
    path: Path,
    image_format: str = "vpc",
    url: str = "",
    fault: Callable[[str], None] | None = None,
    policy: Policy = QUICK,
    report: Callable[[upload.Progress], None] = lambda progress: None,
    **options: object,
) -> upload.Result:
    source = open_source(str(path), image_format, 4095 * GIB, lock_timeout=0.2)
    try:
        client = PageBlobClient(Address(url or server.url()), policy, fault=fault)
        return upload.upload(source, client, upload.Options(**options), report)  # type: ignore[arg-type]
    finally:
        source.close()


def test_the_blob_is_the_file(server: PageBlobServer, vhd: Path) -> None:
    seen: list[upload.Progress] = []
    result = send(server, vhd, report=seen.append)
    content = vhd.read_bytes()
    blob = server.blob()
    assert blob.content() == content
    assert result.changed and result.action == "create"
    assert result.bytes_sent == result.data_bytes == server.put_bytes
    data = sum(1 for offset in range(0, SIZE, 4096) if any(content[offset : offset + 4096])) * 4096 + 512
    assert data <= result.data_bytes <= data * 1.02
    assert result.md5 == hashlib.md5(content).hexdigest()
    assert blob.content_md5 == result.content_md5 == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert blob.metadata["vhddigest"] == result.digest
    assert result.etag == blob.etag
    assert server.puts[-1] == (SIZE, SIZE + 512)
    assert not blob.leased()
    assert seen[-1].phase == "done" and seen[-1].done == seen[-1].total


def test_the_digest_can_be_computed_by_others(server: PageBlobServer, vhd: Path) -> None:
    result = send(server, vhd)
    content = vhd.read_bytes()
    total = hashlib.sha256()
    for low, high in sorted(server.puts)[:-1]:
        total.update(low.to_bytes(8, "big") + (high - low).to_bytes(4, "big"))
        total.update(hashlib.md5(content[low:high]).digest())
    total.update(content[-512:])
    assert result.digest == total.hexdigest()


def test_second_run_changes_nothing(server: PageBlobServer, vhd: Path) -> None:
    first = send(server, vhd)
    etag = server.blob().etag
    second = send(server, vhd)
    assert (second.changed, second.action, second.bytes_sent) == (False, "none", 0)
    assert (second.digest, second.md5, second.etag) == (first.digest, first.md5, etag)
    assert second.resumed_bytes == second.data_bytes


@pytest.mark.parametrize("size", [20 * MIB, 20 * MIB + 1, 21 * MIB - 511, 22 * MIB + 4097])
def test_raw_gets_its_footer_on_the_way(server: PageBlobServer, tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.raw"
    content = bytearray(size)
    content[:5000] = b"a" * 5000
    content[-700:] = b"z" * 700
    path.write_bytes(content)
    before = path.stat()
    result = send(server, path, "raw")
    stored = server.blob().content()
    virtual = -(-size // MIB) * MIB
    assert stored[:virtual] == bytes(content).ljust(virtual, b"\0")
    parsed = footer.parse(stored[virtual:], "blob")
    assert footer.problems(parsed, len(stored)) == []
    assert result.virtual_size_bytes == virtual
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_size == size
    assert send(server, path, "raw").changed is False  # the same footer in every run


def test_a_vhd_is_not_taken_as_raw(server: PageBlobServer, vhd: Path) -> None:
    with pytest.raises(AzurePrepError, match="is a VHD, not a raw image"):
        send(server, vhd, "raw")


def damaged(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def refit(path: Path, **fields: object) -> None:
    """Other fields in the footer, with a good checksum."""
    content = path.read_bytes()
    parsed = footer.parse(content[-512:], "x")._replace(**fields)
    path.write_bytes(content[:-512] + footer.render(parsed))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 512)


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (cut, "no VHD footer"),
    (lambda path: damaged(path, SIZE + 70, b"\xff"), "damaged VHD footer: its checksum"),
    (lambda path: damaged(path, SIZE, b"connectix"[:8]), "no VHD footer"),
    (lambda path: refit(path, disk_type=3), "is a dynamic VHD"),
    (lambda path: refit(path, disk_type=4), "is a differencing VHD"),
    (lambda path: refit(path, current_size=SIZE - MIB), "says in its footer that the disk has"),
    (lambda path: path.write_bytes(b""), "no VHD footer"),
    (lambda path: path.write_bytes(b"QFI\xfb" + bytes(SIZE)), "is a qcow2 image"),
    (lambda path: path.write_bytes(b"vhdxfile" + bytes(SIZE)), "is a VHDX"),
    (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
    (lambda path: path.unlink(), "it does not exist"),
    (lambda path: make_vhd(path, 19 * MIB), "no disk below 20 MiB"),
    (lambda path: make_vhd(path, SIZE + 512), "not a whole number of MiB"),
]


@pytest.mark.parametrize(("spoil", "sentence"), REFUSED)
def test_nothing_is_sent_of_a_file_that_azure_refuses(
    server: PageBlobServer, vhd: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(vhd)
    with pytest.raises(AzurePrepError, match=sentence):
        send(server, vhd)
    assert server.seen == []


def test_too_large(vhd: Path) -> None:
    with pytest.raises(AzurePrepError, match="more than the 0 GiB allowed"):
        open_source(str(vhd), "vpc", 21 * MIB)


def test_an_image_that_a_writer_has_open_is_refused(server: PageBlobServer, vhd: Path) -> None:
    with vhd.open("r+b"), pytest.raises(AzurePrepError, match="is in use"):
        send(server, vhd)
    assert server.seen == []


# -- what is there already -----------------------------------------------------------------------------------------


def test_a_blob_that_exists_is_left_alone_unless_told(server: PageBlobServer, vhd: Path) -> None:
    server.add(MIB, data=b"x" * 512)
    with pytest.raises(AzurePrepError, match="exists already and was left alone; set overwrite"):
        send(server, vhd)
    assert server.blob().content()[:512] == b"x" * 512
    assert send(server, vhd, overwrite=True).action == "replace"
    assert server.blob().content() == vhd.read_bytes()


def test_a_block_blob_can_be_replaced(server: PageBlobServer, vhd: Path) -> None:
    server.add(SIZE + 512, kind="BlockBlob")
    with pytest.raises(AzurePrepError, match="exists already"):
        send(server, vhd)
    send(server, vhd, overwrite=True)
    assert server.blob().content() == vhd.read_bytes()


def test_a_finished_blob_that_was_altered_is_left_alone(server: PageBlobServer, vhd: Path) -> None:
    send(server, vhd)
    low = server.blob().ranges.items[0][0]
    os.pwrite(server.blob().file, b"altered!", low)
    with pytest.raises(AzurePrepError, match="content differs"):
        send(server, vhd)
    assert send(server, vhd, overwrite=True).changed
    assert server.blob().content() == vhd.read_bytes()


def test_the_unfinished_upload_of_another_file_is_named(server: PageBlobServer, vhd: Path, tmp_path: Path) -> None:
    interrupted(server, vhd, 8)
    other = make_vhd(tmp_path / "other.vhd", seed=9)
    with pytest.raises(AzurePrepError, match="unfinished upload of another file"):
        send(server, other)
    server.blob().lease_id = ""
    send(server, other, overwrite=True)
    assert server.blob().content() == other.read_bytes()


def interrupted(server: PageBlobServer, path: Path, requests: int, **options: object) -> None:
    """Run an upload and kill it before the n-th request."""
    count = iter(range(10**6))

    def fault(step: str) -> None:
        if next(count) >= requests:
            raise Killed

    with pytest.raises(Killed):
        send(server, path, fault=fault, **options)  # type: ignore[arg-type]


def test_resume_sends_only_what_is_missing(server: PageBlobServer, vhd: Path) -> None:
    interrupted(server, vhd, 10)
    there = sum(high - low for low, high in server.blob().ranges.items)
    assert there and server.blob().content()[SIZE:] == bytes(512)
    result = send(server, vhd)
    assert result.action == "resume"
    assert result.resumed_bytes == there
    assert result.bytes_sent == result.data_bytes - there
    assert server.blob().content() == vhd.read_bytes()


def test_what_is_there_is_compared_not_trusted(server: PageBlobServer, vhd: Path) -> None:
    interrupted(server, vhd, 10)
    blob = server.blob()
    low, high = blob.ranges.items[0]
    os.pwrite(blob.file, bytes(high - low), low)
    blob.ranges.add(SIZE // 2 // 4096 * 4096, SIZE // 2 // 4096 * 4096 + 4096)
    result = send(server, vhd)
    assert blob.content() == vhd.read_bytes()
    assert result.bytes_sent >= high - low


def test_resume_false_begins_anew(server: PageBlobServer, vhd: Path) -> None:
    interrupted(server, vhd, 10)
    result = send(server, vhd, resume=False)
    assert (result.action, result.resumed_bytes) == ("replace", 0)
    assert server.blob().content() == vhd.read_bytes()


def test_nothing_is_lost_in_random_interruptions(server: PageBlobServer, tmp_path: Path) -> None:
    """Killed before random requests, again and again, until an upload is through; then the next image."""
    chance = random.Random(4)
    interruptions = 0
    number = 0
    while interruptions < INTERRUPTIONS:
        number += 1
        path = make_vhd(tmp_path / "disk.vhd", size=20 * MIB, seed=number, pieces=8)
        content = path.read_bytes()
        name = f"disk{number}.vhd"
        killed = False
        while True:
            left = iter(range(chance.randrange(0, 30)))

            def fault(step: str, left: Iterator[int] = left) -> None:
                if next(left, None) is None:
                    raise Killed

            try:
                send(server, path, url=server.url(name), fault=fault)
                killed = False
            except Killed:
                killed = True
                interruptions += 1
            blob = server.blobs.get(f"/devstoreaccount1/images/{name}")
            if not killed:
                assert blob is not None and blob.content() == content
                break
            if blob is not None and os.pread(blob.file, 512, 20 * MIB).strip(b"\0"):
                assert blob.content() == content, "a footer promises a whole disk"
    assert number > 1


def test_killed_at_every_request(server: PageBlobServer, tmp_path: Path) -> None:
    path = make_vhd(tmp_path / "disk.vhd", size=20 * MIB, pieces=6)
    probe = send(server, path, url=server.url("probe.vhd"))
    for number in range(probe.requests):
        name = f"killed{number}.vhd"
        interrupted(server, path, number, url=server.url(name))
        send(server, path, url=server.url(name))
        assert server.blob(name).content() == path.read_bytes()


# -- faults --------------------------------------------------------------------------------------------------------


def test_a_bad_day(server: PageBlobServer, vhd: Path) -> None:
    """500, 503 with and without Retry-After, cut and dropped connections, damaged bodies: a quarter of all requests."""
    chance = random.Random(7)
    actions = [
        Refused(500, "InternalError"),
        Refused(503, "ServerBusy"),
        Refused(503, "ServerBusy", {"Retry-After": "0.05"}),
        Refused(429, "TooManyRequests"),
        "drop",
        "cut",
        "lose",
        "flip",
        0.05,
    ]

    def fault(seen: Seen) -> object:
        return chance.choice(actions) if chance.random() < 0.25 else None

    server.fault = fault  # type: ignore[assignment]
    result = send(server, vhd, policy=QUICK._replace(retry_seconds=30.0))
    assert server.blob().content() == vhd.read_bytes()
    assert result.retries > 0


def test_a_service_that_keeps_no_checksums_is_read_back(server: PageBlobServer, vhd: Path) -> None:
    """An emulator that takes a damaged body without a word: the verification finds and repairs it."""
    server.echo_md5 = False
    flips = iter([True, True])

    def fault(seen: Seen) -> str | None:
        if seen.comp == "page" and next(flips, False):
            seen.headers.pop("content-md5")
            return "flip"
        return None

    server.fault = fault
    result = send(server, vhd)
    assert server.blob().content() == vhd.read_bytes()
    assert result.bytes_sent > result.data_bytes


def test_without_verify_nothing_is_read_back(server: PageBlobServer, vhd: Path) -> None:
    server.echo_md5 = False
    result = send(server, vhd, verify=False)
    assert result.digest is None and "vhddigest" not in server.blob().metadata
    assert not [seen for seen in server.seen if seen.method == "GET"]
    assert server.blob().content() == vhd.read_bytes()


def test_a_service_that_never_keeps_its_word(server: PageBlobServer, vhd: Path) -> None:
    server.echo_md5 = False

    def fault(seen: Seen) -> str | None:
        if seen.comp != "page":
            return None
        seen.headers.pop("content-md5")
        return "flip"

    server.fault = fault
    with pytest.raises(AzurePrepError, match="does not keep what is sent"):
        send(server, vhd)
    assert server.blob().content()[-512:] == bytes(512)


def test_a_token_that_ends_midway(server: PageBlobServer, vhd: Path) -> None:
    count = iter(range(10**6))
    server.fault = lambda seen: Refused(403, "AuthenticationFailed") if next(count) > 9 else None
    token = sas("images", "disk.vhd", expires="2020-01-01T00:00:00Z")
    url = f"{server.base}/images/disk.vhd?{token}"
    server.key = None
    with pytest.raises(
        AzurePrepError, match=r"SAS token of .* has expired.*MiB are there already; run the same"
    ) as caught:
        send(server, vhd, url=url)
    assert caught.value.details["resumable"] is True
    assert "sig=" not in str(caught.value)
    server.fault = None
    result = send(server, vhd)
    assert result.action == "resume" and result.resumed_bytes > 0
    assert server.blob().content() == vhd.read_bytes()


def test_the_source_changes_meanwhile(server: PageBlobServer, vhd: Path) -> None:
    def fault(step: str) -> None:
        if step == "PUT page":
            os.utime(vhd, ns=(1, 1))

    with pytest.raises(AzurePrepError, match="was written to while it was uploaded"):
        send(server, vhd, fault=fault)
    assert server.blob().content()[-512:] == bytes(512)


def test_the_source_is_replaced_meanwhile(server: PageBlobServer, vhd: Path) -> None:
    other = make_vhd(vhd.parent / "other.vhd", seed=5)

    def fault(step: str) -> None:
        # Several connections come here at once; the first one replaces it.
        if step == "PUT page":
            with contextlib.suppress(FileNotFoundError):
                other.replace(vhd)

    with pytest.raises(AzurePrepError, match="was replaced while it was uploaded"):
        send(server, vhd, fault=fault)
    assert server.blob().content()[-512:] == bytes(512)


# -- others --------------------------------------------------------------------------------------------------------


def test_the_lease_of_someone_else(server: PageBlobServer, vhd: Path) -> None:
    blob = server.add(SIZE + 512, data=b"x" * 512)
    blob.lease_id = "99999999-9999-9999-9999-999999999999"
    for end in (0.0, float("inf")):
        blob.lease_end = end
        with pytest.raises(AzurePrepError, match="Someone else holds the lease"):
            send(server, vhd, overwrite=True)
    assert blob.content()[:512] == b"x" * 512
    assert server.put_bytes == 0


def test_a_finished_blob_in_use_is_unchanged(server: PageBlobServer, vhd: Path) -> None:
    """Azure leases the blob of a disk in use for good; finding that it is the same only reads."""
    send(server, vhd)
    server.blob().lease_id = "99999999-9999-9999-9999-999999999999"
    server.blob().lease_end = 0.0
    assert send(server, vhd).changed is False
    os.pwrite(server.blob().file, b"altered!", server.blob().ranges.items[0][0])
    sent = server.put_bytes
    with pytest.raises(AzurePrepError, match="Someone else holds the lease"):
        send(server, vhd, overwrite=True)
    assert server.put_bytes == sent


def test_a_lease_taken_away_midway_stops_the_writing(server: PageBlobServer, vhd: Path) -> None:
    def fault(seen: Seen) -> None:
        if seen.comp == "page" and server.put_bytes:
            server.blob().lease_id = "99999999-9999-9999-9999-999999999999"

    server.fault = fault
    with pytest.raises(AzurePrepError, match="taken by someone else while the upload ran"):
        send(server, vhd)
    assert server.blob().content()[-512:] == bytes(512)


def test_a_lease_that_ran_out_in_a_pause_is_renewed(server: PageBlobServer, vhd: Path) -> None:
    done: list[int] = []

    def fault(seen: Seen) -> None:
        if seen.comp == "page" and len(done) < 1 and server.put_bytes:
            done.append(1)
            blob = server.blob()
            blob.stale_lease, blob.lease_id = blob.lease_id, ""

    server.fault = fault
    send(server, vhd, policy=QUICK._replace(parallel=1))
    assert done and server.blob().content() == vhd.read_bytes()


def test_two_uploads_to_one_blob(server: PageBlobServer, vhd: Path, tmp_path: Path) -> None:
    """On one machine the second is kept out before it has sent a page; the first is not disturbed."""
    other = make_vhd(tmp_path / "other.vhd", seed=5)
    refused: list[str] = []

    def fault(step: str) -> None:
        if step == "PUT page" and not refused:
            refused.append("")
            with pytest.raises(AzurePrepError) as caught:
                send(server, other, overwrite=True)
            refused[0] = str(caught.value)

    send(server, vhd, fault=fault)
    assert "Another upload to" in refused[0]
    assert server.blob().content() == vhd.read_bytes()


def test_two_uploads_from_two_machines(
    server: PageBlobServer, vhd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the local guard the lease keeps the second out."""
    monkeypatch.setattr(upload, "only_one", lambda url: io.BytesIO())
    other = make_vhd(tmp_path / "other.vhd", seed=5)
    refused: list[str] = []

    def fault(step: str) -> None:
        if step == "PUT page" and not refused:
            refused.append("")
            with pytest.raises(AzurePrepError) as caught:
                send(server, other, overwrite=True)
            refused[0] = str(caught.value)

    send(server, vhd, fault=fault)
    assert "Someone else holds the lease" in refused[0]
    assert server.blob().content() == vhd.read_bytes()


def test_a_token_without_leases_warns(server: PageBlobServer, vhd: Path) -> None:
    server.fault = lambda seen: Refused(403, "AuthorizationPermissionMismatch") if seen.comp == "lease" else None
    result = send(server, vhd)
    assert any("does not allow leases" in warning for warning in result.warnings)
    assert server.blob().content() == vhd.read_bytes()


def test_pages_written_by_a_stranger_are_found(server: PageBlobServer, vhd: Path) -> None:
    def fault(seen: Seen) -> None:
        if seen.comp == "pagelist":
            server.blob().ranges.add(SIZE - 512, SIZE)

    server.fault = fault
    with pytest.raises(AzurePrepError, match="written to by someone else.*none of ours"):
        send(server, vhd)


# -- managed disks -------------------------------------------------------------------------------------------------


@pytest.fixture
def disk() -> Iterator[PageBlobServer]:
    with PageBlobServer(disk=True).running() as running:
        yield running


def test_a_managed_disk(disk: PageBlobServer, vhd: Path) -> None:
    disk.add(SIZE + 512)
    result = send(disk, vhd, managed_disk=True)
    assert (result.action, result.changed, result.md5) == ("resume", True, None)
    assert disk.blob().content() == vhd.read_bytes()
    assert disk.puts[-1] == (SIZE, SIZE + 512)
    assert send(disk, vhd, managed_disk=True).changed is False


def test_a_managed_disk_of_another_size(disk: PageBlobServer, vhd: Path) -> None:
    disk.add(SIZE + MIB + 512)
    with pytest.raises(AzurePrepError, match=f"--upload-size-bytes {SIZE + 512}"):
        send(disk, vhd, managed_disk=True)


def test_stale_pages_of_a_managed_disk_become_zeros(disk: PageBlobServer, vhd: Path, tmp_path: Path) -> None:
    disk.add(SIZE + 512)
    other = make_vhd(tmp_path / "other.vhd", seed=3)
    interrupted(disk, other, 12, managed_disk=True)
    result = send(disk, vhd, managed_disk=True)
    assert result.cleared_bytes > 0
    assert disk.blob().content() == vhd.read_bytes()
    assert send(disk, vhd, managed_disk=True).changed is False


def test_a_finished_managed_disk_is_left_alone_unless_told(disk: PageBlobServer, vhd: Path, tmp_path: Path) -> None:
    disk.add(SIZE + 512)
    send(disk, vhd, managed_disk=True)
    other = make_vhd(tmp_path / "other.vhd", seed=3)
    with pytest.raises(AzurePrepError, match="content differs.*set overwrite"):
        send(disk, other, managed_disk=True)
    assert disk.blob().content() == vhd.read_bytes()
    interrupted(disk, other, 30, managed_disk=True, overwrite=True)
    assert disk.blob().content()[-512:] == bytes(512), "half overwritten: no longer a disk"
    send(disk, other, managed_disk=True)
    assert disk.blob().content() == other.read_bytes()


# -- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eta", "tail"),
    [(None, "MiB/s"), (9.6, ", 10 s left"), (190.0, ", 3 min 10 s left"), (7300.0, ", 2 h 1 min left")],
)
def test_progress_lines(eta: float | None, tail: str) -> None:
    line = upload.progress_line("/x/disk.vhd", upload.Progress("sending", 42, 100, 5 * MIB, 2.5 * MIB, eta))
    assert line.startswith("disk.vhd: sending, 42 %, 5.0 MiB sent, 2.5 MiB/s")
    assert line.endswith(tail)


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        ("open", errno.EROFS, "Cannot create progress_file .*: Read-only file system"),
        ("pwrite", errno.ENOSPC, "Cannot write progress_file .*: No space left on device"),
        ("unlink", errno.EROFS, "Cannot remove progress_file .*: Read-only file system"),
    ],
)
def test_a_progress_file_that_cannot_be_written_is_a_warning(
    server: PageBlobServer, vhd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int, words: str
) -> None:
    """The module writes nothing else: a full or read-only disk costs no upload."""
    told = tmp_path / "progress"
    real = getattr(os, step)

    def fail(where: str | int, *arguments: object) -> object:
        if str(told) in (where, os.readlink(f"/proc/self/fd/{where}") if step == "pwrite" else ""):
            raise OSError(code, os.strerror(code))
        return real(where, *arguments)

    monkeypatch.setattr(os, step, fail)
    params = {name: option.get("default") for name, option in vhd_upload.argument_spec().items()}
    params.update(path=str(vhd), progress_file=str(told))
    result = vhd_upload.run(params, Address(server.url()), False)
    assert server.blob().content() == vhd.read_bytes()
    (warning,) = result["warnings"]
    assert re.match(words, warning)


def test_the_lease_id_is_ours_alone(vhd: Path, tmp_path: Path) -> None:
    one = open_source(str(vhd), "vpc", GIB)
    two = open_source(str(make_vhd(tmp_path / "two.vhd", seed=2)), "vpc", GIB)
    try:
        assert upload.lease_id(one, "u") == upload.lease_id(one, "u")
        assert len({upload.lease_id(one, "u"), upload.lease_id(one, "v"), upload.lease_id(two, "u")}) == 3
    finally:
        one.close()
        two.close()
