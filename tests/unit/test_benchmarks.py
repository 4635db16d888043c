"""What the benchmarks' own code decides, without a run: which results are an error, and what a page says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import fleet  # noqa: E402
import prepare  # noqa: E402
import provenance  # noqa: E402

from ansible_collections.linuxvhd.azure.plugins.plugin_utils import report  # noqa: E402

RECAP = "PLAY RECAP ***\nvm : ok=9 changed=0 unreachable=0 failed=0 skipped=0 rescued=0 ignored=0\n"


def output(number: int, unseen: tuple[str, ...] = ("vm005", "vm050"), more: int = 0) -> str:
    """What a run prints, with the report's own table."""
    bad = {"id": "BOOT-01", "title": "t", "level": "required", "status": "fail", "evidence": "e"}
    names = [f"vm{index + 1:03d}" for index in range(number)]
    results = [(name, {"msg": "gone"} if name in unseen else {"findings": [bad]}) for name in names]
    table = "\n".join(line for line, _colour in report.table(report.report(results, "recommended", "")))
    banner = "TASK [linuxvhd.azure.audit : Show and write what was found on all hosts] ***"
    return f"PLAY [x]\nok: [vm001]\n{banner}\n" + "x\n" * more + table + "\nok: [vm001]\n\nPLAY RECAP\nok: [vm002]\n"


@pytest.mark.parametrize("number", [1, 10, 50, 200])
def test_the_summary_of_a_fleet_is_counted_and_bounded(number: int) -> None:
    unseen = [name for name in ("vm005", "vm050") if int(name[2:]) <= number]
    lines = fleet.judge_summary(output(number), number, unseen)
    assert 0 < lines < 30
    with pytest.raises(SystemExit, match="more than 100"):
        fleet.judge_summary(output(number, more=100), number, unseen)


def test_a_summary_that_leaves_a_host_out_is_an_error() -> None:
    with pytest.raises(SystemExit, match="does not say: 50 hosts"):
        fleet.judge_summary(output(50, ("vm050",)), 50, ["vm005", "vm050"])
    with pytest.raises(SystemExit, match=r"vm050.*could not be looked at"):
        fleet.judge_summary(output(50).replace("vm050: ", "vm051: "), 50, ["vm005", "vm050"])
    with pytest.raises(SystemExit, match="9 lines for 10 hosts"):
        fleet.judge_summary(output(10).replace("  vm007 ", "  x "), 10, ["vm005"])
    assert fleet.FEW == report.MANY


@pytest.mark.parametrize(
    ("script", "first", "second", "expected"),
    [
        (100, 150, 37.5, []),
        (100, 151, 30, ["the first run took 1.51 of the script's time; the goal is 1.5"]),
        (100, 100, 26, ["the second run took 0.26 of the first; the goal is 0.25"]),
        (100, 200, 100, ["2.00 of the script's", "0.50 of the first"]),
    ],
)
def test_the_goals_of_preparing(script: float, first: float, second: float, expected: list[str]) -> None:
    found = prepare.missed(script, first, second)
    assert len(found) == len(expected) and all(part in sentence for part, sentence in zip(expected, found))
    runs = [prepare.Run(seconds, prepare.parse_recap(RECAP, "vm"), [], 9) for seconds in (first, second)]
    text = prepare.page("vm", script, runs[0], runs[1], "kvm")
    assert provenance.state() in text and text.count("Missed: ") == len(expected)


def test_a_page_of_figures_says_which_state_it_speaks_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import re

    assert re.fullmatch(r"commit (unknown|\S+), \d{4}-\d\d-\d\d", provenance.state())
    assert provenance.state() in fleet.page([fleet.Size(1, 2.0, 1.0, 0.5, 60.0, 70, 40)], 10)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.state().startswith("commit unknown, ")
