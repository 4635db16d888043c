"""QEMU arguments, versions, firmware and the accelerator probe."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import qemu


def machine(**changes: object) -> qemu.Machine:
    base = qemu.Machine(
        binary="/usr/bin/qemu-system-x86_64",
        version=(7, 2, 22),
        accel="tcg",
        generation=1,
        bus="virtio-scsi",
        disk="/images/x.vhd",
        disk_size=3 << 30,
        overlay="/tmp/p/os.qcow2",
        medium="/tmp/p/medium.img",
        resource_disk="",
        serial_log="/tmp/p/serial.log",
        packet_log="/tmp/p/packets.pcap",
        qmp_socket="/tmp/p/qmp",
        firmware_code="",
        firmware_vars="",
        mac="00:0d:3a:01:02:03",
        system_uuid="11111111-2222-3333-4444-555555555555",
        hostname="proof",
        memory_mib=1024,
        cpus=1,
        forwards=(qemu.Forward("168.63.129.16", 80, "/usr/bin/python3 relay.py sock"),),
        frames_from_network="/tmp/p/out",
        frames_to_guest="/tmp/p/in",
        frames_from_guest="/tmp/p/sent",
    )
    return base._replace(**changes)


def blocks(line: list[str]) -> dict[str, dict[str, object]]:
    found = [json.loads(line[at + 1]) for at, word in enumerate(line) if word == "-blockdev"]
    return {block["node-name"]: block for block in found}


def test_the_vhd_is_only_read_and_its_footer_is_no_part_of_the_disk() -> None:
    nodes = blocks(qemu.arguments(machine()))
    assert nodes["base-file"]["read-only"] is True
    assert nodes["base"] == {
        "driver": "raw", "node-name": "base", "file": "base-file", "offset": 0, "size": 3 << 30, "read-only": True,
    }  # fmt: skip
    assert nodes["os"]["backing"] == "base"
    assert nodes["medium"]["read-only"] is True


def test_a_file_name_with_commas_and_quotes_stays_one_file_name() -> None:
    nodes = blocks(qemu.arguments(machine(disk='/images/a,b="c".vhd')))
    assert nodes["base-file"]["filename"] == '/images/a,b="c".vhd'


def test_the_network_reaches_only_the_two_addresses() -> None:
    line = qemu.arguments(machine())
    netdev = line[line.index("-netdev") + 1]
    assert ",restrict=on," in netdev
    assert "guestfwd=tcp:168.63.129.16:80-cmd:/usr/bin/python3 relay.py sock" in netdev
    assert re.search(r"hostfwd=tcp:127\.0\.0\.1:0-160\.0\.0\.15:22$", netdev)


def test_frames_pass_the_fabric_and_the_guests_own_are_copied_to_it() -> None:
    line = qemu.arguments(machine())
    sockets = [word.partition("=frames-")[2] for word in line if word.startswith("socket,id=frames-")]
    # In the order in which the fabric takes the connections.
    assert sockets == ["out,path=/tmp/p/out", "in,path=/tmp/p/in", "sent,path=/tmp/p/sent"]
    assert "filter-redirector,id=dhcp0,netdev=net0,queue=tx,outdev=frames-out,indev=frames-in" in line
    assert "filter-mirror,id=dns0,netdev=net0,queue=rx,outdev=frames-sent" in line


@pytest.mark.parametrize(
    ("accel", "version", "expected"),
    [
        ("tcg", (7, 2, 22), "max,tcg-cpuid=off,cx16=off"),
        ("tcg", (8, 0), "max,tcg-cpuid=off"),
        ("tcg", (10, 0, 3), "max,tcg-cpuid=off"),
        ("kvm", (7, 2), "host,kvm=off"),
    ],
)
def test_cpu_model(accel: str, version: tuple[int, ...], expected: str) -> None:
    assert qemu.cpu_model(accel, version) == expected


@pytest.mark.parametrize(
    ("generation", "bus", "cdrom"),
    [
        (1, "virtio-scsi", {"driver": "ide-cd", "bus": "ide.1"}),
        (2, "virtio-scsi", {"driver": "scsi-cd", "bus": "os-virtio-scsi-bus.0"}),
        (2, "nvme", {"driver": "scsi-cd", "bus": "cd-bus.0"}),
    ],
)
def test_the_cdrom_hangs_where_the_generation_has_it(generation: int, bus: str, cdrom: dict[str, str]) -> None:
    line = qemu.arguments(machine(generation=generation, bus=bus))
    devices = [json.loads(line[at + 1]) for at, word in enumerate(line) if word == "-device" and "{" in line[at + 1]]
    found = next(device for device in devices if device.get("id") == "cd0")
    assert {key: found[key] for key in cdrom} == cdrom


def test_gen2_gets_firmware_with_variables_of_its_own() -> None:
    line = qemu.arguments(machine(generation=2, firmware_code="/fw/CODE.fd", firmware_vars="/tmp/p/VARS.fd"))
    assert "if=pflash,format=raw,unit=0,readonly=on,file=/fw/CODE.fd" in line
    assert "if=pflash,format=raw,unit=1,readonly=off,file=/tmp/p/VARS.fd" in line


def test_smbios_names_azure() -> None:
    line = " ".join(qemu.arguments(machine()))
    assert "manufacturer=Microsoft Corporation,product=Virtual Machine" in line
    assert "asset=7783-7084-3265-9085-8269-3286-77" in line


def test_every_bus_has_devices_and_an_unknown_one_a_sentence() -> None:
    for bus in qemu.BUSES:
        assert qemu.disk_devices(bus)[-1]["drive"] == "os"
    with pytest.raises(AzurePrepError, match="choose one of virtio-scsi"):
        qemu.disk_devices("floppy")


def test_version_and_ssh_port_are_read() -> None:
    assert qemu.parse_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)") == (7, 2, 22)
    assert qemu.parse_version("nonsense") == (0,)
    table = """Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  13       127.0.0.1 39277      160.0.0.15    22     0     0
