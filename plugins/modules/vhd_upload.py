#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: vhd_upload
short_description: Upload a fixed VHD to an Azure page blob or managed disk
version_added: 0.1.0
description:
  - Uploads a disk image to a page blob, or through an upload SAS to a managed disk. Holes and zeros are neither read
    nor sent; the rest goes in parallel, each range with its checksum.
  - A file that Azure would refuse is refused before a byte is sent. It must be a fixed VHD with a good footer and a
    whole number of MiB, from 20 MiB on. Run M(linuxvhd.azure.vhd_align) first.
  - An upload that was interrupted, in whatever way, is gone on with by running the same task again. What is there
    already is compared by checksum, not trusted. The footer is written last, so that an unfinished upload is no disk.
  - A blob that exists is left alone unless O(overwrite=true), or unless it is an earlier upload of the same file. A
    lease of someone else is respected.
  - Progress is shown on the terminal while the task runs, also when the image lies on another machine.
  - The upload speaks the Blob Storage REST protocol itself, with the Python standard library. Azure's SDK reads every
    hole of a sparse image and sends chunks of 4 MiB wherever one byte is not zero. It is used for what it is good
    at, authentication, when O(account_url) is given.
options:
  path:
    description:
      - The image on the machine where the module runs. A fixed VHD, or with O(format=raw) a raw image or block device.
      - An image that another process has open for writing is refused.
    type: path
    required: true
  format:
    description:
      - V(vpc) is a fixed VHD.
      - V(raw) is a raw image. It is uploaded as a fixed VHD, rounded up to a whole number of MiB, with the footer added
        on the way; the file is not changed.
    type: str
    choices: [vpc, raw]
    default: vpc
  url:
    description:
      - URL of the blob with its SAS token (permissions read, create and write, C(sp=rcw)), or the upload SAS of a
        managed disk (C(az disk grant-access --access-level Write)).
      - It is never shown in any output. Set C(no_log) on tasks that build it.
    type: str
  account_url:
    description:
      - Blob endpoint of the storage account, for instance V(https://account.blob.core.windows.net).
      - The credential is found by the Python package azure-identity (C(DefaultAzureCredential)), or where that is not
        installed by C(az account get-access-token). It needs the role Storage Blob Data Contributor.
    type: str
  container:
    description: Name of an existing container, with O(account_url).
    type: str
  blob:
    description: Name of the blob, with O(account_url). It should end in C(.vhd).
    type: str
  destination:
    description:
      - Whether the URL is that of a blob or of a managed disk. V(auto) tells by the host name (C(md-...)).
      - A managed disk exists already, in the right size; it has no metadata and takes no lease.
    type: str
    choices: [auto, blob, managed_disk]
    default: auto
  parallel:
    description: Requests at a time, 1 to 16. Each holds up to 4 MiB in memory.
    type: int
    default: 8
  resume:
    description: Go on with an unfinished upload of the same file. With V(false) it is begun anew.
    type: bool
    default: true
  verify:
    description:
      - Compare at the end. Ranges whose checksum the service did not return are read back, and the blob's list of pages
        must be the one that was sent.
      - With V(false) no checksums are computed or sent either, which is faster where the processor is slower than the
        network, and as much as other tools do. What an earlier upload has left is compared all the same.
    type: bool
    default: true
  overwrite:
    description: Replace a blob that exists, or the content of a managed disk that holds another finished disk.
    type: bool
    default: false
  content_md5:
    description:
      - Whether to store the MD5 of the whole blob, zeros included, as its C(Content-MD5). Hashing 30 GiB of mostly
        zeros takes longer than the upload, so V(auto) does it up to 128 MiB.
      - A digest over the data ranges alone is stored in any case, see RV(digest).
    type: str
    choices: [auto, always, never]
    default: auto
  max_size_gib:
    description: Largest virtual size that is accepted. Azure takes 4095 GiB for an OS disk, 32767 for a data disk.
    type: int
    default: 4095
  timeout:
    description: Seconds without any progress on a connection before it is given up and tried again.
    type: int
    default: 60
  retry_seconds:
    description:
      - How long requests are tried again while none succeeds, in seconds. The pauses grow, and the pause that a busy
        service asks for is kept.
    type: int
    default: 300
  allow_http:
    description: Allow a URL without TLS on another machine than this, for test servers.
    type: bool
    default: false
  progress_file:
    description:
      - File to create on the machine where the module runs. It holds one line of JSON on how far the upload is, renewed
        every second, and is removed at the end.
      - The lines on the terminal come from such a file. The variable C(azure_progress_seconds) says how often
        (5; 0 for never). They are shown for connections V(local) and V(ssh), and not in check mode or with C(async).
    type: path
author:
  - The linuxvhd.azure contributors (@linuxvhd)
extends_documentation_fragment:
  - linuxvhd.azure.attributes
attributes:
  check_mode:
    support: full
    details: Reads the image's footer and the state of the blob, and sends nothing.
  diff_mode:
    support: full
  idempotent:
    support: full
  safe_file_operations:
    support: full
    details: Writes no file but O(progress_file).
notes:
  - Whether C(Content-MD5) is checked on arrival is up to the service; Azure does. Emulators mostly do not, and their
    blobs are therefore read back.
  - What only Azure itself does with a disk later (creating an image, booting) is not seen by this module.
seealso:
  - module: linuxvhd.azure.vhd_align
  - name: Upload a VHD to Azure or copy a managed disk to another region
    description: Where the limits of size and the managed disk's upload come from.
    link: https://learn.microsoft.com/azure/virtual-machines/linux/disks-upload-vhd-to-managed-disk-cli
  - name: Put Page (REST API)
    description: The request that writes pages.
    link: https://learn.microsoft.com/rest/api/storageservices/put-page
"""

EXAMPLES = r"""
- name: Upload with a SAS, from the KVM host that holds the image
  linuxvhd.azure.vhd_upload:
    path: /var/lib/libvirt/images/web.vhd
    url: "{{ vault_blob_sas_url }}"

- name: Upload a raw image straight into a storage account, as the identity of this machine
  linuxvhd.azure.vhd_upload:
    path: /var/lib/libvirt/images/web.raw
    format: raw
    account_url: https://imagestore.blob.core.windows.net
    container: images
    blob: web.vhd

- name: Fill a managed disk that was created for upload
  linuxvhd.azure.vhd_upload:
    path: /var/lib/libvirt/images/web.vhd
    url: "{{ disk_access.accessSAS }}"
    destination: managed_disk
"""

RETURN = r"""
bytes_sent:
  description: Bytes of the bodies of all requests, repeated ones included.
  returned: success
  type: int
  sample: 2101346304
data_bytes:
  description:
    - Bytes of the ranges that are not zero, footer included. A small gap of zeros counts where it is sent along.
    - In check mode the bytes that the file system has allocated.
  returned: success
  type: int
  sample: 2101346304
resumed_bytes:
  description: Bytes of RV(data_bytes) that were found at the destination, compared, and not sent again.
  returned: success
  type: int
  sample: 0
cleared_bytes:
  description: Bytes at the destination that are zeros in the image and were made so.
  returned: success
  type: int
  sample: 0
ranges:
  description: Number of ranges, footer included. Not known in check mode (0).
  returned: success
  type: int
  sample: 1489
virtual_size_bytes:
  description: Size of the disk; the blob has 512 bytes more.
  returned: success
  type: int
  sample: 32212254720
etag:
  description: The blob's ETag after the upload.
  returned: success
  type: str
  sample: '"0x8DBF5C1B0A3D2E0"'
md5:
  description: MD5 of the whole blob in hexadecimal digits; null where it was not asked for, see O(content_md5).
  returned: success
  type: str
  sample: d41d8cd98f00b204e9800998ecf8427e
content_md5:
  description: The same as base64, as Azure shows it in C(Content-MD5).
  returned: success
  type: str
  sample: 1B2M2Y8AsgTpgAmY7PhCfg==
digest:
  description:
    - SHA-256 over the big-endian 64-bit offset, 32-bit length and MD5 of each range, and then the footer. It depends on
      the content alone and is stored in the blob's metadata as C(vhddigest). Null in check mode and with
      O(verify=false).
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
blob_url:
  description: URL of the blob without its token.
  returned: success
  type: str
  sample: https://imagestore.blob.core.windows.net/images/web.vhd
action:
  description:
    - What was, or in check mode would be, done with the destination. One of V(create), V(replace), V(resume), and
      V(none) when it holds the disk already.
  returned: success
  type: str
  sample: create
requests:
  description: Number of requests.
  returned: success
  type: int
  sample: 1503
retries:
  description: Number of requests that had to be sent again.
  returned: success
  type: int
  sample: 0
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 41.2
resumable:
  description: Whether the same task, run again, goes on with what is at the destination already.
  returned: failure of an upload that had begun
  type: bool
  sample: true
"""

import json
import os
import time
from typing import Any, Callable, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.linuxvhd.azure.plugins.module_utils.errors import AzurePrepError
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd import upload, upload_credential
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.pageblob import (
    Address,
    PageBlobClient,
    Policy,
    blob_url,
    is_loopback,
)
from ansible_collections.linuxvhd.azure.plugins.module_utils.vhd.upload_source import GIB, Source, open_source

MAX_PARALLEL = 16

#: A progress line is padded to this, so that a reader never sees half of a longer one.
LINE = 600


def argument_spec() -> Dict[str, Any]:
    return {
        "path": {"type": "path", "required": True},
        "format": {"type": "str", "choices": ["vpc", "raw"], "default": "vpc"},
        "url": {"type": "str", "no_log": True},
        "account_url": {"type": "str"},
        "container": {"type": "str"},
        "blob": {"type": "str"},
        "destination": {"type": "str", "choices": ["auto", "blob", "managed_disk"], "default": "auto"},
        "parallel": {"type": "int", "default": 8},
        "resume": {"type": "bool", "default": True},
        "verify": {"type": "bool", "default": True},
        "overwrite": {"type": "bool", "default": False},
        "content_md5": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "max_size_gib": {"type": "int", "default": 4095},
        "timeout": {"type": "int", "default": 60},
        "retry_seconds": {"type": "int", "default": 300},
        "allow_http": {"type": "bool", "default": False},
        "progress_file": {"type": "path"},
    }


class ProgressFile:
    """The last state of an upload as one line in a file that anybody may read and that holds nothing secret."""

    def __init__(self, path: Optional[str], name: str) -> None:
        self._path = path or ""
        self._name = name
        self._last = ("", 0.0)
        self._descriptor = -1
        self.warning = ""
        if self._path:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self._path, flags, 0o644)
                os.fchmod(self._descriptor, 0o644)
            except OSError as exc:
                self.warning = "Cannot create progress_file %s: %s." % (self._path, exc.strerror or exc)

    def __call__(self, progress: upload.Progress) -> None:
        if self._descriptor < 0 or (self._last[0] == progress.phase and time.monotonic() - self._last[1] < 1.0):
            return
        self._last = (progress.phase, time.monotonic())
        line = json.dumps(dict(progress._asdict(), text=upload.progress_line(self._name, progress)))
        try:
            os.pwrite(self._descriptor, line.encode("utf-8").ljust(LINE - 1) + b"\n", 0)
        except OSError as exc:
            # Nobody wants to lose an upload of hours to a full /tmp.
            self.warning = "Cannot write progress_file %s: %s." % (self._path, exc.strerror or exc)
            self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                return
            except OSError as exc:
                self.warning = "Cannot remove progress_file %s: %s." % (self._path, exc.strerror or exc)


def connect(params: Dict[str, Any], address: Address) -> PageBlobClient:
    """The client for the address, with a credential where the address has no token."""
    if not 1 <= params["parallel"] <= MAX_PARALLEL:
        raise AzurePrepError("parallel must be from 1 to %d." % MAX_PARALLEL)
    for name in ("timeout", "retry_seconds", "max_size_gib"):
        if params[name] < 1:
            raise AzurePrepError("%s must be at least 1." % name)
    bearer: Optional[Callable[[bool], str]] = None
    if params.get("account_url"):
        bearer = upload_credential.bearer(address.hide)
    elif not address.signature and not is_loopback(address.host):
        raise AzurePrepError("url has no SAS token (no sig=); add it, or give account_url, container and blob instead.")
    policy = Policy(params["parallel"], float(params["timeout"]), float(params["retry_seconds"]))
    return PageBlobClient(address, policy, bearer)


def predict(source: Source, client: PageBlobClient, options: upload.Options) -> Dict[str, Any]:
    """The result of check mode: everything that can be told without sending or reading data."""
    plan = upload.make_plan(source, client, options)
    same = plan.action == "compare"
    return {
        "changed": not same,
        "action": "none" if same else plan.action,
        "bytes_sent": 0,
        "data_bytes": sum(block.allocated for block in source.blocks()) + upload.FOOTER,
        "resumed_bytes": 0,
        "cleared_bytes": 0,
        "ranges": 0,
        "virtual_size_bytes": source.size,
        "etag": plan.state.etag if plan.state else "",
        "md5": None,
        "content_md5": None,
        "digest": None,
        "requests": client.requests,
        "retries": client.retries,
        "seconds": 0.0,
        "warnings": list(source.warnings),
    }


def difference(result: Dict[str, Any], where: str) -> Dict[str, str]:
    """Before and after of the blob, as lines."""
    after = "page blob, %d bytes\n" % (result["virtual_size_bytes"] + upload.FOOTER)
    before = {"create": "absent\n", "replace": "another blob\n", "resume": "unfinished upload\n", "none": after}
    return {"before_header": where, "after_header": where, "before": before[result["action"]], "after": after}


def run(params: Dict[str, Any], address: Address, check_mode: bool) -> Dict[str, Any]:
    """Upload, or say what an upload would do; the module's result, with `warnings`."""
    managed = params["destination"] == "managed_disk" or (params["destination"] == "auto" and address.is_managed_disk)
    options = upload.Options(managed, params["resume"], params["verify"], params["overwrite"], params["content_md5"])
    client = connect(params, address)
    source = open_source(params["path"], params["format"], params["max_size_gib"] * GIB)
    try:
        if check_mode:
            result = predict(source, client, options)
        else:
            progress = ProgressFile(params.get("progress_file"), params["path"])
            try:
                result = dict(upload.upload(source, client, options, progress)._asdict())
            finally:
                progress.close()
            result["warnings"] += [progress.warning] if progress.warning else []
    finally:
        source.close()
        client.close()
    if params.get("blob") and not params["blob"].endswith(".vhd"):
        result["warnings"].append("The name of the blob does not end in .vhd, which parts of Azure expect.")
    result["blob_url"] = address.public
    result["diff"] = [difference(result, address.public)]
    return result


def secrets_of(params: Dict[str, Any]) -> List[str]:
    """What must not be shown: more than the option that is marked, since texts quote parts of it."""
    found = []
    for name in ("url", "account_url"):
        text = params.get(name) or ""
        if "?" in text:
            query = text.split("?", 1)[1]
            found += [query] + [part.split("=", 1)[1] for part in query.split("&") if part.startswith("sig=")]
    return [secret for secret in found if len(secret) > 3]


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        mutually_exclusive=[("url", "account_url")],
        required_one_of=[("url", "account_url")],
        required_together=[("account_url", "container", "blob")],
    )
    params = module.params
    module.no_log_values.update(secrets_of(params))
    address: Optional[Address] = None
    try:
        url = params["url"] or blob_url(params["account_url"], params["container"], params["blob"])
        address = Address(url, params["allow_http"])
        module.no_log_values.update(address.secrets)
        result = run(params, address, module.check_mode)
    except AzurePrepError as exc:
        text = str(exc) if address is None else address.scrub(str(exc))
        module.fail_json(msg=text, **exc.details)
    except Exception as exc:  # a traceback would show the URL with its token, so even a bug is told as a sentence
        text = "%s: %s" % (type(exc).__name__, exc)
        module.fail_json(msg="Unexpected error: " + (text if address is None else address.scrub(text)))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
