"""Audit and preparation of a real guest through ansible-runner: sent from here, done by a worker in another directory.

AZURE_RUNNER_DIRECTORY names a place that keeps the guest's and the jobs' logs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guests import cli, launch, start

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GUEST = "debian12-bios"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("AZURE_RUNNER_DIRECTORY")
    if not named:
        return tmp_path_factory.mktemp("runner")
    shutil.rmtree(named, ignore_errors=True)
    Path(named).mkdir(parents=True)
    return Path(named)


@pytest.fixture(scope="module")
def inventory(base: Path) -> Iterator[dict[str, Any]]:
    """A fresh guest as an inventory; skipped, with the reason, where none can be started."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("there is no qemu-system-x86_64 here")
    state = start.start(GUEST, base / "guest", start.Options())
    try:
        yield cli.inventory_of({GUEST: state}, become=True)
    finally:
        launch.stop(base / "guest")
        (base / "guest/disk.qcow2").unlink()


def send(base: Path, inventory: dict[str, Any], playbook: str, name: str) -> Path:
    """Run a playbook of the collection through a worker; the directory with what came back."""
    job, work = base / name, base / f"{name}-worker"
    for part in ("inventory", "env", "project"):
        (job / part).mkdir(parents=True)
    (job / "inventory/hosts.json").write_text(json.dumps(inventory))
    reports = f"../artifacts/{name}/reports"
    (job / "env/extravars").write_text(json.dumps({"azure_audit_report_dir": reports, "azure_audit_fail_on": "never"}))
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"),
    }
    data = b""
    for part in (
        ["transmit", str(job), "-p", f"linuxvhd.azure.{playbook}", "-i", name],
        ["worker", "--private-data-dir", str(work), "--delete"],
        ["process", str(job), "-i", name],
    ):
        done = subprocess.run(
            [str(BIN / "ansible-runner"), *part],
            cwd=base, env=environment, input=data, capture_output=True, check=False,
        )  # fmt: skip
        data = done.stdout
    assert not work.exists()
    return job / "artifacts" / name


def changed(artifacts: Path) -> int:
    """The guest's number of changes, from the last of the job's events."""
    for path in (artifacts / "job_events").glob("*.json"):
        event = json.loads(path.read_text())
        if event["event"] == "playbook_on_stats":
            return int(event["event_data"]["changed"].get(GUEST, 0))
    raise AssertionError("the job has no recap")


def failing(artifacts: Path) -> set[str]:
    """The rules that the guest breaks, from the report that came back."""
    (host,) = json.loads((artifacts / "reports/azure-audit.json").read_text())["hosts"]
    return {finding["id"] for finding in host["findings"] if finding["status"] == "fail"}


def test_a_guest_is_audited_prepared_and_left_alone_the_second_time(base: Path, inventory: dict[str, Any]) -> None:
    before = send(base, inventory, "audit_azure", "audit")
    assert (before / "status").read_text() == "successful", (before / "stdout").read_text()[-2000:]
    assert {"BOOT-01", "INIT-02", "DISK-09", "CINIT-02"} <= failing(before)

    first = send(base, inventory, "prepare_azure", "prepare")
    assert (first / "status").read_text() == "successful", (first / "stdout").read_text()[-2000:]
    assert changed(first) > 10
    assert not {"BOOT-01", "INIT-02", "DISK-09", "CINIT-02"} & failing(first)

    second = send(base, inventory, "prepare_azure", "again")
    assert (second / "status").read_text() == "successful", (second / "stdout").read_text()[-2000:]
    assert changed(second) == 0
