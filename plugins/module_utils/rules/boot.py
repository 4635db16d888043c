# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the boot loader: the arguments that every entry really has, and how GRUB itself is set up.

An argument counts where every boot entry has it. The running kernel may have been started before the entries
were changed; then the rule is not judged as kept before the next boot shows it.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Callable, Dict, List, Sequence, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import grub2
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules.context import (
    Context,
    Outcome,
    Table,
    bad,
    dunno,
    join,
    na,
    ok,
    quote,
)

CHECKS = Table()

Lines = List[Tuple[str, List[str]]]

#: What hides the provisioning CD-ROM (BOOT-09).
CDROM_KILLERS = ("libata.atapi_enabled=0", "reserve=0x1f0,0x8")

_GRUB_FILES = (
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/boot/grub2/grubenv",
    "/boot/grub/grubenv",
    "/boot/grub/menu.lst",
    "/boot/grub/grub.conf",
    "/boot/efi/EFI/*/grub.cfg",
    "/boot/efi/EFI/*/grubenv",
    "/boot/loader/entries/*.conf",
)


def judge(context: Context, wrong: Callable[[List[str]], str], right: str) -> Outcome:
    """wrong(arguments) says what is wrong with a command line, or nothing; `right` is the evidence of a pass."""
    entries = context.entries
    if not entries:
        return dunno("No boot entry was found.")
    found = ["%s: %s" % (name, wrong(arguments)) for name, arguments in entries if wrong(arguments)]
    if found:
        return bad(join(found))
    text = "%s on %d boot entr%s" % (right, len(entries), "y" if len(entries) == 1 else "ies")
    running = context.running_arguments
    if running is not None and wrong(running):
        return na("%s; the running kernel was started before (%s): reboot to see it" % (text, wrong(running)))
    return ok(text)


def _lacks(*wanted: str) -> Callable[[List[str]], str]:
    def wrong(arguments: List[str]) -> str:
        missing = [word for word in wanted if word not in arguments]
        return "no " + " ".join(missing) if missing else ""

    return wrong


def _last(key: str, value: str) -> Callable[[List[str]], str]:
    """key=value, where of several the last counts."""

    def wrong(arguments: List[str]) -> str:
        found = [argument for argument in arguments if argument.startswith(key + "=")]
        if not found:
            return "no %s=%s" % (key, value)
        return "" if found[-1] == "%s=%s" % (key, value) else found[-1]

    return wrong


def _has(*unwanted: str) -> Callable[[List[str]], str]:
    def wrong(arguments: List[str]) -> str:
        found = [word for word in unwanted if word in arguments]
        return " ".join(found)

    return wrong


def consoles(arguments: Sequence[str]) -> List[str]:
    """The devices of console=, in order: ["tty1", "ttyS0"]."""
    return [argument[8:].split(",")[0] for argument in arguments if argument.startswith("console=")]


def _console(device: str) -> Callable[[List[str]], str]:
    def wrong(arguments: List[str]) -> str:
        devices = consoles(arguments)
        if device not in devices:
            return "no console=%s" % device
        if devices[-1] != device:
            return "console=%s is last, so that boot messages of user space go there" % devices[-1]
        return ""

    return wrong


@CHECKS("BOOT-01")
def serial_console(context: Context) -> Outcome:
    """console=ttyS0 is the last console= of every boot entry, and of the running kernel."""
    if not context.is_x86:
        return na("It concerns x86_64; this is %s." % context.architecture)
    return judge(context, _console("ttyS0"), "console=ttyS0")


@CHECKS("BOOT-02")
def serial_console_arm(context: Context) -> Outcome:
    """arm64: console=ttyAMA0 is the last console= of every boot entry, and of the running kernel."""
    if context.architecture not in ("aarch64", "arm64"):
        return na("It concerns arm64; this is %s." % context.architecture)
    return judge(context, _console("ttyAMA0"), "console=ttyAMA0")


