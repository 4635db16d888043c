# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes die, which commands run, and what of their output is passed on; nothing here is really run."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision import live as live_module
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.context import Context, Options
from ansible_collections.linuxvhd.azure.plugins.module_utils.deprovision.live import Live, Process
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import CommandResult, Host

MakeHost = Callable[..., Host]

PASSWD = (
    "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\ncarol:x:1001:1001::/home/carol:/bin/sh\n"
)

#: pid, parent, uid, name, terminal
PROCESSES = [
    Process(1, 0, 0, "systemd", False),
    Process(50, 1, 0, "sshd", False),
    Process(60, 50, 0, "sshd", False),
    Process(61, 60, 1000, "sshd", False),  # the session that waits
    Process(62, 61, 1000, "sh", True),
    Process(63, 62, 0, "sudo", True),
    Process(64, 63, 0, "python3", True),
    Process(70, 50, 1000, "bash", True),  # alice, in another window
    Process(71, 70, 0, "vim", True),  # as root, at a terminal
    Process(72, 1, 1000, "systemd", False),  # alice's user manager
    Process(80, 1, 1001, "zsh", True),  # carol stays, her shell must not write a history
    Process(81, 1, 1001, "worker", False),  # carol's daemon lives on
    Process(90, 1, 0, "python3", False),  # a service in Python
    Process(91, 1, 0, "agetty", True),
    Process(100, 1, 0, "python3", False),  # this process
]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(live_module, "processes", lambda: PROCESSES)
    monkeypatch.setattr(live_module.os, "getpid", lambda: 100)
    monkeypatch.setattr(live_module.os, "kill", lambda pid, number: found.append((pid, number)))
    monkeypatch.setattr(live_module.time, "sleep", lambda seconds: None)
    return found


@pytest.mark.parametrize(
    ("spare", "expected"),
    [(True, [70, 71, 72, 80]), (False, [61, 62, 63, 64, 70, 71, 72, 80])],
)
def test_who_is_killed(make_host: MakeHost, killed: list[tuple[int, int]], spare: bool, expected: list[int]) -> None:
    host = make_host({"/etc/passwd": PASSWD})
    context = Context(host, Options(connected_users=("alice",)))
    Live(host, protected_pids=live_module.lineage(64)).kill_sessions(context, spare=spare)
    assert [pid for pid, _number in killed] == expected
    assert {number for _pid, number in killed} == {signal.SIGKILL}


def test_lineage_of_this_process() -> None:
    found = live_module.lineage(os.getpid())
    assert found[0] == os.getpid() and 1 not in found
    if os.getppid() > 1:
        assert found[1] == os.getppid()


class Recorder(Live):
    """Answers instead of running."""

    def __init__(self, host: Host, answers: dict[str, CommandResult]) -> None:
        super().__init__(host)
        self.answers = answers
        self.ran: list[str] = []

    def _run(self, argv, timeout: float = 90):  # type: ignore[no-untyped-def]
        line = " ".join(argv)
        self.ran.append(line)
        return next((answer for begin, answer in self.answers.items() if line.startswith(begin)), None)


def answer(stdout: str) -> CommandResult:
    return CommandResult([], 0, stdout, "")


