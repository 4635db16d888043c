"""Real proofs of real images: good ones pass, broken copies are diagnosed, and nothing is left running.

    AZURE_PROOF_IMAGE=build/demo/debian12-bios.vhd AZURE_PROOF_BUS=virtio-blk pytest tests/proof
    ... pytest tests/proof -k good         # one proof, a few minutes; all take about an hour without KVM
    AZURE_PROOF_IMAGES=build/images ...    # also the images of proof.images, made there when missing (root)

The image must be prepared and deprovisioned, with an ext4 root file system that its largest partition holds.
Not part of the unit tests.
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
from typing import Any

import leaks  # noqa: I001 (tests/ is on the path)
import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
from proof.broken import WAYS, Way, broken_copy  # noqa: I001 (tests/ is on the path)
from proof.images import IMAGES, make

IMAGE = os.environ.get("AZURE_PROOF_IMAGE", "")
FOLDER = os.environ.get("AZURE_PROOF_IMAGES", "")
BUS = os.environ.get("AZURE_PROOF_BUS", "virtio-scsi")
TIMEOUT = int(os.environ.get("AZURE_PROOF_TIMEOUT", "600"))
needs_image = pytest.mark.skipif(not IMAGE, reason="AZURE_PROOF_IMAGE names no image to prove")

#: How each image made by other means is proven: its name, the generation, who reports ready, more options.
GOOD: list[tuple[str, str, str, dict[str, Any]]] = [
    ("debian11-both", "1", "cloud-init", {}),
    ("debian12-cloud-init", "2", "cloud-init", {"password": "Pr00f-of-passw0rd"}),
    ("debian12-waagent", "1", "waagent", {"password": "Pr00f-of-passw0rd", "certificates": True}),
    ("debian12-agentless", "1", "agentless", {}),
    ("debian12-report-ready", "1", "agentless", {}),
    ("debian13-both", "2", "cloud-init", {"resource_disk_gib": 1}),
    ("debian13-waagent", "1", "waagent", {}),
    ("testing-cloud-init", "1", "cloud-init", {}),
    ("testing-both", "2", "cloud-init", {"certificates": True}),
]

#: What a proof leaves for its caller.
ARTIFACTS = ["packets.pcap", "proof.html", "proof.json", "serial.log"]

RUN = """
import json, sys
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
options = proof.Options(sys.argv[1], bus=sys.argv[2], second_boot=False, timeout=600)
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
    return subprocess.Popen([sys.executable, "-c", RUN, image, BUS], stdout=subprocess.PIPE, text=True, env=env)


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


def other_image(name: str) -> Path:
    """One of proof.images, made when it is not there."""
    if not FOLDER:
        pytest.skip("AZURE_PROOF_IMAGES names no folder for images made by other means")
    target = Path(FOLDER) / f"{name}.raw"
    if not target.exists() and os.geteuid() != 0:
        pytest.skip(f"{name} is not there, and only root can make it")
    return make(IMAGES[name], Path(FOLDER))


@needs_image
def test_a_good_image_passes_and_is_not_written(tmp_path: Path) -> None:
    before = digest(IMAGE)
    result = proof.prove(proof.Options(IMAGE, bus=BUS, timeout=TIMEOUT, artifacts=str(tmp_path / "out")), print)
    assert result["passed"], result["report"]
    assert {check["status"] for check in result["checks"]} <= {"pass", "skipped"}
    assert result["diagnosis"] is None
    assert json.loads((tmp_path / "out" / "proof.json").read_text())["passed"] is True
    assert "<svg" in (tmp_path / "out" / "proof.html").read_text()
    assert digest(IMAGE) == before


@pytest.mark.parametrize(("name", "generation", "who", "options"), GOOD, ids=[row[0] for row in GOOD])
def test_an_image_made_by_other_means_passes(
    name: str, generation: str, who: str, options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = other_image(name)
    folder = tmp_path / "out"
    wanted = proof.Options(
        str(image), provisioner=who, generation=generation, timeout=TIMEOUT, artifacts=str(folder), **options
    )
    result = proof.prove(wanted, print)
    assert result["passed"], result["report"]
    if wanted.password:
        assert sorted(path.name for path in folder.iterdir()) == ARTIFACTS
        assert leaks.in_folder(wanted.password, folder) == []
        assert leaks.in_bytes(wanted.password, json.dumps(result)) == []
        assert leaks.in_bytes(wanted.password, capsys.readouterr().out) == []
    assert result["diagnosis"] is None
    assert result["unknown_requests"] == []
    status = {check["id"]: check["status"] for check in result["checks"]}
    # What the program of that image does not do, and what only Hyper-V gives, is skipped and nothing else.
    skipped = {"resource_disk"} | ({"password"} if who == "agentless" else set())
    if name != "debian12-report-ready":
        assert {check for check in status if status[check] == "skipped"} <= skipped, result["report"]


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_a_broken_image_is_diagnosed(way: Way, tmp_path: Path) -> None:
    if not way.on and not IMAGE:
        pytest.skip("AZURE_PROOF_IMAGE names no image to prove")
    copy = broken_copy(other_image(way.on) if way.on else Path(IMAGE), tmp_path, way)
    bus = "virtio-scsi" if way.on else BUS
    options = proof.Options(str(copy), bus=bus, timeout=TIMEOUT, second_boot=False)._replace(**way.options)
    result = proof.prove(options, print)
    assert not result["passed"], result["report"]
    assert (result["diagnosis"]["cause"], result["diagnosis"]["rule"]) == (way.cause, way.rule)


@needs_image
def test_two_proofs_at_once_do_not_meet(tmp_path: Path) -> None:
    one, two = start(IMAGE, tmp_path), start(IMAGE, tmp_path)
    answers = [json.loads(process.communicate(timeout=2 * TIMEOUT)[0].splitlines()[-1]) for process in (one, two)]
    assert [answer["ready"] for answer in answers] == [True, True]
    assert answers[0]["provisioned"]["machine_id"] != answers[1]["provisioned"]["machine_id"]
    assert wait_until_gone(tmp_path) == []


@needs_image
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_can_prove(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        code = RUN.replace("timeout=600", f"timeout={TIMEOUT}")
        line = ["/usr/bin/python3", "-c", code, IMAGE, BUS]
        env = {"PATH": os.environ["PATH"], "TMPDIR": name, "HOME": name}
        found = [path for path in sys.path if (Path(path) / "ansible_collections" / "linuxvhd").exists()]
        env["PYTHONPATH"] = os.pathsep.join(found)
        done = subprocess.run(
            line, env=env, user=65534, group=65534, extra_groups=[], cwd=name, capture_output=True, text=True,
            timeout=2 * TIMEOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["passed"] is True
        assert list(folder.iterdir()) == []


@needs_image
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


@needs_image
def test_nothing_is_left_after_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = proof.prove(proof.Options(IMAGE, bus=BUS, timeout=10, second_boot=False))
    assert not result["ready"]
    assert wait_until_gone(tmp_path) == []
