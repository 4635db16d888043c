"""Every block of code in the documents, and every command in its text, is checked as far as it can be without the
machines it talks about; what needs none of them, no root and no network, is run.

Checked means: shell and playbook syntax, options against the program's own --help or parser, and that playbooks,
variables and their values, tags, sessions, targets and files exist. Run are ansible-doc, `nox --list`, `make -n`, and
the blocks below <!-- run: WITH WHAT IN THE PLACE OF WHAT -->. A block that cannot be checked says why, in the line
before it: <!-- not run: REASON -->. Names are checked even there.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import tempfile
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from conftest import BIN, ROOT, ansible
from packaging.requirements import Requirement
from zoneinfo import ZoneInfo

from guests import cli

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/site/*.md"), *ROOT.glob("*/README.md")]
)
DOCUMENTS += [ROOT / "tests/guests/README.md", *sorted(ROOT.glob("roles/*/README.md"))]
FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```", re.M | re.S)
REASON = re.compile(r"<!-- not run: ([^>]+) -->\s*$")
RUN = re.compile(r"<!-- run: ([^>]+) -->\s*$")

#: Programs whose commands are looked at in running text, where they stand between backquotes with an argument at least.
TOLD = (
    *("ansible", "ansible-builder", "ansible-doc", "ansible-galaxy", "ansible-playbook", "ansible-runner"),
    *("antsibull-changelog", "git", "guest", "make", "molecule", "nox", "pre-commit", "pytest", "python", "python3"),
)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
ASSIGNMENT = re.compile(r"[A-Z_]+=")

#: Programs whose own parser cannot be asked here; what they are told is shell syntax and existing paths at most.
PLAIN = {"git", "cd", "export", "make"}

#: What the playbooks themselves read, besides the options of the roles.
PLAYBOOK_VARIABLES = {"azure_hosts", "azure_prove_host", "azure_progress_seconds"}


class Block(NamedTuple):
    """A fenced block: where it is, its language, its text without indentation, why it cannot be checked ("" if it can),
    and whether it is run as it stands."""

    where: str
    language: str
    text: str
    reason: str
    run: bool


def blocks_of(name: str, text: str) -> list[Block]:
    """The fenced blocks of a document."""
    found = []
    for match in FENCE.finditer(text):
        reason = REASON.search(text[: match.start()])
        body = re.sub(rf"^{match[1]}", "", match[3], flags=re.M)
        line = text.count("\n", 0, match.start()) + 1
        run = bool(RUN.search(text[: match.start()]))
        found.append(Block(f"{name}:{line}", match[2] or "sh", body, reason[1] if reason else "", run))
    return found


def told_commands(name: str, text: str) -> list[tuple[str, str]]:
    """The commands in a document's running text: where each stands, and the command."""
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    found = []
    for match in SPAN.finditer(text):
        command = " ".join(match[1].split())
        words = [word for word in command.split(" ") if not ASSIGNMENT.match(word)]
        if len(words) > 1 and Path(words[0]).name in TOLD:
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{name}:{line}", command))
    return found


BLOCKS = [
    block
    for path in DOCUMENTS
    for block in blocks_of(str(path.relative_to(ROOT)), path.read_text())
    if block.language != "{toctree}"
]

TOLD_COMMANDS = [item for path in DOCUMENTS for item in told_commands(str(path.relative_to(ROOT)), path.read_text())]


#: Playbooks that a document has its reader write, by file name: As `NAME.yml`, and the block.
OWN_PLAYBOOKS = {
    match[1]: block.text
    for path in DOCUMENTS
    for match in re.finditer(r"\b[Aa]s `([\w-]+\.yml)`:\n\n(?: *```yaml\n.*?^ *```)", path.read_text(), re.M | re.S)
    for block in blocks_of(path.name, match[0].partition("\n\n")[2])
}


def commands(text: str) -> list[list[str]]:
    """The commands of a shell text as words; comments dropped, continued lines joined, pipes and && split."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        lexer.commenters = "#" if not re.search(r"\S#", line) else ""
        words: list[str] = []
        for word in lexer:
            if word and set(word) <= set("|&;"):
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]


# -- what there is ---------------------------------------------------------------------------------------------


@lru_cache
def role_options() -> dict[str, dict[str, Any]]:
    """Every role's options, by role and name."""
    roles = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text())["argument_specs"]
        roles[path.parts[-3]] = {name: option for spec in specs.values() for name, option in spec["options"].items()}
    return roles


