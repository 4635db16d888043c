"""initrd_hyperv and images that no generator can make anew: the rescue image, and one of an unknown generator."""

from __future__ import annotations

from pathlib import Path

import pytest
from boot_doubles import ImageHost, image, kernel_tree, newc
from conftest import write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.modules import initrd_hyperv

HV = ["hv_vmbus", "hv_storvsc", "hv_netvsc"]
RELEASE = "5.14.0-427.el9.x86_64"
ENTRY = "title A\nlinux /vmlinuz-%s\ninitrd /initramfs-%s.img\noptions root=/dev/sda2\n"


@pytest.mark.parametrize("held", [["ext4"], ["ext4", *HV], None])
def test_a_rescue_image_without_the_drivers_is_told(tmp_path: Path, held: list[str] | None) -> None:
    rescue = "/boot/initramfs-0-rescue-0f0f.img"
    files = {
        **kernel_tree(RELEASE, HV),
        f"/boot/initramfs-{RELEASE}.img": image(RELEASE, HV, "dracut"),
        "/boot/vmlinuz-0-rescue-0f0f": "kernel",
        rescue: b"half" if held is None else image("5.14.0-1.el9.x86_64", held, "dracut"),
        "/boot/grub2/grub.cfg": "blscfg\n",
        "/boot/loader/entries/a.conf": ENTRY % (RELEASE, RELEASE),
        "/boot/loader/entries/b.conf": ENTRY % ("0-rescue-0f0f", "0-rescue-0f0f"),
    }
    write_tree(tmp_path, files)
    result = initrd_hyperv.run({}, ImageHost(str(tmp_path), tools=["dracut"]), True)
    warnings = result.get("warnings", [])
    assert [kernel["version"] for kernel in result["kernels"]] == [RELEASE]
    if held is None:
        assert len(warnings) == 1 and f"{rescue} is no initramfs image" in warnings[0]
    elif "hv_vmbus" in held:
        assert warnings == []
    else:
        assert f"The rescue image {rescue} lacks hv_vmbus, hv_storvsc, hv_netvsc" in warnings[0]


def test_an_image_of_another_generator_names_it(tmp_path: Path) -> None:
    made = newc({"buildconfig": b"x", "usr/lib/modules/6.9.1-arch1-1/kernel/ext4.ko.zst": b"x"})
    files = {**kernel_tree("6.9.1-arch1-1", HV), "/boot/initramfs-6.9.1-arch1-1.img": made}
    write_tree(tmp_path, files)
    with pytest.raises(AzurePrepError, match="which mkinitcpio made, lacks hv_vmbus"):
        initrd_hyperv.run({}, ImageHost(str(tmp_path), tools=["mkinitcpio"]), True)
