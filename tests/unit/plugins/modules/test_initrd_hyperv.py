"""initrd_hyperv on trees: each generator, several kernels, built-in drivers, failures that leave all as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from boot_doubles import ImageHost, image, kernel_tree
from conftest import FaultAt, Killed, read_only_disk, write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import common
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import images as initramfs
from ansible_collections.linuxvhd.azure.plugins.modules import fstab_uuid, initrd_hyperv, modprobe_allow, os_disk_swap

HV = ["hv_vmbus", "hv_storvsc", "hv_netvsc"]
ALL = [*HV, "ext4", "virtio_blk", "nvme"]
NEW = "6.1.0-18-amd64"
OLD = "5.10.0-9-amd64"

GENERATORS: dict[str, dict[str, Any]] = {
    "initramfs-tools": {"tools": ["update-initramfs"], "image": "/boot/initrd.img-%s"},
    "dracut": {"tools": ["dracut", "mkinitrd"], "image": "/boot/initramfs-%s.img"},
    "mkinitrd": {"tools": ["mkinitrd"], "image": "/boot/initrd-%s.img"},
    "mkinitrd-suse": {
        "tools": ["mkinitrd"],
        "image": "/boot/initrd-%s",
        "files": {"/etc/sysconfig/kernel": '# SUSE\nINITRD_MODULES="ext4 ata_piix"\nDOMU_INITRD_MODULES=""\n'},
    },
}


def make(tmp_path: Path, generator: str, held: dict[str, Sequence[str]], fault: Any = None) -> ImageHost:
    """A tree with the kernels NEW and OLD (those in `held`), each image holding the modules given."""
    details = GENERATORS[generator]
    files: dict[str, str | bytes] = dict(details.get("files", {}))
    for version, modules in held.items():
        files.update(kernel_tree(version, ALL))
        files[details["image"] % version] = image(version, modules, generator)
    root = tmp_path / "root"
    root.mkdir(parents=True, exist_ok=True)
    write_tree(root, files)
    return ImageHost(str(root), tools=details["tools"], fault=fault)


def snapshot(host: ImageHost) -> dict[str, bytes]:
    root = Path(host.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("generator", GENERATORS)
def test_missing_drivers_are_put_in_and_the_second_run_makes_nothing(tmp_path: Path, generator: str) -> None:
    host = make(tmp_path, generator, {NEW: ["ext4"], OLD: [*HV, "ext4"]})
    before = snapshot(host)
    predicted = initrd_hyperv.run({}, host, True)
    assert snapshot(host) == before
    result = initrd_hyperv.run({}, host, False)
    assert result["generator"] == generator
    assert [(k["version"], k["rebuilt"]) for k in result["kernels"]] == [(OLD, False), (NEW, True)]
    assert [(k["missing_before"], k["missing_after"]) for k in result["kernels"]] == [([], []), (HV, [])]
    for key in ("changed", "generator", "actions", "diff"):
        assert predicted[key] == result[key]
    assert [k["missing_after"] for k in predicted["kernels"]] == [[], []]
    assert len(host.ran) == 1
    # By other means than the module's own: the image itself.
    path = GENERATORS[generator]["image"] % NEW
    assert common.read_image(host, path).of(NEW) >= {*HV, "ext4"}
    backup = result["kernels"][1]["backup_file"]
    assert host.read_bytes(backup) == before[path[1:]]
    again = initrd_hyperv.run({}, host, False)
    assert not again["changed"] and len(host.ran) == 1


@pytest.mark.parametrize(
    ("module", "path", "text"),
    [
        (modprobe_allow, "/etc/modprobe.d/cis.conf", "blacklist hv_netvsc\n"),
        (modprobe_allow, "/etc/sysctl.d/cis.conf", "kernel.modules_disabled = 1\n"),
        (fstab_uuid, "/etc/lvm/devices/system.devices", "VERSION=1.1.1\n"),
        (os_disk_swap, "/etc/initramfs-tools/conf.d/resume", "RESUME=UUID=2\n"),
    ],
)
def test_a_rebuild_that_an_interrupted_run_owes_is_made_up_for(
    tmp_path: Path, module: Any, path: str, text: str
) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: HV, OLD: HV})
    params = {name: option.get("default") for name, option in module.argument_spec().items()}
    initrd_hyperv.run({}, host, False)
    made = len(host.ran)
    host.write(path, text)
    module.run(params, host, True)
    assert not initrd_hyperv.run({}, host, True)["changed"]
    module.run(params, host, False)
    # Here the run ended: the next finds nothing to change but the images.
    assert not module.run(params, host, False)["changed"]
    assert all(kernel["rebuilt"] for kernel in initrd_hyperv.run({}, host, True)["kernels"])
    initrd_hyperv.run({"kernels": [NEW]}, host, False)
    done = initrd_hyperv.run({}, host, False)
    assert all(kernel["rebuilt"] for kernel in done["kernels"]) and len(host.ran) == made + 3
    assert not initrd_hyperv.run({}, host, False)["changed"] and not host.exists("/var/lib/linuxvhd-azure")


def test_a_built_in_driver_counts_as_present(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: HV[1:]})
    Path(host.path("/lib/modules/%s/modules.builtin" % NEW)).write_text("kernel/drivers/hv/hv-vmbus.ko\n")
    host.write("/etc/initramfs-tools/modules", "hv_vmbus\nhv-storvsc\nhv_netvsc # network\nnvme\n")
    result = initrd_hyperv.run({}, host, False)
    assert not result["changed"]
    assert result["kernels"][0]["builtin"] == ["hv_vmbus"]
    assert result["kernels"][0]["present"] == HV[1:]


def test_a_kernel_that_has_no_such_driver_is_named(tmp_path: Path) -> None:
    host = make(tmp_path, "dracut", {NEW: HV})
    Path(host.path("/lib/modules/%s/kernel/drivers/hv_netvsc.ko.xz" % NEW)).unlink()
    Path(host.path("/boot/initramfs-%s.img" % NEW)).write_bytes(image(NEW, ["ext4"], "dracut"))
    with pytest.raises(AzurePrepError, match="kernel 6.1.0-18-amd64 has no driver hv_netvsc"):
        initrd_hyperv.run({}, host, False)
    assert host.ran == []


def test_what_is_not_bootable_any_more_is_left_out(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: HV})
    # Modules without a kernel image, and a kernel image without modules.
    write_tree(Path(host.root), {"/lib/modules/4.9.0-1-amd64/kernel/x.ko": "", "/boot/vmlinuz-4.19.0": "x"})
    result = initrd_hyperv.run({}, host, True)
    assert [k["version"] for k in result["kernels"]] == [NEW]


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_generator_that_leaves_a_driver_out_is_found_out_and_all_is_put_back(tmp_path: Path, generator: str) -> None:
    host = make(tmp_path, generator, {NEW: ["ext4"], OLD: ["ext4"]})
    before = snapshot(host)
    host.leave_out = ["hv_storvsc"]
    with pytest.raises(AzurePrepError, match="still lacks hv_storvsc"):
        initrd_hyperv.run({}, host, False)
    assert snapshot(host) == before


def test_an_image_spoilt_in_place_comes_back(tmp_path: Path) -> None:
    def spoil(_line: list[str], host: Any) -> None:
        image_file = Path(host.path("/boot/initrd.img-" + NEW))
        # As update-initramfs does before it begins, and takes away again at its end.
        image_file.with_name(image_file.name + ".dpkg-bak").hardlink_to(image_file)
        image_file.unlink()
        image_file.write_bytes(b"half an image")
        raise AzurePrepError("update-initramfs was killed.")

    host = make(tmp_path, "initramfs-tools", {NEW: ["ext4"]})
    before = snapshot(host)
    host.on_run = spoil
    with pytest.raises(AzurePrepError, match="killed.*put back"):
        initrd_hyperv.run({}, host, False)
    assert snapshot(host) == before


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_failure_at_any_step_puts_all_back(tmp_path: Path, generator: str) -> None:
    counter = FaultAt()
    initrd_hyperv.run({}, make(tmp_path / "count", generator, {NEW: ["ext4"]}, counter), False)
    for number in range(len(counter.steps)):
        fault = FaultAt(number, OSError(28, "No space left on device"))
        host = make(tmp_path / str(number), generator, {NEW: ["ext4"]}, fault)
        before = snapshot(host)
        with pytest.raises(AzurePrepError):
            initrd_hyperv.run({}, host, False)
        assert snapshot(host) == before, counter.steps[number]


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_read_only_disk_is_named_and_changes_nothing(tmp_path: Path, generator: str) -> None:
    host = make(tmp_path, generator, {NEW: ["ext4"]}, read_only_disk())
    before = snapshot(host)
    with pytest.raises(AzurePrepError, match="mounted read-only"):
        initrd_hyperv.run({}, host, False)
    assert snapshot(host) == before


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_power_cut_at_any_step_leaves_an_image_that_boots(tmp_path: Path, generator: str) -> None:
    counter = FaultAt()
    initrd_hyperv.run({}, make(tmp_path / "count", generator, {NEW: ["ext4"]}, counter), False)
    path = GENERATORS[generator]["image"] % NEW
    for number in range(len(counter.steps)):
        host = make(tmp_path / str(number), generator, {NEW: ["ext4"]}, FaultAt(number))
        with pytest.raises(Killed):
            initrd_hyperv.run({}, host, False)
        assert "ext4" in common.read_image(host, path).of(NEW)
        # The next run finishes the job.
        clean = ImageHost(host.root, tools=GENERATORS[generator]["tools"])
        assert initrd_hyperv.run({}, clean, False)["kernels"][0]["missing_after"] == []


def test_no_room_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make(tmp_path, "dracut", {NEW: ["ext4"]})
    before = snapshot(host)
    monkeypatch.setattr(ImageHost, "free_bytes", lambda _self, _path: 1024)
    with pytest.raises(AzurePrepError, match="/boot has 0 MiB free"):
        initrd_hyperv.run({}, host, False)
    assert snapshot(host) == before and host.ran == []


def test_without_a_generator_a_good_system_passes_and_a_bad_one_is_told(tmp_path: Path) -> None:
    host = make(tmp_path, "dracut", {NEW: HV})
    host.tools = []
    assert not initrd_hyperv.run({}, host, False)["changed"]
    Path(host.path("/boot/initramfs-%s.img" % NEW)).write_bytes(image(NEW, ["ext4"], "dracut"))
    with pytest.raises(AzurePrepError, match="No generator of initramfs images that is known here is installed"):
        initrd_hyperv.run({}, host, False)


def test_the_generator_is_the_one_that_made_the_image(tmp_path: Path) -> None:
    host = make(tmp_path, "dracut", {NEW: ["ext4"]})
    host.tools = ["dracut", "update-initramfs"]
    assert initrd_hyperv.run({}, host, False)["generator"] == "dracut"
    assert host.ran[0][0] == "dracut"


def test_a_damaged_image_is_told_and_made_anew(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: HV})
    path = Path(host.path("/boot/initrd.img-" + NEW))
    path.write_bytes(path.read_bytes()[:-20])
    result = initrd_hyperv.run({}, host, True)
    assert "cut off" in result["warnings"][0]
    assert result["kernels"][0]["missing_before"] == HV
    assert initrd_hyperv.run({}, host, False)["kernels"][0]["missing_after"] == []


def test_rebuild_never_configures_and_warns(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: ["ext4"]})
    result = initrd_hyperv.run({"rebuild": "never"}, host, False)
    assert result["changed"] and host.ran == []
    assert result["kernels"][0]["missing_after"] == HV
    assert "lacks hv_vmbus, hv_storvsc, hv_netvsc" in result["warnings"][0]
    assert host.read("/etc/initramfs-tools/modules").startswith("hv_vmbus\nhv_storvsc\nhv_netvsc\n")


def test_only_the_kernels_named_are_touched_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: ["ext4"], OLD: ["ext4"]})
    result = initrd_hyperv.run({"kernels": [OLD]}, host, False)
    assert [k["version"] for k in result["kernels"]] == [OLD]
    assert len(host.ran) == 1
    with pytest.raises(AzurePrepError, match="The kernel 1.2.3 is not installed"):
        initrd_hyperv.run({"kernels": ["1.2.3"]}, host, False)
    with pytest.raises(AzurePrepError, match="running means nothing in a mounted image"):
        initrd_hyperv.run({"kernels": ["running"]}, host, False)


def test_a_host_only_image_made_in_a_chroot_keeps_the_old_drivers(tmp_path: Path) -> None:
    host = make(tmp_path, "dracut", {NEW: ["ext4", "virtio_blk"]})
    host.host_only = True
    result = initrd_hyperv.run({}, host, False)
    assert "warnings" not in result
    assert common.read_image(host, "/boot/initramfs-%s.img" % NEW).of(NEW) >= {*HV, "ext4", "virtio_blk"}
    assert host.ran[1][-2:] == ["--add-drivers", "ext4 virtio_blk"]


def test_drivers_that_a_new_image_lost_are_told(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: ["ext4", "virtio_blk"]})
    host.leave_out = ["virtio_blk"]
    result = initrd_hyperv.run({}, host, False)
    assert result["warnings"] == ["The new image for the kernel %s no longer holds virtio_blk." % NEW]


def test_inspect_reads_only(tmp_path: Path) -> None:
    host = make(tmp_path, "dracut", {NEW: ["ext4"], OLD: HV})
    before = snapshot(host)
    found = {item.version: (item.present, item.missing) for item in initramfs.inspect(host, HV)}
    assert found == {OLD: (HV, []), NEW: ([], HV)}
    assert snapshot(host) == before


class KernelInstallHost(ImageHost):
    """ImageHost with the hook of Debian's package systemd-boot: update-initramfs has kernel-install copy the image
    and write the entry anew, with the arguments of whatever kernel runs, unless that is told to keep out of it."""

    def run(self, argv: Sequence[str], check: bool = True, **options: Any) -> CommandResult:
        result = super().run(argv, check, **options)
        if argv[0] == "update-initramfs" and (options.get("env") or {}).get("KERNEL_INSTALL_BYPASS") != "1":
            write_tree(Path(self.root), {ENTRY: ENTRY_TEXT.replace("root=UUID=0a1b", "root=/dev/builder")})
        return result


ENTRY = "/efi/loader/entries/0f0f-%s.conf" % NEW
ENTRY_TEXT = "title D\nversion %s\noptions root=UUID=0a1b ro\nlinux /0f0f/%s/linux\ninitrd /0f0f/%s/initrd.img-%s\n" % (
    (NEW,) * 4
)
ON_ESP = "/efi/0f0f/%s/initrd.img-%s" % (NEW, NEW)
IN_BOOT = "/boot/initrd.img-" + NEW


def kernel_install_tree(root: Path, generator: str, fault: Any = None) -> KernelInstallHost:
    files = kernel_tree(NEW, ALL)
    old = image(NEW, ["ext4"], generator)
    files.update({ENTRY: ENTRY_TEXT, "/efi/0f0f/%s/linux" % NEW: b"kernel", ON_ESP: old, IN_BOOT: old})
    root.mkdir(parents=True)
    write_tree(root, files)
    return KernelInstallHost(str(root), tools=GENERATORS[generator]["tools"], fault=fault)


@pytest.mark.parametrize("generator", ["initramfs-tools", "dracut"])
def test_the_copy_that_boots_and_the_one_that_kernel_install_copies_both_get_the_drivers(
    tmp_path: Path, generator: str
) -> None:
    host = kernel_install_tree(tmp_path / "root", generator)
    before = snapshot(host)
    result = initrd_hyperv.run({}, host, False)
    assert result["kernels"][0]["image"] == ON_ESP and result["kernels"][0]["missing_after"] == []
    assert host.read(ENTRY) == ENTRY_TEXT
    for path in (ON_ESP, IN_BOOT):
        assert common.read_image(host, path).of(NEW) >= {*HV, "ext4"}
    assert [before[path[1:]] for path in (ON_ESP, IN_BOOT)] == [
        host.read_bytes(path.replace("initrd.img", "azure-backup/initrd.img")) for path in (ON_ESP, IN_BOOT)
    ]
    assert not initrd_hyperv.run({}, host, False)["changed"]


@pytest.mark.parametrize("generator", ["initramfs-tools", "dracut"])
def test_a_failure_at_any_step_puts_both_copies_back(tmp_path: Path, generator: str) -> None:
    counter = FaultAt()
    initrd_hyperv.run({}, kernel_install_tree(tmp_path / "count", generator, counter), False)
    for number in range(len(counter.steps)):
        fault = FaultAt(number, OSError(28, "No space left on device"))
        host = kernel_install_tree(tmp_path / str(number), generator, fault)
        before = snapshot(host)
        with pytest.raises(AzurePrepError):
            initrd_hyperv.run({}, host, False)
        assert snapshot(host) == before, counter.steps[number]


def test_a_run_after_a_power_cut_clears_up_and_keeps_one_copy(tmp_path: Path) -> None:
    host = make(tmp_path, "initramfs-tools", {NEW: ["ext4"]})
    old = host.read_bytes(IN_BOOT)
    kept = "/boot/azure-backup/initrd.img-" + NEW
    write_tree(
        Path(host.root),
        {kept: old, "/boot/.azure-prep.initrd.img-" + NEW: b"half", "/boot/azure-backup/.azure-prep.k3": b"half"},
    )
    assert initrd_hyperv.run({}, host, False)["kernels"][0]["backup_file"] == kept
    assert host.listdir("/boot/azure-backup") == ["initrd.img-" + NEW] and host.read_bytes(kept) == old
    assert [name for name in host.listdir("/boot") if "azure-prep" in name] == []


@pytest.mark.parametrize("named", [True, False])
def test_a_generator_that_is_not_driven_here_is_named_with_what_to_do(tmp_path: Path, named: bool) -> None:
    """Arch Linux: vmlinuz-linux and initramfs-linux.img tell no release; a kernel by its release may stand beside."""
    files = kernel_tree(NEW, ALL, kernel="/boot/vmlinuz-%s" if named else "/boot/vmlinuz-linux%.0s")
    files["/boot/initramfs-%s.img" % (NEW if named else "linux")] = image(NEW, ["ext4"], "mkinitcpio")
    write_tree(tmp_path, files)
    host = ImageHost(str(tmp_path), tools=["mkinitcpio"])
    with pytest.raises(AzurePrepError, match="mkinitcpio, which is not driven here: add the drivers to MODULES=\\(\\)"):
        initrd_hyperv.run({}, host, False)
    if named:
        write_tree(tmp_path, {"/boot/initramfs-%s.img" % NEW: image(NEW, HV, "mkinitcpio")})
        result = initrd_hyperv.run({}, host, False)
        assert result["generator"] == "mkinitcpio" and not result["changed"]
