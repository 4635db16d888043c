# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload a disk to a page blob: plan, send in threads, verify, and the footer last as the commit mark.

The rules that make an interruption harmless:
- The footer's page is written last. A blob without it is no VHD, and Azure makes no disk of it.
- A blob carries the fingerprint of its source from the moment it is created. Only a blob with the same one is
  gone on with; every page that is there already is compared by its checksum, none is trusted.
- A lease keeps others from writing. Its id follows from machine, file and blob, so that a run after a crash takes
  its own lease over at once; a second run on the same machine is kept out by a socket that dies with its process.
- Pages that the blob has and the disk has not (an earlier content of a managed disk) are cleared or zeroed.

Private to the collection: its interface may change in any release.
"""

import base64
import hashlib
import os
import socket
import struct
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import extents
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.pageblob import (
    BlobError,
    BlobState,
    Pace,
    PageBlobClient,
    Policy,
    Stopped,
    md5,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.upload_source import Source, SourceChanged, describe

FOOTER = 512

#: A lease of this length, renewed three times in it: long enough for a hiccup, short enough to wait for.
LEASE_SECONDS = 30

#: How long to wait for the lease of an interrupted upload from elsewhere to run out.
LEASE_WAIT = LEASE_SECONDS + 10

#: content_md5 "auto" hashes the whole disk, zeros included, up to this size.
AUTO_MD5_SIZE = 128 * 1024 * 1024

#: A range that comes back with another checksum is sent again this often before the upload fails.
REPAIRS = 3

_RECORD = struct.Struct(">QI16s?")

Range = Tuple[int, int]


class Options(NamedTuple):
    """What the caller wants; see the module's documentation."""

    managed_disk: bool = False
    resume: bool = True
    verify: bool = True
    overwrite: bool = False
    content_md5: str = "auto"


class Plan(NamedTuple):
    """What stands at the destination and what follows. action: create, replace, resume or compare.

    compare: the destination looks complete, so it is only read unless its content turns out to differ.
    """

    action: str
    state: Optional[BlobState]
    existing: List[Range]


class Progress(NamedTuple):
    """Where an upload stands. done and total are bytes of disk worked through, sent is what crossed the line."""

    phase: str
    done: int
    total: int
    sent: int
    rate: float
    eta: Optional[float]


class Result(NamedTuple):
    """What an upload did; the module documents each field."""

    changed: bool
    action: str
    bytes_sent: int
    data_bytes: int
    resumed_bytes: int
    cleared_bytes: int
    ranges: int
    virtual_size_bytes: int
    etag: str
    md5: Optional[str]
    content_md5: Optional[str]
    digest: Optional[str]
    requests: int
    retries: int
    seconds: float
    warnings: List[str]


Report = Callable[[Progress], None]


def make_plan(source: Source, client: PageBlobClient, options: Options) -> Plan:
    """Look at the destination, change nothing. AzurePrepError where it may not be written."""
    where = client.address.public
    state = client.properties()
    if options.managed_disk:
        return _plan_disk(source, client, options, state)
    if state is None:
        return Plan("create", None, [])
    leased = BlobError("Someone else holds the lease of %s, so nothing was written; break the lease first." % where)
    if state.blob_type == "PageBlob" and state.length == source.length:
        ours = state.metadata.get("vhdsource") == source.fingerprint
        if ours:
            existing = client.page_ranges(source.length)
            complete = _covers(existing, (source.size, source.length))
            if complete and options.resume:
                return Plan("compare", state, existing)  # reading needs no lease
            if state.lease == "infinite":
                raise leased
            if options.resume:
                return Plan("resume", state, existing)
            if not complete:
                return Plan("replace", state, existing)
    if state.lease == "infinite":
        raise leased
    if options.overwrite:
        return Plan("replace", state, [])
    if "vhdsource" in state.metadata and not _has_footer(client, state):
        raise AzurePrepError(
            "%s holds the unfinished upload of another file, or of this file before it was changed. Set overwrite to"
            " replace it." % where
        )
    raise AzurePrepError("%s exists already and was left alone; set overwrite to replace it." % where)


def _has_footer(client: PageBlobClient, state: BlobState) -> bool:
    if state.blob_type != "PageBlob" or state.length < FOOTER:
        return False
    return _covers(client.page_ranges(state.length), (state.length - FOOTER, state.length))


