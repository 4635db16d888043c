# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt's sources.list(5) in both forms, as far as Ubuntu's archive names go (REPO-07, CINIT-09).

Private to the collection: its interface may change in any release.
"""

import re

#: Ubuntu's own archives: the world's, a country's, a cloud's, and the one of security updates.
_ARCHIVE = re.compile(r"\bhttps?://(?:(?:[a-z0-9-]+\.)*archive|security)\.ubuntu\.com/ubuntu/?(?=\s|$)")

CLOUD_FILE = "/etc/cloud/cloud.cfg.d/90-azure.cfg"


def use_mirror(text: str, mirror: str) -> str:
    """The sources with Ubuntu's archives replaced; comments and other archives stay."""
    lines = []
    for line in text.split("\n"):
        if not line.lstrip().startswith("#"):
            line = _ARCHIVE.sub(lambda match: mirror, line)
        lines.append(line)
    return "\n".join(lines)


def cloud_text(mirror: str) -> str:
    """CINIT-09: the mirror that cloud-init writes into the sources at first boot."""
    return (
        "# Written by the linuxvhd.azure collection.\n"
        "system_info:\n"
        "  package_mirrors:\n"
        "    - arches: [i386, amd64]\n"
        "      failsafe:\n"
        "        primary: http://archive.ubuntu.com/ubuntu\n"
        "        security: http://security.ubuntu.com/ubuntu\n"
        "      search:\n"
        "        primary:\n"
        "          - %s\n"
        "        security: []\n"
        "    - arches: [armhf, armel, arm64, default]\n"
        "      failsafe:\n"
        "        primary: http://ports.ubuntu.com/ubuntu-ports\n"
        "        security: http://ports.ubuntu.com/ubuntu-ports\n"
    ) % mirror
