"""The UDF volume, DHCP replies, the name server, packet captures and disk images."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import dhcp, dns, image, pcap, udf

MAC = "00:0d:3a:01:02:03"


def need(program: str) -> str:
    path = shutil.which(program) or shutil.which("/sbin/" + program)
    if path is None:
        pytest.skip("%s is not installed: no independent reader of UDF" % program)
    return path


# -- UDF ---------------------------------------------------------------------------------------------------------


def test_every_descriptor_has_a_right_tag() -> None:
    data = udf.build("rd_rdfe_stable.proof", {"ovf-env.xml": b"x" * 5000, "empty": b""}, 1_700_000_000)
    seen = []
    for sector in [*range(32, 38), *range(48, 54), 64, 65, 256, 257, 258, 259, len(data) // 2048 - 1]:
        raw = data[sector * 2048 : sector * 2048 + 2048]
        kind, _version, check, _r, _serial, crc, length, location = struct.unpack("<HHBBHHHI", raw[:16])
        assert sum(raw[:4] + raw[5:16]) & 0xFF == check
        assert udf.binascii.crc_hqx(raw[16 : 16 + length], 0) == crc
        assert location == (sector - udf.PARTITION if 257 <= sector <= 259 else sector)
        seen.append(kind)
    assert seen == [1, 4, 5, 6, 7, 8, 1, 4, 5, 6, 7, 8, 9, 8, 2, 256, 8, 261, 2]


def test_it_is_udf_and_nothing_else() -> None:
    data = udf.build("label", {"a": b"b"})
    assert b"CD001" not in data
    assert data[16 * 2048 + 1 : 16 * 2048 + 6] == b"BEA01"


def test_udftools_read_it(tmp_path: Path) -> None:
    program = need("udfinfo")
    path = tmp_path / "medium.img"
    path.write_bytes(udf.build("rd_rdfe_stable.proof", {"ovf-env.xml": b"<x/>"}, 1_700_000_000))
    done = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=30, check=True)
    assert not done.stderr.strip()
    for row in ("lvid=rd_rdfe_stable.proof", "udfrev=1.02", "integrity=closed", "numfiles=1", "numdirs=1"):
        assert row in done.stdout.splitlines()


def test_7zip_reads_the_files_back(tmp_path: Path) -> None:
    program = need("7z")
    content = {"ovf-env.xml": b"<Environment/>" * 400, "second": b"", "third.bin": bytes(range(256)) * 16}
    path = tmp_path / "medium.img"
    path.write_bytes(udf.build("proof", content, 1_700_000_000))
    subprocess.run(
        [program, "x", "-y", "-o" + str(tmp_path / "out"), str(path)], capture_output=True, timeout=30, check=True
    )
    assert {found.name: found.read_bytes() for found in (tmp_path / "out").iterdir()} == content


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AzurePrepError, match="too long"):
        udf.build("x" * 31, {})
    with pytest.raises(AzurePrepError, match="one sector of file names"):
        udf.build("x", {"file-%040d" % at: b"" for at in range(60)})


# -- DHCP --------------------------------------------------------------------------------------------------------


def reply(options: bytes, source: int = 67, target: int = 68) -> bytes:
    bootp = bytes([2, 1, 6, 0]) + b"abcd" + bytes(8) + socket.inet_aton("160.0.0.15") + bytes(8)
    bootp = bootp + bytes.fromhex(MAC.replace(":", "")) + bytes(10 + 192) + dhcp.COOKIE + options
    udp = struct.pack(">HHHH", source, target, 8 + len(bootp), 0) + bootp
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\xa0\0\0\2", b"\xff" * 4)
    return b"\xff" * 6 + b"\x52\x55" + b"\xa0\0\0\2" + b"\x08\x00" + ip + udp


def options_of(frame: bytes) -> dict[int, bytes]:
    found, at, data = {}, 0, frame[14 + 20 + 8 + 240 :]
    while data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def test_a_reply_gets_azures_options_and_keeps_its_own() -> None:
    frame = dhcp.edit(reply(b"\x35\x01\x05\x36\x04\xa0\0\0\2\x01\x04\xf0\0\0\0\x33\x04\0\1\x51\x80\xff"))
    found = options_of(frame)
    assert found[53] == b"\x05" and found[54] == b"\xa0\0\0\2" and found[51] == b"\0\1\x51\x80"
    assert found[1] == socket.inet_aton("255.255.255.0")
    assert found[245] == socket.inet_aton("168.63.129.16")
    assert found[121] == found[249]
    assert b"\x20" + socket.inet_aton("168.63.129.16") + socket.inet_aton("160.0.0.2") in found[121]
    assert dns.checksum(frame[14:34]) == 0
    assert struct.unpack(">H", frame[16:18])[0] == len(frame) - 14
    assert struct.unpack(">H", frame[38:40])[0] == len(frame) - 34


def test_other_frames_and_broken_replies_pass_unchanged() -> None:
    for frame in (
        b"",
        b"\0" * 60,
        reply(b"\xff", source=53),
        reply(b"\x35\xff\x05"),
        reply(b"\x35\x01\x05\xff")[:200],
    ):
        assert dhcp.edit(frame) == frame


@given(st.binary(max_size=400), st.integers(0, 340))
def test_no_frame_raises(noise: bytes, cut: int) -> None:
    dhcp.edit(noise)
    dhcp.edit((reply(b"\x35\x01\x05\xff")[:cut] + noise)[:600])


def test_frames_pass_through_the_sockets(tmp_path: Path) -> None:
    editor = dhcp.Editor(*(str(tmp_path / name) for name in ("out", "in", "sent")))
    editor.serve()
    source, target, sent = (socket.socket(socket.AF_UNIX) for _ in range(3))
    for peer, path in ((source, "out"), (target, "in"), (sent, "sent")):
        peer.settimeout(10)
        peer.connect(str(tmp_path / path))
    frames = [b"x" * 60, reply(b"\x35\x01\x02\xff"), b"y" * 1500]
    source.sendall(packed(*frames))
    wanted = packed(*map(dhcp.edit, frames))
    assert receive(target, len(wanted)) == wanted
    # Of what the guest sends only a query comes back.
    sent.sendall(packed(b"x" * 60, query(), tcp("160.0.0.15", "168.63.129.16", 53)))
    wanted = packed(dns.answer(query()) or b"")
    assert receive(target, len(wanted)) == wanted
    # A guest that does not read yet keeps nobody else waiting.
    for _ in range(300):
        source.sendall(packed(b"z" * 60000))
    assert len(receive(target, 300 * 60004)) == 300 * 60004
    editor.close()
    for peer in (source, target, sent):
        peer.close()


def packed(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


def receive(peer: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += peer.recv(min(1 << 20, size - len(got)))
    return got


# -- the name server ---------------------------------------------------------------------------------------------

QUESTION = b"\x07example\x03com\0\0\x01\0\x01"


def query(
    message: bytes = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01" + QUESTION + b"\0\0\x29\x05\xdc\0\0\0\0\0\0",
    target: str = "168.63.129.16",
    port: int = 53,
) -> bytes:
    udp = struct.pack(">HHHH", 40000, port, 8 + len(message), 0) + message
    ends = socket.inet_aton("160.0.0.15") + socket.inet_aton(target)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 7, 0x4000, 64, 17, 0) + ends
    return b"\x52\x55\xa0\0\0\x02" + bytes.fromhex(MAC.replace(":", "")) + b"\x08\0" + ip + udp


def test_the_name_server_knows_no_name() -> None:
    frame = dns.answer(query())
    assert frame is not None
    assert frame[:6] == query()[6:12] and frame[6:12] == query()[:6]
    assert frame[26:34] == socket.inet_aton("168.63.129.16") + socket.inet_aton("160.0.0.15")
    assert dns.checksum(frame[14:34]) == 0
    assert struct.unpack(">HHHH", frame[34:42]) == (53, 40000, len(frame) - 34, 0)
    assert struct.unpack(">H", frame[16:18])[0] == len(frame) - 14
    assert frame[42:] == b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0" + QUESTION


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        query(target="169.254.169.254"),
        query(port=123),
        query(b"\x12\x34\x81\x80\0\x01\0\0\0\0\0\0" + QUESTION),
        query(b"\x12\x34\x01\x20\0\x02\0\0\0\0\0\0" + QUESTION),
        query(b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\0" + QUESTION[:-1]),
        query(b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"),
        query(b"\x12"),
        query()[:-20],
    ],
)
def test_what_is_no_query_gets_no_answer(frame: bytes) -> None:
    assert dns.answer(frame) is None


@given(st.binary(max_size=80), st.integers(0, 90))
def test_no_frame_stops_the_name_server(noise: bytes, cut: int) -> None:
    dns.answer(noise)
    dns.answer((query()[:cut] + noise)[:200])
    dns.respond(noise)


# -- packets -----------------------------------------------------------------------------------------------------


def capture(*frames: bytes) -> bytes:
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for at, frame in enumerate(frames):
        data += struct.pack("<IIII", at, 0, len(frame), len(frame)) + frame
    return data


def from_guest(kind: bytes, rest: bytes) -> bytes:
    return b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) + kind + rest


def tcp(source: str, target: str, port: int, own_port: int = 40000, flags: int = 0x02) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, socket.inet_aton(source), socket.inet_aton(target))
    return from_guest(b"\x08\x00", ip + struct.pack(">HHIIBBHHH", own_port, port, 0, 0, 0x50, flags, 0, 0, 0))


def test_packets_tell_the_story() -> None:
    arp = from_guest(b"\x08\x06", bytes(14) + socket.inet_aton("192.168.7.5") + bytes(10))
    data = capture(
        reply(b"\x35\x01\x05\xff"),
        arp,
        tcp("160.0.0.15", "168.63.129.16", 80),
        tcp("160.0.0.15", "20.1.2.3", 443),
    )
    traffic = pcap.read(data, MAC, ("168.63.129.16:80",))
    assert traffic == pcap.Traffic(3, ("ack",), 0.0, ("192.168.7.5", "160.0.0.15"), ("20.1.2.3:443",))


@pytest.mark.parametrize(
    ("flags", "answer"), [((), ""), ((0x14,), "closed"), ((0x14, 0x12), "open"), ((0x12, 0x14), "open"), ((0x10,), "")]
)
def test_packets_tell_how_port_22_answered(flags: tuple[int, ...], answer: str) -> None:
    frames = [tcp("160.0.0.15", "160.0.0.2", 40000, 22, flag) for flag in flags]
    traffic = pcap.read(capture(*frames, tcp("160.0.0.15", "160.0.0.2", 40000, 80, 0x12)), MAC)
    assert (traffic.ssh, traffic.refused) == (answer, ())


@given(st.binary(max_size=300))
def test_no_capture_raises(noise: bytes) -> None:
    pcap.read(noise, MAC)
    pcap.read(capture(reply(b"\x35\x01\x05\xff"))[:-9] + noise, MAC)


# -- images ------------------------------------------------------------------------------------------------------

ESP_ENTRY = image.ESP + bytes(112)
BIOS_ENTRY = image.BIOS_BOOT + bytes(112)


def disk(code: bool, entries: bytes = b"", mbr_type: int = 0, size: int = 2 << 20) -> bytes:
    data = bytearray(size)
    data[510:512] = b"\x55\xaa"
    if code:
        data[0:3] = b"\xeb\x63\x90"
    data[450] = mbr_type or (0xEE if entries else 0x83)
    if entries:
        data[512:520] = b"EFI PART"
        data[512 + 72 : 512 + 88] = struct.pack("<QII", 2, len(entries) // 128, 128)
        data[1024 : 1024 + len(entries)] = entries
    return bytes(data)


def footer(size: int, kind: int = 2) -> bytes:
    data = bytearray(512)
    data[0:8] = b"conectix"
    data[48:56] = struct.pack(">Q", size)
    data[60:64] = struct.pack(">I", kind)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "boots"),
    [
        (disk(True), (1,)),
        (disk(False, ESP_ENTRY), (2,)),
        (disk(True, BIOS_ENTRY + ESP_ENTRY), (1, 2)),
        (disk(True, ESP_ENTRY), (2,)),  # dead code of an installer
        (disk(False, mbr_type=0xEF), (2,)),
        (disk(False), ()),
    ],
)
def test_generations_by_boot_sectors(tmp_path: Path, content: bytes, boots: tuple[int, ...]) -> None:
    path = tmp_path / "x.vhd"
    path.write_bytes(content + footer(len(content)))
    found = image.inspect(str(path))
    assert (found.format, found.virtual_size, found.boots) == ("vhd", len(content), boots)
    if boots:
        assert image.choose_generation("auto", found)[0] == boots[0]
    else:
        with pytest.raises(AzurePrepError, match="nothing to boot from"):
            image.choose_generation("auto", found)
    assert image.choose_generation("2", found)[0] == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"QFI\xfb" + bytes(2 << 20), "qcow2 image"),
        (b"vhdxfile" + bytes(2 << 20), "VHDX image"),
        (b"conectix" + bytes(2 << 20), "dynamic VHD"),
        (bytes(2 << 20) + footer(2 << 20, kind=3), "dynamic or differencing"),
        (bytes(1 << 20) + footer(2 << 20), "speaks of 2097152 bytes"),
        (b"", "no disk"),
        (bytes((1 << 20) + 7), "no disk"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(AzurePrepError, match=re.escape(sentence)):
        image.inspect(str(path))


def test_a_missing_image_and_a_directory_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AzurePrepError, match="cannot be read: no such file"):
        image.inspect(str(tmp_path / "none"))
    with pytest.raises(AzurePrepError, match="is a directory"):
        image.inspect(str(tmp_path))


@given(st.binary(max_size=2048))
def test_no_boot_sector_raises(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("disk") / "x"
    with path.open("wb") as stream:
        stream.write(noise)
        stream.truncate(1 << 20)
    try:
        image.inspect(str(path))
    except AzurePrepError as exc:
        assert str(exc)