def _plan_disk(source: Source, client: PageBlobClient, options: Options, state: Optional[BlobState]) -> Plan:
    """A managed disk is there before the upload, has our length, and has no metadata: only its pages speak."""
    where = client.address.public
    if state is None:
        raise BlobError("%s does not exist; create the disk for upload and grant access to it again." % where)
    if state.length != source.length:
        raise AzurePrepError(
            "The managed disk takes %d bytes and %s has %d (with its footer). Create the disk with"
            " --upload-size-bytes %d." % (state.length, source.path, source.length, source.length)
        )
    existing = client.page_ranges(source.length)
    if not _covers(existing, (source.size, source.length)):
        return Plan("resume", state, existing)
    if client.range_md5(source.size, FOOTER) == md5(bytes(FOOTER)).digest():
        return Plan("resume", state, existing)  # an earlier overwrite that was cut after it had voided the footer
    return Plan("compare", state, existing)


def _covers(ranges: List[Range], wanted: Range) -> bool:
    return not extents.subtract([wanted], ranges)


def upload(source: Source, client: PageBlobClient, options: Options, report: Report) -> Result:
    """Upload `source`, or find that it is there already. AzurePrepError with a sentence for every failure.

    After a failure the destination holds an unfinished upload that the next call goes on with.
    """
    run = _Upload(source, client, options, report)
    try:
        return run.run()
    except AzurePrepError as exc:
        text = client.address.scrub(str(exc))
        resumable = bool(run.stored) and not isinstance(exc, SourceChanged)
        if resumable:
            text += " %.1f MiB are there already; run the same again and it goes on from there." % (
                run.stored / 1048576.0
            )
        raise AzurePrepError(text, **dict(exc.details, bytes_sent=client.body_bytes, resumable=resumable))


def only_one(url: str) -> socket.socket:
    """Keep a second upload to the same blob on this machine out, until the socket is closed or the process ends."""
    name = "\0linuxvhd.azure.upload." + hashlib.sha256(url.encode("utf-8")).hexdigest()[:32]
    guard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        guard.bind(name)
    except OSError:
        guard.close()
        raise AzurePrepError("Another upload to %s is running on this machine; wait for it to end." % url)
    return guard


def lease_id(source: Source, url: str) -> str:
    """The same for the same machine, file and blob, and for nothing else."""
    machine = ""
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            with open(path, "r") as stream:
                machine += stream.read().strip()
        except OSError:
            continue
    text = "|".join(
        (machine, socket.gethostname(), source.path, source.fingerprint, "%d|%d" % source.identity[:2], url)
    )
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


