# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List what an initramfs image holds: which kernel modules, and which generator made it.

An image is a row of cpio archives in "newc" form, each plain or compressed, with zero bytes between them
(Linux, Documentation/driver-api/early-userspace/buffer-format.rst). The first is often a small plain one with
microcode. gzip, xz, lzma and bzip2 are unpacked by Python itself, zstd by its command, lz4 and lzo by theirs, which
is faster, or where that is missing by the code below. Their frames are measured first, so that a cut-off image is
named as such and data behind a frame is found.

Why by hand: lsinitrd and lsinitramfs differ between releases, look at one archive only or unpack to disk, and are
not there in a mounted image of another distribution. One pass here needs some megabytes of memory.

Private to the collection: its interface may change in any release.
"""

import bz2
import lzma
import re
import struct
import subprocess
import threading
import time
import zlib
from typing import BinaryIO, Callable, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

BLOCK = 256 * 1024

#: No sane image unpacks to more, is longer or holds more files, nor takes so many seconds even where a processor is
#: emulated; a hostile one would otherwise keep us busy for ever. The largest that distributions make, with the firmware
#: and the drivers of all graphics cards, hold a tenth of it.
MAX_UNPACKED = 4 * 1024 * 1024 * 1024
MAX_ENTRIES = 300 * 1000
MAX_SECONDS = 1800.0

#: Longest file name taken: PATH_MAX of the kernel.
MAX_NAME = 4096

#: Memory that an xz stream may ask for: twice the largest preset's dictionary, and some.
XZ_MEMORY = 256 * 1024 * 1024

CPIO_HEADER = 110
TRAILER = "TRAILER!!!"

#: File types in st_mode (inode(7)).
TYPE_MASK = 0o170000
TYPE_FILE = 0o100000
TYPE_LINK = 0o120000

_MODULE = re.compile(r"(?:usr/)?lib/modules/([^/]+)/(?:.*/)?([^/]+)\.ko(?:\.(?:gz|xz|zst|bz2|lz4|lzo))?$")
#: Red Hat's mkinitrd (release 5) puts modules flat into /lib.
_FLAT_MODULE = re.compile(r"lib/([^/]+)\.ko(?:\.gz)?$")

#: initramfs-tools' hooks into the boot; the file ORDER beside them is none.
_SCRIPT = re.compile(r"scripts/((?:init|local|nfs)-[\w-]+/(?!ORDER$)[^/]+)$")

#: Files by which a generator's images are known.
_MARKERS = (
    (re.compile(r"(?:usr/)?lib/dracut(?:/|$)|dracut-state\.sh$|(?:usr/)?(?:s?bin)/dracut-"), "dracut"),
    (re.compile(r"conf/initramfs\.conf$|conf/arch\.conf$|scripts/init-premount(?:/|$)"), "initramfs-tools"),
    (re.compile(r"mkinitrd\.config$|run_all\.sh$|load_modules\.sh$"), "mkinitrd-suse"),
    (re.compile(r"(?:s?bin)/nash$"), "mkinitrd"),
    (re.compile(r"init_functions$|buildconfig$"), "mkinitcpio"),
)


class Content(NamedTuple):
    """What an image holds: module names (with underscores) by kernel release ("" where flat), and who made it.

    scripts: the executable boot scripts of initramfs-tools, as "init-top/udev".
    """

    modules: Dict[str, Set[str]]
    generator: str
    compression: List[str]
    scripts: FrozenSet[str] = frozenset()

    def of(self, version: str) -> Set[str]:
        """The modules that a kernel of this release can load from the image."""
        return self.modules.get(version, set()) | self.modules.get("", set())


#: Starts a decompressor by name with pipes; None where it is not installed.
Starter = Callable[[str], Optional["subprocess.Popen[bytes]"]]


def normalise(name: str) -> str:
    """The kernel takes "-" and "_" in a module's name for the same."""
    return name.replace("-", "_")


def too_large(source: str, what: str) -> AzurePrepError:
    """The error for an image beyond all measure."""
    return AzurePrepError("%s %s, which no initramfs does; look what it is." % (source, what))


