#!/usr/bin/env python3
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare preparing a guest with a shell script that does the same by hand, and the second run with the first.

    python3 benchmarks/prepare.py [--guest debian12-bios] [--directory DIR] [--output docs/benchmarks-prepare.md]

Each arm gets a fresh overlay of one test guest, booted before the clock starts; only one guest runs at a time. The
script goes in over one SSH connection. The playbook runs as a user runs it, with its audit at the end, then again. A
task's time is what lies between its banner and the next in Ansible's log. The ratios count; times depend on the
machine. The run ends with an error when a goal is missed, after the page was written: the first run may take 1.5 times
the script's time, the second a quarter of the first's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from provenance import state as state_of_code  # noqa: E402

from guests import cli, launch, start  # noqa: E402
from guests.demo import Recap, parse_recap  # noqa: E402

SCRIPT = ROOT / "benchmarks/prepare_by_hand.sh"

#: The first run against the script, and the second against the first.
GOALS = (1.5, 0.25)

STAMP = "%Y-%m-%d %H:%M:%S,%f"


class Task(NamedTuple):
    """One task of a run: its name, when it began (seconds), and what it took (seconds)."""

    name: str
    began: float
    seconds: float


class Run(NamedTuple):
    """One run of the playbook."""

    seconds: float
    recap: Recap
    tasks: list[Task]
    trips: int


@contextmanager
def guest(name: str, directory: Path) -> Iterator[dict[str, Any]]:
    """A fresh guest that answers; ended and removed at the end."""
    shutil.rmtree(directory, ignore_errors=True)
    state = start.start(name, directory, start.Options())
    try:
        yield state
    finally:
        launch.stop(directory)
        (directory / "disk.qcow2").unlink(missing_ok=True)


def by_hand(name: str, directory: Path) -> float:
    """Seconds that the shell script takes."""
    with guest(name, directory) as state, (directory / "by-hand.log").open("wb") as log:
        began = time.monotonic()
        subprocess.run(
            launch.ssh_command(state, "sudo", "sh", "-s"),
            stdin=SCRIPT.open("rb"), stdout=log, stderr=subprocess.STDOUT, check=True,
        )  # fmt: skip
        return time.monotonic() - began


def read_log(text: str) -> tuple[list[Task], int]:
    """The tasks of one run, and its round trips, from Ansible's log at verbosity 3.

    A round trip is one command over the connection: with pipelining, one per module and item.
    """
    began: list[tuple[str, float]] = []
    trips = 0
    last = 0.0
    for line in text.splitlines():
        head = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) ", line)
        if head is None:
            continue
        last = datetime.datetime.strptime(head[1], STAMP).timestamp()
        banner = re.search(r"\| (?:TASK|RUNNING HANDLER|PLAY RECAP|PLAY) (?:\[(.*)\] )?\*+", line)
        if banner is not None:
            began.append((banner[1] or "", last))
        trips += " SSH: EXEC " in line or " SFTP " in line or "SSH: PUT" in line
    began.append(("", last))
    rows = [Task(name, at, following[1] - at) for (name, at), following in zip(began, began[1:])]
    return [row for row in rows if row.name], trips


def play(inventory: Path, directory: Path, name: str, number: int) -> Run:
    """One run of prepare-azure.yml."""
    log = directory / f"prepare-{number}.log"
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOG_PATH": str(log),
        "ANSIBLE_LOG_VERBOSITY": "3",
        "ANSIBLE_NOCOLOR": "1",
    }
    argv = ["ansible-playbook", "-i", str(inventory), "-b", str(ROOT / "playbooks/prepare-azure.yml")]
    argv += ["-e", f"azure_audit_report_dir={directory}/audit-{number}"]
    began = time.monotonic()
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    (directory / f"prepare-{number}.out").write_text(done.stdout + done.stderr)
    if done.returncode:
        sys.exit(f"prepare-azure.yml failed: {done.stdout[-2000:]}{done.stderr[-1000:]}")
    return Run(seconds, parse_recap(done.stdout, name), *read_log(log.read_text(errors="replace")))


def missed(script: float, first: float, second: float) -> list[str]:
    """The goals that these seconds miss, in sentences."""
    of_script, of_first = GOALS
    found = []
    if first > of_script * script:
        found.append(f"the first run took {first / script:.2f} of the script's time; the goal is {of_script}")
    if second > of_first * first:
        found.append(f"the second run took {second / first:.2f} of the first; the goal is {of_first}")
    return found


def page(name: str, script: float, first: Run, second: Run, accelerator: str) -> str:
    """The generated table, as Markdown."""
    rows = [
        ("a shell script by hand", script, 1.0, "", ""),
        ("`prepare-azure.yml`, first run", first.seconds, first.seconds / script, first.recap.ok, first.trips),
        ("`prepare-azure.yml`, second run", second.seconds, second.seconds / script, second.recap.ok, second.trips),
    ]
    lines = [
        "# How fast preparing is",
        "",
        f"Written by `benchmarks/prepare.py`: guest `{name}` under QEMU with {accelerator}, a fresh one for each arm,",
        f"{state_of_code()}.",
        "The script is `benchmarks/prepare_by_hand.sh`: it looks at nothing first and checks nothing afterwards.",
        "The playbook's time has its final audit in it.",
        "",
        "| what | seconds | of the script | tasks | round trips |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {what} | {took:.0f} | {ratio:.2f} | {tasks} | {trips} |" for what, took, ratio, tasks, trips in rows]
    lines += [
        "",
        f"The second run took {second.seconds / first.seconds:.2f} of the first, and changed={second.recap.changed}.",
        *([f"Missed: {sentence}." for sentence in missed(script, first.seconds, second.seconds)]),
        "",
        "## Where the time goes",
        "",
        "| task | first run, s | second run, s |",
        "| --- | ---: | ---: |",
    ]
    again: dict[str, float] = {}
    for task in second.tasks:
        again[task.name] = again.get(task.name, 0) + task.seconds
    once: dict[str, float] = {}
    for task in first.tasks:
        once[task.name] = once.get(task.name, 0) + task.seconds
    for what in sorted({*once, *again}, key=lambda key: -max(once.get(key, 0), again.get(key, 0)))[:15]:
        lines.append(f"| {what.replace('|', '·')} | {once.get(what, 0):.1f} | {again.get(what, 0):.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guest", default="debian12-bios")
    parser.add_argument("--directory", type=Path, help="keeps the logs; by default they go")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="prepare-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        script = by_hand(options.guest, directory / "by-hand")
        print(f"by hand: {script:.0f} s", flush=True)
        with guest(options.guest, directory / "playbook") as state:
            inventory = directory / "inventory.yml"
            inventory.write_text(json.dumps(cli.inventory_of({options.guest: state}), indent=2) + "\n")
            first = play(inventory, directory, options.guest, 1)
            print(f"first run: {first.seconds:.0f} s, {first.trips} round trips", flush=True)
            second = play(inventory, directory, options.guest, 2)
            print(f"second run: {second.seconds:.0f} s, {second.trips} round trips", flush=True)
            text = page(options.guest, script, first, second, state["accel"])
    finally:
        if options.directory is None:
            shutil.rmtree(directory, ignore_errors=True)
    print(text)
    if options.output:
        options.output.write_text(text)
    sentences = missed(script, first.seconds, second.seconds)
    if sentences:
        sys.exit("missed: " + "; ".join(sentences))


if __name__ == "__main__":
    main()