@lru_cache
def known_options() -> dict[str, dict[str, Any]]:
    """All options of all roles, by name."""
    return {name: option for options in role_options().values() for name, option in options.items()}


def known_names() -> set[str]:
    """Every name that begins with azure_ and means something here."""
    names = set(known_options()) | PLAYBOOK_VARIABLES
    names |= {
        path.stem for folder in ("plugins/modules", "playbooks", "benchmarks") for path in (ROOT / folder).glob("*")
    }
    names |= {path.name for path in (ROOT / "roles").glob("*/")}
    return names | {"azure_prove_result", "azure_deprovision_result"}


def complaint(name: str, value: Any) -> str:
    """What is wrong with a variable that a document sets; "" when nothing is."""
    if name in PLAYBOOK_VARIABLES:
        return ""
    option = known_options().get(name)
    if option is None:
        return f"no role has an option {name}"
    if isinstance(value, str) and "{{" in value:
        return ""
    choices = [str(choice) for choice in option.get("choices", [])]
    values = value if isinstance(value, list) else [value]
    if choices and any(str(item) not in choices for item in values):
        return f"{name}: {value!r} is none of {choices}"
    kind = option.get("type", "str")
    if kind == "int" and not str(value).isdigit():
        return f"{name}: {value!r} is no number"
    if kind == "bool" and str(value).lower() not in ("true", "false", "yes", "no"):
        return f"{name}: {value!r} is no truth value"
    if kind in ("list", "dict") and not isinstance(value, {"list": list, "dict": dict}[kind]):
        return f"{name}: {value!r} is no {kind}"
    return ""


def extra_variables(words: list[str]) -> dict[str, Any]:
    """What -e and --extra-vars set."""
    found: dict[str, Any] = {}
    for option, value in zip(words, words[1:]):
        if option not in ("-e", "--extra-vars"):
            continue
        if value.startswith("{"):
            found.update(json.loads(value))
        elif not value.startswith("@"):
            found.update(pair.split("=", 1) for pair in shlex.split(value))
    return found


# -- checks of commands ----------------------------------------------------------------------------------------


