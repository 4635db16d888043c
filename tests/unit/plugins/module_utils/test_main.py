"""The end that all guest-side modules share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.main import finish


class Ended(Exception):
    """The module ended; the first argument is what it returned."""


class Module:
    """What finish() uses of an AnsibleModule."""

    def __init__(self, root: Path, check_mode: bool = False) -> None:
        self.params = {"root": str(root)}
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    def exit_json(self, **result: Any) -> NoReturn:
        raise Ended(result)

    def fail_json(self, **result: Any) -> NoReturn:
        raise Ended({"failed": True, **result})


def end(module: Module, run: Any) -> dict[str, Any]:
    with pytest.raises(Ended) as ended:
        finish(module, run)
    result: dict[str, Any] = ended.value.args[0]
    return result


def test_the_result_comes_back_and_warnings_become_warnings(tmp_path: Path) -> None:
    def run(params: dict[str, Any], host: Host, check_mode: bool) -> dict[str, Any]:
        assert params == {"root": str(tmp_path)} and host.root == str(tmp_path) and check_mode
        return {"changed": True, "warnings": ["Look here."]}

    module = Module(tmp_path, check_mode=True)
    assert end(module, run) == {"changed": True}
    assert module.warnings == ["Look here."]


def test_a_failure_is_its_sentence_and_its_details(tmp_path: Path) -> None:
    def run(params: dict[str, Any], host: Host, check_mode: bool) -> dict[str, Any]:
        raise AzurePrepError("The disk is full.", path="/etc/fstab")

    assert end(Module(tmp_path), run) == {"failed": True, "msg": "The disk is full.", "path": "/etc/fstab"}


def test_a_root_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    result = end(Module(tmp_path / "missing"), lambda *_: {})
    assert result["failed"] and "does not exist" in result["msg"]


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        finish(Module(tmp_path), lambda *_: {"changed": 1 / 0})
