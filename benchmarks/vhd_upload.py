"""How vhd_upload compares with Azure's SDK and the az command, on the same file against the same server.

    python benchmarks/vhd_upload.py --sdk-python VENV/bin/python --az VENV/bin/az --output docs/benchmarks-vhd_upload.md

The server is tests/pageblob_server.py in its null mode: it takes every page and forgets it, so that the client is
what is measured; with --rate it takes 60 MiB/s, the documented target of one page blob. VENV holds azure-storage-blob
and azure-cli. Runs are paired: the arms take turns on the same file. Ratios are what counts; times depend on the
machine. Every arm is a process of its own, interpreter start included, measured by wait4().
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

sys.path.insert(0, str(ROOT / ".ansible/collections"))

MIB = 1024 * 1024
GIB = 1024 * MIB

NOTES = [
    "A dense disk is sent by everybody whole. There the MD5 of each range, about one and a half seconds of",
    "processor time a GiB spread over the threads, is what vhd_upload does more than the SDK by default.",
    "`verify: false` leaves the checksums out, as the SDK does; with `validate_content` the SDK computes them as well.",
    "",
]

OWN = """
import sys, json
sys.path.insert(0, sys.argv[1])
from ansible_collections.linuxvhd.azure.plugins.modules import vhd_upload as module
params = {name: spec.get("default") for name, spec in module.argument_spec().items()}
params.update(path=sys.argv[2], overwrite=True, verify=sys.argv[4] == "verify")
result = module.run(params, module.Address(sys.argv[3]), False)
print(json.dumps({"sent": result["bytes_sent"], "data": result["data_bytes"]}))
"""

SDK = """
import os, sys, json
from azure.storage.blob import BlobClient, BlobType
blob = BlobClient.from_blob_url(sys.argv[2])
with open(sys.argv[1], "rb") as stream:
    blob.upload_blob(stream, blob_type=BlobType.PAGEBLOB, length=os.path.getsize(sys.argv[1]),
                     max_concurrency=8, overwrite=True, **({"validate_content": True} if sys.argv[3:] else {}))
print(json.dumps({}))
"""


#: Compiled files are kept, as they are for any program that is installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Run(NamedTuple):
    """wall and CPU in seconds, RSS and wire in MiB (wire: bodies of pages as the server counted them)."""

    wall: float
    cpu: float
    rss: float
    wire: float


def make_disk(path: Path, size: int, data: int, extents: int) -> int:
    """A fixed VHD with `data` bytes of random content in so many extents; returns the bytes that are not zero."""
    from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer

    chance = random.Random(30)
    taken = 0
    with path.open("wb") as stream:
        stream.truncate(size)
        if extents == 1:
            while taken < data:
                taken += stream.write(chance.randbytes(4 * MIB))
        else:
            room = size // extents
            for number in range(extents):
                length = min(int(chance.uniform(0.1, 1.9) * data / extents) // 4096 * 4096, room - 4096)
                stream.seek(number * room + chance.randrange(0, room - length) // 4096 * 4096)
                taken += stream.write(chance.randbytes(max(length, 4096)))
        stream.truncate(size)
        stream.seek(size)
        taken += stream.write(footer.render(footer.make(size, uuid.UUID(int=1).bytes, 800_000_000)))
        os.fsync(stream.fileno())
    return taken


class Server:
    """The null server as a process; counts what it got."""

    def __init__(self, options: list[str]) -> None:
        command = [sys.executable, str(ROOT / "tests/pageblob_server.py"), "--null", "--count", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def taken(self) -> int:
        """Bytes of pages since the last question."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def measure(server: Server, command: list[str]) -> Run:
    server.taken()
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", env=ENVIRONMENT)
    assert process.stderr is not None
    errors = process.stderr.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"{command[0]} failed: {errors.decode(errors='replace')[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, server.taken() / MIB)


