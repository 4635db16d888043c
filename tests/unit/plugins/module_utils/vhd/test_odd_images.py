"""Images that are damaged, cut, encrypted or written by odd programs: the right disk or a sentence, nothing between."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from vhd_tools import MIB, complaints, dynamic_vhd, reference_footer, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
SIZE = 21 * MIB


def run(path: Path | str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    if "dest" in options:
        options["dest"] = str(options["dest"])
    return align.run(align.Options(str(path), **options), Host("/"), check_mode)


def refused(sentence: str, path: Path | str, **options: Any) -> None:
    for check_mode in (True, False):
        with pytest.raises(AzurePrepError, match=sentence):
            run(path, check_mode, **options)


def a_dynamic_vhd() -> tuple[bytes, bytes]:
    """(image, disk)"""
    data = os.urandom(2 * MIB)
    disk = bytes(4 * MIB) + data
    return dynamic_vhd(SIZE, {2: (data, b"\xff" * 512)}), disk.ljust(SIZE, b"\0")


@pytest.mark.parametrize("cut", [512, 1, 511, 0])
def test_a_dynamic_vhd_whose_footer_is_gone_or_damaged(tmp_path: Path, cut: int) -> None:
    """Refused; with repair its copy at the beginning counts, and every block must still be in the file."""
    good, disk = a_dynamic_vhd()
    image, vhd = tmp_path / "dynamic.vhd", tmp_path / "out.vhd"
    image.write_bytes(good[:-cut] if cut else good[:-400] + b"x" + good[-399:])
    refused(
        r"its end is (missing|damaged).*set repair to go by the copy" if cut != 1 else "set repair", image, dest=vhd
    )
    result = run(image, dest=vhd, repair=True)
    assert result["method"] == "convert"
    assert complaints(vhd) == []
    assert vhd.read_bytes()[:-512] == disk
    image.write_bytes(good[: -512 - 1024])
    refused("truncated dynamic VHD: it has a block at offset", image, dest=vhd, repair=True)


@pytest.mark.parametrize("length", [1, 511, 512, 1023, 1024, 1535, 1536, 2047, 2048, MIB])
def test_a_dynamic_vhd_cut_anywhere_is_refused(tmp_path: Path, length: int) -> None:
    image = tmp_path / "dynamic.vhd"
    image.write_bytes(a_dynamic_vhd()[0][:length])
    for repair in (False, True):
        refused("", image, dest=tmp_path / "out.vhd", repair=repair)
    assert os.listdir(tmp_path) == ["dynamic.vhd"]


@pytest.mark.parametrize("block_size", [4096, 64 * 1024, 512 * 1024, MIB, 4 * MIB, 128 * MIB])
def test_any_block_size_that_the_format_allows(tmp_path: Path, block_size: int) -> None:
    size = SIZE + 3 * 4096
    data = os.urandom(min(block_size, 5 * MIB))
    last = (size - 1) // block_size
    bitmap = b"\xff" * max(block_size // 4096, 1)
    blocks = dict.fromkeys({0, last}, (data, bitmap))
    wanted = bytearray(size)
    for number in blocks:
        piece = data[: size - number * block_size]
        wanted[number * block_size : number * block_size + len(piece)] = piece
    image, vhd = tmp_path / "dynamic.vhd", tmp_path / "out.vhd"
    image.write_bytes(dynamic_vhd(size, blocks, block_size=block_size))
    run(image, dest=vhd)
    assert complaints(vhd) == []
    assert vhd.read_bytes()[:size] == bytes(wanted)


def test_the_size_of_old_qemu_is_rounded_up_and_never_down(tmp_path: Path) -> None:
    """qemu-img 2.2.1 to 2.5 made disks of whole cylinders: no whole number of MiB, and Azure refuses them."""
    size = 648 * 4 * 17 * 512
    vhd = tmp_path / "disk.vhd"
    sparse_disk(vhd, size, gpt=True)
    before = vhd.read_bytes()
    with vhd.open("ab") as stream:
        stream.write(reference_footer(size, creator=b"qemu", chs=(648, 4, 17)))
    assert size % MIB
    run(vhd)
    assert complaints(vhd) == []
    assert vhd.read_bytes()[1024 : size - 17000] == before[1024:-17000]
    assert vhd.stat().st_size == -(-size // MIB) * MIB + 512


@pytest.mark.parametrize("name", ["a\0b", "/tmp/a\0"])
def test_a_nul_in_a_name_is_a_sentence(name: str) -> None:
    refused("must not hold a NUL", name)
    refused("must not hold a NUL", "/dev/null", dest=name)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e300])
def test_a_wait_without_an_end_is_refused(tmp_path: Path, seconds: float) -> None:
    raw = tmp_path / "disk.raw"
    sparse_disk(raw, SIZE)
    refused("lock_timeout must be from 0", raw, lock_timeout=seconds)


def test_a_disk_that_is_encrypted_as_a_whole(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"LUKS\xba\xbe\0\1".ljust(SIZE, b"x"))
    refused("encrypted as a whole", raw)
    assert run(raw, format="raw")["changed"] is True


def descriptor(extent: str, more: str = "") -> bytes:
    return (
        '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        f'{more}\n{extent}\nddb.virtualHWVersion = "4"\n'
    ).encode()


@pytest.mark.parametrize(
    "extent",
    [
        'RW 43008 FLAT "../secret" 0',
        'RW 43008 FLAT "/etc/../etc/shadow" 0',
        'rw\t43008\tflat\t"secret"\t0',
        'RW 43008 VMFS "secret"',
        'RW 43008 FLAT "json:{}" 0',
        'RW 43008 FLAT "nbd:localhost:1" 0',
        'RW 43008 SPARSE "secret"',
    ],
)
def test_a_vmdk_reads_no_other_file(tmp_path: Path, extent: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret" * MIB)
    image = tmp_path / "disk.vmdk"
    image.write_bytes(descriptor(extent))
    refused("names the extent", image, dest=tmp_path / "out.vhd")
    image.write_bytes(descriptor("RW 43008 ZERO", f'parentFileNameHint="{tmp_path}/secret"'))
    refused(r"names the parent|no extents", image, dest=tmp_path / "out.vhd")


@pytest.mark.parametrize("extent", ["RW 43008 ZERO", "RW 43008 FLAT secret 0", "RW 43008 FLAT 'secret' 0", ""])
def test_a_vmdk_without_extents_is_damaged(tmp_path: Path, extent: str) -> None:
    """qemu-img dies of an assertion here."""
    image = tmp_path / "disk.vmdk"
    image.write_bytes(descriptor(extent))
    refused("lists no extents that hold data", image, dest=tmp_path / "out.vhd")


@needs_qemu
@pytest.mark.parametrize(
    "name", ["-rf", "json:{}", "nbd:localhost:1", "a b,c=d", "new\nline", "%s%d", "{{ x }}", "über", "\udcff"]
)
def test_a_name_is_a_name_and_nothing_else(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "disk.raw"
    sparse_disk(raw, SIZE, seed=2)
    image = tmp_path / (name + ".qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, tmp_path / "x"], check=True)
    (tmp_path / "x").rename(image)
    monkeypatch.chdir(tmp_path)
    run(tmp_path / image.name, dest=tmp_path / (name + ".vhd"))
    assert (tmp_path / (name + ".vhd")).read_bytes()[:-512] == raw.read_bytes()


@needs_qemu
def test_internal_snapshots_are_told(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, str(SIZE)], check=True)
    subprocess.run(["qemu-img", "snapshot", "-c", "before", image], check=True)
    for check_mode in (True, False):
        result = run(image, check_mode, dest=tmp_path / "out.vhd")
        assert any("holds 1 internal snapshots" in warning for warning in result["warnings"])


@needs_qemu
@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (72, struct.pack(">Q", 1 << 40), r"qemu-img [\d.]+ cannot read .* as qcow2 .*incompatible feature"),
        (24, struct.pack(">Q", 1 << 62), "cannot read .*too big"),
        (24, bytes(8), "holds a disk of 0 bytes"),
        (72, struct.pack(">Q", 2), "marked it as corrupt"),
        (32, struct.pack(">I", 1), "is encrypted"),
    ],
)
def test_what_qemu_img_cannot_read_is_said_with_its_words(tmp_path: Path, at: int, value: bytes, sentence: str) -> None:
    image = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, str(SIZE)], check=True)
    with image.open("r+b") as stream:
        stream.seek(at)
        stream.write(value)
    refused(sentence, image, dest=tmp_path / "out.vhd")
    assert os.listdir(tmp_path) == ["disk.qcow2"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
@pytest.mark.parametrize(
    ("kind", "filesystem", "room"),
    [
        ("raw", "tmpfs", 20),
        ("raw", "ext4", 24),
        ("qcow2", "ext4", 24),
        ("dynamic", "ext4", 24),
        ("raw", "btrfs", 112),
    ],
)
def test_a_file_system_that_fills_up_midway(tmp_path: Path, kind: str, filesystem: str, room: int) -> None:
    """Also where the kernel finds out only when it writes out what it has taken."""
    folder, backing = tmp_path / "small", tmp_path / "backing"
    folder.mkdir()
    if filesystem == "tmpfs":
        words = ["mount", "-t", "tmpfs", "-o", f"size={room}m", "none", str(folder)]
    else:
        if shutil.which("mkfs." + filesystem) is None:
            pytest.skip(f"mkfs.{filesystem} is not installed")
        with backing.open("wb") as stream:
            stream.truncate(room * MIB)
        subprocess.run(["mkfs." + filesystem, "-q", backing], check=True)
        words = ["mount", "-o", "loop", str(backing), str(folder)]
    if subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        image = raw = tmp_path / "disk.raw"
        with raw.open("wb") as stream:
            stream.truncate(8 * room * MIB)
            for number in range(2 * room):
                stream.seek(number * 4 * MIB)
                stream.write(os.urandom(MIB // 2))
        if kind != "raw":
            image = tmp_path / "image"
            options = ["qcow2"] if kind == "qcow2" else ["vpc", "-o", "subformat=dynamic,force_size"]
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", *options, raw, image], check=True)
        before = sorted(os.listdir(folder))
        (folder / "out.vhd").write_bytes(b"before")
        with pytest.raises(AzurePrepError, match=r"No space left on device.*othing was left behind"):
            run(image, dest=folder / "out.vhd")
        assert sorted(os.listdir(folder)) == sorted([*before, "out.vhd"])
        assert (folder / "out.vhd").read_bytes() == b"before"
    finally:
        subprocess.run(["umount", str(folder)], check=True)
