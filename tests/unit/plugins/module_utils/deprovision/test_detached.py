# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker and the one that waits: results found, deaths noticed, code that runs from its copy."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import detached
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host


@pytest.fixture
def spool(tmp_path: Path) -> detached.Spool:
    return detached.Spool(str(tmp_path))


def test_wait_takes_the_result_of_its_own_run_only(spool: detached.Spool) -> None:
    spool.write("result.json", {"token": "old", "checks": []})
    with open(spool.file("lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(0.2, spool.write, ("result.json", {"token": "new", "checks": []}))
        timer.start()
        assert detached.wait(spool, "new", 20, poll=0.02)["token"] == "new"
    assert spool.read("collected.json") == {"pid": os.getpid()}


def test_wait_notices_that_the_worker_died(spool: detached.Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "DEAD_TIMEOUT", 0.3)
    spool.write("progress.json", {"step": "waagent -deprovision"})
    Path(spool.file("worker.log")).write_text("Killed")
    with pytest.raises(AzurePrepError, match="too early, at: waagent -deprovision. Run again.*Killed"):
        detached.wait(spool, "x", 20, poll=0.02)


def test_wait_ends_in_time_and_says_that_the_work_goes_on(spool: detached.Spool) -> None:
    spool.write("progress.json", {"step": "logs"})
    with open(spool.file("lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AzurePrepError, match="goes on by itself"):
            detached.wait(spool, "x", 0.1, poll=0.02)


def test_a_lost_link_finds_its_result_again(spool: detached.Spool) -> None:
    spool.write("result.json", {"token": "t", "checks": [], "removed": [1]})
    found = detached.collect_or_start({"token": "t", "timeout": 1}, None, spool)  # type: ignore[arg-type]
    assert found["removed"] == [1]


def test_two_runs_at_a_time_are_refused(spool: detached.Spool) -> None:
    spool.write("spec.json", {"token": "other"})
    with open(spool.file("lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AzurePrepError, match="Another deprovisioning"):
            detached.collect_or_start({"token": "t", "timeout": 1}, None, spool)  # type: ignore[arg-type]


def test_damaged_spool_files_count_as_missing(spool: detached.Spool) -> None:
    for text in ("", "[1]", "{", "\x00"):
        Path(spool.file("result.json")).write_text(text)
        assert spool.read("result.json") is None


def test_the_copied_code_runs_by_itself(tmp_path: Path) -> None:
    """What the worker imports is in the copy, and needs neither Ansible nor the place it came from."""
    detached.copy_code(str(tmp_path / "lib"))
    name = "ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.detached"
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r}); import {name} as d; print(d.__file__)"
    done = subprocess.run(
        [sys.executable, "-B", "-E", "-s", "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().startswith(str(tmp_path / "lib"))


def test_console_line_is_short_ascii_and_tells_failures() -> None:
    checks = [{"id": "logs", "ok": False, "evidence": "é" * 5000}, {"id": "tmp", "ok": True, "evidence": ""}]
    line = detached.console_line({"checks": checks, "removed": [], "removed_bytes": 5})
    assert line.isascii() and len(line) < 500
    mark, _, text = line.partition(" ")
    assert mark == "AZURE-DEPROVISION-RESULT"
    assert json.loads(text) == {"checks": 2, "failed": ["logs"], "ok": False, "removed": 0, "removed_bytes": 5}


def test_console_line_of_an_error() -> None:
    assert '"ok": false' in detached.console_line({"error": "x" * 9000})


def test_collection_waits_for_the_collector_to_end(spool: detached.Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "GRACE", 0.0)
    sleeper = subprocess.Popen(["sleep", "0.4"])
    spool.write("collected.json", {"pid": sleeper.pid})
    threading.Thread(target=sleeper.wait).start()
    begin = time.monotonic()
    assert detached._await_collection(spool, 10)
    assert time.monotonic() - begin > 0.2
    os.unlink(spool.file("collected.json"))
    assert not detached._await_collection(spool, 0.3)


def test_a_worker_that_is_begun_again_is_waited_for(spool: detached.Spool) -> None:
    """systemd starts a killed worker again; the moment without one is no death."""
    spool.write("progress.json", {"step": "logs"})
    timer = threading.Timer(0.5, spool.write, ("result.json", {"token": "t", "checks": []}))
    timer.start()
    assert detached.wait(spool, "t", 20, poll=0.02)["token"] == "t"


def test_what_the_next_boot_needs_is_laid_down_and_goes_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"/run/systemd/system/x": "", "/usr/bin/systemctl": "", detached.STATE_FILE: "{}", "/etc/x": ""})
    (root / "usr/bin/systemctl").chmod(0o755)
    (tmp_path / "spool").mkdir()
    spool, host = detached.Spool(str(tmp_path / "spool")), Host(str(root))
    detached.copy_code(spool.file("lib"))
    spool.write("spec.json", {"token": "t", "pids": [1], "protected": ["/x"], "options": {}})
    before = {path for path in root.rglob("*") if path.is_file()}
    detached.arm_resume(spool, host)
    detached.arm_resume(spool, host)  # a run that is repeated

    place = root / "var/lib/azure-deprovision"
    assert json.loads((place / "spec.json").read_text())["protected"] == []
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    unit = (root / "etc/systemd/system" / detached.RESUME_UNIT).read_text()
    assert f"ConditionPathExists={detached.STATE_FILE}" in unit and "/var/lib/azure-deprovision/worker.py" in unit
    assert (root / "etc/systemd/system/basic.target.wants" / detached.RESUME_UNIT).is_file()
    # The copy runs with nothing but itself on the path; without a spec it says so instead of doing anything.
    code = (place / "worker.py").read_text().replace("/var/lib/azure-deprovision/lib", str(place / "lib"))
    code = code.replace("detached.resume", "print(detached.resume.__name__) #")
    done = subprocess.run([sys.executable, "-E", "-s", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "resume\n", done.stderr

    detached.disarm_resume(host)
    left = {path for path in root.rglob("*") if path.is_file()}
    assert left == before - {root / detached.STATE_FILE.lstrip("/")}
    assert not (root / "etc/systemd/system/basic.target.wants").exists()


def test_without_systemd_nothing_is_laid_down(tmp_path: Path) -> None:
    detached.arm_resume(detached.Spool(str(tmp_path)), Host(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_who_comes_back_while_the_worker_is_begun_again_waits(spool: detached.Spool) -> None:
    """Its processes are written down, so that they are not ended as a session of the account that goes."""
    spool.write("spec.json", {"token": "t"})
    spool.write("progress.json", {"step": "logs"})
    timer = threading.Timer(0.5, spool.write, ("result.json", {"token": "t", "checks": []}))
    timer.start()
    found = detached.collect_or_start({"token": "t", "timeout": 20}, None, spool)  # type: ignore[arg-type]
    assert found["token"] == "t"
    waiting = spool.read("waiting.json") or {}
    assert os.getpid() in waiting["pids"] and waiting["paths"] == detached.own_paths()
