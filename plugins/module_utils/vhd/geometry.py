# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk geometry that the VHD specification computes from a size ("CHS Calculation" in its appendix).

Private to the collection: its interface may change in any release.
"""

from typing import NamedTuple

SECTOR = 512

#: Where the geometry saturates: 65535 cylinders, 16 heads, 255 sectors, a little over 127 GiB.
MAX_SECTORS = 65535 * 16 * 255


class Geometry(NamedTuple):
    """Cylinders, heads, sectors per track."""

    cylinders: int
    heads: int
    sectors: int

    @property
    def size(self) -> int:
        """The bytes that this geometry addresses; mostly less than the disk, as it rounds down."""
        return self.cylinders * self.heads * self.sectors * SECTOR


#: What qemu's force_size writes whatever the size: "do not derive the size from me".
SATURATED = Geometry(65535, 16, 255)


def for_size(size: int) -> Geometry:
    """The geometry of a disk of `size` bytes, as the specification's algorithm gives it."""
    total = min(size // SECTOR, MAX_SECTORS)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        tracks = total // sectors
    else:
        sectors = 17
        tracks = total // sectors
        heads = max((tracks + 1023) // 1024, 4)
        if tracks >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            tracks = total // sectors
        if tracks >= heads * 1024:
            sectors, heads = 63, 16
            tracks = total // sectors
    return Geometry(tracks // heads, heads, sectors)
