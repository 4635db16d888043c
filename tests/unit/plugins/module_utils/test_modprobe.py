"""modprobe.d(5): what keeps a driver from loading, and how it is let through."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import modprobe


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
