"""Ubuntu's archive names in both forms of apt's sources."""

from __future__ import annotations

from ansible_collections.linuxvhd.azure.plugins.modules import ubuntu_azure_mirror

ONE_LINE = """\
# deb http://archive.ubuntu.com/ubuntu jammy main
deb http://de.archive.ubuntu.com/ubuntu jammy main
deb http://security.ubuntu.com/ubuntu/ jammy-security main
deb https://example.org/archive.ubuntu.com/ubuntu jammy main
deb http://ports.ubuntu.com/ubuntu-ports jammy main
"""
DEB822 = "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu/\nSuites: noble\n"


def test_both_forms(make_host) -> None:
    host = make_host(
        {
            "/etc/apt/sources.list": ONE_LINE,
            "/etc/apt/sources.list.d/ubuntu.sources": DEB822,
            "/etc/cloud/cloud.cfg.d/README": "",
        }
    )
    params = {"mirror": "http://azure.archive.ubuntu.com/ubuntu/"}
    assert ubuntu_azure_mirror.run(params, host, False)["changed"]
    text = host.read("/etc/apt/sources.list")
    assert text.count("http://azure.archive.ubuntu.com/ubuntu/ jammy") == 2
    assert text.startswith("# deb http://archive.ubuntu.com/ubuntu jammy main\n")
    assert "https://example.org/archive.ubuntu.com/ubuntu" in text and "ports.ubuntu.com" in text
    assert "URIs: http://azure.archive.ubuntu.com/ubuntu/\n" in host.read("/etc/apt/sources.list.d/ubuntu.sources")
    assert "search:" in host.read("/etc/cloud/cloud.cfg.d/90-azure.cfg")
    assert not ubuntu_azure_mirror.run(params, host, False)["changed"]
