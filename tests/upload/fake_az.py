#!/usr/bin/env python3
"""Stands for the az command: knows resources by their path, records every call, and makes them ready after a while.

FAKE_AZ_STATE names a JSON file: {"resources": {path: body}, "calls": [argv], "url": what tokens give}.
"""

import json
import os
import sys
from pathlib import Path

STATE = Path(os.environ["FAKE_AZ_STATE"])
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


def value(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def rest(state: dict) -> int:
    path, _, version = value("--url").partition("?api-version=")
    if not version:
        print("Bad Request: MissingApiVersionParameter", file=sys.stderr)
        return 1
    method = value("--method")
    known = state["resources"].get(path)
    if method == "get":
        if known is None:
            print(
                'Not Found({"error":{"code":"ResourceNotFound","message":"The Resource was not found."}})',
                file=sys.stderr,
            )
            return 1
        looks = known.pop("looks", 0)
        shown = json.loads(json.dumps(known))
        shown.setdefault("properties", {})["provisioningState"] = "Creating" if looks > 0 else "Succeeded"
        if looks > 1:
            known["looks"] = looks - 1
        if known.get("fails"):
            shown["properties"]["provisioningState"] = "Failed"
        print(json.dumps(shown))
        return 0
    body = json.loads(value("--body"))
    parent = path.rsplit("/", 2)[0]
    if "/galleries/" in path and parent.rsplit("/", 1)[1] != "Microsoft.Compute" and parent not in state["resources"]:
        print('Not Found({"error":{"code":"ParentResourceNotFound"}})', file=sys.stderr)
        return 1
    state["resources"][path] = {
        **body,
        "id": path,
        "looks": 1,
        "fails": state.get("fails", "") in path and "fails" in state,
    }
    print(json.dumps(body))
    return 0


def main() -> int:
    state = json.loads(STATE.read_text())
    state["calls"].append(sys.argv[1:])
    words = [word for word in sys.argv[1:5] if not word.startswith("-")]
    status = 0
    if words[0] == "rest":
        status = rest(state)
    elif words[:2] == ["account", "show"]:
        print(SUBSCRIPTION)
    elif words[:3] == ["storage", "blob", "generate-sas"]:
        print(state["url"])
    elif words[:2] == ["disk", "grant-access"]:
        print(json.dumps({"accessSAS": state["url"]}))
    elif words[:2] not in (["disk", "revoke-access"], ["vm", "deallocate"], ["vm", "generalize"]):
        print(f"az: unknown command {sys.argv[1:]}", file=sys.stderr)
        status = 2
    STATE.write_text(json.dumps(state))
    return status


if __name__ == "__main__":
    sys.exit(main())