@CHECKS("BOOT-03")
def early_console(context: Context) -> Outcome:
    """earlyprintk=ttyS0 (any speed, serial,ttyS0 as well) on every boot entry."""
    if not context.is_x86:
        return na("It concerns x86_64; this is %s." % context.architecture)

    def wrong(arguments: List[str]) -> str:
        found = any(re.match(r"(earlyprintk=(serial,)?ttyS0|earlycon=uart8250)", argument) for argument in arguments)
        return "" if found else "no earlyprintk=ttyS0"

    return judge(context, wrong, "earlyprintk=ttyS0")


@CHECKS("BOOT-04")
def root_delay(context: Context) -> Outcome:
    """rootdelay= of at least 300 seconds on every boot entry; whether initramfs-tools would sleep for all of it."""

    def wrong(arguments: List[str]) -> str:
        values = [argument[10:] for argument in arguments if argument.startswith("rootdelay=")]
        if not values:
            return "no rootdelay=300"
        return "" if values[-1].isdigit() and int(values[-1]) >= 300 else "rootdelay=" + values[-1]

    found = judge(context, wrong, "rootdelay")
    sleeping = sleeping_images(context) if found.status == "pass" else []
    if sleeping:
        text = "%s; but initramfs-tools sleeps for all of it at every boot: %s without the scripts against that"
        return ok(text % (found.evidence, join(sleeping)))
    return found


#: What the collection puts into initramfs-tools' images so that rootdelay= is a limit and no sleep.
DELAY_SCRIPTS = ("init-top/azure-rootdelay-off", "init-premount/azure-rootdelay-on")


def sleeping_images(context: Context) -> List[str]:
    """The images of initramfs-tools that lack one of the scripts without which rootdelay= is slept in full."""
    try:
        if context.generator != "initramfs-tools":
            return []
        return [image.path for image in context.images_found if not set(DELAY_SCRIPTS) <= image.scripts]
    except AzurePrepError:
        # The images may be read by root only; the arguments are judged without them.
        return []


@CHECKS("BOOT-05")
def interface_names(context: Context) -> Outcome:
    """net.ifnames=0 on every boot entry, where the family's document asks for it."""
    if context.is_el(1, 6):
        return na("Enterprise Linux 6 knows no other interface names.")
    return judge(context, _last("net.ifnames", "0"), "net.ifnames=0")


@CHECKS("BOOT-06")
def not_silent(context: Context) -> Outcome:
    """Neither rhgb nor quiet on any boot entry."""
    return judge(context, _has("rhgb", "quiet"), "neither rhgb nor quiet")


@CHECKS("BOOT-07")
def crash_kernel(context: Context) -> Outcome:
    """No crashkernel=auto on any boot entry."""
    return judge(context, _has("crashkernel=auto"), "no crashkernel=auto")


@CHECKS("BOOT-08")
def splash(context: Context) -> Outcome:
    """No splash=silent on any boot entry."""
    return judge(context, _has("splash=silent"), "no splash=silent")


@CHECKS("BOOT-09")
def cdrom_hidden(context: Context) -> Outcome:
    """libata.atapi_enabled=0 and reserve=0x1f0,0x8: on no boot entry, and nowhere in the boot loader's files."""
    found = []
    for path in context.glob(*_GRUB_FILES):
        for number, line in enumerate((context.text(path) or "").split("\n"), 1):
            for word in CDROM_KILLERS:
                if word in line:
                    found.append("%s:%d: %s" % (path, number, word))
    if found:
        return bad(join(found))
    return judge(context, _has(*CDROM_KILLERS), "neither argument")


@CHECKS("BOOT-17")
def misspelt(context: Context) -> Outcome:
    """No ttS0 (for ttyS0) on any boot entry."""

    def wrong(arguments: List[str]) -> str:
        return join(argument for argument in arguments if re.search(r"\bttS\d", argument))

    return judge(context, wrong, "no ttS0")


# -- GRUB itself -----------------------------------------------------------------------------------------------


