"""Audits through the three parts of ansible-runner, as AWX runs them: transmit here, work elsewhere, process here.

The worker gets an empty directory and the installed collection, and nothing of the sender's but the stream. Hosts are
directories with configuration files, and one that nobody answers for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN

TREES = {
    "keeps-alive": {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
        "etc/ssh/sshd_config": "ClientAliveInterval 180\n",
        "usr/sbin/sshd": "",
    },
    "does-not": {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
        "etc/ssh/sshd_config": "Port 22\n",
        "usr/sbin/sshd": "",
    },
}


def runner(cwd: Path, *arguments: str, data: bytes = b"", **environment: str) -> bytes:
    """One part of ansible-runner; its standard output. A job that failed makes the exit status 1 or 2."""
    done = subprocess.run(
        [str(BIN / "ansible-runner"), *arguments],
        cwd=cwd, input=data, capture_output=True, timeout=300, check=False,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", **environment},
    )  # fmt: skip
    assert done.returncode in (0, 1, 2), done.stderr.decode()
    return done.stdout


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A private data directory as the sender has it."""
    base = tmp_path / "sender"
    hosts: dict[str, Any] = {
        "nobody": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    for name, files in TREES.items():
        for path, text in files.items():
            target = base / "roots" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            target.chmod(0o755)
        hosts[name] = {"azure_audit_root": str(base / "roots" / name)}
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    folder = base / "job"
    for part in ("inventory", "env", "project"):
        (folder / part).mkdir(parents=True)
    (folder / "inventory/hosts.json").write_text(json.dumps({"all": {"vars": variables, "hosts": hosts}}))
    # Where the reports end up in the artifacts, which travel back.
    extra = {"azure_audit_report_dir": "../artifacts/audit/reports", "azure_waive": ["KERN-06"]}
    (folder / "env/extravars").write_text(json.dumps(extra))
    return folder


def test_an_audit_goes_out_and_its_reports_come_back(job: Path, installed: Path, tmp_path: Path) -> None:
    stream = runner(job.parent, "transmit", str(job), "-p", "linuxvhd.azure.audit_azure", "-i", "audit")
    work = tmp_path / "work"
    answer = runner(
        tmp_path, "worker", "--private-data-dir", str(work), "--delete",
        data=stream, ANSIBLE_COLLECTIONS_PATH=str(installed),
    )  # fmt: skip
    assert not work.exists(), "the worker leaves nothing behind"
    runner(job.parent, "process", str(job), "-i", "audit", data=answer)

    artifacts = job / "artifacts/audit"
    # A host that could not be looked at and one that breaks rules: the job has failed, as an audit should.
    assert (artifacts / "status").read_text() == "failed"
    report = json.loads((artifacts / "reports/azure-audit.json").read_text())
    hosts = {host["name"]: host for host in report["hosts"]}
    assert sorted(hosts) == sorted([*TREES, "nobody"])
    assert hosts["nobody"]["verdict"] == "not looked at"
    # Ansible says the one or the other, whichever end of the pipe it sees first.
    assert re.search("Connection refused|can be reached over SSH", hosts["nobody"]["error"]), hosts["nobody"]["error"]
    for name, status in (("keeps-alive", "pass"), ("does-not", "fail")):
        findings = {finding["id"]: finding for finding in hosts[name]["findings"]}
        assert findings["SSH-02"]["status"] == status, findings["SSH-02"]
    for suffix in ("html", "xml"):
        assert (artifacts / f"reports/azure-audit.{suffix}").stat().st_size > 1000
    output = (artifacts / "stdout").read_text()
    assert "Azure audit, profile recommended" in output and "ClientAliveInterval" in output

    # The same findings are in the events, which AWX keeps when the job's files are gone (docs/guide_awx.md).
    events = [json.loads(path.read_text()) for path in (artifacts / "job_events").glob("*.json")]
    looked = {
        event["event_data"]["host"]: event["event_data"]["res"]["findings"]
        for event in events
        if event["event"] == "runner_on_ok" and event["event_data"]["task"] == "Look at the host"
    }
    assert looked == {name: hosts[name]["findings"] for name in TREES}


def test_a_worker_without_the_collection_says_so(job: Path, tmp_path: Path) -> None:
    stream = runner(job.parent, "transmit", str(job), "-p", "linuxvhd.azure.audit_azure", "-i", "missing")
    answer = runner(
        tmp_path, "worker", "--private-data-dir", str(tmp_path / "work"),
        data=stream, ANSIBLE_COLLECTIONS_PATH=str(tmp_path),
    )  # fmt: skip
    runner(job.parent, "process", str(job), "-i", "missing", data=answer)
    assert (job / "artifacts/missing/status").read_text() == "failed"
    assert "linuxvhd.azure" in (job / "artifacts/missing/stdout").read_text()
