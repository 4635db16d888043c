"""Entry files edited directly end up as grubby would leave them, but for what grubby loses.

grubby() below restates what `grubby --update-kernel=ALL --args=... --remove-args=...` does according to grubby-bls
(rhboot/grubby): $kernelopts in the environment block is changed, entries that say $kernelopts stay as they are, in
every other entry variables are filled in and the options line is written anew; "key" is removed with any value,
"key=value" only with this one; what is added first takes every argument of its key away and then stands at the end.
"""

from __future__ import annotations

import re
from pathlib import Path

import boot_trees
import pytest
from test_grub_azure_cmdline import CONSOLES, make

from ansible_collections.linuxvhd.azure.plugins.modules import grub_azure_cmdline

SET = [*CONSOLES, "earlyprintk=ttyS0,115200", "rootdelay=300", "net.ifnames=0"]
REMOVE = ["rhgb", "quiet", "crashkernel=auto"]


def update(arguments: list[str]) -> list[str]:
    gone = {argument for argument in REMOVE if "=" in argument}
    keys = {argument for argument in REMOVE if "=" not in argument} | {argument.split("=")[0] for argument in SET}
    return [a for a in arguments if a not in gone and a.split("=")[0] not in keys] + SET


def grubby(root: Path) -> None:
    block = root / "boot/grub2/grubenv"
    text = block.read_text() if block.exists() else ""
    variables = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    for path in root.glob("boot/loader/entries/*.conf"):
        entry = path.read_text()
        match = re.search(r"^options[ \t]+(.*)$", entry, re.M)
        if match and "$kernelopts" not in match.group(1).split():
            filled = re.sub(r"\$(\w+)", lambda found: variables.get(found.group(1), ""), match.group(1))
            path.write_text(entry.replace(match.group(0), "options " + " ".join(update(filled.split()))))
    if "kernelopts" in variables:
        lines = [line for line in text.rstrip("#").splitlines(True) if not line.startswith("kernelopts=")]
        lines.append("kernelopts=%s\n" % " ".join(update(variables["kernelopts"].split())))
        block.write_text("".join(lines).ljust(1024, "#"))


@pytest.mark.parametrize("name", ["el8", "el9", "el10"])
def test_entries_have_the_arguments_that_grubby_would_give_them(tmp_path: Path, name: str) -> None:
    # grubby tears values with blanks apart and drops every other console: what has neither is compared.
    ours = make(tmp_path / "ours", name)
    before = boot_trees.effective(Path(ours.root))
    compared = {
        kernel: [not any(" " in word or word.startswith("console=") for word in line) for line in lines]
        for kernel, lines in before.items()
    }
    assert any(any(row) for row in compared.values())
    grub_azure_cmdline.run({"set": SET, "remove": REMOVE, "numa": "keep"}, ours, False)
    theirs = make(tmp_path / "theirs", name)
    grubby(Path(theirs.root))
    left, right = boot_trees.effective(Path(ours.root)), boot_trees.effective(Path(theirs.root))
    assert set(left) == set(right)
    for kernel, rows in compared.items():
        for compare, mine, other in zip(rows, left[kernel], right[kernel], strict=True):
            if compare:
                assert sorted(mine) == sorted(other)
                assert [a for a in mine if a.startswith("console=")] == [a for a in other if a.startswith("console=")]
