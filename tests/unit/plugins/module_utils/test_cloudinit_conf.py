"""cloud-init: datasource lists, merge order, module order."""

from __future__ import annotations

import pytest

from ansible_collections.linuxvhd.azure.plugins.module_utils import chrony_conf, cloudinit_conf

OLD = """\
cloud_init_modules:
  - migrator
  - growpart
  - resizefs
  - set_hostname

cloud_config_modules:
  - mounts
  - disk_setup
  - runcmd
"""


@pytest.mark.parametrize(
    ("text", "names", "one_line"),
    [
        ("datasource_list: [ Azure ]\n", ["Azure"], True),
        ("datasource_list: ['NoCloud', \"Azure\", None]  # x\n", ["NoCloud", "Azure", "None"], True),
        ("datasource_list:\n  - NoCloud\n  - Azure\n", ["NoCloud", "Azure"], False),
        ("datasource_list:\n- Azure\n", ["Azure"], False),
        ("datasource_list: [ Azure,\n  None ]\n", ["Azure", "None"], False),
    ],
)
def test_datasource_list(text: str, names: list[str], one_line: bool) -> None:
    found = cloudinit_conf.datasource_list("/x", text)
    assert found is not None
    assert (found.names, found.one_line) == (names, one_line)


def test_the_last_file_wins() -> None:
    files = [("/a", "datasource_list: [NoCloud]\n"), ("/b", "users: []\n"), ("/c", "datasource_list: [ Azure ]\n")]
    found = cloudinit_conf.effective_datasources(files)
    assert found is not None and found.path == "/c"
    assert cloudinit_conf.effective_datasources([("/b", "#datasource_list: [x]\n")]) is None


def test_what_we_write_is_what_we_read() -> None:
    yaml = pytest.importorskip("yaml")
    text = cloudinit_conf.datasource_text(False)
    assert yaml.safe_load(text) == {
        "datasource_list": ["Azure"],
        "datasource": {"Azure": {"apply_network_config": False}},
    }
    assert yaml.safe_load(cloudinit_conf.datasource_text(True)) == {"datasource_list": ["Azure"]}
    assert yaml.safe_load(cloudinit_conf.kvp_text())["reporting"]["telemetry"] == {"type": "hyperv"}
    assert cloudinit_conf.reports_kvp([("/a", cloudinit_conf.kvp_text())])
    assert cloudinit_conf.logs_output([("/a", cloudinit_conf.logging_text())])
    swap = yaml.safe_load(cloudinit_conf.swap_text("/mnt", "cloud-init.service"))
    assert swap["disk_setup"]["ephemeral0"]["layout"] == [66, [33, 82]]
    assert swap["mounts"][1][2] == "swap" and "x-systemd.requires=cloud-init.service" in swap["mounts"][1][3]


def test_module_order_before_23() -> None:
    yaml = pytest.importorskip("yaml")
    after = yaml.safe_load(cloudinit_conf.modules_text([("/a", OLD)]))
    assert after["cloud_init_modules"] == ["migrator", "growpart", "resizefs", "disk_setup", "mounts", "set_hostname"]
    assert after["cloud_config_modules"] == ["runcmd"]


@pytest.mark.parametrize(
    "text",
    [
        "cloud_init_modules: [ migrator, 'growpart', # first\n  [resizefs, always],\nset-hostname ]\n",
        "cloud_init_modules:\n- \"migrator\"  # x\n\n# y\n- growpart\n- [ resizefs,\n    always ]\n- 'set-hostname'\n",
        '{"cloud_init_modules": ["migrator", "growpart", ["resizefs", "always"], "set-hostname"]}\n',
        '  "cloud_init_modules" :\r\n  - migrator\r\n  - growpart\r\n  - [resizefs, always]\r\n  - set-hostname\r\n',
    ],
)
def test_module_lists_of_every_form(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    wanted = ["migrator", "growpart", ["resizefs", "always"], "set-hostname"]
    assert yaml.safe_load(text)["cloud_init_modules"] == wanted
    found = cloudinit_conf.module_list([("/a", text)], "cloud_init_modules")
    assert found is not None and found.items == wanted
    after = cloudinit_conf.modules_text([("/a", text)])
    assert yaml.safe_load(after) == {"cloud_init_modules": [*wanted[:3], "disk_setup", "mounts", wanted[3]]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cloud_init_modules:\n - disk_setup\n - mounts\n",
        'cloud_init_modules:\n - "disk-setup"\n - [mounts, always]\n',
        'cloud_init_modules: ["disk_setup", {name: mounts, frequency: always}]\n',
        "cloud_init_modules:\n - name: migrator\n",
        "cloud_init_modules:\n - - migrator\n   - always\n",
        "cloud_init_modules: *anchor\n",
        "cloud_init_modules: [\n",
        "cloud_init_modules: " + "[" * 5000,
    ],
)
def test_module_order_left_alone(text: str) -> None:
    assert cloudinit_conf.modules_text([("/a", text)]) is None


