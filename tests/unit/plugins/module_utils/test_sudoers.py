"""sudoers(5): targetpw and the rule that is only safe with it."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import sudoers

SUSE = """\
Defaults always_set_home
Defaults targetpw   # ask for the password of the target user i.e. root
ALL   ALL=(ALL) ALL   # WARNING! Only use this together with 'Defaults targetpw'!
root ALL=(ALL:ALL) ALL
## Uncomment
# Defaults targetpw
@includedir /etc/sudoers.d
"""


def test_suse() -> None:
    after = sudoers.plan(SUSE)
    assert [finding.kind for finding in sudoers.findings(SUSE)] == ["targetpw", "everybody"]
    assert sudoers.findings(after) == []
    assert "root ALL=(ALL:ALL) ALL\n" in after and "\n# Not on Azure: Defaults targetpw" in after


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("Defaults !targetpw", None),
        ("Defaults env_reset, targetpw,insults", "# Not on Azure: {}\nDefaults env_reset, insults"),
        ("Defaults:joe rootpw", "# Not on Azure: {}"),
        ('Defaults secure_path="/a,b", \\\n  targetpw', None),
        ("ALL ALL=(ALL:ALL) NOPASSWD: ALL", "# Not on Azure: {}"),
        ("%wheel ALL=(ALL) ALL", None),
        ("ALL ALL=(ALL) /bin/ls", None),
        ("#1000 ALL=(ALL) ALL", None),
        ("#targetpw", None),
    ],
)
def test_lines(line: str, after: str | None) -> None:
    text = sudoers.plan(line)
    if "secure_path" in line:
        assert 'Defaults secure_path="/a,b"' in text.split("\n")
    else:
        assert text == (line if after is None else after.format(line))


def test_includes_are_followed_as_sudo_does(make_host) -> None:
    host = make_host(
        {
            "/etc/sudoers": "#includedir /etc/sudoers.d\n@include sudoers.local\n",
            "/etc/sudoers.d/10-a": "joe ALL=(ALL) NOPASSWD: ALL\n",
            "/etc/sudoers.d/10-a.bak": "x",
            "/etc/sudoers.d/b~": "x",
            "/etc/sudoers.local": "@include /etc/sudoers.d/10-a\n",
        }
    )
    assert sudoers.files(host) == ["/etc/sudoers", "/etc/sudoers.d/10-a", "/etc/sudoers.local"]
    assert sudoers.rules_for(host.read("/etc/sudoers.d/10-a"), "joe", []) == ["joe ALL=(ALL) NOPASSWD: ALL"]
    assert sudoers.rules_for("%sudo ALL=(ALL:ALL) ALL", "x", ["sudo"])
    assert not sudoers.rules_for("ALL ALL=(ALL:ALL) ALL", "x", ["sudo"])
