"""grub_azure_cmdline on trees of every family: effective arguments, files kept byte for byte, failures put back."""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boot_trees
import pytest
from boot_doubles import GeneratorHost
from conftest import FaultAt, Killed, read_only_disk, write_tree

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import kernel_cmdline
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import loaders as bootloaders
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline

CONSOLES = ["console=tty1", "console=ttyS0,115200n8"]
COMMON = ["earlyprintk=ttyS0,115200", "rootdelay=300"]
GONE = ("quiet", "rhgb", "splash", "splash=silent", "crashkernel=auto", "libata.atapi_enabled=0", "reserve=0x1f0,0x8")

#: The generator of each family: its commands, whether it reads drop-ins, how Red Hat's treats entry files.
DEBIAN: dict[str, Any] = {"tools": ["grub-mkconfig", "update-grub"]}
SUSE: dict[str, Any] = {"tools": ["grub2-mkconfig", "update-bootloader"], "drop_ins": False}
EL: dict[str, Any] = {"tools": ["grub2-mkconfig"], "drop_ins": False}
NONE: dict[str, Any] = {"tools": []}
TOOLS: dict[str, dict[str, Any]] = {
    "el5": NONE,
    "el6": NONE,
    "el7": EL,
    "el8": {**EL, "bls": True},
    "el9": {**EL, "bls": True, "newer_bls": True},
    "el10": {**EL, "bls": True, "newer_bls": True},
    "sles11": NONE,
    "sles12": SUSE,
    "sles15": SUSE,
    "leap15": SUSE,
    "sdboot": NONE,
}


MKCONFIG = "#!/bin/sh\n. /etc/default/grub\n# --no-grubenv-update\n"


def make(path: Path, name: str, extra: Mapping[str, str | bytes] | None = None, **options: Any) -> GeneratorHost:
    """A tree as a Host, its grub.cfg generated where its family has a generator."""
    root = path / "root"
    root.mkdir(parents=True)
    files: dict[str, str | bytes] = {**boot_trees.load(name), **(extra or {})}
    grubenv = files.get("/boot/grub2/grubenv")
    if isinstance(grubenv, str):
        files["/boot/grub2/grubenv"] = grubenv.ljust(1024, "#")
    if TOOLS.get(name, DEBIAN).get("bls"):
        files.setdefault("/usr/sbin/grub2-mkconfig", MKCONFIG)
    write_tree(root, files)
    host = GeneratorHost(str(root), **{**TOOLS.get(name, DEBIAN), **options})
    directory = root / ("boot/grub2" if (root / "boot/grub2").is_dir() else "boot/grub")
    if TOOLS.get(name, DEBIAN)["tools"]:
        newer, host.newer_bls = host.newer_bls, False
        rewrite, host.rewrite_bls = host.rewrite_bls, False
        (directory / "grub.cfg").write_text(host.generate(), encoding="utf-8", errors="surrogateescape")
        host.newer_bls, host.rewrite_bls = newer, rewrite
    return host


