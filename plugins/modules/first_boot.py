#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
---
module: first_boot
short_description: Boot an image as Azure would the first time, and watch it provision
version_added: 0.1.0
description:
  - Boots an overlay of a fixed VHD (or raw disk) in QEMU, on a simulated Azure fabric, and reports whether it
    boots, provisions and reports ready. The image itself is never written.
  - Inside the VM's own user-mode network stand Azure's two fixed addresses, C(168.63.129.16) (WireServer and host
    plugin) and C(169.254.169.254) (instance metadata), and nothing else. No packet leaves the QEMU process.
  - The provisioning medium is a real UDF volume with C(ovf-env.xml), as on Azure.
  - A passed proof shows that the image boots and provisions. It does not show Hyper-V's own devices, the platform's
    extension handlers, or accelerated networking.
  - Ready means that a health report arrived that names the right container, instance and incarnation.
extends_documentation_fragment:
  - linuxvhd.azure.attributes
attributes:
  check_mode:
    support: full
    details: The image is inspected and the tools are looked for, but nothing is booted; RV(ready) is then false.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: The image is left as it is; every run is a fresh first boot.
  safe_file_operations:
    support: none
options:
  path:
    description: The image, a fixed VHD or a raw disk. It is opened for reading only.
    type: path
    required: true
  provisioner:
    description: Who is expected to provision. With V(auto) whoever reports ready is taken.
    type: str
    choices: [auto, cloud-init, waagent, agentless]
    default: auto
  generation:
    description:
      - The generation of the VM, V(1) for BIOS and V(2) for UEFI.
      - With V(auto) the disk decides; V(1) where both would find something to start.
    type: str
    choices: [auto, '1', '2']
    default: auto
  accel:
    description:
      - How QEMU runs the guest. With V(auto) KVM is taken where a guest of one sector really ran to its end,
        software emulation (V(tcg)) everywhere else.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  bus:
    description:
      - The controller that the disk hangs on. Hyper-V has none of them, and QEMU has none of Hyper-V's.
      - When the guest finds no disk, the other controllers are tried one after the other in the same boot.
    type: str
    choices: [virtio-scsi, virtio-blk, ahci, nvme, pvscsi]
    default: virtio-scsi
  hostname:
    description: The host name that the VM is to get. Letters, digits and hyphens.
    type: str
    default: azureproof
  user:
    description: The user that provisioning is to create.
    type: str
    default: azureuser
  ssh_public_key:
    description:
      - A public key for the user, besides the temporary one that the proof makes to log in with.
    type: str
    default: ''
  password:
    description:
      - A password for the user. A login with it is then tried too. Without one, passwords must be refused.
      - Azure wants at least twelve characters of three kinds; so do some images.
    type: str
    default: ''
  resource_disk_gib:
    description:
      - Size in GiB of a temporary disk beside the disk of the system; V(0) for none.
      - cloud-init and the agent know the resource disk by a VMBus identifier that only Hyper-V gives, so the check
        of its use says skipped here.
    type: int
    default: 0
  memory_mib:
    description: Memory of the VM in MiB.
    type: int
    default: 1024
  cpus:
    description: Number of processors.
    type: int
    default: 1
  timeout:
    description: Seconds from power-on until the guest must have reported ready; the same again for the second boot.
    type: int
    default: 900
  second_boot:
    description: Restart the guest without the medium, and see that it does not provision again.
    type: bool
    default: true
  certificates:
    description: Name certificates in the goal state, which the agent then fetches and decrypts. Needs openssl.
    type: bool
    default: false
  artifacts:
    description:
      - A folder for C(proof.json), C(proof.html), C(serial.log) and C(packets.pcap). It is created when missing.
    type: path
    default: ''
  qemu:
    description: The QEMU binary. Found by itself when empty.
    type: path
    default: ''
notes:
  - Runs without privileges. Needs QEMU for x86_64, qemu-img and an OpenSSH client; OVMF for generation 2.
  - The guest's network card is a PCI device here. Where the image does not boot with C(net.ifnames=0), it has another
    name than C(eth0), which it has on Hyper-V; a network configuration by that name is then not applied. The
    diagnosis says so.
