"""The collection as users get it: built, installed in another place, run by its full names from another directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, ansible

#: What of the clone stays out of the tarball, and why. A name that ends in a slash is a directory.
LEFT_OUT = {
    ".ansible/": "lets a clone find itself as a collection",
    ".ansible-lint": "checks the clone",
    ".ci/": "checks the clone",
    ".config/": "configures the tests' molecule",
    ".github/": "GitHub's forms",
    ".gitignore": "git's",
    ".pre-commit-config.yaml": "checks the clone",
    ".yamllint": "checks the clone",
    "Makefile": "makes the tests of the clone",
    "ansible.cfg": "Ansible's settings in the clone",
    "benchmarks/": "measures the clone",
    "docs/make_rules.py": "writes a page of the documentation, which is there",
    "docs/make_supported.py": "writes a page of the documentation, which is there",
    "docs/supported.yml": "what that page is written from",
    "docs/site/": "makes a site of the documentation",
    "execution-environment.yml": "builds an image, with a collection that comes on its own",
    "galaxy.yml": "is in MANIFEST.json",
    "molecule/": "tests",
    "noxfile.py": "runs the tests",
    "playbooks/collections/": "lets a clone's playbooks find their collection",
    "pyproject.toml": "configures the tests",
    "renovate.json": "keeps the tests' requirements fresh",
    "requirements-test.txt": "what the tests require",
    "tests/": "tests",
}

#: What ansible-galaxy puts in.
ADDED = {"FILES.json", "MANIFEST.json"}


class Run(NamedTuple):
    """What to tell a playbook, and what it answers: a sentence of the collection's own."""

    variables: dict[str, str]
    answer: str


#: Each verb, with nothing said but what makes it answer without touching anything.
RUNS = {
    # Whoever is not root is told so first.
    "prepare_azure": Run({}, "localhost is the machine that runs Ansible|localhost needs root"),
    "capture_azure": Run({}, "say -e azure_confirm_capture=localhost"),
    "prove_azure": Run({}, "Name the image to prove: -e azure_prove_image="),
    "publish_azure": Run({}, "Set azure_publish_vhd to the path of the fixed VHD"),
    "audit_azure": Run(
        {"azure_audit_root": "{tree}", "azure_audit_report_dir": "{folder}/reports"}, "Azure audit, profile recommended"
    ),
}

#: Imports every module and everything below module_utils of an installed collection, as Ansible would name it.
IMPORT = """
import importlib, pathlib, sys
base = pathlib.Path(sys.argv[1])
sys.path.insert(0, sys.argv[1])
for path in sorted(base.glob("ansible_collections/linuxvhd/azure/plugins/**/*.py")):
    name = ".".join(path.relative_to(base).with_suffix("").parts)
    module = importlib.import_module(name[: -len(".__init__")] if name.endswith(".__init__") else name)
    assert module.__file__ == str(path), module.__file__
    print(name)
"""


def test_tarball_holds_what_belongs(tarball: Path) -> None:
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    tracked = set(filter(None, listing.decode().split("\0")))
    unused = [name for name in LEFT_OUT if not any(path == name or path.startswith(name) for path in tracked)]
    assert unused == [], "nothing of these names is tracked any more"
    folders = tuple(name for name in LEFT_OUT if name.endswith("/"))
    wanted = {name for name in tracked if name not in LEFT_OUT and not name.startswith(folders)}
    with tarfile.open(tarball) as archive:
        names = {member.name for member in archive.getmembers() if not member.isdir()}
    assert sorted(names - wanted - ADDED) == [], "should build_ignore (galaxy.yml) name these?"
    assert sorted((wanted | ADDED) - names) == [], "should build_ignore (galaxy.yml) leave these in?"


def test_links_of_the_documents_lead_into_the_tarball_or_the_web(tarball: Path) -> None:
    """Galaxy and an installed collection have no more than the tarball."""
    dead, seen = set(), 0
    with tarfile.open(tarball) as archive:
        names = set(archive.getnames())
        for name in sorted(names):
            stream = archive.extractfile(name) if name.endswith(".md") else None
            for match in re.finditer(r"\]\(([^)\s#]+)[^)]*\)", stream.read().decode()) if stream else ():
                seen += 1
                place = os.path.normpath(os.path.join(os.path.dirname(name), match[1]))
                if not re.match(r"[a-z]+:", match[1]) and place not in names:
                    dead.add((name, match[1]))
    assert seen > 100
    # What stays out of the tarball is linked by its full address.
    assert dead == set(), sorted(dead)


def test_every_plugin_of_the_tarball_imports_the_rest_from_there(installed: Path, tmp_path: Path) -> None:
    """Also what only another family, or a failure, would import."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(installed)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 100


@pytest.mark.parametrize("playbook", sorted(path.stem for path in (ROOT / "playbooks").glob("*_azure.yml")))
def test_a_playbook_runs_by_its_full_name(installed: Path, tmp_path: Path, playbook: str) -> None:
    run = RUNS[playbook]
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        **{name: value.format(tree=tree, folder=tmp_path) for name, value in run.variables.items()},
    }
    result = ansible(
        "ansible-playbook", "-i", "localhost,", "-e", json.dumps(variables), f"linuxvhd.azure.{playbook}",
        cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed),
    )  # fmt: skip
    output = " ".join((result.stdout + result.stderr).split())
    # Each ends with an error: a refusal, or rules that an all but empty tree breaks.
    assert result.returncode == 2, output
    assert re.search(run.answer, output), output
    assert "Traceback" not in output
    if playbook == "audit_azure":
        assert "Not ready for Azure by profile recommended: localhost" in output
        report = json.loads((tmp_path / "reports/azure-audit.json").read_text())
        assert report["hosts"][0]["system"]["name"] == "Debian 12"
        for suffix in ("html", "xml"):
            assert (tmp_path / f"reports/azure-audit.{suffix}").stat().st_size > 1000


def test_every_module_and_role_is_documented(installed: Path, tmp_path: Path) -> None:
    modules = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
    roles = sorted(path.name for path in (ROOT / "roles").glob("*/"))
    for kind, names in (("module", modules), ("role", roles)):
        if not names:
            continue
        result = ansible(
            "ansible-doc", "-t", kind, "--json", *[f"linuxvhd.azure.{name}" for name in names],
            cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        documented = json.loads(result.stdout)
        assert sorted(documented) == [f"linuxvhd.azure.{name}" for name in names]
