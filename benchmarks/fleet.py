#!/usr/bin/env python3
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit costs the controller for each host, from 1 to 200 hosts, one of them dead and one broken.

    python3 benchmarks/fleet.py [--sizes 1,10,50,100,200] [--forks 10] [--output docs/benchmarks-fleet.md]

The hosts are directories with configuration files, reached over the local connection, so that nothing but Ansible and
this collection is measured. From two hosts on the last one refuses every connection, and from ten on another one's root
is missing, so that its module fails. What the modules use is metered by an interpreter of ours and taken off: on a real
fleet it is spent on the hosts. The run ends with an error when a dead host changes another host's result, or when the
summary is longer than SUMMARY lines or does not tell of every host.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from provenance import state

ROOT = Path(__file__).resolve().parents[1]

#: The summary may have so many lines, whatever the number of hosts: two screens.
SUMMARY = 100

#: Up to so many hosts each has a line of its own (plugin_utils/report.py, MANY).
FEW = 12

#: Runs the module's Python and writes down the processor time that it used.
METER = """\
#!{python}
import os, resource, subprocess, sys
code = subprocess.call([{python!r}] + sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
own = resource.getrusage(resource.RUSAGE_SELF)
with open(os.path.join({folder!r}, str(os.getpid())), "w") as stream:
    stream.write(str(used.ru_utime + used.ru_stime + own.ru_utime + own.ru_stime))
sys.exit(code)
"""

FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "etc/fstab": "UUID=0a1b / ext4 defaults 0 1\n/dev/vda5 none swap sw 0 0\n",
    "etc/ssh/sshd_config": "UsePAM yes\n",
    "etc/waagent.conf": "Provisioning.Agent=auto\nResourceDisk.Format=y\n",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\nallow-hotplug ens3\niface ens3 inet dhcp\n",
    "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    "etc/passwd": "root:x:0:0::/root:/bin/bash\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
}


class Size(NamedTuple):
    """One run. Seconds: wall; controller's processor; modules' processor. MiB: the largest process. Lines: all, and
    the summary's."""

    hosts: int
    wall: float
    controller: float
    modules: float
    memory: float
    lines: int
    summary: int


def make_fleet(base: Path, number: int) -> dict[str, Any]:
    """The roots, and an inventory."""
    hosts: dict[str, Any] = {}
    for index in range(number):
        name = f"vm{index + 1:03d}"
        root = base / "roots" / name
        for path, text in FILES.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        hosts[name] = {"azure_audit_root": str(root)}
    if number >= 2:
        dead = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
        hosts[f"vm{number:03d}"].update(dead)
    if number >= 10:
        hosts["vm005"]["azure_audit_root"] = str(base / "roots/missing")
    return {"all": {"vars": {"ansible_connection": "local"}, "hosts": hosts}}


