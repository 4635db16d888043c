"""An image that anybody else has open is refused, and whoever has it is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vhd_tools import MIB, complaints, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align, locks

SIZE = 20 * MIB

HOLD = {
    "reader": "f = open(sys.argv[1], 'rb')",
    "writer": "f = open(sys.argv[1], 'r+b')",
    "mapping": "f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 4096); f.close()",
}


def run(path: Path, dest: Path | str = "", timeout: float = 0.0, check_mode: bool = False) -> dict:
    return align.run(align.Options(str(path), dest=str(dest), lock_timeout=timeout), Host("/"), check_mode)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    sparse_disk(path, SIZE)
    return path


@contextmanager
def held(kind: str, path: Path, seconds: float = 60) -> Iterator[subprocess.Popen]:
    code = f"import mmap, sys, time; {HOLD[kind]}; print('held', flush=True); time.sleep({seconds})"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", sorted(HOLD))
@pytest.mark.parametrize("leases", [True, False])
def test_in_place_needs_the_image_for_itself(
    disk: Path, kind: str, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not leases:
        monkeypatch.setattr(locks, "_lease", lambda descriptor, exclusive: None)
    before = disk.read_bytes()
    with held(kind, disk) as process:
        for check_mode in (True, False):
            with pytest.raises(AzurePrepError, match=rf"in use by .*\(process {process.pid}\)") as caught:
                run(disk, check_mode=check_mode)
            assert [one["pid"] for one in caught.value.details["locked_by"]] == [process.pid]
            assert ("would" in caught.value.details) == check_mode
    assert disk.read_bytes() == before
    result = run(disk)
    assert result["lock"] == ("lease" if leases else "scan")
    assert bool(result["warnings"]) == (not leases)
    assert complaints(disk) == []


@pytest.mark.parametrize("leases", [True, False])
def test_a_copy_shares_with_readers_only(
    disk: Path, tmp_path: Path, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not leases:
        monkeypatch.setattr(locks, "_lease", lambda descriptor, exclusive: None)
    for kind in ("writer", "mapping"):
        with held(kind, disk) as process, pytest.raises(AzurePrepError, match=str(process.pid)):
            run(disk, tmp_path / "out.vhd")
    assert not (tmp_path / "out.vhd").exists()
    with held("reader", disk):
        run(disk, tmp_path / "out.vhd")
    assert complaints(tmp_path / "out.vhd") == []


def test_a_dest_in_use_is_not_replaced(disk: Path, tmp_path: Path) -> None:
    dest = tmp_path / "out.vhd"
    dest.write_bytes(b"the disk of a running VM")
    with held("writer", dest) as process, pytest.raises(AzurePrepError, match=f"out.vhd is in use by .*{process.pid}"):
        run(disk, dest)
    assert dest.read_bytes() == b"the disk of a running VM"
    run(disk, dest)
    with held("reader", dest):
        assert run(disk, dest)["changed"] is False


def test_it_waits_as_long_as_it_is_told(disk: Path) -> None:
    with held("writer", disk, seconds=0.5):
        assert run(disk, timeout=30)["changed"] is True


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/loop-control"), reason="needs root and loop devices")
def test_a_loop_device_is_named(disk: Path) -> None:
    attached = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True)
    if attached.returncode != 0:
        pytest.skip("no loop device can be attached here")
    device = attached.stdout.strip()
    try:
        with pytest.raises(AzurePrepError, match=f"loop device {device}"):
            run(disk)
        with pytest.raises(AzurePrepError, match="is in use"):
            run(disk, disk.parent / "out.vhd")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert run(disk)["changed"] is True


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and mkfs.ext4")
def test_a_block_device_is_copied_unless_it_is_mounted(disk: Path, tmp_path: Path) -> None:
    attached = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True)
    if attached.returncode != 0:
        pytest.skip("no loop device can be attached here")
    device, dest, mount = Path(attached.stdout.strip()), tmp_path / "out.vhd", tmp_path / "mount"
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(device)], check=True)
        with pytest.raises(AzurePrepError, match="is a block device; name a dest"):
            run(device)
        assert [run(device, dest)["changed"] for _ in range(2)] == [True, False]
        assert complaints(dest) == []
        assert dest.read_bytes()[:-512] == disk.read_bytes()
        mount.mkdir()
        if subprocess.run(["mount", str(device), str(mount)], capture_output=True).returncode != 0:
            pytest.skip("nothing may be mounted here")
        try:
            with pytest.raises(AzurePrepError, match=f"in use by the mount on {mount}"):
                run(device, dest)
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", str(device)], check=True)


@pytest.mark.parametrize("locking", ["on", "off"])
@pytest.mark.parametrize("leases", [True, False])
def test_a_running_qemu_is_named(
    disk: Path, tmp_path: Path, locking: str, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    if not leases:
        monkeypatch.setattr(locks, "_lease", lambda descriptor, exclusive: None)
        monkeypatch.setattr(locks, "holders", lambda status, writers_only=False: [])
    drive = f"file.filename={disk},file.locking={locking},format=raw,if=virtio"
    words = [qemu, "-S", "-display", "none", "-nodefaults", "-qmp", "stdio", "-drive", drive]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            process.stdin.write(b'{"execute": "qmp_capabilities"}\n')
            process.stdin.flush()
            assert b"QMP" in process.stdout.readline()
            assert b"return" in process.stdout.readline()  # its main loop runs, so the drive is open
            if not leases and locking == "off":
                return  # nothing is left that could see it, which is why the result warns
            for dest in ("", tmp_path / "out.vhd"):
                with pytest.raises(AzurePrepError, match=r"is in use by .*" if not leases else rf"{process.pid}"):
                    run(disk, dest)
        finally:
            process.kill()
    assert run(disk)["changed"] is True


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_qemu_stays_out_while_we_hold_the_lock(disk: Path) -> None:
    descriptor = os.open(disk, os.O_RDWR)
    try:
        assert locks.lock_bytes(descriptor, writable=True, exclusive=True)
        words = ["qemu-img", "resize", "-f", "raw", str(disk), "30M"]
        other = subprocess.run(words, capture_output=True, text=True)
        assert other.returncode != 0
        assert "lock" in other.stderr
    finally:
        os.close(descriptor)
    assert disk.stat().st_size == SIZE


TWICE = """
import sys
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align
print(align.run(align.Options(sys.argv[1], dest=sys.argv[2], lock_timeout=30), Host("/"))["changed"])
"""


@pytest.mark.parametrize("dest", ["", "out.vhd"])
def test_two_runs_at_the_same_time(tmp_path: Path, dest: str) -> None:
    path = tmp_path / "disk.raw"
    sparse_disk(path, SIZE + 5000, gpt=True)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    words = [sys.executable, "-c", TWICE, str(path), str(tmp_path / dest) if dest else ""]
    runs = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [one.communicate(timeout=60) for one in runs]
    assert [one.returncode for one in runs] == [0, 0, 0], said
    assert dest or sorted(out for out, _err in said) == ["False\n", "False\n", "True\n"]
    assert complaints(tmp_path / dest if dest else path) == []
    assert sorted(os.listdir(tmp_path)) == sorted(["disk.raw", *([dest] if dest else [])])


def test_a_lease_that_somebody_waits_for_does_not_end_us(disk: Path) -> None:
    guarded = locks.open_guarded(str(disk), True, True, 0)
    if guarded.strength != "lease":
        pytest.skip("no leases on this file system")
    opener = subprocess.Popen([sys.executable, "-c", "import sys; open(sys.argv[1])", str(disk)])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            opener.wait(timeout=0.5)
        guarded.disk.write(0, b"still alive")
        guarded.disk.close()
        assert opener.wait(timeout=20) == 0
    finally:
        guarded.disk.close()
        opener.kill()
        opener.wait()
