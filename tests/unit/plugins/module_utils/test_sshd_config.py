"""sshd_config(5): the first value counts, Match blocks are exceptions, Include stands where it stands."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import sshd_config
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

DEBIAN = "Include /etc/ssh/sshd_config.d/*.conf\n\n#ClientAliveInterval 0\nUsePAM yes\n"


def resolve(host):
    return sshd_config.flatten_host(host)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "ClientAliveInterval 180\n"),
        ("UsePAM yes", "UsePAM yes\nClientAliveInterval 180\n"),
        (DEBIAN, DEBIAN.replace("Interval 0\n", "Interval 0\nClientAliveInterval 180\n")),
        ("clientaliveinterval=300\n", "clientaliveinterval 180\n"),
        ("ClientAliveInterval 300 # CIS\n", "ClientAliveInterval 180\n"),
        ("ClientAliveInterval 0\nClientAliveInterval 9\n", "ClientAliveInterval 180\nClientAliveInterval 180\n"),
        ("Match User a\n  ClientAliveInterval 5\n", "ClientAliveInterval 180\nMatch User a\n  ClientAliveInterval 5\n"),
        ("Match User a\n  X11Forwarding no\nMatch all\nClientAliveInterval 5\n", None),
    ],
)
def test_set(before: str, after: str | None) -> None:
    text = sshd_config.set_in_text(before, "ClientAliveInterval", "180", insert=True)
    if after is not None:
        assert text == after
    assert sshd_config.effective(sshd_config.parse(text), "ClientAliveInterval") == "180"


def test_an_included_file_wins_and_is_changed_too(make_host) -> None:
    host = make_host(
        {
            "/etc/ssh/sshd_config": DEBIAN,
            "/etc/ssh/sshd_config.d/10-a.conf": "Match User x\n ClientAliveInterval 1\n",
            "/etc/ssh/sshd_config.d/50-cis.conf": "ClientAliveInterval 15\nClientAliveCountMax 3\n",
        }
    )
    order = resolve(host)
    assert sshd_config.effective(order, "clientaliveinterval") == "15"
    texts = {path: host.read(path) for path in {entry.path for entry in order} | {sshd_config.MAIN}}
    changed = sshd_config.plan(texts, order, "ClientAliveInterval", "180")
    assert sorted(changed) == ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/50-cis.conf"]
    assert changed["/etc/ssh/sshd_config.d/50-cis.conf"] == "ClientAliveInterval 180\nClientAliveCountMax 3\n"


def test_a_match_block_ends_with_its_file(make_host) -> None:
    host = make_host(
        {
            "/etc/ssh/sshd_config": "Include sshd_config.d/*.conf\nClientAliveInterval 60\n",
            "/etc/ssh/sshd_config.d/a.conf": "Match User x\nClientAliveInterval 1\n",
        }
    )
    assert sshd_config.effective(resolve(host), "clientaliveinterval") == "60"


def test_a_loop_of_includes_is_a_sentence(make_host) -> None:
    host = make_host({"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config\n"})
    with pytest.raises(AzurePrepError, match="nested Include"):
        resolve(host)


def test_what_sshd_says() -> None:
    assert sshd_config.parse_effective("port 22\nclientaliveinterval 180\n")["clientaliveinterval"] == "180"


@pytest.mark.parametrize(
    ("lines", "fixed"),
    [
        (["10.0.0.5"], ["10.0.0.5"]),
        (["10.0.0.5:22", "127.0.0.1"], ["10.0.0.5", "127.0.0.1"]),
        (["[fd00::5]:22"], ["fd00::5"]),
        (["fd00::5"], ["fd00::5"]),
        (["vm1.example.org rdomain a"], ["vm1.example.org"]),
        (["10.0.0.5", "0.0.0.0:22"], []),
        (["::"], []),
        (["[::]:22"], []),
        (["localhost"], []),
        ([], []),
    ],
)
def test_addresses_of_this_machine_alone(lines: list[str], fixed: list[str]) -> None:
    text = "".join("ListenAddress %s\n" % line for line in lines) + "#ListenAddress 192.0.2.1\n"
    assert sshd_config.fixed_addresses(sshd_config.parse(text)) == fixed
