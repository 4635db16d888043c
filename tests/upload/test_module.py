"""The module through ansible-playbook: progress, secrets, kill -9, and a hundred random interruptions."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from conftest import ROOT, playbook
from pageblob_server import PageBlobServer, Refused, sas
from test_upload import SIZE, make_vhd

TASK = """
- hosts: localhost
  gather_facts: false
  vars:
    azure_progress_seconds: 0.5
  tasks:
    - name: Upload
      linuxvhd.azure.vhd_upload: "{{ options | combine({'url': secret_url}) if secret_url is defined else options }}"
      register: result
    - name: Show
      ansible.builtin.debug:
        var: result
"""

ENGINE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.linuxvhd.azure.plugins.modules import vhd_upload as module
params = {name: spec.get("default") for name, spec in module.argument_spec().items()}
params.update(json.loads(sys.argv[2]))
module.run(params, module.Address(sys.stdin.readline().strip()), False)
print(open("/proc/self/status").read(), file=sys.stderr)
"""


def upload(folder: Path, url: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the task; the URL comes from a file, as from a vault."""
    (folder / "play.yml").write_text(TASK)
    variables: dict[str, object] = {"options": options}
    if url:
        variables["secret_url"] = url
    (folder / "vars.json").write_text(json.dumps(variables))
    return playbook([str(folder / "play.yml"), "-e", f"@{folder}/vars.json", *arguments])


def assert_no_leak(url: str, text: str) -> None:
    signature = urllib.parse.parse_qs(url.split("?", 1)[1])["sig"][0]
    assert signature not in text
    assert urllib.parse.quote(signature, safe="") not in text
    assert urllib.parse.quote_plus(signature) not in text


def test_progress_is_shown_while_it_runs(server: PageBlobServer, tmp_path: Path) -> None:
    server.fault = lambda seen: 0.4
    path = make_vhd(tmp_path / "disk.vhd", pieces=40)
    done = upload(tmp_path, server.url(), path=str(path), parallel=2)
    assert done.returncode == 0, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("[localhost] disk.vhd: sending")]
    assert len(lines) >= 3 and "%" in lines[-1] and "left" in lines[-1] and "MiB/s" in lines[-1]
    assert done.stdout.index(lines[0]) < done.stdout.index("changed: [localhost]")
    assert not list(Path("/tmp").glob(".linuxvhd-azure-*.progress"))


@pytest.mark.parametrize(
    "trouble",
    ["fine", "expired", "refused", "no blob", "dead", "white space", "bad host"],
)
def test_secrets_appear_nowhere(server: PageBlobServer, tmp_path: Path, trouble: str) -> None:
    """At -vvvv, with --diff, in results, errors, the process list and the journal of the module's call."""
    path = make_vhd(tmp_path / "disk.vhd")
    url = server.url()
    if trouble == "expired":
        url = server.url(expires="2020-01-01T00:00:00Z")
    elif trouble == "refused":
        server.fault = lambda seen: Refused(400, "InvalidHeaderValue") if seen.comp == "page" else None
    elif trouble == "no blob":
        url = f"http://127.0.0.1:{server.port}/devstoreaccount1/images/?{sas('images', 'disk.vhd')}"
    elif trouble == "dead":
        url = f"http://127.0.0.1:9/devstoreaccount1/images/disk.vhd?{sas('images', 'disk.vhd')}"
    elif trouble == "white space":
        url = url.replace("disk.vhd?", "di sk.vhd?")
    elif trouble == "bad host":
        url = url.replace("127.0.0.1", "[127.0.0.1")
    seen: list[str] = []
    fault = server.fault

    def look(request: object) -> object:
        if not seen:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(entry.read_bytes().decode("utf-8", "replace"))
                except OSError:
                    continue
        return fault(request) if fault else None  # type: ignore[arg-type]

    server.fault = look  # type: ignore[assignment]
    done = upload(tmp_path, url, "-vvvv", "--diff", path=str(path), retry_seconds=3)
    assert (done.returncode == 0) == (trouble == "fine"), done.stdout
    assert "Traceback" not in done.stdout
    assert_no_leak(url, done.stdout)
    assert_no_leak(url, "\n".join(seen))


def test_check_mode_and_second_run(server: PageBlobServer, tmp_path: Path) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    changed = []
    for arguments in (["--check"], [], [], ["--check"]):
        done = upload(tmp_path, server.url(), *arguments, path=str(path))
        assert done.returncode == 0, done.stdout
        changed.append("changed=1" in done.stdout)
        if len(changed) == 1:
            assert server.blobs == {}
    assert changed == [True, True, False, False]


def test_missing_credential_is_said_with_the_install_command(tmp_path: Path) -> None:
    path = make_vhd(tmp_path / "disk.vhd")
    done = upload(
        tmp_path,
        "",
        path=str(path),
        account_url="https://account.blob.core.windows.net",
        container="images",
        blob="disk.vhd",
    )
    if "azure-identity found no credential" in done.stdout or "az gives no token" in done.stdout:
        pytest.skip("azure-identity or az is installed here")
    assert "python3 -m pip install azure-identity" in " ".join(done.stdout.split())


def test_credential_from_azure_identity(tmp_path: Path) -> None:
    """A stand-in for azure-identity on PYTHONPATH: its token goes into the requests, and nowhere else."""
    package = tmp_path / "python/azure/identity"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import collections, time\n"
        "Token = collections.namedtuple('Token', 'token expires_on')\n"
        "class DefaultAzureCredential:\n"
        "    def __init__(self, **options): pass\n"
        "    def get_token(self, scope):\n"
        "        assert scope == 'https://storage.azure.com/.default'\n"
        "        return Token('very-secret-token', time.time() + 3600)\n"
    )
    path = make_vhd(tmp_path / "disk.vhd")
    os.environ["PYTHONPATH"] = str(tmp_path / "python")
    try:
        with PageBlobServer(bearer="very-secret-token").running() as server:
            done = upload(
                tmp_path, "", "-vvvv", path=str(path), account_url=server.base, container="images", blob="disk.vhd"
            )
            assert done.returncode == 0, done.stdout
            assert server.blob().content() == path.read_bytes()
    finally:
        del os.environ["PYTHONPATH"]
    assert "very-secret-token" not in done.stdout


