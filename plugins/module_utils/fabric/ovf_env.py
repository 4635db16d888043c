# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ovf-env.xml, the configuration that Azure puts on the provisioning CD-ROM.

Element names and namespaces as both readers want them: WALinuxAgent (azurelinuxagent/common/protocol/ovfenv.py)
and cloud-init (cloudinit/sources/helpers/azure.py, class OvfEnvXml, which refuses repeated elements).

Private to the collection: its interface may change in any release.
"""

import base64
import binascii
import hashlib
from xml.sax.saxutils import escape

from ansible_collections.linuxvhd.azure.plugins.module_utils.fabric.deployment import Deployment

#: Names of the file and of the volume; cloud-init looks for volumes that begin with rd_rdfe_.
FILE_NAME = "ovf-env.xml"
VOLUME_LABEL = "rd_rdfe_stable.proof"


def key_fingerprint(public_key: str) -> str:
    """Forty hexadecimal digits, as for a certificate: only their form matters where the key's value is given."""
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1] if len(words) > 1 else "")
    except (binascii.Error, ValueError):
        blob = b""
    return hashlib.sha256(blob).hexdigest()[:40].upper()


def render(deployment: Deployment) -> str:
    """The document for a deployment. An empty password leaves its element out, and so does empty custom data."""
    rows = ["<HostName>%s</HostName>" % escape(deployment.hostname)]
    rows.append("<UserName>%s</UserName>" % escape(deployment.user))
    if deployment.password:
        rows.append("<UserPassword>%s</UserPassword>" % escape(deployment.password))
    disabled = "false" if deployment.password else "true"
    rows.append("<DisableSshPasswordAuthentication>%s</DisableSshPasswordAuthentication>" % disabled)
    if deployment.custom_data:
        rows.append("<CustomData>%s</CustomData>" % base64.b64encode(deployment.custom_data).decode("ascii"))
    keys = "".join(
        "<PublicKey><Fingerprint>%s</Fingerprint><Path>/home/%s/.ssh/authorized_keys</Path><Value>%s</Value></PublicKey>"
        % (key_fingerprint(key), escape(deployment.user), escape(key))
        for key in deployment.public_keys
    )
    if keys:
        rows.append("<SSH><PublicKeys>%s</PublicKeys></SSH>" % keys)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" '
        'xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" '
        'xmlns:wa="http://schemas.microsoft.com/windowsazure" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        "  <wa:ProvisioningSection>\n    <wa:Version>1.0</wa:Version>\n"
        '    <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">\n'
        "      <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>\n"
        "      %s\n    </LinuxProvisioningConfigurationSet>\n  </wa:ProvisioningSection>\n"
        "  <wa:PlatformSettingsSection>\n    <wa:Version>1.0</wa:Version>\n"
        '    <PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance">\n'
        "      <KmsServerHostname>kms.core.windows.net</KmsServerHostname>\n"
        "      <ProvisionGuestAgent>true</ProvisionGuestAgent>\n"
        '      <GuestAgentPackageName i:nil="true" />\n      <PreprovisionedVm>false</PreprovisionedVm>\n'
        "    </PlatformSettings>\n  </wa:PlatformSettingsSection>\n</Environment>\n" % "\n      ".join(rows)
    )
