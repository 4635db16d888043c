# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WireServer at 168.63.129.16:80 and the host plugin at port 32526, as pure functions of a request.

What is answered, and to whom, follows the clients: WALinuxAgent 2.2.47 to 2.16 (azurelinuxagent/common/protocol/
wire.py, goal_state.py, extensions_goal_state_from_extensions_config.py, hostplugin.py, healthservice.py) and
cloud-init 20.4 to 26.2 (cloudinit/sources/helpers/azure.py), and the article "Creating generalized images
without a provisioning agent" for the plain protocol.

Private to the collection: its interface may change in any release.
"""

import base64
import json
import re
from typing import Callable, Optional, Tuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import (
    Deployment,
    Report,
    Request,
    Response,
)

#: The only version of the protocol that clients speak (wire.py, PROTOCOL_VERSION).
PROTOCOL_VERSION = "2012-11-30"

#: What the host plugin offers (hostplugin.py, API_VERSION).
HOST_PLUGIN_VERSIONS = ("2015-09-01",)

#: Largest body that is parsed; real reports are below 8 KiB (the agent cuts its description at 3,686 characters).
MAX_REPORT = 64 * 1024

XML = "text/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"

#: Encrypts the tenant's certificates for a transport certificate: (base64 DER, cipher name) -> base64 PKCS#7.
Encrypt = Callable[[str, str], str]


def _xml(text: str) -> bytes:
    """Azure ends its lines with CR LF; clients in shell must strip the CR, so that is simulated too."""
    return text.replace("\n", "\r\n").encode("utf-8")


def role_config_name(deployment: Deployment) -> str:
    """The configuration's name; the agent takes the deployment's identifier from before the first dot."""
    return "%s.0.%s.0._%s.1.xml" % (deployment.deployment_id, deployment.deployment_id, deployment.hostname)


def versions_document() -> bytes:
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n<Versions>\n  <Preferred>\n    <Version>2015-04-05</Version>\n'
        "  </Preferred>\n  <Supported>\n    <Version>2015-04-05</Version>\n    <Version>%s</Version>\n"
        "    <Version>2012-09-15</Version>\n  </Supported>\n</Versions>\n" % PROTOCOL_VERSION
    )


def goal_state_document(deployment: Deployment) -> bytes:
    """The goal state with the addresses of the other configurations (goal_state.py, class GoalState)."""
    base = "http://168.63.129.16:80/machine/%s/%s" % (deployment.container_id, deployment.instance_id)
    address = base + "?comp=config&type=%s&incarnation=" + deployment.incarnation
    names = ["HostingEnvironmentConfig", "SharedConfig", "ExtensionsConfig", "FullConfig"]
    rows = ["<%s>%s</%s>" % (name, escape(address % (name[0].lower() + name[1:])), name) for name in names]
    if deployment.certificates:
        rows.insert(
            3,
            "<Certificates>%s</Certificates>"
            % escape(base + "?comp=certificates&incarnation=" + deployment.incarnation),
        )
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xsi:noNamespaceSchemaLocation="goalstate10.xsd">\n'
        "  <Version>%s</Version>\n  <Incarnation>%s</Incarnation>\n"
        "  <Machine>\n    <ExpectedState>Started</ExpectedState>\n"
        "    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>\n"
        "    <LBProbePorts>\n      <Port>16001</Port>\n    </LBProbePorts>\n"
        "    <ExpectHealthReport>FALSE</ExpectHealthReport>\n  </Machine>\n"
        "  <Container>\n    <ContainerId>%s</ContainerId>\n    <RoleInstanceList>\n      <RoleInstance>\n"
        "        <InstanceId>%s</InstanceId>\n        <State>Started</State>\n        <Configuration>\n"
        "          %s\n          <ConfigName>%s</ConfigName>\n        </Configuration>\n"
        "      </RoleInstance>\n    </RoleInstanceList>\n  </Container>\n</GoalState>\n"
        % (
            PROTOCOL_VERSION,
            escape(deployment.incarnation),
            escape(deployment.container_id),
            escape(deployment.instance_id),
            "\n          ".join(rows),
            escape(role_config_name(deployment)),
        )
    )


def hosting_environment_document(deployment: Deployment) -> bytes:
    """Names of VM, role and deployment (goal_state.py, HostingEnv)."""
    name = quoteattr(deployment.hostname)
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n<HostingEnvironmentConfig version="1.0.0.0" goalStateIncarnation=%s>\n'
        '  <StoredCertificates />\n  <Deployment name=%s guid=%s incarnation="0" isNonCancellableTopologyChangeEnabled='
        '"false">\n    <Service name=%s guid="{00000000-0000-0000-0000-000000000000}" />\n'
        "    <ServiceInstance name=%s guid=%s />\n  </Deployment>\n"
        '  <Incarnation number="1" instance=%s guid=%s />\n'
        '  <Role guid=%s name=%s hostingEnvironmentVersion="1" settleTimeSeconds="10" />\n'
        '  <HostingEnvironmentSettings name="full" Runtime="rd_fabric_stable">\n    <CAS mode="full" />\n'
        '    <PrivilegeLevel mode="max" />\n    <AdditionalProperties><CgiHandlers /></AdditionalProperties>\n'
        "  </HostingEnvironmentSettings>\n  <ApplicationSettings />\n</HostingEnvironmentConfig>\n"
        % (
            quoteattr(deployment.incarnation),
            quoteattr(deployment.deployment_id),
            quoteattr("{%s}" % deployment.deployment_id),
            name,
            quoteattr(deployment.deployment_id + ".0"),
            quoteattr("{%s}" % deployment.deployment_id),
            name,
            quoteattr("{%s}" % deployment.container_id),
            quoteattr("{%s}" % deployment.vm_id),
            name,
        )
    )


def shared_config_document(deployment: Deployment) -> bytes:
    """The topology of one instance; the agent stores it without reading it."""
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n<SharedConfig version="1.0.0.0" goalStateIncarnation=%s>\n'
        '  <Deployment name=%s guid=%s incarnation="0" />\n'
        '  <Incarnation number="1" instance=%s guid=%s />\n  <Role guid=%s name=%s settleTimeSeconds="0" />\n'
        '  <LoadBalancerSettings timeoutSeconds="0" waitLoadBalancerProbeCount="8" />\n'
        '  <Instances>\n    <Instance id=%s address="160.0.0.15">\n      <FaultDomains randomId="0" updateId="0" '
        'updateCount="0" />\n    </Instance>\n  </Instances>\n</SharedConfig>\n'
        % (
            quoteattr(deployment.incarnation),
            quoteattr(deployment.deployment_id),
            quoteattr("{%s}" % deployment.deployment_id),
            quoteattr(deployment.hostname),
            quoteattr("{%s}" % deployment.container_id),
            quoteattr("{%s}" % deployment.vm_id),
            quoteattr(deployment.hostname),
            quoteattr(deployment.instance_id),
        )
    )


def status_blob_address(deployment: Deployment) -> str:
    """Where the agent would put its status; it goes through the host plugin, as the name resolves to nothing."""
    return (
        "https://proof.invalid/$system/%s.status?sv=2018-03-28&sr=b&sk=system-1&sig=proof&se=9999-01-01T00%%3A00%%3A00Z&sp=w"
        % (deployment.hostname)
    )


def extensions_config_document(deployment: Deployment) -> bytes:
    """No extension and no other agent to download: the platform's extension handlers are not part of the proof."""
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n<Extensions version="1.0.0.0" goalStateIncarnation=%s>\n'
        '  <GuestAgentExtension xmlns:i="http://www.w3.org/2001/XMLSchema-instance">\n    <GAFamilies />\n'
        "    <Location />\n    <ServiceName>CRP</ServiceName>\n  </GuestAgentExtension>\n"
        "  <Plugins />\n  <PluginSettings />\n"
        '  <StatusUploadBlob statusBlobType="BlockBlob">%s</StatusUploadBlob>\n'
        "  <InVMArtifactsProfileBlob />\n</Extensions>\n"
        % (quoteattr(deployment.incarnation), escape(status_blob_address(deployment)))
    )


