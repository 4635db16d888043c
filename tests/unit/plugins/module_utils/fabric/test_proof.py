"""The conversation with the guest, with a stand-in for SSH and no machine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import console, guest, proof

WHOLE = "@@user\nazureuser\n@@sudo\n{sudo}\n@@boot_id\n{boot}\n@@end\n"


class Client:
    """Answers in turn; the last answer is repeated."""

    def __init__(self, *answers: guest.Login) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def run(self, command: list[str], stdin: str = "", timeout: float = 60, connect: int = 10) -> guest.Login:
        self.asked.append(command[0])
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


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
    one._started = time.monotonic()
    one._look = lambda: None
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return one


def ok(text: str) -> guest.Login:
    return guest.Login(True, text, "")


def test_facts_are_taken_after_the_first_login(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = guest.Login(False, "", "Connection refused")
    one = stand_in(monkeypatch, Client(refused, ok(""), ok(WHOLE.format(sudo="root", boot="a"))))
    one.inside(60.0)
    assert guest.first(one.facts, "user") == "azureuser"
    assert [event.name for event in one.timeline] == ["ssh"]


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stand_in(monkeypatch, Client(ok(""), ok("@@user\nazureuser\n@@system\nrunning\n")))
    one.inside(60.0)
    assert one.facts == {}
    assert "did not answer all questions" in one.login.message


def test_it_stops_trying_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    one = stand_in(monkeypatch, Client(guest.Login(False, "", "Connection refused")))
    one.inside(-1.0)
    assert (one.facts, one.login.message) == ({}, "Connection refused")


@pytest.mark.parametrize(("sudo", "button"), [("root", False), ("", True)])
def test_a_restart_waits_for_another_boot(monkeypatch: pytest.MonkeyPatch, sudo: str, button: bool) -> None:
    after = WHOLE.format(sudo=sudo, boot="second")
    one = stand_in(monkeypatch, Client(ok(""), ok("first\n"), ok("second\n"), ok(after)))
    one.facts = guest.parse_facts(WHOLE.format(sudo=sudo, boot="first"))
    found = one.reboot()
    assert found is not None and guest.first(found, "boot_id") == "second"
    assert one.monitor.commands == ["eject"] + (["system_reset"] if button else [])
    assert "reboot" in one.client.asked[0] or button
