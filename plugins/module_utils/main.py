# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main() of every guest-side module does with its run(): call it on the host, hand back what came of it.

Private to the collection: its interface may change in any release.
"""

from typing import Any, Callable, Dict

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host

#: Said where Python has no memory left; its text has room for the root directory.
NO_MEMORY = (
    "There is not enough memory to read the system below %s: one of its files is far larger than such files are, or "
    "the memory of this process is limited (ulimit -v). Nothing more was done."
)


def finish(module: Any, run: Callable[[Dict[str, Any], Host, bool], Dict[str, Any]]) -> None:
    """Call run(params, host, check_mode) on the system below the option root, and end the module with its result.

    module is an AnsibleModule. The result's warnings, if it has any, become warnings of the task. An
    AzurePrepError becomes the failure's msg, its details the failure's other keys.
    """
    try:
        result = run(module.params, Host(module.params["root"]), module.check_mode)
    except AzurePrepError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    except MemoryError:
        module.fail_json(msg=NO_MEMORY % module.params["root"])
    for sentence in result.pop("warnings", []):
        module.warn(sentence)
    module.exit_json(**result)
