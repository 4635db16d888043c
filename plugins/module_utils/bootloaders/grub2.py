# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB 2: /etc/default/grub and its drop-ins, the generated grub.cfg, and the tool that generates it.

The defaults are edited, grub-mkconfig writes to a file beside grub.cfg, that file is read and compared, and only
then it takes the old one's place: grub-mkconfig itself copies over the file that the firmware reads, and a
power cut at that moment would leave none. Entries in the form of the Boot Loader Specification are edited
directly (see bls.py), because newer grub2-mkconfig leaves them alone; that of Enterprise Linux 9.0 to 9.2 and
Fedora's write all of them anew, so they are noted in a journal beside them before it runs: where a run is cut off in
between, the next one finds the journal and puts them back first.

Sources: GRUB manual, "Simple configuration handling"; Debian's and Red Hat's grub-mkconfig; rules BOOT-01 to
BOOT-14.

Private to the collection: its interface may change in any release.
"""

import json
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils import cmdline, profiles, shell_vars
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import (
    bls,
    grub_cfg,
    grubenv,
    kernel_cmdline,
    sourced,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders.common import (
    Change,
    Entry,
    Plan,
    Request,
    Transaction,
    check_entries,
    find_image,
    kernel_version,
    stale_entries,
    wanted_for,
    wanted_for_all,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.cmdline import GRUB, Wanted
from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import Host
from ansible_collections.linuxvhd.azure.plugins.module_utils.shell_vars import SourcedFile

DEFAULTS = "/etc/default/grub"
DROP_INS = "/etc/default/grub.d/*.cfg"
LINUX = "GRUB_CMDLINE_LINUX"
DEFAULT = "GRUB_CMDLINE_LINUX_DEFAULT"
RECOVERY = "GRUB_CMDLINE_LINUX_RECOVERY"
#: What 20_linux_xen takes instead of the two, where they are set.
XEN_INSTEAD = {LINUX: "GRUB_CMDLINE_LINUX_XEN_REPLACE", DEFAULT: "GRUB_CMDLINE_LINUX_XEN_REPLACE_DEFAULT"}

CONFIGS = ("/boot/grub2/grub.cfg", "/boot/grub/grub.cfg")
ESP_CONFIGS = "/boot/efi/EFI/*/grub.cfg"
CUSTOM_SCRIPTS = "/etc/grub.d/*"
#: Entries of the user's own that GRUB reads beside a grub.cfg (/etc/grub.d/41_custom).
CUSTOM_CONFIG = "custom.cfg"

#: Generators in order of preference; the last two take no file name.
GENERATORS = ("grub2-mkconfig", "grub-mkconfig", "update-grub", "update-bootloader")

#: Red Hat's generator since 8: leave the environment block alone.
KEEP_BLOCK = "--no-grubenv-update"

#: What entry files, environment block and /etc/kernel/cmdline held before a generator ran that may write them.
JOURNAL = "/boot/loader/azure-cmdline.journal"

#: Seconds that a generator may take (os-prober on many disks is slow).
GENERATOR_TIMEOUT = 900

#: Families whose documents name GRUB_CMDLINE_LINUX_DEFAULT (rule BOOT-12). It does not reach recovery entries.
DEFAULT_VARIABLE_FAMILIES = ("ubuntu", "suse")

#: GRUB on the first serial port (rule BOOT-10); SUSE's document has the two terminals the other way round.
SERIAL_COMMAND = "serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1"
TERMINAL = "serial console"
TERMINAL_SUSE = "console serial"

#: Seconds that the menu is shown, by family (rules BOOT-10 and BOOT-14); a longer time is kept, "for ever" is not.
TIMEOUTS = {"redhat": 10, "suse": 10}
TIMEOUT = 5


#: Hides the menu after a boot that went well (Fedora, /etc/grub.d/12_menu_auto_hide).
MENU_AUTO_HIDE = "menu_auto_hide"


class Serial(NamedTuple):
    """What GRUB's own serial console needs in /etc/default/grub."""

    terminal: str
    command: str
    timeout: int


