"""waagent.conf: edits by key, types, dead keys."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import waagent_conf
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

SHIPPED = """\
# Which provisioning agent to use.
Provisioning.Agent=auto
ResourceDisk.Format=y # format it
# Logs.Console=y
My.Own=1
Logs.Verbose=n
"""


def test_comments_order_and_unknown_keys_survive() -> None:
    after = waagent_conf.edit(
        SHIPPED,
        {"Provisioning.Agent": "cloud-init", "ResourceDisk.Format": "n", "Logs.Console": "n", "OS.EnableFIPS": "n"},
    )
    assert after == (
        "# Which provisioning agent to use.\nProvisioning.Agent=cloud-init\nResourceDisk.Format=n\n"
        "# Logs.Console=y\nLogs.Console=n\nMy.Own=1\nLogs.Verbose=n\nOS.EnableFIPS=n\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "A.B=1\n"),
        ("A.B=2", "A.B=1"),
        ("A.B = 1\n", "A.B = 1\n"),
        ("A.B=1 # why\n", "A.B=1\n"),
        ("A.B=2\nX=1\nA.B=3\n", "A.B=1\nX=1\n"),
        ("X=1\r\n", "X=1\r\nA.B=1\r\n"),
        ("X=1", "X=1\nA.B=1\n"),
    ],
)
def test_edit(before: str, after: str) -> None:
    assert waagent_conf.edit(before, {"A.B": "1"}) == after


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("OS.EnableFIPS", True, "y"),
        ("OS.EnableFIPS", "No", "n"),
        ("OS.RootDeviceScsiTimeout", 300, "300"),
        ("ResourceDisk.MountOptions", None, "None"),
        ("Provisioning.Agent", "auto", "auto"),
        ("Provisioning.PasswordCryptId", 6, "6"),
    ],
)
def test_values(key: str, value: object, text: str) -> None:
    assert waagent_conf.format_value(key, value) == text


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("OS.EnableFIPS", "maybe", "y or n"),
        ("OS.RootDeviceScsiTimeout", "long", "whole number"),
        ("Provisioning.Agent", "systemd", "one of auto"),
        ("Provisioning.Agnet", "auto", "did you mean Provisioning.Agent"),
        ("resourcedisk.format", "y", "did you mean ResourceDisk.Format"),
        ("Zzz", "1", "knows no option Zzz"),
        ("Lib.Dir", "/a # b", "#"),
        ("Lib.Dir", "/a\nb", "one line"),
        ("Lib.Dir", "", "needs a value"),
        ("a=b", "1", "no option name"),
    ],
)
def test_wrong_values_are_sentences(key: str, value: object, sentence: str) -> None:
    with pytest.raises(AzurePrepError, match=sentence):
        waagent_conf.format_value(key, value)


def test_unknown_options_pass_where_asked() -> None:
    assert waagent_conf.format_value("Zzz.Y", "1", strict=False) == "1"


def test_the_last_line_counts_and_trailing_comments_do_not() -> None:
    assert waagent_conf.settings("A.B=1\nA.B=2 # x\n#A.B=3\n") == {"A.B": "2"}


@pytest.mark.parametrize(
    ("text", "cloud_init", "provisions"),
    [
        ("Provisioning.Agent=waagent\n", True, True),
        ("Provisioning.Agent=auto\n", True, False),
        ("", False, True),
        ("Provisioning.Agent=disabled\n", False, False),
        ("Provisioning.Agent=cloud-init\n", False, False),
    ],
)
def test_who_provisions(text: str, cloud_init: bool, provisions: bool) -> None:
    assert waagent_conf.provisions(text, cloud_init) is provisions


def test_dead_keys() -> None:
    assert "ignored since" in waagent_conf.dead_keys("Provisioning.UseCloudInit=y\n")[0]


@pytest.mark.parametrize(
    ("python", "code", "fails"),
    [
        ("python3.9", "ifconf_buff = buff.tostring()", True),
        ("python3.13", "x = buff.tostring()", True),
        ("python3.8", "ifconf_buff = buff.tostring()", False),
        ("python3.9", "ifconf_buff = array_to_bytes(buff)", False),
        ("", "ifconf_buff = buff.tostring()", False),
    ],
)
@pytest.mark.parametrize("folder", ["/usr/lib/python3/dist-packages", "/usr/lib/python3.9/site-packages"])
def test_an_agent_older_than_its_python(make_host, python: str, code: str, fails: bool, folder: str) -> None:
    host = make_host({folder + "/azurelinuxagent/common/osutil/default.py": code + "\n"})
    if python:
        host.write("/usr/bin/" + python, "")
        host.symlink(python, "/usr/bin/python3")
    assert bool(waagent_conf.cannot_provision(host)) is fails