def snapshot(host: GeneratorHost) -> dict[str, bytes]:
    root = Path(host.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def strip(snapshot_: dict[str, bytes]) -> dict[str, bytes]:
    """Without the copies that backups are."""
    return {name: data for name, data in snapshot_.items() if not name.endswith("~")}


@pytest.mark.parametrize("name", boot_trees.names())
def test_every_entry_of_every_family_gets_what_azure_wants(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name)
    root = Path(host.root)
    before = boot_trees.effective(root)
    files = snapshot(host)
    predicted = grub_azure_cmdline.run({}, host, True)
    assert snapshot(host) == files and host.ran == []
    result = grub_azure_cmdline.run({}, host, False)
    after = boot_trees.effective(root)
    assert result["changed"] and set(after) == set(before)
    assert sum(map(len, after.values())) == len(result["entries"])
    for kernel, lines in after.items():
        assert len(lines) == len(before[kernel])
        for old, new in zip(before[kernel], lines):
            assert [a for a in new if a.startswith("console=")][-2:] == CONSOLES
            for argument in CONSOLES + COMMON:
                assert new.count(argument) == 1, new
            assert not set(new) & set(GONE)
            assert sum(a.startswith("console=ttyS0") for a in new) == 1
            kept = [a for a in old if a not in GONE and not a.startswith(("console=ttyS0", "console=tty1"))]
            others = [a for a in new if a not in CONSOLES + COMMON]
            assert [a for a in others if a not in ("net.ifnames=0", "numa=off")] == [
                a for a in kept if a not in ("net.ifnames=0", "numa=off")
            ]
            old_kernel = kernel.startswith(("vmlinuz-2.6.18", "vmlinuz-2.6.32-431", "vmlinuz-2.6.32-71"))
            assert ("numa=off" in new) == old_kernel
    assert [(e["id"], e["before"], e["after"]) for e in predicted["entries"]] == [
        (e["id"], e["before"], e["after"]) for e in result["entries"]
    ]
    assert predicted["actions"] == result["actions"] and predicted["diff"] == result["diff"]
    runs = len(host.ran)
    done = snapshot(host)
    again = grub_azure_cmdline.run({}, host, False)
    assert not again["changed"] and again["actions"] == [] and len(host.ran) == runs and snapshot(host) == done
    # Whoever installs a kernel later gets the same: what the generators read is in step.
    for path in ("etc/kernel/cmdline", "etc/sysconfig/bootloader"):
        if (root / path).exists():
            text = (root / path).read_text()
            assert "console=ttyS0,115200n8" in text and "quiet" not in text and "splash" not in text


@pytest.mark.parametrize("name", boot_trees.names())
def test_what_was_not_told_about_stays_byte_for_byte(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name)
    before = snapshot(host)
    grub_azure_cmdline.run({"backup": False}, host, False)
    after = snapshot(host)
    assert set(after) == set(before)
    for path, data in after.items():
        if path.endswith("grub.cfg") or data == before[path]:
            continue
        old, new = before[path].splitlines(True), data.splitlines(True)
        for tag, start, end, _new_start, _new_end in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
            if tag in ("delete", "replace"):
                for line in old[start:end]:
                    words = (b"CMDLINE", b"GRUB_T", b"GRUB_HIDDEN", b"APPEND", b"options", b"linux", b"kernel")
                    words += (
                        b"root=",
                        b"timeout",
                        b"splashimage",
                        b"gfxmenu",
                        b"hiddenmenu",
                        b"module",
                        b"####",
                        b"menu_auto",
                    )
                    assert any(word in line for word in words), (path, line)


@pytest.mark.parametrize("name", ["debian12", "ubuntu2204", "el7", "sles15", "el8", "el9"])
def test_grub_talks_to_the_serial_port_and_shows_its_menu(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name)
    grub_azure_cmdline.run({}, host, False)
    directory = "boot/grub2" if host.is_dir("/boot/grub2") else "boot/grub"
    text = (Path(host.root) / directory / "grub.cfg").read_text()
    assert "serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1\n" in text
    order = "console serial" if name == "sles15" else "serial console"
    assert "terminal_input %s\n" % order in text and "terminal_output %s\n" % order in text
    timeout = int(text.split("set timeout=")[1].split()[0])
    assert timeout >= (5 if name in ("debian12", "ubuntu2204") else 10 if name != "sles15" else 10)
    assert "GRUB_TIMEOUT_STYLE=hidden" not in host.read("/etc/default/grub")


def test_legacy_grub_talks_to_the_serial_port(tmp_path: Path) -> None:
    host = make(tmp_path, "el6")
    grub_azure_cmdline.run({}, host, False)
    lines = host.read("/boot/grub/grub.conf").splitlines()
    assert "serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1" in lines
    assert "terminal --timeout=10 serial console" in lines
    assert "timeout=10" in lines and "#hiddenmenu" in lines and "#splashimage=(hd0,0)/grub/splash.xpm.gz" in lines


@pytest.mark.parametrize("name", ["debian12", "el7", "sles15"])
def test_a_tree_without_the_generator_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name)
    host.tools = []
    before = snapshot(host)
    # An earlier task may install it: check mode says what a run would do, and that it cannot yet.
    predicted = grub_azure_cmdline.run({}, host, True)
    assert any("none of grub2-mkconfig" in text and "A run would fail" in text for text in predicted["warnings"])
    assert all(CONSOLES[1] in entry["after"] for entry in predicted["entries"])
    with pytest.raises(AzurePrepError, match="none of grub2-mkconfig.*is installed.*Nothing was changed"):
        grub_azure_cmdline.run({}, host, False)
    assert snapshot(host) == before


@pytest.mark.parametrize("name", ["el8", "el9", "el10"])
def test_entry_files_need_no_generator(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name)
    host.tools = []
    result = grub_azure_cmdline.run({}, host, False)
    assert any("grub2-mkconfig is not installed" in text for text in result["warnings"])
    for lines in boot_trees.effective(Path(host.root)).values():
        for line in lines:
            assert [a for a in line if a.startswith("console=")][-2:] == CONSOLES and "quiet" not in line
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_kernelopts_stays_the_place_of_the_arguments(tmp_path: Path) -> None:
    host = make(tmp_path, "el8")
    grub_azure_cmdline.run({}, host, False)
    entry = host.read("/boot/loader/entries/9c3d-4.18.0-513.5.1.el8_9.x86_64.conf")
    assert "options $kernelopts $tuned_params\n" in entry
    block = host.read_bytes("/boot/grub2/grubenv")
    assert len(block) == 1024 and b"root=/dev/mapper/al-root ro resume=" in block


