# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial console as it grows: landmarks for the timeline, signs of failure, and lines worth quoting.

Patterns follow what the programs print: the kernel, systemd, initramfs-tools (scripts/local, scripts/functions),
dracut (dracut-lib.sh, dracut-emergency), GRUB 2, SeaBIOS, OVMF (BdsDxe), cloud-init and WALinuxAgent.

Private to the collection: its interface may change in any release.
"""

import re
from typing import Dict, List, NamedTuple, Optional, Pattern, Tuple

#: Control sequences of terminals (ECMA-48) and stray control characters.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>c78MDEH])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

#: Longest line and largest log that are kept in memory.
MAX_LINE = 2000
MAX_LINES = 50000


class Sign(NamedTuple):
    """Something to notice on the console: a stable name and the pattern that shows it."""

    name: str
    pattern: Pattern[str]


class Seen(NamedTuple):
    """The first line in which a sign was seen, and when (seconds since power-on)."""

    seconds: float
    line: str


def _sign(name: str, *patterns: str) -> Sign:
    return Sign(name, re.compile("|".join(patterns)))


#: Landmarks of a good boot.
LANDMARKS = (
    _sign("loader", r"GNU GRUB|Welcome to GRUB|GRUB loading|^Loading Linux|Booting `"),
    _sign("countdown", r"highlighted entry will be executed automatically in [1-9]\d*s"),
    _sign("kernel", r"\bLinux version \d+\.\d+\S* \("),
    _sign(
        "disk",
        r"\[[sv]d[a-z]+\] (?:Attached SCSI|\d+ \d+-byte logical|Write Protect)",
        r"\b(?:vd[a-z]|nvme\d+n\d+): p?\w+\d|virtio_blk \S+: \[",
    ),
    _sign(
        "root",
        r"\bEXT[234]-fs\b.*mounted filesystem",
        r"\bXFS\b.*(?:[Mm]ounting V|Ending clean mount)",
        r"\bBTRFS\b.*(?:device fsid|first mount|using crc32c)",
    ),
    _sign(
        "init",
        r"systemd\[1\]: systemd \S+ running in|systemd \d+\S* running in system mode",
        r"^Welcome to (?!GRUB|emergency)|INIT: version \d|OpenRC ",
    ),
    _sign("multi_user", r"Reached target .*(?:Multi-User|multi-user|Graphical Interface|graphical)"),
    _sign("login", r"^\S+ login:"),
)

#: Who provisions, as far as the console shows it.
PROVISIONERS = (
    _sign("cloud_init", r"[Cc]loud-init v\. \S+ running|cloud-init\[\d+\]"),
    _sign("cloud_init_done", r"[Cc]loud-init v\. \S+ finished at"),
    _sign("waagent", r"Azure Linux Agent|Azure VM agent|\bwaagent\b|\bINFO (?:Daemon|ExtHandler)\b"),
)

#: Signs after which nothing better will follow: seen means the boot has failed.
FATAL = (
    _sign("panic", r"Kernel panic - not syncing"),
    _sign(
        "initramfs_shell",
        r"^\(initramfs\)|Dropping to a shell!|can't access tty; job control",
        r"^dracut:/#|Entering emergency mode\. Exit the shell to continue",
    ),
    _sign(
        "emergency",
        r"You are in emergency mode|Welcome to emergency mode",
        r"Cannot open access to console, the root account is locked",
    ),
    _sign("grub_rescue", r"^(?:grub rescue|grub)> ?$|Entering rescue mode\.\.\."),
    _sign("uefi_nothing", r"BdsDxe: No bootable option or device was found|UEFI Interactive Shell|^Shell> ?$"),
    _sign("bios_nothing", r"No bootable device\."),
)

#: Other signs that a diagnosis uses.
HINTS = (
    _sign("agent_error", r"^(?:Attribute|FileNotFound|Import|ModuleNotFound|Name|Syntax|Type)Error: "),
    _sign("agent_crash", r"\bDaemon ended with exception\b|\bname=WALA, op=UnhandledError\b"),
    _sign("agent_off", r"\bProvisioning is disabled, skipping\b"),
    _sign("cloud_init_disabled", r"[Cc]ommand line:.*\bcloud-init=disabled\b"),
    _sign("datasource", r"Datasource DataSource\w+"),
    _sign("no_media", r"Unable to find provisioning media"),
    _sign("udf", r"unknown filesystem type '?\(?udf"),
    _sign("dvd_failed", r"Mounting dvd failed|Failed to mount dvd|Failed to get dvd device"),
    _sign("wire_failed", r"WireServer is not responding|Protocol endpoint not found"),
    _sign("imds_failed", r"Polling IMDS failed|Failed to fetch metadata from IMDS"),
    _sign(
        "dhcp_failed",
        r"failure to (?:obtain DHCP lease|find DHCP interface)|No DHCPOFFERS received",
        r"DHCP (?:discovery|client) .*(?:failed|not found)",
    ),
    _sign("renamed", r"\b(\w+): renamed from eth0\b"),
    _sign("other_mac", r"has different MAC address than expected"),
    _sign("no_interface", r"Cannot find device \"?\w+|Failed to bring up \w+|Device \w+ (?:does not exist|not found)"),
    _sign("device_timeout", r"Timed out waiting for device|Dependency failed for (?!.*(?:Remote|Network))"),
    _sign(
        "root_wait",
        r"Waiting for root (?:file system|device)|Running /scripts/local-block",
        r"/dev/disk/by-\S+ does not exist|does not exist\.  Dropping",
    ),
    _sign("root_delay", r"Waiting \d+ sec before mounting root device"),
    _sign("no_root", r"VFS: (?:Unable to mount root fs|Cannot open root device)"),
    _sign(
        "root_broken",
        r"Failed to mount \S+ as root file system|bad geometry: block count",
        r"Failed to mount .*(?:/sysroot|Root Partition)|Superblock .*(?:invalid|corrupt)",
        r"requires a manual fsck|RUN fsck MANUALLY",
    ),
    _sign(
        "no_init",
        r"No init found\. Try passing init=|No working init found|Cannot find init!|run-init: .*: No such file",
        r"Failed to (?:execute|run) /(?:sbin/)?init|does not seem to be an OS tree",
    ),
    _sign("passphrase", r"Please (?:enter passphrase|unlock|enter LUKS) ?.*\bdisk\b|Enter passphrase for (?!key)"),
    _sign("questions", r"Press any key to proceed|Welcome to your new installation of|jeos-firstboot"),
    _sign("loading", r"^\s*Booting `|^\s*Loading (?:Linux|initial ramdisk)"),
    _sign("grub_error", r"^error: .*(?:not found|no such (?:device|partition|disk)|unknown filesystem|invalid )"),
    _sign("ssh_failed", r"Failed to start .*(?:\bsshd?\b|OpenSSH|OpenBSD Secure Shell)"),
    _sign("bds_failed", r"BdsDxe: failed to (?:load|start) Boot"),
    _sign("cloud_init_off", r"cloud-init does not appear to be enabled|cloud-init is enabled: False"),
    _sign("agent_waits", r"Waiting for cloud-init to copy ovf-env\.xml"),
)

SIGNS = LANDMARKS + PROVISIONERS + FATAL + HINTS

#: Lines that a reader of a failed boot wants to see.
_ERRORS = re.compile(
    r"\bBUG: |\bOops\b|Kernel panic|general protection fault|Call Trace:|double fault|segfault at|I/O error|"
    r"(?:EXT4-fs|XFS|BTRFS)[^:]*: .*(?:error|[Cc]orrupt)|\[FAILED\]|Failed to start |Timed out waiting for device|"
    r"Out of memory: Kill|\bSELinux: .*error|Traceback \(most recent call last\)|cloud-init.*\b(?:ERROR|CRITICAL)\b"
)


def clean(text: str) -> str:
    """A line without terminal control sequences."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class Console:
    """The console so far. feed() takes raw bytes as they come; nothing in them raises."""

    def __init__(self) -> None:
        self.lines: List[Tuple[float, str]] = []
        self.seen: Dict[str, Seen] = {}
        self.size = 0
        self._rest = b""

    def feed(self, data: bytes, seconds: float) -> List[str]:
        """Take more output; gives the names of signs seen for the first time, in order."""
        self.size += len(data)
        self._rest += data
        found: List[str] = []
        *complete, self._rest = re.split(rb"\r*\n", self._rest)
        for raw in complete:
            # A progress line rewritten in place: only its last state stands on the screen.
            text = clean(raw.decode("utf-8", "replace").rstrip("\r").split("\r")[-1])[:MAX_LINE]
            if len(self.lines) < MAX_LINES:
                self.lines.append((seconds, text))
            found += self._look(text, seconds)
        if len(self._rest) > 4 * MAX_LINE:
            self._rest = self._rest[-MAX_LINE:]
        # Prompts end without a newline.
        found += self._look(clean(self._rest.decode("utf-8", "replace")).split("\r")[-1].strip(" "), seconds)
        return found

    def _look(self, text: str, seconds: float) -> List[str]:
        found = []
        for sign in SIGNS if text else ():
            if sign.name not in self.seen and sign.pattern.search(text):
                self.seen[sign.name] = Seen(seconds, text)
                found.append(sign.name)
        return found

    def restart(self) -> None:
        """A reboot: landmarks and failures may be seen anew, the lines stay."""
        self.seen = {}

    @property
    def fatal(self) -> Optional[str]:
        """The name of the first fatal sign, None while there is none."""
        names = [sign.name for sign in FATAL if sign.name in self.seen]
        return min(names, key=lambda name: self.seen[name].seconds) if names else None

    def text(self) -> str:
        rest = clean(self._rest.decode("utf-8", "replace"))
        return "\n".join([line for _seconds, line in self.lines] + ([rest] if rest else []))

    def tail(self, count: int = 40) -> List[str]:
        """The last lines that hold something."""
        return [line for line in self.text().splitlines() if line.strip()][-count:]

    def errors(self, limit: int = 50) -> List[str]:
        """Lines that speak of errors, each once, oldest first."""
        found: List[str] = []
        for _seconds, line in self.lines:
            if _ERRORS.search(line) and line.strip() not in found:
                found.append(line.strip())
        return found[:limit]

    def quote(self, name: str) -> str:
        """The line in which a sign was seen, empty where it was not."""
        return self.seen[name].line.strip() if name in self.seen else ""


def screen_text(memory: bytes, columns: int = 80, rows: int = 25) -> str:
    """The characters of a VGA text screen, from its memory at 0xb8000 (character and attribute by turns)."""
    lines = []
    for row in range(rows):
        part = memory[row * columns * 2 : (row + 1) * columns * 2 : 2]
        lines.append("".join(chr(cell) if 32 <= cell < 127 else " " for cell in part).rstrip())
    # Graphics modes leave patterns in this memory; a text screen holds characters, blanks and lines of boxes.
    cells = memory[: columns * rows * 2 : 2]
    odd = sum(1 for cell in cells if cell and not (32 <= cell < 127 or 0xB0 <= cell < 0xE0))
    text = "\n".join(lines).strip("\n")
    return text if any(character.isalnum() for character in text) and odd * 10 <= len(cells) else ""
