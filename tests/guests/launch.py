"""Start a guest, wait for evidence that it is up, stop it. Every process is ended by its own id.

Waits have an upper bound and end early: a panic on the serial console or the end of QEMU fails at once, an SSH banner
from inside the guest is success (QEMU itself accepts the connection long before, so a mere connect proves nothing).
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guests.errors import GuestError

#: What a kernel or firmware prints when nothing will come any more.
DEATHS = (
    "Kernel panic - not syncing",
    "end Kernel panic",
    "Entering emergency mode",
    "You are in emergency mode",
    "dracut:/#",
    "(initramfs)",
    "grub rescue>",
    "No bootable device",
    "BdsDxe: No bootable option or device was found",
)
SSH_SECONDS = 600
STATE = "guest.json"


def spawn(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start QEMU in a session of its own, so that an interrupt of the terminal does not reach it unasked."""
    with log.open("ab") as handle:
        handle.write(("$ " + " ".join(argv) + "\n").encode())
        handle.flush()
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, start_new_session=True, close_fds=True
        )


def end(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """End a process that we started, kindly and then for sure."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, printable."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return "(no log)"
    return "\n".join("".join(c if c.isprintable() else "" for c in line) for line in text.splitlines()[-lines:])


def death_in(path: Path) -> str | None:
    """The line of the serial log that says that the guest is dead, if there is one."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        if any(words in line for words in DEATHS):
            return line.strip()
    return None


def wait_for_end(process: subprocess.Popen[bytes], serial: Path, good: str, bad: str, seconds: float) -> None:
    """Wait until the guest powers off; GuestError unless `good` stood on its console and `bad` did not."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        dead = death_in(serial)
        if dead:
            raise GuestError(f"The guest died: {dead}\nThe end of {serial}:\n{tail(serial)}")
        if time.monotonic() > deadline:
            raise GuestError(f"The guest did not end within {seconds:.0f} s. The end of {serial}:\n{tail(serial)}")
        time.sleep(0.5)
    text = serial.read_bytes().decode("utf-8", "replace") if serial.exists() else ""
    if bad in text or good not in text:
        raise GuestError(f"The guest ended without {good}. The end of {serial}:\n{tail(serial, 25)}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now. Starting retries when another takes it first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ssh_banner(port: int, seconds: float = 3) -> bool:
    """Whether an SSH server inside the guest speaks."""
    try:
        with socket.create_connection(("127.0.0.1", port), seconds) as connection:
            connection.settimeout(seconds)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def ssh_command(state: dict[str, Any], *words: str) -> list[str]:
    """ssh to a started guest. Its host key is whatever it made a minute ago, so it is not compared with anything."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "IdentitiesOnly=yes"]
    options += ["BatchMode=yes", "ConnectTimeout=15"]
    argv = ["ssh", "-p", str(state["port"]), "-i", str(state["private_key"])]
    for option in options:
        argv += ["-o", option]
    return [*argv, f"{state['user']}@{state['host']}", *words]


def wait_for_ssh(process_alive: Callable[[], bool], state: dict[str, Any], seconds: float = SSH_SECONDS) -> float:
    """Seconds until a command ran inside the guest over SSH; GuestError when it dies or the time is up."""
    started = time.monotonic()
    serial = Path(state["serial_log"])
    last = "no SSH server answered"
    while time.monotonic() - started < seconds:
        dead = death_in(serial)
        if dead:
            raise GuestError(f"The guest died: {dead}\nThe end of {serial}:\n{tail(serial)}")
        if not process_alive():
            raise GuestError(f"QEMU ended before the guest was up. {tail(Path(state['directory']) / 'qemu.log')}")
        if ssh_banner(state["port"]):
            try:
                done = subprocess.run(
                    ssh_command(state, "true"), capture_output=True, text=True, timeout=60, check=False
                )
            except subprocess.TimeoutExpired:
                last = "the SSH server speaks, but a login takes longer than 60 s"
                continue
            if done.returncode == 0:
                return time.monotonic() - started
            last = f"ssh says: {done.stderr.strip()[-200:]}"
        time.sleep(0.5)
    raise GuestError(f"The guest was not up within {seconds:.0f} s: {last}. The end of {serial}:\n{tail(serial)}")


def wait_for_text(process_alive: Callable[[], bool], serial: Path, pattern: str, seconds: float) -> float:
    """Seconds until the serial console shows pattern; GuestError when the guest dies or the time is up."""
    started = time.monotonic()
    while True:
        dead = death_in(serial)
        if dead:
            raise GuestError(f"The guest died: {dead}\nThe end of {serial}:\n{tail(serial)}")
        if serial.exists() and re.search(pattern, serial.read_bytes().decode("utf-8", "replace")):
            return time.monotonic() - started
        if not process_alive():
            raise GuestError(f"QEMU ended before {pattern!r} stood on the console of {serial}:\n{tail(serial)}")
        if time.monotonic() - started > seconds:
            raise GuestError(f"{serial} did not show {pattern!r} within {seconds:.0f} s; its end:\n{tail(serial)}")
        time.sleep(0.5)


def is_ours(pid: int, directory: Path) -> bool:
    """Whether process pid is a QEMU that was started on this directory (and no later process with that id)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # A child of this very process stays as a zombie until it is waited for: its command line is empty.
    except OSError:
        return False
    return b"qemu-system" in words[0] and any(os.fsencode(directory) in word for word in words[1:])


def load(directory: Path) -> dict[str, Any]:
    """What start wrote; GuestError when nothing was started there."""
    try:
        state: dict[str, Any] = json.loads((directory / STATE).read_text())
    except FileNotFoundError:
        raise GuestError(f"No guest was started in {directory}.") from None
    except ValueError as exc:
        raise GuestError(f"{directory / STATE} is no JSON: {exc}") from None
    return state


def save(directory: Path, state: dict[str, Any]) -> None:
    """Write the state, whole or not at all."""
    temporary = directory / f".{STATE}.{os.getpid()}"
    temporary.write_text(json.dumps(state, indent=2) + "\n")
    temporary.replace(directory / STATE)


def stop(directory: Path, seconds: float = 30) -> bool:
    """End the guest of this directory and wait until it is gone; False when it was not running. Files stay."""
    state = load(directory)
    pid = int(state["pid"])
    if not is_ours(pid, directory):
        return False
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_ours(pid, directory):
                return True
            time.sleep(0.1)
    raise GuestError(f"QEMU with process id {pid} did not end.")