class _Cpio:
    """Takes an archive in pieces, remembers names. feed() returns False once a byte that fits nothing was seen."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._buffer = bytearray()
        self._skip = 0
        self._pending: Optional[Tuple[int, int, int, int]] = None
        self.idle = True
        self.archives = 0
        self.modules: Dict[str, Set[str]] = {}
        self.markers: Set[str] = set()
        self.scripts: Set[str] = set()
        self.total = 0
        self._entries = 0
        self._end = time.monotonic() + MAX_SECONDS

    def feed(self, data: bytes, stop_after_trailer: bool = False) -> int:
        """Take bytes; returns how many of them were used (all, unless it stops behind an archive's end)."""
        self.total += len(data)
        if self.total + self._skip > MAX_UNPACKED:
            raise too_large(self._source, "unpacks to more than %d GiB" % (MAX_UNPACKED >> 30))
        if time.monotonic() > self._end:
            raise too_large(self._source, "could not be unpacked within %d seconds" % MAX_SECONDS)
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                continue
            if self.idle:
                # Between archives there may be any number of zero bytes.
                rest = data[position:].lstrip(b"\0") if data[position] == 0 else None
                if rest is not None:
                    position = len(data) - len(rest)
                    continue
                self.idle = False
            need = CPIO_HEADER if self._pending is None else self._pending[0]
            step = min(need - len(self._buffer), len(data) - position)
            self._buffer += data[position : position + step]
            position += step
            if len(self._buffer) < need:
                break
            if self._pending is None:
                self._header(bytes(self._buffer))
            else:
                self._name(bytes(self._buffer))
                if self.idle and stop_after_trailer:
                    self._buffer = bytearray()
                    self.total -= len(data) - position
                    return position
            self._buffer = bytearray()
        return position

    def _header(self, header: bytes) -> None:
        if header[:6] not in (b"070701", b"070702"):
            raise AzurePrepError("%s is damaged: a cpio header was expected inside it." % self._source)
        try:
            numbers = [int(header[start : start + 8].decode("ascii"), 16) for start in range(6, CPIO_HEADER, 8)]
        except ValueError:
            raise AzurePrepError("%s is damaged: a cpio header in it holds no numbers." % self._source)
        mode, links, size, name_size = numbers[1], numbers[4], numbers[6], numbers[11]
        if not 0 < name_size <= MAX_NAME + 1:
            raise AzurePrepError("%s is damaged: a file name in it is %d bytes long." % (self._source, name_size))
        padded = name_size + (-(CPIO_HEADER + name_size)) % 4
        self._pending = (padded, mode, size, links)

    def _name(self, raw: bytes) -> None:
        if self._pending is None:
            raise AssertionError("pending must be set by now")
        _need, mode, size, links = self._pending
        self._pending = None
        name = raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        if name == TRAILER:
            self.idle = True
            self.archives += 1
            return
        self._skip = size + (-size) % 4
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise too_large(self._source, "holds more than %d files" % MAX_ENTRIES)
        name = re.sub(r"^(?:\.?/)+", "", name)
        kind = mode & TYPE_MASK
        if (kind == TYPE_FILE and (size or links > 1)) or kind == TYPE_LINK:
            match = _MODULE.match(name)
            if match:
                self.modules.setdefault(match.group(1), set()).add(normalise(match.group(2)))
            else:
                match = _FLAT_MODULE.match(name)
                if match:
                    self.modules.setdefault("", set()).add(normalise(match.group(1)))
        script = _SCRIPT.match(name)
        if script and mode & 0o100 and kind in (TYPE_FILE, TYPE_LINK):
            self.scripts.add(script.group(1))
        for pattern, generator in _MARKERS:
            if pattern.match(name):
                self.markers.add(generator)

    def finish(self, where: str) -> None:
        """AzurePrepError unless every archive so far came to its end."""
        if not self.idle or self._skip or self._buffer or not self.archives:
            raise AzurePrepError("%s is cut off: %s ends inside an archive." % (self._source, where))


# -- frames ----------------------------------------------------------------------------------------------------


class _File:
    """A seekable file whose reads are complete or name the image as cut off."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self._stream = stream
        self._source = source
        self.size = stream.seek(0, 2)
        stream.seek(0)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, position: int) -> None:
        self._stream.seek(position)

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def peek(self, size: int) -> bytes:
        position = self._stream.tell()
        data = self._stream.read(size)
        self._stream.seek(position)
        return data

    def exact(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise self.cut_off()
        return data

    def skip(self, size: int) -> None:
        if size > self.size - self._stream.tell():
            raise self.cut_off()
        self._stream.seek(size, 1)

    def cut_off(self) -> AzurePrepError:
        return AzurePrepError("%s is cut off: its compressed data ends too early." % self._source)

    def little32(self) -> int:
        return int(struct.unpack("<I", self.exact(4))[0])

    def big32(self) -> int:
        return int(struct.unpack(">I", self.exact(4))[0])


LZ4_LEGACY = b"\x02\x21\x4c\x18"
LZ4_FRAME = b"\x04\x22\x4d\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
LZO = b"\x89LZO\x00\r\n\x1a\n"

#: A block of the legacy lz4 form unpacks to 8 MiB at most; packed it cannot be much larger.
LZ4_LEGACY_BLOCK = 8 * 1024 * 1024
LZ4_LEGACY_PACKED = LZ4_LEGACY_BLOCK + LZ4_LEGACY_BLOCK // 255 + 16


def _measure_lz4_legacy(file: _File) -> Iterator[Tuple[int, int]]:
    """The packed blocks (place, size) of a legacy lz4 stream; the file stands behind it afterwards."""
    file.skip(4)
    while file.tell() < file.size:
        head = file.peek(4)
        if head == LZ4_LEGACY:
            file.skip(4)
            continue
        if head.strip(b"\0") == b"" or len(head) < 4:
            return
        size = struct.unpack("<I", head)[0]
        if size > LZ4_LEGACY_PACKED:
            return
        file.skip(4)
        yield file.tell(), size
        file.skip(size)


def _measure_lz4_frame(file: _File) -> None:
    file.skip(4)
    flags = file.exact(2)[0]
    file.skip((8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0) + 1)
    while True:
        size = file.little32() & 0x7FFFFFFF
        if not size:
            break
        file.skip(size + (4 if flags & 0x10 else 0))
    if flags & 0x04:
        file.skip(4)


def _measure_zstd(file: _File) -> None:
    """Zstandard frames (RFC 8878, 3.1), as many as follow each other."""
    while True:
        head = file.peek(4)
        if head[1:] == b"\x2a\x4d\x18" and head[:1] >= b"\x50" and head[:1] <= b"\x5f":
            file.skip(4)
            file.skip(file.little32())
            continue
        if head != ZSTD:
            return
        file.skip(4)
        descriptor = file.exact(1)[0]
        single = bool(descriptor & 0x20)
        content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
        file.skip((0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + content)
        last = False
        while not last:
            block = int.from_bytes(file.exact(3), "little")
            last = bool(block & 1)
            kind = (block >> 1) & 3
            file.skip(1 if kind == 1 else block >> 3)
        if descriptor & 0x04:
            file.skip(4)


class LzoBlock(NamedTuple):
    """One block of an lzop file: where its data stands, its size packed and unpacked, its checksums (None: none)."""

    place: int
    packed: int
    unpacked: int
    adler32: Optional[int]
    crc32: Optional[int]


#: lzop never makes a larger block (lzop 1.04, conf.h, MAX_BLOCK_SIZE).
LZO_BLOCK = 64 * 1024 * 1024


def _measure_lzo(file: _File) -> Iterator[LzoBlock]:
    """The blocks of an lzop file (lzop 1.04, lzop.c): its header, then blocks until one of length 0."""
    file.skip(len(LZO))
    version = struct.unpack(">H", file.exact(2))[0]
    new = version >= 0x0940
    file.skip(2 + (2 if new else 0) + 1 + (1 if new else 0))
    flags = file.big32()
    if flags & 0x0800:
        file.skip(4)
    file.skip(8 + (4 if new else 0))
    file.skip(file.exact(1)[0])
    file.skip(4)
    if flags & 0x0040:
        file.skip(file.big32() + 4)
    while True:
        unpacked = file.big32()
        if not unpacked:
            return
        packed = file.big32()
        adler32 = file.big32() if flags & 0x0001 else None
        crc32 = file.big32() if flags & 0x0100 else None
        if packed < unpacked:
            file.skip(4 * (bool(flags & 0x0002) + bool(flags & 0x0200)))
        place = file.tell()
        file.skip(packed)
        yield LzoBlock(place, packed, unpacked, adler32, crc32)
        file.seek(place + packed)


def _repeat(output: bytearray, distance: int, length: int) -> None:
    """Append `length` bytes that begin `distance` bytes before the end."""
    start = len(output) - distance
    if distance >= length:
        output += output[start : start + length]
    else:
        # The copy overlaps itself: what it repeats is the last `distance` bytes.
        pattern = bytes(output[start:])
        output += (pattern * (length // distance + 1))[:length]


def unpack_lz4_block(packed: bytes, limit: int) -> bytes:
    """One lz4 block (lz4_Block_format.md); ValueError where it is damaged or unpacks to more than `limit`."""
    output = bytearray()
    position = 0
    end = len(packed)
    while position < end:
        token = packed[position]
        position += 1
        length = token >> 4
        if length == 15:
            while True:
                if position >= end:
                    raise ValueError("literal length")
                extra = packed[position]
                position += 1
                length += extra
                if extra != 255:
                    break
        if length > end - position or len(output) + length > limit:
            raise ValueError("literals")
        output += packed[position : position + length]
        position += length
        if position == end:
            return bytes(output)
        if end - position < 2:
            raise ValueError("offset")
        offset = packed[position] | packed[position + 1] << 8
        position += 2
        if not offset or offset > len(output):
            raise ValueError("offset")
        length = token & 15
        if length == 15:
            while True:
                if position >= end:
                    raise ValueError("match length")
                extra = packed[position]
                position += 1
                length += extra
                if extra != 255:
                    break
        length += 4
        if len(output) + length > limit:
            raise ValueError("match")
        _repeat(output, offset, length)
    raise ValueError("end")


def unpack_lzo1x(packed: bytes, limit: int) -> bytes:
    """One block of LZO1X (Linux, Documentation/staging/lzo.rst); ValueError where it is damaged or unpacks to more
    than `limit`."""
    output = bytearray()
    position = 0

    def byte() -> int:
        nonlocal position
        if position >= len(packed):
            raise ValueError("end")
        position += 1
        return packed[position - 1]

    def number(bits: int) -> int:
        """A length of which only zero bits stood in the instruction: 255 for each zero byte, then a byte."""
        length = bits
        while True:
            extra = byte()
            if extra:
                return length + extra
            length += 255

    def literals(length: int) -> None:
        nonlocal position, output
        if length > len(packed) - position or len(output) + length > limit:
            raise ValueError("literals")
        output += packed[position : position + length]
        position += length

    # How many literals the last instruction copied, 4 for "more than 3": it decides what a small instruction means.
    state = 0
    first = packed[0] if packed else 0
    if first > 17:
        position = 1
        literals(first - 17)
        state = min(first - 17, 4)
    while True:
        code = byte()
        if code < 16 and not state:
            literals((code or number(15)) + 3)
            state = 4
            continue
        if code >= 64:
            length = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            distance = (byte() << 3) + (code >> 2 & 7) + 1
            state = code & 3
        elif code >= 16:
            mask = 31 if code >= 32 else 7
            length = (code & mask or number(mask)) + 2
            pair = byte() | byte() << 8
            state = pair & 3
            distance = (pair >> 2) + 1
            if code < 32:
                distance += (code & 8) << 11
                if distance == 1:
                    return bytes(output)
                distance += 16383
        else:
            length = 2 if state < 4 else 3
            distance = (byte() << 2) + (code >> 2) + (1 if state < 4 else 2049)
            state = code & 3
        if distance > len(output) or len(output) + length > limit:
            raise ValueError("match")
        _repeat(output, distance, length)
        literals(state)


# -- decompression ---------------------------------------------------------------------------------------------


def _with_python(file: _File, kind: str, source: str, cpio: _Cpio) -> None:
    """Unpack one stream by a decompressor of Python's library; the file stands behind the stream afterwards."""
    if kind == "gzip":
        _gzip(file, source, cpio)
        return
    try:
        decompressor = (
            bz2.BZ2Decompressor()
            if kind == "bzip2"
            else lzma.LZMADecompressor(lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE, memlimit=XZ_MEMORY)
        )
        while not decompressor.eof:
            wanted = BLOCK if decompressor.needs_input else 0  # pylint: disable=using-constant-test
            data = file.read(wanted)
            if wanted and not data:
                raise file.cut_off()
            cpio.feed(decompressor.decompress(data, BLOCK))
        file.seek(file.tell() - len(decompressor.unused_data))
    except (lzma.LZMAError, OSError, EOFError, ValueError) as exc:
        raise AzurePrepError("%s is damaged: its %s data cannot be unpacked (%s)." % (source, kind, exc))


def _gzip(file: _File, source: str, cpio: _Cpio) -> None:
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = b""
        while not decompressor.eof:
            if not data:
                data = file.read(BLOCK)
                if not data:
                    raise file.cut_off()
            cpio.feed(decompressor.decompress(data, BLOCK))
            data = decompressor.unconsumed_tail
    except zlib.error as exc:
        raise AzurePrepError("%s is damaged: its gzip data cannot be unpacked (%s)." % (source, exc))
    file.seek(file.tell() - len(decompressor.unused_data))


def _with_command(
    file: _File, start: int, end: int, name: str, process: "subprocess.Popen[bytes]", source: str, cpio: _Cpio
) -> None:
    """Feed file[start:end] to a decompressor and take its output."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("process.stdin, process.stdout, process.stderr must be set by now")
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    messages: List[bytes] = []

    def feed() -> None:
        left = end - start
        try:
            while left:
                data = file.read(min(left, BLOCK))
                if not data:
                    break
                left -= len(data)
                stdin.write(data)
            stdin.close()
        except OSError:
            # The command ended early; its exit status and message tell why.
            return

    def listen() -> None:
        messages.append(stderr.read(4096))
        while stderr.read(BLOCK):
            continue

    file.seek(start)
    threads = [threading.Thread(target=feed), threading.Thread(target=listen)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    try:
        while True:
            data = stdout.read(BLOCK)
            if not data:
                break
            cpio.feed(data)
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        for thread in threads:
            thread.join(10)
        for stream in (stdin, stdout, stderr):
            try:
                stream.close()
            except OSError:
                # What the decompressor did not take any more cannot be flushed either.
                continue
    if status:
        text = b"".join(messages).decode("utf-8", "replace").strip()[-300:]
        raise AzurePrepError("%s is damaged: %s cannot unpack it (%s)." % (source, name, text or "status %d" % status))
    file.seek(end)


def _lz4_in_python(file: _File, source: str, cpio: _Cpio) -> None:
    for place, size in _measure_lz4_legacy(file):
        file.seek(place)
        try:
            cpio.feed(unpack_lz4_block(file.exact(size), LZ4_LEGACY_BLOCK))
        except ValueError as exc:
            raise AzurePrepError("%s is damaged: its lz4 data cannot be unpacked (%s)." % (source, exc))
        file.seek(place)


def _lzo_in_python(file: _File, source: str, cpio: _Cpio) -> None:
    for block in _measure_lzo(file):
        file.seek(block.place)
        data = file.exact(block.packed)
        try:
            if block.unpacked > LZO_BLOCK or block.packed > block.unpacked:
                raise ValueError("block size")
            if block.packed < block.unpacked:
                data = unpack_lzo1x(data, block.unpacked)
            if len(data) != block.unpacked:
                raise ValueError("length")
            if block.adler32 not in (None, zlib.adler32(data) & 0xFFFFFFFF):
                raise ValueError("checksum")
            if block.crc32 not in (None, zlib.crc32(data) & 0xFFFFFFFF):
                raise ValueError("checksum")
        except ValueError as exc:
            raise AzurePrepError("%s is damaged: its lzo data cannot be unpacked (%s)." % (source, exc))
        cpio.feed(data)


#: Package that holds each command, for the sentence when it is missing.
_PACKAGES = {"zstd": "zstd", "lz4": "lz4", "lzop": "lzop"}


def _compressed(file: _File, kind: str, source: str, cpio: _Cpio, start_command: Starter) -> None:
    if kind in ("gzip", "xz", "lzma", "bzip2"):
        _with_python(file, kind, source, cpio)
        return
    start = file.tell()
    if kind == "lz4":
        for _block in _measure_lz4_legacy(file):
            continue
    elif kind == "lz4-frame":
        _measure_lz4_frame(file)
    elif kind == "zstd":
        _measure_zstd(file)
    else:
        for _piece in _measure_lzo(file):
            continue
    end = file.tell()
    name = {"lz4": "lz4", "lz4-frame": "lz4", "zstd": "zstd", "lzo": "lzop"}[kind]
    process = start_command(name)
    if process is not None:
        _with_command(file, start, end, name, process, source, cpio)
    elif kind in ("lz4", "lzo"):
        file.seek(start)
        unpack = _lz4_in_python if kind == "lz4" else _lzo_in_python
        unpack(file, source, cpio)
        file.seek(end)
    else:
        raise AzurePrepError(
            "%s is packed with %s, and the command %s is not installed; install the package %s."
            % (source, kind, name, _PACKAGES[name])
        )


def detect(head: bytes) -> str:
    """The form of the data that begins with these bytes: cpio, a compression, or "" for neither."""
    for magic, kind in (
        (b"070701", "cpio"),
        (b"070702", "cpio"),
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x5d\x00\x00", "lzma"),
        (b"BZh", "bzip2"),
        (LZ4_LEGACY, "lz4"),
        (LZ4_FRAME, "lz4-frame"),
        (ZSTD, "zstd"),
        (LZO[:4], "lzo"),
    ):
        if head.startswith(magic):
            return kind
    return ""


def read(stream: BinaryIO, source: str, start_command: Starter) -> Content:
    """List an image. AzurePrepError where it is empty, cut off, damaged, of an unknown form, or a command is missing.

    stream: a seekable binary file. source: what to call it in a sentence.
    """
    file = _File(stream, source)
    if file.size > MAX_UNPACKED:
        raise too_large(source, "is larger than %d GiB" % (MAX_UNPACKED >> 30))
    cpio = _Cpio(source)
    compression: List[str] = []
    while True:
        while True:
            block = file.read(BLOCK)
            rest = block.lstrip(b"\0")
            if rest or not block:
                break
        if not block:
            break
        file.seek(file.tell() - len(rest))
        start = file.tell()
        kind = detect(file.peek(16))
        if not kind:
            raise AzurePrepError(
                "%s is no initramfs image: the data at byte %d is neither a cpio archive nor packed in a known form."
                % (source, start)
            )
        compression.append(kind)
        if kind == "cpio":
            while True:
                data = file.read(BLOCK)
                if not data:
                    break
                used = cpio.feed(data, stop_after_trailer=True)
                if cpio.idle:
                    file.seek(file.tell() - len(data) + used)
                    break
        else:
            _compressed(file, kind, source, cpio, start_command)
        cpio.finish("the archive at byte %d" % start)
    if not compression:
        raise AzurePrepError("%s is empty." % source)
    generator = next((name for _pattern, name in _MARKERS if name in cpio.markers), "")
    return Content(cpio.modules, generator, compression, frozenset(cpio.scripts))