class Layout(NamedTuple):
    """The files of this GRUB: what the generator sources, what it writes, and whether entries are BLS.

    custom: files of the user's own that a configuration reads. scripts: those that the generator copies.
    """

    family: str
    defaults: List[str]
    configs: List[str]
    bls_entries: List[str]
    tool: Optional[str]
    custom: List[str]
    scripts: List[str]


# -- finding ---------------------------------------------------------------------------------------------------


def sources_drop_ins(host: Host, family: str, tool: Optional[str]) -> bool:
    """True where grub-mkconfig reads /etc/default/grub.d: Debian's and Ubuntu's do, Red Hat's and SUSE's do not."""
    if tool is not None and tool.endswith("mkconfig"):
        text = host.read(tool, default="")
        if "/default/grub" in text:
            return "default/grub.d" in text
    return family in ("debian", "ubuntu", "generic")


def find_layout(host: Host) -> Optional[Layout]:
    """Where this system keeps GRUB 2's files; None where it has no GRUB 2."""
    configs: List[str] = []
    seen: Set[str] = set()
    for path in [path for path in CONFIGS if host.is_file(path)] + host.glob(ESP_CONFIGS):
        real = host.resolve(path)
        if real not in seen and host.is_file(path):
            seen.add(real)
            configs.append(path)
    tool = next((found for found in (host.which(name) for name in GENERATORS) if found), None)
    entry_files = bls.find_grub(host)
    enabled = _bls_enabled(host)
    if not configs and not (
        (host.is_file(DEFAULTS) and (tool or host.is_dir("/boot/grub2") or enabled)) or grubenv.find(host)
    ):
        return None
    family = profiles.family_of(host.os_release())
    defaults = [DEFAULTS]
    if sources_drop_ins(host, family, tool):
        defaults += [path for path in host.glob(DROP_INS) if host.is_file(path)]
    texts = [host.read(path) for path in configs]
    # Without a grub.cfg at hand (a partition that is not mounted) or with one that has no entries, the entry files
    # are all there is to boot.
    bare = not any(re.search(r"^\s*menuentry\b", text, re.M) for text in texts)
    runs = any(re.search(r"^\s*blscfg\b", text, re.M) for text in texts)
    uses_bls = runs or (bare and enabled is not False)
    entry_files = entry_files if uses_bls else []
    layout = Layout(family, defaults, configs, entry_files, tool, [], find_custom_scripts(host))
    custom = []
    for path, config in read_configs(host, layout).items():
        beside = host.resolve(path).rpartition("/")[0] + "/" + CUSTOM_CONFIG
        if grub_cfg.sources_custom(config) and host.is_file(beside) and beside not in custom:
            custom.append(beside)
    return layout._replace(custom=custom)


def find_custom_scripts(host: Host) -> List[str]:
    """The scripts in /etc/grub.d that print what follows in them, as 40_custom does."""
    found = []
    for path in host.glob(CUSTOM_SCRIPTS):
        # Copies that editors, package managers and this collection leave are not run.
        if re.search(r"(~|#|\.(rpm|dpkg-)[a-z]+)$", path):
            continue
        if host.is_file(path) and re.search(r"^[ \t]*exec[ \t]+tail\b", host.read(path)[:4096], re.M):
            found.append(path)
    return found


def _bls_enabled(host: Host) -> Optional[bool]:
    """What GRUB_ENABLE_BLSCFG says; None where nothing does."""
    text = shell_vars.value(read_defaults(host, [DEFAULTS]), "GRUB_ENABLE_BLSCFG")
    return text.strip().lower() == "true" if text else None


def read_defaults(host: Host, paths: Sequence[str]) -> List[SourcedFile]:
    """The sourced files in order; a missing main file counts as empty."""
    return [shell_vars.parse(path, host.read(path, default="")) for path in paths]


def read_configs(host: Host, layout: Layout) -> Dict[str, grub_cfg.GrubConfig]:
    """The configurations that hold entries; the stub on an EFI system partition is left out."""
    environment = grubenv.load(host)
    result = {}
    for path in layout.configs:
        config = grub_cfg.parse(path, host.read(path), environment)
        if not grub_cfg.is_stub(config):
            result[path] = config
    return result


