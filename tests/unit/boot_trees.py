"""Trees of boot configuration (tests/unit/fixtures/boot) and an evaluator of command lines that shares no code with
the collection: it knows only the plain forms that these trees use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures" / "boot"


def load(name: str) -> dict[str, str]:
    """The files of a tree: path to content."""
    parts = re.split(r"^-- (/\S+) --\n", (FIXTURES / (name + ".tree")).read_text(encoding="utf-8"), flags=re.M)
    return {path: text if not text.startswith("-> ") else text.strip() for path, text in zip(parts[1::2], parts[2::2])}


def names() -> list[str]:
    return sorted(path.stem for path in FIXTURES.glob("*.tree"))


def _environment(root: Path) -> dict[str, str]:
    path = root / "boot/grub2/grubenv"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def effective(root: Path) -> dict[str, list[list[str]]]:
    """Kernel file name -> the command lines of its entries, in every configuration below root."""
    result: dict[str, list[list[str]]] = {}

    def add(kernel: str, line: str) -> None:
        result.setdefault(kernel.rsplit("/", 1)[-1], []).append(shlex.split(line))

    environment = _environment(root)
    for path in sorted(root.glob("boot/**/loader/entries/*.conf")):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        fields = dict(line.split(None, 1) for line in text.splitlines() if " " in line and line[0] != "#")
        options = re.sub(r"\$(\w+)", lambda match: environment.get(match.group(1), ""), fields["options"])
        add(fields["linux"], options)
    for path in [
        *root.glob("boot/grub*/grub.cfg"),
        *root.glob("boot/grub/grub.conf"),
        *root.glob("boot/grub/menu.lst"),
    ]:
        if path.is_symlink():
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        for line in text.splitlines():
            words = line.split(None, 2)
            if len(words) == 3 and words[0] in ("linux", "kernel", "module") and "vmlinuz" in words[1]:
                add(words[1], words[2])
    return result
