"""The loader at the removable-media path."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.modules import efi_fallback

DEBIAN = {
    "/boot/efi/EFI/debian/shimx64.efi": b"shim",
    "/boot/efi/EFI/debian/grubx64.efi": b"grub",
    "/boot/efi/EFI/debian/grub.cfg": "search\n",
}


def run(host, check_mode: bool = False) -> dict:
    return efi_fallback.run({"esp": None}, host, check_mode)


def test_shim_and_grub(make_host) -> None:
    host = make_host(DEBIAN)
    assert run(host, True)["changed"] and not host.exists("/boot/efi/EFI/BOOT")
    assert run(host)["changed"]
    assert host.read_bytes("/boot/efi/EFI/BOOT/BOOTX64.EFI") == b"shim"
    assert host.read_bytes("/boot/efi/EFI/BOOT/grubx64.efi") == b"grub"
    assert not run(host)["changed"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/boot/vmlinuz": "x"},
        {"/boot/efi/EFI/debian/grub.cfg": "x"},
        {**DEBIAN, "/boot/efi/EFI/Boot/bootx64.efi": b"other"},
    ],
)
def test_nothing_to_do(make_host, files) -> None:
    assert not run(make_host(files))["changed"]