def engine(url: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENGINE, str(ROOT / ".ansible/collections"), json.dumps(options)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(url + "\n")
    process.stdin.close()
    return process


def test_kill_nine_and_resume(server: PageBlobServer, tmp_path: Path) -> None:
    """Killed at random moments; each run goes on at once, without waiting for the lease of the dead one."""
    chance = random.Random(11)
    server.fault = lambda seen: 0.03
    path = make_vhd(tmp_path / "disk.vhd", pieces=60)
    kills = 0
    started = time.monotonic()
    while True:
        process = engine(server.url(), path=str(path), parallel=2)
        try:
            process.wait(timeout=chance.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            if server.blobs and server.blob().content()[SIZE:] != bytes(512):
                assert server.blob().content() == path.read_bytes()
            if kills == 6:
                server.fault = None
            if kills < 12:
                continue
            process = engine(server.url(), path=str(path))
            process.wait(timeout=60)
        assert process.returncode == 0
        break
    assert kills >= 2
    assert server.blob().content() == path.read_bytes()
    assert time.monotonic() - started < 60


def test_memory_stays_bounded(server: PageBlobServer, tmp_path: Path) -> None:
    """Peak resident memory with the most threads, on a dense image.

    From /proc: what wait4() tells of a process begins with what its parent had when it was started.
    """
    server.null = True
    path = tmp_path / "disk.raw"
    with path.open("wb") as stream:
        chance = random.Random(2)
        for _ in range(128):
            stream.write(chance.randbytes(2 * 1024 * 1024))
    process = engine(server.url(), path=str(path), format="raw", parallel=16, verify=False)
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait() == 0, told
    peak = re.search(r"VmHWM:\s+(\d+) kB", told)
    assert peak is not None
    assert 64 * 1024 < int(peak.group(1)) < 150 * 1024


def test_a_hundred_random_interruptions() -> None:
    """The unit test of that, at its full length."""
    command = [sys.executable, "-m", "pytest", "-q", "-k", "random_interruptions"]
    done = subprocess.run(
        [*command, "tests/unit/plugins/module_utils/test_upload.py"],
        cwd=ROOT,
        env={**os.environ, "UPLOAD_INTERRUPTIONS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
