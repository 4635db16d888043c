"""The proof on a host whose own disk is full or read-only: a sentence, the guest ended, nothing left behind."""

from __future__ import annotations

import errno
import os
import socketserver
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import console, pcap, proof, qemu
from ansible_collections.linuxvhd.azure.plugins.modules import first_boot

#: Stand-ins for the programs that a proof starts. QEMU ends at once, which is as far as these tests go.
PROGRAMS = {
    "qemu-system-x86_64": '[ "$1" != --version ] || exec echo "version 8.2.0"\necho no machine >&2; exit 1\n',
    "qemu-img": 'for word; do case $word in *.qcow2) echo overlay > "$word" || exit 1 ;; esac; done\n',
    "ssh-keygen": 'for word; do key=$word; done\necho private > "$key" && echo "ssh-rsa AAAA" > "$key.pub"\n',
}


class Storage:
    """Every file or directory made below a folder is a step; the n-th, or each from there on, fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.number, self.error, self.steps = str(folder), -1, OSError(), [""]
        for holder, name in ((os, "mkdir"), (os, "open"), (socketserver.UnixStreamServer, "server_bind")):
            self.watch(monkeypatch, holder, name)
        self.watch(monkeypatch, __builtins__, "open")

    def watch(self, monkeypatch: pytest.MonkeyPatch, holder: Any, name: str) -> None:
        real = holder[name] if isinstance(holder, dict) else getattr(holder, name)

        def stand_in(first: Any, *arguments: Any, **options: Any) -> Any:
            path = str(getattr(first, "server_address", first))
            mode = options.get("mode", arguments[0] if arguments else "w")
            reads = mode.startswith("r") if isinstance(mode, str) else name == "open" and not mode & os.O_CREAT
            if path.startswith(self.folder) and not reads:
                self.steps.append(f"{name} {os.path.basename(path)}")
                if 0 <= self.number < len(self.steps):
                    raise self.error
            return real(first, *arguments, **options)

        if isinstance(holder, dict):
            monkeypatch.setitem(holder, name, stand_in)
        else:
            monkeypatch.setattr(holder, name, stand_in)

    def start(self, number: int, code: int) -> None:
        self.number, self.error, self.steps = number, OSError(code, os.strerror(code)), []


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options for a proof that uses every file it can: firmware, a resource disk, a password."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text("#!/bin/sh\n" + text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "code.fd").write_bytes(b"code")
    (tmp_path / "vars.fd").write_bytes(b"vars")
    firmware = (str(tmp_path / "code.fd"), str(tmp_path / "vars.fd"))
    monkeypatch.setattr(qemu, "find_firmware", lambda generation: firmware)

    def no_monitor(path: str) -> None:
        end = time.monotonic() + 20
        while not Path(path).with_name("qemu.log").read_text() and time.monotonic() < end:
            time.sleep(0.01)
        raise AzurePrepError("no monitor")

    monkeypatch.setattr(qemu, "Monitor", no_monitor)
    image = tmp_path / "disk.raw"
    with image.open("wb") as stream:
        stream.truncate(2 << 20)
    given = {"path": str(image), "generation": "2", "accel": "tcg", "password": "Pr00f-of-passw0rd"}
    defaults = {name: option.get("default") for name, option in first_boot.argument_spec().items()}
    return {**defaults, **given, "resource_disk_gib": 1}


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "is full; free some space"), (errno.EROFS, "read-only; remount"), (errno.EIO, "input/output")],
)
def test_no_file_of_a_proof_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], code: int, words: str
) -> None:
    """Each file in turn is the first that cannot be made."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    storage = Storage(monkeypatch, temporary)
    storage.start(-1, code)
    with pytest.raises(AzurePrepError, match="QEMU did not start: no machine"):
        first_boot.run(params, False)
    steps = storage.steps
    assert {"open medium.img", "open relay.py", "open vars.fd", "server_bind wire", "open qemu.log"} <= set(steps)
    for number, step in enumerate(steps):
        storage.start(number, code)
        with pytest.raises(AzurePrepError) as failure:
            first_boot.run(params, False)
        assert words in str(failure.value) and "TMPDIR" in str(failure.value), step
        assert str(temporary) in str(failure.value) or number == 0, step
        assert list(temporary.iterdir()) == [], step


@pytest.fixture(params=["size=16k", "ro"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system that is full after four pages, and one that is read-only."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", request.param, "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_temporary_directory_that_really_cannot_be_written(
    small: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    with pytest.raises(AzurePrepError, match="Cannot keep the proof's files in .*(full; free|read-only; remount)"):
        first_boot.run(params, False)
    assert list(small.iterdir()) == []


def test_a_host_without_any_temporary_directory(monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(AzurePrepError, match="no usable temporary directory.*TMPDIR"):
        first_boot.run(params, False)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), subprocess.TimeoutExpired("ssh", 60)])
def test_a_failure_while_the_guest_runs_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    closed = []

    class StandIn(proof.Proof):
        def __init__(self, options: proof.Options, say: Any) -> None:
            self.folder = "/tmp/azp-x"

        def __enter__(self) -> StandIn:
            return self

        def run(self) -> dict[str, Any]:
            raise error

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(proof, "Proof", StandIn)
    with pytest.raises(AzurePrepError, match="in /tmp/azp-x: the file system is full|ended early: .* 60 seconds"):
        proof.prove(proof.Options("x.vhd"))
    assert closed == [True]


def test_a_guest_that_qemu_holds_for_want_of_room_is_told() -> None:
    """QEMU stops a guest whose write does not fit on the host's disk; nothing in the guest would ever tell why."""
    one: Any = object.__new__(proof.Proof)
    one.folder, one.console, one.traffic = "/tmp/azp-x", console.Console(), pcap.NOTHING
    one._statistics, one.resets, one.restarts, one.second = {}, 0, 0, False

    class Monitor:
        events = [
            {"event": "BLOCK_IO_ERROR", "data": {"action": "report", "nospace": False, "reason": "bad sector"}},
            {"event": "BLOCK_IO_ERROR", "data": {"action": "stop", "nospace": True, "reason": "No space left"}},
        ]

        def command(self, execute: str) -> list[Any]:
            return []

    one.monitor = Monitor()
    with pytest.raises(AzurePrepError, match="/tmp/azp-x: the file system is full"):
        one._poll_monitor()
    Monitor.events = Monitor.events[:1]
    one._poll_monitor()
