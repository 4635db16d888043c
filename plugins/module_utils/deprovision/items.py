# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of what a generalised image must not carry: one line per item, as data.

Sources: azure-vm documentation on generalising and on images without an agent, WALinuxAgent's own deprovision (what
it leaves behind), cloud-init's clean command, and the file hierarchies of the distributions. docs/deprovision.md sets
the list beside virt-sysprep's operations.

Private to the collection: its interface may change in any release.
"""

from typing import NamedTuple, Tuple

from ansible_collections.linuxvhd.azure.plugins.module_utils.bootloaders import systemd_boot
from ansible_collections.linuxvhd.azure.plugins.module_utils.edits import BACKUP_FOLDER
from ansible_collections.linuxvhd.azure.plugins.module_utils.host import TEMPORARY_PREFIX

#: Phases. "main" can be repeated as often as needed: the machine can still be logged in to afterwards.
#: "commit" takes the way in (keys, accounts). "final" runs after the result was handed over.
MAIN = "main"
COMMIT = "commit"

#: Histories of interactive shells, below every home directory: emptied, so that owner and mode stay.
SHELL_HISTORIES = (
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".histfile",
    ".sh_history",
    ".ksh_history",
    ".mksh_history",
    ".ash_history",
    ".dash_history",
    ".history",
    ".csh_history",
    ".tcsh_history",
    ".bash_eternal_history",
    ".config/fish/fish_history",
    ".local/share/fish/fish_history",
    ".local/state/bash/history",
    ".local/state/zsh/history",
    ".cache/zsh/history",
    ".xonsh_history",
    ".local/share/xonsh/xonsh-history.sqlite",
    ".config/nushell/history.txt",
)

#: What other programs remember of what was typed or read. The first patterns catch programs that nobody listed here.
TOOL_HISTORIES = (
    ".*_history",
    ".*-history",
    ".*_history.*",
    ".*_history-*",
    ".*_hist",
    ".*.sw[a-p]",
    ".config/*/history",
    ".config/*/*_history",
    ".local/share/*/history",
    ".local/share/*/*_history",
    ".local/state/*/history",
    ".local/state/*/*_history",
    ".vim/undo*",
    ".vim/swap*",
    ".vim/backup*",
    ".local/state/nvim",
    ".local/state/vim",
    ".emacs.d/auto-save-list",
    ".dead.letter",
    ".bash_sessions",
    ".zsh_sessions",
    ".python_history",
    ".ipython/profile_default/history.sqlite",
    ".ipython/profile_default/history.sqlite-journal",
    ".lesshst",
    ".local/state/lesshst",
    ".local/state/less/history",
    ".local/state/python_history",
    ".local/share/nvim/shada",
    ".local/share/xonsh/history_json",
    ".viminfo",
    ".viminf?.tmp",
    ".vim/.netrwhist",
    ".local/share/nano",
    ".nano_history",
    ".mysql_history",
    ".mysqlsh",
    ".mariadb_history",
    ".psql_history",
    ".sqlite_history",
    ".mongorc_history",
    ".dbshell",
    ".mongodb/mongosh",
    ".rediscli_history",
    ".irb_history",
    ".pry_history",
    ".local/share/pry",
    ".node_repl_history",
    ".ts_node_repl_history",
    ".php_history",
    ".lua_history",
    ".Rhistory",
    ".gdb_history",
    ".octave_hist",
    ".scapy_history",
    ".erlang_history",
    ".wget-hsts",
    ".lftp",
    ".units_history",
    ".bc_history",
    ".calc_history",
    ".ftp_history",
    ".local/share/recently-used.xbel",
    ".recently-used*",
    ".sudo_as_admin_successful",
    ".Xauthority",
    ".xsession-errors*",
    ".ICEauthority",
    ".cache",
)

#: Credentials that tools keep in home directories, of root and of accounts that stay.
CREDENTIALS = (
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh/hosts.yml",
    ".config/hub",
    ".config/glab-cli",
    ".aws/credentials",
    ".aws/sso/cache",
    ".aws/cli/cache",
    ".azure",
    ".config/gcloud",
    ".boto",
    ".s3cfg",
    ".config/rclone/rclone.conf",
    ".docker/config.json",
    ".config/containers/auth.json",
    ".kube/config",
    ".kube/cache",
    ".helm/repository",
    ".config/helm/registry",
    ".terraform.d/credentials.tfrc.json",
    ".terraformrc",
    ".vault-token",
    ".vault_pass*",
    ".my.cnf",
    ".mylogin.cnf",
    ".pgpass",
    ".npmrc",
    ".yarnrc",
    ".pypirc",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings-security.xml",
    ".gnupg",
    ".pki",
    ".msmtprc",
    ".fetchmailrc",
    ".smbcredentials",
    ".local/share/keyrings",
    ".password-store",
    ".krb5",
    ".config/op",
)

#: What this collection and Ansible leave in home directories.
OWN_TRACES = (
    ".ansible/tmp",
    ".ansible_async",
    ".ansible/cp",
    ".ansible/facts_cache",
)

#: Rules for sudo that a provisioner writes for the account that it makes.
SUDOERS_DROP_INS = (
    "/etc/sudoers.d/90-cloud-init-users",
    "/etc/sudoers.d/waagent",
    "/etc/sudoers.d/azure-provisioning",
)


class Item(NamedTuple):
    """One kind of leftover.

    action: delete (the paths), empty (the content of the directories), truncate (files to zero bytes), logs (a log
    tree), edit (function in texts.py), or the name of a special finder in engine.py. Paths are shell patterns as the
    system names them; %h stands for every home directory in turn. when: a condition of Context; again: done once
    more after the result was handed over, because the collecting of the result itself leaves traces.
    """

    id: str
    rule: str
    title: str
    phase: str
    action: str
    paths: Tuple[str, ...] = ()
    when: str = ""
    again: bool = False


def _home(names: Tuple[str, ...]) -> Tuple[str, ...]:
    return tuple("%h/" + name for name in names)


_UNIT_DIRECTORIES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

#: Of kernel-install(8), wherever the EFI system partition or the extended boot loader partition is mounted.
BOOT_ENTRIES = systemd_boot.PATTERNS + (systemd_boot.BOOT_PATTERN,)

#: In the order in which they are done.
ITEMS = (
    # -- main: repeatable, the way in stays open -----------------------------------------------------------------
    Item("accounts", "ACC-02", "Accounts named and provisioned, but for the one that is connected", MAIN, "accounts"),
    Item(
        "cloud_init_state",
        "CLEAN-04",
        "State, seed and logs of cloud-init",
        MAIN,
        "cloud_init_state",
        (
            "/var/lib/cloud/*",
            "/var/log/cloud-init.log*",
            "/var/log/cloud-init-output.log*",
            "/etc/ssh/sshd_config.d/50-cloud-init.conf",
        ),
    ),
    Item(
        "cloud_init_network",
        "NET-15",
        "Network files that cloud-init wrote and will write again",
        MAIN,
        "delete",
        (
            "/etc/netplan/*.yaml",
            "/etc/NetworkManager/conf.d/99-cloud-init.conf",
            "/etc/NetworkManager/conf.d/30-cloud-init-ip6-addr-gen-mode.conf",
            "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
            "/etc/systemd/network/10-cloud-init-*",
            "/etc/network/interfaces.d/50-cloud-init*",
        ),
        when="cloud_init_network",
    ),
    Item("fstab", "CLEAN-04", "fstab lines of the build machine's disks", MAIN, "edit_fstab", ("/etc/fstab",)),
    Item(
        "installer",
        "CINIT-08",
        "What the installer left, answers and passwords among it",
        MAIN,
        "delete",
        (
            "/root/anaconda-ks.cfg",
            "/root/original-ks.cfg",
            "/root/initial-setup-ks.cfg",
            "/root/ks-post*.log",
            "/root/install.log*",
            "/root/autoinst.xml",
            "/var/adm/autoinstall",
            "/var/log/installer",
            "/var/log/anaconda",
            "/var/log/YaST2",
            "/var/log/curtin",
            "/var/lib/YaST2/install.inf",
            "/var/cache/debconf/*.dat-old",
            "/var/cache/debconf/passwords.dat",
            "/autoinstall.yaml",
            "/preseed.cfg",
            "/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg",
            "/etc/cloud/cloud.cfg.d/curtin-preserve-sources.cfg",
            "/etc/cloud/cloud.cfg.d/99-installer.cfg",
            "/etc/cloud/cloud.cfg.d/90-installer-network.cfg",
            "/etc/cloud/cloud.cfg.d/subiquity-disable-cloudinit-networking.cfg",
            "/etc/cloud/ds-identify.cfg",
        ),
    ),
    Item("hosts", "CLEAN-10", "The build machine's name in hosts", MAIN, "edit_hosts", ("/etc/hosts",)),
    Item("mailname", "CLEAN-10", "The build machine's name for mail", MAIN, "edit_mailname", ("/etc/mailname",)),
    Item("machine_info", "CLEAN-10", "Pretty host name and location", MAIN, "delete", ("/etc/machine-info",)),
    Item(
        "udev_rules",
        "NET-07",
        "Rules that tie interface names to the build machine's cards",
        MAIN,
        "delete",
        (
            "/etc/udev/rules.d/70-persistent-net.rules*",
            "/etc/udev/rules.d/70-persistent-cd.rules",
            "/etc/udev/rules.d/85-persistent-net-cloud-init.rules",
            "/dev/.udev/rules.d/*",
            "/lib/udev/rules.d/75-persistent-net-generator.rules.bak",
        ),
    ),
    Item(
        "lvm_devices",
        "CLEAN-13",
        "LVM's list of the build machine's disks",
        MAIN,
        "delete",
        ("/etc/lvm/devices/system.devices*", "/etc/lvm/devices/backup", "/etc/lvm/cache/.cache"),
    ),
    Item(
        "other_identities",
        "CLEAN-13",
        "Identities of storage, hypervisor and system services",
        MAIN,
        "delete",
        (
            "/var/lib/systemd/credential.secret",
            "/var/lib/systemd/tpm2-srk-public-key*",
            "/etc/nvme/hostid",
            "/etc/nvme/hostnqn",
            "/var/lib/hyperv/.kvp_pool_*",
            "/var/lib/hyperv/kvp_pool_*",
            "/var/opt/hyperv/.kvp_pool_*",
            "/var/lib/fwupd/pending.db",
            "/var/lib/fwupd/pki/secret.key",
            "/etc/multipath/wwids",
            "/etc/multipath/bindings",
            "/var/lib/yum/uuid",
            "/var/lib/zypp/AnonymousUniqueId",
            "/etc/ssh/ssh_known_hosts.old",
            "/var/lib/open-vm-tools",
            "/var/lib/usbguard/rules.d/*",
        ),
    ),
    Item(
        "iscsi_initiator",
        "CLEAN-13",
        "The machine's name as an iSCSI initiator",
        MAIN,
        "edit_iscsi",
        ("/etc/iscsi/initiatorname.iscsi",),
    ),
    Item(
        "domain_secrets",
        "CLEAN-13",
        "The machine's own keys in a Kerberos or Windows domain",
        MAIN,
        "delete",
        (
            "/etc/krb5.keytab",
            "/var/lib/samba/private/secrets.tdb",
            "/var/lib/samba/secrets.tdb",
            "/etc/samba/secrets.tdb",
            "/var/lib/sss/secrets/*",
            "/var/lib/sss/secrets/.secrets.mkey",
            "/var/kerberos/krb5/user/*",
        ),
    ),
    Item(
        "subscription",
        "CLEAN-17",
        "Registration with the vendor",
        MAIN,
        "delete",
        (
            "/etc/pki/consumer/*",
            "/etc/pki/entitlement/*",
            "/var/lib/rhsm/*",
            "/etc/insights-client/machine-id",
            "/etc/insights-client/.registered",
            "/etc/insights-client/.unregistered",
            "/etc/sysconfig/rhn/systemid*",
            "/etc/zypp/credentials.d/*",
            "/etc/zypp/services.d/*",
            "/etc/SUSEConnect",
            "/var/lib/ubuntu-advantage/private",
            "/etc/landscape/client.conf",
        ),
        when="unregister",
    ),
    Item(
        "package_cache",
        "CLEAN-08",
        "Downloaded packages and lists",
        MAIN,
        "empty",
        (
            "/var/cache/apt/archives",
            "/var/lib/apt/lists",
            "/var/cache/dnf",
            "/var/cache/libdnf5",
            "/var/cache/yum",
            "/var/cache/zypp",
            "/var/cache/PackageKit",
            "/var/lib/dnf/repos",
        ),
    ),
    Item(
        "package_cache_files",
        "CLEAN-08",
        "Indexes of package managers, rebuilt when needed",
        MAIN,
        "delete",
        (
            "/var/cache/apt/pkgcache.bin",
            "/var/cache/apt/srcpkgcache.bin",
            "/var/lib/rpm/__db.*",
            "/usr/lib/sysimage/rpm/__db.*",
        ),
    ),
    Item(
        "crash_dumps",
        "CLEAN-08",
        "Crash dumps",
        MAIN,
        "empty",
        (
            "/var/crash",
            "/var/lib/systemd/coredump",
            "/var/spool/abrt",
            "/var/spool/abrt-upload",
            "/var/tmp/abrt",
            "/var/cache/abrt-di",
            "/var/lib/kdump",
        ),
    ),
    Item(
        "mail",
        "CLEAN-08",
        "Mail and print jobs that wait",
        MAIN,
        "delete",
        (
            "/var/mail/*",
            "/var/spool/mail/*",
            "/var/spool/exim4/input/*",
            "/var/spool/exim4/msglog/*",
            "/var/spool/postfix/deferred/*/*",
            "/var/spool/postfix/defer/*/*",
            "/var/spool/postfix/maildrop/*",
            "/var/spool/mqueue/*",
            "/var/spool/clientmqueue/*",
            "/var/spool/cups/c*",
            "/var/spool/cups/d*",
            "/root/dead.letter",
            "/root/mbox",
        ),
    ),
    Item(
        "databases_of_names",
        "CLEAN-08",
        "Databases of file and account names",
        MAIN,
        "delete",
        (
            "/var/lib/mlocate/mlocate.db*",
            "/var/lib/plocate/plocate.db*",
            "/var/cache/locate/locatedb*",
            "/var/lib/slocate/slocate.db",
            "/var/lib/sss/db/*.ldb",
            "/var/lib/sss/db/ccache_*",
            "/var/lib/sss/mc/*",
            "/var/cache/nscd/*",
            "/var/db/nscd/*",
            "/var/cache/samba/*.tdb",
            "/var/lib/logrotate/status.tmp",
        ),
    ),
    Item(
        "etckeeper",
        "CLEAN-13",
        "History of /etc, old passwords and keys in it",
        MAIN,
        "delete",
        ("/etc/.git", "/etc/.hg", "/etc/.bzr", "/etc/_darcs"),
        when="etckeeper",
    ),
    Item("tool_history", "CLEAN-07", "Histories of programs", MAIN, "tool_history", _home(TOOL_HISTORIES), again=True),
    Item(
        "editor_copies",
        "CLEAN-08",
        "Unsaved copies of configuration files that an editor left",
        MAIN,
        "delete",
        tuple(folder + "/.*.sw[a-p]" for folder in ("/etc", "/etc/*", "/etc/*/*", "/opt", "/srv", "/usr/local/*")),
    ),
    Item("credentials", "CLEAN-13", "Credentials in home directories", MAIN, "delete", _home(CREDENTIALS)),
    Item("extra_paths", "CLEAN-13", "Paths that the caller named", MAIN, "extra_paths"),
    # -- commit: takes the way in -------------------------------------------------------------------------------
    # What could still fail comes first; what somebody needs to log in again goes last.
    Item(
        "agent_state",
        "CLEAN-01",
        "State, extensions and logs of the Azure agent",
        COMMIT,
        "delete",
        (
            "/var/lib/waagent/*",
            "/var/lib/waagent/.*",
            "/var/log/azure/*",
            "/var/log/waagent.log*",
            "/etc/waagent.conf.rpmsave",
        )
        + tuple(
            directory + suffix
            for directory in _UNIT_DIRECTORIES
            for suffix in (
                "/waagent-network-setup.service",
                "/walinuxagent-network-setup.service",
                "/*.wants/waagent-network-setup.service",
                "/*.wants/walinuxagent-network-setup.service",
                "/waagent.service.d/1[0-3]-*.conf",
                "/walinuxagent.service.d/1[0-3]-*.conf",
                "/azure-walinuxagent-logcollector.slice",
            )
        ),
        again=True,
    ),
    Item(
        "resolv_conf", "CLEAN-12", "Name resolution as it was", COMMIT, "resolv_conf", ("/etc/resolv.conf",), again=True
    ),
    # After the agent, which writes localhost.localdomain.
    Item(
        "hostname", "CLEAN-10", "The build machine's name", COMMIT, "edit_hostname", ("/etc/hostname", "/etc/HOSTNAME")
    ),
    Item(
        "hostname_sysconfig",
        "CLEAN-10",
        "The build machine's name in /etc/sysconfig/network",
        COMMIT,
        "edit_sysconfig",
        ("/etc/sysconfig/network",),
    ),
    Item(
        "dhcp_hostname",
        "CLEAN-10",
        "Host name in DHCP client settings",
        COMMIT,
        "edit_dhcp",
        (
            "/etc/dhcp/dhclient.conf",
            "/etc/dhcp3/dhclient.conf",
            "/etc/dhclient.conf",
            "/etc/dhcp/dhclient-*.conf",
            "/etc/sysconfig/network-scripts/ifcfg-*",
            "/etc/sysconfig/network/dhcp",
        ),
    ),
    Item("mail_aliases", "ACC-02", "Mail aliases to removed accounts", COMMIT, "edit_aliases", ("/etc/aliases",)),
    # Before the host keys, which these units make too.
    Item(
        "agentless_mark",
        "NOAGENT-05",
        "The mark of the program without an agent that it has provisioned",
        COMMIT,
        "delete",
        ("/var/lib/azure-provisioning/*",),
    ),
    Item(
        "agentless_units",
        "NOAGENT-05",
        "The units that provision without an agent start at the next boot",
        COMMIT,
        "agentless_units",
    ),
    Item("ssh_host_keys_return", "SSH-04", "Something makes host keys at the next boot", COMMIT, "host_key_unit"),
    Item("old_passwords", "ACC-02", "Old password hashes", COMMIT, "truncate", ("/etc/security/opasswd",)),
    Item(
        "entry_token",
        "CLEAN-09",
        "The name that boot entries already have, for kernels to come",
        COMMIT,
        "entry_token",
        BOOT_ENTRIES,
    ),
    Item(
        "boot_entries",
        "CLEAN-09",
        "The machine id in the arguments of boot entries",
        COMMIT,
        "edit_boot_entries",
        BOOT_ENTRIES + ("/etc/kernel/cmdline",),
    ),
    Item(
        "machine_id",
        "CLEAN-09",
        "The machine id, dbus' copy with it",
        COMMIT,
        "machine_id",
        ("/etc/machine-id",),
        again=True,
    ),
    Item(
        "random_seed",
        "CLEAN-13",
        "Saved random seeds",
        COMMIT,
        "delete",
        (
            "/var/lib/systemd/random-seed",
            "/var/lib/random-seed",
            "/var/lib/urandom/random-seed",
            "/var/lib/misc/random-seed",
            "/boot/loader/random-seed",
            "/boot/efi/loader/random-seed",
            "/efi/loader/random-seed",
            "/var/lib/seedrng/*",
            "/var/lib/rngd/*",
        ),
        again=True,
    ),
    Item(
        "dhcp_leases",
        "CLEAN-10",
        "Leases and identifiers of DHCP clients",
        COMMIT,
        "delete",
        (
            "/var/lib/dhclient/*",
            "/var/lib/dhcp/*",
            "/var/lib/dhcp3/*",
            "/var/lib/dhcpcd/*",
            "/var/lib/dhcpcd5/*",
            "/var/db/dhcpcd/*",
            "/var/db/dhclient.leases.*",
            "/etc/dhcpcd.duid",
            "/etc/dhcpcd.secret",
            "/var/lib/NetworkManager/*.lease",
            "/var/lib/NetworkManager/timestamps",
            "/var/lib/NetworkManager/seen-bssids",
            "/var/lib/NetworkManager/secret_key",
            "/var/lib/NetworkManager/*.state",
            "/var/lib/wicked/*",
            "/var/lib/systemd/network/*",
            "/var/lib/connman/*/data",
            "/var/lib/misc/udhcpd.leases",
        ),
        again=True,
    ),
    Item("shell_history", "CLEAN-07", "Shell histories", COMMIT, "shell_history", _home(SHELL_HISTORIES), again=True),
    Item(
        "tmp",
        "CLEAN-08",
        "Temporary files",
        COMMIT,
        "empty",
        ("/tmp", "/var/tmp"),
        again=True,
    ),
    Item(
        "own_traces",
        "CLEAN-08",
        "What Ansible and this collection left",
        COMMIT,
        "own_traces",
        _home(OWN_TRACES)
        + tuple(
            folder + "/" + TEMPORARY_PREFIX + "*"
            for folder in ("/etc", "/etc/*", "/etc/*/*", "/etc/*/*/*", "/var/lib", "/var/lib/*", "/boot", "/boot/*")
        ),
        again=True,
    ),
    Item(
        "own_backups",
        "CLEAN-08",
        "Copies that this collection made before it edited a file",
        COMMIT,
        "delete",
        (BACKUP_FOLDER,)
        + tuple(folder + "/*.20??????T??????Z*~" for folder in ("/etc", "/etc/*", "/etc/*/*", "/etc/*/*/*")),
    ),
    Item(
        "sudoers_drop_ins",
        "ACC-02",
        "sudo rights given to the provisioned account",
        COMMIT,
        "delete",
        SUDOERS_DROP_INS,
        when="user",
    ),
    Item(
        "sudoers",
        "ACC-02",
        "sudo rules of removed accounts",
        COMMIT,
        "edit_sudoers",
        ("/etc/sudoers", "/etc/sudoers.d/*"),
    ),
    Item("root_password", "ACC-03", "Root's password locked", COMMIT, "lock_root", ("/etc/shadow",)),
    Item(
        "ssh_user_keys",
        "ACC-02",
        "SSH keys and known hosts of every account",
        COMMIT,
        "ssh_user_keys",
        _home(
            (
                ".ssh/authorized_keys*",
                ".ssh/known_hosts*",
                ".ssh/id_*",
                ".ssh/identity*",
                ".ssh/*.pem",
                ".ssh/environment",
                ".ssh/agent",
                ".shosts",
                ".rhosts",
            )
        )
        + ("/etc/ssh/authorized_keys/*", "/etc/ssh/authorized_keys.d/*"),
    ),
    Item("connected_account", "ACC-02", "The account that is connected", COMMIT, "connected_account"),
    Item(
        "account_backups",
        "ACC-02",
        "Old copies of the account files",
        COMMIT,
        "delete",
        (
            "/etc/passwd-",
            "/etc/shadow-",
            "/etc/group-",
            "/etc/gshadow-",
            "/etc/subuid-",
            "/etc/subgid-",
            "/etc/passwd.org",
            "/etc/security/opasswd.old",
            "/var/backups/passwd.bak",
            "/var/backups/shadow.bak",
            "/var/backups/group.bak",
            "/var/backups/gshadow.bak",
            "/etc/passwd.OLD",
            "/etc/shadow.OLD",
            "/etc/*.rpmsave~",
        ),
    ),
    Item(
        "ssh_host_keys",
        "CLEAN-03",
        "SSH host keys",
        COMMIT,
        "ssh_host_keys",
        ("/etc/ssh/ssh_host_*key*", "/etc/dropbear/dropbear_*_host_key*", "/etc/tinyssh/sshkeydir"),
    ),
    Item("journal", "CLEAN-08", "The journal", COMMIT, "empty", ("/var/log/journal",), again=True),
    Item(
        "logs", "CLEAN-08", "Logs: rotated ones deleted, the others emptied", COMMIT, "logs", ("/var/log",), again=True
    ),
    Item(
        "login_records",
        "CLEAN-08",
        "Records of logins outside /var/log",
        COMMIT,
        "truncate",
        ("/var/lib/lastlog/lastlog2.db", "/var/lib/wtmpdb/wtmp.db", "/var/account/pacct", "/var/lib/faillock/*"),
        again=True,
    ),
)

#: Every name that `keep` understands: item ids and rule ids.
IDS = tuple(item.id for item in ITEMS)
RULES = tuple(sorted({item.rule for item in ITEMS}))
