"""No secret option appears in any output: at -vvvv, with --diff, when it works and when it fails.

Looked through are the terminal, the log file, the reports of two callback plugins, whatever the run left below its home
and temporary directories, and the command lines of all processes meanwhile. Which options are secret is read from the
argument specs; one that is new must be added to RUNS, with a run that fails and one that works, or the test fails.
What vhd_upload does with a token while it uploads and when it crashes is tested in tests/upload, what a proof of a real
image leaves of a password in tests/proof.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import leaks
import pytest
import yaml
from conftest import ROOT, ansible
from pageblob_server import PageBlobServer

from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import footer

SECRET = "Sup3rS3cret-v4lue"
#: A SAS: its signature is what must not be seen.
URL = f"https://account.blob.core.windows.net/images/x.vhd?sv=2021-08-06&sr=b&sp=rcw&sig={SECRET}"

#: Names that mean a secret; an option with such a name that is none says so with no_log: false.
NAMES = re.compile(r"(password|secret|token|passphrase|credential|private_key)$")


class Run(NamedTuple):
    """A playbook or a task with a secret option, and whether it fails.

    Where it works, IMAGE and DISK in its options stand for a VHD and a raw disk, and PLACE for the URL of a page blob.
    """

    secret: str
    play: str | dict[str, Any]
    variables: dict[str, Any]
    fails: bool = True
    arguments: tuple[str, ...] = ()


def task(module: str, **options: Any) -> dict[str, Any]:
    return {"name": "Task", f"linuxvhd.azure.{module}": options, "register": "result"}


#: Replaced by what only a run of its own has: a fixed VHD, a bootable raw disk, the URL of a page blob.
IMAGE, DISK, PLACE = "{image}", "{disk}", "{place}"
MIB = 1024 * 1024

PUBLISH = {"azure_publish_url": URL, "azure_publish_control": "none", "azure_publish_target": "none"}

RUNS = {
    "first_boot, image missing": Run("first_boot.password", task("first_boot", path="/nowhere", password=SECRET), {}),
    "first_boot, wrong type": Run(
        "first_boot.password", task("first_boot", path="/nowhere", password=SECRET, cpus="many"), {}
    ),
    "first_boot, unknown option": Run(
        "first_boot.password", task("first_boot", path="/nowhere", password=SECRET, passwrd="x"), {}
    ),
    "prove, image missing": Run(
        "prove.azure_prove_password", "prove", {"azure_prove_image": "/nowhere", "azure_prove_password": SECRET}
    ),
    "prove, wrong type": Run(
        "prove.azure_prove_password", "prove", {"azure_prove_cpus": "many", "azure_prove_password": SECRET}
    ),
    "prove, no image": Run("prove.azure_prove_password", "prove", {"azure_prove_password": SECRET}),
    "vhd_upload, file missing": Run("vhd_upload.url", task("vhd_upload", path="/nowhere", url=URL), {}),
    "vhd_upload, wrong type": Run("vhd_upload.url", task("vhd_upload", path="/nowhere", url=URL, parallel="many"), {}),
    "vhd_upload, both places": Run(
        "vhd_upload.url",
        task("vhd_upload", path="/nowhere", url=URL, account_url="https://a.blob.core.windows.net"),
        {},
    ),
    "publish, file missing": Run("publish.azure_publish_url", "publish", {**PUBLISH, "azure_publish_vhd": "/nowhere"}),
    "publish, wrong type": Run(
        "publish.azure_publish_url", "publish", {**PUBLISH, "azure_publish_vhd": "/x", "azure_publish_parallel": "many"}
    ),
    "publish, check": Run(
        "publish.azure_publish_url", "publish", {**PUBLISH, "azure_publish_vhd": "/nowhere"}, True, ("--check",)
    ),
    "first_boot, check works": Run(
        "first_boot.password", task("first_boot", path=DISK, password=SECRET, accel="tcg"), {}, False, ("--check",)
    ),
    "prove, check works": Run(
        "prove.azure_prove_password",
        "prove",
        {"azure_prove_image": DISK, "azure_prove_password": SECRET, "azure_prove_accel": "tcg"},
        False,
        ("--check",),
    ),
    "vhd_upload works": Run("vhd_upload.url", task("vhd_upload", path=IMAGE, url=PLACE), {}, False),
    "vhd_upload, check works": Run(
        "vhd_upload.url", task("vhd_upload", path=IMAGE, url=PLACE), {}, False, ("--check",)
    ),
    "publish works": Run(
        "publish.azure_publish_url",
        "publish",
        {**PUBLISH, "azure_publish_url": PLACE, "azure_publish_vhd": IMAGE},
        False,
    ),
}


def role_options() -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for spec in yaml.safe_load(path.read_text())["argument_specs"].values():
            found.update({f"{path.parts[-3]}.{name}": option for name, option in spec["options"].items()})
    return found


def module_options() -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(ROOT.glob("plugins/modules/*.py")):
        module = importlib.import_module(f"ansible_collections.linuxvhd.azure.plugins.modules.{path.stem}")
        if hasattr(module, "argument_spec"):
            found.update({f"{path.stem}.{name}": option for name, option in module.argument_spec().items()})
    return found


def test_every_secret_option_is_marked_and_tried() -> None:
    options = {**role_options(), **module_options()}
    unmarked = [name for name, option in options.items() if NAMES.search(name) and "no_log" not in option]
    assert not unmarked, f"say no_log: {unmarked}"
    secret = {name for name, option in options.items() if option.get("no_log")}
    for fails in (True, False):
        assert secret == {run.secret for run in RUNS.values() if run.fails == fails}, fails


class Machine:
    """What the runs that work need, in a folder that is searched afterwards, and who looks at all command lines."""

    def __init__(self, folder: Path, server: PageBlobServer) -> None:
        self.server = server
        self.inputs, self.outputs = folder / "inputs", folder / "outputs"
        for path in (self.inputs / "bin", self.outputs / "home", self.outputs / "tmp"):
            path.mkdir(parents=True)
        image, disk = self.inputs / "image.vhd", self.inputs / "disk.raw"
        with image.open("wb") as stream:
            stream.write(os.urandom(MIB))
            stream.truncate(20 * MIB)
            stream.seek(20 * MIB)
            stream.write(footer.render(footer.make(20 * MIB, uuid.UUID(int=7).bytes, 800_000_000)))
        with disk.open("wb") as stream:
            stream.write(b"\xfa".ljust(510, b"\x90") + b"\x55\xaa")
            stream.truncate(2 * MIB)
        qemu = self.inputs / "bin/qemu-system-x86_64"
        qemu.write_text("#!/bin/sh\necho QEMU emulator version 8.2.0\n")
        qemu.chmod(0o755)
        self.places = {IMAGE: str(image), DISK: str(disk), PLACE: server.url("secret.vhd")}
        self.signature = leaks.signature(self.places[PLACE])
        self.lines: set[bytes] = set()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def fill(self, value: Any) -> Any:
        """A run's options, with what IMAGE, DISK and PLACE stand for."""
        if isinstance(value, dict):
            return {name: self.fill(inner) for name, inner in value.items()}
        return self.places.get(value, value) if isinstance(value, str) else value

    def _look(self) -> None:
        while not self._done.wait(0.2):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.lines.add(path.read_bytes())

    def __enter__(self) -> Machine:
        self._watch.start()
        return self

    def __exit__(self, *_details: object) -> None:
        self._done.set()
        self._watch.join()

    def environment(self) -> dict[str, str]:
        """What sends all that a run writes below outputs."""
        return {
            "PATH": f"{self.inputs}/bin{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.outputs / "home"),
            "TMPDIR": str(self.outputs / "tmp"),
            "ANSIBLE_LOG_PATH": str(self.outputs / "log"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit,ansible.builtin.tree",
            "JUNIT_OUTPUT_DIR": str(self.outputs / "junit"),
            "ANSIBLE_CALLBACK_TREE_DIR": str(self.outputs / "tree"),
        }


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with PageBlobServer().running() as server, Machine(tmp_path, server) as found:
        yield found


@pytest.mark.parametrize("name", RUNS)
def test_a_secret_is_in_no_output(name: str, machine: Machine) -> None:
    run = RUNS[name]
    variables = machine.fill(run.variables)
    if isinstance(run.play, str):
        playbook = ROOT / f"playbooks/{run.play}-azure.yml"
    else:
        playbook = machine.inputs / "play.yml"
        # As from a vault: what stands in a playbook itself, Ansible shows as it pleases.
        (module,) = (key for key in run.play if key.startswith("linuxvhd."))
        variables["given"] = machine.fill(run.play[module])
        first = {**run.play, module: {key: "{{ given.%s }}" % key for key in run.play[module]}}
        tasks = [{**first, "ignore_errors": run.fails}, {"name": "Show", "ansible.builtin.debug": {"var": "result"}}]
        tasks += [{"name": "End", "ansible.builtin.fail": {}}] if run.fails else []
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    values = machine.inputs / "values.yml"
    values.write_text(yaml.safe_dump(variables))
    result = ansible(
        "ansible-playbook", "-vvvv", "--diff", *run.arguments, "-e", f"@{values}", str(playbook),
        cwd=ROOT, **machine.environment(),
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert (result.returncode != 0) == run.fails, result.stdout
    assert "FAILED" in result.stdout or not run.fails, result.stdout
    assert "Traceback" not in output
    written = {path.name.split(".")[-1] for path in machine.outputs.rglob("*") if path.is_file()}
    assert {"log", "localhost", "xml"} <= written, "the log and both callbacks' reports were looked at"
    assert len(machine.lines) > 5
    for secret in (SECRET, machine.signature):
        assert leaks.in_bytes(secret, output) == []
        assert leaks.in_folder(secret, machine.outputs) == []
        assert leaks.in_bytes(secret, b"\n".join(machine.lines)) == []
    if name in ("vhd_upload works", "publish works"):
        assert machine.server.blob("secret.vhd").content() == Path(machine.places[IMAGE]).read_bytes()
