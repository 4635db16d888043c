"""The WireServer, the host plugin, the metadata service and ovf-env.xml, as requests and answers."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import deployment, imds, ovf_env, wireserver
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Deployment, Request

KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 proof"
VERSION = {"x-ms-version": "2012-11-30"}


def make(**changes: object) -> Deployment:
    return deployment.new_deployment(1, "proofhost", "azureuser", (KEY,))._replace(**changes)


def get(target: str, headers: dict[str, str] | None = None) -> Request:
    return Request("GET", target, VERSION if headers is None else headers, b"")


def report(one: Deployment, state: str = "Ready", **changes: str) -> bytes:
    values = {"incarnation": one.incarnation, "container": one.container_id, "instance": one.instance_id}
    values.update(changes)
    return (
        (
            '<?xml version="1.0"?><Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            "<GoalStateIncarnation>{incarnation}</GoalStateIncarnation><Container><ContainerId>{container}</ContainerId>"
            "<RoleInstanceList><Role><InstanceId>{instance}</InstanceId><Health><State>%s</State></Health></Role>"
            "</RoleInstanceList></Container></Health>" % state
        )
        .format(**values)
        .encode()
    )


@pytest.mark.parametrize("target", ["/machine/?comp=goalstate", "/machine?comp=goalstate", "/Machine?Comp=GoalState"])
def test_goal_state_names_the_deployment_and_its_configurations(target: str) -> None:
    one = make()
    answer, found = wireserver.respond(one, get(target))
    assert (answer.status, found) == (200, None)
    assert b"\r\n" in answer.body
    root = ElementTree.fromstring(answer.body)
    assert root.findtext("Incarnation") == one.incarnation
    assert root.findtext("Container/ContainerId") == one.container_id
    instance = "Container/RoleInstanceList/RoleInstance/"
    assert root.findtext(instance + "InstanceId") == one.instance_id
    for name, topic in (
        ("HostingEnvironmentConfig", "hosting_environment"),
        ("SharedConfig", "shared_config"),
        ("ExtensionsConfig", "extensions_config"),
    ):
        url = root.findtext(instance + "Configuration/" + name)
        assert url is not None and url.startswith("http://168.63.129.16:80/machine/")
        answer, _found = wireserver.respond(one, get(url[len("http://168.63.129.16:80") :]))
        assert (answer.status, answer.topic) == (200, topic)
        ElementTree.fromstring(answer.body)
    assert root.find(instance + "Configuration/Certificates") is None


def test_goal_state_needs_the_version_header() -> None:
    answer, _found = wireserver.respond(make(), get("/machine/?comp=goalstate", {}))
    assert answer.status == 400
    assert "x-ms-version" in answer.note


def test_versions_need_no_header() -> None:
    answer, _found = wireserver.respond(make(), get("/?comp=versions", {}))
    assert b"<Version>2012-11-30</Version>" in answer.body


def test_a_right_report_is_accepted() -> None:
    one = make()
    answer, found = wireserver.respond(one, Request("POST", "/machine?comp=health", VERSION, report(one)))
    assert answer.status == 200
    assert found is not None and found.accepted and found.state == "Ready"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"incarnation": "2"}, "GoalStateIncarnation is '2'"),
        ({"container": "other"}, "ContainerId is 'other'"),
        ({"instance": ""}, "InstanceId is ''"),
        ({"state": "Perhaps"}, "State is 'Perhaps'"),
    ],
)
def test_a_report_for_another_vm_is_refused(changes: dict[str, str], reason: str) -> None:
    one = make()
    answer, found = wireserver.respond(one, Request("POST", "/machine?comp=health", VERSION, report(one, **changes)))
    assert answer.status == 410
    assert found is not None and not found.accepted and reason in found.reason


@pytest.mark.parametrize("body", [b"", b"{}", b"<Health>", b"<Other/>", b'<!DOCTYPE x [<!ENTITY a "b">]><Health/>'])
def test_what_is_no_report_is_refused(body: bytes) -> None:
    answer, found = wireserver.respond(make(), Request("POST", "/machine?comp=health", VERSION, body))
    assert answer.status == 400
    assert found is not None and not found.accepted and found.reason


@settings(max_examples=40)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "X"]),
    st.text(max_size=60),
    st.dictionaries(st.sampled_from(["x-ms-version", "metadata", "x-ms-containerid"]), st.text(max_size=20)),
    st.binary(max_size=200),
)
def test_no_request_raises(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    one = make()
    for path in (target, "/machine?comp=health", "/machine?" + target, "/metadata/instance/" + target):
        request = Request(method, path, headers, body)
        assert wireserver.respond(one, request)[0].status in range(200, 600)
        assert wireserver.respond_host_plugin(one, request).status in range(200, 600)
        assert imds.respond(one, request).status in range(200, 600)


def test_host_plugin_takes_status_and_offers_no_settings() -> None:
    one = make()
    inner = json.dumps({"aggregateStatus": {"guestAgentStatus": {"status": "Ready"}}}).encode()
    body = json.dumps({"content": base64.b64encode(inner).decode()}).encode()
    headers = {"x-ms-containerid": one.container_id}
    answer = wireserver.respond_host_plugin(one, Request("PUT", "/status", headers, body))
    assert (answer.status, answer.note) == (200, "Ready")
    assert wireserver.respond_host_plugin(one, Request("GET", "/vmSettings", headers, b"")).status == 404
    assert wireserver.respond_host_plugin(one, Request("GET", "/versions", {}, b"")).body == b'["2015-09-01"]'
    wrong = Request("PUT", "/status", {"x-ms-containerid": "other"}, body)
    assert wireserver.respond_host_plugin(one, wrong).status == 400


def test_an_unknown_path_is_told_apart() -> None:
    answer, _found = wireserver.respond(make(), get("/secrets"))
    assert (answer.status, answer.known) == (404, False)
    assert imds.respond(make(), get("/metadata/attested?api-version=2021-02-01", {"metadata": "true"})).known is False


METADATA = {"metadata": "true"}


def test_metadata_by_version() -> None:
    one = make()
    new = json.loads(imds.respond(one, get("/metadata/instance?api-version=2021-08-01&extended=true", METADATA)).body)
    assert new["compute"]["osProfile"]["adminUsername"] == "azureuser"
    assert new["compute"]["publicKeys"][0]["keyData"] == KEY
    assert new["extended"]["compute"] == {"hasCustomData": False, "ppsType": "None"}
    assert new["network"]["interface"][0]["macAddress"] == one.mac.replace(":", "").upper()
    old = json.loads(imds.respond(one, get("/metadata/instance?api-version=2019-06-01", METADATA)).body)
    assert "osProfile" not in old["compute"] and "extended" not in old


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/metadata/instance?api-version=2021-08-01", {}, 400),
        ("/metadata/instance", METADATA, 400),
        ("/metadata/instance?api-version=1999-01-01", METADATA, 400),
        ("/metadata/instance?api-version=2021-08-01", {"metadata": "true", "x-forwarded-for": "1.2.3.4"}, 400),
        ("/metadata/instance/compute/nothing?api-version=2021-08-01", METADATA, 404),
        ("/latest/meta-data", METADATA, 404),
        ("/metadata/identity/oauth2/token?api-version=2018-02-01", METADATA, 400),
    ],
)
def test_metadata_refuses_as_azure_does(target: str, headers: dict[str, str], status: int) -> None:
    assert imds.respond(make(), get(target, headers)).status == status


def test_metadata_leaves_and_listings_are_text() -> None:
    one = make()
    leaf = imds.respond(one, get("/metadata/instance/compute/name?api-version=2019-06-01&format=text", METADATA))
    assert (leaf.body, leaf.content_type) == (b"proofhost", imds.TEXT)
    listing = imds.respond(one, get("/metadata/instance?api-version=2019-06-01&format=text", METADATA))
    assert listing.body == b"compute/\nnetwork/"


def test_gen1_swaps_the_identifier() -> None:
    one = deployment.new_deployment(1, "a", "b", ())
    assert one.vm_id != one.system_uuid
    assert deployment.swap_uuid(one.vm_id) == one.system_uuid
    two = deployment.new_deployment(2, "a", "b", ())
    assert two.vm_id == two.system_uuid


WA = "{http://schemas.microsoft.com/windowsazure}"


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), max_size=40))
def test_any_password_survives_the_document(password: str) -> None:
    root = ElementTree.fromstring(ovf_env.render(make(password=password)).encode())
    section = root.find("%sProvisioningSection/%sLinuxProvisioningConfigurationSet" % (WA, WA))
    assert section is not None
    assert (section.findtext(WA + "UserPassword") or "") in (password, password.replace("\x85", "\n"))
    assert section.findtext(WA + "DisableSshPasswordAuthentication") == ("false" if password else "true")
    assert section.findtext("%sSSH/%sPublicKeys/%sPublicKey/%sValue" % (WA, WA, WA, WA)) == KEY