def variables(host: Host, layout: Layout) -> Dict[str, str]:
    """What $kernelopts and its like stand for in an entry: grub.cfg's own setting, else the environment block's."""
    result = grubenv.load(host)
    for config in read_configs(host, layout).values():
        for name, value in config.variables.items():
            result.setdefault(name, value)
    return result


def read_entries(host: Host, layout: Layout) -> List[Entry]:
    """Every entry that boots Linux, in the order of the menu."""
    entries = bls.read(host, layout.bls_entries, variables(host, layout), GRUB)
    for config in read_configs(host, layout).values():
        entries.extend(config.entries)
    return entries + custom_entries(host, layout)


def own_entries(host: Host, layout: Layout) -> List[Entry]:
    """The entries that are this system's: all but those of other installations that os-prober found."""
    entries = bls.read(host, layout.bls_entries, variables(host, layout), GRUB)
    for config in read_configs(host, layout).values():
        entries.extend(own_config_entries(config))
    return entries + custom_entries(host, layout)


def custom_entries(host: Host, layout: Layout) -> List[Entry]:
    """The entries in the user's own files."""
    environment = grubenv.load(host)
    return [entry for path in layout.custom for entry in grub_cfg.parse(path, host.read(path), environment).entries]


def own_config_entries(config: grub_cfg.GrubConfig) -> List[Entry]:
    return [
        entry for entry, section in zip(config.entries, config.sections) if not section.endswith(grub_cfg.OS_PROBER)
    ]


# -- after a run that was cut off ------------------------------------------------------------------------------


def unfinished(host: Host) -> List[Change]:
    """What the journal of a run that was cut off says must be put back; none where there is no such journal.

    Of the environment block only the arguments: GRUB itself writes the rest.
    """
    try:
        noted = json.loads(host.read(JOURNAL, default="{}"))
    except ValueError:
        noted = {}
    block = grubenv.find(host)
    result = []
    for path in bls.find_grub(host) + [kernel_cmdline.PATH] + ([block] if block else []):
        before = noted.get(path) if isinstance(noted, dict) else None
        if not isinstance(before, str) or not host.is_file(path):
            continue
        text = host.read(path)
        if path == block:
            try:
                arguments = grubenv.parse(path, before).get(bls.KERNELOPTS)
                before = grubenv.change(path, text, bls.KERNELOPTS, arguments)
            except AzurePrepError:
                continue
        if before != text:
            result.append(Change(path, text, before))
    return result


def recover(host: Host, backup: bool) -> List[str]:
    """Put back what a run that was cut off left half-changed; a sentence about each file."""
    result = []
    for change in unfinished(host):
        host.write(change.path, change.after, backup=backup)
        result.append("%s was put back as it was before a run that was cut off." % change.path)
    host.remove(JOURNAL)
    return result


# -- /etc/default/grub -----------------------------------------------------------------------------------------


def segments(files: Sequence[SourcedFile]) -> Tuple[List[str], List[str]]:
    """The arguments in GRUB_CMDLINE_LINUX and in GRUB_CMDLINE_LINUX_DEFAULT."""
    values = shell_vars.evaluate(files)
    return (
        cmdline.split(shell_vars.text_of(values.get(LINUX, [])), GRUB),
        cmdline.split(shell_vars.text_of(values.get(DEFAULT, [])), GRUB),
    )


def has_recovery(files: Sequence[SourcedFile]) -> bool:
    """True where the generator makes recovery entries, which get GRUB_CMDLINE_LINUX only.

    10_linux compares with "true" to the letter: with DOS line ends it never is.
    """
    if any("\r\n" in file.text for file in files):
        return True
    return shell_vars.value(files, "GRUB_DISABLE_RECOVERY") != "true"


def target_variable(family: str, files: Sequence[SourcedFile]) -> str:
    """The variable that takes new arguments: the documented one, as long as it reaches every entry."""
    return DEFAULT if family in DEFAULT_VARIABLE_FAMILIES and not has_recovery(files) else LINUX