def certificates_document(data: str) -> bytes:
    """The tenant's certificates, encrypted for the agent (goal_state.py, class Certificates)."""
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<CertificateFile xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xsi:noNamespaceSchemaLocation="certificates10.xsd">\n'
        "  <Version>2010-12-15</Version>\n  <Incarnation>1</Incarnation>\n"
        "  <Format>Pkcs7BlobWithPfxContents</Format>\n  <Data>%s</Data>\n</CertificateFile>\n" % escape(data)
    )


def _local_text(element: Optional[ElementTree.Element], *names: str) -> Optional[str]:
    """The text below a chain of child names, whatever their namespace; None where a link is missing."""
    for name in names:
        if element is None:
            return None
        element = next((child for child in element if child.tag.split("}")[-1] == name), None)
    return (element.text or "").strip() if element is not None else None


def read_report(body: bytes, deployment: Deployment) -> Report:
    """A health report, judged: it must name this very deployment, and its state must be one Azure knows.

    No input raises: what cannot be read comes back as a report that is not accepted, with the reason.
    """
    empty = Report("", "", "", "", "", "", False, "")
    if len(body) > MAX_REPORT:
        return empty._replace(reason="the report is longer than %d bytes" % MAX_REPORT)
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", body, re.IGNORECASE):
        return empty._replace(reason="the report carries a document type, which no client sends")
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as exc:
        return empty._replace(reason="the report is not XML: %s" % exc)
    if root.tag.split("}")[-1] != "Health":
        return empty._replace(reason="the root element is %s, not Health" % root.tag.split("}")[-1])
    role = ("Container", "RoleInstanceList", "Role")
    found = Report(
        state=_local_text(root, *(role + ("Health", "State"))) or "",
        substatus=_local_text(root, *(role + ("Health", "Details", "SubStatus"))) or "",
        description=_local_text(root, *(role + ("Health", "Details", "Description"))) or "",
        incarnation=_local_text(root, "GoalStateIncarnation") or "",
        container_id=_local_text(root, "Container", "ContainerId") or "",
        instance_id=_local_text(root, *(role + ("InstanceId",))) or "",
        accepted=False,
        reason="",
    )
    for label, got, wanted in (
        ("GoalStateIncarnation", found.incarnation, deployment.incarnation),
        ("ContainerId", found.container_id, deployment.container_id),
        ("InstanceId", found.instance_id, deployment.instance_id),
    ):
        if got != wanted:
            return found._replace(reason="%s is %r, the goal state says %r" % (label, got, wanted))
    if found.state not in ("Ready", "NotReady"):
        return found._replace(reason="State is %r, neither Ready nor NotReady" % found.state)
    return found._replace(accepted=True)


