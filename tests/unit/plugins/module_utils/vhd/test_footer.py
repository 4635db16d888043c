"""The footer codec and the geometry, against numbers from elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vhd_tools import reference_footer

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer, geometry

MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # As qemu-img 7.2 and Hyper-V write them for disks of these sizes.
        (20 * MIB, (602, 4, 17)),
        (1 << 30, (2080, 16, 63)),
        (30 << 30, (62415, 16, 63)),
        (127 << 30, (65278, 16, 255)),
        (1023 << 30, (65535, 16, 255)),
        (4095 << 30, (65535, 16, 255)),
    ],
)
def test_geometry_of_known_sizes(size: int, expected: tuple[int, int, int]) -> None:
    assert tuple(geometry.for_size(size)) == expected


@given(st.integers(min_value=0, max_value=1 << 46))
def test_geometry_fits_its_fields_and_the_disk(size: int) -> None:
    found = geometry.for_size(size)
    assert found.cylinders <= 65535
    assert found.heads <= 16
    assert found.sectors <= 255
    assert found.size <= size


def test_a_new_footer_is_what_the_specification_says() -> None:
    made = footer.render(footer.make(1 << 30, bytes(range(1, 17)), 600000000))
    wanted = bytearray(reference_footer(1 << 30, chs=(2080, 16, 63)))
    wanted[32:36] = b"\0\x0a\0\0"
    wanted[64:68] = bytes(4)
    wanted[64:68] = (0xFFFFFFFF - sum(wanted)).to_bytes(4, "big")
    assert made == bytes(wanted)


@given(st.binary(min_size=512, max_size=512))
def test_any_bytes_parse_or_are_refused_in_a_sentence(data: bytes) -> None:
    for candidate in (data, b"conectix" + data[8:]):
        try:
            footer.parse(candidate, "disk.vhd")
        except AzurePrepError as exc:
            assert str(exc).startswith("disk.vhd ")


@given(st.binary(min_size=440, max_size=440))
def test_render_is_the_inverse_of_parse(body: bytes) -> None:
    data = bytearray(b"conectix" + body[:4] + b"\0\1\0\0" + body[4:52] + bytes(4) + body[52:])
    data = data.ljust(512, b"\0")
    data[64:68] = bytes(4)
    data[64:68] = (0xFFFFFFFF - sum(data)).to_bytes(4, "big")
    assert footer.render(footer.parse(bytes(data), "x")) == bytes(data)


def test_a_flipped_bit_is_a_damaged_footer() -> None:
    data = bytearray(reference_footer(1 << 30))
    data[50] ^= 1
    with pytest.raises(AzurePrepError, match="damaged VHD footer.*repair"):
        footer.parse(bytes(data), "disk.vhd")


@pytest.mark.parametrize(
    ("creator", "chs", "misleads"),
    [
        (b"win ", (2080, 16, 63), False),
        (b"qem2", (2080, 16, 63), False),
        (b"vbox", (2080, 16, 63), True),
        (b"vpc ", (2080, 16, 63), True),
        (b"qemu", (65535, 16, 255), False),
        (b"wa\0\0", (2080, 16, 63), True),
    ],
)
def test_which_creators_let_old_qemu_cut_the_disk(creator: bytes, chs: tuple[int, int, int], misleads: bool) -> None:
    found = footer.parse(reference_footer(1 << 30, creator=creator, chs=chs), "x")
    assert footer.misleads_readers(found) is misleads


@given(st.integers(min_value=0, max_value=1 << 45))
def test_round_up_adds_less_than_a_mib_and_only_where_needed(size: int) -> None:
    rounded = footer.round_up(size)
    assert rounded % MIB == 0
    assert 0 <= rounded - size < MIB
    assert (rounded == size) == (size % MIB == 0)
