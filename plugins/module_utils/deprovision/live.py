# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only a running system needs: services that would write again, sessions, the agent's and cloud-init's tools.

Private to the collection: its interface may change in any release.
"""

import os
import re
import signal
import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Set

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import accounts as acc
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host

#: Seconds after which a tool that hangs is given up; its work is then done natively like everything it leaves.
TOOL_TIMEOUT = 180

#: Services that start jobs, install packages or provision. Timers are stopped all together.
QUIET_SERVICES = (
    "waagent",
    "walinuxagent",
    "cron",
    "crond",
    "cronie",
    "atd",
    "anacron",
    "unattended-upgrades",
    "packagekit",
    "apt-daily",
    "apt-daily-upgrade",
    "dnf-makecache",
    "abrtd",
    "systemd-random-seed",
)

#: Services that write logs.
LOG_SERVICES = ("rsyslog", "syslog-ng", "syslog", "sysstat", "acct", "psacct")

_HISTORY_PROGRAMS_TEXT = (
    "bash zsh fish ksh ksh93 mksh sh dash ash tcsh csh xonsh nu python python3 ipython mysql mariadb psql sqlite3 "
    "less more vi vim vim.basic vim.tiny nvim nano redis-cli mongosh irb node gdb su sudo screen tmux"
)

#: Programs that write a history when they are told to end; they are killed without being told.
HISTORY_PROGRAMS = frozenset(_HISTORY_PROGRAMS_TEXT.split())

_JOURNALD_DROP_IN = "/run/systemd/journald.conf.d/99-azure-deprovision.conf"


class Process(NamedTuple):
    """One process: effective UID, parent, name (at most 15 bytes), and whether it has a terminal."""

    pid: int
    ppid: int
    uid: int
    comm: str
    has_terminal: bool


def processes() -> List[Process]:
    """All processes of this system, from proc(5)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, "rb") as stream:
                line = stream.read().decode("utf-8", "replace")
            uid = os.stat("/proc/" + name).st_uid
        except OSError:
            continue
        match = re.match(r"\d+ \((.*)\) (.*)", line, re.DOTALL)
        if match:
            fields = match.group(2).split()
            found.append(Process(int(name), int(fields[1]), uid, match.group(1), fields[4] != "0"))
    return found


def lineage(pid: int) -> List[int]:
    """A process and its ancestors, init left out."""
    parents = {process.pid: process.ppid for process in processes()}
    found: List[int] = []
    while pid > 1 and pid not in found:
        found.append(pid)
        pid = parents.get(pid, 0)
    return found


def log_writers(directory: str = "/var/log/") -> List[int]:
    """Processes that have a file below a directory open for writing."""
    found = []
    for info in processes():
        base = "/proc/%d/" % info.pid
        try:
            for number in os.listdir(base + "fd"):
                if not os.readlink(base + "fd/" + number).startswith(directory):
                    continue
                with open(base + "fdinfo/" + number, "rb") as stream:
                    flags = re.search(rb"^flags:\s*([0-7]+)", stream.read(), re.MULTILINE)
                if flags and int(flags.group(1), 8) & os.O_ACCMODE != os.O_RDONLY:
                    found.append(info.pid)
                    break
        except OSError:
            # It ended while it was looked at.
            continue
    return found


def unit_of(pid: int) -> str:
    """The service that a process belongs to, from its control group; empty where it is none."""
    try:
        with open("/proc/%d/cgroup" % pid, "rb") as stream:
            match = re.search(rb"/([^/\n]+\.service)(?:/|\n|$)", stream.read())
    except OSError:
        return ""
    return os.fsdecode(match.group(1)) if match else ""


#: What goes on while everything else is stopped for the last cleaning: init and its helpers, the bus, the network.
_NEVER_STOPPED = re.compile(
    r"^(?:systemd.*|\(sd-pam\)|init|dbus.*|sshd.*|agetty|udevd|NetworkManager|nm-.*|dhclient|dhcpcd|wicked.*|connmand|"
    r"udhcpc|login|multipathd|iscsid|plymouthd|rngd|haveged)$"
)


def is_in_session(pid: int) -> bool:
    """Whether a process belongs to a login session (logind's scopes), the SSH server's own half of it included."""
    try:
        with open("/proc/%d/cgroup" % pid, "rb") as stream:
            return re.search(rb"/session-[^/\n]+\.scope", stream.read()) is not None
    except OSError:
        return False