@pytest.mark.parametrize(
    ("help_text", "network", "expected"),
    [
        ("--logs --seed", True, "cloud-init clean --logs --seed"),
        ("--logs --seed --machine-id", True, "cloud-init clean --logs --seed"),
        ("--logs --seed --configs", True, "cloud-init clean --logs --seed --configs all"),
        ("--logs --seed --configs", False, "cloud-init clean --logs --seed --configs ssh_config"),
    ],
)
def test_cloud_init_options(make_host: MakeHost, help_text: str, network: bool, expected: str) -> None:
    host = make_host({"/usr/bin/cloud-init": ""})
    os.chmod(host.path("/usr/bin/cloud-init"), 0o755)
    if not network:
        host.write("/etc/cloud/cloud.cfg", "network: {config: disabled}\n")
    live = Recorder(host, {"cloud-init clean --help": answer(help_text), "cloud-init clean": answer("")})
    live.clean_cloud_init(Context(host, Options()))
    assert live.ran == ["cloud-init clean --help", expected]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", []),
        ("2026 ERROR Command: [userdel -f -r a], stderr: [userdel: user 'a' does not exist", []),
        ("WARNING! The waagent service will be stopped.", []),
        ("2026 ERROR Failed to run 'deprovision+user': [Errno 2] No such file", ["The agent said"]),
        ("[Errno 5] Input/output error", ["harmless where all checks hold"]),
    ],
)
def test_what_the_agent_says_is_told_not_believed(make_host: MakeHost, output: str, expected: list[str]) -> None:
    host = make_host({"/usr/sbin/waagent": ""})
    os.chmod(host.path("/usr/sbin/waagent"), 0o755)
    live = Recorder(host, {"waagent": answer(output)})
    notes = live.run_agent(Context(host, Options()))
    assert live.ran == ["waagent -force -deprovision+user"]
    assert len(notes) == len(expected) and all(part in note for part, note in zip(expected, notes, strict=True))


def test_the_agent_keeps_its_hands_off_users_when_asked(make_host: MakeHost) -> None:
    host = make_host({"/usr/sbin/waagent": ""})
    os.chmod(host.path("/usr/sbin/waagent"), 0o755)
    live = Recorder(host, {"waagent": answer("")})
    live.run_agent(Context(host, Options(user=False)))
    assert live.ran == ["waagent -force -deprovision"]


def test_an_agent_that_hangs_is_told(make_host: MakeHost) -> None:
    host = make_host({"/usr/sbin/waagent": ""})
    os.chmod(host.path("/usr/sbin/waagent"), 0o755)
    assert "done without it" in Recorder(host, {}).run_agent(Context(host, Options()))[0]


def test_who_has_a_log_open_for_writing(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x")
    code = "import sys, time; stream = open(sys.argv[1], sys.argv[2]); print(1, flush=True); time.sleep(60)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(log), mode], stdout=subprocess.PIPE) for mode in ("a", "r")
    ]
    try:
        for process in started:
            assert process.stdout is not None and process.stdout.readline() == b"1\n"
        assert live_module.log_writers(str(tmp_path) + "/") == [started[0].pid]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_units_and_sessions_from_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {
        1: b"0::/system.slice/chatty.service\n",
        2: b"0::/user.slice/user-1000.slice/session-3.scope\n",
        3: b"12:pids:/system.slice/a@b.service/x\n1:name=systemd:/system.slice/a@b.service\n",
        4: b"0::/init.scope\n",
    }
    real = open

    def fake(path: str, *args: Any) -> Any:
        if path.startswith("/proc/") and path.endswith("/cgroup"):
            return io.BytesIO(groups[int(path.split("/")[2])])
        return real(path, *args)

    monkeypatch.setattr("builtins.open", fake)
    assert [live_module.unit_of(pid) for pid in groups] == ["chatty.service", "", "a@b.service", ""]
    assert [live_module.is_in_session(pid) for pid in groups] == [False, True, False, False]


def test_what_is_stopped_for_the_last_cleaning(make_host: MakeHost, killed: list[tuple[int, int]]) -> None:
    live = Live(make_host({"/etc/passwd": PASSWD}), protected_pids=[61, 62, 63, 64])
    live.stop_others(Context(live.host, Options()))
    assert (81, signal.SIGSTOP) in killed and (90, signal.SIGSTOP) in killed
    assert {pid for pid, _number in killed}.isdisjoint({1, 50, 60, 61, 62, 63, 64, 72, 91})
    stopped = [pid for pid, _number in killed]
    killed.clear()
    live.let_others_go_on()
    assert killed == [(pid, signal.SIGCONT) for pid in stopped] and live.stopped == set()


def test_a_session_that_came_back_for_the_result_is_spared(make_host: MakeHost, killed: list[tuple[int, int]]) -> None:
    live = Live(make_host({"/etc/passwd": PASSWD}), protected_pids=[61])
    live.waiting = lambda: [70, 62, 63, 64]
    live.kill_sessions(Context(live.host, Options(connected_users=("alice",))), spare=True)
    assert [pid for pid, _number in killed] == [71, 72, 80]
