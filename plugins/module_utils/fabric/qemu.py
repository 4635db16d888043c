# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU for a proof: which binary, which accelerator, which firmware, which arguments; and a QMP client.

The argument builder is a pure function of a Machine. What it builds looks to the guest like an Azure VM as far
as QEMU can: the SMBIOS strings of Hyper-V, the disk as /dev/sda, a provisioning CD-ROM, one network card whose
only neighbours are Azure's two fixed addresses. It has none of Hyper-V's own devices (VMBus).

Private to the collection: its interface may change in any release.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.profiles import AZURE_ASSET_TAG

#: Names of the emulator, in the order they are looked for (the last is where RHEL keeps it).
BINARIES = ("qemu-system-x86_64", "qemu-kvm", "/usr/libexec/qemu-kvm")

#: Azure's fixed addresses: the WireServer with the host plugin, and the instance metadata service.
WIRESERVER_ADDRESS = "168.63.129.16"
IMDS_ADDRESS = "169.254.169.254"
HOST_PLUGIN_PORT = 32526

#: The user-mode network holds both fixed addresses, because QEMU forwards only addresses inside it (guestfwd).
NETWORK = "160.0.0.0/4"
NETWORK_HOST = "160.0.0.2"
NETWORK_DNS = "160.0.0.3"
GUEST_ADDRESS = "160.0.0.15"

#: Firmware of Gen2: pairs of read-only code and the template of its variables, as distributions ship them.
OVMF = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)

#: Controllers the operating-system disk can hang on. Under Microsoft's SMBIOS strings Linux's ata_piix leaves
#: IDE disks alone, for Hyper-V's own driver to find (KERN-04), so an IDE disk would be invisible here.
BUSES = ("virtio-scsi", "virtio-blk", "ahci", "nvme", "pvscsi")

#: Those on which a disk can still be hung while the guest runs.
HOTPLUG_BUSES = ("virtio-scsi", "virtio-blk", "nvme", "pvscsi")

#: The longest path of a Unix socket, sockaddr_un.sun_path with its closing zero (unix(7)).
SOCKET_PATH_MAX = 107

#: A boot sector: mov dx,0x501; mov al,0x2a; out dx,al; hlt. The isa-debug-exit device then ends QEMU with
#: status (0x2a << 1) | 1, which proves that guest code ran to its end.
PROBE_SECTOR = b"\xba\x01\x05\xb0\x2a\xee\xf4\xeb\xfd" + bytes(501) + b"\x55\xaa"
PROBE_STATUS = (0x2A << 1) | 1

_kvm_answers: Dict[str, Tuple[bool, str]] = {}


class Forward(NamedTuple):
    """An address and port inside the guest's network, and the command QEMU starts for each connection to it."""

    address: str
    port: int
    command: str


class Machine(NamedTuple):
    """Everything about one virtual machine. Sizes in bytes unless named otherwise; paths are absolute.

    disk and disk_size: the raw bytes to boot, read only, from offset 0; a VHD footer lies behind disk_size.
    """

    binary: str
    version: Tuple[int, ...]
    accel: str
    generation: int
    bus: str
    disk: str
    disk_size: int
    overlay: str
    medium: str
    resource_disk: str
    serial_log: str
    packet_log: str
    qmp_socket: str
    firmware_code: str
    firmware_vars: str
    mac: str
    system_uuid: str
    hostname: str
    memory_mib: int
    cpus: int
    forwards: Tuple[Forward, ...]
    frames_from_network: str
    frames_to_guest: str
    frames_from_guest: str


# -- finding ---------------------------------------------------------------------------------------------------


def find_binary(name: str = "") -> str:
    """The path of QEMU for x86_64; AzurePrepError names the packages where there is none."""
    for candidate in [name] if name else list(BINARIES):
        path = shutil.which(candidate)
        if path:
            return path
    raise AzurePrepError(
        "QEMU for x86_64 is not installed; install qemu-system-x86 (Debian, Ubuntu), qemu-kvm (RHEL family) or "
        "qemu-x86 (SUSE) on the host that runs the proof."
    )


