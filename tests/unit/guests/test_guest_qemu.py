"""The QEMU command line of a test guest, word by word where it matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import GuestError
from guests.qemu import MAC, Machine, arguments, cpu_model


def machine(**changes: object) -> Machine:
    base = Machine(Path("/d/disk.qcow2"), "qcow2", Path("/d/serial.log"), "tcg", (7, 2), ssh_port=2222)
    return base._replace(**changes)  # type: ignore[arg-type]


def after(args: list[str], option: str) -> list[str]:
    return [args[index + 1] for index, word in enumerate(args) if word == option]


@pytest.mark.parametrize(
    ("accel", "version", "model"),
    [
        ("kvm", (7, 2), "host"),
        ("tcg", (7, 2), "max,cx16=off"),
        ("tcg", (8, 0), "max"),
        ("tcg", (10, 0), "max"),
    ],
)
def test_cpu_avoids_the_cmpxchg16b_of_old_tcg(accel: str, version: tuple[int, int], model: str) -> None:
    assert cpu_model(accel, version) == model


def test_bios_machine() -> None:
    args = arguments(machine())
    assert args[:3] == ["qemu-system-x86_64", "-machine", "pc,accel=tcg"]
    assert "-nodefaults" in args
    assert after(args, "-display") == ["none"]
    assert not [word for word in args if "pflash" in word]
    assert f"virtio-net-pci,netdev=net0,mac={MAC},bus=pci.0,addr=0x3,romfile=" in args
    assert "virtio-blk-pci,drive=disk0,bus=pci.0,addr=0x4,bootindex=0" in args


def test_nothing_listens_but_loopback() -> None:
    args = arguments(machine())
    assert after(args, "-netdev") == ["user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22"]
    assert "hostfwd" not in " ".join(arguments(machine(ssh_port=0)))


def test_uefi_has_read_only_code_and_variables_of_its_own() -> None:
    args = arguments(machine(firmware="uefi", ovmf_code=Path("/o/code.fd"), ovmf_vars=Path("/d/vars.fd")))
    drives = after(args, "-drive")
    assert drives[0] == "if=pflash,unit=0,format=raw,readonly=on,file=/o/code.fd"
    assert drives[1] == "if=pflash,unit=1,format=raw,file=/d/vars.fd"
    assert args[2].startswith("q35,")
    assert any("bus=pcie.0,addr=0x3" in word for word in args)


def test_uefi_without_firmware_is_refused() -> None:
    with pytest.raises(GuestError, match="variable store"):
        arguments(machine(firmware="uefi"))


def test_a_comma_in_a_path_stays_in_the_path() -> None:
    args = arguments(machine(disk=Path("/a,b/disk"), serial_log=Path("/a,b/log")))
    assert any(word.endswith("file=/a,,b/disk") for word in after(args, "-drive"))
    assert after(args, "-chardev") == ["file,id=serial0,path=/a,,b/log"]


def test_direct_kernel_boot_leaves_the_boot_order_to_the_kernel() -> None:
    args = arguments(machine(kernel=Path("/k"), initrd=Path("/i"), append="ro quiet"))
    assert after(args, "-kernel") == ["/k"]
    assert after(args, "-append") == ["ro quiet"]
    assert "bootindex" not in " ".join(args)


@pytest.mark.parametrize(("bus", "device"), [("scsi", "scsi-hd,"), ("ide", "ide-hd,")])
def test_disk_bus(bus: str, device: str) -> None:
    assert any(word.startswith(device) for word in after(arguments(machine(disk_bus=bus)), "-device"))


def test_unknown_disk_bus() -> None:
    with pytest.raises(GuestError, match="floppy"):
        arguments(machine(disk_bus="floppy"))


def test_snapshot_keeps_the_disk_untouched() -> None:
    assert any("snapshot=on" in word for word in after(arguments(machine(snapshot=True)), "-drive"))
    assert "snapshot" not in " ".join(arguments(machine()))


def test_no_pci_slot_is_used_twice() -> None:
    for firmware in ("bios", "uefi"):
        args = arguments(
            machine(firmware=firmware, ovmf_code=Path("/c"), ovmf_vars=Path("/v"), disk_bus="scsi", monitor=Path("/m"))
        )
        slots = [part for word in args for part in word.split(",") if part.startswith("addr=")]
        assert len(slots) == len(set(slots)) == 3
