"""The parsers of the boot path: what they read, that they give it back, and that no input breaks them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import shutil
import subprocess
from collections.abc import Callable

import pytest
from boot_doubles import image, newc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import (
    bls,
    common,
    grub_cfg,
    grub_legacy,
    grubenv,
    kernel_cmdline,
    sourced,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import Request
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import GRUB, KERNEL, Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import initramfs_tools, reader

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WANTED = Wanted(
    ("console=tty1", "console=ttyS0,115200n8", "rootdelay=300", "debug"), ("quiet", "splash", "crashkernel=auto")
)
REQUEST = Request(WANTED.set, WANTED.remove, "auto", True, False)

#: Text that looks like what these files hold, and any text at all.
WORDS = (
    ["quiet", "splash=silent", "console=tty0", "console=ttyS0,9600", "rootdelay=5", 'a="b c"', "--", "root=UUID=1"]
    + ["crashkernel=auto", "crashkernel=1G", "$kernelopts", "\n", "\r\n", " ", "\t", '"', "'", "\\", "#", "`", "${"]
    + ["GRUB_CMDLINE_LINUX=", "export ", "menuentry 'x' {", "}", "linux /vmlinuz-1 ", 'if [ -z "$x" ]; then', "fi"]
    + ["title x", "kernel /vmlinuz-2.6.18 ", "options ", "set x=y", "submenu", "timeout=0", "function f", "<<EOF"]
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("", "console=tty1 console=ttyS0,115200n8 rootdelay=300 debug"),
        ("ro  quiet\n", "ro console=tty1 console=ttyS0,115200n8 rootdelay=300 debug\n"),
        ("console=ttyS0,9600 console=tty0 x", "console=tty0 x console=tty1 console=ttyS0,115200n8 rootdelay=300 debug"),
        ("rootdelay=1 rootdelay=300 z", "rootdelay=300 z console=tty1 console=ttyS0,115200n8 debug"),
        (
            'a="b  c" crashkernel=auto crashkernel=1G',
            'a="b  c" crashkernel=1G console=tty1 console=ttyS0,115200n8 rootdelay=300 debug',
        ),
        ("ro -- quiet rootdelay=1", "ro console=tty1 console=ttyS0,115200n8 rootdelay=300 debug -- quiet rootdelay=1"),
        ("debug rootdelay=300 console=hvc0 console=tty1 console=ttyS0,115200n8",) * 2,
    ],
)
def test_a_line_is_edited_in_place(line: str, after: str) -> None:
    assert cmdline.edit(line, WANTED) == after
    assert cmdline.problems(cmdline.split(after), WANTED) == []


def test_keys_and_removal() -> None:
    assert cmdline.merge(["nvme-core.io_timeout=30"], Wanted(("nvme_core.io_timeout=240",), ())) == [
        "nvme_core.io_timeout=240"
    ]
    assert cmdline.merge(["rd.lvm.lv=a/b"], Wanted(("rd.lvm.lv=c/d",), ())) == ["rd.lvm.lv=a/b", "rd.lvm.lv=c/d"]
    assert cmdline.merge(["quiet", "x"], Wanted(("quiet",), ("quiet", "x"))) == ["quiet"]
    assert cmdline.merge(["a=1", "a=2"], Wanted((), ("a=1",))) == ["a=2"]


@pytest.mark.parametrize(
    ("version", "needed"),
    [
        ("2.6.18-398.el5", True),
        ("2.6.32-431.29.2.el6.x86_64", True),
        ("2.6.32-504.el6.x86_64", False),
        ("2.6.32-754.el6", False),
        ("2.6.39-400.17.1.el6uek.x86_64", False),
        ("2.6.32.12-0.7-default", True),
        ("2.6.36.4", True),
        ("2.6.37", False),
        ("3.0.101-63-default", False),
        ("3.10.0-1160.el7.x86_64", False),
        ("0-rescue-7f2b", False),
        ("", False),
    ],
)
def test_kernels_that_need_numa_off(version: str, needed: bool) -> None:
    assert cmdline.needs_numa_off(version) is needed


@FEW
@given(TEXTS, st.sampled_from([KERNEL, GRUB]))
def test_any_line_can_be_edited_and_then_is_as_wanted(line: str, quoting: str) -> None:
    edited = cmdline.edit(line, WANTED, quoting)
    assert cmdline.edit(edited, WANTED, quoting) == edited or '"' in line or "'" in line or "\\" in line
    if not set(line) & set("\"'\\"):
        assert cmdline.problems(cmdline.split(edited, quoting), WANTED) == []
        dropped = ("quiet", "splash", "crashkernel=auto", "console", "rootdelay", "debug")
        kept = [a for a in cmdline.split(line, quoting) if not any(cmdline.matches(a, name) for name in dropped)]
        assert [a for a in kept if a in cmdline.split(edited, quoting)] == kept


@FEW
@given(st.lists(st.text(st.characters(exclude_characters='"\0', exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_joined_arguments_are_read_back(arguments: list[str]) -> None:
    for quoting in (KERNEL, GRUB):
        assert cmdline.split(cmdline.join(arguments, quoting), quoting) == arguments


@FEW
@given(TEXTS)
def test_sourced_files_never_break_and_edits_hold(text: str) -> None:
    try:
        files = [shell_vars.parse("/etc/default/grub", text)]
        assert shell_vars.apply_edits(files, [])[0].text == text
        edited = sourced.edit(files, ("A", "GRUB_CMDLINE_LINUX"), WANTED, "GRUB_CMDLINE_LINUX", ("A",), GRUB)
        assert sourced.edit(edited, ("A", "GRUB_CMDLINE_LINUX"), WANTED, "GRUB_CMDLINE_LINUX", ("A",), GRUB)
    except AzurePrepError as exc:
        assert str(exc)


SHELLS = st.lists(
    st.sampled_from(
        ["a", "b c", "'d e'", '"f g"', "\\ ", "\\\n", "$X", "${X}", '"$X"', "\\\\", '"\\""', "é", "=", "#"]
    ),
    max_size=6,
).map("".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(SHELLS, min_size=1, max_size=12))
def test_values_are_those_that_a_shell_sees(words: list[str]) -> None:
    words = [
        word.replace(" ", "_") if "'" not in word and '"' not in word and "\\ " not in word else word for word in words
    ]
    # A name that goes on behind a line continuation ("$X\\<LF>a" is $Xa) is more than these files ever hold.
    words = [word.replace("$X\\\n", "$X") for word in words]
    lines = ["X='x y'"]
    for number, word in enumerate(words):
        # What is not quoted ends at a blank; what follows is another matter.
        lines.append("V%d=%s" % (number, word))
    text = "\n".join(lines) + "\n"
    try:
        files = [shell_vars.parse("f", text)]
    except AzurePrepError:
        return
    script = text + "".join('printf "%%s\\0" "$V%d"\n' % number for number in range(len(words)))
    result = subprocess.run(["sh", "-c", script], capture_output=True, timeout=20, check=False)
    if result.stderr:
        return
    seen = result.stdout.decode().split("\0")[:-1]
    assert [shell_vars.value(files, "V%d" % number) or "" for number in range(len(words))] == seen


@FEW
@given(TEXTS)
def test_menus_and_entries_are_given_back_and_never_break(text: str) -> None:
    assert grub_legacy.render(grub_legacy.parse(text)) == text
    assert bls.render(bls.parse(text)) == text
    for family in ("redhat", "generic"):
        once = grub_legacy.edit(text, REQUEST, family)
        grub_legacy.entries_of("/boot/grub/menu.lst", once)
    bls.edit(text, {"kernelopts": "quiet root=1"}, WANTED, GRUB)
    once = kernel_cmdline.edit(text, WANTED)
    assert cmdline.split(once) or not text.strip() or text.lstrip().startswith("#")
    initramfs_tools.edit(text, ["hv_vmbus"])


@FEW
@given(TEXTS)
def test_any_grub_cfg_is_read_or_refused(text: str) -> None:
    try:
        config = grub_cfg.parse("/boot/grub/grub.cfg", text)
        assert len(config.entries) == len(config.sections)
    except AzurePrepError as exc:
        assert "grub.cfg" in str(exc)


@FEW
@given(TEXTS.filter(lambda text: "\0" not in text and "\n" not in text), TEXTS)
def test_an_environment_block_keeps_its_size_and_its_values(value: str, junk: str) -> None:
    block = "# GRUB Environment Block\na=1\nb=x\\\\y\n".ljust(1024, "#")
    value = value.strip("#")
    after = grubenv.change("grubenv", block, "kernelopts", value)
    assert len(after.encode("utf-8", "surrogateescape")) == 1024
    assert grubenv.parse("grubenv", after) == {"a": "1", "b": "x\\y", "kernelopts": value}
    assert grubenv.change("grubenv", after, "kernelopts", None) == block
    try:
        grubenv.change("grubenv", junk, "kernelopts", value)
    except AzurePrepError as exc:
        assert "grubenv" in str(exc)


def test_an_environment_block_that_is_full_says_so() -> None:
    block = "# GRUB Environment Block\n".ljust(1024, "#")
    with pytest.raises(AzurePrepError, match="no room for kernelopts"):
        grubenv.change("grubenv", block, "kernelopts", "x" * 1024)


GRUB_CFG = """
### BEGIN /etc/grub.d/10_linux ###
function gfxmode {
	set gfxpayload="${1}"
	linux /never/run x
}
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=UUID=1 ro fall back"
fi
if [ "$grub_platform" = xen ]; then
  set extra=xen
