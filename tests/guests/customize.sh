#!/bin/sh
# Runs as mmdebstrap's last hook, outside the new system, whose root directory is $1. Leaves it as an installer would:
# accounts, network, fstab, boot loader defaults, a history; and fetches what preparing an image installs later.
# Input: GUEST_* from build.py.
set -eu
root=$1
run() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

# --- packages for later: as .deb files in the guest's own archive
archives=$root/var/cache/apt/archives
for deb in "$archives"/*.deb; do
    [ ! -e "$deb" ] || cp -n "$deb" "$GUEST_DEBS/" 2>/dev/null || true
done
rm -f "$archives"/*.deb
offered=
for name in $GUEST_OFFERED; do
    if APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-cache show "$name" >/dev/null 2>&1; then offered="$offered $name"; fi
done
fetch() { APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -y -o APT::Install-Recommends=true "$@" $offered; }
fetch -qq --print-uris install | awk '{ print $2 }' | while read -r deb; do
    [ ! -e "$GUEST_DEBS/$deb" ] || cp "$GUEST_DEBS/$deb" "$archives/"
done
fetch -q --download-only install
cp -n "$archives"/*.deb "$GUEST_DEBS/" 2>/dev/null || true

# --- who can log in
echo "$GUEST_NAME" >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n\n::1\tlocalhost ip6-localhost ip6-loopback\n' "$GUEST_NAME" >"$root/etc/hosts"
groups=
for group in cdrom floppy sudo audio dip video plugdev netdev; do
    if grep -q "^$group:" "$root/etc/group"; then groups="$groups${groups:+,}$group"; fi
done
run useradd --create-home --shell /bin/bash --comment "Anna Beispiel,,," --groups "$groups" "$GUEST_USER"
run useradd --create-home --shell /bin/bash --comment "Helpdesk" helpdesk
printf '%s\n' "$GUEST_USER:$GUEST_PASSWORD" "helpdesk:$GUEST_PASSWORD" "root:$GUEST_PASSWORD" | run chpasswd
for home in "home/$GUEST_USER" home/helpdesk; do
    mkdir -m 0700 "$root/$home/.ssh"
    printf '%s\n' "$GUEST_KEY" >"$root/$home/.ssh/authorized_keys"
    chmod 0600 "$root/$home/.ssh/authorized_keys"
    printf 'sudo apt update\nmysql -u root -pS3cret-in-history\nexit\n' >"$root/$home/.bash_history"
    chmod 0600 "$root/$home/.bash_history"
    run chown -R "${home#home/}:${home#home/}" "/$home"
done
printf 'passwd\nvi /etc/fstab\nreboot\n' >"$root/root/.bash_history"
chmod 0600 "$root/root/.bash_history"
printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$GUEST_USER" >"$root/etc/sudoers.d/$GUEST_USER"
chmod 0440 "$root/etc/sudoers.d/$GUEST_USER"

# --- locale and time, as answered in the installer
echo 'LANG=C.UTF-8' >"$root/etc/default/locale"
ln -sf /usr/share/zoneinfo/Europe/Berlin "$root/etc/localtime"
echo Europe/Berlin >"$root/etc/timezone"

# --- network: DHCP, tied to the name of the one card
case $GUEST_NETWORK in
ifupdown)
    cat >"$root/etc/network/interfaces" <<EOF
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug $GUEST_NIC
iface $GUEST_NIC inet dhcp
EOF
    ;;
networkd)
    printf '[Match]\nName=%s\n\n[Network]\nDHCP=yes\n' "$GUEST_NIC" >"$root/etc/systemd/network/20-wired.network"
    run systemctl enable systemd-networkd systemd-resolved
    ;;
networkmanager)
    cat >"$root/etc/NetworkManager/system-connections/Wired connection 1.nmconnection" <<EOF
[connection]
id=Wired connection 1
uuid=6f9b0c1e-2f6a-4bb1-9d0e-1a2f3c4d5e6f
type=ethernet
interface-name=$GUEST_NIC

[ethernet]
mac-address=52:54:00:12:34:56

[ipv4]
method=auto

[ipv6]
method=auto
EOF
    chmod 0600 "$root/etc/NetworkManager/system-connections/Wired connection 1.nmconnection"
    ;;
netplan)
    cat >"$root/etc/netplan/01-installer.yaml" <<EOF
network:
  version: 2
  renderer: networkd
  ethernets:
    $GUEST_NIC:
      match:
        macaddress: 52:54:00:12:34:56
      set-name: $GUEST_NIC
      dhcp4: true
EOF
    chmod 0600 "$root/etc/netplan/01-installer.yaml"
    run systemctl enable systemd-networkd systemd-resolved
    ;;
esac
case $GUEST_NETWORK in
networkd | netplan) ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf" ;;
*) rm -f "$root/etc/resolv.conf" && : >"$root/etc/resolv.conf" ;;
esac

# --- file systems
{
    echo "# /etc/fstab: static file system information."
    echo "#"
    echo "# <file system> <mount point>   <type>  <options>       <dump>  <pass>"
    if [ "$GUEST_FSTAB" = label ]; then
        printf 'LABEL=root\t/\text4\terrors=remount-ro\t0\t1\n'
    else
        printf '/dev/vda%s\t/\text4\terrors=remount-ro\t0\t1\n' "$GUEST_ROOT_PART"
    fi
    [ "$GUEST_FIRMWARE" != uefi ] || printf '/dev/vda1\t/boot/efi\tvfat\tumask=0077\t0\t1\n'
    if [ "$GUEST_FSTAB" = label ]; then
        printf 'LABEL=swap\tnone\tswap\tsw\t0\t0\n'
    else
        printf '# swap was on /dev/vda%s during installation\n/dev/vda%s\tnone\tswap\tsw\t0\t0\n' "$GUEST_SWAP_PART" "$GUEST_SWAP_PART"
    fi
    printf '/dev/sr0\t/media/cdrom0\tudf,iso9660\tuser,noauto\t0\t0\n'
} >"$root/etc/fstab"
mkdir -p "$root/media/cdrom0" "$root/boot/efi"
[ "$GUEST_FIRMWARE" = uefi ] || rmdir "$root/boot/efi"

# --- boot loader and initramfs, as the installer's "targeted" choice and partitioner leave them
if [ -e "$root/etc/default/grub" ]; then
    sed -i "s/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=\"$GUEST_CMDLINE\"/" "$root/etc/default/grub"
fi
if [ "$GUEST_FIRMWARE" = bios ]; then
    echo "grub-pc grub-pc/install_devices multiselect /dev/vda" | run debconf-set-selections
fi
if [ "$GUEST_INITRAMFS" = initramfs-tools ]; then
    printf '# Driver inclusion policy selected during installation\n# Note: this setting overrides the value set in the file\n# /etc/initramfs-tools/initramfs.conf\nMODULES=dep\n' \
        >"$root/etc/initramfs-tools/conf.d/driver-policy"
    echo "RESUME=UUID=$GUEST_SWAP_UUID" >"$root/etc/initramfs-tools/conf.d/resume"
else
    mkdir -p "$root/etc/dracut.conf.d"
    echo 'hostonly="yes"' >"$root/etc/dracut.conf.d/10-installation.conf"
fi

# --- apt: reach the same archive in the same way as the machine that built the guest
if [ -n "$GUEST_APT_CONF" ]; then printf '%s\n' "$GUEST_APT_CONF" >"$root/etc/apt/apt.conf.d/90build-host"; fi

cp "$GUEST_FINISH" "$root/finish-installation"
chmod 0755 "$root/finish-installation"