def respond(
    deployment: Deployment, request: Request, encrypt: Optional[Encrypt] = None
) -> Tuple[Response, Optional[Report]]:
    """The WireServer's answer, and the health report that the request carried, if it was one."""
    comp = request.query.get("comp", "").lower()
    root = request.path.split("/")[0].lower()
    if request.path == "" and comp == "versions":
        return Response(200, XML, versions_document(), "versions"), None
    if root == "healthservice":
        # healthservice.py reports on the platform's own services; the agent takes no notice of the answer.
        return Response(200, JSON, b"{}", "health_service"), None
    if root != "machine":
        return _unknown("the path is not known"), None
    if request.headers.get("x-ms-version") is None:
        note = "the header x-ms-version is missing"
        return Response(400, XML, _error("MissingRequiredHeader", note), "refused", note), None
    if request.method == "POST":
        return _posted(deployment, comp, request)
    if request.method != "GET":
        return _unknown("the method is not known"), None
    if comp == "goalstate":
        return Response(200, XML, goal_state_document(deployment), "goal_state"), None
    if comp == "certificates" and deployment.certificates:
        return _certificates(request, encrypt), None
    if comp == "config":
        documents = {
            "hostingenvironmentconfig": (hosting_environment_document, "hosting_environment"),
            "sharedconfig": (shared_config_document, "shared_config"),
            "extensionsconfig": (extensions_config_document, "extensions_config"),
            "fullconfig": (hosting_environment_document, "full_config"),
        }
        kind = request.query.get("type", "").lower()
        if kind in documents:
            document, topic = documents[kind]
            return Response(200, XML, document(deployment), topic), None
    return _unknown("comp=%s is not known" % comp), None