def edit_cmdline(files: Sequence[SourcedFile], wanted: Wanted, target: str) -> List[SourcedFile]:
    """The files after the wanted arguments were set and removed in both variables."""
    counted = (LINUX,) if target == LINUX else (LINUX, DEFAULT)
    edited = sourced.edit(files, (LINUX, DEFAULT), wanted, target, counted, GRUB)
    xen = {name: other if shell_vars.value(edited, other) else name for name, other in XEN_INSTEAD.items()}
    if any(name != other for name, other in xen.items()):
        names = (xen[LINUX], xen[DEFAULT])
        edited = sourced.edit(edited, names, wanted, xen[target], [xen[name] for name in counted], GRUB)
    if not shell_vars.value(edited, RECOVERY):
        return edited
    # Recovery entries get it before the others: nothing is added, what no entry shall have goes.
    return sourced.edit(edited, (RECOVERY,), Wanted((), wanted.remove), RECOVERY, (RECOVERY,), GRUB)


def edit_serial(files: Sequence[SourcedFile], serial: Serial) -> List[SourcedFile]:
    """The files after GRUB's terminal, serial port and a visible menu were set."""
    current = list(files)

    def assign(name: str, text: str) -> None:
        edit = shell_vars.assign(current, name, text, 0)
        if edit is not None:
            current[:] = shell_vars.apply_edits(current, [edit])

    if set((shell_vars.value(current, "GRUB_TERMINAL") or "").split()) != {"serial", "console"}:
        assign("GRUB_TERMINAL", serial.terminal)
    if (shell_vars.value(current, "GRUB_SERIAL_COMMAND") or "").split() != serial.command.split():
        assign("GRUB_SERIAL_COMMAND", serial.command)
    timeout = (shell_vars.value(current, "GRUB_TIMEOUT") or "").strip()
    if not (re.match(r"\d+(\.\d+)?$", timeout) and float(timeout) >= serial.timeout):
        assign("GRUB_TIMEOUT", str(serial.timeout))
    style = (shell_vars.value(current, "GRUB_TIMEOUT_STYLE") or "").strip()
    if style not in ("", "menu"):
        assign("GRUB_TIMEOUT_STYLE", "menu")
    for name in ("GRUB_HIDDEN_TIMEOUT", "GRUB_HIDDEN_TIMEOUT_QUIET"):
        if shell_vars.value(current, name):
            edit = shell_vars.assign(current, name, "", 0)
            if edit is not None:
                current = shell_vars.apply_edits(current, [edit._replace(text=edit.text.replace('""', ""))])
    return current


def serial_for(family: str) -> Serial:
    return Serial(TERMINAL_SUSE if family == "suse" else TERMINAL, SERIAL_COMMAND, TIMEOUTS.get(family, TIMEOUT))


def shows_serial(config: grub_cfg.GrubConfig) -> bool:
    """True where a grub.cfg talks to the serial port, both ways."""
    outputs = any(words[0] == "terminal_output" and "serial" in words for words in config.commands)
    inputs = any(words[0] == "terminal_input" and "serial" in words for words in config.commands)
    return config.runs("serial") and outputs and inputs


# -- planning --------------------------------------------------------------------------------------------------


def _replace_run(arguments: Sequence[str], old: Sequence[str], new: Sequence[str]) -> Optional[List[str]]:
    """The arguments with the last run equal to `old` replaced by `new`; None where it does not occur."""
    if not old:
        return None
    for start in range(len(arguments) - len(old), -1, -1):
        if list(arguments[start : start + len(old)]) == list(old):
            return list(arguments[:start]) + list(new) + list(arguments[start + len(old) :])
    return None


def predict(
    entry: Entry, wanted: Wanted, before: Tuple[List[str], List[str]], after: Tuple[List[str], List[str]]
) -> Entry:
    """What the generator will make of an entry once the two variables have changed."""
    for old, new in ((before[0] + before[1], after[0] + after[1]), (before[0], after[0])):
        replaced = _replace_run(entry.arguments, old, new)
        if replaced is not None and not cmdline.problems(replaced, wanted):
            return entry._replace(arguments=replaced)
    return entry._replace(arguments=cmdline.merge(entry.arguments, wanted))