"""
    assert qemu.parse_usernet(table) == 39277
    assert qemu.parse_usernet("") is None


def test_firmware_is_found_as_a_pair(tmp_path: Path) -> None:
    (tmp_path / "code").write_bytes(b"")
    assert qemu.find_firmware(1) == ("", "")
    pair = (str(tmp_path / "code"), str(tmp_path / "vars"))
    with pytest.raises(AzurePrepError, match="install ovmf"):
        qemu.find_firmware(2, [pair])
    (tmp_path / "vars").write_bytes(b"")
    assert qemu.find_firmware(2, [pair]) == pair


def test_kvm_needs_more_than_its_device(tmp_path: Path) -> None:
    device, cpuinfo = tmp_path / "kvm", tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : fpu sse2\n")
    assert qemu.kvm_usable("none-1", device=str(device), cpuinfo=str(cpuinfo)) == (False, "%s does not exist" % device)
    device.write_bytes(b"")
    usable, reason = qemu.kvm_usable("none-2", device=str(device), cpuinfo=str(cpuinfo))
    assert not usable and "neither vmx nor svm" in reason
    cpuinfo.write_text("flags : fpu vmx sse2\n")
    usable, reason = qemu.kvm_usable("none-3", device=str(device), cpuinfo=str(cpuinfo))
    assert not usable and "not installed" in reason


def test_the_monitor_skips_events_and_quotes_errors(tmp_path: Path) -> None:
    path = str(tmp_path / "qmp")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(1)

    def serve() -> None:
        peer, _address = server.accept()
        with peer, peer.makefile("rwb") as stream:
            for answer in (
                b'{"QMP": {}}\n',
                b'{"return": {}}\n',
                b'{"event": "STOP"}\n{"return": 5}\n',
                b'{"error": {"class": "GenericError", "desc": "no such device"}}\n',
            ):
                stream.write(answer)
                stream.flush()
                stream.readline()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    monitor = qemu.Monitor(path, timeout=5)
    assert monitor.command("query-five") == 5
    assert monitor.events == [{"event": "STOP"}]
    with pytest.raises(AzurePrepError, match="refused eject: no such device"):
        monitor.command("eject", id="cd0")
    monitor.close()
    server.close()
