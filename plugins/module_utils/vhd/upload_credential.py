# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens for Blob Storage from an Azure identity: azure-identity's DefaultAzureCredential, else the az command.

azure-identity is imported only when a token is asked for; an upload with a SAS needs nothing installed.

Private to the collection: its interface may change in any release.
"""

import json
import shutil
import subprocess
import threading
import time
from typing import Any, Callable, List, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError

#: The audience of Blob Storage, the same in every cloud.
RESOURCE = "https://storage.azure.com/"

#: A token is replaced this long before its end, seconds.
MARGIN = 300

AZ_TIMEOUT = 60

MISSING = (
    "No credential for account_url: neither the Python package azure-identity nor the az command is installed here."
    " Run 'python3 -m pip install azure-identity' for the Python that runs this module, or install the Azure CLI and"
    " run 'az login', or give a SAS in url."
)


def _from_identity(identity: Any) -> Tuple[str, float]:
    try:
        token = identity.get_token(RESOURCE + ".default")
    except Exception as exc:  # azure-identity has a dozen kinds, all of them "no token"; none may show a traceback
        lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
        raise AzurePrepError("azure-identity found no credential that works: %s" % " ".join(lines)[:600])
    return token.token, float(token.expires_on)


def _from_az(command: str) -> Tuple[str, float]:
    argv = [command, "account", "get-access-token", "--resource", RESOURCE, "--output", "json"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=AZ_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise AzurePrepError("Cannot run az account get-access-token: %s." % type(exc).__name__)
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip()[-400:]
        raise AzurePrepError("az gives no token: %s Run 'az login' first." % (reason or "it printed no reason."))
    try:
        answer = json.loads(done.stdout.decode("utf-8"))
        value = answer["accessToken"]
    except (ValueError, KeyError, TypeError):
        raise AzurePrepError("az account get-access-token printed no token; update the Azure CLI.")
    end = answer.get("expires_on")
    return str(value), float(end) if isinstance(end, (int, float)) else time.time() + 2 * MARGIN


def bearer(hide: Callable[[str], None]) -> Callable[[bool], str]:
    """A function that gives a valid token, a new one when called with True. Every token is passed to `hide`.

    AzurePrepError, at once, where no credential can be had.
    """
    try:
        from azure.identity import DefaultAzureCredential  # type: ignore[import-not-found]

        identity = DefaultAzureCredential(exclude_interactive_browser_credential=True)

        def fetch() -> Tuple[str, float]:
            return _from_identity(identity)

    except ImportError:
        command = shutil.which("az")
        if command is None:
            raise AzurePrepError(MISSING)
        program: str = command

        def fetch() -> Tuple[str, float]:
            return _from_az(program)

    lock = threading.Lock()
    cache: List[Tuple[str, float]] = []

    def token(fresh: bool) -> str:
        with lock:
            if fresh or not cache or cache[0][1] - MARGIN < time.time():
                cache[:] = [fetch()]
                hide(cache[0][0])
            return cache[0][0]

    return token