@pytest.mark.parametrize("name", ["el8", "el9"])
def test_arguments_that_only_an_entry_has_survive_a_generator_that_writes_entries_anew(
    tmp_path: Path, name: str
) -> None:
    # An old generator, which does not know that the environment block is to be left alone.
    host = make(tmp_path, name, {"/usr/sbin/grub2-mkconfig": "#!/bin/sh\n"}, rewrite_bls=True)
    before = {entry.id: entry.arguments for entry in bootloaders.read_entries(host)}
    result = grub_azure_cmdline.run({}, host, False)
    assert len(host.ran) == 1 and set(before) == {entry["id"] for entry in result["entries"]}
    for entry in bootloaders.read_entries(host):
        kept = [a for a in before[entry.id] if a not in GONE and not a.startswith(("console=tty", "net.ifnames"))]
        assert [a for a in entry.arguments if a in kept] == kept
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_a_file_that_the_generator_makes_anew_is_put_right(tmp_path: Path) -> None:
    host = make(tmp_path, "el9")
    Path(host.path("/etc/kernel/cmdline")).unlink()
    grub_azure_cmdline.run({}, host, False)
    text = host.read("/etc/kernel/cmdline")
    assert "rhgb" not in text and "quiet" not in text and "console=ttyS0,115200n8" in text
    assert b"menu_auto_hide" not in host.read_bytes("/boot/grub2/grubenv")
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_a_header_that_ignores_the_terminal_is_told_and_the_arguments_stay(tmp_path: Path) -> None:
    def generate(line: list[str], host: GeneratorHost) -> None:
        kept = [row for row in host.generate().splitlines(True) if not row.startswith(("terminal_", "serial"))]
        Path(host.path(line[2])).write_text("".join(kept))

    host = make(tmp_path, "debian12", on_run=generate)
    result = grub_azure_cmdline.run({}, host, False)
    assert result["changed"] and CONSOLES[1] in result["entries"][0]["after"]
    assert any("does not talk to the serial port" in text for text in result["warnings"])
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_stale_entries_are_told(tmp_path: Path) -> None:
    warnings = grub_azure_cmdline.run({}, make(tmp_path, "el6"), True)["warnings"]
    assert any("names /vmlinuz-2.6.32-71.el6.x86_64, which does not exist" in text for text in warnings)


@pytest.mark.parametrize("name", ["debian12", "ubuntu2204", "el6", "el8", "el9", "sles11", "sdboot"])
def test_a_failure_at_any_step_puts_everything_back(tmp_path: Path, name: str) -> None:
    counter = FaultAt()
    grub_azure_cmdline.run({}, make(tmp_path / "count", name, fault=counter), False)
    for number in range(len(counter.steps)):
        host = make(tmp_path / str(number), name, fault=FaultAt(number, OSError(28, "No space left on device")))
        before = snapshot(host)
        with pytest.raises(AzurePrepError, match="put back"):
            grub_azure_cmdline.run({}, host, False)
        assert snapshot(host) == before, counter.steps[number]


@pytest.mark.parametrize("name", ["debian12", "ubuntu2204", "el6", "el8", "el9", "sles11", "sdboot"])
def test_a_read_only_disk_is_named_and_changes_nothing(tmp_path: Path, name: str) -> None:
    host = make(tmp_path, name, fault=read_only_disk())
    before = snapshot(host)
    with pytest.raises(AzurePrepError, match="mounted read-only"):
        grub_azure_cmdline.run({}, host, False)
    assert snapshot(host) == before


