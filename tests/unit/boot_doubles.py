"""Stand-ins for the commands that write boot configuration, for trees without a distribution in them.

GeneratorHost is a Host whose run() does in Python what the named tools are documented to do:

* grub-mkconfig, grub2-mkconfig (-o FILE): a real shell (`sh -e`) sources /etc/default/grub and, as Debian's and
  Ubuntu's do, /etc/default/grub.d/*.cfg; GRUB_TERMINAL fills GRUB_TERMINAL_INPUT and GRUB_TERMINAL_OUTPUT, and a
  word there that is no terminal (one with a carriage return at its end) is refused; a normal
  entry per /boot/vmlinuz-* gets "root=... ro LINUX DEFAULT", a recovery entry "root=... ro single LINUX" unless
  GRUB_DISABLE_RECOVERY is true; /etc/grub.d/40_custom is copied from its third line on. That is the order of
  util/grub-mkconfig.in and util/grub.d/{00_header,10_linux}.in. The result goes to FILE.new first, then to FILE.
* with bls=True (Red Hat from 8 on): no entries are written but "blscfg", and a fallback kernelopts; kernelopts in an
  environment block that has one is written anew from the defaults (8), or every entry file's options (rewrite_bls,
  9.0 to 9.2, Fedora): what only they held is lost. --no-grubenv-update leaves the block alone.
* with newer_bls=True (Red Hat from 9 on): /etc/kernel/cmdline is written anew from the root device and
  GRUB_CMDLINE_LINUX with "rhgb quiet" behind it where /etc/default/grub is newer, as their 10_linux does.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.initramfs import reader

VARIABLES = (
    "GRUB_CMDLINE_LINUX",
    "GRUB_CMDLINE_LINUX_DEFAULT",
    "GRUB_TERMINAL",
    "GRUB_SERIAL_COMMAND",
    "GRUB_TIMEOUT",
    "GRUB_TIMEOUT_STYLE",
    "GRUB_HIDDEN_TIMEOUT",
    "GRUB_DISABLE_RECOVERY",
    "GRUB_ENABLE_BLSCFG",
)


def source_defaults(root: Path, drop_ins: bool) -> dict[str, str]:
    """What a real shell makes of the defaults; AzurePrepError where it gives up."""
    # Commands that the defaults call to name the distribution.
    script = "sed() { echo Linux; }; lsb_release() { echo Linux; }; set -e\n. ./etc/default/grub\n"
    if drop_ins:
        script += 'for f in ./etc/default/grub.d/*.cfg; do if [ -e "$f" ]; then . "$f"; fi; done\n'
    script += "".join('printf "%%s\\0" "%s=${%s-}"\n' % (name, name) for name in VARIABLES)
    result = subprocess.run(["sh", "-c", script], cwd=root, capture_output=True, timeout=10, check=False)
    if result.returncode:
        raise AzurePrepError("grub-mkconfig failed: " + result.stderr.decode(errors="replace"))
    pairs = result.stdout.decode("utf-8", "surrogateescape").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


class GeneratorHost(Host):
    """A Host with a boot configuration generator in it."""

    def __init__(
        self,
        root: str,
        tools: Sequence[str] = ("grub-mkconfig", "update-grub"),
        fault: Callable[[str, str], None] | None = None,
        root_device: str = "UUID=0a1b",
        drop_ins: bool = True,
        bls: bool = False,
        newer_bls: bool = False,
        rewrite_bls: bool = False,
        fail: str = "",
        on_run: Callable[[list[str], GeneratorHost], None] | None = None,
    ) -> None:
        super().__init__(root, fault)
        self.tools = tools
        self.root_device = root_device
        self.drop_ins = drop_ins
        self.bls = bls
        self.newer_bls = newer_bls
        self.rewrite_bls = rewrite_bls
        self.fail = fail
        self.on_run = on_run
        self.ran: list[list[str]] = []

    def which(self, name: str) -> str | None:
        base = name.rsplit("/", 1)[-1]
        return "/usr/sbin/" + base if base in self.tools else None

    def run(self, argv: Sequence[str], check: bool = True, **_options: Any) -> CommandResult:
        program = self.which(argv[0])
        if program is None:
            raise AzurePrepError("The command %s is not installed." % argv[0])
        line = [str(word) for word in argv]
        self._step("run", program)
        self.ran.append(line)
        if self.fail:
            raise AzurePrepError(self.fail)
        if self.on_run is not None:
            self.on_run(line, self)
            return CommandResult(line, 0, "", "")
        base = program.rsplit("/", 1)[-1]
        directory = "/boot/grub2" if self.is_dir("/boot/grub2") else "/boot/grub"
        target = directory + "/grub.cfg"
        if base.endswith("mkconfig"):
            target = line[line.index("-o") + 1]
        real = Path(self.path(target))
        text = self.generate("--no-grubenv-update" in line)
        Path(str(real) + ".new").write_bytes(text.encode("utf-8", "surrogateescape"))
        os.replace(str(real) + ".new", real)
        return CommandResult(line, 0, "", "")

    def generate(self, keep_block: bool = True) -> str:
        values = source_defaults(Path(self.root), self.drop_ins)
        if set(re.split("[ \t\n]+", values["GRUB_TERMINAL"])) - {"serial", "console", "gfxterm", ""}:
            raise AzurePrepError("grub-mkconfig failed: Invalid output terminal %r" % values["GRUB_TERMINAL"])
        lines = ["### BEGIN /etc/grub.d/00_header ###", "set default=0"]
        lines += ["if [ -s $prefix/grubenv ]; then", "  load_env", "fi"]
        lines += ['if [ x"${feature_menuentry_id}" = xy ]; then', '  menuentry_id_option="--id"', "else"]
        lines += ['  menuentry_id_option=""', "fi"]
        if "serial" in values["GRUB_TERMINAL"]:
            lines.append(values["GRUB_SERIAL_COMMAND"] or "serial")
        if values["GRUB_TERMINAL"]:
            lines += ["terminal_input " + values["GRUB_TERMINAL"], "terminal_output " + values["GRUB_TERMINAL"]]
        lines.append("set timeout=%s" % values["GRUB_TIMEOUT"])
        lines += ["### END /etc/grub.d/00_header ###", "### BEGIN /etc/grub.d/10_linux ###"]
        default = values["GRUB_CMDLINE_LINUX"] + " " + values["GRUB_CMDLINE_LINUX_DEFAULT"]
        if self.bls:
            lines += ['if [ -z "${kernelopts}" ]; then']
            lines += ['  set kernelopts="root=%s ro %s"' % (self.root_device, default.strip()), "fi"]
            lines += ["insmod blscfg", "blscfg"]
            self._write_kernel_cmdline(values)
            self._write_options("root=%s ro %s" % (self.root_device, default.strip()), keep_block)
        else:
            lines += self._entries(values, default)
        lines += ["### END /etc/grub.d/10_linux ###"]
        custom = self.read("/etc/grub.d/40_custom", default="")
        if custom:
            lines += ["### BEGIN /etc/grub.d/40_custom ###"] + custom.split("\n")[2:]
            lines += ["### END /etc/grub.d/40_custom ###"]
        return "\n".join(lines) + "\n"

    def _write_kernel_cmdline(self, values: dict[str, str]) -> None:
        path = Path(self.path("/etc/kernel/cmdline"))
        defaults = Path(self.path("/etc/default/grub"))
        if not self.newer_bls or not path.parent.is_dir():
            return
        if not path.exists() or path.stat().st_mtime_ns < defaults.stat().st_mtime_ns:
            text = "root=%s ro %s rhgb quiet\n" % (self.root_device, values["GRUB_CMDLINE_LINUX"])
            path.write_text(text, encoding="utf-8", errors="surrogateescape")

    def _write_options(self, options: str, keep_block: bool) -> None:
        block = Path(self.path("/boot/grub2/grubenv"))
        if not self.newer_bls and not keep_block and block.exists():
            text = block.read_bytes().decode("utf-8", "surrogateescape").rstrip("#")
            lines = [line for line in text.splitlines() if not line.startswith("kernelopts=")]
            if len(lines) != len(text.splitlines()):
                text = "".join(line + "\n" for line in [*lines, "kernelopts=" + options])
                block.write_bytes(text.encode("utf-8", "surrogateescape").ljust(1024, b"#"))
        for name in self.glob("/boot/loader/entries/*.conf") if self.rewrite_bls else []:
            entry = Path(self.path(name))
            data = re.sub(rb"(?m)^options .*$", b"options " + options.encode(), entry.read_bytes())
            entry.write_bytes(data)

    def _entries(self, values: dict[str, str], default: str) -> list[str]:
        names = [path.rsplit("/", 1)[1] for path in self.glob("/boot/vmlinuz-*")]
        names.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)], reverse=True)
        lines: list[str] = []
        for number, name in enumerate(names):
            version = name[len("vmlinuz-") :]
            kinds = [("advanced", default)]
            if values["GRUB_DISABLE_RECOVERY"] != "true":
                kinds.append(("recovery", "single " + values["GRUB_CMDLINE_LINUX"]))
            if number == 0:
                lines += self._entry("GNU/Linux", "gnulinux-simple-0a1b", version, default, "")
                lines.append("submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-0a1b' {")
            for kind, arguments in kinds:
                title = "GNU/Linux, with Linux %s%s" % (version, " (recovery mode)" if kind == "recovery" else "")
                lines += self._entry(title, "gnulinux-%s-%s-0a1b" % (version, kind), version, arguments, "\t")
        return lines + (["}"] if names else [])

    def _entry(self, title: str, identity: str, version: str, arguments: str, indent: str) -> list[str]:
        body = ["menuentry '%s' --class gnu $menuentry_id_option '%s' {" % (title, identity)]
        body += ["\tload_video", "\tinsmod ext2"]
        body += ["\tlinux\t/boot/vmlinuz-%s root=%s ro  %s" % (version, self.root_device, arguments)]
        for pattern in ("/boot/initrd.img-%s", "/boot/initrd-%s", "/boot/initramfs-%s.img"):
            if self.exists(pattern % version):
                body.append("\tinitrd\t" + pattern % version)
        return [indent + line for line in body + ["}"]]


def newc(files: dict[str, bytes]) -> bytes:
    """A cpio archive in "newc" form (Linux, buffer-format.rst), as cpio(1) -H newc writes it."""

    def member(name: str, data: bytes, mode: int = 0o100644) -> bytes:
        raw = name.encode() + b"\0"
        numbers = (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        result = b"070701" + b"".join(b"%08X" % number for number in numbers) + raw
        result += b"\0" * (-len(result) % 4)
        return result + data + b"\0" * (-len(data) % 4)

    # Scripts are run, everything else here is only read.
    modes = {name: 0o100755 if name.startswith("scripts/") else 0o100644 for name in files}
    return b"".join(member(name, data, modes[name]) for name, data in files.items()) + member("TRAILER!!!", b"", 0)


MARKER_FILES = {
    "initramfs-tools": "conf/initramfs.conf",
    "dracut": "usr/lib/dracut/hooks/cmdline/01.sh",
    "mkinitrd-suse": "mkinitrd.config",
    "mkinitrd": "bin/nash",
    "mkinitcpio": "init_functions",
}


def image(version: str, modules: Sequence[str], generator: str = "initramfs-tools", pack: Any = None) -> bytes:
    """An initramfs image of one kernel with these modules, packed by gzip unless `pack` does it otherwise."""
    files = {MARKER_FILES[generator]: b"x", "init": b"#!/bin/sh\n"}
    for name in modules:
        path = "usr/lib/modules/%s/kernel/drivers/%s.ko" % (version, name)
        files["lib/%s.ko" % name if generator == "mkinitrd" else path] = b"\x7fELF" + name.encode()
    return (gzip.compress if pack is None else pack)(newc(files))


def kernel_tree(
    version: str, modules: Sequence[str], builtin: Sequence[str] = (), kernel: str = "/boot/vmlinuz-%s"
) -> dict[str, str | bytes]:
    """The files of an installed kernel: its image, its modules, modules.dep and modules.builtin."""
    base = "/lib/modules/" + version
    files: dict[str, str | bytes] = {kernel % version: b"kernel"}
    for name in modules:
        files["%s/kernel/drivers/%s.ko.xz" % (base, name)] = b"x"
    files[base + "/modules.dep"] = "".join("kernel/drivers/%s.ko.xz:\n" % name for name in modules)
    files[base + "/modules.builtin"] = "".join("kernel/drivers/%s.ko\n" % name for name in builtin)
    return files


class ImageHost(GeneratorHost):
    """A Host with a generator of images in it that does what the named tool is documented to do.

    * update-initramfs -u -k V: includes what the old image held (standing for MODULES=) and what
      /etc/initramfs-tools/modules names, writes /boot/initrd.img-V.new and renames it; -u says nothing and does
      nothing where the image does not exist, -c makes it (update-initramfs(8)).
    * dracut -f FILE V: includes what was there and the words of add_drivers in /etc/dracut.conf.d/*.conf, glued
      together as a shell does; a driver that the kernel lacks is no error (exit status 0).
    * mkinitrd -k K -i I (SUSE): /boot/I holds INITRD_MODULES; mkinitrd --preload=D -v -f FILE V (Red Hat).
    """

    def __init__(self, root: str, tools: Sequence[str] = ("update-initramfs",), **options: Any) -> None:
        super().__init__(root, tools=tools, **options)
        self.leave_out: Sequence[str] = ()
        self.host_only = False

    def run(self, argv: Sequence[str], check: bool = True, **options: Any) -> CommandResult:
        name = argv[0].rsplit("/", 1)[-1]
        if name not in ("update-initramfs", "dracut", "mkinitrd") or self.on_run or self.fail:
            return super().run(argv, check, **options)
        if self.which(name) is None:
            raise AzurePrepError("The command %s is not installed." % name)
        self._step("run", name)
        self.ran.append(list(argv))
        if name == "update-initramfs":
            version = argv[argv.index("-k") + 1]
            target = "/boot/initrd.img-" + version
            if "-c" not in argv and not self.exists(target):
                return CommandResult(list(argv), 0, "", "")
            named = self.read("/etc/initramfs-tools/modules", default="").splitlines()
            words = [line.split("#")[0].strip() for line in named]
            self.make("initramfs-tools", version, target, words, target)
        elif name == "dracut":
            target, version = argv[2], argv[3]
            text = "".join(self.read(path) for path in self.glob("/etc/dracut.conf.d/*.conf"))
            glued = "".join(re.findall(r'add_drivers\+="([^"]*)"', text))
            more = argv[argv.index("--add-drivers") + 1].split() if "--add-drivers" in argv else []
            old = "" if self.host_only else "/boot/initramfs-%s.img" % version
            self.make("dracut", version, target, glued.split() + more, old)
        elif "-k" in argv:
            version = argv[argv.index("-k") + 1][len("vmlinuz-") :]
            target = "/boot/" + argv[argv.index("-i") + 1]
            match = re.search(r'^INITRD_MODULES="([^"]*)"', self.read("/etc/sysconfig/kernel"), re.M)
            self.make("mkinitrd-suse", version, target, match.group(1).split() if match else [], target)
        else:
            version, target = argv[-1], argv[-2]
            words = [word.split("=")[1] for word in argv if word.startswith("--preload=")]
            self.make("mkinitrd", version, target, words, "/boot/initrd-%s.img" % version)
        return CommandResult(list(argv), 0, "", "")

    def make(self, generator: str, version: str, target: str, words: Sequence[str], old: str) -> None:
        """Write an image with the old one's modules and the named ones that the kernel has."""
        names = [path.rsplit("/", 1)[1] for path in self.glob("/lib/modules/%s/kernel/drivers/*" % version)]
        have = {name.split(".ko")[0].replace("-", "_"): name.split(".ko")[0] for name in names}
        held = {word.replace("-", "_") for word in words if word} & set(have)
        if old and self.exists(old):
            with open(self.path(old), "rb") as stream:
                try:
                    held |= reader.read(stream, old, lambda _name: None).of(version)
                except AzurePrepError:
                    held |= set()
        held -= set(self.leave_out)
        real = Path(self.path(target))
        Path(str(real) + ".new").write_bytes(image(version, [have.get(name, name) for name in sorted(held)], generator))
        os.replace(str(real) + ".new", real)