class Live:
    """Acts on the running system and writes down, in actions, what it ran.

    before_commit: called before the way in is taken. tools: whether the agent's and cloud-init's own tools are run.
    waiting: the processes of a session that came back after a lost link to fetch the result.
    """

    def __init__(self, host: Host, protected_pids: Sequence[int] = ()) -> None:
        self.host = host
        self.protected_pids: Set[int] = set(protected_pids)
        self.actions: List[str] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.tools = True
        self.waiting: Callable[[], List[int]] = list
        self.stopped: Set[int] = set()
        self.systemd = os.path.isdir("/run/systemd/system") and host.which("systemctl") is not None

    def _run(self, argv: Sequence[str], timeout: float = 90) -> Optional[CommandResult]:
        """Run a command whose failure is judged by the checks, not by its exit status; None where it is missing."""
        if self.host.which(argv[0]) is None:
            return None
        try:
            result = self.host.run(argv, check=False, timeout=timeout)
        except AzurePrepError as exc:
            self.actions.append("%s: %s" % (" ".join(argv), exc))
            return None
        self.actions.append("%s: exit status %d" % (" ".join(argv), result.rc))
        return result

    def _stop(self, services: Sequence[str]) -> None:
        if self.systemd:
            result = self.host.run(
                ["systemctl", "list-units", "--plain", "--no-legend", "--all", "--type=service,socket"],
                check=False,
                timeout=60,
            )
            loaded = {line.split()[0] for line in result.stdout.split("\n") if line.split()}
            units = [name + kind for name in services for kind in (".socket", ".service") if name + kind in loaded]
            if units:
                self._run(["systemctl", "stop"] + units, timeout=150)
            return
        for name in services:
            if self.host.exists("/etc/init.d/" + name):
                self._run(["service", name, "stop"])

    def quiesce(self) -> None:
        """Stop what would start jobs, install packages, provision, or save a random seed at shutdown."""
        if self.systemd:
            self._run(["systemctl", "stop", "*.timer"])
        self._stop(QUIET_SERVICES)

    def silence_logs(self) -> None:
        """From here on nothing reaches the disk's logs: the journal is kept in memory, loggers are stopped."""
        if self.systemd:
            self.host.write(_JOURNALD_DROP_IN, "[Journal]\nStorage=volatile\nForwardToSyslog=no\n")
            self._run(["systemctl", "restart", "systemd-journald"])
        self._stop(LOG_SERVICES)
        try:
            pid = int(self.host.read("/run/auditd.pid", self.host.read("/var/run/auditd.pid", "")).strip() or 0)
        except ValueError:
            pid = 0
        if pid > 1:
            # The unit of auditd refuses to be stopped by systemctl; the signal is its documented way.
            self._kill([pid], signal.SIGTERM)
            end = time.monotonic() + 10
            while time.monotonic() < end and os.path.exists("/proc/%d" % pid):
                time.sleep(0.1)
            self.actions.append("auditd: stopped")

        self.stop_writers()

    def stop_writers(self) -> None:
        """Stop whatever still has a log file open for writing: its unit first, then what is left of it.

        Not what this session and this process need.
        """
        mine = set(lineage(os.getpid())) | self.protected_pids | set(self.waiting())
        pids = [pid for pid in log_writers() if pid not in mine and pid > 1]
        units = sorted({unit for unit in (unit_of(pid) for pid in pids) if unit} - {unit_of(pid) for pid in mine})
        units = [unit for unit in units if not unit.startswith(("systemd-journald", "dbus", "ssh"))]
        if units and self.systemd:
            self._run(["systemctl", "stop"] + units, timeout=150)
        left = [pid for pid in log_writers() if pid not in mine and pid > 1 and "journald" not in unit_of(pid)]
        if self._kill(left, signal.SIGKILL):
            self.actions.append("killed %d processes that had log files open" % len(left))
            time.sleep(0.3)

    # -- tools of others -----------------------------------------------------------------------------------------

    def clean_cloud_init(self, context: Context) -> None:
        """cloud-init clean with the options that this version offers (CLEAN-04).

        Not --machine-id: releases before 23 delete the file, which makes the next boot a first boot. The item
        machine_id does what the caller chose.
        """
        usage = self._run(["cloud-init", "clean", "--help"], timeout=TOOL_TIMEOUT)
        if usage is None:
            return
        argv = ["cloud-init", "clean", "--logs", "--seed"]
        if "--configs" in usage.stdout:
            argv += ["--configs", "all"] if context.cloud_init_network else ["--configs", "ssh_config"]
        self._run(argv, timeout=TOOL_TIMEOUT)

    def unregister(self) -> None:
        """Give back subscriptions while the network is there (CLEAN-17, REPO-02)."""
        for argv in (
            ["insights-client", "--unregister"],
            ["subscription-manager", "unregister"],
            ["subscription-manager", "clean"],
            ["SUSEConnect", "--de-register"],
            ["SUSEConnect", "--cleanup"],
            ["pro", "detach", "--assume-yes"],
        ):
            self._run(argv, timeout=TOOL_TIMEOUT)

    def run_agent(self, context: Context) -> List[str]:
        """waagent -force -deprovision(+user). Returns sentences; its exit status proves nothing (section 4.4)."""
        if context.agent is None:
            return []
        keeps = [account for account in context.removed_accounts if not acc.home_is_removable(account, [])]
        user = "+user" if context.options.user and not keeps else ""
        result = self._run([context.agent, "-force", "-deprovision" + user], timeout=TOOL_TIMEOUT)
        if result is None:
            return ["The agent's own deprovision did not end; everything that it does was done without it."]
        output = result.stdout + result.stderr
        notes = []
        for line in output.split("\n"):
            if "userdel" in line and "does not exist" in line:
                continue  # removed before the agent was asked, so that an interrupted run can be completed
            if "Failed to run" in line or "Traceback" in line or "ERROR" in line:
                notes.append("The agent said: %s (judged by the checks, not by this line)." % line.strip()[:300])
        if "[Errno 5] Input/output error" in output:
            notes.append(
                "The agent said [Errno 5] Input/output error, known from VirtualBox; harmless where all checks hold."
            )
        return notes

    # -- sessions ------------------------------------------------------------------------------------------------

    def _kill(self, pids: Sequence[int], number: int) -> int:
        count = 0
        for pid in pids:
            try:
                os.kill(pid, number)
                count += 1
            except ProcessLookupError:
                continue
        return count

    def kill_sessions(self, context: Context, spare: bool) -> None:
        """Kill, unasked, the processes of accounts that go, every program at a terminal that keeps a history, and
        whatever else login sessions left running, root's too, without the farewell in which the SSH server would
        write login records.

        spare: not the session that waits for the result.
        """
        me = set(lineage(os.getpid()))
        spared = me | (self.protected_pids | set(self.waiting()) if spare else set())
        gone = {account.uid for account in context.removed_accounts if account.uid != 0}
        pids = []
        for process in processes():
            if process.pid in spared or process.pid <= 1:
                continue
            at_terminal = process.has_terminal and process.comm.lstrip("-") in HISTORY_PROGRAMS
            if process.uid in gone or at_terminal or is_in_session(process.pid):
                pids.append(process.pid)
        if self._kill(pids, signal.SIGKILL):
            self.actions.append("killed %d processes of accounts that go, and shells at terminals" % len(pids))
            time.sleep(0.5)

    def stop_others(self, context: Context) -> None:
        """SIGSTOP to every program but init's, the network's and ours: what opens a log for each line that it writes
        is seen by nobody, and must not write while the last cleaning is done. A later SIGCONT lets it go on."""
        spared = set(lineage(os.getpid())) | self.protected_pids | set(self.waiting()) | {1, 2}
        pids = [
            process.pid
            for process in processes()
            if process.pid not in spared and process.ppid != 2 and not _NEVER_STOPPED.match(process.comm)
        ]
        self.stopped.update(pids)
        if self._kill(pids, signal.SIGSTOP):
            time.sleep(0.1)

    def let_others_go_on(self) -> None:
        self._kill(sorted(self.stopped), signal.SIGCONT)
        self.stopped.clear()

    def stop_network_writers(self) -> None:
        """Before the power goes: nothing may write resolv.conf or a lease again. Interfaces stay as they are."""
        self._stop(["NetworkManager", "systemd-networkd", "wickedd", "wicked", "connman"])
        names = ("dhclient", "dhcpcd", "udhcpc", "chronyd")
        self._kill([p.pid for p in processes() if p.comm in names], signal.SIGKILL)

    # -- the end -------------------------------------------------------------------------------------------------

    def free_space(self, method: str) -> None:
        """trim: tell the disk which blocks are free. zero: fill the free space of the root file system with zeros."""
        if method == "trim":
            self._run(["fstrim", "-a"], timeout=600)
        elif method == "zero":
            self._fill_with_zeros("/.azure-deprovision.zero")

    def _fill_with_zeros(self, path: str) -> None:
        block = bytes(4 * 1024 * 1024)
        try:
            with open(path, "wb", buffering=0) as stream:
                os.unlink(path)
                while stream.write(block) == len(block):
                    continue
        except OSError:
            # The disk is full now, which was the aim; closing the unlinked file frees it.
            pass
        os.sync()
        self.actions.append("free space of the root file system filled with zeros")

    def power_off(self) -> None:
        """Power off without the services' own farewell, which would write leases, seeds and login records again."""
        os.sync()
        if self.systemd:
            result = self._run(["systemctl", "poweroff", "--force"], timeout=60)
            if result is not None and result.rc == 0:
                return
        for argv in (["poweroff", "-f"], ["halt", "-f", "-p"], ["shutdown", "-h", "now"]):
            result = self._run(argv, timeout=60)
            if result is not None and result.rc == 0:
                return