@pytest.mark.parametrize("name", ["debian12", "el6", "el8", "el9", "sdboot"])
def test_a_power_cut_at_any_step_leaves_every_entry_bootable(tmp_path: Path, name: str) -> None:
    counter = FaultAt()
    host = make(tmp_path / "count", name, fault=counter)
    old = boot_trees.effective(Path(host.root))
    grub_azure_cmdline.run({}, host, False)
    new = boot_trees.effective(Path(host.root))
    for number in range(len(counter.steps)):
        host = make(tmp_path / str(number), name, fault=FaultAt(number))
        with pytest.raises(Killed):
            grub_azure_cmdline.run({}, host, False)
        now = boot_trees.effective(Path(host.root))
        assert set(now) == set(old)
        for kernel, lines in now.items():
            for line, was in zip(lines, old[kernel]):
                assert [a for a in line if a.startswith("root=")] == [a for a in was if a.startswith("root=")]
        # The next run finishes the job.
        clean = GeneratorHost(host.root, **TOOLS.get(name, DEBIAN))
        grub_azure_cmdline.run({}, clean, False)
        assert boot_trees.effective(Path(host.root)) == new


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda text: text.replace("root=UUID=0a1b", "root=/dev/loop0"), "says root=/dev/loop0"),
        (lambda text: text.replace("root=UUID=0a1b ", ""), "names no root="),
        (lambda text: text.replace("vmlinuz-6.1.0-9", "vmlinuz-6.1.0-8"), "has lost the entry of"),
        (lambda text: text[: len(text) // 2].rsplit("}", 1)[0], "never closed|lost"),
        (lambda _text: "", "lost the entry|holds no boot entry"),
        (lambda text: text.replace("console=ttyS0,115200n8", ""), "would not get what was asked"),
    ],
)
def test_a_bad_generated_file_is_not_used(tmp_path: Path, spoil: Any, sentence: str) -> None:
    def generate(line: list[str], host: GeneratorHost) -> None:
        Path(host.path(line[2])).write_text(spoil(host.generate()))

    host = make(tmp_path, "debian12", on_run=generate)
    before = snapshot(host)
    with pytest.raises(AzurePrepError, match=sentence):
        grub_azure_cmdline.run({}, host, False)
    assert snapshot(host) == before


def test_a_failing_generator_is_quoted(tmp_path: Path) -> None:
    host = make(tmp_path, "debian12", fail="grub-mkconfig failed with exit status 1: cannot find a device for /")
    before = snapshot(host)
    with pytest.raises(AzurePrepError, match="cannot find a device for /. Every file was put back"):
        grub_azure_cmdline.run({}, host, False)
    assert snapshot(host) == before


def test_update_grub_alone_will_do(tmp_path: Path) -> None:
    host = make(tmp_path, "debian12", tools=["update-grub"])
    assert grub_azure_cmdline.run({}, host, False)["actions"][-1] == "run /usr/sbin/update-grub"
    assert all("quiet" not in line for lines in boot_trees.effective(Path(host.root)).values() for line in lines)


