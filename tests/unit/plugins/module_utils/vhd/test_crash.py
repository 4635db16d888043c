"""Cut at every write: kill -9, power cuts that lose any unsynced write, full disks, signals."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Killed
from vhd_tools import MIB, complaints, dynamic_vhd, gpt_state, reference_footer, sparse_disk

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align

#: Far below Azure's minimum: thousands of states are written and read.
SIZE = MIB + 300 * 1024
UNIQUE = bytes(range(50, 66))
Step = tuple[str, int, bytes]


def raw_image(path: Path, size: int, gpt: bool) -> None:
    sparse_disk(path, size, gpt=gpt, pieces=5)


def vhd_image(path: Path, size: int, gpt: bool) -> None:
    sparse_disk(path, size, gpt=gpt, pieces=5)
    with path.open("ab") as stream:
        stream.write(reference_footer(size, unique=UNIQUE))


def misleading_image(path: Path, size: int, gpt: bool) -> None:
    """A creator and a geometry from which qemu before 10 reads a smaller disk."""
    sparse_disk(path, size, gpt=gpt, pieces=5)
    with path.open("ab") as stream:
        stream.write(reference_footer(size, unique=UNIQUE, creator=b"vbox", chs=(40, 4, 17)))


def damaged_image(path: Path, size: int, gpt: bool) -> None:
    """A footer with a wrong checksum."""
    vhd_image(path, size, gpt)
    with path.open("r+b") as stream:
        stream.seek(size + 200)
        stream.write(b"damage")


def contradicting_image(path: Path, size: int, gpt: bool) -> None:
    """A sound footer that states another size than the file has."""
    sparse_disk(path, size, gpt=gpt, pieces=5)
    with path.open("ab") as stream:
        stream.write(reference_footer(size + 512, unique=UNIQUE))


#: Some leave so little room that the new backup GPT lies over the old one and over the old footer.
INPUTS: list[tuple[Callable[[Path, int, bool], None], int, bool]] = [
    (raw_image, SIZE, True),
    (raw_image, SIZE, False),
    (raw_image, 2 * MIB, False),
    (raw_image, 2 * MIB - 512, True),
    (raw_image, 2 * MIB - 300, True),
    (vhd_image, SIZE, True),
    (vhd_image, SIZE, False),
    (vhd_image, 2 * MIB - 512, True),
    (vhd_image, 2 * MIB - 4096, True),
    (vhd_image, 2 * MIB - 4096, False),
    (misleading_image, SIZE, True),
    (misleading_image, 2 * MIB, False),
    (damaged_image, SIZE, True),
    (damaged_image, SIZE, False),
    (damaged_image, 2 * MIB, True),
    (damaged_image, 2 * MIB - 512, False),
    (contradicting_image, SIZE, True),
    (contradicting_image, SIZE, False),
    (contradicting_image, 2 * MIB, False),
]


def in_place(path: Path, fault: Callable[[str, int, bytes], None] | None = None) -> dict:
    return align.run(
        align.Options(str(path), lock_timeout=0, min_size_mib=1, source_date_epoch=1700000000, repair=True),
        Host("/"),
        fault=fault,
    )


def record(path: Path) -> list[Step]:
    steps: list[Step] = []
    in_place(path, lambda step, offset, data: steps.append((step, offset, data)))
    return steps


def apply(image: bytes, steps: list[Step]) -> bytes:
    content = bytearray(image)
    for step, offset, data in steps:
        assert step == "write"
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
    return bytes(content)


def power_cuts(image: bytes, steps: list[Step]) -> Iterator[bytes]:
    """Every state that a power cut can leave: what was synced, and of the writes after that any sectors."""
    synced: list[Step] = []
    since: list[Step] = []
    for step in [*steps, ("fsync", 0, b"")]:
        if step[0] != "fsync":
            since.append(step)
            continue
        pieces = [
            ("write", offset + at, data[at : at + 512]) for _, offset, data in since for at in range(0, len(data), 512)
        ]
        if len(pieces) <= 4:
            choices = [c for count in range(len(pieces) + 1) for c in itertools.combinations(pieces, count)]
        else:  # a backup GPT: cut within it, each sector missing, each sector alone
            choices = [tuple(pieces[:count]) for count in range(len(pieces) + 1)]
            choices += [tuple(pieces[:at] + pieces[at + 1 :]) for at in range(len(pieces))]
            choices += [(piece,) for piece in pieces]
        for chosen in choices:
            yield apply(image, synced + list(chosen))
        synced += since
        since = []


@pytest.mark.parametrize(("make", "size", "gpt"), INPUTS)
def test_a_power_cut_leaves_a_whole_image_that_the_next_run_completes(
    tmp_path: Path, make: Callable[[Path, int, bool], None], size: int, gpt: bool
) -> None:
    path = tmp_path / "disk.img"
    make(path, size, gpt)
    old = path.read_bytes()
    steps = record(path)
    new = path.read_bytes()
    assert complaints(path, minimum=MIB) == []
    assert sum(len(data) for _, _, data in steps) <= 65536

    states = set(power_cuts(old, steps))
    assert old in states
    assert new in states
    for state in states:
        path.write_bytes(state)
        if len(state) != len(old):  # it is a VHD already, for Azure as well, whatever else is still to be done
            assert set(complaints(path, minimum=MIB)) <= {"reserved bytes"}
        disk = state if make is raw_image and len(state) == size else state[:-512]
        if gpt:
            assert gpt_state(disk)["primary"]
        assert disk[1024 : size - 17000] == old[1024 : size - 17000]
        result = in_place(path)
        assert result["changed"] == (state != new)
        assert path.read_bytes() == new
        assert in_place(path)["changed"] is False


def run_killed(number: int, path: Path, dest: Path | str = "") -> bool:
    """Run in a process of its own that ends by kill -9 before its n-th step; whether it came that far."""
    child = os.fork()
    if child == 0:
        left = itertools.count(number, -1)

        def fault(step: str, offset: int, data: bytes) -> None:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            options = align.Options(
                str(path), dest=str(dest), lock_timeout=0, min_size_mib=1, source_date_epoch=1700000000
            )
            align.run(options, Host("/"), fault=fault)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_kill_9_at_every_step_in_place(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    vhd_image(path, SIZE, True)
    old = path.read_bytes()
    in_place(path)
    new = path.read_bytes()
    for number in range(100):
        path.write_bytes(old)
        killed = run_killed(number, path)
        assert killed or path.read_bytes() == new
        in_place(path)
        assert path.read_bytes() == new
        if not killed:
            break
    assert number == 10  # footer, sync; zeros, backup GPT, sync; primary, MBR, sync; footer, sync


def test_kill_9_at_every_step_with_dest(tmp_path: Path) -> None:
    path, dest = tmp_path / "disk.raw", tmp_path / "out.vhd"
    raw_image(path, SIZE, True)
    for existing in (False, True):
        for number in range(100):
            dest.unlink(missing_ok=True)
            if existing:
                dest.write_bytes(b"before")
            if not run_killed(number, path, dest):
                break
            if dest.exists() and dest.read_bytes() != b"before":
                assert complaints(dest, minimum=MIB) == []  # killed between the rename and the sync of the directory
            else:
                assert dest.exists() == existing
            assert run_killed(1000, path, dest) is False
            assert complaints(dest, minimum=MIB) == []
            assert sorted(os.listdir(tmp_path)) == ["disk.raw", "out.vhd"]
        assert number > 5


@pytest.mark.parametrize("kind", ["raw", "vhd", "dynamic"])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    path, dest = tmp_path / "disk.img", tmp_path / "out.vhd"
    if kind == "dynamic":
        path.write_bytes(dynamic_vhd(6 * MIB, {2: (os.urandom(2 * MIB), b"\xff" * 512)}))
    else:
        (raw_image if kind == "raw" else vhd_image)(path, SIZE, True)
    before = path.read_bytes()
    for number in range(100):
        count = itertools.count()

        def fault(step: str, offset: int, data: bytes, at: int = number, count: Iterator[int] = count) -> None:
            if next(count) == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        try:
            align.run(align.Options(str(path), dest=str(dest), min_size_mib=1), Host("/"), fault=fault)
            break
        except (AzurePrepError, OSError) as exc:
            assert "No space left" in str(exc)
        if next(count) <= number + 1 and not dest.exists():
            assert os.listdir(tmp_path) == ["disk.img"]
        assert path.read_bytes() == before
    assert number > 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_really_full_file_system(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        path = tmp_path / "disk.raw"
        path.write_bytes(os.urandom(2 * MIB))
        with pytest.raises(AzurePrepError, match="No space left on device.*nothing was left behind"):
            align.run(align.Options(str(path), min_size_mib=1, dest=str(folder / "out.vhd")), Host("/"))
        assert os.listdir(folder) == []
        inside = folder / "disk.raw"
        with inside.open("wb", buffering=0) as stream:
            stream.truncate(SIZE)
            stream.write(os.urandom(MIB - 4096 * 2))
            try:
                while True:
                    stream.write(os.urandom(4096))
            except OSError:
                pass
        before = inside.read_bytes()
        with pytest.raises(AzurePrepError, match="No space left on device"):
            align.run(align.Options(str(inside), min_size_mib=1), Host("/"))
        assert inside.read_bytes() == before
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a file system read-only")
def test_a_read_only_file_system_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        inside, outside = folder / "disk.raw", tmp_path / "disk.raw"
        raw_image(inside, SIZE, True)
        raw_image(outside, SIZE, True)
        before = inside.read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for path, dest in ((inside, ""), (outside, str(folder / "out.vhd"))):
            with pytest.raises(AzurePrepError, match="Cannot .*sealed.*The file system is mounted read-only"):
                align.run(align.Options(str(path), dest=dest, min_size_mib=1, lock_timeout=0), Host("/"))
        assert inside.read_bytes() == before and os.listdir(folder) == ["disk.raw"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_cut_in_the_middle_removes_the_work_file(tmp_path: Path) -> None:
    path, dest = tmp_path / "disk.raw", tmp_path / "out.vhd"
    raw_image(path, SIZE, False)

    def fault(step: str, offset: int, data: bytes) -> None:
        if step == "write":
            raise Killed()

    with pytest.raises(Killed):
        align.run(align.Options(str(path), dest=str(dest), min_size_mib=1), Host("/"), fault=fault)
    assert os.listdir(tmp_path) == ["disk.raw"]


SLOW = """
import sys, time
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align

def fault(step, offset, data):
    if step == "write":
        print("writing", flush=True)
        time.sleep(60)

try:
    align.run(align.Options(sys.argv[1], dest=sys.argv[2], min_size_mib=1), Host("/"), fault=fault)
except AzurePrepError as exc:
    print(exc, flush=True)
    sys.exit(3)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    path, dest = tmp_path / "disk.raw", tmp_path / "out.vhd"
    raw_image(path, SIZE, False)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    words = [sys.executable, "-c", SLOW, str(path), str(dest)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        started = time.monotonic()
        assert process.wait(timeout=20) == 3
        assert time.monotonic() - started < 10
        assert f"Stopped by signal {number.value} before" in process.stdout.read()
    assert os.listdir(tmp_path) == ["disk.raw"]