seealso:
  - module: linuxvhd.azure.vhd_align
  - module: linuxvhd.azure.initrd_hyperv
    description: Verifies that the initramfs holds Hyper-V's drivers, which a proof cannot show.
author:
  - The linuxvhd.azure contributors (@linuxvhd)
"""

EXAMPLES = r"""
- name: Prove that an image boots and provisions
  linuxvhd.azure.first_boot:
    path: build/image.vhd
    artifacts: build/proof
  register: proof

- name: Stop where it does not
  ansible.builtin.assert:
    that: proof.passed
    fail_msg: "{{ proof.diagnosis.sentence | default('some check failed') }}"

- name: A Gen2 image that the agent provisions, with a password
  linuxvhd.azure.first_boot:
    path: build/image-gen2.vhd
    generation: '2'
    provisioner: waagent
    password: "{{ lookup('ansible.builtin.password', '/dev/null', length=20) }}"
    timeout: 600
"""

RETURN = r"""
ready:
  description: Whether a health report with state Ready and the right identifiers arrived in time.
  returned: always
  type: bool
  sample: true
passed:
  description: RV(ready), and no check failed.
  returned: always
  type: bool
  sample: true
ready_seconds:
  description: Seconds from power-on to that report; null where there was none.
  returned: always
  type: float
  sample: 31.4
verdict_seconds:
  description: Seconds from power-on until the first boot was judged.
  returned: always
  type: float
  sample: 44.9
provisioned:
  description: Who and what was provisioned, as seen by a login; empty values where there was no login.
  returned: always
  type: dict
  contains:
    user:
      description: The user that the login with the key gave.
      type: str
      returned: always
      sample: azureuser
    hostname:
      description: The host name.
      type: str
      returned: always
      sample: azureproof
    ssh_key:
      description: Whether the login with the private key worked.
      type: bool
      returned: always
      sample: true
    host_keys:
      description: Fingerprint and type of each SSH host key.
      type: list
      elements: str
      returned: always
      sample: ["SHA256:2EjZ... (ED25519)"]
    host_keys_new:
      description: Whether all of them were made during this boot.
      type: bool
      returned: always
      sample: true
    machine_id:
      description: The machine-id.
      type: str
      returned: always
      sample: 0f4c2d7f9b0a4c0b9c3c1c54a9d9a7e1
checks:
  description: Every check with its rule and evidence. The status is pass, fail or skipped; skipped is never a pass.
  returned: always
  type: list
  elements: dict
  sample: [{"id": "hostname", "title": "the host name is set", "rule": "NET-16", "status": "pass",
            "evidence": "host name azureproof, wanted azureproof"}]
timeline:
  description: What happened when, in seconds since power-on.
  returned: always
  type: list
  elements: dict
  sample: [{"seconds": 6.3, "name": "kernel", "text": "kernel"}]
boot_errors:
  description: Lines of the serial console that speak of errors, each once.
  returned: always
  type: list
  elements: str
  sample: []
diagnosis:
  description: The most likely cause where the proof did not pass, with the rule that names the cure; null otherwise.
  returned: always
  type: dict
  sample: {"cause": "udf", "rule": "KERN-06", "sentence": "The provisioning medium could not be mounted.",
           "evidence": "mount: unknown filesystem type 'udf'"}
requests:
  description: Everything that the guest asked the fabric, with the answers.
  returned: always
  type: list
  elements: dict
  sample: [{"seconds": 21.7, "service": "wireserver", "method": "GET", "target": "/machine/?comp=goalstate",
            "agent": "Cloud-Init/22.4.2", "status": 200, "topic": "goal_state", "note": "", "known": true,
            "report": null}]
unknown_requests:
  description: What the guest asked for and the fabric does not simulate.
  returned: always
  type: list
  elements: str
  sample: []
serial_log:
  description: Path of the serial log among the artifacts; empty where O(artifacts) was not given.
  returned: always
  type: str
  sample: build/proof/serial.log
serial_tail:
  description: The last lines of the serial console.
  returned: always
  type: list
  elements: str
  sample: ["azureproof login:"]
generation:
  description: The generation that was booted.
  returned: always
  type: int
  sample: 1
accel:
  description: The accelerator that was used, kvm or tcg.
  returned: always
  type: str
  sample: kvm