class _Upload:
    """One upload under way: counters that threads share, and the phases in their order."""

    def __init__(self, source: Source, client: PageBlobClient, options: Options, report: Report) -> None:
        self.source = source
        self.client = client
        self.options = options
        self.report = report
        self.stored = 0
        self._lock = threading.Lock()
        self._records: Dict[int, bytes] = {}
        self._data = 0
        self._ranges = 0
        self._resumed = 0
        self._cleared = 0
        self._wrote = False
        self._done = 0
        self._total = 0
        self._phase = "looking"
        self._speed = _Speed()
        self._hasher: Optional[_Hasher] = None
        self._warnings: List[str] = list(source.warnings)
        self._local = threading.local()

    # -- order ---------------------------------------------------------------------------------------------------

    def run(self) -> Result:
        started = time.monotonic()
        guard = only_one(self.client.address.public)
        keeper: Optional[_LeaseKeeper] = None
        try:
            plan = make_plan(self.source, self.client, self.options)
            if not self.options.managed_disk:
                keeper = self._take(plan)
            if plan.action == "compare" and not self._compare(plan):
                plan = plan._replace(action="resume")
            if plan.action != "compare":
                self._send(plan)
            result = self._finish(plan, started)
        except (Exception, KeyboardInterrupt):
            # Not for a kill: that leaves the lease to run out, and the next run takes it over.
            if keeper is not None:
                keeper.end()
            raise
        finally:
            if keeper is not None:
                keeper.stop()
            if self._hasher is not None:
                self._hasher.stop()
            self.client.pace.stop()
            self.client.close()
            guard.close()
        return result

    def _take(self, plan: Plan) -> Optional["_LeaseKeeper"]:
        """Create the blob if it must be, and hold its lease from before the first page."""
        identifier = lease_id(self.source, self.client.address.public)
        metadata = describe(self.source)
        etag = ""
        if plan.action in ("create", "replace"):
            if plan.state is not None and plan.state.lease:
                self._acquire(identifier, "", wait=False)
            etag = self._create(metadata, plan.state.etag if plan.state is not None else "")
            self._wrote = True
        if self.client.lease_id:
            return _LeaseKeeper(self.client)
        if plan.action == "compare" and plan.state is not None and plan.state.lease == "infinite":
            return None
        wait = plan.action in ("resume", "compare")
        if not self._acquire(identifier, etag, wait):
            return None
        return _LeaseKeeper(self.client)

    def _create(self, metadata: Dict[str, str], replace: str) -> str:
        """Create the blob, or replace the one with that ETag; returns the new ETag."""
        metadata = dict(metadata, vhdnonce=uuid.uuid4().hex)
        try:
            return self.client.create(self.source.length, metadata, replace=replace)
        except BlobError as exc:
            # The answer to an earlier try may have been lost on its way: then the blob is ours.
            lost = exc.code in ("BlobAlreadyExists", "ConditionNotMet")
            state = self.client.properties() if lost else None
            if state is None or state.metadata.get("vhdnonce") != metadata["vhdnonce"]:
                raise
            return state.etag

    def _acquire(self, identifier: str, etag: str, wait: bool) -> bool:
        """Take the lease; False where the token does not allow leases at all."""
        end = time.monotonic() + LEASE_WAIT
        while True:
            try:
                self.client.acquire_lease(identifier, LEASE_SECONDS, etag)
                return True
            except BlobError as exc:
                if exc.code == "LeaseAlreadyPresent" and wait and time.monotonic() < end:
                    self._phase = "waiting for the lease of another upload"
                    self._tell()
                    self.client.pace.sleep(2.0)
                    continue
                if exc.status == 403 and exc.code == "AuthorizationPermissionMismatch":
                    self._warnings.append(
                        "The token does not allow leases, so another upload to the same blob would not be kept out."
                    )
                    return False
                raise

    # -- pages ---------------------------------------------------------------------------------------------------

    def _work(self, existing: List[Range]) -> Iterator[Tuple[extents.Block, List[Range]]]:
        """Every block that has data in the image or pages at the destination, with those pages."""
        index = 0
        pages: Dict[int, List[Range]] = {}
        position = 0
        disk = self.source.size

        def take_until(end: int) -> None:
            """Sort the existing ranges below `end` into blocks."""
            nonlocal index, position
            while index < len(existing) and position < end:
                begin, stop = max(existing[index][0], position), min(existing[index][1], disk)
                while begin < stop and begin < end:
                    block = begin - begin % extents.BLOCK
                    cut = min(stop, block + extents.BLOCK)
                    pages.setdefault(block, []).append((begin, cut))
                    begin = cut
                position = begin
                if begin < stop:
                    return
                index += 1
            position = max(position, end)

        for block in self.source.blocks():
            take_until(block.start + extents.BLOCK)
            for start in sorted(start for start in pages if start < block.start):
                yield extents.Block(start, []), pages.pop(start)
            yield block, pages.pop(block.start, [])
        take_until(disk)
        for start in sorted(pages):
            yield extents.Block(start, []), pages[start]

    def _buffer(self) -> memoryview:
        """The calling thread's memory for one block, the same every time."""
        if not hasattr(self._local, "buffer"):
            self._local.buffer = memoryview(bytearray(extents.BLOCK))
        buffer: memoryview = self._local.buffer
        return buffer

    def _measure(self) -> None:
        self._total = max(sum(block.allocated for block in self.source.blocks()), 1)
        self._done = 0

    def _note(self, block: extents.Block, record: bytes, data: int, ranges: int, resumed: int) -> None:
        with self._lock:
            self._records[block.start] = record
            self._data += data
            self._ranges += ranges
            self._resumed += resumed
            self._done += block.allocated

    def _compare(self, plan: Plan) -> bool:
        """Whether a destination that looks complete holds exactly this disk. Reads only, unless it may overwrite."""
        self._phase = "comparing"
        self._measure()
        differs: List[int] = []
        where = self.client.address.public

        def compare(item: Tuple[extents.Block, List[Range]]) -> None:
            block, pages = item
            if differs:
                return
            segments = self.source.segments(block, self._buffer())
            ranges = extents.nonzero_ranges(segments)
            record = b""
            stale = extents.subtract(pages, ranges)
            if extents.subtract(ranges, pages) or (stale and not self._zero(stale)):
                differs.append(block.start)
                return
            for begin, data in extents.slices(segments, ranges):
                checksum = md5(data).digest()
                if self.options.verify and self.client.range_md5(begin, len(data)) != checksum:
                    differs.append(block.start)
                    return
                record += _RECORD.pack(begin, len(data), checksum, True)
            size = sum(end - begin for begin, end in ranges)
            self._note(block, record, size, len(ranges), size)

        self._pool(self._work(plan.existing), compare)
        same = not differs
        if same:
            same = self.client.range_md5(self.source.size, FOOTER) == md5(self.source.footer).digest()
        if same:
            return True
        if not self.options.overwrite:
            raise AzurePrepError(
                "%s holds a disk whose content differs from %s and was left alone; set overwrite to replace it."
                % (where, self.source.path)
            )
        # From here on it must not be taken for a finished disk.
        self._void(self.source.size, FOOTER)
        self._records.clear()
        self._data = self._ranges = self._resumed = 0
        return False

    def _zero(self, ranges: List[Range]) -> bool:
        """Whether pages that the disk has not are zeros at the destination (as left by an upload to a disk)."""
        if not self.options.verify:
            return True
        return all(
            self.client.range_md5(begin, end - begin) == md5(bytes(end - begin)).digest() for begin, end in ranges
        )

    def _void(self, begin: int, length: int) -> None:
        """Make pages read as zeros. A managed disk is given zeros, as its tokens are for writing pages alone."""
        self._wrote = True
        if self.options.managed_disk:
            zeros = bytes(length)
            self._write(begin, zeros, md5(zeros).digest())
        else:
            self._leased(lambda: self.client.clear_pages(begin, length))
        with self._lock:
            self._cleared += length

    def _send(self, plan: Plan) -> None:
        self._phase = "sending"
        self._measure()
        wanted = self.options.content_md5
        small = self.source.size <= AUTO_MD5_SIZE
        if not self.options.managed_disk and (wanted == "always" or (wanted == "auto" and small)):
            self._hasher = _Hasher(self.source)
        existing = plan.existing if plan.action == "resume" else []
        self._pool(self._work(existing), self._send_block)

    def _send_block(self, item: Tuple[extents.Block, List[Range]]) -> None:
        """Bring one block to the destination; what is there already is compared first."""
        block, pages = item
        segments = self.source.segments(block, self._buffer())
        ranges = extents.nonzero_ranges(segments)
        record = b""
        resumed = 0
        for begin, end in extents.subtract(pages, ranges):
            if not self.options.managed_disk or not self._zero([(begin, end)]):
                self._void(begin, end - begin)
        for begin, data in extents.slices(segments, ranges):
            there = bool(pages) and _covers(pages, (begin, begin + len(data)))
            checksum = md5(data).digest() if self.options.verify or there else b""
            certain = False
            if there:
                certain = self.client.range_md5(begin, len(data)) == checksum
                resumed += len(data) if certain else 0
            if not certain:
                certain = self._write(begin, data, checksum)
            record += _RECORD.pack(begin, len(data), checksum, certain)
            with self._lock:
                self.stored += len(data)
        self._note(block, record, sum(end - begin for begin, end in ranges), len(ranges), resumed)

    def _write(self, begin: int, data: Any, checksum: bytes) -> bool:
        self._wrote = True
        return self._leased(lambda: self.client.put_pages(begin, data, checksum))

    def _leased(self, operation: Callable[[], Any]) -> Any:
        """Do it; where our lease had run out in a pause of the network, renew it once and do it again.

        Renewing succeeds only while nobody else has leased or written the blob meanwhile.
        """
        try:
            return operation()
        except BlobError as exc:
            if exc.code not in ("LeaseLost", "LeaseNotPresentWithBlobOperation"):
                raise
            self.client.renew_lease()
        return operation()

    # -- end -----------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Tuple[int, int, bytes, bool]]:
        for start in sorted(self._records):
            yield from _RECORD.iter_unpack(self._records[start])

    def _verify(self) -> None:
        """Read back what the service has not confirmed yet, and compare the list of pages with the plan."""
        self._phase = "verifying"
        doubtful = [row for row in self._rows() if not row[3]]
        self._total = max(sum(row[1] for row in doubtful), 1)
        self._done = 0

        def check(row: Tuple[int, int, bytes, bool]) -> None:
            begin, length, checksum, _certain = row
            for attempt in range(REPAIRS + 1):
                if self.client.range_md5(begin, length) == checksum:
                    with self._lock:
                        self._done += length
                    return
                if attempt < REPAIRS:
                    data = self.source.read(begin, begin + length)
                    if md5(data).digest() != checksum:
                        self.source.check_unchanged()
                    self._write(begin, data, checksum)
            raise BlobError(
                "%s does not keep what is sent: at offset %d it returned other bytes %d times. Is there a proxy in"
                " between?" % (self.client.address.public, begin, REPAIRS + 1)
            )

        self._pool(iter(doubtful), check)
        listed = self.client.page_ranges(self.source.length)
        wanted = [(row[0], row[0] + row[1]) for row in self._rows()]
        missing = extents.subtract(wanted, listed)
        foreign = extents.subtract(listed, wanted)
        if self.options.managed_disk:
            foreign = []  # zeros that had to be written; a disk has no other writer than the holder of the token
        if missing or foreign:
            raise BlobError(
                "%s was written to by someone else while the upload ran: byte %d is %s."
                % (
                    self.client.address.public,
                    (missing or foreign)[0][0],
                    "gone" if missing else "none of ours",
                )
            )

    def _finish(self, plan: Plan, started: float) -> Result:
        sending = plan.action != "compare"
        whole = b""
        if sending:
            if self.options.verify:
                self._verify()
            if self._hasher is not None:
                self._phase = "hashing"
                whole = self._hasher.wait(self._tell)
            self.source.check_unchanged()
            self._phase = "finishing"
            self._describe(whole)
            checksum = md5(self.source.footer).digest()
            certain = self._write(self.source.size, self.source.footer, checksum)
            certain = certain or not self.options.verify
            if not certain and self.client.range_md5(self.source.size, FOOTER) != checksum:
                raise BlobError("%s does not keep the footer that was sent." % self.client.address.public)
        state = self.client.properties()
        if state is None or state.length != self.source.length:
            raise BlobError("%s was deleted or replaced while the upload ran." % self.client.address.public)
        if self.client.lease_id:
            try:
                self.client.release_lease()
            except BlobError:
                self._warnings.append("The lease could not be given back; it runs out in %d seconds." % LEASE_SECONDS)
        encoded = base64.b64encode(whole).decode("ascii") if whole else state.content_md5
        self._phase = "done"
        self._done = self._total
        self._tell()
        return Result(
            changed=sending,
            action=plan.action if sending else "none",
            bytes_sent=self.client.body_bytes,
            data_bytes=self._data + FOOTER,
            resumed_bytes=self._resumed + (0 if sending else FOOTER),
            cleared_bytes=self._cleared,
            ranges=self._ranges + 1,
            virtual_size_bytes=self.source.size,
            etag=state.etag,
            md5=_hex(encoded),
            content_md5=encoded or None,
            digest=self._digest(),
            requests=self.client.requests,
            retries=self.client.retries,
            seconds=round(time.monotonic() - started, 3),
            warnings=self._warnings,
        )

    def _digest(self) -> Optional[str]:
        """SHA-256 over what is not zero: (offset, length, MD5) of every range, then the footer.

        None without verification, which is also without the checksums that this is made of.
        """
        if not self.options.verify:
            return None
        total = hashlib.sha256()
        for begin, length, checksum, _certain in self._rows():
            total.update(struct.pack(">QI16s", begin, length, checksum))
        total.update(self.source.footer)
        return total.hexdigest()

    def _describe(self, whole: bytes) -> None:
        """Store the digests with the blob, before the footer makes it a disk."""
        if self.options.managed_disk:
            return
        metadata = describe(self.source)
        digest = self._digest()
        if digest is not None:
            metadata["vhddigest"] = digest
        metadata["vhddata"] = str(self._data + FOOTER)
        self._leased(lambda: self.client.set_metadata(metadata))
        if whole:
            encoded = base64.b64encode(whole).decode("ascii")
            self._leased(lambda: self.client.set_content_md5(encoded))

    # -- threads -------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        sent = self.client.body_bytes
        rate, eta = self._speed.update(self._done, self._total, sent)
        self.report(Progress(self._phase, self._done, self._total, sent, rate, eta))

    def _pool(self, items: Iterator[Any], work: Callable[[Any], None]) -> None:
        """work(item) for every item in threads; the first failure ends all and is raised here."""
        failures: List[BaseException] = []
        turn = threading.Lock()
        pace = self.client.pace

        def loop() -> None:
            try:
                while not failures:
                    with turn:
                        item = next(items, None)
                    if item is None:
                        return
                    work(item)
            except Stopped:
                return
            except BaseException as exc:  # raised again by the thread that waits
                failures.append(exc)
                pace.stop()

        threads = [threading.Thread(target=loop, daemon=True) for _worker in range(self.client.policy.parallel)]
        for thread in threads:
            thread.start()
        try:
            while True:
                alive = [thread for thread in threads if thread.is_alive()]
                if not alive:
                    break
                alive[0].join(0.25)
                self._tell()
        except BaseException:
            pace.stop()
            raise
        if failures:
            raise failures[0]