def check_playbook(words: list[str]) -> None:
    problems = [text for text in (complaint(*item) for item in extra_variables(words).items()) if text]
    assert not problems, problems
    words = [word if word != "inventory.yml" else "localhost,kvm1,web1" for word in words]
    with tempfile.TemporaryDirectory() as folder:
        for name in set(words) & set(OWN_PLAYBOOKS):
            own = Path(folder) / name
            own.write_text(OWN_PLAYBOOKS[name])
            words[words.index(name)] = str(own)
        result = ansible(words[0], *words[1:], "--syntax-check", cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Could not match supplied host" not in result.stderr, result.stderr
    tags = {
        tag
        for option, value in zip(words, words[1:])
        if option in ("--tags", "--skip-tags")
        for tag in value.split(",")
    }
    if tags:
        roles = "".join(path.read_text() for path in (ROOT / "roles").glob("*/tasks/*.yml"))
        assert all(tag in roles for tag in tags), tags


@lru_cache
def told_by(*program: str) -> str:
    """What a program tells on its standard output."""
    result = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check_help(words: list[str], program: list[str]) -> None:
    """Options are those that the program's --help names."""
    text = told_by(*program, "--help")
    for word in words:
        if word.startswith("-"):
            option = word.split("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{program} has no {option}"


def check_module(words: list[str]) -> None:
    """python -m: pip's requirements and files, the options of any other module; modules below tests exist."""
    module = words[0]
    if module == "pip":
        check_help(words[2:], [str(BIN / "python"), "-m", "pip", words[1]])
        for wanted in [Requirement(word) for word in words[2:] if "/" not in word and not word.startswith("-")]:
            if wanted.name == "ansible-core":
                lowest = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"].removeprefix(">=")
                assert wanted.specifier.contains(lowest), f"{wanted}: {lowest} is supported"
                assert not wanted.specifier.contains("2.20.0"), f"{wanted}: 2.20 is not supported yet"
    elif (ROOT / "tests" / (module.replace(".", "/") + ".py")).exists():
        return
    else:
        check_help(words[1:], [str(BIN / "python"), "-m", module])


def check_command(words: list[str]) -> None:
    """Check one command as far as it can be; AssertionError when something is wrong with it."""
    words = words[next(index for index, word in enumerate(words) if not ASSIGNMENT.match(word)) :]
    name = Path(words[0]).name
    if words[0].startswith(".venv/"):
        # The test environment has the programs that are pinned; the tests may run in one that has another place.
        pinned = (ROOT / "requirements-test.txt").read_text()
        assert (BIN / name).exists() or f"\n{name}==" in pinned, f"the test environment has no {name}"
    if name == "ansible-playbook":
        check_playbook(words)
    elif name == "ansible-doc":
        result = ansible(*words, cwd=ROOT)
        assert result.returncode == 0 and "was not found" not in result.stderr, result.stderr
    elif name == "ansible":
        check_help(words[1:], [str(BIN / "ansible")])
    elif name in ("ansible-galaxy", "ansible-builder", "ansible-runner", "antsibull-changelog", "molecule"):
        depth = 3 if name == "ansible-galaxy" else 2
        check_help(words[depth:], [str(BIN / name), *words[1:depth]])
    elif name == "nox":
        listed = told_by(str(BIN / "nox"), "--list")
        assert "-s" in words or words[1:] == ["--list"], words
        for session in words[words.index("-s") + 1 :] if "-s" in words else []:
            if session == "--":
                break
            assert re.search(rf"^[*-] {re.escape(session)}(\(| |$)", listed, re.M), session
    elif name == "guest":
        try:
            cli.parser().parse_args(words[1:])
        except SystemExit:
            raise AssertionError(f"guest does not take {words[1:]}") from None
    elif name == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if word.startswith("tests")), words
        assert any(word.startswith("tests") for word in words[1:]), words
        check_help([word for word in words[1:] if re.match("--?[a-z]", word)], [str(BIN / "pytest")])
    elif name == "pre-commit":
        assert words[1:] in (["install"], ["run", "--all-files"]), words
    elif name in ("python", "python3") and words[1] == "-m":
        check_module(words[2:])
    elif name in ("python", "python3") and words[1].endswith(".py"):
        check_help(words[2:], [str(BIN / "python"), words[1]])
    elif name == "make":
        for target in words[1:]:
            subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)
    else:
        assert name in PLAIN, f"nothing checks {name}; mark the block as not run, with the reason"


@lru_cache
def module_options(module: str) -> dict[str, Any]:
    """The argument spec of one of our modules."""
    path = f"ansible_collections.linuxvhd.azure.plugins.modules.{module}"
    spec: dict[str, Any] = importlib.import_module(path).argument_spec()
    return spec


