"""The test tiers, one nox session each; `make test` calls them in this order.

Sessions run in the environment that tests/bootstrap.sh made (.venv, pinned in requirements-test.txt), so that
no tier installs anything of its own but ansible-test, which keeps its environments below .cache.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "unit", "sanity", "integration"]

ROOT = Path(__file__).parent
CACHE = ROOT / ".cache"
BIN = Path(sys.executable).parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
COLLECTION = Path("ansible_collections/linuxvhd/azure")
WORKERS = "2"

#: How long `nox -s fuzz` goes on by itself.
FUZZ_SECONDS = 300

#: Directories below tests that hold pytest's code.
PYTEST_TIERS = ("browser", "chroot", "distribution", "guests", "proof", "roles", "runner", "tools", "unit", "upload")

#: Scenarios of `make guest`; others are named: nox -s guest -- debian13_uefi
GUEST_SCENARIOS = ("default",)

#: What ansible-test does not see.
NOT_STAGED = (
    *(".ansible/", "benchmarks/", "molecule/", "noxfile.py"),
    *("tests/leaks.py", "tests/pageblob_server.py", "tests/results.py"),
    *(f"tests/{name}/" for name in PYTEST_TIERS),
)

#: pip versions whose bootstrap script the supported releases of ansible-test ask for.
PIP_BOOTSTRAP_VERSIONS = ("20_3_4", "21_3_1", "23_1_2", "24_2")


sys.path.insert(0, str(ROOT / "tests"))

import results  # noqa: E402


def tool(name: str) -> str:
    """The path of a tool of the test environment."""
    return str(BIN / name)


def path_environment(first: Path = BIN) -> dict[str, str]:
    """The test environment's tools first in PATH, then every Python that starts.

    A version manager's shims stand in PATH for interpreters that they then refuse to start, and ansible-test
    believes what it finds there: so shims are left out, and the interpreters behind them linked into one directory.
    """
    pythons = CACHE / "pythons"
    shutil.rmtree(pythons, ignore_errors=True)
    pythons.mkdir(parents=True)
    for interpreter in sorted((Path.home() / ".pyenv/versions").glob("3.*/bin/python3.*[0-9]")):
        link = pythons / interpreter.name
        if not link.exists():
            link.symlink_to(interpreter)
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder).name != "shims"]
    return {"PATH": os.pathsep.join([str(first), str(pythons), *folders])}


def stage() -> Path:
    """Copy the tracked and new files to where ansible-test wants a collection: a real directory of that name.

    Code that only ever runs beside pytest, on the controller's Python, stays out: ansible-test would hold it to
    the oldest Python of a target. ruff and mypy check it.
    """
    target = CACHE / "stage" / COLLECTION
    shutil.rmtree(target, ignore_errors=True)
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listing.decode().split("\0")):
        source = ROOT / name
        if name.startswith(NOT_STAGED) or not source.is_file():
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, destination, follow_symlinks=False)
    # A repository of its own: ansible-test would otherwise ask the one above, which ignores this directory.
    subprocess.run(["git", "init", "-q", str(target)], check=True)
    return target


@nox.session
def lint(session: nox.Session) -> None:
    """Style and static checks: Python, YAML, Ansible, spelling, changelog, the Python 3.6 promise."""
    session.run(tool("ruff"), "check", "--no-cache", ".")
    session.run(tool("ruff"), "format", "--no-cache", "--check", ".")
    session.run(tool("vermin"), "--quiet", "--eval-annotations", "--no-tips", "-t=3.6-", "plugins")
    session.run(tool("mypy"), "--cache-dir", str(CACHE / "mypy"), "plugins", "tests/guests", "noxfile.py")
    session.run(tool("yamllint"), "--strict", ".")
    session.run(tool("codespell"))
    session.run(tool("antsibull-changelog"), "lint")
    session.run(tool("ansible-lint"), "--offline", "--strict", env=path_environment())


def pytest_tier(session: nox.Session, folder: str, *options: str, env: dict[str, str] | None = None) -> None:
    """Run a folder of tests, or what the caller asked for of it.

    Of a whole run the numbers are written down for docs/make_supported.py, failed or not.
    """
    report = CACHE / "junit" / (folder.replace("/", "-") + ".xml")
    report.unlink(missing_ok=True)
    arguments = [tool("pytest"), "-q", *options, folder, f"--junitxml={report}", *session.posargs]
    try:
        session.run(*arguments, env=env)
    finally:
        if report.exists() and not session.posargs:
            results.record(results.of_junit(folder, report))


@nox.session
def unit(session: nox.Session) -> None:
    """The logic, over real files and generated input, without Ansible."""
    if session.posargs:
        session.run(tool("pytest"), "-q", "-n", WORKERS, *session.posargs)
    else:
        pytest_tier(session, "tests/unit", "-n", WORKERS)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Every test on generated input, with new input each round, for a number of seconds: nox -s fuzz -- 600"""
    seconds = int(session.posargs[0]) if session.posargs else FUZZ_SECONDS
    deadline = time.monotonic() + seconds
    rounds = 0
    while rounds == 0 or time.monotonic() < deadline:
        seed = random.randrange(2**32)
        command = [tool("pytest"), "-q", "-m", "hypothesis", "-n", WORKERS, f"--hypothesis-seed={seed}"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            # The first round always ends: a budget that is too small must not look like a success.
            output, _ = process.communicate(timeout=None if rounds == 0 else max(deadline - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate()
            break
        if process.returncode:
            sys.stdout.write(output)
            session.error(f"round {rounds + 1} failed; again: {' '.join(command)}")
        rounds += 1
    session.log(f"{rounds} rounds, each with new input, in {seconds} s; nothing was found")


def ansible_test(session: nox.Session, command: str, *options: str, program: str = tool("ansible-test")) -> None:
    """Run ansible-test on a staged copy; a run that found nothing to test is a failure, not a success.

    Without options it runs where it stands (--local).
    """
    target = stage()
    home = CACHE / "ansible-test"
    scripts = home / ".ansible/test/cache"
    scripts.mkdir(parents=True, exist_ok=True)
    for version in PIP_BOOTSTRAP_VERSIONS:
        shutil.copy2(ROOT / "tests/tools/get_pip.py", scripts / f"get_pip_{version}.py")
    session.chdir(target)
    arguments = [program, command, *(options or ("--local",)), "--requirements", "--color", "no", *session.posargs]
    environment = path_environment(Path(program).parent)
    process = subprocess.Popen(
        arguments,
        env={**os.environ, **environment, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    skipped = False
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(line)
        skipped = skipped or "All targets skipped" in line
    if process.wait() != 0:
        session.error(f"ansible-test {command} failed")
    if skipped:
        session.error(f"ansible-test {command} found nothing to test")


@nox.session
def sanity(session: nox.Session) -> None:
    """ansible-test's sanity tests, in its own environments."""
    ansible_test(session, "sanity")


@nox.session
def integration(session: nox.Session) -> None:
    """Each module for real, through Ansible, on a temporary root: check, run, again, again in check."""
    passed = 0
    try:
        ansible_test(session, "integration")
        passed = 1
    finally:
        if not session.posargs:
            results.record([results.entry("tests/integration/targets", passed, 1 - passed, 0)])
    session.chdir(ROOT)
    # What the caller adds is for ansible-test.
    if session.posargs:
        session.run(tool("pytest"), "-q", "tests/distribution")
    else:
        pytest_tier(session, "tests/distribution")


#: Pythons of the target, by release of ansible-core: the oldest that it supports here, one between, the newest.
TARGET_PYTHONS = {"2.16": ("3.6",), "2.18": ("3.9", "3.13")}


@nox.session
@nox.parametrize("core", tuple(TARGET_PYTHONS))
def compat(session: nox.Session, core: str) -> None:
    """Sanity and integration on older releases of ansible-core, the target on each of TARGET_PYTHONS that is there."""
    environment = CACHE / f"ansible-core-{core}"
    program = environment / "bin/ansible-test"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin/python"), "-m", "pip", "install", "-q", f"ansible-core=={core}.*"]
        subprocess.run(pip, check=True)
    ansible_test(session, "sanity", program=str(program))
    present = [version for version in TARGET_PYTHONS[core] if (CACHE / f"pythons/python{version}").exists()]
    for version in present or [""]:
        session.chdir(ROOT)
        target = ("--controller", f"origin:python={PYTHON}", "--target", f"controller:python={version}")
        ansible_test(session, "integration", *(target if version else ()), program=str(program))
    absent = [version for version in TARGET_PYTHONS[core] if version not in present]
    session.log(
        f"the target ran Python {', '.join(present) or PYTHON}; not installed here: {', '.join(absent) or 'none'}"
    )


@nox.session
def guest(session: nox.Session) -> None:
    """The playbooks on real guests. Two guests at a time: more would only take turns on two cores."""
    scenarios = session.posargs or list(GUEST_SCENARIOS)
    logs = CACHE / "molecule"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **path_environment(), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections")}

    def run(scenario: str) -> tuple[str, int, float]:
        started = time.monotonic()
        with (logs / f"{scenario}.log").open("w") as log:
            code = subprocess.run(
                [tool("molecule"), "test", "--scenario-name", scenario],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            ).returncode  # fmt: skip
        return scenario, code, time.monotonic() - started

    failed = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=int(WORKERS)) as pool:
        for scenario, code, seconds in pool.map(run, scenarios):
            results.record([results.entry(f"molecule/{scenario}", int(code == 0), int(code != 0), 0)])
            session.log(f"scenario {scenario}: {'passed' if code == 0 else 'FAILED'} in {seconds:.0f} s")
            if code:
                failed.append(scenario)
                sys.stdout.write((logs / f"{scenario}.log").read_text())
            else:
                sys.stdout.write("".join(summary_lines((logs / f"{scenario}.log").read_text())))
    if failed:
        session.error(f"failed: {', '.join(failed)}; the logs are in {logs}")


def summary_lines(text: str) -> list[str]:
    """The lines of a scenario's log that say what was tested: play recaps and the verifier's result."""
    return [line + "\n" for line in text.splitlines() if " ok=" in line or " passed" in line or " failed" in line]


@nox.session
def upload(session: nox.Session) -> None:
    """Uploads through Ansible, against our strict server and, where npm is there, a real Azurite."""
    pytest_tier(session, "tests/upload", env=path_environment())


@nox.session
def browser(session: nox.Session) -> None:
    """The pages in a real Chromium, skipped with a reason where there is none; -- --update-pictures: docs/images."""
    if "--update-pictures" in session.posargs:
        folders = os.pathsep.join([str(ROOT / "tests"), str(ROOT / ".ansible/collections")])
        session.run(sys.executable, "-m", "browser.pictures", env={**path_environment(), "PYTHONPATH": folders})
        return
    session.run(tool("pytest"), "-q", "tests/browser", *session.posargs, env=path_environment())


@nox.session
def proof(session: nox.Session) -> None:
    """Proofs of real images; AZURE_PROOF_IMAGE names the image, build/demo holds one after the demo."""
    images = sorted((ROOT / "build/demo").glob("*.vhd"))
    environment = path_environment()
    if "AZURE_PROOF_IMAGE" not in os.environ and images:
        environment["AZURE_PROOF_IMAGE"] = str(images[0])
    pytest_tier(session, "tests/proof", "-rs", env=environment)


@nox.session
def chroot(session: nox.Session) -> None:
    """Modules with the real tools of the distribution, in a chroot; needs root and mmdebstrap."""
    pytest_tier(session, "tests/chroot", "-rs", env=path_environment())


@nox.session
def roles(session: nox.Session) -> None:
    """The roles' task lists on a stand-in of every family and version; needs root (mount namespaces)."""
    pytest_tier(session, "tests/roles", "-rs", env=path_environment())


@nox.session
def runner(session: nox.Session) -> None:
    """Audit and preparation of a real guest through ansible-runner's transmit, worker and process; slow without KVM."""
    pytest_tier(session, "tests/runner", "-rs", env=path_environment())


@nox.session
def demo(session: nox.Session) -> None:
    """Build a guest, prepare it twice, capture it: a fixed VHD in build/demo."""
    session.run(
        sys.executable, "-m", "guests.demo", *session.posargs,
        env={**path_environment(), "PYTHONPATH": str(ROOT / "tests")},
    )  # fmt: skip


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, from docstrings, argument specs and docs/, in build/docs; a warning is an error."""
    source = CACHE / "docs"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs/site", source)
    pages = source / "pages"
    pages.mkdir()
    for page in sorted((ROOT / "docs").glob("*.md")):
        if page.name != "README.md":
            shutil.copy2(page, pages)
    shutil.copytree(ROOT / "docs/images", pages / "images")
    reference = source / "reference"
    reference.mkdir(mode=0o755)
    session.run(
        tool("antsibull-docs"), "collection", "--use-current", "--squash-hierarchy", "--fail-on-error",
        "--dest-dir", str(reference), "linuxvhd.azure",
        env={**path_environment(), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections")},
    )  # fmt: skip
    output = str(ROOT / "build/docs")
    session.run(tool("sphinx-build"), "-W", "--keep-going", "-q", "-b", "html", str(source), output)
    session.log(f"open {output}/index.html")
