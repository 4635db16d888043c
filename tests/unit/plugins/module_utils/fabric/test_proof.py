"""The conversation with the guest, with a stand-in for SSH and no machine."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import (
    console,
    deployment,
    guest,
    image,
    pcap,
    proof,
)

WHOLE = "@@user\nazureuser\n@@sudo\n{sudo}\n@@boot_id\n{boot}\n@@end\n"


class Client:
    """Answers in turn; the last answer is repeated."""

    def __init__(self, *answers: guest.Login) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def run(self, command: list[str], stdin: str = "", timeout: float = 60, started: Any = None) -> guest.Login:
        self.asked.append(command[0])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if started is not None and answer.out:
            started()
        return answer


class Monitor:
    def __init__(self) -> None:
        self.commands: list[str] = []

    def command(self, execute: str, **values: Any) -> None:
        self.commands.append(execute)


class Process:
    def poll(self) -> None:
        return None


def stand_in(monkeypatch: pytest.MonkeyPatch, client: Client) -> Any:
    """A Proof whose machine is a stand-in."""
    one: Any = object.__new__(proof.Proof)
    one.options = proof.Options("x.vhd")
    one.accel = "kvm"
    one.client, one.monitor, one.process = client, Monitor(), Process()
    one.console = console.Console()
    one.timeline, one.facts, one.login = [], {}, None
    one.say = lambda text: None
    one.resets, one.second = 0, False
    one._started = time.monotonic()
    one._look = lambda: None
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return one


def ok(text: str) -> guest.Login:
    return guest.Login(True, text, "")


WORDS = """OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17\r
debug1: Authentications that can continue: publickey,password\r
debug1: Next authentication method: publickey\r
Authenticated to 127.0.0.1 ([127.0.0.1]:40001) using "publickey".\r
debug1: Exit status 0\r
"""


@pytest.mark.parametrize(
    ("text", "message", "offered"),
    [
        (WORDS, "", "publickey,password"),
        (WORDS.replace("Authenticated", "az@127.0.0.1: Permission denied (publickey).\r\nAuthenticated"),
         "az@127.0.0.1: Permission denied (publickey).", "publickey,password"),
        ("ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n", "ssh: connect to host 127.0.0.1 port 1: "
         "Connection refused", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_ssh_says_what_the_server_offers(tmp_path: Any, text: str, message: str, offered: str) -> None:
    client = guest.Client(str(tmp_path), 1, "azureuser")
    started: list[int] = []
    line = ["sh", "-c", 'cat; printf %s "$0" >&2', text]
    login = client._run(line, "input\n", 20, None, lambda: started.append(1))
    assert login == guest.Login(True, "input\n", message, offered)
    assert started == [1]


def test_a_login_that_hangs_is_ended(tmp_path: Any) -> None:
    client = guest.Client(str(tmp_path), 1, "azureuser", lambda: ticks.append(1))
    ticks: list[int] = []
    before = time.monotonic()
    login = client._run(["sh", "-c", "echo half; exec sleep 60"], "", 0.8, None)
    assert (login.ok, login.out, time.monotonic() - before < 20) == (False, "half\n", True)
    assert "no answer within" in login.message and ticks


def test_a_host_key_is_named_as_ssh_keygen_names_it() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIsygupWG2eI/fwGPCZqS2TGwmntgtHPGlgE0KvInkBt test"
    assert guest.fingerprint(line) == "SHA256:N6mFNF4tMM30AdqUcNDI5Iwu6hvLo/41gH+l8HeuBVQ (ED25519)"
    assert [guest.fingerprint(text) for text in ("", "ssh-rsa", "ssh-rsa %%% x", "ecdsa-sha2-nistp256 AAAA")] == [
        "", "", "", "SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw (ECDSA)"
    ]  # fmt: skip


def test_facts_are_taken_after_the_first_login(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = guest.Login(False, "", "Connection refused")
    one = stand_in(monkeypatch, Client(refused, ok(WHOLE.format(sudo="root", boot="a"))))
    one.inside(60.0)
    assert len(one.client.asked) == 2
    assert guest.first(one.facts, "user") == "azureuser"
    assert [event.name for event in one.timeline] == ["ssh"]


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stand_in(monkeypatch, Client(ok("@@user\nazureuser\n@@system\nrunning\n")))
    one.inside(60.0)
    assert one.facts == {}
    assert "did not answer all questions" in one.login.message
    assert ["-lt 60" in asked for asked in one.client.asked] == [True, False]


def test_it_stops_trying_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stand_in(monkeypatch, Client(guest.Login(False, "", "Connection refused")))
    one.inside(-1.0)
    assert (one.facts, one.login.message) == ({}, "Connection refused")


@pytest.mark.parametrize(("sudo", "button"), [("root", False), ("", True)])
def test_a_restart_waits_for_another_boot(monkeypatch: pytest.MonkeyPatch, sudo: str, button: bool) -> None:
    old, new = ok(WHOLE.format(sudo=sudo, boot="first")), ok(WHOLE.format(sudo=sudo, boot="second"))
    one = stand_in(monkeypatch, Client(*[ok("")] * (1 if button else 2), old, new))
    one.facts = guest.parse_facts(old.out)
    one.fabric = Record(health(1.0))
    looks = []

    def look() -> None:
        looks.append(1)
        one.resets += 1 if len(looks) == 3 else 0

    one._look = look
    found = one.reboot()
    assert found is not None and guest.first(found, "boot_id") == "second"
    assert one.monitor.commands == ["eject"] + (["system_reset"] if button else [])
    # The agent may end its part of the first boot before; what it reports until then belongs to that boot.
    assert button or ("/var/lib/waagent/provisioned" in one.client.asked[0] and "reboot" in one.client.asked[1])
    assert one.first_entries == 1
    # Nothing is asked before the machine was reset.
    assert len(one.client.asked) == (3 if button else 4)


def test_who_started_the_reset_is_told_apart() -> None:
    one: Any = object.__new__(proof.Proof)
    one.restarts = one.resets = 0
    one.second, one.timeline, one.say, one._started = False, [], lambda text: None, time.monotonic()

    class Statistics(Monitor):
        def command(self, execute: str, **values: Any) -> Any:
            return []

    one.monitor, one._statistics = Statistics(), {}
    one.monitor.events = [{"event": "RESET", "data": {"guest": by_guest}} for by_guest in (True, False)]
    one._poll_monitor()
    assert (one.restarts, one.resets, one.monitor.events) == (1, 2, [])


class Record:
    """The fabric as far as the watch looks at it."""

    def __init__(self, *entries: deployment.Entry) -> None:
        self.found = list(entries)

    def entries(self) -> list[deployment.Entry]:
        return self.found


def health(seconds: float, state: str = "Ready", accepted: bool = True, substatus: str = "") -> deployment.Entry:
    report = deployment.Report(state, substatus, "", "1", "c", "i", accepted, "")
    return deployment.Entry(seconds, "wireserver", "POST", "/", "x", 200, "health", "", True, report)


def watched(monkeypatch: pytest.MonkeyPatch, text: str, *entries: deployment.Entry) -> Any:
    """A Proof that watches a machine which does nothing; its clock goes on by a second per look and not else."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    one = stand_in(monkeypatch, Client(ok("")))
    one.options = proof.Options("x.vhd", timeout=600)
    one.fabric, one.traffic, one.image = Record(*entries), pcap.NOTHING, None
    one.console.feed(text.encode(), 1.0)
    one.ready_seconds, one.restarts, one.screen, one.buses = None, 0, "", ["virtio-scsi"]
    one._serial_read, one._threads, one._statistics = 0, {}, {"os": (1, 1)}
    one.busy_seconds = lambda: 0.0
    one._read_screen = lambda: ""

    def look() -> None:
        clock[0] += 1.0

    one._look = look
    return one


