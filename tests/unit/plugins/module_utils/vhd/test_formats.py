"""Images of other formats become the same fixed VHD, and hostile or broken ones a sentence."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vhd_tools import MIB, complaints, dynamic_vhd, gpt_state, reference_footer, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, dynamic, foreign, qemu, writeout

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def run(path: Path, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    if "dest" in options:
        options["dest"] = str(options["dest"])
    return align.run(align.Options(str(path), **options), Host("/"), check_mode)


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


@needs_qemu
@pytest.mark.parametrize(
    ("name", "arguments", "subformat"),
    [
        ("disk.qcow2", "-O qcow2", ""),
        ("compressed.qcow2", "-c -O qcow2", ""),
        ("old.qcow2", "-O qcow2 -o compat=0.10", ""),
        ("disk.vhdx", "-O vhdx", "dynamic"),
        ("fixed.vhdx", "-O vhdx -o subformat=fixed", "fixed"),
        ("disk.vmdk", "-O vmdk", "monolithicSparse"),
        ("stream.vmdk", "-O vmdk -o subformat=streamOptimized", "streamOptimized"),
        ("disk.vdi", "-O vdi", "dynamic"),
        ("static.vdi", "-O vdi -o static=on", "fixed"),
        ("dynamic.vhd", "-O vpc -o subformat=dynamic,force_size=on", "dynamic"),
        ("fixed.vhd", "-O vpc -o subformat=fixed,force_size=on", "fixed"),
    ],
)
def test_every_format_gives_the_same_disk(tmp_path: Path, name: str, arguments: str, subformat: str) -> None:
    raw, image, vhd = tmp_path / "disk.raw", tmp_path / name, tmp_path / "out.vhd"
    sparse_disk(raw, 21 * MIB + 300 * 1024, gpt=True, seed=3)
    qemu_img("convert", "-f", "raw", *arguments.split(), raw, image)
    before = image.read_bytes()

    foreseen = run(image, check_mode=True, dest=vhd)
    assert not vhd.exists()
    result = run(image, dest=vhd)
    again = run(image, dest=vhd)
    assert (foreseen["changed"], result["changed"], again["changed"]) == (True, True, False)
    assert (foreseen["virtual_size_bytes"], result["virtual_size_bytes"]) == (22 * MIB, 22 * MIB)
    assert result["subformat"] == subformat

    assert image.read_bytes() == before
    assert complaints(vhd) == []
    disk = vhd.read_bytes()[:-512]
    assert gpt_state(disk) == {"primary": True, "backup": True, "at_end": True, "mbr": True}
    plain = raw.read_bytes()
    assert disk[1024 : len(plain)] == plain[1024:]
    assert vhd.stat().st_blocks * 512 <= raw.stat().st_blocks * 512 + 128 * 1024

    cut = tmp_path / ("cut-" + name)
    cut.write_bytes(before[: -(70 * 1024)])
    for check_mode in (True, False):
        if check_mode and name in ("disk.qcow2", "compressed.qcow2", "old.qcow2", "stream.vmdk"):
            continue  # only qemu-img check tells, which a check mode run spares
        with pytest.raises(AzurePrepError, match=r"truncated|damaged"):
            run(cut, check_mode, dest=tmp_path / "cut.vhd")
    assert not (tmp_path / "cut.vhd").exists()
    assert [one for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    if name != "fixed.vhd":
        with pytest.raises(AzurePrepError, match="name a dest"):
            run(image)


@needs_qemu
def test_images_that_name_other_files_are_refused_unless_allowed(tmp_path: Path) -> None:
    raw, base = tmp_path / "disk.raw", tmp_path / "base.qcow2"
    sparse_disk(raw, 21 * MIB, seed=4)
    qemu_img("convert", "-O", "qcow2", raw, base)
    overlay, external, flat = tmp_path / "overlay.qcow2", tmp_path / "external.qcow2", tmp_path / "flat.vmdk"
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
    qemu_img("convert", "-O", "qcow2", "-o", f"data_file={tmp_path}/data.raw", raw, external)
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=monolithicFlat", raw, flat)
    for image, named in ((overlay, "backing file '.*base.qcow2'"), (external, "data file"), (flat, "flat-flat.vmdk")):
        vhd = tmp_path / "out.vhd"
        for check_mode in (True, False):
            with pytest.raises(AzurePrepError, match=f"names .*{named}.*allow_backing_file"):
                run(image, check_mode, dest=vhd)
        assert not vhd.exists()
        run(image, dest=vhd, allow_backing_file=True)
        assert vhd.read_bytes()[:-512] == raw.read_bytes()
        assert run(image, dest=vhd, allow_backing_file=True)["changed"] is False
        vhd.unlink()


@needs_qemu
def test_a_flat_extent_that_is_too_short_is_refused(tmp_path: Path) -> None:
    raw, flat = tmp_path / "disk.raw", tmp_path / "flat.vmdk"
    sparse_disk(raw, 21 * MIB, seed=4)
    qemu_img("convert", "-O", "vmdk", "-o", "subformat=monolithicFlat", raw, flat)
    os.truncate(tmp_path / "flat-flat.vmdk", 21 * MIB - 512)
    with pytest.raises(AzurePrepError, match="flat-flat.vmdk .*is truncated"):
        run(flat, dest=tmp_path / "out.vhd", allow_backing_file=True)


def test_a_raw_disk_that_pretends_to_be_qcow2_never_reads_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 512, len(str(secret)), 16, 21 * MIB, 0, 1, 65536, 65536, 1, 0, 0
    )
    disk = (header.ljust(512, b"\0") + str(secret).encode()).ljust(21 * MIB, b"\0")
    raw = tmp_path / "disk.raw"
    raw.write_bytes(disk)
    with pytest.raises(AzurePrepError, match="backing file"):
        run(raw, dest=tmp_path / "out.vhd")
    run(raw, format="raw", dest=tmp_path / "out.vhd")
    assert (tmp_path / "out.vhd").read_bytes()[:-512] == disk


# -- dynamic VHDs ---------------------------------------------------------------------------------------------------


def test_sector_bitmaps_are_honoured(tmp_path: Path) -> None:
    image, vhd = tmp_path / "dynamic.vhd", tmp_path / "out.vhd"
    blocks = {0: (b"\x55" * (2 * MIB), b"\xf0" + bytes(511)), 9: (b"\x66" * (2 * MIB), b"\xff" * 512)}
    image.write_bytes(dynamic_vhd(21 * MIB, blocks))
    run(image, dest=vhd)
    wanted = bytearray(21 * MIB)
    wanted[: 4 * 512] = b"\x55" * (4 * 512)
    wanted[18 * MIB : 20 * MIB] = b"\x66" * (2 * MIB)
    assert vhd.read_bytes()[:-512] == bytes(wanted)
    assert complaints(vhd) == []


def test_the_last_block_may_reach_past_the_disk(tmp_path: Path) -> None:
    image, vhd = tmp_path / "dynamic.vhd", tmp_path / "out.vhd"
    image.write_bytes(dynamic_vhd(21 * MIB, {10: (b"\x77" * (2 * MIB), b"\xff" * 512)}))
    run(image, dest=vhd)
    assert vhd.read_bytes()[20 * MIB : -512] == b"\x77" * MIB


def test_a_differencing_vhd_is_refused_by_its_parents_name(tmp_path: Path) -> None:
    image = tmp_path / "snapshot.vhd"
    image.write_bytes(dynamic_vhd(21 * MIB, {}, kind=4, parent="C:\\VMs\\parent.vhd"))
    with pytest.raises(AzurePrepError, match=r"differencing VHD.*C:\\VMs\\parent.vhd"):
        run(image, dest=tmp_path / "out.vhd")


def test_hostile_tables_are_refused(tmp_path: Path) -> None:
    data = b"\x11" * (2 * MIB)
    good = dynamic_vhd(21 * MIB, {0: (data, b"\xff" * 512), 1: (data, b"\xff" * 512)})

    def changed(at: int, value: bytes, header: bool = False) -> bytes:
        image = bytearray(good)
        image[at : at + len(value)] = value
        if header:
            image[512 + 36 : 512 + 40] = bytes(4)
            image[512 + 36 : 512 + 40] = (0xFFFFFFFF - sum(image[512:1536])).to_bytes(4, "big")
        return bytes(image)

    first = good[1536:1540]
    cases = [
        (changed(512 + 40, b"x"), "checksum of its dynamic header"),
        (changed(1540, first), "lies over something else"),
        (changed(1540, b"\0\0\0\1"), "lies over something else"),
        (changed(1540, b"\x7f\xff\xff\xff"), "block at offset"),
        (changed(512 + 16, b"\xff" * 8, header=True), "block table does not lie inside"),
        (changed(512 + 28, b"\0\0\0\1", header=True), "its table has 1"),
        (changed(512 + 32, b"\0\0\0\1", header=True), "block size of 1 bytes"),
        (changed(512 + 32, b"\x80\0\0\0", header=True), "block size"),
        (good[:-1000], "truncated"),
    ]
    for content, sentence in cases:
        image = tmp_path / "hostile.vhd"
        image.write_bytes(content)
        for check_mode in (True, False):
            with pytest.raises(AzurePrepError, match=sentence):
                run(image, check_mode, dest=tmp_path / "out.vhd")
    assert not (tmp_path / "out.vhd").exists()


@given(
    st.lists(st.tuples(st.integers(0, 1535), st.binary(min_size=1, max_size=9)), max_size=4),
    st.binary(max_size=44),
    st.booleans(),
)
@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_and_table_is_read_or_refused(
    tmp_path: Path, edits: list[tuple[int, bytes]], table: bytes, sums: bool
) -> None:
    image = bytearray(dynamic_vhd(21 * MIB, {3: (b"\x11" * (2 * MIB), b"\xff" * 512)}))
    for at, value in edits:
        image[at : at + len(value)] = value
    image[1536 : 1536 + len(table)] = table
    if sums:
        image[512 + 36 : 512 + 40] = bytes(4)
        image[512 + 36 : 512 + 40] = (0xFFFFFFFF - sum(image[512:1536])).to_bytes(4, "big")
    path = tmp_path / "any.vhd"
    path.write_bytes(image)
    try:
        result = run(path, dest=tmp_path / "out.vhd", format="vpc")
        assert result["virtual_size_bytes"] == 21 * MIB
    except AzurePrepError:
        pass


def bits(bitmap: bytes, sectors: int) -> list[int]:
    return [number for number in range(sectors) if bitmap[number // 8] & (0x80 >> number % 8)]


@given(st.binary(min_size=1, max_size=40), st.integers(0, 7))
def test_bitmap_runs_are_the_set_bits(bitmap: bytes, less: int) -> None:
    sectors = len(bitmap) * 8 - less
    runs = list(dynamic.bitmap_runs(bitmap, sectors))
    assert [sector for first, end in runs for sector in range(first, end)] == bits(bitmap, sectors)
    assert all(one[1] < other[0] for one, other in zip(runs, runs[1:], strict=False))


# -- headers of the other formats -----------------------------------------------------------------------------------

STARTS: dict[str, bytes] = {
    "qcow2": struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, MIB, 0, 1, 65536, 65536, 1, 0, 0),
    "vhdx": b"vhdxfile",
    "vmdk": struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 21, 26),
    "vdi": b"x".ljust(0x40) + b"\x7f\x10\xda\xbe",
}


@given(st.sampled_from(sorted(STARTS)), st.binary(max_size=3000), st.integers(0, 200))
@settings(max_examples=300)
def test_any_header_is_understood_or_refused(name: str, tail: bytes, keep: int) -> None:
    for data in (STARTS[name][:keep] + tail, STARTS[name] + tail, tail):

        def read(offset: int, length: int, data: bytes = data) -> bytes:
            assert length <= 1 << 20
            return data[offset : offset + length]

        try:
            facts = foreign.inspect(name, read, len(data), "disk")
            assert facts.virtual_size >= 0
        except AzurePrepError as exc:
            assert str(exc).startswith("disk ")


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_vmdk_descriptor_is_understood_or_refused(head: bytes, tail: bytes) -> None:
    text = b"# Disk DescriptorFile\n" + head + b'\nRW 41943040 FLAT "../../etc/shadow" 0\n' + tail
    try:
        facts = foreign.inspect("vmdk", lambda at, size: text[at : at + size], len(text), "disk")
    except AzurePrepError:
        return
    assert any("etc/shadow" in name for name in facts.names) or b'"' in head


# -- qemu-img -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "good"),
    [("2.2.0", True), ("2.2.1", False), ("2.3.0", False), ("2.5.1.1", False), ("2.6.0", True), ("7.2.22", True)],
)
def test_releases_that_damage_disks_are_refused(tmp_path: Path, version: str, good: bool) -> None:
    program = tmp_path / "qemu-img"
    program.write_text(f'#!/bin/sh\necho "qemu-img version {version} (package), Copyright"\n')
    program.chmod(0o755)
    check: Callable[[], Any] = lambda: qemu.check_version(Host("/"), str(program))  # noqa: E731
    if good:
        assert check()[:3] == tuple(int(part) for part in version.split("."))[:3]
    else:
        with pytest.raises(AzurePrepError, match=r"2\.2\.1 to 2\.5"):
            check()


def test_a_missing_qemu_img_is_named(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    image.write_bytes(STARTS["qcow2"].ljust(21 * MIB, b"\0"))
    with pytest.raises(AzurePrepError, match="needs qemu-img.*qemu-utils"):
        run(image, dest=tmp_path / "out.vhd", qemu_img="/nonexistent/qemu-img")


def test_a_failing_qemu_img_leaves_nothing(tmp_path: Path) -> None:
    program = tmp_path / "qemu-img"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "qemu-img version 8.0.0";;\n'
        f'info) echo \'{{"virtual-size": {21 * MIB}, "format": "qcow2"}}\';;\n'
        'convert) echo "    (50.00/100%)"; echo "No space left on device" >&2; exit 1;; esac\n'
    )
    program.chmod(0o755)
    image = tmp_path / "disk.qcow2"
    image.write_bytes((STARTS["qcow2"][:24] + struct.pack(">Q", 21 * MIB) + STARTS["qcow2"][32:]).ljust(MIB, b"\0"))
    with pytest.raises(AzurePrepError, match="No space left on device.*Nothing was left behind"):
        run(image, dest=tmp_path / "out.vhd", qemu_img=str(program))
    assert sorted(os.listdir(tmp_path)) == ["disk.qcow2", "qemu-img"]


def converting(tmp_path: Path, steps: str) -> tuple[Path, Path]:
    """(image, program): a qemu-img whose convert notes its words in the file `seen` and then does these steps."""
    program, image = tmp_path / "qemu-img", tmp_path / "disk.qcow2"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in --version) echo "qemu-img version 8.0.0";;\n'
        f'info) echo \'{{"virtual-size": {21 * MIB}, "format": "qcow2"}}\';;\n'
        f'convert) echo "$*" >> {tmp_path}/seen; for out; do :; done\n{steps};; esac\n'
    )
    program.chmod(0o755)
    image.write_bytes((STARTS["qcow2"][:24] + struct.pack(">Q", 21 * MIB) + STARTS["qcow2"][32:]).ljust(MIB, b"\0"))
    return image, program


def test_what_qemu_img_writes_is_brought_to_the_disk_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a thread of ours, and once: no second way is tried."""
    begun: list[int] = []
    monkeypatch.setattr(writeout, "_starter", lambda: begun.append)
    image, program = converting(tmp_path, f'sleep 0.2; truncate -s {21 * MIB} "$out"')
    run(image, dest=tmp_path / "out.vhd", qemu_img=str(program))
    assert begun and len((tmp_path / "seen").read_text().splitlines()) == 1
    assert complaints(tmp_path / "out.vhd") == []


