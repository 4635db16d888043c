"""The vendor tables: every value has a source, every known release a complete profile."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.host import parse_os_release
from ansible_collections.linuxvhd.azure.plugins.module_utils.profiles import (
    FAMILIES,
    RELEASES,
    VALUES,
    Profile,
    Value,
    family_of,
    select,
)

IDS = {"redhat": "rhel", "debian": "debian", "ubuntu": "ubuntu", "suse": "sles"}
KNOWN = [(family, version) for family in IDS for version in RELEASES[family]]


def release(identity: str, version: str = "", like: str = "", **fields: str):
    text = f'ID={identity}\nVERSION_ID="{version}"\nID_LIKE="{like}"\nPRETTY_NAME="{identity} {version}"\n'
    return parse_os_release(text + "".join(f"{key}={value}\n" for key, value in fields.items()))


def own(family: str, version: tuple[int, ...]):
    text = "%d.%02d" % version if family == "ubuntu" else ".".join(map(str, version))
    return release(IDS[family], text)


def without_source(rows: Iterable[Value]) -> list[str]:
    """The fields of rows whose source cannot be the title of a document or a program."""
    return [row.field for row in rows if len(row.source.strip()) < 10 or not any(char.isalpha() for char in row.source)]


@pytest.mark.parametrize("source", ["", "  ", "TODO", "?", "1234567890123"])
def test_a_value_without_source_is_found(source: str) -> None:
    assert without_source([*VALUES, Value("packages.agent", ("waagent",), source)]) == ["packages.agent"]


def test_every_value_has_a_source_and_a_known_field() -> None:
    assert without_source(VALUES) == []
    for row in VALUES:
        assert row.field.split(".")[0] in Profile._fields, row
        assert row.action in ("set", "add", "drop"), row
        assert set(row.families) <= set(RELEASES), row
        assert set(row.ids) <= set(FAMILIES), row


@pytest.mark.parametrize(("family", "version"), KNOWN)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_known_release_has_a_complete_profile(family: str, version: tuple[int, ...], machine: str) -> None:
    profile = select(own(family, version), machine)
    assert profile.exact and not profile.note
    assert profile.family == family and profile.version == version
    for purpose in ("agent", "cloud_init", "hyperv_daemons", "chrony", "growpart", "gdisk", "ssh", "eject"):
        assert profile.packages[purpose], purpose
    for purpose in ("agent", "ssh", "chrony", "cloud_init", "hyperv_daemons"):
        assert all(unit.endswith((".service", ".socket")) for unit in profile.units[purpose])
    consoles = [word for word in profile.cmdline_set if word.startswith("console=")]
    assert consoles[-1] == ("console=ttyAMA0" if machine == "aarch64" else "console=ttyS0,115200n8")
    assert ("earlyprintk=ttyS0,115200" in profile.cmdline_set) == (machine == "x86_64")
    assert "rootdelay=300" in profile.cmdline_set
    assert set(profile.sources) >= {"cmdline_set", "packages.agent", "provisioner"}


@pytest.mark.parametrize(
    ("system", "family", "version", "note"),
    [
        (release("debian", "12"), "debian", (12,), ""),
        (release("debian", VERSION_CODENAME="forky"), "debian", (13,), "debian 13"),
        (release("debian", VERSION_CODENAME="bookworm"), "debian", (12,), "debian 12"),
        (release("debian", "8"), "debian", (9,), "debian 9"),
        (release("ubuntu", "24.04"), "ubuntu", (24, 4), ""),
        (release("ubuntu", "23.10"), "ubuntu", (22, 4), "ubuntu 22.4"),
        (release("linuxmint", "21.3", "ubuntu debian", UBUNTU_CODENAME="jammy"), "ubuntu", (22, 4), "ubuntu 22.4"),
        (release("rhel", "9.4", "fedora"), "redhat", (9, 4), ""),
        (release("rocky", "8.10", "rhel centos fedora"), "redhat", (8, 10), ""),
        (release("eurolinux", "9.3", "rhel fedora centos"), "redhat", (9, 3), "redhat 9"),
        (release("fedora", "41"), "redhat", (10,), "redhat 10"),
        (release("amzn", "2023", "fedora"), "redhat", (10,), "redhat 10"),
        (release("opensuse-leap", "15.6", "suse opensuse"), "suse", (15, 6), ""),
        (release("opensuse-tumbleweed", "20260101", "opensuse suse"), "suse", (16,), "suse 16"),
        (release("opensuse-leap", "42.3", "suse"), "suse", (12,), "suse 12"),
        (release("opensuse", "42.3", "suse"), "suse", (12,), "suse 12"),
        (release("opensuse", "13.2", "suse"), "suse", (12,), "suse 12"),
        (release("sled", "15.5", "suse"), "suse", (15, 5), "suse 15"),
        (release("sle_hpc", "12.5", "suse"), "suse", (12, 5), "suse 12"),
        (release("sles_sap", "15.5", "suse"), "suse", (15, 5), ""),
        (release("sle-micro", "5.5", "suse"), "suse", (15, 5), "suse 15.5"),
        (release("suse-microos", "5.0", "suse"), "suse", (15, 2), "suse 15.2"),
        (release("opensuse-leap-micro", "5.4", "suse opensuse"), "suse", (15, 4), "suse 15.4"),
        (release("sl-micro", "6.1", "suse sle-micro opensuse-microos microos"), "suse", (16,), "suse 16"),
        (release("opensuse-microos", "20260101", "suse opensuse opensuse-tumbleweed"), "suse", (16,), "suse 16"),
        (release("arch"), "generic", (), ""),
        (parse_os_release(""), "generic", (), ""),
    ],
)
def test_nearest_release(system, family: str, version: tuple[int, ...], note: str) -> None:
    profile = select(system)
    assert (family_of(system), profile.version) == (family, version)
    assert bool(profile.note) == bool(note) and note in profile.note


@pytest.mark.parametrize(
    ("system", "listed"),
    [
        (release("rhel", "7.9"), True),
        (release("rhel", "8.5"), False),
        (release("rhel", "8.6"), True),
        (release("rocky", "9.5"), False),
        (release("rocky", "9.6"), True),
        (release("debian", "12"), True),
        (release("debian", "13"), False),
        (release("sles", "15.4"), True),
        (release("opensuse-leap", "15.6"), False),
    ],
)
def test_remote_nvme_is_listed_only_where_the_document_lists_it(system, listed: bool) -> None:
    assert select(system).nvme_listed is listed


def test_interface_names_are_fixed_only_where_the_documents_ask() -> None:
    assert "net.ifnames=0" in select(release("rhel", "9.4")).cmdline_set
    assert "net.ifnames=0" not in select(release("debian", "12")).cmdline_set
    assert "net.ifnames=0" in select(release("arch")).cmdline_set


def test_family_can_be_overridden() -> None:
    assert select(release("arch"), family="redhat").packages["agent"] == ("WALinuxAgent",)
