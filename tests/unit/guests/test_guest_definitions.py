"""Guests as data: disks that fit, packages that match, a cache key that notices changes."""

from __future__ import annotations

import pytest

from guests import build, cache, cloud, definitions
from guests.definitions import GUESTS, MIB, Definition
from guests.errors import GuestError

SECTORS = MIB // 512


def script_rows(definition: Definition) -> list[tuple[int, int]]:
    rows = []
    for line in build.sfdisk_script(definition, build.plan_disk(definition)).splitlines()[1:]:
        fields = dict(part.strip().split("=") for part in line.split(",") if "=" in part)
        rows.append((int(fields["start"]), int(fields["size"])))
    return rows


@pytest.mark.parametrize("definition", GUESTS.values(), ids=list(GUESTS))
def test_partitions_fit_and_do_not_overlap(definition: Definition) -> None:
    rows = script_rows(definition)
    assert len(rows) == 3
    total = build.plan_disk(definition)["total_bytes"] // 512
    assert rows[0][0] == 2048
    assert all(start + size <= total - 34 for start, size in rows)
    if definition.firmware == "bios":
        root, extended, swap = rows
        assert root[0] + root[1] <= extended[0]
        assert extended[0] < swap[0]
        assert swap[0] + swap[1] <= extended[0] + extended[1]
    else:
        for left, right in zip(rows, rows[1:]):
            assert left[0] + left[1] <= right[0]


def test_the_disk_is_no_whole_number_of_mib() -> None:
    for definition in GUESTS.values():
        size = build.plan_disk(definition)["total_bytes"]
        assert size % MIB != 0
        assert size % 512 == 0


def test_names_are_keys_and_say_the_firmware_when_they_name_one() -> None:
    for name, definition in GUESTS.items():
        assert definition.name == name
        for firmware in ("bios", "uefi"):
            if name.endswith(firmware):
                assert definition.firmware == firmware


def test_packages_follow_the_definition() -> None:
    uefi = definitions.find("debian13-uefi").all_packages()
    assert "shim-signed" in uefi
    assert "grub-pc" not in uefi
    dracut = definitions.find("debian12-dracut").all_packages()
    assert "dracut" in dracut
    assert "initramfs-tools" not in dracut
    assert not [name for name in definitions.find("debian13-systemd-boot").all_packages() if name.startswith("grub")]
    assert "grub-pc" not in definitions.find("debian12-grub-legacy").all_packages()
    old = Definition("x", "bullseye", network="networkd").all_packages()
    assert "systemd-resolved" not in old


def test_unknown_guest_names_the_known_ones() -> None:
    with pytest.raises(GuestError, match="debian12-bios"):
        definitions.find("debian1-bios")


def test_cache_key_changes_with_every_field() -> None:
    base = definitions.find("debian12-bios")
    other = [
        base._replace(suite="trixie"),
        base._replace(cmdline="quiet"),
        base._replace(root_mib=4096),
        base._replace(packages=("chrony",)),
    ]
    keys = {cache.key_of(definition) for definition in [base, *other]}
    assert len(keys) == 5
    assert cache.key_of(base) == cache.key_of(base._replace())


def test_archives_come_from_the_running_system() -> None:
    text = (
        "http://mirror.example/ubuntu/ Ubuntu\n"
        "http://mirror.example/debian/ Debian\n"
        "http://mirror.example/debian-security/ Debian\n"
        "https://other.example/debian NodeSource\n"
    )
    assert build.pick_archives(text) == ("http://mirror.example/debian", "http://mirror.example/debian-security")
    assert build.pick_archives("http://mirror.example/ubuntu/ Ubuntu\n") == (None, None)


def test_sources_of_a_release_and_of_testing() -> None:
    lines = build.sources("bookworm", "http://m/debian", "http://m/debian-security")
    assert lines[0] == "deb http://m/debian bookworm main non-free-firmware"
    assert len(lines) == 3
    assert len(build.sources("forky", "http://m/debian", "http://m/debian-security")) == 1
    assert build.sources("bullseye", "http://m/debian", None)[0].endswith(" main")
    # Its support has ended, and with it the security archive.
    assert not [line for line in build.sources("bullseye", "http://m/debian", "http://m/s") if "//m/s" in line]
    assert build.sources("bookworm", None, None) == []


def test_user_data_is_cloud_config() -> None:
    text = cloud.user_data("anna", "ssh-ed25519 AAAA")
    assert text.startswith("#cloud-config\n")
    assert '"ssh-ed25519 AAAA"' in text