def parse_version(text: str) -> Tuple[int, ...]:
    """(7, 2, 22) from the output of `qemu-system-x86_64 --version`; (0,) where it says nothing."""
    found = re.search(r"version (\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else (0,)


def version_of(binary: str) -> Tuple[int, ...]:
    try:
        out = subprocess.run(
            [binary, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise AzurePrepError("%s does not run: %s." % (binary, exc))
    return parse_version(out.stdout.decode("utf-8", "replace"))


def find_firmware(generation: int, candidates: Sequence[Tuple[str, str]] = OVMF) -> Tuple[str, str]:
    """(code, template of variables) for Gen2, two empty strings for Gen1 (QEMU's built-in SeaBIOS)."""
    if generation == 1:
        return "", ""
    for code, variables in candidates:
        if os.path.isfile(code) and os.path.isfile(variables):
            return code, variables
    raise AzurePrepError(
        "No UEFI firmware for QEMU was found, which a Gen2 image needs; install ovmf (Debian, Ubuntu), "
        "edk2-ovmf (RHEL family) or qemu-ovmf-x86_64 (SUSE)."
    )


def kvm_usable(
    binary: str = "", timeout: float = 10.0, device: str = "/dev/kvm", cpuinfo: str = "/proc/cpuinfo"
) -> Tuple[bool, str]:
    """Whether KVM really runs a guest here, and why (not): (True, "…") or (False, "…").

    The device alone proves nothing: it exists, opens and creates VMs on hosts whose own hypervisor gives them
    no virtualisation, and guests then hang. So the processor must offer vmx or svm, and a guest of one sector
    must reach its end within `timeout` seconds. The answer is remembered for the life of the process.
    """
    known = _kvm_answers.get(binary + device)
    if known is None:
        known = _probe_kvm(binary, timeout, device, cpuinfo)
        _kvm_answers[binary + device] = known
    return known


def _probe_kvm(binary: str, timeout: float, device: str, cpuinfo: str) -> Tuple[bool, str]:
    if not os.path.exists(device):
        return False, "%s does not exist" % device
    if not os.access(device, os.R_OK | os.W_OK):
        return False, "%s may not be opened by this user (join the group kvm)" % device
    try:
        with open(cpuinfo, "r", encoding="utf-8", errors="replace") as stream:
            flags = set(re.findall(r"\b(?:vmx|svm)\b", stream.read()))
    except OSError as exc:
        return False, "%s cannot be read: %s" % (cpuinfo, exc.strerror)
    if not flags:
        return False, "%s exists, but the processor offers neither vmx nor svm" % device
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="azure-kvm-")
        image = os.path.join(folder, "probe.img")
        with open(image, "wb") as stream:
            stream.write(PROBE_SECTOR)
        line = [find_binary(binary), "-accel", "kvm", "-cpu", "host", "-m", "64", "-nodefaults", "-no-user-config"]
        line += ["-display", "none", "-device", "isa-debug-exit,iobase=0x501,iosize=1"]
        line += ["-drive", "if=ide,format=raw,read-only=off,snapshot=on,file=%s" % image, "-no-reboot"]
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return False, "a guest of one sector did not reach its end under KVM within %d seconds" % timeout
    except (OSError, AzurePrepError) as exc:
        return False, str(exc)
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    if done.returncode != PROBE_STATUS:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return False, "KVM does not run a guest: %s" % (told[-1] if told else "exit status %d" % done.returncode)
    return True, "a guest of one sector ran to its end under KVM"


def choose_accel(wanted: str, binary: str = "") -> Tuple[str, str]:
    """("kvm" or "tcg", why). Asking for kvm where it does not work is an error, not a slow surprise."""
    if wanted == "tcg":
        return "tcg", "asked for"
    usable, reason = kvm_usable(binary)
    if usable:
        return "kvm", reason
    if wanted == "kvm":
        raise AzurePrepError("accel=kvm was asked for, but %s; use accel=auto or tcg." % reason)
    return "tcg", reason


# -- arguments -------------------------------------------------------------------------------------------------


def cpu_model(accel: str, version: Tuple[int, ...]) -> str:
    """The -cpu value.

    The signature of KVM or TCG in CPUID leaf 0x40000000 is hidden, so that systemd-detect-virt goes on to the
    SMBIOS strings and answers "microsoft": the agent's unit has ConditionVirtualization=microsoft in Debian and
    Ubuntu. QEMU before 8 translates cmpxchg16b wrongly under TCG, which crashes kernels from about 6.10 on in
    their slab allocator.
    """
    if accel == "kvm":
        return "host,kvm=off"
    return "max,tcg-cpuid=off" + (",cx16=off" if version < (8,) else "")


def escape(value: str) -> str:
    """A value inside a QEMU option: commas are doubled (qemu(1))."""
    return value.replace(",", ",,")


def _blockdev(**values: Any) -> List[str]:
    return ["-blockdev", json.dumps({key.replace("_", "-"): value for key, value in values.items()}, sort_keys=True)]


def disk_devices(bus: str, node: str = "os", boot: bool = True) -> List[Dict[str, Any]]:
    """The device_add objects that attach a block node to a controller of its own (see BUSES).

    boot: the firmware starts from it. share-rw lets the same node hang on a second controller, for a guest whose
    initramfs turned out to have no driver for the first.
    """
    drive = {"drive": node, "id": "%s-%s" % (node, bus), "share-rw": True}
    if boot:
        drive["bootindex"] = 1
    controller = "%s-%s-bus" % (node, bus)
    if bus == "virtio-blk":
        return [dict(drive, driver="virtio-blk-pci")]
    if bus == "nvme":
        return [dict(drive, driver="nvme", serial="azure-%s" % node)]
    if bus == "ahci":
        return [{"driver": "ich9-ahci", "id": controller}, dict(drive, driver="ide-hd", bus=controller + ".0")]
    if bus in ("virtio-scsi", "pvscsi"):
        driver = "virtio-scsi-pci" if bus == "virtio-scsi" else "pvscsi"
        identity = {"vendor": "Msft", "product": "Virtual Disk"}
        return [{"driver": driver, "id": controller}, dict(drive, driver="scsi-hd", bus=controller + ".0", **identity)]
    raise AzurePrepError("The bus %r is not known; choose one of %s." % (bus, ", ".join(BUSES)))


def network_option(forwards: Sequence[Forward]) -> str:
    """The -netdev value: Azure's addresses and nothing else; SSH from the host's loopback, any free port.

    restrict=on: the guest reaches neither the host nor the world; no packet leaves the process.
    """
    parts = ["user", "id=net0", "net=%s" % NETWORK, "host=%s" % NETWORK_HOST, "dns=%s" % NETWORK_DNS]
    parts += ["dhcpstart=%s" % GUEST_ADDRESS, "restrict=on", "ipv6=off"]
    for forward in forwards:
        command = escape(forward.command)
        parts.append("guestfwd=tcp:%s:%d-cmd:%s" % (forward.address, forward.port, command))
    parts.append("hostfwd=tcp:127.0.0.1:0-%s:22" % GUEST_ADDRESS)
    return ",".join(parts)


def arguments(machine: Machine) -> List[str]:
    """The complete QEMU command line of a Machine. Nothing is read from files or from the user's configuration."""
    line = [machine.binary, "-name", escape("azure-proof"), "-no-user-config", "-nodefaults", "-display", "none"]
    line += ["-machine", "pc,usb=off,vmport=off,accel=%s" % machine.accel]
    line += ["-cpu", cpu_model(machine.accel, machine.version), "-smp", str(machine.cpus)]
    line += ["-m", str(machine.memory_mib), "-uuid", machine.system_uuid, "-rtc", "base=utc"]
    line += ["-vga", "std", "-boot", "menu=off,strict=on"]
    if machine.firmware_code:
        pflash = "if=pflash,format=raw,unit=%d,readonly=%s,file=%s"
        line += ["-drive", pflash % (0, "on", escape(machine.firmware_code))]
        line += ["-drive", pflash % (1, "off", escape(machine.firmware_vars))]
    for text in (
        "type=0,vendor=American Megatrends International,, LLC.,version=Hyper-V UEFI Release v4.1",
        "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,version=Hyper-V UEFI Release v4.1",
        "type=2,manufacturer=Microsoft Corporation,product=Virtual Machine,version=Hyper-V UEFI Release v4.1",
        "type=3,manufacturer=Microsoft Corporation,version=Hyper-V UEFI Release v4.1,asset=" + AZURE_ASSET_TAG,
    ):
        line += ["-smbios", text]
    line += _blockdev(driver="file", node_name="base-file", filename=machine.disk, read_only=True)
    line += _blockdev(
        driver="raw", node_name="base", file="base-file", offset=0, size=machine.disk_size, read_only=True
    )
    line += _blockdev(driver="file", node_name="os-file", filename=machine.overlay, cache={"no-flush": True})
    line += _blockdev(
        driver="qcow2", node_name="os", file="os-file", backing="base", cache={"no-flush": True}, discard="unmap"
    )
    for device in disk_devices(machine.bus):
        line += ["-device", json.dumps(device, sort_keys=True)]
    if machine.resource_disk:
        line += _blockdev(driver="file", node_name="resource-file", filename=machine.resource_disk)
        line += _blockdev(driver="raw", node_name="resource", file="resource-file", discard="unmap")
        bus = "os-virtio-scsi-bus.0"
        if machine.bus != "virtio-scsi":
            line += ["-device", json.dumps({"driver": "virtio-scsi-pci", "id": "extra-bus"}, sort_keys=True)]
            bus = "extra-bus.0"
        device = {"driver": "scsi-hd", "bus": bus, "lun": 1, "drive": "resource", "id": "resource-disk"}
        device.update({"vendor": "Msft", "product": "Virtual Disk"})
        line += ["-device", json.dumps(device, sort_keys=True)]
    line += _blockdev(driver="file", node_name="medium-file", filename=machine.medium, read_only=True)
    line += _blockdev(driver="raw", node_name="medium", file="medium-file", read_only=True)
    # Gen1 VMs have their DVD on the second IDE channel, Gen2 VMs on SCSI.
    cdrom: Dict[str, Any] = {"drive": "medium", "id": "cd0"}
    if machine.generation == 1:
        cdrom.update({"driver": "ide-cd", "bus": "ide.1", "unit": 0})
    elif machine.bus == "virtio-scsi":
        cdrom.update({"driver": "scsi-cd", "bus": "os-virtio-scsi-bus.0", "lun": 2})
    else:
        line += ["-device", json.dumps({"driver": "virtio-scsi-pci", "id": "cd-bus"}, sort_keys=True)]
        cdrom.update({"driver": "scsi-cd", "bus": "cd-bus.0", "lun": 2})
    line += ["-device", json.dumps(cdrom, sort_keys=True)]
    line += ["-netdev", network_option(machine.forwards)]
    line += ["-device", json.dumps({"driver": "virtio-net-pci", "netdev": "net0", "mac": machine.mac, "romfile": ""})]
    line += ["-object", "filter-dump,id=dump0,netdev=net0,maxlen=512,file=%s" % escape(machine.packet_log)]
    # Everything that the network sends to the guest passes through the fabric, which edits DHCP replies; of what the
    # guest sends it gets a copy, for the name server. It takes the connections in this order.
    for name, path in (
        ("frames-out", machine.frames_from_network),
        ("frames-in", machine.frames_to_guest),
        ("frames-sent", machine.frames_from_guest),
    ):
        line += ["-chardev", "socket,id=%s,path=%s" % (name, escape(path))]
    line += ["-object", "filter-redirector,id=dhcp0,netdev=net0,queue=tx,outdev=frames-out,indev=frames-in"]
    line += ["-object", "filter-mirror,id=dns0,netdev=net0,queue=rx,outdev=frames-sent"]
    line += ["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"]
    line += ["-chardev", "file,id=serial0,append=on,path=%s" % escape(machine.serial_log)]
    line += ["-device", "isa-serial,chardev=serial0"]
    line += ["-chardev", "socket,id=qmp0,server=on,wait=off,path=%s" % escape(machine.qmp_socket)]
    line += ["-mon", "chardev=qmp0,mode=control"]
    return line


def parse_usernet(text: str) -> Optional[int]:
    """The host port of the SSH forwarding, from the answer to the monitor's `info usernet`."""
    for row in text.splitlines():
        words = row.split()
        if words and words[0] == "TCP[HOST_FORWARD]" and len(words) >= 6 and words[5] == "22":
            return int(words[3])
    return None


# -- QMP -------------------------------------------------------------------------------------------------------


class Monitor:
    """A small client of QEMU's machine protocol (QMP): one command at a time, each with a time-out."""

    def __init__(self, path: str, timeout: float = 20.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._buffer = b""
        self.events: List[Dict[str, Any]] = []
        end = time.monotonic() + timeout
        while True:
            try:
                self._socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise AzurePrepError("QEMU did not open its monitor socket within %d seconds." % timeout)
                time.sleep(0.05)
        self._receive()
        self.command("qmp_capabilities")

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> Dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                raise AzurePrepError("QEMU's monitor did not answer in time.")
            except OSError as exc:
                raise AzurePrepError("The connection to QEMU's monitor broke: %s." % exc)
            if not data:
                raise AzurePrepError("QEMU closed its monitor: it has ended.")
            self._buffer += data
        row, _sep, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(row.decode("utf-8", "replace"))
        except ValueError:
            raise AzurePrepError("QEMU's monitor sent something that is not JSON: %r." % row[:80])
        return message if isinstance(message, dict) else {}

    def command(self, execute: str, **values: Any) -> Any:
        """Run a command and give its return value; AzurePrepError carries QEMU's own words."""
        request = {"execute": execute, "arguments": {key.replace("_", "-"): val for key, val in values.items()}}
        try:
            self._socket.sendall(json.dumps(request).encode("utf-8") + b"\n")
        except OSError as exc:
            raise AzurePrepError("The connection to QEMU's monitor broke: %s." % exc)
        while True:
            message = self._receive()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise AzurePrepError("QEMU refused %s: %s" % (execute, message["error"].get("desc", message["error"])))
            if "event" in message:
                self.events.append(message)

    def human(self, line: str) -> str:
        """A command of the human monitor, for the few things QMP does not offer."""
        return str(self.command("human-monitor-command", **{"command-line": line}))