def grub_defaults(context: Context) -> Dict[str, Tuple[str, str]]:
    """Variables of /etc/default/grub and, where the generator sources them, its drop-ins, as the shell sees them.

    Name to (value, evidence); the evidence is the line that counts.
    """
    paths = [grub2.DEFAULTS]
    tool = next((found for found in (context.host.which(name) for name in grub2.GENERATORS) if found), None)
    if grub2.sources_drop_ins(context.host, context.family, tool):
        paths += [path for path in context.glob(grub2.DROP_INS) if context.host.is_file(path)]
    files = [shell_vars.parse(path, context.text(path) or "") for path in paths]
    values = shell_vars.evaluate(files)
    lines: Dict[str, str] = {}
    for path in paths:
        for line in context.lines(path):
            match = re.match(r"(?:export\s+)?(GRUB_\w+)\+?=", line.text)
            if match:
                lines[match.group(1)] = line.evidence
    return {
        name: (shell_vars.text_of(cells), lines.get(name, "%s: %s" % (paths[0], name)))
        for name, cells in values.items()
        if name.startswith("GRUB_")
    }


def _uses_grub2(context: Context) -> bool:
    return context.exists("/etc/default/grub") or bool(context.glob("/etc/default/grub.d/*.cfg"))


@CHECKS("BOOT-10")
def grub_serial(context: Context) -> Outcome:
    """GRUB_TERMINAL (or _INPUT and _OUTPUT) names serial, GRUB_SERIAL_COMMAND is set, and grub.cfg says the same."""
    if not _uses_grub2(context):
        for path in context.glob("/boot/grub/menu.lst", "/boot/grub/grub.conf"):
            lines = [line for line in context.lines(path) if line.text.startswith(("serial", "terminal"))]
            if len(lines) >= 2:
                return ok(join(line.evidence for line in lines))
            return bad("%s: no serial and terminal line" % path)
        return na("GRUB is not the boot loader.")
    values = grub_defaults(context)
    terminal = values.get("GRUB_TERMINAL", ("", ""))[0]
    # grub-mkconfig has the common one win over those of the sides, of which anaconda sets the output's.
    sides = [terminal or values.get(name, ("", ""))[0] for name in ("GRUB_TERMINAL_INPUT", "GRUB_TERMINAL_OUTPUT")]
    wrong = []
    for name, value in zip(("GRUB_TERMINAL_INPUT", "GRUB_TERMINAL_OUTPUT"), sides):
        if "serial" not in value.split():
            wrong.append("%s (or GRUB_TERMINAL) does not name serial" % name)
    if context.is_x86 and not values.get("GRUB_SERIAL_COMMAND", ("", ""))[0]:
        wrong.append("GRUB_SERIAL_COMMAND is not set")
    if wrong:
        return bad("/etc/default/grub: " + join(wrong))
    for path in context.glob("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"):
        text = context.text(path) or ""
        for side in ("terminal_output", "terminal_input"):
            # Of several lines the last counts: a custom script may have put the screen back.
            lines = re.findall(r"^\s*(?:%s|terminal)\b(.*)" % side, text, re.MULTILINE)
            if lines and "serial" not in lines[-1].split() and "--append" not in lines[-1].split():
                return bad("%s: the last %s line is%s" % (path, side, lines[-1]))
            if not lines and "menuentry" in text:
                return bad("%s was generated before: it has no %s line with serial" % (path, side))
    return ok(join(values[name][1] for name in sorted(values) if "TERMINAL" in name or "SERIAL" in name))


@CHECKS("BOOT-11")
def bls(context: Context) -> Outcome:
    """BLS entries: GRUB_ENABLE_BLSCFG is not switched off, and no entry still takes $kernelopts."""
    entries = context.glob("/boot/loader/entries/*.conf")
    if not entries:
        return na("There are no boot loader entries (/boot/loader/entries).")
    value, evidence = grub_defaults(context).get("GRUB_ENABLE_BLSCFG", ("true", ""))
    if value.lower() != "true":
        return bad(evidence)
    for path in entries:
        for line in context.lines(path):
            if line.text.startswith("options") and "$kernelopts" in line.text:
                stale = judge(context, _console("ttyS0" if context.is_x86 else "ttyAMA0"), "")
                if stale.status == "fail":
                    return bad(line.evidence)
    return ok("%d entries, GRUB_ENABLE_BLSCFG=%s" % (len(entries), value))


