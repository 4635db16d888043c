"""A fresh guest: an overlay of the built disk (or of an own cloud image), started and waited for."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from guests import accel, build, cache, cloud, definitions, launch, qemu
from guests.errors import GuestError

#: The name of a guest whose disk is the cloud image that AZURE_TEST_IMAGE names.
OWN_IMAGE = "own-image"
#: Another program may take a port between our looking and QEMU's binding.
PORT_ATTEMPTS = 5


class Options:
    """How a guest is started: accelerator, memory in MiB, processors, patience in seconds, bus of the disk,
    whether to wait for SSH, and whether the disk is a raw copy (a file on its own) instead of an overlay."""

    def __init__(
        self,
        accel: str = "auto",
        memory_mib: int = 1024,
        cpus: int = 1,
        seconds: float = launch.SSH_SECONDS,
        disk_bus: str = "virtio",
        wait: bool = True,
        raw: bool = False,
    ) -> None:
        self.accel = accel
        self.memory_mib = memory_mib
        self.cpus = cpus
        self.seconds = seconds
        self.disk_bus = disk_bus
        self.wait = wait
        self.raw = raw


def overlay(base: Path, base_format: str, target: Path) -> None:
    """A qcow2 file at target that holds only what differs from base."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format, str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GuestError(f"qemu-img could not make an overlay of {base}: {done.stderr.strip()}")


def start(name: str, directory: Path, options: Options | None = None) -> dict[str, Any]:
    """Start guest `name` in `directory` and return its state, which also lies there as guest.json.

    Keys: name, host, port, user, private_key, pid, serial_log, disk, firmware, generation, accel, boot_seconds,
    directory. A guest that does not come up is ended again; its logs stay.
    """
    options = options or Options()
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / launch.STATE).exists():
        if launch.is_ours(int(launch.load(directory)["pid"]), directory):
            raise GuestError(f"A guest is already running in {directory}: stop it first.")
        (directory / launch.STATE).unlink()
    disk = directory / ("disk.raw" if options.raw else "disk.qcow2")
    disk.unlink(missing_ok=True)
    seed = None
    if name == OWN_IMAGE:
        image = os.environ.get("AZURE_TEST_IMAGE")
        if not image:
            raise GuestError(
                f"The guest {OWN_IMAGE} is started from the image that AZURE_TEST_IMAGE names; it is unset."
            )
        firmware = os.environ.get("AZURE_TEST_FIRMWARE", "bios")
        template = None
        options.raw = False
        disk = directory / "disk.qcow2"
        overlay(Path(image).absolute(), cloud.image_format(Path(image)), disk)
        seed = cloud.make_seed(directory, definitions.USER, cache.private_key().with_suffix(".pub").read_text().strip())
    else:
        definition = definitions.find(name)
        place = build.build(definition)
        firmware = definition.firmware
        template = place / "vars.fd"
        if options.raw:
            # Sparse, and on file systems that can share blocks not even a copy.
            subprocess.run(["cp", "--reflink=auto", "--sparse=always", place / "disk.raw", disk], check=True)
        else:
            overlay(place / "disk.raw", "raw", disk)
    return boot(
        name, directory, disk, "raw" if options.raw else "qcow2", firmware, options, template=template, seed=seed
    )


def boot(
    name: str,
    directory: Path,
    disk: Path,
    disk_format: str,
    firmware: str,
    options: Options,
    *,
    template: Path | None = None,
    seed: Path | None = None,
    user: str = definitions.USER,
) -> dict[str, Any]:
    """Start a machine on a disk that is there. template is the UEFI variable store to copy; None: an empty one."""
    code = variables = None
    if firmware == "uefi":
        code, blank = qemu.ovmf_pair()
        variables = directory / "vars.fd"
        shutil.copyfile(template or blank, variables)
    chosen = accel.choose(os.environ.get("GUESTS_ACCEL", options.accel))
    serial = directory / "serial.log"
    for attempt in range(1, PORT_ATTEMPTS + 1):
        serial.unlink(missing_ok=True)
        port = launch.free_port()
        machine = qemu.Machine(
            disk=disk,
            disk_format=disk_format,
            serial_log=serial,
            accel=chosen.name,
            qemu_version=accel.qemu_version(),
            firmware=firmware,
            ovmf_code=code,
            ovmf_vars=variables,
            memory_mib=options.memory_mib,
            cpus=options.cpus,
            ssh_port=port,
            seed=seed,
            disk_bus=options.disk_bus,
        )
        process = launch.spawn(qemu.arguments(machine), directory / "qemu.log")
        time.sleep(0.3)
        if process.poll() is None:
            break
        text = launch.tail(directory / "qemu.log", 3)
        if "hostfwd" not in text and "host forwarding" not in text or attempt == PORT_ATTEMPTS:
            raise GuestError(f"QEMU did not start: {text}")
    state: dict[str, Any] = {
        "name": name,
        "host": "127.0.0.1",
        "port": port,
        "user": user,
        "private_key": str(cache.private_key()),
        "pid": process.pid,
        "serial_log": str(serial),
        "disk": str(disk),
        "disk_format": disk_format,
        "firmware": firmware,
        "generation": 2 if firmware == "uefi" else 1,
        "accel": chosen.name,
        "boot_seconds": None,
        "directory": str(directory),
    }
    try:
        launch.save(directory, state)
        if options.wait:
            seconds = launch.wait_for_ssh(lambda: process.poll() is None, state, options.seconds)
            state["boot_seconds"] = round(seconds, 1)
            launch.save(directory, state)
    except BaseException:
        launch.end(process)
        raise
    return state
