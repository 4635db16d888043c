#!/bin/sh
# A further hook of mmdebstrap, behind customize.sh: the guest starts with GRUB Legacy, 0.97, whose menu.lst its own
# update-grub keeps, as Debian to 5 and Ubuntu to 9.04 did; Enterprise Linux 6 and SLES 11 have the same loader.
set -eu
root=$1
mkdir -p "$root/boot/grub"
cp "$root"/usr/lib/grub/x86_64-pc/* "$root/boot/grub/"
echo '(hd0) /dev/vda' >"$root/boot/grub/device.map"
# finish.sh, which runs once as the guest's process 1, installs GRUB 2 elsewhere.
finish=$root/finish-installation
sed -i \
    -e 's,grub-install --target=i386-pc.*,printf "root (hd0\,0)\\nsetup (hd0)\\nquit\\n" | grub --batch --device-map=/boot/grub/device.map | tee /tmp/grub.log; grep -q "^ *Done" /tmp/grub.log || { fail grub; return 1; },' \
    -e "s,^    update-grub || .*,    update-grub -y \&\& sed -i 's/^# defoptions=.*/# defoptions=$GUEST_CMDLINE/; s/^# kopt=.*/# kopt=root=LABEL=root ro/' /boot/grub/menu.lst \&\& update-grub -y || { fail update-grub; return 1; }," \
    "$finish"
grep -q 'setup (hd0)' "$finish" && grep -q 'update-grub -y' "$finish"
