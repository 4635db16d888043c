"""The audit's report on a controller whose disk is full or read-only, and a controller killed while it writes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.linuxvhd.azure.plugins.action import azure_audit_report

FINDING = {"id": "NET-01", "title": "t", "level": "required", "phase": "prepared", "status": "pass", "evidence": "e"}
RESULT = {"findings": [FINDING], "ready": True, "summary": {"pass": 1}, "blocking": [], "system": {"name": "Debian 12"}}

#: What writing a report asks of the system, in this order.
STEPS = ("makedirs", "mkstemp", "write", "chmod", "rename")


def action(folder: Path) -> azure_audit_report.ActionModule:
    """The plugin, ready to run for one host without Ansible around it."""
    one: Any = object.__new__(azure_audit_report.ActionModule)
    args = {"result": "audit", "hosts": ["web"], "path": str(folder), "show": False}
    one._task = SimpleNamespace(args=args, check_mode=False, async_val=0, diff=False, environment=[], action="report")
    one._play_context = SimpleNamespace(check_mode=False)
    one._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None), has_pipelining=False)
    one._supports_check_mode, one._supports_async = True, True
    one._task.get_first_parent_include = lambda: None
    return one


def write(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = action(folder).run(task_vars={"hostvars": {"web": {"audit": RESULT}}})
    return result


def fail_at(monkeypatch: pytest.MonkeyPatch, step: str, error: Any) -> None:
    """Let one of STEPS call error() instead of what it does."""

    def refuse(*_arguments: Any, **_options: Any) -> Any:
        return error()

    if step == "mkstemp":
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
    elif step == "write":
        real = os.fdopen

        def stream(*arguments: Any, **options: Any) -> Any:
            opened = real(*arguments, **options)
            closing = SimpleNamespace(__enter__=None, write=refuse)

            class Stream:
                def __enter__(self) -> Any:
                    return closing

                def __exit__(self, *_details: Any) -> None:
                    opened.close()

            return Stream()

        monkeypatch.setattr(os, "fdopen", stream)
    else:
        monkeypatch.setattr(os, step, refuse)


def test_reports_are_written(tmp_path: Path) -> None:
    result = write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"azure-audit.{s}" for s in ("html", "json", "xml")
    ]
    assert len(result["files"]) == 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("step", STEPS)
def test_a_report_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "azure-audit.json").write_text("old")

    def error() -> None:
        raise OSError(code, os.strerror(code))

    fail_at(monkeypatch, step, error)
    with pytest.raises(AnsibleError, match=f"Cannot write the report .*azure-audit.json: .*{os.strerror(code)}"):
        write(folder)
    # The old report is whole, and no half of a new one lies beside it.
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"azure-audit.json": "old"}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_writer_leaves_the_old_report_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for suffix in ("json", "xml", "html"):
        (folder / f"azure-audit.{suffix}").write_text("old")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            fail_at(monkeypatch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
            write(folder)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert {(folder / f"azure-audit.{suffix}").read_text() for suffix in ("json", "xml", "html")} == {"old"}
    write(folder)
    assert (folder / "azure-audit.json").read_text().startswith("{\n")
