# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance metadata service at 169.254.169.254, as a pure function of a request.

Fields by API version follow Microsoft's article "Azure Instance Metadata Service" (its table of supported
versions and per-field "version introduced"), and what cloud-init asks for (cloudinit/sources/azure/imds.py:
2021-08-01 with extended=true, falling back to 2019-06-01 on status 400).

Private to the collection: its interface may change in any release.
"""

import json
from typing import Any, Dict, List, Optional

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Deployment, Request, Response

#: Versions that are answered. Anything else gets 400 with the newest ones, as from Azure.
API_VERSIONS = (
    "2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01",
    "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01",
    "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01",
    "2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15",
    "2025-04-07",
)  # fmt: skip

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


def instance_document(deployment: Deployment, version: str, extended: bool) -> Dict[str, Any]:
    """The document below /metadata/instance as one version of the interface shows it."""
    storage = {
        "dataDisks": [],
        "imageReference": {"id": "", "offer": "", "publisher": "", "sku": "", "version": ""},
        "osDisk": {
            "caching": "ReadWrite",
            "createOption": "FromImage",
            "diskSizeGB": "30",
            "name": deployment.hostname + "_OsDisk",
            "osType": "Linux",
            "writeAcceleratorEnabled": "false",
        },
        "resourceDisk": {"size": "0"},
    }
    keys = [
        {"keyData": key, "path": "/home/%s/.ssh/authorized_keys" % deployment.user} for key in deployment.public_keys
    ]
    # (first version, name, value), in the order of the names
    fields = [
        ("2018-04-02", "azEnvironment", "AzurePublicCloud"),
        ("2019-04-30", "customData", ""),
        ("2017-03-01", "location", deployment.location),
        ("2017-03-01", "name", deployment.hostname),
        ("2017-03-01", "offer", ""),
        (
            "2020-07-15",
            "osProfile",
            {
                "adminUsername": deployment.user,
                "computerName": deployment.hostname,
                "disablePasswordAuthentication": "false" if deployment.password else "true",
            },
        ),
        ("2017-03-01", "osType", "Linux"),
        ("2017-08-01", "placementGroupId", ""),
        ("2018-04-02", "plan", {"name": "", "product": "", "publisher": ""}),
        ("2017-03-01", "platformFaultDomain", "0"),
        ("2017-03-01", "platformUpdateDomain", "0"),
        ("2018-10-01", "provider", "Microsoft.Compute"),
        ("2018-04-02", "publicKeys", keys),
        ("2017-03-01", "publisher", ""),
        ("2017-08-01", "resourceGroupName", "proof"),
        ("2019-03-11", "resourceId", resource_id(deployment)),
        (
            "2020-06-01",
            "securityProfile",
            {"secureBootEnabled": "false", "virtualTpmEnabled": "false"},
        ),
        ("2017-03-01", "sku", ""),
        ("2019-06-01", "storageProfile", storage),
        ("2017-08-01", "subscriptionId", deployment.subscription_id),
        ("2017-08-01", "tags", ""),
        ("2019-06-04", "tagsList", []),
        ("2021-01-01", "userData", ""),
        ("2017-03-01", "version", ""),
        ("2017-03-01", "vmId", deployment.vm_id),
        ("2017-04-02", "vmScaleSetName", ""),
        ("2017-03-01", "vmSize", "Standard_D2s_v3"),
        ("2017-12-01", "zone", ""),
    ]
    document: Dict[str, Any] = {
        "compute": {name: value for first, name, value in fields if first <= version},
        "network": {
            "interface": [
                {
                    "ipv4": {
                        "ipAddress": [{"privateIpAddress": "160.0.0.15", "publicIpAddress": ""}],
                        "subnet": [{"address": "160.0.0.0", "prefix": "24"}],
                    },
                    "ipv6": {"ipAddress": []},
                    "macAddress": deployment.mac.replace(":", "").upper(),
                }
            ]
        },
    }
    if extended:
        has_data = bool(deployment.custom_data)
        document["extended"] = {"compute": {"hasCustomData": has_data, "ppsType": "None"}}
    return document


def resource_id(deployment: Deployment) -> str:
    return "/subscriptions/%s/resourceGroups/proof/providers/Microsoft.Compute/virtualMachines/%s" % (
        deployment.subscription_id,
        deployment.hostname,
    )


def respond(deployment: Deployment, request: Request) -> Response:
    """The metadata service's answer."""
    parts = [part for part in request.path.split("/") if part]
    if not parts or parts[0].lower() != "metadata":
        return Response(404, JSON, _error("Not found"), "unknown", "the path is not known", False)
    if "x-forwarded-for" in request.headers:
        return _bad("The header X-Forwarded-For is not allowed")
    if request.headers.get("metadata", "").lower() != "true":
        return _bad("Required metadata header not specified")
    if request.method != "GET":
        return Response(405, JSON, _error("Method not allowed"), "refused", "only GET is allowed")
    if [part.lower() for part in parts[1:]] == ["versions"]:
        return Response(200, JSON, json.dumps({"apiVersions": list(API_VERSIONS)}).encode("ascii"), "versions")
    version = request.query.get("api-version", "")
    if version not in API_VERSIONS:
        newest = {"error": "Bad request. api-version is invalid or was not specified in the request."}
        body = json.dumps(dict(newest, **{"newest-versions": list(API_VERSIONS[:-4:-1])})).encode("ascii")
        return Response(400, JSON, body, "refused", "api-version is %r" % version)
    area = parts[1].lower() if len(parts) > 1 else ""
    if area == "instance":
        extended = request.query.get("extended", "").lower() == "true"
        document = instance_document(deployment, version, extended)
        return _node(document, parts[2:], request.query.get("format", "").lower())
    if area == "scheduledevents":
        return Response(200, JSON, b'{"DocumentIncarnation": 1, "Events": []}', "scheduled_events")
    if area == "identity":
        text = json.dumps({"error": "invalid_request", "error_description": "Identity not found"})
        return Response(400, JSON, text.encode("ascii"), "identity", "the VM has no managed identity")
    return Response(404, JSON, _error("Not found"), "unknown", "the path is not known", False)


def _node(document: Dict[str, Any], path: List[str], form: str) -> Response:
    """The part of the document below a path, names in any case. A leaf is text; a branch is JSON or a listing."""
    node: Optional[Any] = document
    for part in path:
        if isinstance(node, dict):
            names = {name.lower(): name for name in node}
            node = node[names[part.lower()]] if part.lower() in names else None
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            node = None
        if node is None:
            return Response(404, JSON, _error("Not found"), "instance", "%s does not exist" % "/".join(path))
    topic = "instance" + ("/" + "/".join(path) if path else "")
    if not isinstance(node, (dict, list)):
        text = str(node).lower() if isinstance(node, bool) else str(node)
        return Response(200, TEXT, text.encode("utf-8"), topic)
    if form == "text":
        inner = dict(node) if isinstance(node, dict) else {str(at): value for at, value in enumerate(node)}
        order = sorted(inner) if isinstance(node, dict) else list(inner)
        rows = [name + ("/" if isinstance(inner[name], (dict, list)) else "") for name in order]
        return Response(200, TEXT, "\n".join(rows).encode("utf-8"), topic)
    return Response(200, JSON, json.dumps(node).encode("utf-8"), topic)


def _bad(reason: str) -> Response:
    return Response(400, JSON, _error("Bad request. %s" % reason), "refused", reason)


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode("ascii")