class Grub2:
    """GRUB 2 of one system: reads, plans, applies."""

    def __init__(self, host: Host, layout: Layout) -> None:
        self._host = host
        self.layout = layout
        self.name = "grub2-bls" if layout.bls_entries else "grub2"
        self._generated: List[Entry] = []

    def entries(self) -> List[Entry]:
        return read_entries(self._host, self.layout)

    def plan(self, request: Request) -> Plan:
        host, layout = self._host, self.layout
        own = own_entries(host, layout)
        every = self.entries()
        warnings = stale_entries(host, every)
        warnings += [
            'The boot entry "%s" (%s) boots another installation and was left alone.' % (entry.title, entry.source)
            for entry in every
            if entry not in own
        ]
        wanted = wanted_for_all(request, own)
        files = read_defaults(host, layout.defaults)
        target = target_variable(layout.family, files)
        edited = edit_cmdline(files, wanted, target)
        if request.serial_console:
            edited = edit_serial(edited, serial_for(layout.family))
        changes = [
            Change(old.path, old.text if host.exists(old.path) else None, new.text)
            for old, new in zip(files, edited)
            if new.text != old.text
        ]
        custom = self._custom_changes(layout.scripts, request)
        changes += custom
        bls_changes, after = bls.plan(host, layout.bls_entries, variables(host, layout), request, GRUB)
        changes += bls_changes
        changes += kernel_cmdline.plan(host, wanted)
        changes += self._custom_changes(layout.custom, request)
        changes = self._show_menu(changes, request)
        texts = {change.path: change.after for change in changes}
        for path in layout.custom:
            after += grub_cfg.parse(path, texts.get(path, host.read(path)), grubenv.load(host)).entries
        configs = read_configs(host, layout)
        generated = [entry for config in configs.values() for entry in own_config_entries(config)]
        before_segments, after_segments = segments(files), segments(edited)
        defaults_changed = any(change.path in layout.defaults for change in changes) or bool(custom)
        wrong = [
            entry
            for entry in generated
            if cmdline.problems(entry.arguments, wanted_for(request, kernel_version(entry.kernel)))
        ]
        unserved = request.serial_console and any(not shows_serial(config) for config in configs.values())
        needed = defaults_changed or bool(wrong) or unserved or not (configs or layout.bls_entries)
        for config in configs.values():
            for entry, section in zip(config.entries, config.sections):
                if section.endswith(grub_cfg.OS_PROBER) or not needed:
                    after.append(entry)
                    continue
                own_wanted = wanted_for(request, kernel_version(entry.kernel))
                after.append(predict(entry, own_wanted, before_segments, after_segments))
        commands: List[str] = []
        refusal = ""
        if needed and layout.tool is None:
            if not layout.bls_entries or wrong:
                refusal = (
                    "%s must be generated again, but none of %s is installed%s; install the package that holds it "
                    "(grub2-common, grub2-tools)."
                    % (
                        ", ".join(configs) or self._default_config(),
                        ", ".join(GENERATORS),
                        "" if host.is_live else " in " + host.root,
                    )
                )
            elif unserved or defaults_changed:
                warnings.append(
                    "grub2-mkconfig is not installed: the boot entries are changed, GRUB's own serial console comes "
                    "with the next run of it."
                )
        elif needed and not configs and layout.bls_entries:
            warnings.append(
                "No grub.cfg was found: the boot entries are changed, GRUB's own serial console comes with the next "
                "run of grub2-mkconfig."
            )
        elif needed:
            commands = [" ".join(self._command(path)) for path in configs or [self._default_config()]]
        for entry in after:
            if entry.source not in configs or any(entry.id == own_entry.id for own_entry in own):
                if entry in every and entry not in own:
                    continue
                check_entries([entry], request)
        return Plan(changes, commands, after, warnings, refusal)

    def _show_menu(self, changes: List[Change], request: Request) -> List[Change]:
        """Fedora's menu hides itself after a good boot where the environment block says so."""
        block = grubenv.find(self._host)
        if block is None or not request.serial_console or MENU_AUTO_HIDE not in grubenv.load(self._host):
            return changes
        planned = next((change for change in changes if change.path == block), None)
        before = self._host.read(block)
        after = grubenv.change(block, planned.after if planned else before, MENU_AUTO_HIDE, None)
        return [change for change in changes if change is not planned] + [Change(block, before, after)]

    def _custom_changes(self, paths: Sequence[str], request: Request) -> List[Change]:
        """Entries that someone wrote by hand: the generator copies them as they stand, or GRUB reads them."""
        texts = [(path, self._host.read(path)) for path in paths]
        edited = [(path, text, edit_linux_lines(text, request)) for path, text in texts]
        return [Change(path, text, after) for path, text, after in edited if after != text]

    def _default_config(self) -> str:
        """Where a first grub.cfg belongs."""
        return CONFIGS[0] if self._host.is_dir("/boot/grub2") else CONFIGS[1]

    def _command(self, path: str) -> List[str]:
        tool = self.layout.tool or ""
        name = tool.rsplit("/", 1)[-1]
        if name == "update-grub":
            return [tool]
        if name == "update-bootloader":
            return [tool, "--refresh"]
        # Red Hat's would write $kernelopts anew from the defaults, without what only the environment block held.
        keep = [KEEP_BLOCK] if KEEP_BLOCK in self._host.read(tool, default="") else []
        return [tool] + keep + ["-o", path]

    def apply(self, plan: Plan, request: Request, transaction: Transaction) -> None:
        """Make the planned changes; AzurePrepError where one fails, the caller then rolls back."""
        host = self._host
        before = own_entries(host, self.layout)
        sources = self.layout.defaults + self.layout.scripts
        direct = [change for change in plan.changes if change.path not in sources]
        for change in plan.changes:
            if change not in direct:
                transaction.write(change.path, change.after)
        if plan.commands:
            block = grubenv.find(host)
            paths = self.layout.bls_entries + self.layout.custom + [kernel_cmdline.PATH] + ([block] if block else [])
            texts: Dict[str, str] = {}
            for path in paths + [change.path for change in direct]:
                transaction.protect(path)
                if host.is_file(path):
                    texts[path] = host.read(path)
            if self.layout.bls_entries:
                transaction.write(JOURNAL, json.dumps(texts, indent=1), mode=0o600)
            self._generated = before
            for path in list(read_configs(host, self.layout)) or [self._default_config()]:
                self._generate(path, request, before, transaction)
            # Red Hat's generators write $kernelopts or every entry anew from the defaults and lose what only they
            # held: they become what was planned, or what they were.
            texts.update({change.path: change.after for change in direct})
            for path, text in texts.items():
                if not host.is_file(path) or host.read(path) != text:
                    transaction.write(path, text)
            # What it made that was not there before becomes as wanted too.
            self.layout = find_layout(host) or self.layout
            changes, _after = bls.plan(host, self.layout.bls_entries, variables(host, self.layout), request, GRUB)
            wanted = wanted_for_all(request, own_entries(host, self.layout))
            direct = self._show_menu(changes + kernel_cmdline.plan(host, wanted), request)
        for change in direct:
            transaction.write(change.path, change.after)
        host.remove(JOURNAL)

    def verify(self, request: Request) -> List[str]:
        now = own_entries(self._host, self.layout)
        check_entries(now, request)
        lost = _lost(self._generated, now, request)
        if not request.serial_console or self.layout.tool is None:
            return lost
        return lost + [
            "%s does not talk to the serial port although %s asks for it; is /etc/grub.d/00_header missing or changed?"
            % (path, DEFAULTS)
            for path, config in read_configs(self._host, self.layout).items()
            if not shows_serial(config)
        ]

    def _generate(self, path: str, request: Request, before: Sequence[Entry], transaction: Transaction) -> None:
        host = self._host
        name = (self.layout.tool or "").rsplit("/", 1)[-1]
        transaction.protect(path)
        old = host.read_bytes(path) if host.is_file(path) else None
        directory, _slash, base = host.resolve(path).rpartition("/")
        temporary = "%s/.azure-prep.%s" % (directory, base)
        direct = name in ("update-grub", "update-bootloader")
        try:
            host.remove(temporary)
            transaction.protect(temporary)
            hint = ""
            if any("\r\n" in file.text for file in read_defaults(host, self.layout.defaults)):
                hint = " %s has DOS line ends, which a shell does not take." % DEFAULTS
            try:
                result = host.run(self._command(path if direct else temporary), timeout=GENERATOR_TIMEOUT)
            except AzurePrepError as exc:
                raise AzurePrepError(str(exc) + hint, **exc.details)
            written = temporary if host.is_file(temporary) else path
            if written == path and (not host.is_file(path) or (not direct and host.read_bytes(path) == old)):
                raise AzurePrepError("%s said it was done but wrote no %s." % (" ".join(self._command(path)), path))
            text = host.read(written)
            try:
                self._compare(path, text, before, request)
            except AzurePrepError as exc:
                printed = result.stderr.strip()[-400:]
                raise AzurePrepError(
                    str(exc) + (" The generator printed: %s" % printed if printed else ""), **exc.details
                )
            if written == temporary:
                transaction.write(path, text, mode=None if old is not None else 0o600)
        finally:
            for leftover in (temporary, temporary + ".new"):
                if host.exists(leftover):
                    host.remove(leftover)

    def _compare(self, path: str, text: str, before: Sequence[Entry], request: Request) -> None:
        """Refuse a generated file that lost a kernel, its root= or what was asked for."""
        host = self._host
        config = grub_cfg.parse(path, text, grubenv.load(host))
        mine = [entry for entry in before if entry.source == path]
        roots = {_image_name(entry): (entry.kernel, _root_argument(entry)) for entry in reversed(mine)}
        new_roots = {_image_name(entry): _root_argument(entry) for entry in reversed(config.entries)}
        for name, (kernel, root) in roots.items():
            if find_image(host, kernel) is None:
                continue
            if name not in new_roots and not self.layout.bls_entries and not config.runs("blscfg"):
                raise AzurePrepError("The new %s has lost the entry of %s; it was not used." % (path, kernel))
            new = new_roots.get(name, root)
            if root and not new:
                raise AzurePrepError("The new %s names no root= for %s; it was not used." % (path, kernel))
            if root and new != root and not (root.startswith("root=/dev/") and not new.startswith("root=/dev/")):
                raise AzurePrepError(
                    "The new %s says %s for %s, the old one %s; it was not used. A mounted image needs /dev (with its "
                    "links in /dev/disk/by-uuid), /proc and /sys mounted into it." % (path, new, kernel, root)
                )
        if before and not config.entries and not config.runs("blscfg"):
            raise AzurePrepError("The new %s holds no boot entry; it was not used." % path)
        check_entries(own_config_entries(config), request)


