"""Fifty hosts at once, each at its own pace: nothing of one ends up with another, and one report has them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import BIN, ROOT

HOSTS = 50
RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'


def test_fifty_forks_and_a_free_strategy(tmp_path: Path) -> None:
    """Every host has a value of its own, which its evidence shows; every other one keeps the rule."""
    intervals = {f"vm{number:02d}": 100 + number if number % 2 else 1000 + number for number in range(HOSTS)}
    hosts = {}
    for name, interval in intervals.items():
        root = tmp_path / "roots" / name
        for path, text in {
            "etc/os-release": RELEASE,
            "etc/ssh/sshd_config": f"ClientAliveInterval {interval}\n",
            "usr/sbin/sshd": "",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            (root / path).chmod(0o755)
        hosts[name] = {"azure_audit_root": str(root)}
    reports = tmp_path / "reports"
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "azure_audit_report_dir": str(reports),
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"vars": variables, "hosts": hosts}}))
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", str(inventory), "-f", str(HOSTS), "playbooks/audit-azure.yml"],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=900,
        env={**os.environ, "ANSIBLE_STRATEGY": "free", "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout.count("Azure audit, profile") == 1, done.stdout + done.stderr
    # What was written beside the reports is gone.
    assert sorted(path.name for path in reports.iterdir()) == [
        "azure-audit.html",
        "azure-audit.json",
        "azure-audit.xml",
    ]
    found = {host["name"]: host for host in json.loads((reports / "azure-audit.json").read_text())["hosts"]}
    assert sorted(found) == sorted(intervals)
    for name, interval in intervals.items():
        finding = next(each for each in found[name]["findings"] if each["id"] == "SSH-02")
        assert str(interval) in finding["evidence"], (name, finding)
        assert finding["status"] == ("pass" if interval < 200 else "fail"), (name, finding)
