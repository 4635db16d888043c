# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules: what they promise, and the root option."""


class ModuleDocFragment:
    """Extend with linuxvhd.azure.attributes and state the support of each, or with linuxvhd.azure.attributes.edits,
    which promises them all; and with linuxvhd.azure.attributes.root for the root option."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode with the same options, the second run changes nothing.
  safe_file_operations:
    description: Files are replaced atomically; a crash leaves the old content or the new.
"""

    EDITS = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode with the same options, the second run changes nothing.
    support: full
  safe_file_operations:
    description: Files are replaced atomically; a crash leaves the old content or the new.
    support: full
"""

    ROOT = r"""
options:
  root:
    description:
      - Directory below which the system to work on is mounted.
      - With the default the running system is meant. With any other directory, commands run in a chroot.
    type: path
    default: /
"""
