"""Fixtures shared by the unit tests: a tree of files as a Host, and faults at a chosen step."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from pageblob_server import PageBlobServer

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

# A busy machine makes any example slow now and then; the time of one example is no property of the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


class Killed(BaseException):
    """Stands for a power cut: nothing below the test may catch it."""


class FaultAt:
    """A fault for Host: raises `error` at the n-th changing step (0-based), counts and remembers all steps."""

    def __init__(self, number: int = -1, error: BaseException | None = None) -> None:
        self.number = number
        self.error = error if error is not None else Killed()
        self.steps: list[tuple[str, str]] = []

    def __call__(self, step: str, path: str) -> None:
        self.steps.append((step, path))
        if len(self.steps) - 1 == self.number:
            raise self.error


class FaultFrom:
    """A fault for Host: from the n-th step on the steps of some kinds fail. As it stands, a disk that is full: whatever
    needs room fails, deleting and renaming work."""

    NEEDS_ROOM = ("mkdir", "create", "write", "fsync", "backup", "symlink", "link")
    CHANGES = (*NEEDS_ROOM, "rename", "unlink", "chmod", "rmdir", "truncate")

    def __init__(self, number: int, code: int = errno.ENOSPC, steps: tuple[str, ...] = NEEDS_ROOM) -> None:
        self.number, self.code, self.kinds, self.seen = number, code, steps, 0

    def __call__(self, step: str, path: str) -> None:
        self.seen += 1
        if self.seen > self.number and step in self.kinds:
            raise OSError(self.code, os.strerror(self.code))


def read_only_disk() -> FaultFrom:
    """A fault for Host: no change of any kind is possible, as on a file system that is mounted read-only."""
    return FaultFrom(0, errno.EROFS, FaultFrom.CHANGES)


def write_tree(base: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files given as absolute path to content; "-> target" content makes a symbolic link."""
    for name, content in files.items():
        path = base / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content[3:])
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_bytes(content.encode("utf-8", "surrogateescape"))


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[..., Host]:
    """make_host({"/etc/fstab": "..."}, fault=None) -> a Host over a fresh tree below tmp_path/root."""

    def make(files: Mapping[str, str | bytes] | None = None, fault: Callable[[str, str], None] | None = None) -> Host:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        write_tree(root, files or {})
        return Host(str(root), fault=fault)

    return make


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where tests of disk images and of faults run: in memory where there is some, as they sync a lot."""
    memory = Path("/dev/shm")
    syncs = request.path.parent.name == "vhd" or request.path.name == "test_faults.py"
    wanted = syncs and os.access(memory, os.W_OK)
    if not wanted or shutil.disk_usage(memory).free < 512 << 20:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="vhd-test-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    """A strict page-blob server, for one test."""
    with PageBlobServer().running() as running:
        yield running
