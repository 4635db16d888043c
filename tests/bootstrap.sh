#!/bin/sh
# Install what the tests and the demo need and is missing: a virtual environment in .venv, and, with --system,
# the system packages that build and boot test guests. Quick when nothing is missing.
set -eu
cd "$(dirname "$0")/.."

python=
for candidate in python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or later is needed and was not found; install it and try again." >&2
    exit 1
fi

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        echo "Installing system packages needs root: sudo $*" >&2
        sudo "$@"
    else
        echo "Installing system packages needs root, and there is no sudo. Run as root: $*" >&2
        exit 1
    fi
}

missing=
need() { # need PACKAGE...: remember the Debian packages that are not installed
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
            missing="$missing $package"
        fi
    done
}

"$python" -c 'import ensurepip, venv' 2>/dev/null || no_venv=1
wanted=
if [ "${1:-}" = --system ]; then
    wanted=$(grep -v '^ *#' tests/guests/packages)
fi
if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    if [ -n "${no_venv:-}" ]; then
        need "$(basename "$python")-venv"
    fi
    # shellcheck disable=SC2086
    need $wanted
    if [ -n "$missing" ]; then
        as_root apt-get update -q
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
    fi
else
    if [ -n "${no_venv:-}" ]; then
        echo "Python's venv and ensurepip modules are missing; install them and try again." >&2
        exit 1
    fi
    commands=$(sed -n 's/^# commands: //p' tests/guests/packages)
    for tool in $commands; do
        if [ -n "$wanted" ] && ! command -v "$tool" >/dev/null 2>&1; then
            missing="$missing $tool"
        fi
    done
    if [ -n "$missing" ]; then
        echo "These commands are missing:$missing" >&2
        echo "On Debian they come from: $(echo "$wanted" | tr '\n' ' ')" >&2
        echo "Install your system's packages for them and try again." >&2
        exit 1
    fi
fi

stamp=.venv/.requirements
if [ ! -x .venv/bin/nox ] || ! cmp -s requirements-test.txt "$stamp"; then
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
    cp requirements-test.txt "$stamp"
fi
