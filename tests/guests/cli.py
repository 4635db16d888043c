"""The command line: build, start, stop, list, inventory, ssh, probe-kvm."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from guests import accel, build, cache, definitions, launch, start
from guests.errors import GuestError

#: A guest's host key is whatever it made a minute ago, so it is not compared with anything.
SSH_ARGS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
    " -o LogLevel=ERROR -o ServerAliveInterval=30"
)


def inventory_of(states: dict[str, dict[str, Any]], become: bool = False) -> dict[str, Any]:
    """An Ansible inventory (its YAML form, as data) with every guest in the group `guests`; become: as -b does."""
    hosts = {}
    for alias, state in states.items():
        hosts[alias] = {
            "ansible_host": state["host"],
            "ansible_port": state["port"],
            "ansible_user": state["user"],
            "ansible_ssh_private_key_file": state["private_key"],
            "ansible_ssh_common_args": SSH_ARGS,
            # An emulated machine on a busy one takes its time until sudo runs.
            "ansible_timeout": 60,
            "guest_directory": state["directory"],
            "guest_serial_log": state["serial_log"],
            "guest_disk": state["disk"],
            "guest_pid": state["pid"],
            "guest_firmware": state["firmware"],
        }
        if become:
            hosts[alias]["ansible_become"] = True
    return {"all": {"children": {"guests": {"hosts": hosts}}}}


def parser() -> argparse.ArgumentParser:
    """What can be asked."""
    top = argparse.ArgumentParser(prog="guest", description="Debian test guests, built from packages, run by QEMU.")
    commands = top.add_subparsers(dest="command", required=True)
    one = commands.add_parser("build", help="build a guest, or find it in the cache")
    one.add_argument("name")
    one.add_argument("--rebuild", action="store_true", help="build it even though it is in the cache")
    one = commands.add_parser("start", help="start a fresh guest and wait until SSH works; prints its state as JSON")
    one.add_argument("name", help=f"a guest of `list`, or {start.OWN_IMAGE} for the image in AZURE_TEST_IMAGE")
    one.add_argument("--dir", type=Path, required=True, help="where its overlay, logs and guest.json go")
    one.add_argument("--accel", default="auto", choices=["auto", "kvm", "tcg"])
    one.add_argument("--memory-mib", type=int, default=1024)
    one.add_argument("--cpus", type=int, default=1)
    one.add_argument("--disk-bus", default="virtio", choices=["virtio", "scsi", "ide"])
    one.add_argument("--timeout", type=float, default=launch.SSH_SECONDS, help="seconds to wait for SSH")
    one.add_argument("--raw", action="store_true", help="a raw disk on its own instead of an overlay")
    one.add_argument("--no-wait", action="store_true", help="do not wait for SSH")
    one = commands.add_parser("wait", help="wait until SSH works in a started guest")
    one.add_argument("--dir", type=Path, required=True)
    one.add_argument("--timeout", type=float, default=launch.SSH_SECONDS)
    one = commands.add_parser("stop", help="end a guest, as a power cut would")
    one.add_argument("--dir", type=Path, required=True)
    one = commands.add_parser("inventory", help="write an Ansible inventory of started guests")
    one.add_argument("--dir", type=Path, required=True, action="append", help="may be given again")
    one.add_argument("--become", action="store_true", help="become root, as the option -b of ansible-playbook does")
    one.add_argument("--output", type=Path, help="default: DIR/inventory.yml of the first DIR")
    one = commands.add_parser("ssh", help="run a command in a guest: ssh --dir DIR -- COMMAND")
    one.add_argument("--dir", type=Path, required=True)
    one.add_argument("words", nargs="*")
    commands.add_parser("list", help="the guests there are, and whether they are built")
    commands.add_parser("probe-kvm", help="whether KVM works here; status 0 when it does, 1 when it does not")
    return top


def list_guests() -> None:
    """One line per guest."""
    for definition in definitions.GUESTS.values():
        place = cache.guest_directory(definition)
        built = f"built: {place}" if (place / "guest.json").exists() else "not built"
        what = f"{definition.suite}, {definition.firmware}, {definition.initramfs}, {definition.network}"
        print(f"{definition.name:26} {what:46} {built}")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; GuestError when it cannot be done."""
    if options.command == "build":
        print(build.build(definitions.find(options.name), rebuild=options.rebuild))
    elif options.command == "start":
        how = start.Options(
            accel=options.accel,
            memory_mib=options.memory_mib,
            cpus=options.cpus,
            seconds=options.timeout,
            disk_bus=options.disk_bus,
            wait=not options.no_wait,
            raw=options.raw,
        )
        print(json.dumps(start.start(options.name, options.dir, how), indent=2))
    elif options.command == "wait":
        directory = options.dir.absolute()
        state = launch.load(directory)
        seconds = launch.wait_for_ssh(lambda: launch.is_ours(state["pid"], directory), state, options.timeout)
        print(f"up after {seconds:.0f} s")
    elif options.command == "stop":
        print("stopped" if launch.stop(options.dir.absolute()) else "was not running")
    elif options.command == "inventory":
        states = {}
        for directory in options.dir:
            state = launch.load(directory.absolute())
            states[state["name"] if state["name"] not in states else f"{state['name']}-{state['port']}"] = state
        output = options.output or options.dir[0] / "inventory.yml"
        output.write_text("---\n" + json.dumps(inventory_of(states, options.become), indent=2) + "\n")
        print(output)
    elif options.command == "ssh":
        argv = launch.ssh_command(launch.load(options.dir.absolute()), *options.words)
        sys.stdout.flush()
        os.execvp(argv[0], argv)
    elif options.command == "list":
        list_guests()
    else:
        answer = accel.probe()
        print(f"{answer.name}: {answer.reason}")
        return 0 if answer.name == "kvm" else 1
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point: the exit status; errors are one sentence on standard error."""
    options = parser().parse_args(argv)
    try:
        return run(options)
    except GuestError as exc:
        print(f"guests: {exc}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough (guest list | head).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("guests: interrupted", file=sys.stderr)
        return 130