DEFAULTS = {
    "appended": (
        'GRUB_CMDLINE_LINUX="quiet"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX audit=1"\n',
        ["audit=1"],
    ),
    "single quotes": ("GRUB_CMDLINE_LINUX='quiet audit=1'\n", ["audit=1"]),
    "bare": ("GRUB_CMDLINE_LINUX=quiet\nGRUB_CMDLINE_LINUX_DEFAULT=splash", []),
    "empty": ("GRUB_CMDLINE_LINUX=\n", []),
    "continued": ('GRUB_CMDLINE_LINUX="quiet \\\n  audit=1 \\\n  splash"\n', ["audit=1"]),
    "exported": ('export GRUB_CMDLINE_LINUX="quiet audit=1" # quiet, please\n', ["audit=1"]),
    "two on a line": ('GRUB_CMDLINE_LINUX="quiet"; GRUB_CMDLINE_LINUX_DEFAULT="splash a=1"\n', ["a=1"]),
    "another variable": ('MINE="quiet audit=1"\nGRUB_CMDLINE_LINUX="${MINE} b=2"\n', ["audit=1", "b=2"]),
    "blanks in a value": ('GRUB_CMDLINE_LINUX="quiet dyndbg=\\"file a +p\\" b=2"\n', ["dyndbg=file a +p", "b=2"]),
    "missing": ("# nothing here", []),
    "console elsewhere": ('GRUB_CMDLINE_LINUX_DEFAULT="console=hvc0 quiet"\n', ["console=hvc0"]),
    "wrong values": (
        'GRUB_CMDLINE_LINUX="rootdelay=10 console=ttyS0,9600 earlyprintk=vga console=tty0"',
        ["console=tty0"],
    ),
    "documented": (
        'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0,115200n8 earlyprintk=ttyS0,115200 rootdelay=300"\n',
        [],
    ),
    "not utf-8": ('# caf\udce9\nGRUB_CMDLINE_LINUX="quiet"\n# \udcff', []),
    "to init": ('GRUB_CMDLINE_LINUX_DEFAULT="quiet -- quiet single"\n', ["--", "quiet", "single"]),
    "double names": ('GRUB_CMDLINE_LINUX="quiet"\n# a comment "\nGRUB_CMDLINE_LINUX="splash c=3"\n', ["c=3"]),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_defaults_are_read_as_a_shell_reads_them(tmp_path: Path, case: str) -> None:
    text, kept = DEFAULTS[case]
    host = make(tmp_path, "debian12", {"/etc/default/grub": text})
    result = grub_azure_cmdline.run({}, host, False)
    normal = result["entries"][0]["after"]
    wanted = CONSOLES + COMMON
    assert [a for a in normal[2:] if a not in wanted] == kept, normal
    assert sorted(a for a in normal if a in wanted) == sorted(wanted)
    assert [a for a in normal if a.startswith("console=")][-2:] == CONSOLES
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_dos_line_ends_and_all_else_survive_an_edit(tmp_path: Path) -> None:
    text = '# note\r\nGRUB_TIMEOUT=7\r\nGRUB_CMDLINE_LINUX="quiet"\r\n'
    host = make(tmp_path, "debian12", {"/etc/default/grub": text})
    grub_azure_cmdline.run({"serial_console": False}, host, False)
    data = host.read_bytes("/etc/default/grub")
    assert data.startswith(b'# note\r\nGRUB_TIMEOUT=7\r\nGRUB_CMDLINE_LINUX="console=tty1 ')
    assert data.endswith(b'rootdelay=300"\r\n') and data.count(b"\n") == 3


def test_options(tmp_path: Path) -> None:
    host = make(tmp_path, "debian12")
    result = grub_azure_cmdline.run(
        {"set": ["audit=1", "dyndbg=file a +p"], "remove": [], "numa": "off", "serial_console": False}, host, False
    )
    assert result["entries"][0]["after"][2:] == ["audit=1", "dyndbg=file a +p", "numa=off", "quiet"]
    assert 'GRUB_CMDLINE_LINUX="audit=1 \\"dyndbg=file a +p\\" numa=off"' in host.read("/etc/default/grub")
    result = grub_azure_cmdline.run({"set": [], "remove": ["audit", "numa=off"], "numa": "keep"}, host, False)
    assert result["entries"][0]["after"][2:] == ["dyndbg=file a +p", "quiet"]
    for bad in ("a b=1", "", "=x", 'a="b"', "--", "a=1\nb"):
        with pytest.raises(AzurePrepError):
            grub_azure_cmdline.run({"set": [bad]}, host, True)


def test_a_root_argument_counts_behind_the_generators_own(tmp_path: Path) -> None:
    params = {"set": ["root=UUID=9"], "remove": []}
    host = make(tmp_path, "debian12", root_device="/dev/disk/by-id/ata-x")
    for entry in grub_azure_cmdline.run(params, host, False)["entries"]:
        assert [a for a in entry["after"] if a.startswith("root=")] == ["root=/dev/disk/by-id/ata-x", "root=UUID=9"]
    assert not grub_azure_cmdline.run(params, host, False)["changed"]
    legacy = make(tmp_path / "legacy", "sles11")
    for entry in grub_azure_cmdline.run(params, legacy, False)["entries"]:
        assert [a for a in entry["after"] if a.startswith("root=")] == ["root=UUID=9"]


def test_an_open_quote_is_told_with_its_line(tmp_path: Path) -> None:
    host = make(tmp_path, "debian12")
    host.write("/etc/default/grub", 'A=1\nGRUB_CMDLINE_LINUX="quiet\nB=2\n')
    with pytest.raises(AzurePrepError, match="/etc/default/grub line 2: a double quote is never closed"):
        grub_azure_cmdline.run({}, host, True)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"/boot/efi/EFI/Linux/6.1.efi": "x"}, "unified kernel images .*/boot/efi/EFI/Linux/6.1.efi"),
        ({"/etc/lilo.conf": "x"}, "LILO"),
        ({"/boot/extlinux/extlinux.conf": "x"}, "extlinux"),
        ({"/etc/fstab": "x"}, "No boot loader was found"),
    ],
)
def test_other_loaders_are_refused_by_name(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    write_tree(tmp_path, files)
    with pytest.raises(AzurePrepError, match=sentence):
        grub_azure_cmdline.run({}, GeneratorHost(str(tmp_path)), False)


def test_a_unified_image_beside_other_entries_is_told(tmp_path: Path) -> None:
    host = make(tmp_path, "el9", {"/boot/efi/EFI/Linux/6.1.efi": "x"})
    result = grub_azure_cmdline.run({}, host, False)
    assert any("/boot/efi/EFI/Linux/6.1.efi is a unified kernel image" in text for text in result["warnings"])


CUSTOM = "menuentry 'Mine' {\n  linux /boot/vmlinuz-6.1.0-9-amd64 root=UUID=0a1b ro quiet audit=1\n}\n"
SOURCE = "if [ -f  ${config_directory}/custom.cfg ]; then\n  source ${config_directory}/custom.cfg\nfi\n"


def test_entries_in_custom_cfg_and_in_scripts_of_another_name(tmp_path: Path) -> None:
    extra: dict[str, str | bytes] = {
        "/boot/grub/custom.cfg": CUSTOM,
        "/etc/grub.d/40_custom": "#!/bin/sh\nexec tail -n +3 $0\n" + SOURCE,
        "/etc/grub.d/45_mine": "#!/bin/sh\nexec tail -n +3 $0\n" + CUSTOM.replace("Mine", "Other"),
        "/etc/grub.d/45_mine~": "#!/bin/sh\nexec tail -n +3 $0\n" + CUSTOM,
        "/etc/grub.d/10_linux": "#!/bin/sh\necho '	linux /boot/vmlinuz quiet'\n",
    }
    host = make(tmp_path, "debian12", extra)
    before = snapshot(host)
    result = grub_azure_cmdline.run({}, host, False)
    mine = next(entry for entry in result["entries"] if entry["title"] == "Mine")
    assert mine["source"] == "/boot/grub/custom.cfg"
    assert mine["after"] == ["root=UUID=0a1b", "ro", "audit=1", *CONSOLES, *COMMON]
    assert "quiet" not in host.read("/etc/grub.d/45_mine") and "audit=1 console=tty1" in host.read(
        "/boot/grub/custom.cfg"
    )
    after = snapshot(host)
    for path in ("etc/grub.d/45_mine~", "etc/grub.d/10_linux"):
        assert after[path] == before[path]
    assert not grub_azure_cmdline.run({}, host, False)["changed"]


def test_recovery_arguments_lose_what_no_entry_shall_have_and_gain_nothing(tmp_path: Path) -> None:
    text = 'GRUB_CMDLINE_LINUX_RECOVERY="single quiet nomodeset"\nGRUB_CMDLINE_LINUX="quiet"\n'
    host = make(tmp_path, "debian12", {"/etc/default/grub": text})
    grub_azure_cmdline.run({}, host, False)
    assert host.read("/etc/default/grub").startswith(
        'GRUB_CMDLINE_LINUX_RECOVERY="single nomodeset"\nGRUB_CMDLINE_LINUX="console'
    )


def test_read_entries_reads_only(tmp_path: Path) -> None:
    host = make(tmp_path, "el8")
    before = snapshot(host)
    entries = bootloaders.read_entries(host)
    assert [entry.id for entry in entries] == ["9c3d-0-rescue", "9c3d-4.18.0-513.5.1.el8_9.x86_64", "9c3d-custom"]
    assert entries[2].arguments[-1] == "dyndbg=file drivers/hv/* +p"
    assert entries[0].arguments[:2] == ["root=/dev/mapper/al-root", "ro"]
    assert snapshot(host) == before


def test_kernel_install_finds_the_arguments_for_the_next_entry(tmp_path: Path) -> None:
    """Without /etc/kernel/cmdline it would take those of the kernel that runs."""
    files = boot_trees.load("sdboot")
    del files["/etc/kernel/cmdline"]
    entry = "/boot/efi/loader/entries/0f0f-6.12.38+deb13-amd64.conf"
    older = {path.replace("6.12.38", "6.12.9"): text.replace("6.12.38", "6.12.9") for path, text in files.items()}
    older[entry.replace("6.12.38", "6.12.9")] = files[entry].replace("6.12.38", "6.12.9").replace("ro", "ro old=1")
    write_tree(tmp_path, {**older, **files})
    params = {"set": ["console=ttyS0", "a=b c"], "remove": ["quiet"]}
    without = grub_azure_cmdline.run(params, GeneratorHost(str(tmp_path), tools=[]), True)
    assert "edit /etc/kernel/cmdline" not in without["actions"]
    host = GeneratorHost(str(tmp_path), tools=["kernel-install"])
    assert grub_azure_cmdline.run(params, host, True)["actions"][-1] == "edit /etc/kernel/cmdline"
    grub_azure_cmdline.run(params, host, False)
    assert host.read("/etc/kernel/cmdline") == 'root=UUID=0a1b ro console=ttyS0 a="b c"\n'
    assert not grub_azure_cmdline.run(params, host, False)["changed"]
    # Entries written by hand are not kernel-install's.
    (tmp_path / "etc/kernel/cmdline").unlink()
    write_tree(tmp_path, {"/boot/efi/vmlinuz-6.12.38+deb13-amd64": "k"})
    for path in tmp_path.glob("boot/efi/loader/entries/*"):
        path.write_text(re.sub(r"(?m)^linux .*", "linux /vmlinuz-6.12.38+deb13-amd64", path.read_text()))
    assert "edit /etc/kernel/cmdline" not in grub_azure_cmdline.run(params, host, True)["actions"]


OWN = "/boot/loader/entries/own.conf"


def cut_inside_the_generator(root: Path, name: str) -> GeneratorHost:
    """A tree whose generator writes every entry and the environment block anew and then meets a power cut."""

    def generate(_line: list[str], host: GeneratorHost) -> None:
        host.generate(False)
        raise Killed

    host = make(root, name, {"/usr/sbin/grub2-mkconfig": "#!/bin/sh\n"}, rewrite_bls=True)
    root = Path(host.root)
    kernel = next(entry.kernel for entry in bootloaders.read_entries(host))
    write_tree(
        root, {OWN: "title Own \udcff\nlinux %s\noptions root=LABEL=other ro own=1 rd.lvm.lv=x/y quiet\n" % kernel}
    )
    host.on_run = generate
    return host


@pytest.mark.parametrize("name", ["el8", "el9"])
def test_entries_that_a_generator_wrote_anew_before_a_power_cut_come_back(tmp_path: Path, name: str) -> None:
    host = cut_inside_the_generator(tmp_path / "root", name)
    before = {entry.id: entry.arguments for entry in bootloaders.read_entries(host)}
    with pytest.raises(Killed):
        grub_azure_cmdline.run({}, host, False)
    assert "own=1" not in host.read(OWN)
    host.on_run = None
    tree = snapshot(host)
    predicted = grub_azure_cmdline.run({}, host, True)
    assert predicted["changed"] and any("A run was cut off" in text for text in predicted["warnings"])
    assert snapshot(host) == tree
    result = grub_azure_cmdline.run({}, host, False)
    assert any(OWN + " was put back" in text for text in result["warnings"])
    assert {entry["id"]: entry["before"] for entry in result["entries"]} == before
    own = next(entry["after"] for entry in result["entries"] if entry["id"] == "own")
    assert own[:4] == ["root=LABEL=other", "ro", "own=1", "rd.lvm.lv=x/y"] and "quiet" not in own
    assert not host.exists("/boot/loader/azure-cmdline.journal")
    again = grub_azure_cmdline.run({}, host, False)
    assert not again["changed"] and not any("put back" in text for text in again.get("warnings", []))


@pytest.mark.parametrize("name", ["el8", "el9"])
def test_a_power_cut_at_any_step_around_such_a_generator_loses_no_argument(tmp_path: Path, name: str) -> None:
    options = {**TOOLS[name], "rewrite_bls": True}
    first = Path(make(tmp_path / "first", name, {"/usr/sbin/grub2-mkconfig": "#!/bin/sh\n"}).root)
    write_tree(first, {OWN: "title Own\nlinux /vmlinuz-1\noptions root=LABEL=other ro own=1 quiet\n"})

    def again(target: str, fault: Any = None) -> GeneratorHost:
        if not (tmp_path / target).exists():
            shutil.copytree(first, tmp_path / target, symlinks=True)
        return GeneratorHost(str(tmp_path / target), fault=fault, **options)

    counter = FaultAt()
    grub_azure_cmdline.run({}, again("count", counter), False)
    new = boot_trees.effective(tmp_path / "count")
    assert "own=1" in new["vmlinuz-1"][0]
    for number in range(len(counter.steps)):
        with pytest.raises(Killed):
            grub_azure_cmdline.run({}, again(str(number), FaultAt(number)), False)
        # Cut off once more, among the first steps, which put things back; then left to finish.
        with contextlib.suppress(Killed):
            grub_azure_cmdline.run({}, again(str(number), FaultAt(number % 7)), False)
        grub_azure_cmdline.run({}, again(str(number)), False)
        assert boot_trees.effective(tmp_path / str(number)) == new, counter.steps[number]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/etc/passwd": "x", "/boot/loader/entries/own.conf": 1}', "\udcff"])
def test_a_journal_that_is_none_is_dropped(tmp_path: Path, text: str) -> None:
    host = make(tmp_path, "el9")
    write_tree(Path(host.root), {"/boot/loader/azure-cmdline.journal": text, "/etc/passwd": "root"})
    result = grub_azure_cmdline.run({}, host, False)
    assert not any("put back" in warning for warning in result.get("warnings", []))
    assert host.read("/etc/passwd") == "root" and not host.exists("/boot/loader/azure-cmdline.journal")


def test_both_environment_blocks_of_an_image_for_both_firmwares(tmp_path: Path) -> None:
    def block(text: str) -> str:
        return ("# GRUB Environment Block\n" + text).ljust(1024, "#")

    esp = "/boot/efi/EFI/almalinux/grubenv"
    host = make(tmp_path, "el8", {esp: block("kernelopts=root=/dev/mapper/al-root ro quiet uefi=1\nx=y\n")})
    grub_azure_cmdline.run({"set": ["console=ttyS0"], "remove": ["quiet"]}, host, False)
    assert host.read(esp) == block("kernelopts=root=/dev/mapper/al-root ro uefi=1 console=ttyS0\nx=y\n")
    assert " quiet" not in host.read("/boot/grub2/grubenv") and "console=ttyS0" in host.read("/boot/grub2/grubenv")
    assert not grub_azure_cmdline.run({"set": ["console=ttyS0"], "remove": ["quiet"]}, host, False)["changed"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # 20_linux_xen: _XEN_REPLACE stands for GRUB_CMDLINE_LINUX, _XEN_REPLACE_DEFAULT for the other.
        ({"REPLACE_DEFAULT": "quiet dom=1"}, {"REPLACE_DEFAULT": "dom=1"}),
        ({"REPLACE": "quiet dom=1"}, {"REPLACE": "dom=1 a=1"}),
        ({"REPLACE": "quiet", "REPLACE_DEFAULT": "a=1 quiet"}, {"REPLACE": "a=1", "REPLACE_DEFAULT": ""}),
    ],
)
def test_what_xen_entries_get_instead_is_changed_too(
    tmp_path: Path, before: dict[str, str], after: dict[str, str]
) -> None:
    text = 'GRUB_CMDLINE_LINUX="b=1"\n' + "".join('GRUB_CMDLINE_LINUX_XEN_%s="%s"\n' % item for item in before.items())
    host = make(tmp_path, "debian12", {"/etc/default/grub": text})
    params = {"set": ["a=1"], "remove": ["quiet"], "serial_console": False}
    grub_azure_cmdline.run(params, host, False)
    expected = 'GRUB_CMDLINE_LINUX="b=1 a=1"\n'
    expected += "".join('GRUB_CMDLINE_LINUX_XEN_%s="%s"\n' % item for item in after.items())
    assert host.read("/etc/default/grub") == expected


