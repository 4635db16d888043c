"""vhd_upload against the real Azurite server (npm), started here; its blobs are downloaded and compared.

Azurite knows the protocol, SAS signatures and leases. It takes a wrong Content-MD5, ranges past the end and bodies
over 4 MiB, so what it does not refuse proves nothing: those rules are tested against pageblob_server.py.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import http.client
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from pageblob_server import ACCOUNT, KEY, sas
from test_upload import SIZE, interrupted, make_vhd, send

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.pageblob import Policy

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "linuxvhd-azure/azurite"
PATIENT = Policy(parallel=8, timeout=30.0, retry_seconds=30.0)


def azurite_command() -> list[str]:
    """Azurite from PATH or our cache, installed there once; skips with the reason where that is impossible."""
    found = shutil.which("azurite-blob")
    program = Path(found) if found else CACHE / "node_modules/.bin/azurite-blob"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            pytest.skip("node and npm are not installed, so Azurite cannot be had")
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(CACHE), "azurite"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0 or not program.exists():
            pytest.skip("npm could not install azurite: " + done.stderr.strip()[-200:])
    return [str(program)]


def shared_key(method: str, path: str, headers: dict[str, str], query: dict[str, str]) -> str:
    """The Authorization header of Shared Key, for the few requests that a SAS for one blob does not cover."""
    names = sorted(name for name in headers if name.startswith("x-ms-"))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in names)
    resource = f"/{ACCOUNT}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
    text = f"{method}\n" + "\n" * 11 + canonical + resource
    signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"


class Azurite:
    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, query: dict[str, str], more: dict[str, str] | None = None) -> bytes:
        path = f"/{ACCOUNT}/{path}"
        headers = {"x-ms-version": "2021-12-02", "x-ms-date": email.utils.formatdate(usegmt=True), **(more or {})}
        headers["Authorization"] = shared_key(method, path, headers, query)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path + "?" + urllib.parse.urlencode(query), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 201, 206), body
        connection.close()
        return body

    def url(self, blob: str = "disk.vhd", **options: str) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}/images/{blob}?{sas('images', blob, **options)}"

    def content(self, blob: str = "disk.vhd") -> bytes:
        return self.call("GET", f"images/{blob}", {})


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    command = azurite_command()
    folder = tmp_path_factory.mktemp("azurite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
    process = subprocess.Popen([*command, *options, "--disableTelemetry"], stdout=subprocess.DEVNULL)
    try:
        server = Azurite(port)
        for _ in range(450):
            try:
                server.call("PUT", "images", {"restype": "container"})
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail("Azurite did not start within 90 seconds")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return "".join(char for char in request.node.name if char.isalnum()) + ".vhd"


def test_round_trip(azurite: Azurite, tmp_path: Path, name: str) -> None:
    path = make_vhd(tmp_path / "disk.vhd", size=64 * 1024 * 1024, pieces=40)
    result = send(azurite, path, url=azurite.url(name), policy=PATIENT)  # type: ignore[arg-type]
    assert azurite.content(name) == path.read_bytes()
    assert result.bytes_sent == result.data_bytes
    again = send(azurite, path, url=azurite.url(name), policy=PATIENT)  # type: ignore[arg-type]
    assert again.changed is False and again.bytes_sent == 0


def test_raw(azurite: Azurite, tmp_path: Path, name: str) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(random.Random(3).randbytes(20 * 1024 * 1024 + 12345))
    send(azurite, path, "raw", url=azurite.url(name), policy=PATIENT)  # type: ignore[arg-type]
    content = azurite.content(name)
    assert content[: 20 * 1024 * 1024 + 12345] == path.read_bytes()
    assert len(content) == 21 * 1024 * 1024 + 512 and content[-512:-504] == b"conectix"


@pytest.mark.parametrize("requests", [1, 3, 9, 15, 22])
def test_resume(azurite: Azurite, tmp_path: Path, requests: int, name: str) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    url = azurite.url(name)
    interrupted(azurite, path, requests, url=url)  # type: ignore[arg-type]
    result = send(azurite, path, url=url, policy=PATIENT)  # type: ignore[arg-type]
    assert azurite.content(name) == path.read_bytes()
    assert result.bytes_sent + result.resumed_bytes == result.data_bytes


def test_lease_and_overwrite(azurite: Azurite, tmp_path: Path, name: str) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    other = make_vhd(tmp_path / "other.vhd", seed=2)
    url = azurite.url(name)
    send(azurite, path, url=url, policy=PATIENT)  # type: ignore[arg-type]
    with pytest.raises(AzurePrepError, match="exists already and was left alone"):
        send(azurite, other, url=url, policy=PATIENT)  # type: ignore[arg-type]
    lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}
    lease["x-ms-proposed-lease-id"] = "99999999-9999-9999-9999-999999999999"
    azurite.call("PUT", f"images/{name}", {"comp": "lease"}, lease)
    with pytest.raises(AzurePrepError, match="Someone else holds the lease"):
        send(azurite, other, url=url, policy=PATIENT, overwrite=True)  # type: ignore[arg-type]
    assert azurite.content(name) == path.read_bytes()
    release = {"x-ms-lease-action": "release", "x-ms-lease-id": lease["x-ms-proposed-lease-id"]}
    azurite.call("PUT", f"images/{name}", {"comp": "lease"}, release)
    send(azurite, other, url=url, policy=PATIENT, overwrite=True)  # type: ignore[arg-type]
    assert azurite.content(name) == other.read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"expires": "2020-01-01T00:00:00Z"}, "SAS token of .* has expired"),
        ({"permissions": "r"}, "permission"),
        ({"key": base64.b64encode(b"wrong").decode()}, "token was not accepted|was refused"),
    ],
)
def test_tokens_that_do_not_do(
    azurite: Azurite, tmp_path: Path, name: str, options: dict[str, str], sentence: str
) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    with pytest.raises(AzurePrepError, match=sentence) as caught:
        send(azurite, path, url=azurite.url(name, **options), policy=PATIENT)  # type: ignore[arg-type]
    assert "sig=" not in str(caught.value)


def test_no_such_container(azurite: Azurite, tmp_path: Path) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    url = f"http://127.0.0.1:{azurite.port}/{ACCOUNT}/nowhere/disk.vhd?{sas('nowhere', 'disk.vhd')}"
    with pytest.raises(AzurePrepError, match="container of .* does not exist; create it first"):
        send(azurite, path, url=url, policy=PATIENT)  # type: ignore[arg-type]


def test_pages_come_back(azurite: Azurite, tmp_path: Path, name: str) -> None:
    """The last page is the footer's, and holes stay holes."""
    path = make_vhd(tmp_path / "disk.vhd")
    send(azurite, path, url=azurite.url(name), policy=PATIENT)  # type: ignore[arg-type]
    listing = azurite.call("GET", f"images/{name}", {"comp": "pagelist"}).decode()
    assert f"<End>{SIZE + 511}</End>" in listing
    assert listing.count("<PageRange>") > 3
