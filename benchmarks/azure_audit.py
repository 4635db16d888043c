#!/usr/bin/env python3
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times module azure_audit against Ansible's own fact gathering on one host, in turns, in one run.

    python3 benchmarks/azure_audit.py                        # this machine, over a local connection
    python3 benchmarks/azure_audit.py -i hosts.yml -l web1   # a host of an inventory

Prints the median of each and the ratio. Both are whole ad-hoc runs: start of Ansible, transfer, run, result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time


def once(arguments: list[str], module: str, values: str) -> float:
    start = time.monotonic()
    done = subprocess.run(["ansible", *arguments, "-m", module, "-a", values], capture_output=True, text=True)
    took = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{module} failed: {(done.stdout + done.stderr)[-800:]}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-i", "--inventory")
    parser.add_argument("-l", "--host", default="localhost")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("-b", "--become", action="store_true")
    options = parser.parse_args()
    if options.inventory:
        arguments = [options.host, "-i", options.inventory]
    else:
        arguments = [
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
        ]
    arguments += ["-b"] if options.become else []
    modules = {
        "facts": ("ansible.builtin.setup", "gather_subset=all"),
        "audit": ("linuxvhd.azure.azure_audit", "profile=certification"),
    }
    times: dict[str, list[float]] = {name: [] for name in modules}
    for module, values in modules.values():
        once(arguments, module, values)  # the connection, the interpreter, the caches
    for _round in range(options.rounds):
        for name, (module, values) in modules.items():
            times[name].append(once(arguments, module, values))
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "host": options.host,
        "rounds": options.rounds,
        "facts_seconds": round(median["facts"], 2),
        "audit_seconds": round(median["audit"], 2),
        "ratio": round(median["audit"] / median["facts"], 2),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
