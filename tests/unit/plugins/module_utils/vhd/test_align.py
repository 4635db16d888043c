"""vhd_align's work on real files: what becomes of raw disks and fixed VHDs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from vhd_tools import MIB, complaints, gpt_state, reference_footer, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align

SIZE = 21 * MIB


def run(path: Path, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    if "dest" in options:
        options["dest"] = str(options["dest"])
    return align.run(align.Options(str(path), **options), Host("/"), check_mode)


def snapshot(path: Path) -> tuple[bytes, int, int]:
    status = path.stat()
    return path.read_bytes(), status.st_mtime_ns, status.st_ctime_ns


@pytest.mark.parametrize("extra", [0, 512, 300 * 1024, MIB - 512, 1, 777])
@pytest.mark.parametrize("gpt", [False, True])
@pytest.mark.parametrize("in_place", [True, False])
def test_raw_becomes_a_fixed_vhd(tmp_path: Path, extra: int, gpt: bool, in_place: bool) -> None:
    raw = tmp_path / "disk.raw"
    sparse_disk(raw, SIZE + extra, gpt=gpt)
    before = raw.read_bytes()
    vhd = raw if in_place else tmp_path / "disk.vhd"
    options: dict[str, Any] = {} if in_place else {"dest": vhd}

    foreseen = run(raw, check_mode=True, **options)
    assert raw.read_bytes() == before
    assert in_place or not vhd.exists()
    result = run(raw, **options)
    again = run(raw, **options)

    assert (foreseen["changed"], result["changed"], again["changed"]) == (True, True, False)
    assert foreseen["actions"] == result["actions"]
    assert (result["method"], again["method"]) == ("in_place" if in_place else "copy", "none")
    assert complaints(vhd) == []
    disk = vhd.read_bytes()[:-512]
    assert len(disk) == (SIZE if extra == 0 else SIZE + MIB) == result["virtual_size_bytes"]
    changed_by_gpt = 1024 if gpt and len(disk) // 512 != len(before) // 512 else 0
    assert disk[changed_by_gpt : len(before) - 17000] == before[changed_by_gpt:-17000]
    if gpt:
        assert gpt_state(disk) == {"primary": True, "backup": True, "at_end": True, "mbr": True}
    else:
        assert disk[: len(before)] == before
        assert not any(disk[len(before) :])
    if not in_place:
        assert raw.read_bytes() == before


def test_an_aligned_vhd_is_not_touched(tmp_path: Path) -> None:
    vhd = tmp_path / "disk.vhd"
    sparse_disk(vhd, SIZE)
    with vhd.open("ab") as stream:
        stream.write(reference_footer(SIZE, creator=b"qem2"))
    before = snapshot(vhd)
    vhd.chmod(0o444)
    before = (*before[:2], vhd.stat().st_ctime_ns)
    result = run(vhd)
    assert result["changed"] is False
    assert result["actions"] == []
    assert snapshot(vhd) == before


def test_a_fixed_vhd_grows_and_keeps_its_identity(tmp_path: Path) -> None:
    vhd = tmp_path / "disk.vhd"
    sparse_disk(vhd, SIZE + 4096, gpt=True)
    before = vhd.read_bytes()
    unique = bytes(range(100, 116))
    with vhd.open("ab") as stream:
        stream.write(reference_footer(SIZE + 4096, unique=unique, creator=b"vpc "))
    result = run(vhd)
    disk = vhd.read_bytes()[:-512]
    assert complaints(vhd) == []
    assert vhd.read_bytes()[-512 + 68 : -512 + 84] == unique
    assert disk[1024 : len(before)] == before[1024:]
    assert b"conectix" not in disk
    assert gpt_state(disk) == {"primary": True, "backup": True, "at_end": True, "mbr": True}
    assert result["bytes_written"] <= 65536
    assert run(vhd)["changed"] is False


def test_a_creator_that_misleads_old_qemu_is_replaced(tmp_path: Path) -> None:
    vhd = tmp_path / "disk.vhd"
    sparse_disk(vhd, SIZE)
    disk = vhd.read_bytes()
    with vhd.open("ab") as stream:
        stream.write(reference_footer(SIZE, creator=b"vbox", chs=(632, 4, 17)))
    assert run(vhd)["bytes_written"] == 512
    assert complaints(vhd) == []
    assert vhd.read_bytes()[:-512] == disk


def test_refusals_are_sentences_and_change_nothing(tmp_path: Path) -> None:
    def image(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    good = reference_footer(SIZE)
    bad = bytearray(good)
    bad[64] ^= 1
    cases: list[tuple[Path, str, dict[str, Any]]] = [
        (image("empty.raw", b""), "is empty", {}),
        (image("small.raw", bytes(MIB)), "no disk below 20 MiB", {}),
        (image("cut.vhd", bytes(SIZE)), "truncated", {}),
        (image("longer.vhd", bytes(SIZE + 512) + good), "contradicts itself", {}),
        (image("bad.vhd", bytes(SIZE) + bytes(bad)), "damaged VHD footer", {}),
        (image("old.vhd", bytes(SIZE) + good[:511]), "511-byte footer", {}),
        (image("disk.raw.gz", b"\x1f\x8b\x08" + bytes(SIZE)), "compressed with gzip", {}),
        (image("disk.qcow2", bytes(SIZE)), "named .qcow2 but", {}),
        (image("x.raw", bytes(SIZE)), "is not a qcow2 image", {"format": "qcow2"}),
        (image("y.raw", bytes(SIZE)), "max_size_gib must lie", {"max_size_gib": 40000}),
        (image("z.raw", bytes(SIZE)), "is the image itself", {"dest": tmp_path / "z.raw"}),
        (tmp_path / "absent.raw", "does not exist", {}),
        (tmp_path, "is a directory", {}),
    ]
    for path, sentence, options in cases:
        before = snapshot(path) if path.is_file() else None
        for check_mode in (True, False):
            with pytest.raises(AzurePrepError, match=sentence):
                run(path, check_mode, **options)
        assert before is None or snapshot(path) == before


def test_too_large_is_refused(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as stream:
        stream.truncate((2 << 30) + 1)
    with pytest.raises(AzurePrepError, match="more than the 2 GiB allowed; raise max_size_gib"):
        run(raw, max_size_gib=2)
    assert run(raw, max_size_gib=3)["virtual_size_bytes"] == (2 << 30) + MIB


def test_repair_goes_by_the_length_of_the_file(tmp_path: Path) -> None:
    vhd = tmp_path / "disk.vhd"
    vhd.write_bytes(bytes(SIZE) + bytes(512) + reference_footer(SIZE))
    run(vhd, repair=True)
    assert complaints(vhd) == []
    assert vhd.stat().st_size == SIZE + MIB + 512
    assert b"conectix" not in vhd.read_bytes()[:-512]


def test_format_raw_twice_does_not_nest(tmp_path: Path) -> None:
    raw = tmp_path / "disk.vhd"
    sparse_disk(raw, SIZE)
    assert run(raw, format="raw")["changed"] is True
    after = snapshot(raw)
    assert run(raw, format="raw")["changed"] is False
    assert snapshot(raw) == after


def test_dest_follows_its_source_and_is_put_right(tmp_path: Path) -> None:
    raw, vhd = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    sparse_disk(raw, SIZE)
    assert run(raw, dest=vhd)["changed"] is True
    after = snapshot(vhd)
    assert run(raw, dest=vhd)["changed"] is False
    assert snapshot(vhd) == after

    with raw.open("r+b") as stream:
        stream.seek(5 * MIB)
        stream.write(b"new content")
    assert run(raw, dest=vhd, check_mode=True)["changed"] is True
    assert run(raw, dest=vhd)["changed"] is True
    assert vhd.read_bytes()[:-512] == raw.read_bytes()

    with vhd.open("r+b") as stream:
        stream.write(b"damage")
    assert run(raw, dest=vhd)["changed"] is True
    assert vhd.read_bytes()[:-512] == raw.read_bytes()

    vhd.write_bytes(b"something else")
    with pytest.raises(AzurePrepError, match="overwrite is false"):
        run(raw, dest=vhd, overwrite=False)
    assert vhd.read_bytes() == b"something else"
    run(raw, dest=vhd)
    assert complaints(vhd) == []
    assert sorted(one.name for one in tmp_path.iterdir()) == ["disk.raw", "disk.vhd"]


@pytest.mark.parametrize("gpt", [False, True])
def test_reproducible_results_compare_content(tmp_path: Path, gpt: bool) -> None:
    outputs = []
    for name in ("one", "two"):
        raw, vhd = tmp_path / (name + ".raw"), tmp_path / (name + ".vhd")
        sparse_disk(raw, SIZE + 512, seed=5, gpt=gpt)
        assert run(raw, dest=vhd, source_date_epoch=1700000000)["changed"] is True
        os.utime(raw, ns=(1, 1))
        assert run(raw, dest=vhd, source_date_epoch=1700000000)["changed"] is False
        outputs.append(vhd.read_bytes())
        with vhd.open("r+b") as stream:
            stream.seek(3 * MIB)
            stream.write(b"x")
        assert run(raw, dest=vhd, source_date_epoch=1700000000, check_mode=True)["changed"] is True
    assert outputs[0] == outputs[1]


def test_symbolic_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    raw, vhd = tmp_path / "real" / "disk.raw", tmp_path / "real" / "disk.vhd"
    sparse_disk(raw, SIZE)
    source, dest = tmp_path / "source", tmp_path / "dest"
    source.symlink_to("real/disk.raw")
    dest.symlink_to(vhd)
    run(source, dest=dest)
    assert dest.is_symlink()
    assert complaints(vhd) == []
    run(source)
    assert source.is_symlink()
    assert complaints(raw) == []


def test_hard_links_are_refused_in_place_only(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    sparse_disk(raw, SIZE)
    (tmp_path / "other.raw").hardlink_to(raw)
    with pytest.raises(AzurePrepError, match="2 hard links"):
        run(raw)
    with pytest.raises(AzurePrepError, match="is the image itself"):
        run(raw, dest=tmp_path / "other.raw")
    run(raw, dest=tmp_path / "disk.vhd")
    assert complaints(tmp_path / "disk.vhd") == []


def test_holes_stay_holes(tmp_path: Path) -> None:
    raw, vhd = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    sparse_disk(raw, 3 << 30, pieces=3)
    run(raw, dest=vhd)
    assert vhd.stat().st_blocks * 512 <= raw.stat().st_blocks * 512 + 65536
    with raw.open("rb") as one, vhd.open("rb") as other:
        for at in range(0, 3 << 30, 256 * MIB):
            one.seek(at)
            other.seek(at)
            assert one.read(MIB) == other.read(MIB)


def test_dest_has_the_mode_of_the_source_or_of_before(tmp_path: Path) -> None:
    raw, vhd = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    sparse_disk(raw, SIZE)
    raw.chmod(0o600)
    run(raw, dest=vhd)
    assert vhd.stat().st_mode & 0o777 == 0o600
    vhd.chmod(0o640)
    raw.write_bytes(raw.read_bytes())
    run(raw, dest=vhd)
    assert vhd.stat().st_mode & 0o777 == 0o640