WAITS = """INFO Daemon Daemon Waiting for cloud-init to copy ovf-env.xml to /var/lib/waagent/ovf-env.xml [1800 retries
INFO Daemon Daemon cloud-init is enabled: False
"""
LOGIN = "Linux version 6.1.0-1 (a)\nlocalhost login: "
KERNEL = "Linux version 6.1.0-1 (a)\n"
DISK = "[    8.06] sd 2:0:0:0: [sda] Attached SCSI disk\n"
GRUB = "GNU GRUB  version 2.06\n"
COUNTDOWN = "The highlighted entry will be executed automatically in 5s.\n"


@pytest.mark.parametrize(
    ("text", "entries", "acknowledged", "outcome", "seconds"),
    [
        (LOGIN, [], False, "idle", 140),
        (LOGIN, [], True, "idle", 75),
        (LOGIN, [health(1.0, "NotReady")], True, "idle", 30),
        ("Linux version 6.1.0-1 (a)\n", [], False, "idle", 140),
        (LOGIN, [health(1.0, "NotReady", substatus="ProvisioningFailed")], True, "failed", 0),
        (LOGIN, [health(1.0, accepted=False)] * 3, True, "refused", 0),
        (LOGIN, [health(1.0, accepted=False)] * 2, True, "idle", 30),
        (KERNEL + DISK + "Begin: Waiting for root file system ... \n", [], False, "idle", 40),
        (LOGIN + WAITS, [], True, "idle", 20),
        (LOGIN + WAITS.replace("False", "True"), [], True, "idle", 60),
        (LOGIN + "\nKernel panic - not syncing: x\n", [], False, "fatal", 3),
    ],
)
def test_a_guest_is_given_up_by_what_it_has_done(
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    entries: list[deployment.Entry],
    acknowledged: bool,
    outcome: str,
    seconds: int,
) -> None:
    one = watched(monkeypatch, text, *entries)
    if acknowledged:
        one.traffic = pcap.NOTHING._replace(dhcp=("discover", "offer", "request", "ack"), packets=4)
    assert one.watch() == outcome
    assert seconds <= one.seconds <= seconds + 4


