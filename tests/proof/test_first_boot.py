"""Real proofs of a real image: the good one passes, broken copies are diagnosed, and nothing is left running.

    AZURE_PROOF_IMAGE=build/demo/debian12-bios.vhd pytest tests/proof                 # all, about a quarter of an hour
    AZURE_PROOF_IMAGE=build/demo/debian12-bios.vhd pytest tests/proof -k good         # one proof, a few minutes

The image must be prepared and deprovisioned, on a GPT with an ext4 root file system. Not part of the unit tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
from proof.broken import WAYS, Way, broken_copy  # noqa: I001 (tests/ is on the path)

IMAGE = os.environ.get("AZURE_PROOF_IMAGE", "")
pytestmark = pytest.mark.skipif(not IMAGE, reason="AZURE_PROOF_IMAGE names no image to prove")
TIMEOUT = int(os.environ.get("AZURE_PROOF_TIMEOUT", "600"))

RUN = """
import json, sys
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
options = proof.Options(sys.argv[1], second_boot=False, timeout=600)
print(json.dumps(proof.prove(options, lambda text: print(text, flush=True))))
"""


def digest(path: str) -> str:
    with open(path, "rb") as stream:
        value = hashlib.sha256()
        for block in iter(lambda: stream.read(1 << 20), b""):
            value.update(block)
    return value.hexdigest()


def start(image: str, temporary: Path) -> subprocess.Popen[str]:
    """A proof in a process of its own, its private folder below `temporary`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, "-c", RUN, image], stdout=subprocess.PIPE, text=True, env=env)


def processes(temporary: Path) -> list[str]:
    """Command lines of processes that speak of the folder: QEMU and the relays of proofs started with it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(temporary) in line and int(entry.name) != os.getpid():
                found.append(line)
    return found


def wait_until_gone(temporary: Path) -> list[str]:
    end = time.monotonic() + 15
    while processes(temporary) and time.monotonic() < end:
        time.sleep(0.2)
    return processes(temporary)


def test_a_good_image_passes_and_is_not_written(tmp_path: Path) -> None:
    before = digest(IMAGE)
    result = proof.prove(proof.Options(IMAGE, timeout=TIMEOUT, artifacts=str(tmp_path / "out")), print)
    assert result["passed"], result["report"]
    assert {check["status"] for check in result["checks"]} <= {"pass", "skipped"}
    assert result["diagnosis"] is None
    assert json.loads((tmp_path / "out" / "proof.json").read_text())["passed"] is True
    assert "<svg" in (tmp_path / "out" / "proof.html").read_text()
    assert digest(IMAGE) == before


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_a_broken_image_is_diagnosed(way: Way, tmp_path: Path) -> None:
    copy = broken_copy(Path(IMAGE), tmp_path, way)
    result = proof.prove(proof.Options(str(copy), timeout=TIMEOUT, second_boot=False), print)
    assert not result["passed"], result["report"]
    assert (result["diagnosis"]["cause"], result["diagnosis"]["rule"]) == (way.cause, way.rule)


def test_two_proofs_at_once_do_not_meet(tmp_path: Path) -> None:
    one, two = start(IMAGE, tmp_path), start(IMAGE, tmp_path)
    answers = [json.loads(process.communicate(timeout=2 * TIMEOUT)[0].splitlines()[-1]) for process in (one, two)]
    assert [answer["ready"] for answer in answers] == [True, True]
    assert answers[0]["provisioned"]["machine_id"] != answers[1]["provisioned"]["machine_id"]
    assert wait_until_gone(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    process = start(IMAGE, tmp_path)
    assert process.stdout is not None
    assert "power on" in process.stdout.readline()
    time.sleep(3)
    assert any("qemu" in line for line in processes(tmp_path))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert wait_until_gone(tmp_path) == []
    if number is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = proof.prove(proof.Options(IMAGE, timeout=10, second_boot=False))
    assert not result["ready"]
    assert wait_until_gone(tmp_path) == []
