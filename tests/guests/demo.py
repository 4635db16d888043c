"""The whole way on one guest: build, start, prepare, prepare again, capture, look at the VHD, start from it.

`python -m guests.demo` (make demo) leaves in build/demo: GUEST.vhd, summary.json, and a log per step. Every step either
shows what it claims or ends the demo with a sentence; verbs whose playbook is not there are left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from guests import build, cli, definitions, launch, start, vhdcheck
from guests.errors import GuestError

ROOT = Path(__file__).resolve().parents[2]
#: A generalized image outside Azure waits for a platform that is not there before it shows a login prompt.
VHD_BOOT_SECONDS = 900


class Recap(NamedTuple):
    """The counts of ansible-playbook's last line for the one host, and the tasks that changed something."""

    ok: int
    changed: int
    failed: int
    tasks: list[str]


def parse_recap(text: str, host: str) -> Recap:
    """Read a playbook's output; GuestError when it never got to its recap."""
    tasks = []
    task = ""
    for line in text.splitlines():
        name = re.match(r"(?:TASK|RUNNING HANDLER) \[(.*)\]", line)
        if name:
            task = name[1]
        elif line.startswith(f"changed: [{host}]") and task not in tasks:
            tasks.append(task)
    counts = re.search(
        rf"^{re.escape(host)}\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", text, re.M
    )
    if not counts:
        raise GuestError("ansible-playbook ended without a recap.")
    ok, changed, unreachable, failed = (int(number) for number in counts.groups())
    return Recap(ok, changed, failed + unreachable, tasks)