@CHECKS("BOOT-12")
def defaults_ask(context: Context) -> Outcome:
    """/etc/default/grub with its drop-ins, or /etc/kernel/cmdline: console=ttyS0 (ttyAMA0) for kernels to come."""
    device = "ttyS0" if context.is_x86 else "ttyAMA0"
    if _uses_grub2(context):
        values = grub_defaults(context)
        both = [values[name] for name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT") if name in values]
        words = " ".join(value for value, _evidence in both).split()
        shown = join(evidence for _value, evidence in both) or "/etc/default/grub has no GRUB_CMDLINE_LINUX"
        if device not in consoles(words):
            return bad("no console=%s: %s" % (device, shown))
        # With entry files, kernel-install takes the arguments of the next kernel from here.
        path = "/etc/kernel/cmdline"
        text = context.text(path)
        if text is not None and context.glob("/boot/loader/entries/*.conf") and device not in consoles(text.split()):
            return bad("no console=%s: %s" % (device, quote(path, 1, text)))
        return ok(shown)
    for path in ("/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"):
        text = context.text(path)
        if text is not None:
            shown = quote(path, 1, text)
            return ok(shown) if device in consoles(text.split()) else bad("no console=%s: %s" % (device, shown))
    if context.glob("/boot/grub/menu.lst", "/boot/grub/grub.conf"):
        return na("GRUB Legacy has no defaults file; new kernels copy the entries (BOOT-01).")
    return dunno("No file was found from which boot entries are generated.")


@CHECKS("BOOT-13")
def regenerated(context: Context) -> Outcome:
    """The arguments that /etc/default/grub asks for are on the normal boot entries."""
    if not _uses_grub2(context):
        return na("No configuration is generated from /etc/default/grub here.")
    values = grub_defaults(context)
    words: List[str] = []
    for name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"):
        words += values.get(name, ("", ""))[0].split()
    # Words with a quote or a variable need a shell to be understood; the boot entries' own rules judge those.
    words = [word for word in words if not re.search(r"[\"'$`\\]", word)]
    if not words:
        return ok("/etc/default/grub asks for no arguments")
    if not context.entries:
        return dunno("No boot entry was found.")
    found = []
    for name, arguments in context.entries:
        missing = [word for word in words if word not in arguments]
        if missing:
            found.append("%s: no %s" % (name, " ".join(missing)))
    return bad(join(found)) if found else ok("%d arguments of /etc/default/grub on every entry" % len(words))


@CHECKS("BOOT-14")
def grub_menu(context: Context) -> Outcome:
    """GRUB_TIMEOUT and GRUB_TIMEOUT_STYLE, where features: [grub_menu] asks for a menu that can be used."""
    if "grub_menu" not in context.features:
        return na("Not asked for (features: [grub_menu]).")
    values = grub_defaults(context)
    timeout = values.get("GRUB_TIMEOUT", ("5", ""))[0]
    style = values.get("GRUB_TIMEOUT_STYLE", ("menu", ""))[0]
    text = "GRUB_TIMEOUT=%s, GRUB_TIMEOUT_STYLE=%s" % (timeout, style)
    return bad(text) if style == "hidden" or timeout in ("0", "0.0") else ok(text)


@CHECKS("BOOT-15")
def sysrq(context: Context) -> Outcome:
    """kernel.sysrq of the running system, where features: [sysrq] asks for it."""
    if "sysrq" not in context.features:
        return na("Not asked for (features: [sysrq]).")
    context.needs_live("kernel.sysrq")
    value = (context.text("/proc/sys/kernel/sysrq") or "").strip()
    return ok("kernel.sysrq = " + value) if value == "1" else bad("kernel.sysrq = " + value)


@CHECKS("BOOT-16")
def serial_login(context: Context) -> Outcome:
    """serial-getty of the serial port is not masked; on systems without systemd /etc/inittab names the port."""
    port = "ttyS0" if context.is_x86 else "ttyAMA0"
    for unit in ("serial-getty@%s.service" % port, "serial-getty@.service"):
        if context.unit_state(unit) == "masked":
            return bad("%s is masked" % unit)
    if context.unit_file("serial-getty@.service"):
        return ok("serial-getty@.service, started by systemd for a console= argument")
    lines = [line for line in context.lines("/etc/inittab") if port in line.text]
    return ok(lines[0].evidence) if lines else na("No login on the serial port is set up; the agent does not need one.")
