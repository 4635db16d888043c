#!/usr/bin/env python3
"""Time vhd_align against what people use instead, in one run, in pairs that take turns.

    benchmarks/vhd_align.py [--dir DIR] [--repeats N] [--quick] [--output docs/benchmarks-vhd_align.md]

Every arm is a process of its own, ends with its result synced to disk, and starts with the input synced. Measured are
the wall time, the processor time of the process and its children, the bytes that they gave to the file system, and
their largest resident size (all from wait4). A ratio is taken within each pair; the table shows its median and range.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COLLECTIONS = ROOT / ".ansible" / "collections"
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from vhd_tools import complaints, reference_footer, write_gpt  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30

#: The module's logic in a process of its own, without Ansible.
OURS = """
import sys
sys.path.insert(0, %r)
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import align
align.run(align.Options(*sys.argv[1:]), Host("/"))
""" % str(COLLECTIONS)


class Cost(NamedTuple):
    """Of one run: seconds, seconds, MiB, MiB."""

    wall: float
    cpu: float
    written: float
    resident: float


class Arm(NamedTuple):
    """A way to do it: a shell command, what it makes, and how its input is put back."""

    name: str
    command: str
    result: Path
    restore: Callable[[], None] | None = None
    is_azure_vhd: bool = True


#: Compiled files are kept, as they are for any program that is installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: str) -> Cost:
    started = time.monotonic()
    process = subprocess.Popen(["sh", "-ec", command], stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"this failed: {command}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_oublock * 512 / MIB, usage.ru_maxrss / 1024)


def make_raw(path: Path, size: int, data: int) -> None:
    """A sparse disk with a GPT and random data in about a thousand places."""
    chance = random.Random(size)
    pieces = max(data // (5 * MIB // 4), 1)
    with path.open("wb") as stream:
        stream.truncate(size)
        for number in range(pieces):
            stream.seek(MIB + number * ((size - 4 * MIB) // pieces) // 4096 * 4096)
            stream.write(chance.randbytes(5 * MIB // 4))
        stream.flush()
        write_gpt(stream.fileno(), size)
        os.fsync(stream.fileno())


def keeper(path: Path) -> Callable[[], None]:
    """Puts an image back after work in place: its length, its first and its last MiB."""
    length = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(MIB)
        stream.seek(length - MIB)
        last = stream.read()

    def restore() -> None:
        with path.open("r+b") as stream:
            stream.truncate(length)
            stream.write(first)
            stream.seek(length - MIB)
            stream.write(last)
            os.fsync(stream.fileno())

    return restore


def busy_seconds() -> float:
    """Processor time that anybody has used since this machine started."""
    user, nice, system, _idle, _wait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class Beside:
    """How busy everybody else kept the processors while arms ran (the kernel's own work for them included)."""

    share = 0.0


def measure(arms: list[Arm], repeats: int) -> dict[str, list[Cost]]:
    """Run the arms in turn, `repeats` times; the order turns with every round."""
    busy, started = busy_seconds(), time.monotonic()
    found = take_turns(arms, repeats)
    own = sum(cost.cpu for costs in found.values() for cost in costs)
    Beside.share = max(busy_seconds() - busy - own, 0) / (time.monotonic() - started) / (os.cpu_count() or 1)
    return found


def take_turns(arms: list[Arm], repeats: int) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {arm.name: [] for arm in arms}
    for number in range(repeats):
        for arm in arms[number % len(arms) :] + arms[: number % len(arms)]:
            found[arm.name].append(run(arm.command))
            if arm.is_azure_vhd and complaints(arm.result):
                raise SystemExit(f"{arm.name} made no good VHD: {complaints(arm.result)}")
            if arm.restore is not None:
                arm.restore()
            else:
                arm.result.unlink()
            os.sync()
    return found


def ours(path: Path, dest: Path | None = None, python: str = sys.executable) -> str:
    return f"{python} -c {shlex.quote(OURS)} {path} {dest or ''}".rstrip()


def documented(path: Path, name: str, raw: Path, size: int, out: Path) -> str:
    """The steps of Azure's page on creating an image: to raw, round up, to a fixed VHD."""
    rounded = -(-size // MIB) * MIB
    steps = [] if name == "raw" else [f"qemu-img convert -f {name} -O raw {path} {raw}"]
    steps += [
        f"qemu-img info -f raw --output json {raw}",
        f"qemu-img resize -q -f raw {raw} {rounded}",
        f"qemu-img convert -f raw -o subformat=fixed,force_size -O vpc {raw} {out}",
        f"sync {out}",
    ]
    if name != "raw":
        steps.append(f"rm {raw}")
    return "; ".join(steps)


def row(title: str, name: str, costs: list[Cost]) -> str:
    middle = [statistics.median(values) for values in zip(*costs, strict=True)]
    walls = [cost.wall for cost in costs]
    return (
        f"| {title} | {name} | {middle[0]:.2f} ({min(walls):.2f} to {max(walls):.2f}) | {middle[1]:.2f} | "
        f"{middle[2]:.2f} | {middle[3]:.0f} |"
    )


def ratio_row(title: str, other: str, mine: str, found: dict[str, list[Cost]]) -> str:
    walls = [one.wall / own.wall for one, own in zip(found[other], found[mine], strict=True)]
    cpus = [one.cpu / own.cpu for one, own in zip(found[other], found[mine], strict=True)]
    wrote = statistics.median(cost.written for cost in found[other])
    written = statistics.median(cost.written for cost in found[mine])
    share = f"{written / wrote:.2f}" if wrote else "-"
    return (
        f"| {title} | {other} / {mine} | {statistics.median(walls):.1f} ({min(walls):.1f} to {max(walls):.1f}) | "
        f"{statistics.median(cpus):.1f} | {share} |"
    )


class Tables:
    """What was measured, as lines of two Markdown tables; the page is written anew after each case."""

    def __init__(self, machine: str, repeats: int, output: Path | None) -> None:
        self.machine = machine
        self.repeats = repeats
        self.output = output
        self.notes = ""
        self.rows: list[str] = []
        self.ratios: list[str] = []

    def add(self, title: str, found: dict[str, list[Cost]], pairs: list[tuple[str, str]]) -> None:
        for name, costs in found.items():
            self.rows.append(row(title, name, costs))
            print(self.rows[-1], flush=True)
        for other, mine in pairs:
            self.ratios.append(ratio_row(title, other, mine, found)[:-1] + f"| {100 * Beside.share:.0f} % |")
            print(self.ratios[-1], flush=True)
        self.write()

    def write(self) -> None:
        if self.output is not None:
            lines = {"ratios": "\n".join(self.ratios), "rows": "\n".join(self.rows), "notes": self.notes}
            self.output.write_text(PAGE.format(machine=self.machine, repeats=self.repeats, **lines))


def from_raw(folder: Path, title: str, size: int, data: int, repeats: int, tables: Tables) -> None:
    raw, out = folder / "disk.raw", folder / "out.vhd"
    make_raw(raw, size, data)
    restore = keeper(raw)

    def restore_and_remove() -> None:
        restore()
        out.unlink()

    arms = [
        Arm("in place", ours(raw), raw, restore),
        Arm("documented", documented(raw, "raw", raw, size, out), out, restore_and_remove),
        Arm("to dest", ours(raw, out), out),
        Arm("cp", f"cp --sparse=auto {raw} {out}; sync {out}", out, None, False),
        Arm(
            "convert alone",
            f"qemu-img convert -f raw -o subformat=fixed,force_size -O vpc {raw} {out}; sync {out}",
            out,
            None,
            False,
        ),
    ]
    pairs = [("documented", "in place"), ("convert alone", "in place")]
    pairs += [("cp", "to dest"), ("convert alone", "to dest")]
    tables.add(title, measure(arms, repeats), pairs)


def from_format(folder: Path, title: str, name: str, options: str, size: int, repeats: int, tables: Tables) -> None:
    """From disk.raw, which from_raw has left, by way of another format."""
    raw, image, out, steps = folder / "disk.raw", folder / f"disk.{name}", folder / "out.vhd", folder / "steps.raw"
    subprocess.run(f"qemu-img convert -f raw -O {name} {options} {raw} {image}; sync {image}", shell=True, check=True)
    arms = [
        Arm("to dest", ours(image, out), out),
        Arm("documented", documented(image, name, steps, size, out), out),
        Arm(
            "convert alone",
            f"qemu-img convert -f {name} -o subformat=fixed,force_size -O vpc {image} {out}; sync {out}",
            out,
            None,
            False,
        ),
    ]
    pairs = [("documented", "to dest"), ("convert alone", "to dest")]
    tables.add(title, measure(arms, repeats), pairs)
    image.unlink()


def fixed_vhd(folder: Path, title: str, size: int, data: int, repeats: int, tables: Tables) -> None:
    """A fixed VHD of a size that Azure refuses, in place, against the documented steps, which begin with a raw disk."""
    image, out, steps = folder / "disk.vpc", folder / "out.vhd", folder / "steps.raw"
    make_raw(image, size, data)
    with image.open("ab") as stream:
        stream.write(reference_footer(size))
        os.fsync(stream.fileno())
    arms = [
        Arm("in place", ours(image), image, keeper(image)),
        Arm("documented", documented(image, "vpc", steps, size, out), out),
    ]
    tables.add(title, measure(arms, repeats), [("documented", "in place")])
    image.unlink()


def huge_in_place(folder: Path, repeats: int, tables: Tables) -> None:
    """The same work in place on a small and on a huge disk, in turn."""
    arms = []
    for size, name in ((8 * GIB + 300 * 1024, "8 GiB in place"), (300 * GIB + 300 * 1024, "300 GiB in place")):
        raw = folder / f"{size}.raw"
        make_raw(raw, size, 20 * MIB)
        arms.append(Arm(name, ours(raw), raw, keeper(raw)))
    found = measure(arms, 5 * repeats)  # each takes a fraction of a second
    tables.add("little data", found, [("300 GiB in place", "8 GiB in place")])
    for arm in arms:
        arm.result.unlink()


def with_ansible(folder: Path, repeats: int, tables: Tables) -> None:
    """What Ansible adds: the same work in place as a task."""
    raw = folder / "small.raw"
    make_raw(raw, GIB + 300 * 1024, 20 * MIB)
    restore = keeper(raw)
    ansible = Path(sys.executable).parent / "ansible"
    task = f"cd {ROOT}; {ansible} localhost -m linuxvhd.azure.vhd_align -a path={raw} 2>/dev/null"
    arms = [Arm("in place", ours(raw), raw, restore), Arm("in place, by ansible", task, raw, restore)]
    tables.add("1 GiB, little data", measure(arms, repeats), [("in place, by ansible", "in place")])
    raw.unlink()


@contextmanager
def reflink_folder(folder: Path, size: int) -> Iterator[Path | None]:
    """A file system with reflinks in a file, where this machine can make and mount one."""
    maker = shutil.which("mkfs.xfs") or shutil.which("mkfs.btrfs")
    image, mount = folder / "reflink.img", folder / "reflink"
    if maker is None or os.geteuid() != 0:
        yield None
        return
    with image.open("wb") as stream:
        stream.truncate(size)
    mount.mkdir()
    try:
        subprocess.run([maker, "-q", str(image)], check=True)
        if subprocess.run(["mount", "-o", "loop", str(image), str(mount)], capture_output=True).returncode:
            yield None
            return
        try:
            yield mount
        finally:
            subprocess.run(["umount", str(mount)], check=True)
    finally:
        image.unlink()
        mount.rmdir()


def reflinks(folder: Path, size: int, data: int, repeats: int, tables: Tables) -> bool:
    with reflink_folder(folder, 4 * data + 2 * GIB) as mount:
        if mount is None:
            return False
        raw, out = mount / "disk.raw", mount / "out.vhd"
        make_raw(raw, size, data)
        arms = [
            Arm("to dest", ours(raw, out), out),
            Arm("cp --reflink", f"cp --reflink=always {raw} {out}; sync {out}", out, None, False),
            Arm(
                "convert alone",
                f"qemu-img convert -f raw -o subformat=fixed,force_size -O vpc {raw} {out}; sync {out}",
                out,
                None,
                False,
            ),
        ]
        pairs = [("convert alone", "to dest"), ("cp --reflink", "to dest")]
        found = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", str(mount)], capture_output=True, text=True)
        title = f"8 GiB raw, {found.stdout.strip()} with reflinks"
        tables.add(title, measure(arms, repeats), pairs)
    return True


def machine(folder: Path) -> str:
    version = subprocess.run(["qemu-img", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"version ([\d.]+)", version)
    words = ["findmnt", "-no", "FSTYPE", "-T", str(folder)]
    filesystem = subprocess.run(words, capture_output=True, text=True).stdout.strip() or "unknown"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // GIB
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {memory} GiB of memory, {filesystem}, "
        f"qemu-img {found.group(1) if found else 'unknown'}, Python {platform.python_version()}"
    )


PAGE = """# How fast vhd_align is

Made by `benchmarks/vhd_align.py`, never edited by hand. Machine: {machine}.

Every arm is a whole process that ends with its result on the disk. "documented" are the steps of Azure's page on Linux
images: convert to raw, round up, convert to a fixed VHD with `force_size`. "convert alone" is `qemu-img convert` to a
fixed VHD by itself, which gives no disk that Azure takes when the size is not a whole number of MiB. "in place" and
"to dest" are this collection's code in a Python process of its own. All arms of a case take turns within one run,
{repeats} times (those with little data more often); walls of a shared machine vary, so look at the ratios, which are
taken within each turn. "other work" is the share of the processors that everything else on the machine took
meanwhile, the kernel's writing included. With little data almost all of the time is the start of Python.

| case | A / B | wall, median (range) | CPU | written by B / by A | other work |
|---|---|---|---|---|---|
{ratios}

| case | arm | wall in s, median (range) | CPU in s | MiB written | peak MiB resident |
|---|---|---|---|---|---|
{rows}
{notes}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", default=None, help="where the images are made (needs about 8 GiB)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small disks, two repeats: does it run at all?")
    parser.add_argument("--only", default="", help="only cases with this in their name, such as qcow2")
    parser.add_argument("--output", type=Path, help="write the tables to this page")
    options = parser.parse_args()
    data = 40 * MIB if options.quick else 1100 * MIB
    sizes = [GIB // 8] if options.quick else [8 * GIB, 30 * GIB]
    repeats = 2 if options.quick else options.repeats
    with tempfile.TemporaryDirectory(prefix="vhd-align-benchmark-", dir=options.dir) as name:
        folder = Path(name)
        tables = Tables(machine(folder), repeats, options.output)

        def wanted(title: str) -> bool:
            return options.only in title

        if wanted("little data"):
            huge_in_place(folder, repeats, tables)
            with_ansible(folder, repeats, tables)
        for size in sizes:
            label = f"{size // GIB or size / GIB} GiB"
            unaligned = size + 300 * 1024
            title = f"{label} fixed VHD, unaligned"
            if wanted(title):
                fixed_vhd(folder, title, unaligned, data, repeats, tables)
            title = f"{label} raw, unaligned"
            if wanted(title):
                from_raw(folder, title, unaligned, data, repeats, tables)
            for title, name, words in (
                (f"{label} qcow2", "qcow2", ""),
                (f"{label} dynamic VHD", "vpc", "-o subformat=dynamic,force_size"),
            ):
                if wanted(title):
                    if not (folder / "disk.raw").exists():
                        make_raw(folder / "disk.raw", unaligned, data)
                    from_format(folder, title, name, words, unaligned, repeats, tables)
            (folder / "disk.raw").unlink(missing_ok=True)
            title = f"{label} raw, aligned"
            if wanted(title):
                from_raw(folder, title, size, data, repeats, tables)
                (folder / "disk.raw").unlink()
            if size == sizes[0] and wanted("reflinks") and not reflinks(folder, size, data, repeats, tables):
                tables.notes = "\nReflinks were not measured: no such file system could be made here.\n"
                tables.write()


if __name__ == "__main__":
    main()
