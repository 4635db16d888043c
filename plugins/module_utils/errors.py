# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that this collection raises for anything a user can meet.

Private to the collection: its interface may change in any release.
"""

from typing import Any


class AzurePrepError(Exception):
    """A failure told as a sentence: what is wrong, where, and what to do.

    Only a module's main() catches it, and turns it into fail_json(msg=str(exc), **exc.details).
    """

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details