def check_tasks(value: Any) -> None:
    """Options of our modules and variables of our roles, wherever they stand in a document's YAML."""
    if isinstance(value, list):
        for item in value:
            check_tasks(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            module = key.removeprefix("linuxvhd.azure.") if isinstance(key, str) else ""
            if module != key and isinstance(inner, dict):
                unknown = set(inner) - set(module_options(module)) - set(vars_of_files(module))
                assert not unknown, f"{key} has no option {sorted(unknown)}"
            if isinstance(key, str) and key.startswith("azure_"):
                assert not complaint(key, inner), complaint(key, inner)
            check_tasks(inner)


def schedule_complaint(rule: str) -> str:
    """What AWX would not take of a recurrence rule; "" when nothing. Its own checks, as far as they are known."""
    match = re.fullmatch(r"DTSTART(?:;TZID=([A-Za-z_/]+):(\d{8}T\d{6})|:(\d{8}T\d{6})Z) RRULE:(\S+)", rule)
    if not match:
        return f"{rule}: a start with a time zone, a space, and one rule"
    start = datetime.strptime(match[2] or match[3], "%Y%m%dT%H%M%S")
    if match[1]:
        ZoneInfo(match[1])
    parts = dict(part.split("=", 1) for part in match[4].split(";"))
    if "INTERVAL" not in parts or parts.get("FREQ") not in (
        "MINUTELY",
        "HOURLY",
        "DAILY",
        "WEEKLY",
        "MONTHLY",
        "YEARLY",
    ):
        return f"{rule}: FREQ and INTERVAL"
    days = parts.get("BYDAY", "").split(",")
    if parts["FREQ"] == "WEEKLY" and ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[start.weekday()] not in days:
        return f"{rule}: it starts on another day than it recurs"
    return ""


def vars_of_files(module: str) -> tuple[str, ...]:
    """Options that add_file_common_args adds."""
    return ("mode", "owner", "group") if module == "vhd_align" else ()


# -- the tests -------------------------------------------------------------------------------------------------


def test_there_are_blocks_and_few_are_not_run() -> None:
    assert len(BLOCKS) > 25
    assert all(len(block.reason) > 20 for block in BLOCKS if block.reason), "a reason is a sentence"
    assert len([block for block in BLOCKS if block.reason]) < len(BLOCKS) / 2


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.reason], ids=lambda block: block.where)
def test_a_block_is_right(block: Block, tmp_path: Path) -> None:
    if block.language == "sh":
        subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)
        for words in commands(block.text):
            check_command(words)
    elif block.language == "yaml":
        value = yaml.safe_load(block.text)
        check_tasks(value)
        if isinstance(value, list):
            plays = (
                value if any("hosts" in item or any("import_playbook" in key for key in item) for item in value) else []
            )
            path = tmp_path / "play.yml"
            path.write_text(yaml.safe_dump(plays or [{"hosts": "all", "gather_facts": False, "tasks": value}]))
            result = ansible("ansible-playbook", "--syntax-check", "-i", "localhost,", str(path), cwd=ROOT)
            assert result.returncode == 0, result.stderr
    elif block.language == "json":
        value = json.loads(block.text)
        assert set(value) & {"spec", "rrule"}, "a survey or a schedule; nothing checks another object"
        for item in value.get("extra_data", {}).items():
            assert not complaint(*item), complaint(*item)
        if "rrule" in value:
            assert not schedule_complaint(value["rrule"]), schedule_complaint(value["rrule"])
        for question in value.get("spec", []):
            option = known_options()[question["variable"]]
            assert not complaint(question["variable"], question["default"])
            assert set(question.get("choices", [])) <= set(option.get("choices", [])), question
    else:
        raise AssertionError(f"nothing checks {block.language}; mark the block as not run, with the reason")


def test_there_are_commands_in_the_text() -> None:
    assert len(TOLD_COMMANDS) > 40
    text = "Run `make\nlint`, not `make`:\n```sh\nmake unit\n```\nor `A=b .venv/bin/nox -s docs`, see `docs/audit.md x`"
    assert told_commands("x", text) == [("x:1", "make lint"), ("x:6", "A=b .venv/bin/nox -s docs")]


@pytest.mark.parametrize("command", sorted({command for _where, command in TOLD_COMMANDS}))
def test_a_command_in_the_text_is_right(command: str) -> None:
    where = [place for place, text in TOLD_COMMANDS if text == command]
    subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    for words in commands(command):
        try:
            check_command(words)
        except AssertionError as error:
            raise AssertionError(f"{', '.join(where)}: {error}") from None


@pytest.mark.parametrize(
    "block",
    list({block.text: block for block in BLOCKS if block.run}.values()),
    ids=lambda block: block.where,
)
def test_a_block_runs(block: Block, tmp_path: Path) -> None:
    """In an empty directory and an empty home, with this clone and a small tree in the places that the block names."""
    tree = tmp_path / "image"
    files = {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "etc/ssh/sshd_config": "Port 22\n", "usr/sbin/sshd": ""}
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
        (tree / name).chmod(0o755)
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    text = block.text.replace("https://github.com/linuxvhd/azure", f"file://{ROOT}").replace("/mnt/image", str(tree))
    # From a repository on this machine git wants no suffix.
    text = text.replace(f"{ROOT}.git", str(ROOT)).replace(f"{ROOT} && cd azure", f"{ROOT} azure && cd azure")
    # A version manager's shims offer interpreters that they then refuse to start, and Ansible would take them for some.
    folders = os.environ["PATH"].split(os.pathsep)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([str(BIN), *(part for part in folders if Path(part).name != "shims")]),
        "NO_COLOR": "1",
    }
    if "ansible-galaxy" not in text:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / ".ansible/collections")

    def shell(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-e"], input=script, cwd=tmp_path / "work", env=environment, text=True, timeout=300, check=False,
            capture_output=True,
        )  # fmt: skip

    done = shell(text)
    assert done.returncode == 0, done.stdout + done.stderr
    if "ansible-galaxy" in text:
        version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
        assert (tmp_path / "home/.ansible/collections/ansible_collections/linuxvhd/azure/MANIFEST.json").is_file(), done
        assert version in shell("ansible-galaxy collection list linuxvhd.azure").stdout
        assert shell("ansible-playbook -i myvm, --syntax-check linuxvhd.azure.audit_azure").returncode == 0
    else:
        report = json.loads((tmp_path / "work/azure-audit/azure-audit.json").read_text())
        (host,) = report["hosts"]
        assert {finding["id"]: finding for finding in host["findings"]}["SSH-02"]["status"] == "fail", host