class _Speed:
    """Bytes of disk a second over the last half minute or so, and the seconds left at that pace."""

    WINDOW = 30.0

    def __init__(self) -> None:
        self._samples: List[Tuple[float, int, int]] = []

    def update(self, done: int, total: int, sent: int) -> Tuple[float, Optional[float]]:
        now = time.monotonic()
        if self._samples and done < self._samples[-1][1]:
            self._samples = []  # another phase began
        self._samples.append((now, done, sent))
        while len(self._samples) > 2 and now - self._samples[0][0] > self.WINDOW:
            del self._samples[0]
        first = self._samples[0]
        span = now - first[0]
        if span < 0.2:
            return 0.0, None
        pace = (done - first[1]) / span
        return (sent - first[2]) / span, (total - done) / pace if pace > 0 else None


class _LeaseKeeper:
    """Renews the lease in the background; a lost one shows at the next page, which the service then refuses."""

    def __init__(self, client: PageBlobClient) -> None:
        self._client = client
        self._over = threading.Event()
        thread = threading.Thread(target=self._loop, daemon=True)
        thread.start()

    def _loop(self) -> None:
        while not self._over.wait(LEASE_SECONDS / 3.0):
            if not self._client.lease_id:
                return
            try:
                self._client.renew_lease()
            except (AzurePrepError, Stopped):
                continue

    def stop(self) -> None:
        self._over.set()

    def end(self) -> None:
        """Give the lease back after a failure, without patience: it would run out by itself."""
        self.stop()
        client = self._client
        if not client.lease_id:
            return
        client.pace = Pace(1)
        client.policy = Policy(1, 5.0, 2.0, 0.2)
        try:
            client.release_lease()
        except (AzurePrepError, Stopped):
            return


