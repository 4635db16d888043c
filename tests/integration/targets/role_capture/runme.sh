#!/usr/bin/env bash
# The capture playbook against a stand-in for a guest: a process that holds a disk open, reached through a fake ssh.
# shellcheck disable=SC2016,SC2086
# Single quotes keep what another shell is to expand; unquoted variables hold several words.
set -eux
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
# Ansible looks for the results of asynchronous tasks in the home directory of the account, not in $HOME: the role must
# not depend on the two being the same.
export HOME=$work/elsewhere
mkdir "$HOME"
holder=
finish() {
    [ -z "$holder" ] || kill "$holder" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

if ! unshare --mount --map-root-user true 2>/dev/null; then
    echo "skipped, because this machine allows no mount namespace"
    exit 0
fi

export FAKE_GUEST=$work/guest FAKE_KVM=$work/kvm
mkdir -p "$FAKE_GUEST/bin" "$FAKE_GUEST/python" "$FAKE_KVM" "$work/guest-only"
echo 11111111-2222-3333-4444-555555555555 > "$FAKE_GUEST/boot_id"
# systemctl poweroff of the fake guest: the holder of the disk ends.
printf '#!/bin/sh\nkill "$(cat %s/holder.pid)"\n' "$FAKE_GUEST" > "$FAKE_GUEST/bin/systemctl"
chmod +x "$FAKE_GUEST/bin/systemctl"
# Only the guest has this Python, as Debian 13 alone has python3.13.
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v python3)" > "$FAKE_GUEST/python/python3.99"
chmod +x "$FAKE_GUEST/python/python3.99"
cat > "$work/inventory.yml" <<INVENTORY
all:
  hosts:
    guest1:
      ansible_host: 127.0.0.1
      ansible_ssh_executable: "$here/files/fake-ssh"
      ansible_ssh_transfer_method: piped
      ansible_pipelining: true
      ansible_remote_tmp: "$work/guest/tmp"
      ansible_python_interpreter: "$work/guest-only/python3.99"
    kvm1:
      ansible_host: 127.0.0.1
      ansible_ssh_executable: "$here/files/fake-ssh-kvm"
      ansible_ssh_transfer_method: piped
      ansible_pipelining: true
      ansible_remote_tmp: "$work/kvm-tmp"
      ansible_python_interpreter: "$(command -v python3)"
INVENTORY

hold() {
    python3 "$here/files/hold.py" "$1" > "$work/held" &
    holder=$!
    echo "$holder" > "$FAKE_GUEST/holder.pid"
    timeout 20 sh -c "until grep -q held '$work/held'; do sleep 0.1; done"
}

capture() {
    ansible-playbook -i "$work/inventory.yml" -l guest1 linuxvhd.azure.capture_azure \
        -e azure_capture_audit=false -e azure_capture_generalize=false -e __capture_has_deprovision=false -e azure_capture_timeout=60 "$@"
}

refused() { # sentence, arguments
    local sentence=$1
    shift
    if capture "$@" > "$work/out" 2>&1; then
        cat "$work/out"
        exit 1
    fi
    tr -s ' \n' ' ' < "$work/out" | grep -q "$sentence" || { cat "$work/out"; exit 1; }
    kill -0 "$holder"
}

truncate -s 21300000 "$work/disk.raw"
printf 'boot sector' | dd of="$work/disk.raw" conv=notrunc status=none
hold "$work/disk.raw"
source="-e azure_capture_source=$work/disk.raw"
yes="-e azure_confirm_capture=guest1"

# Nothing happens without consent, to the wrong guest, or to a disk that is not the guest's.
refused "takes away its accounts and keys" $source
refused "takes away its accounts and keys" $source -e azure_confirm_capture=guest2
refused "must be the absolute path" $yes
refused "does not exist" $yes -e azure_capture_source="$work/absent.raw"
truncate -s 21M "$work/other.raw"
refused "hardly its disk" $yes -e azure_capture_source="$work/other.raw"
refused "connection: local" $source $yes -e ansible_connection=local
refused "below 20 MiB" $yes -e azure_capture_source="$FAKE_GUEST/boot_id"
cp /proc/sys/kernel/random/boot_id "$FAKE_GUEST/boot_id.real"
mv "$FAKE_GUEST/boot_id" "$FAKE_GUEST/boot_id.fake"
mv "$FAKE_GUEST/boot_id.real" "$FAKE_GUEST/boot_id"
refused "is the machine that runs Ansible" $source $yes
mv "$FAKE_GUEST/boot_id.fake" "$FAKE_GUEST/boot_id"

# Check mode tells and leaves everything as it is.
capture $source $yes --check --diff > "$work/out"
grep -q "write the footer" "$work/out"
kill -0 "$holder"
test "$(stat -c %s "$work/disk.raw")" = 21300000

# For real, to a new file.
capture $source $yes -e azure_capture_dest="$work/disk.vhd"
if kill -0 "$holder" 2>/dev/null; then exit 1; fi
test "$(stat -c %s "$work/disk.vhd")" = $((21 * 1048576 + 512))
test "$(tail -c 512 "$work/disk.vhd" | head -c 8)" = conectix
test "$(stat -c %s "$work/disk.raw")" = 21300000
python3 - "$work/disk.vhd" "$(command -v sha256sum)" <<'PYTHON'
import json, subprocess, sys
manifest = json.load(open(sys.argv[1] + ".manifest.json"))
digest = subprocess.check_output([sys.argv[2], sys.argv[1]]).split()[0].decode()
assert manifest["sha256"] == digest, manifest
assert manifest["virtual_size_bytes"] == 21 * 1048576, manifest
assert manifest["file_size_bytes"] == 21 * 1048576 + 512, manifest
assert manifest["hyper_v_generation"] in ("1", "2"), manifest
assert manifest["state"] == "specialized", manifest
assert manifest["architecture"] != "unknown", manifest
assert manifest["collection"]["name"] == "linuxvhd.azure", manifest
PYTHON

# The same disk on the machine that runs the guest, which is not the one that runs Ansible: nobody else sees /mnt/disk.raw.
cp --sparse=always "$work/disk.raw" "$FAKE_KVM/disk.raw"
hold "$FAKE_KVM/disk.raw"
remote="-e azure_capture_delegate=kvm1 -e azure_capture_source=/mnt/disk.raw -e azure_capture_dest=/mnt/disk.vhd"
refused "does not exist" $yes $remote -e azure_capture_delegate=localhost
capture $yes $remote --check > "$work/out"
grep -q "write the footer" "$work/out"
kill -0 "$holder"
capture $yes $remote
if kill -0 "$holder" 2>/dev/null; then exit 1; fi
test ! -e /mnt/disk.vhd
cmp -n $((21 * 1048576)) "$FAKE_KVM/disk.vhd" "$work/disk.vhd"
test "$(tail -c 512 "$FAKE_KVM/disk.vhd" | head -c 8)" = conectix
grep -q '"machine": "kvm1"' "$FAKE_KVM/disk.vhd.manifest.json"
grep -q "\"sha256\": \"$(sha256sum < "$FAKE_KVM/disk.vhd" | cut -d ' ' -f 1)\"" "$FAKE_KVM/disk.vhd.manifest.json"

# The guest is off: once more, in place.
holder=$$
capture $source $yes -e azure_capture_guest_is_off=true -e azure_capture_generation=2
holder=
test "$(stat -c %s "$work/disk.raw")" = $((21 * 1048576 + 512))
grep -q '"hyper_v_generation": "2"' "$work/disk.raw.manifest.json"
cmp -n $((21 * 1048576)) "$work/disk.raw" "$work/disk.vhd"