def busy_seconds() -> float:
    """Processor time that anybody has used since this machine started."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median(runs: list[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def compare(title: str, path: Path, data: int, arms: dict[str, list[str]], options: list[str], times: int) -> list[str]:
    """Run the arms in turn, `times` times; a table as Markdown lines."""
    server = Server(options)
    found: dict[str, list[Run]] = {name: [] for name in arms}
    busy, started = busy_seconds(), time.monotonic()
    try:
        for _ in range(times):
            for name, command in arms.items():
                run = measure(server, [word.replace("@URL@", server.url) for word in command])
                found[name].append(run)
                print(f"{title}: {name}: {run}", file=sys.stderr, flush=True)
        own_work = sum(run.cpu for runs in found.values() for run in runs) + processor_seconds(server.process.pid)
        others = max(busy_seconds() - busy - own_work, 0) / (time.monotonic() - started) / (os.cpu_count() or 1)
    finally:
        server.stop()
    own = found["vhd_upload"]
    lines = [
        f"## {title}",
        "",
        f"{path.stat().st_size / GIB:.1f} GiB file, {data / MIB:.0f} MiB of data; median of {times}."
        f" Measured {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; other work on the machine meanwhile:"
        f" {100 * others:.0f} % of its processors.",
        "",
        "| | wall s | CPU s | sent MiB | sent / data | peak RSS MiB | wall, ours / this | CPU, ours / this |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        wall = statistics.median(mine.wall / other.wall for mine, other in zip(own, runs, strict=True))
        cpu = statistics.median(mine.cpu / other.cpu for mine, other in zip(own, runs, strict=True))
        wire = median(runs, "wire")
        lines.append(
            f"| {name} | {median(runs, 'wall'):.2f} | {median(runs, 'cpu'):.2f} | {wire:.0f} | {wire * MIB / data:.3f}"
            f" | {max(run.rss for run in runs):.0f} | {wall:.3f} | {cpu:.3f} |"
        )
    return [*lines, ""]


def versions(python: str) -> str:
    code = "import azure.storage.blob as b; print(b.__version__)"
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def earlier(page: Path | None) -> dict[str, list[str]]:
    """The cases on a page that is there already: title to lines."""
    parts = page.read_text().split("\n## ")[1:] if page is not None and page.exists() else []
    found = {part.split("\n", 1)[0]: f"## {part}".split("\n") for part in parts}
    for lines in found.values():
        if NOTES[0] in lines:
            del lines[lines.index(NOTES[0]) :]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sdk-python", required=True, help="a Python that has azure-storage-blob")
    parser.add_argument("--az", default="", help="the az command; without it that arm is left out")
    parser.add_argument("--folder", help="where the disks are made (6 GiB of space)")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--scale", type=int, default=1, help="divide the size of every disk by this, for a quick look")
    parser.add_argument(
        "--only", default="", help="only cases whose title has this; an existing page keeps what it says of the others"
    )
    options = parser.parse_args()
    text = [
        "# vhd_upload against the SDK and az",
        "",
        f"Made by `benchmarks/vhd_upload.py`, never edited by hand: {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, azure-storage-blob {versions(options.sdk_python)}"
        " (`upload_blob`, page blob, max_concurrency 8). Client and server share the cores. The null server takes pages"
        " and forgets them; vhd_upload computes and sends the MD5 of every range and verifies at the end, the others"
        " do not, but for the SDK with `validate_content`.",
        "",
    ]
    if options.scale > 1:
        text += [f"A quick look: every disk has 1/{options.scale} of its size.", ""]
    sections = earlier(options.output)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        slow = ["--rate", str(60 * MIB), "--latency", "0.025"]
        cases = [
            ("Sparse disk, null server", "sparse", 30 * GIB, 2 * GIB, 1488, [], 1, False),
            ("Sparse disk, 60 MiB/s and 25 ms", "sparse", 30 * GIB, 2 * GIB, 1488, slow, 1, False),
            ("Smaller sparse disk, null server", "small", GIB, 143 * MIB, 114, [], 3, True),
            ("Dense disk, null server", "dense", 2 * GIB, 2 * GIB, 1, [], 5, False),
            ("Small dense disk, null server", "dense-small", 128 * MIB, 128 * MIB, 1, [], 7, False),
        ]
        disks: dict[str, int] = {}
        found: list[str] = []
        for title, disk, size, data, extents, server_options, times, with_az in cases:
            if options.only not in title:
                continue
            path = folder / f"{disk}.vhd"
            size, data = max(size // options.scale, 64 * MIB), max(data // options.scale, 64 * MIB)
            extents = max(extents // options.scale, 1)
            if disk not in disks:
                disks[disk] = make_disk(path, size, data, extents)
            own = [sys.executable, "-c", OWN, str(ROOT / ".ansible/collections"), str(path), "@URL@"]
            arms = {
                "vhd_upload": [*own, "verify"],
                "vhd_upload, verify: false": [*own, "trust"],
                "SDK upload_blob": [options.sdk_python, "-c", SDK, str(path), "@URL@"],
            }
            if disk.startswith("dense"):
                arms["SDK upload_blob, validate_content"] = [*arms["SDK upload_blob"], "validate"]
            if with_az and options.az:
                arms["az storage blob upload"] = [
                    options.az, "storage", "blob", "upload", "--type", "page", "--file", str(path),
                    "--blob-url", "@URL@", "--overwrite", "--no-progress", "--output", "none",
                ]  # fmt: skip
            sections[title] = compare(title, path, disks[disk], arms, server_options, times)
            found = [line for name, *_rest in cases for line in sections.get(name, [])]
            if options.output:
                options.output.write_text("\n".join([*text, *found, *NOTES]))
    print(json.dumps({"written": str(options.output or "")}), file=sys.stderr)
    print("\n".join([*text, *found, *NOTES]))


if __name__ == "__main__":
    main()