def anchors(text: str) -> set[str]:
    """How GitHub and the documentation site name a page's headings in addresses."""
    headings = re.findall(r"^#{1,3} +(.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_troubleshooting_has_every_symptom() -> None:
    """Twenty things that users of other tools report again and again: each has its heading, and an answer."""
    text = (ROOT / "docs/guide_troubleshooting.md").read_text()
    found = re.findall(r"^<!-- symptom (\d+) -->\n### .+\n\n(.+)", text, re.M)
    assert sorted(int(number) for number, _answer in found) == list(range(1, 21))
    assert all(len(answer) > 30 for _number, answer in found)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_links_exist(path: Path) -> None:
    text = path.read_text()
    told = re.sub(r"https?://\S+", "", text)
    unknown = set(re.findall(r"(?<![\w/-])azure_[a-z0-9_]*[a-z0-9](?![\w*]|\.py)", told)) - known_names()
    # Of azure.azcollection and of LISA.
    unknown -= {name for name in unknown if name.startswith("azure_rm_") or name == "azure_image_standard"}
    assert not unknown, sorted(unknown)
    if "site" not in path.parts:
        for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
            if "://" not in target:
                page = path.parent / target if target else path
                assert page.exists(), f"{path.name} links to {target}"
                if heading and page.name != "rules.md":
                    assert heading in anchors(page.read_text()), f"{path.name} links to {target}#{heading}"
    rules = (ROOT / "docs/rules.md").read_text()
    for rule in set(re.findall(r"\b(?:[A-Z]{3,})-\d\d\b", text)):
        area = rule.split("-")[0]
        if f"**{area}-" in rules:
            assert f"**{rule}**" in rules, f"{path.name} names {rule}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ansible-playbook playbooks/prove-azure.yml -e azure_prove_imag=x\n", "no role has an option"),
        ("ansible-playbook -i a, playbooks/audit-azure.yml -e azure_profile=all\n", "is none of"),
        ("ansible-playbook playbooks/prove-azure.yml -e azure_prove_timeout=soon\n", "is no number"),
        ("ansible-playbook -i a, playbooks/audit-azur.yml\n", "could not be found"),
        ("ansible-playbook -i a, --chek playbooks/audit-azure.yml\n", "unrecognized arguments"),
        (".venv/bin/nox -s gests\n", "gests"),
        ("tests/guests/guest begin x\n", "guest does not take"),
        ("curl -O x\n", "nothing checks curl"),
        ("python3 -m pip install 'ansible-core>=2.17'\n", "is supported"),
        ("python3 -m pip install 'ansible-core>=2.16'\n", "is not supported yet"),
        ("python3 -m pip install --upgrad x\n", "has no --upgrad"),
        ("pytest tests/prof\n", "tests/prof"),
        ("nox --lis\n", "--lis"),
    ],
)
def test_a_wrong_command_is_found(text: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        for words in commands(text):
            check_command(words)


def test_a_wrong_schedule_is_found() -> None:
    assert not schedule_complaint("DTSTART:20260105T030000Z RRULE:FREQ=DAILY;INTERVAL=1")
    assert "time zone" in schedule_complaint("DTSTART:20260105T030000 RRULE:FREQ=DAILY;INTERVAL=1")
    assert "INTERVAL" in schedule_complaint("DTSTART:20260105T030000Z RRULE:FREQ=DAILY")
    assert "another day" in schedule_complaint("DTSTART:20260106T030000Z RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO")


def test_a_wrong_option_of_a_module_is_found() -> None:
    with pytest.raises(AssertionError, match="has no option"):
        check_tasks([{"name": "x", "linuxvhd.azure.vhd_align": {"pth": "/x"}}])
