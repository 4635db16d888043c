"""The search for secrets, which other tests rely on, finds them in whatever a tool may have written."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from pathlib import Path

import leaks
import pytest

PASSWORD = "Pr00f-of-passw0rd"
SIGNATURE = "aB3/+x9Zk&<\"é'=="

WRITTEN = {
    "as it is": lambda secret: f"sudo: {secret}\n".encode(),
    "json": lambda secret: json.dumps({"a": ["x", secret]}).encode(),
    "python": lambda secret: repr({"url": secret}).encode(),
    "xml": lambda secret: f"<UserPassword>{html.escape(secret, quote=False)}</UserPassword>".encode(),
    "html": lambda secret: f'<p title="{html.escape(secret)}">'.encode(),
    "query": lambda secret: f"https://a/?sv=1&sig={urllib.parse.quote_plus(secret)}&x".encode(),
    "lower query": lambda secret: f"sig={urllib.parse.quote(secret, safe='').lower()}".encode(),
    "utf-16": lambda secret: ("x" + secret).encode("utf-16-le"),
    "packet": lambda secret: bytes(range(256)) + secret.encode() + bytes(9),
    **{
        f"base64 behind {count}": lambda secret, count=count: base64.b64encode(b"k" * count + secret.encode() + b"tail")
        for count in range(4)
    },
}


@pytest.mark.parametrize("secret", [PASSWORD, SIGNATURE])
@pytest.mark.parametrize("how", WRITTEN)
def test_a_secret_is_found_however_it_was_written(tmp_path: Path, how: str, secret: str) -> None:
    data = WRITTEN[how](secret)
    assert leaks.in_bytes(secret, data), data
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/serial.log").write_bytes(b"[    0.000000] Linux\n" * 500 + data)
    assert any(line.startswith("deep/serial.log: ") for line in leaks.in_folder(secret, tmp_path))


def test_a_file_by_the_name_of_a_secret_is_found(tmp_path: Path) -> None:
    (tmp_path / f"x{PASSWORD}").touch()
    assert leaks.in_folder(PASSWORD, tmp_path)


def test_the_artifacts_of_a_proof_without_the_password_are_clean(tmp_path: Path) -> None:
    """What stands beside it is no leak: the user, the word password, a hash, another text of its length."""
    (tmp_path / "proof.json").write_text(json.dumps({"options": {"user": "azureuser", "password": "passw0rd"}}))
    (tmp_path / "serial.log").write_bytes(b"$6$salt$0123456789 password: \xff\xfe Pr00f-of-\n-of-passw0rd")
    (tmp_path / "packets.pcap").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "link").symlink_to("/nowhere")
    assert leaks.in_folder(PASSWORD, tmp_path) == []
    assert leaks.in_bytes(PASSWORD, "") == []
