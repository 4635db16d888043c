"""No secret option appears in any output: at -vvvv, with --diff, in the log file, when it works and when it fails.

Which options are secret is read from the argument specs; one that is new must be added to RUNS, or the test fails.
What vhd_upload does with a token while it uploads, processes and crashes included, is tested in tests/upload.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from conftest import ROOT, ansible

SECRET = "Sup3rS3cret-v4lue"
#: A SAS: its signature is what must not be seen.
URL = f"https://account.blob.core.windows.net/images/x.vhd?sv=2021-08-06&sr=b&sp=rcw&sig={SECRET}"

#: Names that mean a secret; an option with such a name that is none says so with no_log: false.
NAMES = re.compile(r"(password|secret|token|passphrase|credential|private_key)$")


class Run(NamedTuple):
    """A playbook or a task with a secret option, and whether it succeeds."""

    secret: str
    play: str | dict[str, Any]
    variables: dict[str, Any]
    fails: bool = True
    arguments: tuple[str, ...] = ()


def task(module: str, **options: Any) -> dict[str, Any]:
    return {"name": "Task", f"linuxvhd.azure.{module}": options, "register": "result"}


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
    assert secret == {run.secret for run in RUNS.values()}


@pytest.mark.parametrize("name", RUNS)
def test_a_secret_is_in_no_output(name: str, tmp_path: Path) -> None:
    run = RUNS[name]
    if isinstance(run.play, str):
        playbook = ROOT / f"playbooks/{run.play}-azure.yml"
    else:
        playbook = tmp_path / "play.yml"
        show = {"name": "Show", "ansible.builtin.debug": {"var": "result"}}
        tasks = [{**run.play, "ignore_errors": True}, show, {"name": "End", "ansible.builtin.fail": {}}]
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    values = tmp_path / "values.yml"
    values.write_text(yaml.safe_dump(run.variables))
    log = tmp_path / "log"
    result = ansible(
        "ansible-playbook", "-vvvv", "--diff", *run.arguments, "-e", f"@{values}", str(playbook),
        cwd=ROOT, ANSIBLE_LOG_PATH=str(log),
    )  # fmt: skip
    assert (result.returncode != 0) == run.fails, result.stdout
    assert "FAILED" in result.stdout or not run.fails, result.stdout
    for where, text in (("output", result.stdout + result.stderr), ("log", log.read_text())):
        assert SECRET not in text, f"{where}: {text[max(text.index(SECRET) - 600, 0) :][:800]}"
        assert "Traceback" not in text