def _posted(deployment: Deployment, comp: str, request: Request) -> Tuple[Response, Optional[Report]]:
    if comp == "health":
        report = read_report(request.body, deployment)
        if report.accepted:
            note = report.state + (": %s" % report.substatus if report.substatus else "")
            return Response(200, XML, b"", "health", note), report
        # 410 tells the agent that its goal state is stale (restutil.py, ResourceGoneError).
        status = 410 if report.state else 400
        return Response(status, XML, _error("InvalidHealthReport", report.reason), "health", report.reason), report
    if comp == "roleproperties":
        return Response(202, XML, b"", "role_properties"), None  # report_role_prop() insists on 202
    if comp == "telemetrydata":
        return Response(200, XML, b"", "telemetry"), None
    return _unknown("comp=%s is not known" % comp), None


def _certificates(request: Request, encrypt: Optional[Encrypt]) -> Response:
    transport = request.headers.get("x-ms-guest-agent-public-x509-cert", "")
    if not transport or encrypt is None:
        note = "the header x-ms-guest-agent-public-x509-cert is missing"
        return Response(400, XML, _error("MissingRequiredHeader", note), "certificates", note)
    try:
        data = encrypt(transport, request.headers.get("x-ms-cipher-name", "AES128_CBC"))
    except ValueError as exc:
        return Response(400, XML, _error("InvalidHeaderValue", str(exc)), "certificates", str(exc))
    return Response(200, XML, certificates_document(data), "certificates")


def respond_host_plugin(deployment: Deployment, request: Request) -> Response:
    """The host plugin's answer: the agent's status and log are taken, vmSettings and artifacts are not offered.

    Without vmSettings the agent takes its extensions from the WireServer (hostplugin.py, fetch_vm_settings).
    """
    path = request.path.lower()
    if path == "versions":
        return Response(200, JSON, json.dumps(list(HOST_PLUGIN_VERSIONS)).encode("ascii"), "versions")
    if path == "health":
        return Response(200, TEXT, b"", "plugin_health")
    container = request.headers.get("x-ms-containerid")
    if container is not None and container != deployment.container_id:
        note = "x-ms-containerid is %r" % container
        return Response(400, JSON, b'{"errorCode": "InvalidContainerConfiguration"}', "refused", note)
    if path == "status" and request.method == "PUT":
        return Response(200, TEXT, b"", "status", agent_status(request.body))
    if path == "vmagentlog" and request.method == "PUT":
        return Response(200, TEXT, b"", "agent_log")
    if path in ("vmsettings", "extensionartifact"):
        return Response(404, JSON, b'{"errorCode": "NotFound"}', "not_offered")
    return _unknown("the path is not known")


def agent_status(body: bytes) -> str:
    """The agent's own word in its status upload ("Ready"), or empty: the blob travels in base64 inside JSON."""
    try:
        outer = json.loads(body.decode("utf-8"))
        inner = json.loads(base64.b64decode(outer["content"]).decode("utf-8"))
        return str(inner["aggregateStatus"]["guestAgentStatus"]["status"])[:40]
    except (ValueError, KeyError, TypeError):
        return ""


def _error(code: str, message: str) -> bytes:
    return _xml(
        '<?xml version="1.0" encoding="utf-8"?>\n<Error xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        "  <Code>%s</Code>\n  <Message>%s</Message>\n  <Details />\n</Error>\n" % (code, escape(message))
    )


def _unknown(note: str) -> Response:
    return Response(
        404,
        XML,
        _error("ResourceNotAvailable", "The resource requested is no longer available."),
        "unknown",
        note,
        False,
    )