class Demo:
    """One run: where it writes, what it has shown."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.guest = directory / "guest"
        self.inventory = directory / "inventory.yml"
        self.vhd = directory / f"{name}.vhd"
        self.steps: list[tuple[str, float, str]] = []
        self.facts: dict[str, Any] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Say what happens, measure it; the block passes its one-line result to the function it gets."""
        print(f"==> {title}", flush=True)
        result: list[str] = []
        started = time.monotonic()
        yield result.append
        seconds = time.monotonic() - started
        self.steps.append((title, seconds, " ".join(result)))
        print(f"    {' '.join(result)} ({seconds:.0f} s)", flush=True)

    def play(self, verb: str, log: str, variables: dict[str, Any] | None = None, host: str = "") -> Recap:
        """Run a playbook as a user would, as root on the guest, or as this user on `host`; GuestError when it fails."""
        program = Path(sys.executable).with_name("ansible-playbook")
        argv = [str(program) if program.exists() else "ansible-playbook", "-i", str(self.inventory)]
        argv += [str(ROOT / "playbooks" / f"{verb}-azure.yml"), *([] if host else ["-b"])]
        argv += ["-e", json.dumps(variables)] if variables else []
        env = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        }
        path = self.directory / log
        with path.open("w") as handle:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.STDOUT, env=env, cwd=ROOT, check=False
            )
        text = path.read_text(errors="replace")
        if done.returncode:
            tail = "\n".join(text.splitlines()[-25:])
            raise GuestError(f"{verb}-azure.yml ended with status {done.returncode}; the end of {path}:\n{tail}")
        return parse_recap(text, host or self.name)

    @staticmethod
    def has(verb: str) -> bool:
        """Whether the collection has this verb's playbook."""
        return (ROOT / "playbooks" / f"{verb}-azure.yml").exists()

    def run(self) -> None:
        """All steps, in order."""
        definition = definitions.find(self.name)
        with self.step(f"build {self.name} from Debian's packages") as says:
            says(f"the disk lies in {build.build(definition)}")
        with self.step("start a fresh guest") as says:
            state = start.start(self.name, self.guest, start.Options(raw=True))
            data = cli.inventory_of({self.name: state})
            self.inventory.write_text("---\n" + json.dumps(data, indent=2) + "\n")
            says(f"SSH on port {state['port']}, {state['accel']}, process {state['pid']}")
        if self.has("audit"):
            with self.step("audit: what keeps it from Azure?") as says:
                says(self.audit("before"))
        with self.step("prepare") as says:
            first = self.play("prepare", "prepare-1.log")
            says(f"{first.ok} tasks, {first.changed} changes")
        with self.step("prepare again: nothing must change") as says:
            second = self.play("prepare", "prepare-2.log")
            if second.changed:
                raise GuestError(f"The second run changed {second.changed} things: {'; '.join(second.tasks)}")
            says(f"{second.ok} tasks, changed=0")
            self.facts["second_run_changed"] = second.changed
        if self.has("audit"):
            with self.step("audit again") as says:
                says(self.audit("after"))
        self.capture(state)
        if self.has("prove"):
            self.prove()
        else:
            self.boot_again(definition)

    def audit(self, when: str) -> str:
        """Audit the guest into the directory audit-WHEN; its summary in one line. Failed rules end nothing here."""
        reports = self.directory / f"audit-{when}"
        options = {"azure_audit_fail_on": "never", "azure_audit_report_dir": str(reports)}
        self.play("audit", f"audit-{when}.log", options)
        try:
            host = json.loads((reports / "azure-audit.json").read_text())["hosts"][0]
            summary = {str(status): int(count) for status, count in host["summary"].items()}
        except (OSError, ValueError, LookupError, TypeError) as exc:
            raise GuestError(f"The audit left no report that can be read in {reports}: {exc!r}") from None
        self.facts[f"audit_{when}"] = summary
        counts = ", ".join(f"{count} {status}" for status, count in summary.items())
        return f"{host['verdict']}: {counts}; {reports / 'azure-audit.html'}"

    def capture(self, state: dict[str, Any]) -> None:
        """Capture, then look at the file with code that shares nothing with the collection."""
        with self.step("capture: deprovision, power off, make a fixed VHD") as says:
            options = {
                "azure_confirm_capture": self.name,
                "azure_capture_source": state["disk"],
                "azure_capture_dest": str(self.vhd),
                "azure_capture_format": "raw",
                # A second account that the installation has; the one that connects goes by itself.
                "azure_deprovision_remove_users": ["helpdesk"],
            }
            self.play("capture", "capture.log", options)
            if launch.is_ours(state["pid"], self.guest):
                raise GuestError("The guest still runs after its capture.")
            says(f"{self.vhd}")
        with self.step("check the VHD independently") as says:
            size = vhdcheck.check(self.vhd)
            used = self.vhd.stat().st_blocks * 512
            self.facts.update(vhd=str(self.vhd), virtual_size_bytes=size, allocated_bytes=used)
            mib = vhdcheck.MIB
            says(f"{size // mib} MiB + 512 bytes, footer right, qemu-img agrees, {used // mib} MiB allocated")

    def prove(self) -> None:
        """Boot the VHD on the simulated Azure fabric; the playbook fails when it does not report ready."""
        with self.step("prove: boot the VHD on a simulated Azure fabric") as says:
            options = {
                "azure_prove_image": str(self.vhd),
                "azure_prove_artifacts": str(self.directory / "proof"),
                "azure_prove_second_boot": False,
                # The guest was installed with the drivers of its own machine only (MODULES=dep).
                "azure_prove_bus": "virtio-blk",
            }
            self.play("prove", "prove.log", options, host="localhost")
            says(f"it booted, provisioned and reported ready; console and report in {self.directory / 'proof'}")

    def boot_again(self, definition: definitions.Definition) -> None:
        """Start a machine from an overlay of the VHD, with blank firmware variables, until it shows a login prompt."""
        with self.step("start a machine from the VHD") as says:
            directory = self.directory / "vhd-boot"
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            disk = directory / "disk.qcow2"
            start.overlay(self.vhd, "vpc", disk)
            options = start.Options(wait=False)
            state = start.boot("vhd", directory, disk, "qcow2", definition.firmware, options)
            try:
                seconds = launch.wait_for_text(
                    lambda: launch.is_ours(state["pid"], directory),
                    Path(state["serial_log"]),
                    r"(?m)^\S+ login: ",
                    VHD_BOOT_SECONDS,
                )
            finally:
                launch.stop(directory)
            says(f"kernel messages and a login prompt on its serial console after {seconds:.0f} s")

    def summary(self) -> str:
        """What was shown and how long it took; also as summary.json."""
        self.facts["steps"] = [
            {"step": title, "seconds": round(seconds, 1), "result": result} for title, seconds, result in self.steps
        ]
        (self.directory / "summary.json").write_text(json.dumps(self.facts, indent=2) + "\n")
        rows = [f"  {seconds:6.0f} s  {title}: {result}" for title, seconds, result in self.steps]
        missing = [verb for verb in ("audit", "prove") if not self.has(verb)]
        if missing:
            rows.append(f"  left out, because the playbook is not there: {', '.join(missing)}")
        rows.append(f"  {sum(seconds for _, seconds, _ in self.steps):6.0f} s  in all; logs and VHD: {self.directory}")
        return "\n".join(rows)


def main(argv: list[str] | None = None) -> int:
    """Entry point: status 0 when every step showed what it should."""
    parser = argparse.ArgumentParser(prog="guests.demo", description="Prepare and capture a real Debian guest.")
    parser.add_argument("name", nargs="?", default="debian12-bios", choices=list(definitions.GUESTS))
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "demo")
    options = parser.parse_args(argv)
    directory = options.directory.absolute()
    # A termination is an interrupt too: the guest must not outlive the demo.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo = Demo(options.name, directory)
    try:
        if (demo.guest / launch.STATE).exists():
            launch.stop(demo.guest)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        demo.run()
    except GuestError as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    finally:
        if (demo.guest / launch.STATE).exists():
            launch.stop(demo.guest)
    print(demo.summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