def test_the_last_list_of_modules_counts() -> None:
    early = ("/a", "cloud_init_modules: [disk_setup, mounts]\n")
    late = ("/b", "cloud_init_modules:\n - ssh\n")
    found = cloudinit_conf.module_list([early, late], "cloud_init_modules")
    assert found is not None and (found.path, found.names) == ("/b", ["ssh"])
    assert " - ssh\n - disk_setup\n - mounts\n" in (cloudinit_conf.modules_text([early, late]) or "")
    unread = cloudinit_conf.module_list([early, ("/c", "{% if x %}\ncloud_x: 1\n")], "cloud_init_modules")
    assert unread is not None and unread.items is None
    broken = cloudinit_conf.module_list([early, ("/c", "cloud_init_modules: [ssh\n")], "cloud_init_modules")
    assert broken is not None and broken.path == "/a"


@pytest.mark.parametrize(
    "text",
    [
        'a: 1\n"b": {c: d}\n\'e\' : [f]\ng:\n  "h": i\n',
        '{"a": 1, "b": {"c": "d"}, "e": ["f"], "g": {"h": "i"}}',
        "# x\n--- # y\n  a: 1\n  b: {c: d}\n  e: [f]\n  g:\n    h: i\n",
        "{a: 1, b: {c: d}, # x\n e: ['f',],\n g: {h: i}}\n# y\n",
        "e: [\nf\n]\na: 1\nb: {c: d}\ng: {h: i}\n",
    ],
)
def test_top_level_keys_of_every_form(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text) == {"a": 1, "b": {"c": "d"}, "e": ["f"], "g": {"h": "i"}}
    assert not cloudinit_conf.is_unread(text) and not cloudinit_conf.looks_broken(text)
    found = cloudinit_conf.top_level(text)
    assert sorted(found) == ["a", "b", "e", "g"]
    assert {key: yaml.safe_load(value) for key, value in found.items()} == yaml.safe_load(text)
    assert "h:" in found["g"]


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("{a: &x b}\n", True),
        ("{% if x %}\na: 1\n{% endif %}\n", True),
        ("a: &x {b: c}\n<<: *x\n", True),
        ("? a\n: b\n", True),
        ("{" * 3000, True),
        ("a: b\n", False),
        ("# {\n", False),
        ("", False),
    ],
)
def test_what_is_not_read_is_known(text: str, unread: bool) -> None:
    assert cloudinit_conf.is_unread(text) is unread


def test_a_list_that_ds_identify_does_not_see() -> None:
    for text in ('{"datasource_list": ["Azure"]}\n', '"datasource_list": [Azure]\n', "datasource_list : [Azure]\n"):
        found = cloudinit_conf.datasource_list("/x", text)
        assert found is not None and (found.names, found.one_line) == (["Azure"], False)


def test_network_disabled_by_an_installer() -> None:
    files = [("/s", "network: {config: disabled}\n"), ("/t", "network:\n  config: disabled\n"), ("/u", "network: {}\n")]
    assert cloudinit_conf.network_disabled(files) == ["/s", "/t"]
    quoted = [("/s", '{"network": {"config":"disabled"}}'), ("/t", '"network":\n  "config": "disabled"\n')]
    assert cloudinit_conf.network_disabled(quoted) == ["/s", "/t"]


@pytest.mark.parametrize(
    ("text", "version"),
    [("/usr/bin/cloud-init 22.4.2\n", (22, 4, 2)), ("cloud-init 0.7.9", (0, 7, 9)), ("", ())],
)
def test_version(text: str, version: tuple[int, ...]) -> None:
    assert cloudinit_conf.parse_version(text) == version


def test_chrony_gets_the_hosts_clock_once() -> None:
    text = "pool 2.debian.pool.ntp.org iburst\nrefclock PHC /dev/ptp0 poll 2\nmakestep 1 3\n#refclock PHC /dev/ptp1\n"
    after = chrony_conf.plan(text)
    assert after == (
        "pool 2.debian.pool.ntp.org iburst\n" + chrony_conf.REFCLOCK + "\nmakestep 1.0 -1\n#refclock PHC /dev/ptp1\n"
    )
    assert chrony_conf.plan("pool x") == "pool x\n" + chrony_conf.REFCLOCK + "\nmakestep 1.0 -1\n"


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        (["swap: {filename: /swapfile, size: 1G}\n"], ("/0", "/swapfile")),
        (['{"swap": {"filename": "/swapfile", "size": "auto", "maxsize": 1}}\n'], ("/0", "/swapfile")),
        (['"swap":\n  "size": 1073741824\n'], ("/0", "/swap.img")),
        (["swap: {size: 1G}\n", "swap: {filename: /x}\n"], ("/1", "/x")),
        (["swap: {size: 1G}\n", "swap: {}\n"], ("/1", "/swap.img")),
        (["swap: {size: 1G}\n", "swap:\n"], None),
        (["swap: {size: 1G}\n", "swap: {size: 0}\n"], None),
        (["swap: {filename: /mnt/swapfile, size: 1G}\n"], None),
        (["swap: {filename: /x, maxsize: 1G}\n"], None),
        (["swapx: {size: 1G}\n"], None),
    ],
)
def test_the_swap_file_of_the_first_boot(texts: list[str], made: tuple[str, str] | None) -> None:
    files = [(f"/{number}", text) for number, text in enumerate(texts)]
    assert cloudinit_conf.swap_file(files) == made
    assert cloudinit_conf.swap_file([*files, ("/z", cloudinit_conf.swap_off_text())]) is None