@pytest.mark.parametrize(("acknowledged", "outcome"), [(True, "idle"), (False, "timeout")])
def test_an_agent_that_reaches_nobody_is_given_up(
    monkeypatch: pytest.MonkeyPatch, acknowledged: bool, outcome: str
) -> None:
    one = watched(monkeypatch, LOGIN + "\nINFO Daemon Daemon WireServer is not responding. Reset dhcp endpoint\n")
    one.busy_seconds = lambda: one.seconds
    if acknowledged:
        one.traffic = pcap.NOTHING._replace(dhcp=("discover", "offer", "request", "ack"), packets=4)
    assert one.watch() == outcome
    assert outcome == "timeout" or proof.WIRE_LIMIT <= one.seconds <= proof.WIRE_LIMIT * 1.5 + 4


@pytest.mark.parametrize("prompt", ["grub>", "grub rescue> "])
def test_a_loader_at_its_prompt_is_busy_and_has_failed(monkeypatch: pytest.MonkeyPatch, prompt: str) -> None:
    one = watched(monkeypatch, "")
    one.busy_seconds = lambda: one.seconds
    one._read_screen = lambda: "GNU GRUB  version 2.06\n\n" + prompt
    assert one.watch() == "fatal"
    assert one.seconds < 15


@pytest.mark.parametrize(
    ("text", "written", "outcome"),
    [
        (GRUB, 0, "idle"),
        (GRUB + "  Booting `Debian GNU/Linux'\n", 0, "timeout"),
        (GRUB + "  Booting `Debian GNU/Linux'\nerror: file `/boot/vmlinuz' not found.\n", 0, "idle"),
        (GRUB, 1, "timeout"),
        ("", 0, "timeout"),
    ],
)
def test_a_menu_that_waits_is_busy_and_is_given_up(
    monkeypatch: pytest.MonkeyPatch, text: str, written: int, outcome: str
) -> None:
    one = watched(monkeypatch, text)
    one.image, one.generation = image.Image("x", "raw", 1 << 30, (1,), ""), 1
    one._statistics = {"os": (1 << 20, written)}
    one.busy_seconds = lambda: one.seconds
    assert one.watch() == outcome
    assert outcome == "timeout" or proof.LOADER_LIMIT <= one.seconds <= 2 * proof.LOADER_LIMIT


