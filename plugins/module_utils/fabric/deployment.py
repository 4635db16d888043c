# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one simulated Azure deployment is, and the shapes of a request and an answer of its services.

Private to the collection: its interface may change in any release.
"""

import binascii
import os
import uuid
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import parse_qs, urlsplit

#: Services of the fabric, as the record names them.
WIRESERVER = "wireserver"
HOST_PLUGIN = "host_plugin"
IMDS = "imds"


class Deployment(NamedTuple):
    """The identity and the wishes of one VM: what a user would have typed when creating it.

    vm_id is what the SMBIOS system UUID means on this generation: Gen1 firmware swaps the bytes of its first
    three fields, and cloud-init compares the two (sources/azure/identity.py, convert_system_uuid_to_vm_id).
    password "" means a login by key only. public_keys are whole lines as in authorized_keys.
    certificates: the goal state names certificates, which the agent then fetches and decrypts.
    """

    container_id: str
    instance_id: str
    incarnation: str
    deployment_id: str
    vm_id: str
    system_uuid: str
    subscription_id: str
    generation: int
    hostname: str
    user: str
    password: str
    public_keys: Tuple[str, ...]
    custom_data: bytes
    mac: str
    location: str
    certificates: bool


class Request(NamedTuple):
    """One HTTP request of the guest. target as sent ("/machine/?comp=goalstate"), header names lower case."""

    method: str
    target: str
    headers: Dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path with slashes at its ends removed and repeated ones joined: "machine", ""."""
        return "/".join(part for part in urlsplit(self.target).path.split("/") if part)

    @property
    def query(self) -> Dict[str, str]:
        """The first value of each parameter, names in lower case (Azure does not mind the case)."""
        try:
            pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        except ValueError:
            return {}
        return {name.lower(): values[0] for name, values in pairs.items()}


class Response(NamedTuple):
    """An answer, and what the record says of it: topic is a short stable word, note a sentence or empty.

    known is False where the fabric had no answer of its own: the guest asked for something not simulated.
    """

    status: int
    content_type: str
    body: bytes
    topic: str
    note: str = ""
    known: bool = True


class Report(NamedTuple):
    """One health report as the guest sent it. accepted says whether it named this deployment, reason why not."""

    state: str
    substatus: str
    description: str
    incarnation: str
    container_id: str
    instance_id: str
    accepted: bool
    reason: str


class Entry(NamedTuple):
    """One line of the record: seconds since power-on, who was asked, the request in short, the answer."""

    seconds: float
    service: str
    method: str
    target: str
    agent: str
    status: int
    topic: str
    note: str
    known: bool
    report: Optional[Report]


def swap_uuid(text: str) -> str:
    """The UUID with the bytes of its first three fields reversed, as Gen1 firmware shows it."""
    return str(uuid.UUID(bytes_le=uuid.UUID(text).bytes))


def new_deployment(
    generation: int,
    hostname: str,
    user: str,
    public_keys: Tuple[str, ...],
    password: str = "",
    custom_data: bytes = b"",
    certificates: bool = False,
) -> Deployment:
    """A deployment with fresh identifiers of the shapes that Azure gives (00-0D-3A is one of Microsoft's own)."""
    system_uuid = str(uuid.uuid4())
    return Deployment(
        container_id=str(uuid.uuid4()),
        instance_id="%s._%s" % (uuid.uuid4(), hostname),
        incarnation="1",
        deployment_id=str(uuid.uuid4()),
        vm_id=swap_uuid(system_uuid) if generation == 1 else system_uuid,
        system_uuid=system_uuid,
        subscription_id=str(uuid.uuid4()),
        generation=generation,
        hostname=hostname,
        user=user,
        password=password,
        public_keys=public_keys,
        custom_data=custom_data,
        mac="00:0d:3a:%s:%s:%s"
        % tuple(binascii.hexlify(os.urandom(3)).decode("ascii")[at : at + 2] for at in (0, 2, 4)),
        location="proof",
        certificates=certificates,
    )


def entry_as_dict(entry: Entry) -> Dict[str, Any]:
    """A record line for JSON, the report spelled out."""
    values: Dict[str, Any] = dict(entry._asdict())
    values["seconds"] = round(entry.seconds, 2)
    values["report"] = dict(entry.report._asdict()) if entry.report else None
    return values


def unknown_requests(entries: List[Entry]) -> List[str]:
    """What the guest asked for and the fabric does not simulate, each once, in order."""
    seen: List[str] = []
    for entry in entries:
        text = "%s %s %s" % (entry.service, entry.method, entry.target)
        if not entry.known and text not in seen:
            seen.append(text)
    return seen
