"""The servers and the relay: HTTP through a process on standard input and output, as QEMU starts it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import deployment, server


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="azp-"))
    yield path
    shutil.rmtree(path)


def through_relay(command: str, request: bytes) -> bytes:
    done = subprocess.run(shlex.split(command), input=request, capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
    return done.stdout


def test_a_request_through_the_relay_is_answered_and_recorded(folder: Path) -> None:
    one = deployment.new_deployment(1, "proofhost", "azureuser", ())
    fabric = server.Fabric(one, str(folder))
    forwards = fabric.bind()
    fabric.serve()
    try:
        assert [(forward.address, forward.port) for forward in forwards] == [
            ("168.63.129.16", 80),
            ("168.63.129.16", 32526),
            ("169.254.169.254", 80),
        ]
        request = b"GET /machine/?comp=goalstate HTTP/1.1\r\nHost: x\r\nx-ms-version: 2012-11-30\r\n"
        request += b"User-Agent: Cloud-Init/22.4.2\r\nConnection: close\r\n\r\n"
        answer = through_relay(forwards[0].command, request)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert one.container_id.encode() in answer
        answer = through_relay(forwards[2].command, b"GET / HTTP/1.0\r\n\r\n")
        assert b"404" in answer.splitlines()[0]
        through_relay(forwards[1].command, b"nonsense\r\n\r\n")
    finally:
        fabric.close()
    first, second = fabric.entries()
    assert (first.service, first.topic, first.agent, first.status) == (
        "wireserver",
        "goal_state",
        "Cloud-Init/22.4.2",
        200,
    )
    assert deployment.unknown_requests([first, second]) == ["imds GET /"]
    assert fabric.faults == []


def test_a_body_beyond_the_bound_is_refused(folder: Path) -> None:
    fabric = server.Fabric(deployment.new_deployment(1, "h", "u", ()), str(folder))
    forwards = fabric.bind()
    fabric.serve()
    try:
        request = b"PUT /status HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"
        assert b" 413 " in through_relay(forwards[1].command, request).splitlines()[0]
    finally:
        fabric.close()


def test_a_folder_with_too_long_a_name_gets_a_sentence(folder: Path) -> None:
    deep = folder / ("x" * 100)
    deep.mkdir()
    fabric = server.Fabric(deployment.new_deployment(1, "h", "u", ()), str(deep))
    with pytest.raises(AzurePrepError, match="set TMPDIR"):
        fabric.bind()


def test_certificates_are_decrypted_by_the_transport_key(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    bundle = server.make_tenant_certificate(str(folder))
    key, certificate = folder / "t.key", folder / "t.crt"
    line = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=LinuxTransport", "-days", "9", "-newkey", "rsa:2048"]
    subprocess.run([*line, "-keyout", str(key), "-out", str(certificate)], capture_output=True, timeout=60, check=True)
    transport = "".join(row for row in certificate.read_text().splitlines() if "CERTIFICATE" not in row)
    data = server.encrypt_certificates(bundle, str(folder), transport, "AES128_CBC")
    message = "MIME-Version: 1.0\nContent-Type: application/x-pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + data
    line = ["openssl", "cms", "-decrypt", "-inkey", str(key), "-recip", str(certificate)]
    done = subprocess.run(line, input=message.encode(), capture_output=True, timeout=60, check=True)
    assert done.stdout == Path(bundle).read_bytes()
    with pytest.raises(ValueError, match="not base64"):
        server.encrypt_certificates(bundle, str(folder), "no certificate", "AES128_CBC")
    with pytest.raises(ValueError, match="cipher"):
        server.encrypt_certificates(bundle, str(folder), transport, "ROT13")
