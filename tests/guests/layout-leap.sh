#!/bin/sh
# A further hook of mmdebstrap, behind layout-rpm.sh: the names and settings of openSUSE Leap 15, as far as that is
# honest. A stand-in: kernel, GRUB and programs are Debian's.
#
#   in /etc/default/grub what YaST writes, with a swap area to resume from and a graphical menu
#   host-only dracut images, /boot/initrd-RELEASE
#   sudo asks for the password of root, which everybody may then use
set -eu
root=$1
cat >"$root/etc/os-release" <<'END'
NAME="Stand-in for openSUSE Leap"
ID="opensuse-leap"
ID_LIKE="suse opensuse"
VERSION="15.6"
VERSION_ID="15.6"
PRETTY_NAME="Stand-in for openSUSE Leap 15.6 (made from Debian packages)"
END
cat >"$root/etc/default/grub" <<END
# If you change this file, run 'grub2-mkconfig -o /boot/grub2/grub.cfg' afterwards to update
# /boot/grub2/grub.cfg.

GRUB_DISTRIBUTOR=""
GRUB_DEFAULT=saved
GRUB_HIDDEN_TIMEOUT=0
GRUB_HIDDEN_TIMEOUT_QUIET=true
GRUB_TIMEOUT=8
GRUB_CMDLINE_LINUX_DEFAULT="splash=silent resume=UUID=$GUEST_SWAP_UUID mitigations=auto quiet security=apparmor"
GRUB_CMDLINE_LINUX=""
GRUB_DISABLE_RECOVERY="true"
GRUB_TERMINAL="gfxterm"
GRUB_GFXMODE="auto"
END
rm -f "$root/etc/grub.d/05_debian_theme"
cat >"$root/etc/sudoers" <<'END'
Defaults always_set_home
Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults env_reset
## In the default (unconfigured) configuration, sudo asks for the root password.
Defaults targetpw   # ask for the password of the target user i.e. root
ALL   ALL=(ALL) ALL   # WARNING! Only use this together with 'Defaults targetpw'!

root ALL=(ALL:ALL) ALL
@includedir /etc/sudoers.d
END
chmod 0440 "$root/etc/sudoers"
finish=$root/finish-installation
sed -i 's,/boot/initrd\.img-\${kernel##\*/},/boot/initrd-${kernel##*/},' "$finish"
grep -q '/boot/initrd-\$' "$finish"
