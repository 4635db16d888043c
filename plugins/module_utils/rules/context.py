# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks look at: one Context per system, which reads each file and runs each command at most once.

Nothing here writes, and nothing of a mounted image is executed: it may come from someone else. What cannot be
looked at (a file that only root may read, a command in a mounted image) raises CannotLook, and the rule that
asked becomes "unknown" with that sentence.

Private to the collection: its interface may change in any release.
"""

import os
import re
import stat as stat_module
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, filesystems, profiles, waagent_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import MAX_READ, MAX_TEXT, CommandResult, Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.rules import boot_sources

PASS = "pass"
FAIL = "fail"
WAIVED = "waived"
NOT_APPLICABLE = "not_applicable"
UNKNOWN = "unknown"

#: A command of the audit that takes longer than this is given up (seconds).
COMMAND_TIMEOUT = 30.0

#: Evidence is cut to this many characters: it goes into tables and reports.
EVIDENCE_LIMIT = 600

#: Where systemd looks for unit files, the strongest first (systemd.unit(5)).
UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)

#: Generated units (systemd.generator(7)); cloud-init and getty are enabled this way.
GENERATOR_FOLDERS = ("/run/systemd/generator.early", "/run/systemd/generator", "/run/systemd/generator.late")

#: Where udev looks for rules, the strongest first (udev(7)).
UDEV_FOLDERS = (
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
)

_SECRETS = (
    # crypt(3) hashes, SAS signatures, private keys, URLs with a password, and Key=value forms of a secret
    (re.compile(r"\$(?:1|2[abxy]?|5|6|7|y|gy)\$[^\s:'\"]+"), "$…"),
    (re.compile(r"(?i)([?&;](?:sig|se|sp|sv|st|spr|sip)=)[^&\s'\"]+"), r"\1…"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL), "(a private key)"),
    (re.compile(r"(?i)\b((?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+|sk-\S+))\s+[A-Za-z0-9+/=]{16,}"), r"\1 …"),
    (re.compile(r"://[^/@\s]+@"), "://…@"),
    (re.compile(r"grub\.pbkdf2\.[A-Za-z0-9.]+"), "grub.pbkdf2.…"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), "(a token)"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 …"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:passwd|password|passphrase|secret|token|api[_-]?key|accountkey|sharedkey|access[_-]?key|credential)"
            r"[\w-]*[\"']?\s*[=:]\s*)(?!(?:[yn]|yes|no|none|true|false|on|off)(?:$|[\s,\"']))(?:\"[^\"]*\"|'[^']*'|\S+)"
        ),
        r"\1…",
    ),
    (re.compile(r"(?i)((?:^|[\s,;])(?:pass|pwd|psk|wpa-psk)\s*=\s*)[^\s,]+"), r"\1…"),
)


class CannotLook(AzurePrepError):
    """A rule could not be judged, and why; it becomes the status "unknown"."""


class Outcome(NamedTuple):
    """What a check found: a status and the evidence for it, as one line of text."""

    status: str
    evidence: str


def ok(evidence: str) -> Outcome:
    """The rule is kept."""
    return Outcome(PASS, evidence)


def bad(evidence: str) -> Outcome:
    """The rule is broken."""
    return Outcome(FAIL, evidence)


def na(reason: str) -> Outcome:
    """The rule does not concern this system, or not yet."""
    return Outcome(NOT_APPLICABLE, reason)


def dunno(reason: str) -> Outcome:
    """It could not be seen whether the rule is kept."""
    return Outcome(UNKNOWN, reason)


def redact(text: str) -> str:
    """Take whatever looks like a password, key or signature out of a text that will be shown."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def shorten(text: str, limit: int = EVIDENCE_LIMIT) -> str:
    """One line of printable characters, at most `limit` of them, secrets taken out."""
    # Far more than is shown, so that no pattern of a secret is cut in two, and no endless line costs time.
    line = redact(text[: 8 * max(limit, EVIDENCE_LIMIT)])
    line = " ".join(line.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def quote(path: str, number: int, line: str, limit: int = 120) -> str:
    """A line as evidence: /etc/fstab:3 "…"."""
    return '%s:%d "%s"' % (path, number, shorten(line.strip(), limit))


def join(items: Iterable[str], limit: int = 6) -> str:
    """A list for evidence: the first few, then how many more."""
    words = list(items)
    shown = ", ".join(words[:limit])
    return shown if len(words) <= limit else "%s and %d more" % (shown, len(words) - limit)


def version(text: str) -> Tuple[int, ...]:
    """The leading numbers of a version: "3.10.0-957.el7" gives (3, 10, 0, 957); () where there is none."""
    numbers = []
    for piece in re.split(r"[.\-_+~]", text.strip()):
        match = re.match(r"\d+", piece)
        if not match:
            break
        numbers.append(int(match.group()))
        if match.group() != piece:
            break
    return tuple(numbers)


class Line(NamedTuple):
    """A line of a file that means something: path, number from 1, the text without its comment."""

    path: str
    number: int
    text: str

    @property
    def evidence(self) -> str:
        return quote(self.path, self.number, self.text)


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo (proc(5)): where, how, of what."""

    target: str
    options: List[str]
    fstype: str
    source: str


class Account(NamedTuple):
    """One line of /etc/passwd, in line `number`."""

    name: str
    uid: int
    home: str
    shell: str
    password: str
    number: int


class Image(NamedTuple):
    """The initramfs of one kernel: its file, the modules in it (names with underscores), initramfs-tools' scripts."""

    kernel: str
    path: str
    present: FrozenSet[str]
    scripts: FrozenSet[str] = frozenset()


class ReadOnlyHost(Host):
    """A Host for the audit: it reads each file once, refuses every write, and starts nothing in a mounted image."""

    #: Files larger than this (initramfs images) are not kept in memory.
    KEEP = 4 * 1024 * 1024

    def __init__(self, root: str = "/") -> None:
        Host.__init__(self, root)
        self._kept: Dict[str, Any] = {}
        self._ran: Dict[Tuple[str, ...], CommandResult] = {}
        self._paths: Dict[Tuple[str, bool], str] = {}

    def path(self, path: str, follow_last: bool = True) -> str:
        key = (path, follow_last)
        if key not in self._paths:
            self._paths[key] = Host.path(self, path, follow_last)
        return self._paths[key]

    def _step(self, step: str, path: str) -> None:
        if step != "run":
            raise AzurePrepError("The audit writes nothing, and was about to change %s (%s)." % (path, step))

    def read_bytes(self, path: str) -> bytes:
        if path not in self._kept:
            try:
                content = Host.read_bytes(self, path)
            except OSError as exc:
                self._kept[path] = exc
                raise
            if len(content) > self.KEEP:
                return content
            self._kept[path] = content
        kept = self._kept[path]
        if isinstance(kept, OSError):
            raise kept
        return kept

    def run(
        self,
        argv: Sequence[str],
        check: bool = True,
        stdin: Any = None,
        env: Optional[Dict[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> CommandResult:
        if not self.is_live:
            raise CannotLook("It needs the running system (%s); this is a mounted image." % " ".join(argv))
        key = tuple(argv)
        if key not in self._ran or stdin is not None:
            self._ran[key] = Host.run(self, argv, False, stdin, env, COMMAND_TIMEOUT if timeout is None else timeout)
        result = self._ran[key]
        if check and result.rc != 0:
            raise CannotLook(
                "%s failed with exit status %d: %s" % (" ".join(argv), result.rc, shorten(result.stderr, 200))
            )
        return result


class Table(Dict[str, Callable[["Context"], Outcome]]):
    """The checks of one area: @CHECKS("DISK-07") above a function enters it under that rule."""

    def __call__(self, *rule_ids: str) -> Callable[[Callable[["Context"], Outcome]], Callable[["Context"], Outcome]]:
        def enter(function: Callable[["Context"], Outcome]) -> Callable[["Context"], Outcome]:
            for rule_id in rule_ids:
                self[rule_id] = function
            return function

        return enter


class Context:
    """One system as the checks see it.

    phase: "prepared" for a VM in use, "captured" for what the capture step has left. features: optional features
    that the user wants ("nvme", "mana", "hibernation", "swap"). account: who the audit was started by; this one
    account is allowed to have a key and a history until capture.
    provisioner: "cloud-init", "waagent", "agentless", or "auto" to look. family: one of profiles.py, or "" for the one
    that os-release names.
    """

    def __init__(
        self,
        host: Host,
        phase: str = "prepared",
        features: Sequence[str] = (),
        account: str = "",
        provisioner: str = "auto",
        architecture: str = "",
        privileged: Optional[bool] = None,
        family: str = "",
    ) -> None:
        self.host = host if isinstance(host, ReadOnlyHost) else ReadOnlyHost(host.root)
        self.live = self.host.is_live
        self.phase = phase
        self.features = tuple(features)
        self.account = account
        self.privileged = os.geteuid() == 0 if privileged is None else privileged
        self._provisioner = provisioner
        self._architecture = architecture
        self._family = family
        self._memory: Dict[Any, Any] = {}
        self._half_installed: Dict[str, str] = {}

    # -- memory ------------------------------------------------------------------------------------------------

    def remember(self, key: Any, make: Callable[[], Any]) -> Any:
        """make() once per key; an error is remembered as well, so that nothing is tried twice."""
        if key not in self._memory:
            try:
                self._memory[key] = (make(), None)
            except AzurePrepError as exc:
                self._memory[key] = (None, exc)
        value, error = self._memory[key]
        if error is not None:
            raise error
        return value

    # -- files -------------------------------------------------------------------------------------------------

    def text(self, path: str, limit: int = MAX_TEXT) -> Optional[str]:
        """The content of a file; None where there is none."""

        def read() -> Optional[str]:
            try:
                status = self.host.stat(path)
                if status is None or stat_module.S_ISDIR(status.st_mode):
                    # What looks absent may only be out of reach: a directory on the way that cannot be searched.
                    self._searchable(path)
                    return None
                return self.host.read_text(path, limit)
            except FileNotFoundError:
                return None
            except PermissionError:
                raise self._denied(path)

        return self.remember(("text", path), read)

    def lines(self, path: str, comment: str = "#") -> List[Line]:
        """The lines of a file that are neither empty nor a comment; [] where there is no file."""
        found = []
        for number, raw in enumerate((self.text(path) or "").split("\n"), 1):
            line = raw.strip()
            if line and not line.startswith(comment):
                found.append(Line(path, number, line))
        return found

    def exists(self, path: str, follow: bool = True) -> bool:
        """Whether something is there (a dangling link counts only with follow=False)."""
        try:
            if follow:
                return self.host.stat(path) is not None or self._searchable(path)
            return self.host.stat(path, follow_last=False) is not None or self._searchable(path)
        except PermissionError:
            raise self._denied(path)

    def size(self, path: str) -> int:
        """Bytes of a file; 0 where there is none."""
        try:
            status = self.host.stat(path)
        except PermissionError:
            raise self._denied(path)
        if status is None:
            self._searchable(path)
            return 0
        return status.st_size

    def listdir(self, path: str) -> List[str]:
        """Names in a directory; [] where there is none."""

        def read() -> List[str]:
            try:
                names = self.host.listdir(path)
                if not names:
                    self._searchable(path + "/.")
                return names
            except PermissionError:
                raise self._denied(path)

        return self.remember(("listdir", path), read)

    def glob(self, *patterns: str) -> List[str]:
        """Existing paths that match absolute shell patterns, sorted within each pattern, no path twice."""
        found: List[str] = []
        for pattern in patterns:

            def look(pattern: str = pattern) -> List[str]:
                folder = "/"
                for part in os.path.dirname(pattern).split("/"):
                    if any(char in part for char in "*?["):
                        break
                    folder = os.path.join(folder, part)
                self._searchable(folder + "/.")
                try:
                    return self.host.glob(pattern)
                except PermissionError as exc:
                    raise self._denied(self.host.inside(str(exc.filename)) if exc.filename else pattern)

            found.extend(path for path in self.remember(("glob", pattern), look) if path not in found)
        return found

    def _searchable(self, path: str) -> bool:
        """False, or CannotLook where a directory on the way to `path` may not be searched."""
        folder = os.path.dirname(path.rstrip("/")) or "/"
        while folder != "/":
            real = self.host.path(folder)
            if os.path.isdir(real):
                if not os.access(real, os.X_OK):
                    raise self._denied(folder)
                break
            folder = os.path.dirname(folder)
        return False

    def _denied(self, path: str) -> CannotLook:
        return CannotLook("%s may be read by root only; run the audit with become." % path)

    # -- commands ----------------------------------------------------------------------------------------------

    def run(self, *argv: str) -> CommandResult:
        """What a command prints on the running system, whatever its exit status; CannotLook elsewhere."""
        if not self.live:
            raise CannotLook("It needs the running system (%s); this is a mounted image." % " ".join(argv))

        def call() -> CommandResult:
            try:
                return self.host.run(list(argv), check=False, timeout=COMMAND_TIMEOUT)
            except CannotLook:
                raise
            except AzurePrepError as exc:
                raise CannotLook(str(exc))

        return self.remember(("run", argv), call)

    def has_command(self, name: str) -> bool:
        """Whether a command is installed."""
        return bool(self.remember(("which", name), lambda: self.host.which(name) or ""))

    def needs_live(self, what: str) -> None:
        """Stop a check that only a running system can answer."""
        if not self.live:
            raise CannotLook("%s can be seen on the running system only; this is a mounted image." % what)

    def needs_root(self, what: str) -> None:
        """Stop a check that only root can answer."""
        if not self.privileged:
            raise CannotLook("%s can be seen by root only; run the audit with become." % what)

    # -- who it is ---------------------------------------------------------------------------------------------

    @property
    def release(self) -> Any:
        """os-release, as host.OsRelease."""
        return self.remember("release", self.host.os_release)

    @property
    def family(self) -> str:
        """The family of profiles.py: redhat, debian, ubuntu, suse or generic."""
        return self._family or profiles.family_of(self.release)

    @property
    def major(self) -> int:
        """The first number of the release; 0 for rolling ones."""
        return self.release.major

    def is_el(self, low: int = 0, high: int = 99) -> bool:
        """Enterprise Linux (RHEL, its rebuilds, Oracle), of a release in the range; Fedora is none."""
        return self.family == "redhat" and self.release.id != "fedora" and low <= self.major <= high

    def is_oracle(self) -> bool:
        return self.release.id == "ol"

    @property
    def architecture(self) -> str:
        """x86_64, aarch64, or whatever else uname -m or, in a mounted image, the ELF header of a program says."""

        def look() -> str:
            if self._architecture:
                return self._architecture
            if self.live:
                return os.uname().machine
            machines = {
                3: "i686",
                40: "armv7l",
                62: "x86_64",
                183: "aarch64",
                22: "s390x",
                21: "ppc64le",
                243: "riscv64",
            }
            for path in ("/bin/sh", "/usr/bin/env", "/sbin/init", "/lib/systemd/systemd", "/usr/bin/bash"):
                try:
                    with open(self.host.path(path), "rb") as stream:
                        head = stream.read(20)
                except OSError:
                    continue
                if head[:4] == b"\x7fELF" and len(head) == 20:
                    order = "little" if head[5] == 1 else "big"
                    machine = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
                    return machines.get(machine, "ELF machine %d" % machine)
            raise CannotLook("No program was found whose header tells the architecture.")

        return self.remember("architecture", look)

    @property
    def is_x86(self) -> bool:
        return self.architecture in ("x86_64", "amd64")

    @property
    def is_uefi(self) -> bool:
        """Whether the machine starts by UEFI: the firmware's own word, or an EFI partition in a mounted image."""
        if self.live:
            return self.exists("/sys/firmware/efi")
        for line in self.lines("/etc/fstab"):
            fields = line.text.split()
            if len(fields) > 2 and fields[1] in ("/boot/efi", "/efi") and fields[2] == "vfat":
                return True
        return bool(self.glob("/boot/efi/EFI/*", "/efi/EFI/*"))

    @property
    def profile(self) -> profiles.Profile:
        """The vendor values for this system."""
        return self.remember("profile", lambda: profiles.select(self.release, self.architecture, self._family or None))

    # -- judging -----------------------------------------------------------------------------------------------

    def after_capture(self, outcome: Outcome) -> Outcome:
        """A rule that the capture step puts into force: a machine in use is not measured by it, an image is."""
        if outcome.status == FAIL and self.phase != "captured":
            return na("until capture: %s" % outcome.evidence)
        return outcome

    # -- packages ----------------------------------------------------------------------------------------------

    @property
    def packages(self) -> Dict[str, str]:
        """Installed packages, name to version, from dpkg's own status file and from rpm."""
        return self.remember("packages", self._read_packages)

    def _read_packages(self) -> Dict[str, str]:
        found: Dict[str, str] = {}
        status = self.text("/var/lib/dpkg/status", MAX_READ)
        known = status is not None
        for stanza in (status or "").split("\n\n"):
            name = release = state = ""
            for line in stanza.split("\n"):
                if line.startswith("Package:"):
                    name = line[8:].strip()
                elif line.startswith("Version:"):
                    release = line[8:].strip()
                elif line.startswith("Status:"):
                    state = line[7:].strip()
            words = state.split()
            # "install ok triggers-pending" works; "install ok unpacked" was never set up.
            if name and words[-1:] and (words[-1] == "installed" or words[-1].startswith("triggers-")):
                found[name] = release
            elif name and words[-1:] and words[-1] in ("unpacked", "half-configured", "half-installed"):
                self._half_installed[name] = words[-1]
        rpm_folders = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm")
        if any(self.host.is_dir(folder) and self.listdir(folder) for folder in rpm_folders) and self.has_command("rpm"):
            if self.live:
                result = self.run("rpm", "-qa", "--qf", "%{NAME}\\t%{VERSION}-%{RELEASE}\\n")
                if result.rc == 0:
                    known = True
                    for line in result.stdout.split("\n"):
                        name, _tab, release = line.partition("\t")
                        if name:
                            found.setdefault(name, release)
                elif not known:
                    raise CannotLook("rpm -qa failed: %s" % shorten(result.stderr, 200))
            elif not known:
                raise CannotLook("The rpm database of a mounted image is not read.")
        pacman = self.listdir("/var/lib/pacman/local")
        for entry in pacman:
            name, _dash, release = entry.rpartition("-")[0].rpartition("-")
            if name:
                known = True
                found.setdefault(name, release)
        if not known:
            raise CannotLook("No package database was found (dpkg, rpm, pacman).")
        return found

    def half_installed(self, *names: str) -> List[str]:
        """Which of these packages dpkg has begun to install and not finished, as "name is half-configured"."""
        return [
            "%s is %s" % (name, self._half_installed[name])
            for name in names
            if name not in self.packages and name in self._half_installed
        ]

    def installed(self, *names: str) -> Optional[str]:
        """The first of these packages that is installed, as "name version"; None where none is."""
        for name in names:
            if name in self.packages:
                return "%s %s" % (name, self.packages[name])
        return None

    # -- units -------------------------------------------------------------------------------------------------

    def unit_file(self, unit: str) -> Optional[str]:
        """The path of a unit file, the strongest one; None where there is none."""
        for folder in UNIT_FOLDERS:
            path = "%s/%s" % (folder, unit)
            if self.exists(path, follow=False):
                return path
        return None

    def unit_state(self, unit: str) -> str:
        """enabled, disabled, static, masked or absent: what systemctl is-enabled says, read from the links.

        Reading the links works in a mounted image and without root, and starts nothing.
        """
        return self.remember(("unit", unit), lambda: self._unit_state(unit))

    def _unit_state(self, unit: str) -> str:
        path = self.unit_file(unit)
        if path is not None and self._is_null(path):
            return "masked"
        wanted = self._wanted
        # A removed package may leave its link behind: systemd starts nothing that has no unit file.
        template = unit.partition("@")[0] + "@." + unit.rpartition(".")[2]
        if unit in wanted and (path is not None or ("@" in unit and self.unit_file(template) is not None)):
            return "enabled"
        if path is None:
            name = unit[: -len(".service")] if unit.endswith(".service") else unit
            if self.exists("/etc/init.d/" + name):
                return (
                    "enabled"
                    if self.glob("/etc/rc[2-5].d/S??" + name, "/etc/rc.d/rc[2-5].d/S??" + name)
                    else "disabled"
                )
            return "absent"
        real = os.path.basename(self.host.resolve(path))
        if real != unit and real in wanted:
            return "enabled"
        if path.startswith("/etc/systemd/system/") and real != unit:
            return "enabled"
        for line in self.lines(path):
            if line.text.startswith("[Install]"):
                return "disabled"
        return "static"

    def _is_null(self, path: str) -> bool:
        if self.host.is_link(path):
            return self.host.readlink(path) == "/dev/null"
        return self.size(path) == 0

    @property
    def _wanted(self) -> Set[str]:
        """Names of all units that some target, socket or generator wants."""

        def look() -> Set[str]:
            found: Set[str] = set()
            for folder in UNIT_FOLDERS + (GENERATOR_FOLDERS if self.live else ()):
                for name in self.listdir(folder):
                    if name.endswith((".wants", ".requires")):
                        found.update(self.listdir("%s/%s" % (folder, name)))
                    elif folder == "/etc/systemd/system" and self.host.is_link("%s/%s" % (folder, name)):
                        # An alias of an enabled unit: dbus-org.freedesktop.network1.service -> …
                        target = os.path.basename(self.host.readlink("%s/%s" % (folder, name)))
                        if target != "null":
                            found.update((name, target))
            return found

        return self.remember("wanted", look)

    def first_enabled(self, *units: str) -> Optional[str]:
        """The first of these units that starts at boot; None where none does."""
        for unit in units:
            if self.unit_state(unit) == "enabled":
                return unit
        return None

    def unit_text(self, unit: str) -> str:
        """The unit file and its drop-ins, one after the other."""
        path = self.unit_file(unit)
        parts = [self.text(path) or ""] if path else []
        for folder in reversed(UNIT_FOLDERS):
            for dropin in self.glob("%s/%s.d/*.conf" % (folder, unit)):
                parts.append(self.text(dropin) or "")
        return "\n".join(parts)

    # -- udev --------------------------------------------------------------------------------------------------

    @property
    def udev_rules(self) -> List[str]:
        """The rules files that udev reads, in its order: of one name the strongest, masked and empty ones left out."""

        def look() -> List[str]:
            chosen: Dict[str, str] = {}
            for folder in UDEV_FOLDERS:
                for name in self.listdir(folder):
                    if name.endswith(".rules"):
                        chosen.setdefault(name, "%s/%s" % (folder, name))
            return [chosen[name] for name in sorted(chosen) if not self._is_null(chosen[name])]

        return self.remember("udev_rules", look)

    def udev_lines(self, path: str) -> List[Line]:
        """The rules of a file, each with its continued lines joined."""
        found: List[Line] = []
        open_line = False
        for line in self.lines(path):
            text = line.text
            if open_line:
                found[-1] = found[-1]._replace(text=found[-1].text + " " + text.rstrip("\\").strip())
            else:
                found.append(line._replace(text=text.rstrip("\\").strip()))
            open_line = text.endswith("\\")
        return found

    # -- mounts, disks -----------------------------------------------------------------------------------------

    @property
    def mounts(self) -> List[Mount]:
        """What is mounted, in order; in a mounted image what /etc/fstab will mount."""

        def look() -> List[Mount]:
            found = []
            if not self.live:
                for line in self.lines("/etc/fstab"):
                    fields = line.text.split()
                    if len(fields) >= 4 and fields[2] != "swap":
                        found.append(Mount(fields[1], fields[3].split(","), fields[2], fields[0]))
                return found
            for raw in (self.text("/proc/self/mountinfo") or "").split("\n"):
                before, dash, after = raw.partition(" - ")
                left, right = before.split(" "), after.split(" ")
                if dash and len(left) >= 6 and len(right) >= 2:
                    target = left[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
                    found.append(Mount(target, left[5].split(","), right[0], right[1]))
            return found

        return self.remember("mounts", look)

    @property
    def mount_points(self) -> List[filesystems.Mount]:
        """What is mounted on this machine, by real locations, also where a mounted image is looked at."""
        if not self.live:
            return self.remember("mount_points", filesystems.mounts)
        root = self.host.root.rstrip("/")
        return [filesystems.Mount((root + mount.target).rstrip("/") or "/", mount.fstype) for mount in self.mounts]

    def remote(self, path: str) -> str:
        """The type of the network file system that a path leads to; "" where to none. Nothing on it is touched."""
        return filesystems.leads_to_remote(self.host, path, self.mount_points)

    @property
    def local_homes(self) -> List[str]:
        """/home/*, but for what lies on a network file system: not part of the disk, and its server may be gone."""
        if self.remote("/home"):
            return []
        return [path for path in self.glob("/home/*") if not self.remote(path)]

    def mount_of(self, path: str) -> Optional[Mount]:
        """The mount that holds a path: the longest, and of equals the last."""
        best: Optional[Mount] = None
        for mount in self.mounts:
            base = mount.target.rstrip("/")
            if (path == mount.target or path.startswith(base + "/")) and (
                best is None or len(base) >= len(best.target.rstrip("/"))
            ):
                best = mount
        return best

    def options_of(self, path: str) -> Optional[Mount]:
        """mount_of(), with the options that /etc/fstab gives the same file system for the next boot added."""
        mount = self.mount_of(path)
        if mount is None or not self.live:
            return mount
        best: Optional[Mount] = None
        for line in self.lines("/etc/fstab"):
            fields = line.text.split()
            if len(fields) < 4 or not fields[1].startswith("/") or "noauto" in fields[3].split(","):
                continue
            base = fields[1].rstrip("/")
            if (path == fields[1] or path.startswith(base + "/")) and (
                best is None or len(base) >= len(best.target.rstrip("/"))
            ):
                best = Mount(fields[1], fields[3].split(","), fields[2], fields[0])
        if best is None or len(best.target.rstrip("/")) < len(mount.target.rstrip("/")):
            return mount
        if best.target.rstrip("/") == mount.target.rstrip("/"):
            return mount._replace(options=mount.options + [name for name in best.options if name not in mount.options])
        # fstab names a mount point of its own for the path, which is not in use yet.
        return best

    def block_name(self, device: str) -> str:
        """The kernel's name of a block device: "/dev/mapper/vg-root" gives "dm-0"; "" where it cannot be told."""
        if device.upper().startswith(("UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=")):
            key, _sep, value = device.partition("=")
            device = "/dev/disk/by-%s/%s" % (key.lower(), value.strip("\"'"))
        if not device.startswith("/dev/"):
            return ""
        name = os.path.basename(self.host.resolve(device))
        if self.exists("/sys/class/block/" + name):
            return name
        for entry in self.listdir("/sys/class/block"):
            if entry.startswith("dm-"):
                label = (self.text("/sys/class/block/%s/dm/name" % entry) or "").strip()
                if label and device in ("/dev/mapper/" + label, "/dev/" + label.replace("-", "/", 1)):
                    return entry
        return ""

    def disks_of(self, name: str) -> Set[str]:
        """The whole disks below a block device: {"sda"} for "sda1" and for a logical volume on it."""
        if not name:
            return set()
        base = "/sys/class/block/" + name
        slaves = self.listdir(base + "/slaves")
        if slaves:
            found: Set[str] = set()
            for slave in slaves:
                found |= self.disks_of(slave)
            return found
        if self.exists(base + "/partition"):
            return {os.path.basename(os.path.dirname(self.host.resolve(base)))}
        return {name}

    @property
    def root_block(self) -> str:
        """The block device of the root file system by the kernel's name; CannotLook where it cannot be told."""

        def look() -> str:
            self.needs_live("The disk of the root file system")
            mount = self.mount_of("/")
            name = self.block_name(mount.source) if mount else ""
            if not name and mount is not None:
                # "/dev/root": the kernel mounted it by itself; the device number tells.
                number = os.stat(self.host.path("/")).st_dev
                link = "/sys/dev/block/%d:%d" % (os.major(number), os.minor(number))
                if self.exists(link):
                    name = os.path.basename(self.host.resolve(link))
            if not name:
                raise CannotLook("The disk of the root file system could not be told (%s)." % (mount and mount.source))
            return name

        return self.remember("root_block", look)

    @property
    def os_disks(self) -> Set[str]:
        """The disks that hold the root file system: {"sda"}."""
        return self.disks_of(self.root_block)

    # -- kernels -----------------------------------------------------------------------------------------------

    @property
    def running_kernel(self) -> str:
        """uname -r of the running system; "" in a mounted image."""
        return self.remember("uname", lambda: os.uname().release if self.live else "")

    @property
    def kernels(self) -> List[str]:
        """Installed kernels that have a module directory, the running one first."""

        def look() -> List[str]:
            found = []
            for folder in ("/lib/modules", "/usr/lib/modules"):
                for name in self.listdir(folder):
                    base = "%s/%s" % (folder, name)
                    if name not in found and (
                        self.exists(base + "/modules.dep") or self.exists(base + "/modules.builtin")
                    ):
                        found.append(name)
            bootable = [name for name in found if self.has_kernel_image(name)]
            chosen = bootable or found
            if self.running_kernel in chosen:
                chosen = [self.running_kernel] + [name for name in chosen if name != self.running_kernel]
            return chosen

        return self.remember("kernels", look)

    def has_kernel_image(self, name: str) -> bool:
        """Whether a kernel's own image is there; a removed package may leave its initramfs or configuration behind."""
        literal = re.sub(r"([*?\[])", r"[\1]", name)
        if self.glob(
            "/boot/vmlinu[xz]-" + literal,
            "/boot/vmlinux-%s.gz" % literal,
            "/boot/[Ii]mage-" + literal,
            "/lib/modules/%s/vmlinuz" % literal,
            "/usr/lib/modules/%s/vmlinuz" % literal,
        ):
            return True
        for folder in ("/boot", "/efi", "/boot/efi"):
            try:
                if self.glob("%s/*/%s/linux" % (folder, literal)):
                    return True
            except CannotLook:
                # An EFI partition that only root may read: seldom a place of kernels, and the others were seen.
                continue
        return False

    def module_file_gone(self, kernel: str, name: str) -> bool:
        """Whether modules.dep names a file for a driver that is not there."""
        path = self.module(kernel, name)
        if path is None or path == "built in":
            return False
        if path.startswith("/"):
            return not self.exists(path)
        return not any(self.exists("%s/%s/%s" % (base, kernel, path)) for base in ("/lib/modules", "/usr/lib/modules"))

    def module(self, kernel: str, name: str) -> Optional[str]:
        """Where a driver of a kernel is: "built in", its file below the module directory, or None."""
        return self._modules(kernel).get(name.replace("-", "_"))

    def _modules(self, kernel: str) -> Dict[str, str]:
        def look() -> Dict[str, str]:
            found: Dict[str, str] = {}
            base = "/lib/modules/" + kernel
            if not self.exists(base):
                base = "/usr/lib/modules/" + kernel
            depends = self.text(base + "/modules.dep")
            builtin = self.text(base + "/modules.builtin")
            if depends is None and builtin is None:
                raise CannotLook("%s has neither modules.dep nor modules.builtin." % base)
            for line in (depends or "").split("\n"):
                path = line.split(":", 1)[0]
                if path:
                    found[_module_name(path)] = path
            for line in (builtin or "").split("\n"):
                if line.strip():
                    found[_module_name(line.strip())] = "built in"
            return found

        return self.remember(("modules", kernel), look)

    def kernel_config(self, kernel: str) -> Tuple[str, Dict[str, str]]:
        """(path, options) of the configuration that lies beside a kernel; ("", {}) where there is none."""

        def look() -> Tuple[str, Dict[str, str]]:
            for path in (
                "/boot/config-" + kernel,
                "/lib/modules/%s/config" % kernel,
                "/usr/lib/modules/%s/config" % kernel,
            ):
                text = self.text(path)
                if text is not None:
                    pairs = re.findall(r"^(CONFIG_\w+)=(\S+)", text, re.MULTILINE)
                    return path, dict(pairs)
            return "", {}

        return self.remember(("config", kernel), look)

    # -- boot entries, initramfs images ------------------------------------------------------------------------

    @property
    def entries(self) -> List[Tuple[str, List[str]]]:
        """(name, arguments) of every boot entry but rescue and recovery ones."""
        return self.remember("entries", lambda: boot_sources.entries(self.host))

    @property
    def running_arguments(self) -> Optional[List[str]]:
        """The arguments that the running kernel was started with; None in a mounted image."""
        if not self.live:
            return None
        return cmdline.split(self.text("/proc/cmdline") or "")

    @property
    def command_lines(self) -> List[Tuple[str, List[str]]]:
        """The boot entries (where they can be read) and the running kernel's own line."""
        try:
            found = list(self.entries)
        except AzurePrepError:
            if not self.live:
                raise
            found = []
        running = self.running_arguments
        return found + ([("/proc/cmdline", running)] if running is not None else [])

    def all_entries_seen(self) -> None:
        """Stop a check that would say "pass" by the running kernel's arguments alone: the entries must be readable."""
        if not self.entries:
            raise CannotLook("No boot entry was found.")

    @property
    def generator(self) -> str:
        """What makes the initramfs: dracut, initramfs-tools, mkinitrd, mkinitrd-suse; "" where unknown."""
        return self.remember("initramfs", lambda: boot_sources.initramfs(self.host))[0]

    @property
    def images(self) -> List[Image]:
        """The initramfs of every bootable kernel that has one."""
        found = self.images_found
        if not found:
            raise CannotLook("No initramfs was found in /boot.")
        return found

    @property
    def images_found(self) -> List[Image]:
        """The same; [] where there is none."""
        found = self.remember("initramfs", lambda: boot_sources.initramfs(self.host))[1]
        return [Image(*item) for item in found]

    # -- the agent ---------------------------------------------------------------------------------------------

    @property
    def has_agent(self) -> bool:
        return self.has_command("waagent")

    @property
    def agent_options(self) -> Dict[str, str]:
        """The options of /etc/waagent.conf as the agent reads them; {} where there is no such file."""
        return self.remember("agent", lambda: waagent_conf.settings(self.text("/etc/waagent.conf") or ""))

    def agent_setting(self, key: str) -> str:
        """One option; "" where it is not set."""
        return self.agent_options.get(key, "")

    @property
    def agent_version(self) -> Tuple[int, ...]:
        """The agent's version from its own source, else of its package; () where it cannot be told."""

        def look() -> Tuple[int, ...]:
            for path in self.glob(
                "/usr/lib/python3/dist-packages/azurelinuxagent/common/version.py",
                "/usr/lib/python[23]*/site-packages/azurelinuxagent/common/version.py",
                "/usr/local/lib/python[23]*/dist-packages/azurelinuxagent/common/version.py",
            ):
                match = re.search(r"^AGENT_VERSION\s*=\s*['\"]([\d.]+)", self.text(path) or "", re.MULTILINE)
                if match:
                    return version(match.group(1))
            for name in ("waagent", "walinuxagent", "WALinuxAgent", "python-azure-agent"):
                if name in self.packages:
                    return version(self.packages[name].split("-")[0])
            return ()

        return self.remember("agent_version", look)

    # -- accounts ----------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> List[Account]:
        """The lines of /etc/passwd that are well formed."""

        def look() -> List[Account]:
            found = []
            for line in self.lines("/etc/passwd"):
                fields = line.text.split(":")
                if len(fields) >= 7 and fields[2].isdigit():
                    found.append(Account(fields[0], int(fields[2]), fields[5], fields[6], fields[1], line.number))
            return found

        return self.remember("accounts", look)

    @property
    def shadow(self) -> List[Tuple[int, str, str]]:
        """(line, name, password field) of /etc/shadow."""

        def look() -> List[Tuple[int, str, str]]:
            if self.text("/etc/shadow") is None:
                raise CannotLook("/etc/shadow does not exist.")
            found = []
            for line in self.lines("/etc/shadow"):
                fields = line.text.split(":")
                if len(fields) >= 2:
                    found.append((line.number, fields[0], fields[1]))
            return found

        return self.remember("shadow", look)

    # -- who provisions ----------------------------------------------------------------------------------------

    @property
    def provisioner(self) -> str:
        """cloud-init, waagent or agentless: as told, else as the system shows."""

        def look() -> str:
            if self._provisioner != "auto":
                return self._provisioner
            if self.unit_state("azure-provisioning.service") not in ("absent", "masked"):
                return "agentless"
            if self.has_command("cloud-init"):
                # The agent's own choice in its configuration, and cloud-init told to stay away: AGENT-04's task.
                agent = self.has_agent and self.agent_setting("Provisioning.Agent").lower() == "waagent"
                return "waagent" if agent and self.exists("/etc/cloud/cloud-init.disabled") else "cloud-init"
            if self.has_command("waagent"):
                return "waagent"
            # Nothing is there yet; the profile says what the documents recommend.
            return self.profile.provisioner

        return self.remember("provisioner", look)

    @property
    def agentless(self) -> bool:
        return self.provisioner == "agentless"


def _module_name(path: str) -> str:
    """kernel/drivers/hv/hv_vmbus.ko.xz -> hv_vmbus; hyphens become underscores as modprobe has it."""
    name = os.path.basename(path)
    return name.split(".ko", 1)[0].replace("-", "_")