def test_an_argument_that_a_drop_in_computes_away_is_told(tmp_path: Path) -> None:
    drop_in = 'GRUB_CMDLINE_LINUX_DEFAULT=$(echo "$GRUB_CMDLINE_LINUX_DEFAULT" | cut -d" " -f1,3)\n'
    files = {"/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet splash b=1"\n'}
    host = make(tmp_path, "debian12", {**files, "/etc/default/grub.d/z.cfg": drop_in})
    warnings = grub_azure_cmdline.run({}, host, False)["warnings"]
    assert any("no longer has b=1: what the generator reads does not say so" in text for text in warnings)


def test_the_menu_is_where_the_link_in_etc_leads(tmp_path: Path) -> None:
    menu = "default=0\ntitle A\n\tkernel /vmlinuz-2.6.32-754.el6.x86_64 ro quiet\n"
    write_tree(tmp_path, {"/etc/redhat-release": "CentOS release 6.10 (Final)\n", "/boot/grub0/grub.conf": menu})
    (tmp_path / "etc/grub.conf").symlink_to("../boot/grub0/grub.conf")
    host = GeneratorHost(str(tmp_path), tools=[])
    params = {"set": ["a=1"], "remove": ["quiet"], "serial_console": False}
    result = grub_azure_cmdline.run(params, host, False)
    assert result["bootloader"] == "grub-legacy" and result["entries"][0]["source"] == "/boot/grub0/grub.conf"
    assert host.read("/boot/grub0/grub.conf") == menu.replace("quiet", "a=1") and host.is_link("/etc/grub.conf")
    assert not grub_azure_cmdline.run(params, host, False)["changed"]


def test_a_line_of_kernel_cmdline_that_becomes_a_comment_costs_no_argument() -> None:
    wanted = cmdline.Wanted(("a=1",), ("quiet",))
    edited = kernel_cmdline.edit("ro x\nquiet # y", wanted)
    assert "a=1" in [line for line in edited.splitlines() if not line.lstrip().startswith("#")][0].split()
    assert kernel_cmdline.edit(edited, wanted) == edited
