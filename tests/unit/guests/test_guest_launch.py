"""Starting, waiting and stopping, with a stand-in for QEMU: evidence ends a wait, and only our process is ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guests import accel, launch
from guests.cli import inventory_of, main
from guests.errors import GuestError


def stand_in(directory: Path, code: str) -> subprocess.Popen[bytes]:
    return launch.spawn([sys.executable, "-c", code, str(directory)], directory / "qemu.log")


def test_wait_for_end_wants_the_good_word(tmp_path: Path) -> None:
    serial = tmp_path / "serial.log"
    serial.write_text("step: one\nDONE\n")
    launch.wait_for_end(stand_in(tmp_path, "pass"), serial, "DONE", "FAILED", 30)
    serial.write_text("step: one\n")
    with pytest.raises(GuestError, match="without DONE"):
        launch.wait_for_end(stand_in(tmp_path, "pass"), serial, "DONE", "FAILED", 30)
    serial.write_text("FAILED: grub\nDONE\n")
    with pytest.raises(GuestError, match="FAILED: grub"):
        launch.wait_for_end(stand_in(tmp_path, "pass"), serial, "DONE", "FAILED", 30)


@pytest.mark.parametrize("words", ["Kernel panic - not syncing: VFS", "(initramfs) ", "grub rescue> "])
def test_a_dead_guest_ends_the_wait_at_once(tmp_path: Path, words: str) -> None:
    serial = tmp_path / "serial.log"
    serial.write_text(f"Loading\n{words}\n")
    process = stand_in(tmp_path, "import time; time.sleep(60)")
    try:
        with pytest.raises(GuestError, match="died"):
            launch.wait_for_end(process, serial, "DONE", "FAILED", 60)
        state = {"serial_log": str(serial), "directory": str(tmp_path), "port": 1}
        with pytest.raises(GuestError, match="died"):
            launch.wait_for_ssh(lambda: True, state, 60)
    finally:
        launch.end(process)
    assert process.poll() is not None


def test_wait_for_ssh_notices_that_qemu_ended(tmp_path: Path) -> None:
    state = {"serial_log": str(tmp_path / "none"), "directory": str(tmp_path), "port": 1}
    with pytest.raises(GuestError, match="QEMU ended"):
        launch.wait_for_ssh(lambda: False, state, 60)


def test_wait_for_ssh_has_an_end(tmp_path: Path) -> None:
    state = {"serial_log": str(tmp_path / "none"), "directory": str(tmp_path), "port": launch.free_port()}
    with pytest.raises(GuestError, match="not up within"):
        launch.wait_for_ssh(lambda: True, state, 0.2)


@pytest.mark.parametrize(("greeting", "speaks"), [(b"SSH-2.0-x\r\n", True), (b"HTTP/1.1", False), (b"", False)])
def test_only_a_banner_counts(greeting: bytes, speaks: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(greeting)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert launch.ssh_banner(server.getsockname()[1]) is speaks
        thread.join()


def test_stop_leaves_a_foreign_process_alone(tmp_path: Path) -> None:
    launch.save(tmp_path, {"pid": os.getpid()})
    assert launch.stop(tmp_path) is False


def test_stop_ends_our_process_and_waits(tmp_path: Path) -> None:
    program = tmp_path / "qemu-system-stand-in"
    program.symlink_to(sys.executable)
    process = launch.spawn(
        [str(program), "-c", "import time; time.sleep(60)", f"file={tmp_path}/disk"], tmp_path / "log"
    )
    launch.save(tmp_path, {"pid": process.pid})
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    assert launch.is_ours(process.pid, tmp_path)
    assert not launch.is_ours(process.pid, tmp_path / "other")
    assert launch.stop(tmp_path) is True
    reaper.join(10)
    assert process.returncode is not None


def test_stop_where_nothing_was_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "--dir", str(tmp_path)]) == 1
    assert "No guest was started" in capsys.readouterr().err


def test_flags_of_the_cpu() -> None:
    assert accel.has_hardware_flag("flags\t\t: fpu vmx sse\n")
    assert accel.has_hardware_flag("flags\t\t: fpu svm\n")
    assert not accel.has_hardware_flag("flags\t\t: fpu sse\nvmx flags\t: x\nmodel name: svmx\n")


def test_qemu_version() -> None:
    assert accel.parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright") == (7, 2)
    with pytest.raises(GuestError, match="names no version"):
        accel.parse_version("hello")


def test_probe_sector_is_a_boot_sector() -> None:
    assert len(accel.PROBE_SECTOR) == 512
    assert accel.PROBE_SECTOR[-2:] == b"\x55\xaa"


def test_probe_without_hardware_flag_never_starts_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "has_hardware_flag", lambda text: False)
    monkeypatch.setattr(accel.subprocess, "run", lambda *args, **kwargs: pytest.fail("QEMU was started"))
    assert accel.probe().name == "tcg"


def test_answer_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINUXVHD_CACHE", str(tmp_path))
    monkeypatch.setattr(accel, "qemu_version", lambda: (7, 2))
    calls: list[int] = []

    def probe() -> accel.Accel:
        calls.append(1)
        return accel.Accel("tcg", "because")

    monkeypatch.setattr(accel, "probe", probe)
    assert accel.choose() == accel.choose() == accel.Accel("tcg", "because")
    assert len(calls) == 1
    (tmp_path / "accel.json").write_text("{broken")
    assert accel.choose().name == "tcg"
    assert len(calls) == 2


def test_inventory_has_what_ansible_needs() -> None:
    state = {
        "name": "g",
        "host": "127.0.0.1",
        "port": 2222,
        "user": "anna",
        "private_key": "/k",
        "pid": 1,
        "serial_log": "/s",
        "disk": "/d",
        "firmware": "bios",
        "directory": "/g",
    }
    host = inventory_of({"g": state})["all"]["children"]["guests"]["hosts"]["g"]
    assert host["ansible_port"] == 2222
    assert host["ansible_ssh_private_key_file"] == "/k"
    json.dumps(host)