else
  set extra=other
fi
menuentry 'A "title"' --class os --id 'id-a' {
	load_video
	linux	/boot/vmlinuz-6.1.0 root="UUID=1" ro ${kernelopts} \\
		dyndbg="file x +p" a\\ b $unknown
	initrd /boot/intel-ucode.img /boot/initrd.img-6.1.0
}
submenu 'More' {
	menuentry 'B' {
		if [ x$feature_platform_search_hint = xy ]; then
			search --no-floppy
		fi
		linux16 /vmlinuz-5 ro;initrd16 /i5
	}
	menuentry 'Memory test' { linux16 /boot/memtest86+.bin console=ttyS0,115200
	}
}
menuentry "Xen" {
	multiboot2 /xen.gz placeholder
	module2 /vmlinuz-6.1.0 placeholder root=UUID=1 ro
	module2 --nounzip /initrd.img-6.1.0
}
### END /etc/grub.d/10_linux ###
menuentry 'Windows' { chainloader +1
}
"""


def test_a_grub_cfg_is_read_as_grub_reads_it() -> None:
    config = grub_cfg.parse("grub.cfg", GRUB_CFG, {"kernelopts": "from=env quiet"})
    assert [(entry.id, entry.kernel, entry.initrd) for entry in config.entries] == [
        ("id-a", "/boot/vmlinuz-6.1.0", ["/boot/intel-ucode.img", "/boot/initrd.img-6.1.0"]),
        ("B", "/vmlinuz-5", ["/i5"]),
        ("Xen", "/vmlinuz-6.1.0", ["/initrd.img-6.1.0"]),
    ]
    assert config.entries[0].arguments == ["root=UUID=1", "ro", "from=env", "quiet", "dyndbg=file x +p", "a b"]
    assert config.entries[2].arguments == ["root=UUID=1", "ro"]
    assert config.sections[0] == "/etc/grub.d/10_linux"
    fallback = grub_cfg.parse("grub.cfg", GRUB_CFG)
    assert fallback.entries[0].arguments[2:6] == ["root=UUID=1", "ro", "fall", "back"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("menuentry 'x' {\nlinux /v\n", "never closed"),
        ("set a='x\n", "single quote is never closed"),
        ('echo "', "double quote is never closed"),
        ("menuentry 'x'\n", "without a body"),
    ],
)
def test_a_cut_off_grub_cfg_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence):
        grub_cfg.parse("grub.cfg", text)


def test_kernel_releases_in_image_names() -> None:
    for path, version in (
        ("/boot/vmlinuz-6.1.0-18-amd64", "6.1.0-18-amd64"),
        ("/0f0f/6.8.5-301.fc40.x86_64/linux", "6.8.5-301.fc40.x86_64"),
        ("/vmlinuz-linux", "linux"),
        ("/boot/vmlinuz", ""),
        ("linux", ""),
    ):
        assert common.kernel_version(path) == version


# -- images ----------------------------------------------------------------------------------------------------

EARLY = newc({"kernel/x86/microcode/GenuineIntel.bin": b"m" * 3000}) + b"\0" * 300
MODULES = ["hv_vmbus", "hv-storvsc"]


def tool(*argv: str) -> Callable[[bytes], bytes]:
    return lambda data: subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "cpio": lambda data: data,
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
}
for _name, _command in (
    ("zstd", ("zstd", "-qc")),
    ("zstd without checksum", ("zstd", "--no-check", "-qc")),
    ("lz4", ("lz4", "-qlc")),
    ("lz4-frame", ("lz4", "-qBDc")),
    ("lz4-frame with its size", ("lz4", "-q", "-B4", "--content-size", "-c")),
    ("lzo", ("lzop", "-qc")),
    ("lzo with crc", ("lzop", "-9q", "--crc32", "-c")),
    ("xz in blocks", ("xz", "--block-size=64KiB", "--check=crc32", "-c")),
    ("xz for programs", ("xz", "--x86", "--lzma2=dict=32MiB", "--check=crc32", "-c")),
):
    if shutil.which(_command[0]):
        PACKERS[_name] = tool(*_command)


def start(name: str) -> subprocess.Popen[bytes] | None:
    if not shutil.which(name):
        return None
    return subprocess.Popen([name, "-dc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def read(data: bytes, starter: reader.Starter = start) -> reader.Content:
    return reader.read(io.BytesIO(data), "/boot/image", starter)


@pytest.mark.parametrize("packer", PACKERS)
def test_an_image_of_any_compression_is_listed(packer: str) -> None:
    packed = image("6.1", MODULES, "dracut", PACKERS[packer])
    for before in (b"", EARLY, EARLY + EARLY):
        for after in (b"", b"\0" * 5, EARLY):
            content = read(before + packed + after)
            assert content.of("6.1") == {"hv_vmbus", "hv_storvsc"}
            assert content.of("6.2") == set() and content.generator == "dracut"
            assert packer.split()[0] in content.compression


def without(_name: str) -> None:
    """A machine on which no decompressor is installed."""
    return


@pytest.mark.parametrize(
    "packer", [name for name in PACKERS if name.startswith(("lz4", "lzo")) and "frame" not in name]
)
def test_large_lz4_and_lzo_images_need_no_command(packer: str) -> None:
    # Runs, noise and repeated text of all lengths, so that every kind of instruction and several blocks occur.
    noise = random.Random(7)
    files = {"usr/lib/modules/6.1/hv_vmbus.ko": b"\x7fELF" * 9, "zeros": bytes(300000)}
    for number in range(60):
        some = bytes(noise.getrandbits(8) for _ in range(noise.randint(1, 4000)))
        files["file%d" % number] = (some + some[: noise.randint(0, 300)] * noise.randint(1, 9)) * noise.randint(1, 4)
    files["usr/lib/modules/6.1/hv_netvsc.ko.zst"] = b"z"
    packed = PACKERS[packer](newc(files))
    for starter in (start, without):
        assert read(EARLY + packed + EARLY, starter).of("6.1") == {"hv_vmbus", "hv_netvsc"}
    for place in range(60, len(packed), len(packed) // 23):
        spoilt = packed[:place] + bytes([packed[place] ^ 0xFF]) + packed[place + 1 :]
        try:
            # lz4's old form has no checksum: what is not found out there is a listing all the same.
            assert packer == "lz4" or read(spoilt, without) is None
        except AzurePrepError as exc:
            assert "damaged" in str(exc) or "cut off" in str(exc)


@pytest.mark.parametrize("first", PACKERS)
@pytest.mark.parametrize("second", ["gzip", "xz", "bzip2", "zstd", "cpio"])
def test_archives_of_different_forms_follow_each_other(first: str, second: str) -> None:
    if second not in PACKERS or (first == "lz4" and second == "gzip"):
        # The old lz4 form has no end; what gzip begins with looks like one more block of it, to the kernel too.
        pytest.skip("not installed, or told apart by nobody")
    one = image("6.1", ["hv_vmbus"], "dracut", PACKERS[first])
    two = PACKERS[second](newc({"usr/lib/modules/6.1/updates/hv_storvsc.ko.gz": b"x"}))
    assert read(one + two).of("6.1") == {"hv_vmbus", "hv_storvsc"}


@FEW
@given(st.binary(max_size=60))
def test_any_lzo_block_is_unpacked_or_refused(block: bytes) -> None:
    try:
        assert len(reader.unpack_lzo1x(block, 4096)) <= 4096
    except ValueError as exc:
        assert str(exc)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("cut", [1, 9, 0.5])
def test_a_cut_off_image_is_told(packer: str, cut: float) -> None:
    packed = image("6.1", MODULES, "dracut", PACKERS[packer])
    packed = packed[: len(packed) // 2 if cut == 0.5 else -int(cut)]
    with pytest.raises(AzurePrepError, match="cut off|damaged"):
        read(EARLY + packed)


def test_what_is_no_image_is_told() -> None:
    for data, sentence in (
        (b"", "is empty"),
        (b"\0" * 100, "is empty"),
        (b"hello world, this is text", "is no initramfs image"),
        (gzip.compress(b"no archive inside this"), "damaged|cut off"),
        (newc({"a": b"b"}) + b"junk", "is no initramfs image"),
        (b"070701" + b"zz" * 60, "holds no numbers"),
        (b"070701" + b"0" * 88 + b"FFFFFFFF" + b"0" * 8, "file name in it is"),
    ):
        with pytest.raises(AzurePrepError, match=sentence):
            read(data)


def test_a_missing_decompressor_is_named_and_lz4_and_lzo_need_none() -> None:
    def none(_name: str) -> None:
        return None

    with pytest.raises(AzurePrepError, match="install the package zstd"):
        read(b"\x28\xb5\x2f\xfd\x00\x00\x01\x00\x00", none)
    for packer in {"lz4", "lzo"} & set(PACKERS):
        packed = image("6.1", MODULES, "dracut", PACKERS[packer])
        assert read(EARLY + packed, none).of("6.1") == {"hv_vmbus", "hv_storvsc"}


def test_an_empty_module_file_does_not_count() -> None:
    assert read(newc({"lib/modules/6.1/hv_vmbus.ko": b""})).of("6.1") == set()


@FEW
@given(st.sampled_from(["cpio", "gzip", "xz", "bzip2"]), st.data())
def test_a_damaged_image_is_read_or_refused(packer: str, data: st.DataObject) -> None:
    packed = bytearray(image("6.1", MODULES, "dracut", PACKERS[packer]))
    for _number in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(packed))
    except AzurePrepError as exc:
        assert "/boot/image" in str(exc)


@FEW
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18", b"070701", b"\x1f\x8b"])
)
def test_any_bytes_are_read_or_refused(junk: bytes, magic: bytes) -> None:
    try:
        read(magic + junk, lambda _name: None)
    except AzurePrepError as exc:
        assert "/boot/image" in str(exc)


@FEW
@given(st.binary(max_size=60))
def test_any_lz4_block_is_unpacked_or_refused(block: bytes) -> None:
    try:
        assert len(reader.unpack_lz4_block(block, 4096)) <= 4096
    except ValueError as exc:
        assert str(exc)


def test_the_boot_scripts_of_initramfs_tools_are_listed() -> None:
    names = ["init-top/azure-rootdelay-off", "init-top/ORDER", "init-premount/azure-rootdelay-on", "functions"]
    members = {f"scripts/{name}": b"#!/bin/sh\n" for name in names}
    found = read(newc({"conf/initramfs.conf": b"x", "not/scripts/init-top/x": b"x", **members}))
    assert found.scripts == {"init-top/azure-rootdelay-off", "init-premount/azure-rootdelay-on"}
    assert read(newc({"conf/initramfs.conf": b"x"})).scripts == set()