def _lost(before: Sequence[Entry], after: Sequence[Entry], request: Request) -> List[str]:
    """A sentence for each entry that lost an argument nobody asked it to: the defaults have said otherwise since
    the last generation, or compute it in a way that an edit disturbs."""
    entries = {(entry.source, entry.id): entry for entry in after}
    result = []
    for old in before:
        new = entries.get((old.source, old.id))
        if new is None:
            continue
        expected = cmdline.merge(old.arguments, wanted_for(request, kernel_version(old.kernel)))
        gone = [word for word in expected if not any(cmdline.same(word, other) for other in new.arguments)]
        # What became of root= was looked at before the file was used.
        gone = [word for word in gone if cmdline.key_of(word) != cmdline.ROOT]
        if gone:
            result.append(
                'The boot entry "%s" (%s) no longer has %s: what the generator reads does not say so.'
                % (new.title or new.id, new.source, " ".join(gone))
            )
    return result


def _image_name(entry: Entry) -> str:
    """What stays the same however a path is written, with or without the mount point of /boot."""
    return kernel_version(entry.kernel) or entry.kernel.rsplit("/", 1)[-1]


def _root_argument(entry: Entry) -> str:
    return next((argument for argument in reversed(entry.arguments) if argument.startswith("root=")), "")


_LINUX_LINE = re.compile(r"^([ \t]*(?:linux|linux16|linuxefi)[ \t]+\S+)((?:[ \t][^\r\n]*)?)(\r?)$", re.M)


def edit_linux_lines(text: str, request: Request) -> str:
    """Change the arguments of every linux line in GRUB's own language; a line that goes on below is left alone."""

    def change(match: "re.Match[str]") -> str:
        head, arguments, end = match.groups()
        if arguments.endswith("\\"):
            return match.group(0)
        kernel = head.split()[-1]
        wanted = wanted_for(request, kernel_version(kernel))
        edited = cmdline.edit(arguments, wanted, GRUB)
        if edited and edited[0] not in " \t":
            edited = " " + edited
        return head + edited + end

    return _LINUX_LINE.sub(change, text)
