"""Where a secret stands that should be nowhere: in texts and in files, in every form that a tool may write it in."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from pathlib import Path


def forms(secret: str) -> set[bytes]:
    """The secret as it is, quoted for JSON, XML and URLs, in UTF-16, and in base64 anywhere in a longer text."""
    raw = secret.encode()
    found = {raw, json.dumps(secret)[1:-1].encode(), html.escape(secret).encode(), html.escape(secret, False).encode()}
    found |= {secret.encode("utf-16-le"), secret.encode("utf-16-be"), repr(secret)[1:-1].encode()}
    for quote in (urllib.parse.quote, urllib.parse.quote_plus):
        text = quote(secret, safe="")
        found |= {text.encode(), text.lower().encode(), urllib.parse.quote(text, safe="").encode()}
    for before in range(3):
        # The first and the last characters depend on what stands beside the secret.
        text = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        skip = (before * 8 + 5) // 6
        found.add(text[skip : len(text) - 1 if (before + len(raw)) % 3 else len(text)])
    return {form for form in found if len(form) > 5}


def signature(url: str) -> str:
    """The part of a URL with a SAS that must not be seen."""
    return urllib.parse.parse_qs(url.split("?", 1)[1])["sig"][0]


def in_bytes(secret: str, data: bytes | str) -> list[str]:
    """What surrounds each form of the secret that stands in the data."""
    data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    places = sorted(data.index(form) for form in forms(secret) if form in data)
    return [data[max(place - 200, 0) : place + 100].decode("utf-8", "replace") for place in places]


def in_folder(secret: str, folder: Path) -> list[str]:
    """The files below a folder in whose name or content the secret stands, and what surrounds it."""
    found = []
    for path in sorted(folder.rglob("*")):
        around = in_bytes(secret, str(path.relative_to(folder)))
        if path.is_file() and not path.is_symlink():
            around += in_bytes(secret, path.read_bytes())
        found += [f"{path.relative_to(folder)}: {text}" for text in around]
    return found