@pytest.mark.parametrize("busy", [False, True])
def test_a_guest_without_a_disk_is_offered_every_controller(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    one = watched(monkeypatch, KERNEL + "Begin: Waiting for root file system ... Begin: Running /scripts/local-block\n")
    one.image = image.Image("x", "raw", 1 << 30, (1,), "")
    one.generation, one._statistics = 1, {}
    if busy:
        one.busy_seconds = lambda: one.seconds * 0.5
    assert one.watch() == "idle"
    assert one.buses == ["virtio-scsi", "virtio-blk", "nvme", "pvscsi"]
    assert 50 <= one.seconds <= 62


@pytest.mark.parametrize(("text", "pressed"), [(COUNTDOWN, 1), (COUNTDOWN + LOGIN, 0), ("menu\n", 0)])
def test_the_countdown_of_the_loader_is_cut_short_once(
    monkeypatch: pytest.MonkeyPatch, text: str, pressed: int
) -> None:
    one = watched(monkeypatch, text)
    assert one.watch() == "idle"
    assert one.monitor.commands.count("send-key") == pressed


def test_a_key_that_stays_denied_ends_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    one = watched(monkeypatch, LOGIN)
    one.client = Client(guest.Login(False, "", "azureuser@127.0.0.1: Permission denied (publickey).", "publickey"))
    one.inside(360.0)
    assert proof.DENIED_LIMIT <= one.seconds <= proof.DENIED_LIMIT + 5
    assert one.facts == {}


@pytest.mark.parametrize(("text", "seconds"), [(LOGIN, proof.SILENT_LIMIT), (KERNEL, 360.0)])
def test_a_port_that_stays_silent_ends_the_login(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    one = watched(monkeypatch, text)
    one.client = Client(guest.Login(False, "", "Connection closed by 127.0.0.1 port 40022"))
    one._packets = lambda: pcap.NOTHING._replace(ssh="closed")
    one.inside(360.0)
    assert seconds <= one.seconds <= seconds + 5
    assert one.facts == {}


RUNNING = "[   25.4] cloud-init[372]: Cloud-init v. 22.4.2 running 'init-local' at Sat, 21 Nov 2026\n"
FINISHED = "[   66.3] cloud-init[686]: Cloud-init v. 22.4.2 finished at Sat, 21 Nov 2026 12:55:56 +0000.\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(LOGIN, 0), (RUNNING, 20), (RUNNING + FINISHED, 0), (RUNNING + "[FAILED] Failed to start ssh\n", 0)],
)  # fmt: skip
def test_the_login_waits_for_cloud_init_to_end(monkeypatch: pytest.MonkeyPatch, text: str, seconds: int) -> None:
    one = watched(monkeypatch, text)
    one.client = Client(ok(WHOLE.format(sudo="root", boot="a")))
    one.inside(360.0)
    assert guest.first(one.facts, "user") == "azureuser"
    assert seconds <= one.seconds <= seconds + 4


def test_the_questions_are_answered_by_any_shell(tmp_path: Any) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").write_text("ssh-rsa AAAA without-a-newline")
    (tmp_path / "ovf-env.xml").write_text("<Environment>\n<UserPassword>x</UserPassword></Environment>")
    script = guest.facts_script(0).replace("/var/lib/waagent/ovf-env.xml", str(tmp_path / "ovf-env.xml"))
    for shell in filter(shutil.which, ("dash", "bash", "busybox")):
        line = [shell, *(["sh"] if shell == "busybox" else []), "-c", script]
        done = subprocess.run(
            line,
            input="\n",
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HOME": str(tmp_path)},
            check=False,
        )
        facts = guest.parse_facts(done.stdout)
        assert {"user", "keys", "sudo", "waited", "system", "ovf", "hostname", "boot_id", "end"} <= set(facts), shell
        assert facts["keys"] == ["ssh-rsa AAAA without-a-newline"]
        assert facts["ovf"] == ["<Environment>", "<UserPassword></UserPassword></Environment>"]
        assert len(facts["hostname"]) == 1
        assert facts["sudo"] == facts["user"] and len(facts["boot_id"]) == 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[guest.Client]:
    """A real SSH server on the loopback, for the user that runs the tests; skipped where none can be started."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(program).exists():
        pytest.skip("no SSH server is installed")
    if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip("sshd as root needs /run/sshd")
    line = guest.make_key(str(tmp_path))
    (tmp_path / "authorized").write_text(line + "\n")
    host = tmp_path / "host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    rows = [f"HostKey {host}", f"AuthorizedKeysFile {tmp_path / 'authorized'}", "PidFile none", "UsePAM no"]
    rows += ["StrictModes no", "PasswordAuthentication yes", "KbdInteractiveAuthentication no", "PermitRootLogin yes"]
    (tmp_path / "sshd_config").write_text("\n".join(rows) + "\n")
    command = [program, "-D", "-e", "-f", str(tmp_path / "sshd_config"), "-o", f"ListenAddress 127.0.0.1:{port}"]
    with (tmp_path / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    client = guest.Client(str(tmp_path), port, getpass.getuser())
    try:
        end = time.monotonic() + 60
        while "Server listening" not in (tmp_path / "sshd.log").read_text():
            if process.poll() is not None or time.monotonic() > end:
                pytest.skip("sshd does not start here: " + (tmp_path / "sshd.log").read_text()[-200:])
            time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_real_login(server: guest.Client) -> None:
    started: list[int] = []
    words = ["exec sh -c " + shlex.quote(guest.facts_script(0))]
    login = server.run(words, stdin="\n", timeout=240, started=lambda: started.append(1))
    facts = guest.parse_facts(login.out)
    assert (login.ok, login.offered, started) == (True, "publickey,password", [1]), login
    assert guest.first(facts, "user") == server.user and "end" in facts
    assert server.offered_methods() == "publickey,password"
    other = guest.Client(server.folder, server.port, server.user)
    other.key = str(Path(server.folder) / "host")
    denied = other.run(["true"], timeout=240)
    assert not denied.ok and "Permission denied (publickey,password)" in denied.message