def measure(number: int, forks: int) -> Size:
    """Audit that many hosts once."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        base = Path(folder)
        used = base / "used"
        used.mkdir()
        meter = base / "python3"
        meter.write_text(METER.format(python=sys.executable, folder=str(used)))
        meter.chmod(0o755)
        inventory = base / "hosts.json"
        inventory.write_text(json.dumps(make_fleet(base, number)))
        reports = base / "reports"
        argv = [
            "ansible-playbook",
            "-i",
            str(inventory),
            "--forks",
            str(forks),
            str(ROOT / "playbooks/audit-azure.yml"),
        ]
        argv += ["-e", f"ansible_python_interpreter={meter}", "-e", f"azure_audit_report_dir={reports}"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        output = base / "output"
        with output.open("w") as stream:
            began = time.monotonic()
            process = subprocess.Popen(
                argv, cwd=base, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
            _pid, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
        text = output.read_text()
        if os.waitstatus_to_exitcode(status) != 2:
            sys.exit(f"the audit of {number} hosts did not end as one of broken rules does: {text[-2000:]}")
        summary = check(json.loads((reports / "azure-audit.json").read_text()), text, number)
        modules = sum(float(path.read_text()) for path in used.iterdir())
        return Size(
            number,
            wall,
            usage.ru_utime + usage.ru_stime - modules,
            modules,
            usage.ru_maxrss / 1024,
            text.count("\n"),
            summary,
        )


def check(report: dict[str, Any], text: str, number: int) -> int:
    """That each host got its own result, the dead ones too; the number of lines of the summary."""
    hosts = {host["name"]: host for host in report["hosts"]}
    dead = {f"vm{number:03d}"} if number >= 2 else set()
    broken = {"vm005"} if number >= 10 else set()
    wrong = [name for name, host in hosts.items() if (host["verdict"] == "not looked at") != (name in dead | broken)]
    seen = {name: host for name, host in hosts.items() if name not in dead | broken}
    alike = {json.dumps(host["summary"], sort_keys=True) for host in seen.values()}
    if len(hosts) != number or wrong or len(alike) != 1:
        sys.exit(f"{number} hosts, {len(hosts)} results; wrong: {wrong}; summaries of equal hosts: {alike}")
    # Ansible says the one or the other, whichever end of the pipe it sees first.
    if any(not re.search("Connection refused|can be reached over SSH", hosts[name]["error"]) for name in dead):
        sys.exit(f"the dead host does not say why: {[hosts[name]['error'] for name in dead]}")
    if any("does not exist" not in hosts[name]["error"] for name in broken):
        sys.exit("the broken host does not say why")
    return judge_summary(text, number, sorted(dead | broken))


def judge_summary(text: str, number: int, unseen: list[str]) -> int:
    """That the summary tells of every host and is short; the number of its lines."""
    match = re.search(r"Show and write what was found[^\n]*\n(.*?)\nok: \[", text, re.DOTALL)
    if match is None:
        sys.exit(f"there is no summary of {number} hosts")
    lines = match[1].splitlines()
    rows = [line for line in lines if re.match(r"\s+vm\d{3}\s+(ready|not ready|not looked at)\s", line)]
    if number <= FEW and len(rows) != number:
        sys.exit(f"the summary has {len(rows)} lines for {number} hosts")
    total = f"{number} hosts: 0 ready, {number - len(unseen)} not ready, {len(unseen)} not looked at"
    if number > 1 and not any(line.strip() == total for line in lines):
        sys.exit(f"the summary does not say: {total}")
    untold = [name for name in unseen if not any(name in line and "not looked at" in line for line in lines)]
    if untold:
        sys.exit(f"the summary does not tell that {untold} could not be looked at")
    if len(lines) > SUMMARY:
        sys.exit(f"the summary of {number} hosts has {len(lines)} lines, more than {SUMMARY}")
    return len(lines)


def page(sizes: list[Size], forks: int) -> str:
    """The generated table, as Markdown."""
    lines = [
        "# What a fleet costs the controller",
        "",
        f"Written by `benchmarks/fleet.py`: Python {platform.python_version()}, {os.cpu_count()} processors,"
        f" {forks} forks, {state()}.",
        "An audit of directories over the local connection; from two hosts on one refuses connections, from ten",
        "on another has no root directory. What the modules themselves use is metered and taken off: on a real",
        "fleet it is spent on the hosts. All hosts but these two had the same result in every run. Of the lines that",
        f"are printed the last column has the summary's own (more than {SUMMARY} would be an error); the others are",
        "Ansible's, for each task and host.",
        "",
        "| hosts | wall, s | controller's processor, s | each host | modules', each host | MiB | lines | summary |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes:
        each, theirs = size.controller / size.hosts, size.modules / size.hosts
        row = (str(size.hosts), f"{size.wall:.1f}", f"{size.controller:.1f}", f"{each:.2f}", f"{theirs:.2f}")
        lines.append("| " + " | ".join((*row, f"{size.memory:.0f}", str(size.lines), str(size.summary))) + " |")
    if len(sizes) > 1:
        first, last = sizes[0], sizes[-1]
        more = (last.controller - first.controller) / (last.hosts - first.hosts)
        lines += ["", f"Each host beyond the first costs {more:.2f} s of the controller's processor."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1,10,50,100,200")
    parser.add_argument("--forks", type=int, default=10)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sizes = []
    for number in (int(word) for word in options.sizes.split(",")):
        sizes.append(measure(number, options.forks))
        print(sizes[-1], flush=True)
    text = page(sizes, options.forks)
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
