"""The QEMU command line of a test guest: a pure function of a Machine, so that unit tests can look at every word.

Sources: qemu-system-x86_64(1); OVMF's README for the pflash pair; Azure's generation 1 is an i440FX board with BIOS
(`pc`), generation 2 has UEFI (`q35` here). The network card sits in PCI slot 3, so that its name is known beforehand
(guests.definitions.Definition.nic).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from guests.errors import GuestError

#: Hardware address of the one card: QEMU's default range, the same in every guest (each has a network of its own).
MAC = "52:54:00:12:34:56"

#: Code and variable store of OVMF, in Debian's and Fedora's places, Secure Boot off.
OVMF_PAIRS = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
)


class Machine(NamedTuple):
    """What to start. Paths are absolute; ssh_port 0 means no forwarded port; memory in MiB."""

    disk: Path
    disk_format: str
    serial_log: Path
    accel: str
    qemu_version: tuple[int, int]
    firmware: str = "bios"
    ovmf_code: Path | None = None
    ovmf_vars: Path | None = None
    memory_mib: int = 1024
    cpus: int = 1
    ssh_port: int = 0
    seed: Path | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    monitor: Path | None = None
    disk_bus: str = "virtio"
    cache: str = "unsafe"
    snapshot: bool = False


def cpu_model(accel: str, qemu_version: tuple[int, int]) -> str:
    """The -cpu value. Under TCG `max` is the fastest measured; before QEMU 8 its cmpxchg16b crashes Linux 6.12."""
    if accel == "kvm":
        return "host"
    return "max,cx16=off" if qemu_version < (8, 0) else "max"


def escape(path: Path) -> str:
    """A path as the value of a QEMU option: a comma is doubled."""
    return str(path).replace(",", ",,")


def ovmf_pair() -> tuple[Path, Path]:
    """Code and variable template of an installed OVMF; GuestError names the package when there is none."""
    for code, variables in OVMF_PAIRS:
        if Path(code).is_file() and Path(variables).is_file():
            return Path(code), Path(variables)
    raise GuestError("No OVMF firmware was found, and UEFI guests need it: install the package ovmf (edk2-ovmf).")


def arguments(machine: Machine) -> list[str]:
    """The argument list, program first. Nothing but 127.0.0.1 ever listens; no display, no default devices."""
    uefi = machine.firmware == "uefi"
    bus = "pcie.0" if uefi else "pci.0"
    args = ["qemu-system-x86_64", "-machine", f"{'q35' if uefi else 'pc'},accel={machine.accel}"]
    args += ["-cpu", cpu_model(machine.accel, machine.qemu_version)]
    args += ["-smp", str(machine.cpus), "-m", str(machine.memory_mib)]
    args += ["-nodefaults", "-no-user-config", "-display", "none", "-vga", "std"]
    args += ["-chardev", f"file,id=serial0,path={escape(machine.serial_log)}", "-serial", "chardev:serial0"]
    if machine.monitor:
        args += ["-chardev", f"socket,id=qmp,path={escape(machine.monitor)},server=on,wait=off"]
        args += ["-mon", "chardev=qmp,mode=control"]
    if uefi:
        if machine.ovmf_code is None or machine.ovmf_vars is None:
            raise GuestError("A UEFI machine needs both the OVMF code and a variable store of its own.")
        args += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={escape(machine.ovmf_code)}"]
        args += ["-drive", f"if=pflash,unit=1,format=raw,file={escape(machine.ovmf_vars)}"]
    drive = f"if=none,id=disk0,format={machine.disk_format},cache={machine.cache},discard=unmap"
    if machine.snapshot:
        drive += ",snapshot=on"
    args += ["-drive", f"{drive},file={escape(machine.disk)}"]
    # A kernel given by -kernel takes the boot order's first place.
    args += disk_devices(machine.disk_bus, bus, "" if machine.kernel else ",bootindex=0")
    if machine.seed:
        args += ["-drive", f"if=none,id=seed0,format=raw,readonly=on,file={escape(machine.seed)}"]
        args += ["-device", f"virtio-blk-pci,drive=seed0,bus={bus},addr=0x6"]
    forward = f",hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22" if machine.ssh_port else ""
    args += ["-netdev", f"user,id=net0{forward}"]
    args += ["-device", f"virtio-net-pci,netdev=net0,mac={MAC},bus={bus},addr=0x3,romfile="]
    args += ["-device", f"virtio-rng-pci,bus={bus},addr=0x5"]
    if machine.kernel:
        args += ["-kernel", str(machine.kernel), "-append", machine.append]
    if machine.initrd:
        args += ["-initrd", str(machine.initrd)]
    return args


def disk_devices(disk_bus: str, pci_bus: str, order: str) -> list[str]:
    """The devices that carry disk0: virtio (/dev/vda), scsi (/dev/sda, as on Azure) or ide (/dev/sda)."""
    if disk_bus == "virtio":
        return ["-device", f"virtio-blk-pci,drive=disk0,bus={pci_bus},addr=0x4{order}"]
    if disk_bus == "scsi":
        controller = f"virtio-scsi-pci,id=scsi0,bus={pci_bus},addr=0x4"
        return ["-device", controller, "-device", f"scsi-hd,drive=disk0,bus=scsi0.0{order}"]
    if disk_bus == "ide":
        return ["-device", f"ide-hd,drive=disk0,bus=ide.0{order}"]
    raise GuestError(f"A disk cannot sit on the bus {disk_bus!r}: it is virtio, scsi or ide.")