class _Hasher:
    """MD5 of the whole blob, zeros and footer included, in a thread of its own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._digest = b""
        self._failure: Optional[BaseException] = None
        self._over = False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        try:
            total = md5()
            zeros = bytes(extents.BLOCK)
            position = 0
            for block in self._source.blocks():
                for begin, end in block.extents:
                    position = self._fill(total, zeros, position, begin)
                    if self._over:
                        return
                    total.update(self._source.read(begin, end))
                    position = end
            self._fill(total, zeros, position, self._source.size)
            total.update(self._source.footer)
            self._digest = total.digest()
        except BaseException as exc:  # raised again by wait()
            self._failure = exc

    def _fill(self, total: Any, zeros: bytes, position: int, end: int) -> int:
        while position < end and not self._over:
            step = min(end - position, len(zeros))
            total.update(memoryview(zeros)[:step])
            position += step
        return end

    def wait(self, tell: Callable[[], None]) -> bytes:
        while self._thread.is_alive():
            self._thread.join(0.25)
            tell()
        if self._failure is not None:
            raise self._failure
        return self._digest

    def stop(self) -> None:
        self._over = True


def _hex(encoded: str) -> Optional[str]:
    """A Content-MD5 in hexadecimal digits, as Ansible's own modules show checksums."""
    try:
        return base64.b64decode(encoded, validate=True).hex() if encoded else None
    except ValueError:
        return None


def progress_line(name: str, progress: Progress) -> str:
    """disk.vhd: 42 %, 61.2 MiB/s, 3 min 10 s left."""
    percent = 100 * progress.done // max(progress.total, 1)
    text = "%s: %s, %d %%, %.1f MiB sent, %.1f MiB/s" % (
        os.path.basename(name),
        progress.phase,
        min(percent, 100),
        progress.sent / 1048576.0,
        progress.rate / 1048576.0,
    )
    if progress.eta is None or progress.phase == "done":
        return text
    seconds = int(progress.eta + 0.5)
    if seconds >= 3600:
        return text + ", %d h %d min left" % (seconds // 3600, seconds % 3600 // 60)
    if seconds >= 60:
        return text + ", %d min %d s left" % (seconds // 60, seconds % 60)
    return text + ", %d s left" % seconds
