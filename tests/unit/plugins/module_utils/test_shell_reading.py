"""What a shell makes of /etc/default/grub as people write it, and what it makes of it once it was edited."""

from __future__ import annotations

import subprocess

from ansible_collections.linuxvhd.azure.plugins.module_utils import shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import sourced
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import GRUB, Wanted, split

LINUX = "GRUB_CMDLINE_LINUX"
DEFAULT = "GRUB_CMDLINE_LINUX_DEFAULT"
WANTED = Wanted(("console=tty1", "console=ttyS0,115200n8", "rootdelay=300"), ("quiet", "splash"))

TEXTS = [
    'GRUB_CMDLINE_LINUX="a=1 quiet"\nunset GRUB_CMDLINE_LINUX\n',
    'GRUB_CMDLINE_LINUX="a=1"\nunset MINE GRUB_CMDLINE_LINUX; GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b=2"',
    'GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX="only for this" true\n',
    'GRUB_CMDLINE_LINUX="a=1 quiet" 2>/dev/null\n',
    'GRUB_CMDLINE_LINUX="a=1" >/dev/null true\n',
    'export MINE GRUB_CMDLINE_LINUX="a=1 splash"\n',
    "true GRUB_CMDLINE_LINUX=a=1\n",
    'case x in\n  x) GRUB_CMDLINE_LINUX="a=1 quiet" ;;\nesac\n',
    '{ GRUB_CMDLINE_LINUX="a=1"; }\nif true; then GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX b=2 quiet"; fi\n',
    'GRUB_CMDLINE_LINUX="a=1"\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX quiet b=2"\n',
    'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX"\n',
    'MINE=" caf\u00e9"; GRUB_CMDLINE_LINUX="${MINE}quiet a=1"\n',
    'GRUB_CMDLINE_LINUX="a=1 quiet"\\\n',
    'MINE="quiet"\nGRUB_CMDLINE_LINUX="$MINE a=1"\nGRUB_CMDLINE_LINUX_DEFAULT="b=$MINE"\n',
    'GRUB_CMDLINE_LINUX="${MINE:-quiet} a=1"\n',
    "GRUB_CMDLINE_LINUX='a=1 '\"quiet b=2\"' c=\"d e\"'\n",
    "cat >/dev/null <<'END'\nGRUB_CMDLINE_LINUX=\"no'pe\nEND\nGRUB_CMDLINE_LINUX=a=1\n",
]


def shell(texts: list[str]) -> list[tuple[str, str]]:
    """Both variables after a real shell has run each text, each in a subshell of its own."""
    script = "".join(f'(\n{text}\nprintf "%s\\0%s\\0" "${LINUX}" "${DEFAULT}"\n)\n' for text in texts)
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=120)
    values = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return list(zip(values[0:-1:2], values[1:-1:2]))


def test_values_are_those_that_a_shell_sees() -> None:
    for text, values in zip(TEXTS, shell(TEXTS), strict=True):
        files = [shell_vars.parse("/etc/default/grub", text)]
        assert (shell_vars.value(files, LINUX) or "", shell_vars.value(files, DEFAULT) or "") == values, text


def test_an_edited_file_gives_a_shell_what_is_wanted_and_keeps_the_rest() -> None:
    edited = []
    for text in TEXTS:
        files = [shell_vars.parse("/etc/default/grub", text)]
        edited.append(sourced.edit(files, (LINUX, DEFAULT), WANTED, LINUX, (LINUX,), GRUB)[0].text)
    for text, after, old, new in zip(TEXTS, edited, shell(TEXTS), shell(edited), strict=True):
        assert [split(new[0], GRUB).count(argument) for argument in WANTED.set] == [1, 1, 1], after
        kept = [argument for argument in split(" ".join(old), GRUB) if argument not in WANTED.remove]
        assert [argument for argument in split(" ".join(new), GRUB) if argument not in WANTED.set] == kept, (
            text,
            after,
        )
