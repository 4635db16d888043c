# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""initrd_hyperv and grub_azure_cmdline with Debian's own generators and loaders, on mounted disks (see systems.py).

The modules work with root= as on a mounted image; lsinitramfs, lsinitrd, grub-mkconfig run by hand, grub-script-check,
grub-editenv, bootctl and kernel-install, all run inside, are the witnesses. Nothing is booted here: the guests do that.

Slow (half an hour on two busy cores) and in need of root, loop devices, mmdebstrap and a Debian archive; skipped
with the reason elsewhere. BOOT_IMAGES names a directory that keeps the built systems for the next run.

    pytest tests/chroot/test_boot.py
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import systems
from systems import SYSTEMS, Mounted

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import grubenv
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import common
from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline, initrd_hyperv

HV = ["hv_vmbus", "hv_storvsc", "hv_netvsc"]
#: What Azure wants of Debian (rules BOOT-01 to BOOT-04), in this order.
WANTED = ["console=tty1", "console=ttyS0,115200n8", "earlyprintk=ttyS0,115200", "rootdelay=300"]

Open = Callable[[str], AbstractContextManager[Mounted]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("BOOT_IMAGES")
    return Path(named) if named else tmp_path_factory.mktemp("systems")


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Open:
    """Opens a fresh copy of a system by its name; skips where none can be built."""

    @contextmanager
    def open_system(name: str) -> Iterator[Mounted]:
        system = SYSTEMS[name]
        try:
            built = systems.images(system, folder)
            with systems.mounted(system, built, tmp_path) as result:
                prepare(result)
                yield result
        except systems.Unavailable as exc:
            pytest.skip(str(exc))
        finally:
            for path in tmp_path.glob("*.raw"):
                path.unlink()

    return open_system


def prepare(here: Mounted) -> None:
    """What an installer would have left: settings for this machine's hardware only, a loader with its entries."""
    if here.system.generator == "dracut":
        here.write("/etc/dracut.conf.d/host.conf", 'hostonly="yes"\nomit_dracutmodules+=" systemd plymouth "\n')
    else:
        here.write("/etc/initramfs-tools/conf.d/modules", "MODULES=dep\n")
    if here.system.esp:
        relaxed(here)
        here.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        here.write("/etc/kernel/cmdline", f"root=UUID={here.uuid} ro quiet splash\n")
        here.run("bootctl", "install", "--no-variables", f"--esp-path={here.system.esp}", "--make-entry-directory=yes")
        here.run("kernel-install", "add", here.version, "/boot/vmlinuz-" + here.version)
        return
    (here.root / "boot/grub").mkdir(exist_ok=True)
    if "grub-legacy" in here.system.packages:
        here.write("/boot/grub/device.map", "(hd0) /dev/sda\n")
    else:
        here.write("/etc/default/grub", 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n')
    here.run("update-grub")


def relaxed(here: Mounted) -> None:
    """bootctl and kernel-install want FAT and a partition of the ESP's type; a file system on a loop device is
    neither, and this variable is systemd's own way to let that pass."""
    for name in ("bootctl", "kernel-install"):
        program = here.root / "usr/bin" / name
        program.rename(program.with_suffix(".real"))
        text = f'#!/bin/bash\nexport SYSTEMD_RELAX_ESP_CHECKS=1\nexec -a {name} /usr/bin/{name}.real "$@"\n'
        here.write(f"/usr/bin/{name}", text, 0o755)


def host_of(here: Mounted) -> Host:
    return Host(str(here.root))


def drivers(params: dict[str, Any], here: Mounted, check: bool = False) -> dict[str, Any]:
    return initrd_hyperv.run(params, host_of(here), check)


def arguments(params: dict[str, Any], here: Mounted, check: bool = False) -> dict[str, Any]:
    return grub_azure_cmdline.run(params, host_of(here), check)


def snapshot(here: Mounted, *places: str) -> dict[str, bytes]:
    """Every file below some directories."""
    found = [path for place in places for path in sorted((here.root / place.lstrip("/")).rglob("*"))]
    return {str(path): path.read_bytes() for path in found if path.is_file() and not path.is_symlink()}


def listed(here: Mounted, image: str) -> set[str]:
    """The kernel modules in an image as the distribution's own tool lists them."""
    if here.system.generator == "dracut":
        text = here.run("lsinitrd", image).stdout
    else:
        text = here.run("lsinitramfs", image).stdout
    names = re.findall(rf"lib/modules/{re.escape(here.version)}/\S*/([^/\s]+)\.ko(?:\.\w+)?$", text, re.M)
    return {name.replace("-", "_") for name in names}


def read(here: Mounted, image: str) -> common.reader.Content:
    return common.read_image(host_of(here), image)


def needed(here: Mounted) -> set[str]:
    """The drivers that this kernel has as modules; newer ones have hv_vmbus built in."""
    builtin = here.read(f"/lib/modules/{here.version}/modules.builtin")
    return {name for name in HV if f"/{name}.ko" not in builtin}


def image_of(here: Mounted) -> str:
    return "/boot/initrd.img-" + here.version


def generate(here: Mounted, image: str = "", *options: str) -> None:
    """Have the generator make the image by hand."""
    image = image or image_of(here)
    if here.system.generator == "dracut":
        here.run("dracut", "-f", *options, image, here.version)
    else:
        here.run("update-initramfs", "-u" if (here.root / image[1:]).exists() else "-c", "-k", here.version)


# -- images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["debian11", "debian12", "debian12-dracut", "debian13", "testing-dracut"])
def test_an_image_for_other_hardware_gets_the_drivers(opened: Open, name: str) -> None:
    with opened(name) as here:
        if here.system.generator == "dracut":
            generate(here)
        image = image_of(here)
        assert needed(here) and not needed(here) <= listed(here, image)
        before = snapshot(here, "/boot", "/etc")
        predicted = drivers({}, here, True)
        assert snapshot(here, "/boot", "/etc") == before
        result = drivers({}, here)
        assert result["generator"] == here.system.generator
        assert [(k["version"], k["image"], k["rebuilt"], k["missing_after"]) for k in result["kernels"]] == [
            (here.version, image, True, [])
        ]
        assert set(result["kernels"][0]["builtin"]) == set(HV) - needed(here)
        for key in ("changed", "generator", "actions", "diff"):
            assert predicted[key] == result[key]
        # The distribution's tool and our reader see the same modules, among them ours.
        assert listed(here, image) == read(here, image).of(here.version)
        assert needed(here) <= listed(here, image)
        assert (here.root / result["kernels"][0]["backup_file"][1:]).read_bytes() == before[f"{here.root}{image}"]
        after = snapshot(here, "/boot", "/etc")
        assert not drivers({}, here)["changed"] and snapshot(here, "/boot", "/etc") == after
        # For good: an image that somebody else has made holds them too.
        generate(here)
        assert needed(here) <= listed(here, image)


COMPRESSIONS = {
    "debian12": ["gzip", "bzip2", "lzma", "xz", "lzop", "lz4", "zstd"],
    "debian12-dracut": ["xz", "zstd", "lz4", "cat"],
}


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_an_image_of_every_compression_is_read_as_the_own_tool_reads_it(opened: Open, name: str) -> None:
    with opened(name) as here:
        image = "/boot/t"
        for kind in COMPRESSIONS[name]:
            if here.system.generator == "dracut":
                options = ["--no-hostonly", "--early-microcode"] if kind == "zstd" else ["--hostonly"]
                here.write("/lib/firmware/intel-ucode/06-55-04", "m" * 2048)
                generate(here, image, "--compress", kind, *options)
            else:
                here.write("/etc/initramfs-tools/conf.d/modules", f"MODULES=list\nCOMPRESS={kind}\n")
                early = '#!/bin/sh\n[ "$1" = prereqs ] && exit\n. /usr/share/initramfs-tools/hook-functions\n'
                early += "cd /lib/firmware && echo intel-ucode | cpio -o -H newc >/tmp/early.cpio 2>/dev/null\n"
                early += "prepend_earlyinitramfs /tmp/early.cpio\n"
                here.write("/etc/initramfs-tools/hooks/early", early, 0o755)
                (here.root / "lib/firmware/intel-ucode").mkdir(parents=True, exist_ok=True)
                here.run("mkinitramfs", "-o", image, here.version)
            content = read(here, image)
            assert content.generator == here.system.generator
            assert content.of(here.version) == listed(here, image), kind
            assert content.of(here.version) or here.system.generator != "dracut", kind
            # One byte less, or another byte in the middle, and it is no image any more, or reads as the same.
            real = here.root / image[1:]
            data = real.read_bytes()
            real.write_bytes(data[: len(data) // 2])
            with pytest.raises(AzurePrepError, match="cut off|damaged"):
                read(here, image)
            real.unlink()


def killer(here: Mounted) -> None:
    """A part of the image's making that kills the generator, as the kernel does when memory is short."""
    if here.system.generator == "dracut":
        text = "check() { return 0; }\ninstall() { kill -9 $$; }\n"
        here.write("/usr/lib/dracut/modules.d/99kill/module-setup.sh", text, 0o755)
        return
    text = '#!/bin/sh\n[ "$1" = prereqs ] && exit\n'
    text += "echo half >/boot/initrd.img-$version.new\n"
    text += 'for p in /proc/[0-9]*; do case $(tr "\\0" " " <$p/cmdline) in\n'
    text += "*update-initramfs*|*mkinitramfs*) kill -9 ${p#/proc/} ;; esac; done\n"
    here.write("/etc/initramfs-tools/hooks/kill", text, 0o755)


def filler(here: Mounted) -> None:
    """A part of the image's making that takes the room on /boot that was free when it began."""
    fill = "dd if=/dev/zero of=/boot/filler bs=64k 2>/dev/null || :"
    if here.system.generator == "dracut":
        text = f"check() {{ return 0; }}\ninstall() {{ {fill}; }}\n"
        here.write("/usr/lib/dracut/modules.d/99fill/module-setup.sh", text, 0o755)
    else:
        text = f'#!/bin/sh\n[ "$1" = prereqs ] && exit\n{fill}\n'
        here.write("/etc/initramfs-tools/hooks/fill", text, 0o755)


@pytest.mark.parametrize("name", ["debian12", "debian12-dracut"])
@pytest.mark.parametrize("spoil", [killer, filler])
def test_a_generator_that_is_killed_or_runs_out_of_room_costs_nothing(
    opened: Open, name: str, spoil: Callable[[Mounted], None]
) -> None:
    with opened(name) as here:
        spoil(here)
        before = snapshot(here, "/boot", "/etc")
        with pytest.raises(AzurePrepError, match="put back"):
            drivers({"drivers": ["hv_vmbus", "hv_netvsc", "hv_storvsc"]}, here)
        (here.root / "boot/filler").unlink(missing_ok=True)
        after = snapshot(here, "/boot", "/etc")
        assert sorted(after) == sorted(before)
        assert [path for path in before if after[path] != before[path]] == []


def test_a_full_boot_partition_is_told_beforehand(opened: Open) -> None:
    with opened("debian12") as here:
        here.run("sh", "-c", "dd if=/dev/zero of=/boot/filler bs=64k 2>/dev/null || :")
        with (here.root / "boot/filler").open("r+b") as stream:
            stream.truncate(os.stat(here.root / "boot/filler").st_size - 6 * systems.MIB)
        before = snapshot(here, "/boot", "/etc")
        with pytest.raises(AzurePrepError, match="MiB free, and the new initramfs images need about"):
            drivers({}, here)
        assert snapshot(here, "/boot", "/etc") == before


RUN = """
import sys
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline, initrd_hyperv
{"i": initrd_hyperv, "g": grub_azure_cmdline}[sys.argv[1]].run({}, Host(sys.argv[2]), False)
"""


def killed_after(seconds: float, module: str, here: Mounted) -> bool:
    """Run a module in a process group of its own and kill all of it; True where it was not done by then."""
    line = [sys.executable, "-c", RUN, module, str(here.root)]
    process = subprocess.Popen(
        line, start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        assert process.wait(seconds) == 0
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def test_the_module_killed_at_any_moment_leaves_a_good_image(opened: Open) -> None:
    """Module and generator die together, as in a power cut; each time the image is whole, the old one or the new."""
    with opened("debian12") as here:
        image = image_of(here)
        cut = 0
        for number in range(12):
            if not killed_after(0.5 + 0.8 * number, "i", here):
                break
            cut += 1
            names = read(here, image).of(here.version)
            assert names == listed(here, image)
        drivers({}, here)
        assert cut >= 2 and set(HV) <= listed(here, image)
        assert [name for name in os.listdir(here.root / "boot") if "azure-prep" in name or name.endswith(".new")] == []
        assert len(os.listdir(here.root / "boot/azure-backup")) == 1
        assert not drivers({}, here)["changed"]


# -- GRUB 2 ----------------------------------------------------------------------------------------------------


def linux_lines(here: Mounted, path: str = "/boot/grub/grub.cfg") -> list[list[str]]:
    """The arguments of each entry of a grub.cfg without quotes, by a plain look at its text."""
    return [line.split() for line in re.findall(r"^\s*linux\s+/\S+ (.*)$", here.read(path), re.M)]


@pytest.mark.parametrize("name", ["debian11", "debian12", "debian12-dracut", "debian13", "testing-dracut"])
def test_every_entry_of_grub_gets_the_arguments(opened: Open, name: str) -> None:
    with opened(name) as here:
        here.write("/etc/default/grub.d/50-cloudimg-settings.cfg", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet audit=1"\n')
        here.run("update-grub")
        old = linux_lines(here)
        assert [line[1:] for line in old[:2]] == [["ro", "quiet", "audit=1"]] * 2
        # "single"; in newer releases "dis_ucode_ldr" too.
        recovery = old[2][2:]
        assert recovery[0] == "single" and len(old) == 3
        before = snapshot(here, "/boot", "/etc")
        predicted = arguments({}, here, True)
        assert snapshot(here, "/boot", "/etc") == before
        result = arguments({}, here)
        assert linux_lines(here) == [
            [f"root=UUID={here.uuid}", "ro", *WANTED, "audit=1"],
            [f"root=UUID={here.uuid}", "ro", *WANTED, "audit=1"],
            [f"root=UUID={here.uuid}", "ro", *recovery, *WANTED],
        ]
        assert [entry["after"] for entry in result["entries"]] == linux_lines(here)
        for key in ("changed", "bootloader", "actions", "diff", "entries"):
            assert predicted[key] == result[key]
        text = here.read("/boot/grub/grub.cfg")
        assert re.search(r"^terminal_input .*serial", text, re.M) and re.search(
            r"^terminal_output .*serial", text, re.M
        )
        assert re.search(r"^serial .*--unit=0", text, re.M) and "set timeout=5" in text
        here.run("grub-script-check", "/boot/grub/grub.cfg")
        after = snapshot(here, "/boot", "/etc")
        assert not arguments({}, here)["changed"] and snapshot(here, "/boot", "/etc") == after
        # Generated by hand it is the same, and none of the copies that were kept became an entry.
        here.run("update-grub")
        assert here.read("/boot/grub/grub.cfg") == text


#: /etc/default/grub, drop-ins by name, and the arguments of a normal and of the recovery entry behind "ro", as the
#: manuals of the shell and of GRUB ("Simple configuration handling") have it; None: grub-mkconfig refuses the file.
ODD: dict[str, tuple[str, dict[str, str], list[str] | None, list[str]]] = {
    "no line end, non-ASCII": (
        '# Größe \u2013 \u201eZitat\u201c\nGRUB_CMDLINE_LINUX="quiet name=müller"', {},
        ["name=müller", *WANTED], ["name=müller", *WANTED],
    ),
    "several assignments": (
        "GRUB_CMDLINE_LINUX=one=1\nGRUB_CMDLINE_LINUX='two=2 splash'\nexport GRUB_CMDLINE_LINUX\n", {},
        ["two=2", *WANTED], ["two=2", *WANTED],
    ),
    "continuation": (
        'GRUB_CMDLINE_LINUX="a=1 \\\n  quiet \\\n  b=2"\nGRUB_CMDLINE_LINUX_DEFAULT="rhgb"\n', {},
        ["a=1", "b=2", *WANTED], ["a=1", "b=2", *WANTED],
    ),
    "drop-ins that append": (
        'GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
        {
            "10-a": 'GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX} b=2 rhgb"\n',
            "90-z": "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT 'c=x y'\"",
        },
        ["a=1", "b=2", *WANTED, "c=x y"], ["a=1", "b=2", *WANTED],
    ),
    "a drop-in that overrides": (
        'GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX_DEFAULT="b=2"\n',
        {"50-cloudimg-settings": "GRUB_CMDLINE_LINUX_DEFAULT='console=tty1 console=ttyS0'\nGRUB_TIMEOUT=0\n"},
        ["a=1", *WANTED], ["a=1", *WANTED],
    ),
    "quotes in quotes": (
        "GRUB_CMDLINE_LINUX='dyndbg=\"file a.c +p\" quiet'\"\" # quiet\n", {},
        ["dyndbg=file a.c +p", *WANTED], ["dyndbg=file a.c +p", *WANTED],
    ),
    # A console behind the others would be /dev/console: the screen's moves before them, for every entry.
    "consoles of others": (
        'GRUB_CMDLINE_LINUX="console=ttyS0,9600 console=hvc0"\nGRUB_CMDLINE_LINUX_DEFAULT="console=tty0"\n', {},
        ["console=hvc0", "console=tty0", *WANTED], ["console=hvc0", "console=tty0", *WANTED],
    ),
    # GRUB drops every carriage return of its configuration (grub_file_getline).
    "DOS line ends": (
        'GRUB_TIMEOUT=1\r\nGRUB_CMDLINE_LINUX="a=1 quiet"\r\nGRUB_DISABLE_RECOVERY="TRUE"\r\n# end\r\n', {},
        ["a=1", *WANTED], ["a=1", *WANTED],
    ),
    "appended as bash does": ('GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX+=" x"\n', {}, None, []),
}  # fmt: skip


def effective(here: Mounted) -> list[list[str]]:
    """The arguments of each entry behind "ro", as GRUB's own lexer takes the quotes away (shlex has its rules)."""
    lines = re.findall(r"^\s*linux\s+/\S+ (.*)$", here.read("/boot/grub/grub.cfg"), re.M)
    return [shlex.split(line)[2:] for line in lines]


def test_odd_defaults_with_the_real_grub_mkconfig(opened: Open) -> None:
    with opened("debian12") as here:
        plain = here.read("/boot/grub/grub.cfg")
        for name, (text, drop_ins, normal, recovery) in ODD.items():
            shutil.rmtree(here.root / "etc/default/grub.d", ignore_errors=True)
            here.write("/boot/grub/grub.cfg", plain)
            here.write("/etc/default/grub", text)
            for drop_in, content in drop_ins.items():
                here.write(f"/etc/default/grub.d/{drop_in}.cfg", content)
            by_hand = here.run("update-grub", check=False)
            before = snapshot(here, "/boot/grub", "/etc/default")
            if normal is None:
                # What Debian's shell refuses is refused, with its own message, and left alone.
                assert by_hand.returncode
                with pytest.raises(AzurePrepError, match="grub-mkconfig.*not found"):
                    arguments({}, here)
                assert snapshot(here, "/boot/grub", "/etc/default") == before
                continue
            assert by_hand.returncode == 0, name
            result = arguments({}, here)
            expected = [normal, normal, ["single", *recovery]]
            assert effective(here) == expected, name
            assert [entry["after"][2:] for entry in result["entries"]] == expected, name
            assert not arguments({}, here)["changed"], name
            text = here.read("/boot/grub/grub.cfg")
            here.run("update-grub")
            assert here.read("/boot/grub/grub.cfg") == text, name


def test_entries_of_the_xen_hypervisor_get_the_arguments_too(opened: Open) -> None:
    """The hypervisor is an empty promise here, which is all that 20_linux_xen asks for."""
    with opened("debian12") as here:
        here.write("/boot/xen-4.17-amd64.gz", "xen")
        here.write("/boot/config-" + here.version, "CONFIG_XEN_DOM0=y\n")
        here.write(
            "/etc/default/grub",
            'GRUB_CMDLINE_LINUX="quiet a=1"\nGRUB_CMDLINE_LINUX_XEN_REPLACE="quiet dom=1"\n'
            "GRUB_CMDLINE_LINUX_XEN_REPLACE_DEFAULT='splash dom=2'\n",
        )
        here.run("update-grub")
        result = arguments({}, here)
        assert effective(here) == [["a=1", *WANTED], ["a=1", *WANTED], ["single", "a=1", *WANTED]]
        kernels = re.findall(r"^\s*module2?\s+/vmlinuz\S* placeholder (.*)$", here.read("/boot/grub/grub.cfg"), re.M)
        root = [f"root=UUID={here.uuid}", "ro"]
        xen = [[*root, "dom=1", *WANTED, "dom=2"]] * (len(kernels) - 1) + [[*root, "single", "dom=1", *WANTED]]
        assert len(kernels) >= 2 and sorted(line.split() for line in kernels) == sorted(xen)
        assert sorted(entry["after"] for entry in result["entries"] if "Xen" in entry["title"]) == sorted(xen)
        assert not arguments({}, here)["changed"]


def test_a_generator_of_grub_that_fails_changes_nothing(opened: Open) -> None:
    with opened("debian12") as here:
        before = snapshot(here, "/boot", "/etc/default")
        for text in (
            "#!/bin/sh\nexit 1\n",
            "#!/bin/sh\necho \"menuentry 'x' {\"\n",
            "#!/bin/sh\nkill -9 $PPID\n",
            "#!/bin/sh\ndd if=/dev/zero of=/boot/filler bs=64k 2>/dev/null\nhead -c 300000 /dev/zero | tr '\\0' '#'\n",
        ):
            here.write("/etc/grub.d/45_bad", text, 0o755)
            with pytest.raises(AzurePrepError, match="put back"):
                arguments({}, here)
            (here.root / "boot/filler").unlink(missing_ok=True)
            assert snapshot(here, "/boot", "/etc/default") == before, text
        (here.root / "etc/grub.d/45_bad").unlink()
        cut = sum(killed_after(0.3 + 0.3 * number, "g", here) for number in range(6))
        assert cut
        here.run("grub-script-check", "/boot/grub/grub.cfg")
        assert len(linux_lines(here)) == 3
        arguments({}, here)
        assert [line[-4:] for line in linux_lines(here)] == [WANTED] * 3


def test_the_environment_block_is_as_grub_editenv_writes_it(opened: Open) -> None:
    with opened("debian13") as here:
        values = {"kernelopts": "root=UUID=0a1b ro a=\\b \\\\ c", "saved_entry": "x>y", "empty": ""}
        here.run("grub-editenv", "/tmp/theirs", "create")
        text = here.read("/tmp/theirs")
        for name, value in values.items():
            here.run("grub-editenv", "/tmp/theirs", "set", f"{name}={value}")
            text = grubenv.change("/tmp/ours", text, name, value)
            assert text == here.read("/tmp/theirs")
        assert grubenv.parse("/tmp/theirs", here.read("/tmp/theirs")) == values
        here.write("/tmp/ours", grubenv.change("/tmp/ours", text, "kernelopts", "root=/dev/sda1 ro q='1 2'"))
        assert "kernelopts=root=/dev/sda1 ro q='1 2'\n" in here.run("grub-editenv", "/tmp/ours", "list").stdout
        here.run("grub-editenv", "/tmp/theirs", "set", "kernelopts=root=/dev/sda1 ro q='1 2'")
        assert here.read("/tmp/ours") == here.read("/tmp/theirs")


# -- both generators, GRUB Legacy, systemd-boot ----------------------------------------------------------------


def test_with_both_generators_the_one_that_made_the_image_makes_it_again(opened: Open) -> None:
    with opened("debian13") as here:
        assert (here.root / "usr/bin/dracut").exists() and (here.root / "usr/sbin/update-initramfs").exists()
        assert drivers({}, here, True)["generator"] == "initramfs-tools"
        here.write("/etc/dracut.conf.d/host.conf", 'hostonly="yes"\nomit_dracutmodules+=" systemd plymouth "\n')
        here.run("dracut", "-f", image_of(here), here.version)
        result = drivers({}, here)
        assert result["generator"] == "dracut" and result["kernels"][0]["missing_after"] == []
        assert not (here.root / "etc/initramfs-tools/modules").read_text().count("hv_")
        assert set(HV) <= read(here, image_of(here)).of(here.version)
        assert not drivers({}, here)["changed"]


def test_grub_legacy_and_the_update_grub_that_writes_its_menu(opened: Open) -> None:
    with opened("debian12-grub-legacy") as here:
        menu = "/boot/grub/menu.lst"
        text = here.read(menu)
        assert f"# kopt=root=UUID={here.uuid} ro\n" in text
        here.write(menu, text.replace("# defoptions=\n", "# defoptions=quiet splash vga=791\n"))
        here.run("update-grub")
        assert drivers({}, here)["kernels"][0]["missing_after"] == []
        result = arguments({}, here)
        assert result["bootloader"] == "grub-legacy"
        expected = [
            [f"root=UUID={here.uuid}", "ro", *WANTED, "vga=791"],
            [f"root=UUID={here.uuid}", "ro", "single", *WANTED],
        ]

        def entries() -> list[list[str]]:
            found = [line.split()[2:] for line in here.read(menu).splitlines() if line.startswith("kernel")]
            return [sorted(line) for line in found]

        assert entries() == [sorted(line) for line in expected]
        assert not arguments({}, here)["changed"]
        here.run("update-grub")
        assert entries() == [sorted(line) for line in expected]
        assert [[a for a in e["after"] if "console" in a] for e in arguments({}, here)["entries"]] == [WANTED[:2]] * 2
        assert not arguments({}, here)["changed"] and not drivers({}, here)["changed"]


def bootctl_entries(here: Mounted) -> list[list[str]]:
    """The arguments of each entry as systemd's own reader has them."""
    text = here.run("bootctl", "list", "--json=short", f"--esp-path={here.system.esp}").stdout
    return [entry["options"].split() for entry in json.loads(text) if entry["type"] == "type1"]


@pytest.mark.parametrize("hook", [True, False])
def test_systemd_boot_with_entries_of_kernel_install(opened: Open, hook: bool) -> None:
    """hook: Debian's, which has kernel-install copy each new image to the EFI system partition."""
    with opened("debian13-systemd-boot") as here:
        (here.root / "etc/kernel/cmdline").unlink()
        if not hook:
            (here.root / "etc/initramfs/post-update.d/systemd-boot").chmod(0o644)
        machine = "systemd.machine_id=0123456789abcdef0123456789abcdef"
        root = f"root=UUID={here.uuid}"
        assert bootctl_entries(here) == [[root, "ro", "quiet", "splash", machine]]
        result = drivers({}, here)
        image = result["kernels"][0]["image"]
        assert image.startswith("/efi/0123") and result["kernels"][0]["missing_after"] == []
        for path in (image, image_of(here)):
            assert set(HV) <= listed(here, path) and listed(here, path) == read(here, path).of(here.version)
        # In a chroot kernel-install would have taken the arguments of this machine.
        assert bootctl_entries(here) == [[root, "ro", "quiet", "splash", machine]]
        assert not drivers({}, here)["changed"]
        assert arguments({}, here)["bootloader"] == "systemd-boot"
        assert bootctl_entries(here) == [[root, "ro", machine, *WANTED]]
        assert here.read("/etc/kernel/cmdline").split() == [root, "ro", *WANTED]
        assert not arguments({}, here)["changed"]
        # What comes later finds images and arguments.
        here.run("kernel-install", "add", here.version, "/boot/vmlinuz-" + here.version)
        assert bootctl_entries(here) == [[root, "ro", *WANTED, machine]]
        assert set(HV) <= listed(here, image)
        assert not arguments({}, here)["changed"] and not drivers({}, here)["changed"]