@pytest.mark.parametrize(("more", "good"), [(3584, True), (65536, False), (-512, False)])
def test_what_qemu_img_writes_past_the_end_of_the_disk(tmp_path: Path, more: int, good: bool) -> None:
    """Storage with sectors of 4 KiB gets a whole last one; anything else is an error."""
    image, program = converting(tmp_path, f'truncate -s {21 * MIB + more} "$out"')
    if good:
        run(image, dest=tmp_path / "out.vhd", qemu_img=str(program))
        assert complaints(tmp_path / "out.vhd") == []
        return
    with pytest.raises(AzurePrepError, match="qemu-img wrote"):
        run(image, dest=tmp_path / "out.vhd", qemu_img=str(program))


@needs_qemu
def test_qemu_reads_our_results_at_their_true_size(tmp_path: Path) -> None:
    for size in (20 * MIB, 33 * MIB, 1023 * MIB, 127 << 30, 1 << 40):
        vhd = tmp_path / f"{size}.vhd"
        with vhd.open("wb") as stream:
            stream.truncate(size - 1000)
        run(vhd, format="raw", max_size_gib=2048)
        told = subprocess.run(
            ["qemu-img", "info", "-f", "vpc", "--output=json", vhd], check=True, capture_output=True, text=True
        )
        assert f'"virtual-size": {size},' in told.stdout


def test_libvhdi_reads_the_same_disk(tmp_path: Path) -> None:
    pyvhdi = pytest.importorskip("pyvhdi", reason="libvhdi-python is not installed")
    raw, image, vhd = tmp_path / "disk.raw", tmp_path / "dynamic.vhd", tmp_path / "out.vhd"
    sparse_disk(raw, 22 * MIB, seed=9)
    content = raw.read_bytes()
    blocks = {
        number: (content[number * 2 * MIB :][: 2 * MIB].ljust(2 * MIB, b"\0"), b"\xff" * 512)
        for number in range(11)
        if any(content[number * 2 * MIB :][: 2 * MIB])
    }
    image.write_bytes(dynamic_vhd(22 * MIB, blocks))
    run(image, dest=vhd)
    for path in (image, vhd):
        other = pyvhdi.file()
        other.open(str(path))
        assert other.get_media_size() == 22 * MIB
        assert other.read_buffer_at_offset(22 * MIB, 0) == content
        other.close()
    assert vhd.read_bytes()[-512:-504] == reference_footer(1)[:8]
