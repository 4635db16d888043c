"""modprobe.d(5): what keeps a driver from loading, and how it is let through."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import modprobe
from ansible_collections.linuxvhd.azure.plugins.modules import modprobe_allow


@pytest.mark.parametrize(
    ("line", "blocked"),
    [
        ("install udf /bin/true", True),
        ("install udf /bin/false", True),
        ("  install   udf   /usr/bin/true # CIS 1.1.1.7", True),
        ("blacklist udf", True),
        ("install udf", True),
        ("install udf \\\n  /bin/false", True),
        ("install udf /sbin/modprobe --ignore-install udf", False),
        ("# install udf /bin/true", False),
        ("install udfx /bin/true", False),
        ("options udf x=1", False),
        ("softdep udf pre: crc", False),
        # What kmod 30 does with these was tried with modprobe -n -v.
        ("alias udf off", True),
        ("alias fs-udf off", True),
        ("alias fs-udf udf", False),
        ("alias udf-alias off", False),
        ("install *ud* /bin/true", True),
        ("install u[d]f /bin/true", True),
        ("install fs-udf /bin/true", True),
        ("blacklist ud*", False),
        ("blacklist fs-udf", False),
        ("install\tudf\t/bin/true\r", True),
        ("Install udf /bin/true", False),
        ("# notes \\\ninstall udf /bin/true", False),
        ("options udf x=1 \\\n install udf /bin/true", False),
        ("install udf /bin/sh -c 'exit 1'", True),
    ],
)
def test_one_line(line: str, blocked: bool) -> None:
    text = "# head\n" + line + "\nblacklist pcspkr\n"
    assert bool(modprobe.blocked_lines(text, ["udf"])) is blocked
    after = modprobe.allow(text, ["udf"])
    assert after == ("# head\nblacklist pcspkr\n" if blocked else text)


def test_names_with_dash_and_underscore_are_one() -> None:
    assert modprobe.allow("blacklist hv-netvsc\n", ["hv_netvsc"]) == ""


def test_the_administrators_file_hides_the_vendors(make_host) -> None:
    host = make_host(
        {
            "/etc/modprobe.d/cis.conf": "install udf /bin/true\ninstall vfat /bin/true\n",
            "/etc/modprobe.d/z.conf": "install udf /bin/true\n",
            "/usr/lib/modprobe.d/cis.conf": "blacklist sr_mod\n",
            "/usr/lib/modprobe.d/vendor.conf": "blacklist hv_netvsc\n",
            "/etc/modprobe.d/masked.conf": "-> /dev/null",
            "/usr/lib/modprobe.d/masked.conf": "blacklist udf\n",
            "/etc/modprobe.d/readme": "blacklist udf\n",
        }
    )
    found = modprobe.blocked(host, ["udf", "vfat", "sr_mod", "hv_netvsc"])
    assert [(block.path, block.module) for block in found] == [
        ("/etc/modprobe.d/cis.conf", "udf"),
        ("/etc/modprobe.d/cis.conf", "vfat"),
        ("/usr/lib/modprobe.d/vendor.conf", "hv_netvsc"),
        ("/etc/modprobe.d/z.conf", "udf"),
    ]


def test_a_pattern_is_reported_by_the_module_that_it_blocks() -> None:
    text = "install *fat /bin/true\nalias vmbus:* off\nalias fs-iso9660 off\ninstall hv[-_]netvsc /bin/true\n"
    found = modprobe.blocked_lines(text, ["vfat", "hv_vmbus", "isofs", "hv_netvsc"])
    assert [entry.module for entry, _line in found] == ["vfat", "hv_vmbus", "isofs", "hv_netvsc"]
    assert modprobe.allow(text, ["vfat", "hv_vmbus", "isofs", "hv_netvsc"]) == ""


def test_a_file_that_hides_a_vendors_ban_stays(make_host) -> None:
    host = make_host(
        {
            "/etc/modprobe.d/cis.conf": "install udf /bin/true\n",
            "/usr/lib/modprobe.d/cis.conf": "blacklist sr_mod\n",
            "/etc/modprobe.d/own.conf": "blacklist udf\n",
        }
    )
    params = {"modules": None, "blacklist": [], "family": None}
    assert len(modprobe_allow.run(params, host, False)["blocked_before"]) == 2
    assert host.read("/etc/modprobe.d/cis.conf") == "" and not host.exists("/etc/modprobe.d/own.conf")
    assert not modprobe_allow.run(params, host, False)["changed"]