image:
  description: What is known of the image, from its boot sectors and from inside.
  returned: always
  type: dict
  sample: {"path": "build/image.vhd", "format": "vhd", "virtual_size_bytes": 3221225472, "boots": [1, 2],
           "evidence": "code in the first sector, a GPT, a BIOS boot partition, an EFI system partition",
           "release": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0-41-amd64"}
report:
  description: Verdict, timeline and checks as lines of text, for a terminal.
  returned: always
  type: list
  elements: str
  sample: ["build/image.vhd: boots and provisions"]
not_proven:
  description: What a passed proof does not cover, in a sentence.
  returned: always
  type: str
  sample: A passed proof shows that the image boots and provisions; it does not show Hyper-V's own devices.
"""

import re
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric import proof
from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.qemu import BUSES

#: Names that Azure accepts, and that cannot break out of a document or a command line.
HOSTNAME = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?\Z")
USER = re.compile(r"^[a-z_][a-z0-9_-]{0,31}\Z")
PUBLIC_KEY = re.compile(r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]{40,}(?: [^\r\n]*)?\Z")


def argument_spec() -> Dict[str, Any]:
    """The module's options, as AnsibleModule wants them."""
    return {
        "path": {"type": "path", "required": True},
        "provisioner": {"choices": ["auto", "cloud-init", "waagent", "agentless"], "default": "auto"},
        "generation": {"choices": ["auto", "1", "2"], "default": "auto"},
        "accel": {"choices": ["auto", "kvm", "tcg"], "default": "auto"},
        "bus": {"choices": ["virtio-scsi", "virtio-blk", "ahci", "nvme", "pvscsi"], "default": "virtio-scsi"},
        "hostname": {"type": "str", "default": "azureproof"},
        "user": {"type": "str", "default": "azureuser"},
        "ssh_public_key": {"type": "str", "default": "", "no_log": False},
        "password": {"type": "str", "default": "", "no_log": True},
        "resource_disk_gib": {"type": "int", "default": 0},
        "memory_mib": {"type": "int", "default": 1024},
        "cpus": {"type": "int", "default": 1},
        "timeout": {"type": "int", "default": 900},
        "second_boot": {"type": "bool", "default": True},
        "certificates": {"type": "bool", "default": False},
        "artifacts": {"type": "path", "default": ""},
        "qemu": {"type": "path", "default": ""},
    }


def read_options(params: Dict[str, Any]) -> proof.Options:
    """The options, checked; AzurePrepError says which is wrong and what it may be."""
    options = proof.Options(**{name: params[name] for name in proof.Options._fields})
    if not HOSTNAME.match(options.hostname):
        raise AzurePrepError("hostname is %r; use letters, digits and hyphens, at most 64." % options.hostname)
    if not USER.match(options.user) or options.user == "root":
        raise AzurePrepError("user is %r; Azure wants a lower-case name that is not root." % options.user)
    if options.ssh_public_key and not PUBLIC_KEY.match(options.ssh_public_key.strip()):
        raise AzurePrepError("ssh_public_key is no public key line (type, key in base64, comment).")
    if re.search(r"[\x00-\x1f\x7f]", options.password):
        raise AzurePrepError("password holds control characters.")
    if options.bus not in BUSES:
        raise AzurePrepError("bus is %r; choose one of %s." % (options.bus, ", ".join(BUSES)))
    for name, low, high in (
        ("resource_disk_gib", 0, 4096),
        ("memory_mib", 128, 1 << 20),
        ("cpus", 1, 64),
        ("timeout", 10, 24 * 3600),
    ):
        value = getattr(options, name)
        if not low <= value <= high:
            raise AzurePrepError("%s is %d; it must be between %d and %d." % (name, value, low, high))
    return options


def run(params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Boot and judge; in check mode only look whether that could be done."""
    options = read_options(params)
    result = proof.rehearse(options) if check_mode else proof.prove(options)
    return dict(result, changed=False)


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except AzurePrepError as exc:
        module.fail_json(msg=str(exc), **exc.details)
    except proof.Interrupted as exc:
        module.fail_json(msg="Interrupted by %s; the guest was ended and nothing is left behind." % exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
