#!/bin/sh
# A further hook of mmdebstrap, behind customize.sh, for the stand-ins of families with RPMs: what an image's preparation
# installs lies in a repository of RPMs, made here from the contents of Debian's packages under the family's names, with
# the family's names of units and files. In the database of rpm, names of the family stand for what Debian's packages
# have installed. apt and dpkg go when the finishing boot is over: rpm with dnf is the system's only manager.
set -eu
root=$1
archives=$root/var/cache/apt/archives
repository=$root/srv/repository
build=$root/srv/build

there='bash openssh-server openssh-clients sudo util-linux curl dracut kernel-core grub2-tools python3 systemd NetworkManager rpm dnf'
agent=WALinuxAgent growpart=cloud-utils-growpart gdisk=gdisk daemons=hyperv-daemons
kvp=hypervkvpd vss=hypervvssd distribution=rhel account=cloud-user

mkdir -p "$repository" "$build" "$root/etc/rpm" "$root/var/lib/rpm"
# Debian's rpm keeps its database elsewhere, so that nobody installs RPMs by mistake; nothing here is signed.
printf '%%_dbpath /var/lib/rpm\n%%_pkgverify_level none\n' >"$root/etc/rpm/macros"
chroot "$root" rpm --initdb

spec() { # NAME VERSION
    printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: A stand-in\nLicense: as in Debian\nAutoReqProv: no\n' "$1" "$2"
}
rpmbuild() {
    chroot "$root" env HOME=/srv/build rpmbuild --quiet -bb --define '_topdir /srv/build' \
        --define "_rpmdir $1" --define '_build_name_fmt %%{NAME}-%%{VERSION}.%%{ARCH}.rpm' \
        --define 'debug_package %{nil}' --define '__os_install_post %{nil}' --define '_build_id_links none' \
        "/srv/build/$2.spec"
}

# What Debian's packages have installed already, by the names of the family.
{
    spec standin 1
    printf '%%description\nNothing.\n'
    for name in $there; do
        printf '%%package -n %s\nSummary: A stand-in\n' "$name"
        [ "$name" != bash ] || echo 'Provides: /bin/sh'
        printf '%%description -n %s\nNothing.\n%%files -n %s\n' "$name" "$name"
    done
} >"$build/standin.spec"
rpmbuild /srv/build/there standin
chroot "$root" sh -c 'rpm --install --nodeps /srv/build/there/*.rpm'

# to_rpm DEBIAN-NAME RPM-NAME SCRIPT: an RPM with the files of a Debian package. SCRIPT runs in their tree first.
to_rpm() {
    deb=$(ls "$archives/$1"_*.deb)
    tree=$build/tree/$2
    mkdir -p "$tree"
    dpkg-deb --extract "$deb" "$tree"
    rm -rf "$tree/usr/share/doc" "$tree/usr/share/man" "$tree/usr/share/lintian"
    (cd "$tree" && eval "$3")
    version=$(dpkg-deb --field "$deb" Version | sed 's/^[0-9]*://; s/-[^-]*$//; s/[^0-9A-Za-z.]/./g')
    {
        spec "$2" "$version"
        printf '%%description\nThe files of the Debian package %s.\n%%install\ncp -a /srv/build/tree/%s/. %%{buildroot}\n' "$1" "$2"
        # The account that chronyd turns into.
        [ "$2" != chrony ] || printf '%%pre\nid _chrony >/dev/null 2>&1 || useradd --system --no-create-home --home-dir /var/lib/chrony --shell /usr/sbin/nologin _chrony\n'
        printf '%%files\n'
        (cd "$tree" && find . ! -type d | sed 's,^\.\(/etc/.*\),%config(noreplace) "\1",; s,^\.\(/.*\),"\1",')
        (cd "$tree" && find ./var -mindepth 2 -type d 2>/dev/null | sed 's,^\.\(.*\),%dir "\1",')
    } >"$build/$2.spec"
    rpmbuild /srv/repository "$2"
}
units='cd usr/lib/systemd/system'
to_rpm waagent "$agent" "($units && mv walinuxagent.service waagent.service)"
to_rpm cloud-init cloud-init \
    "sed -i 's/distro: debian/distro: $distribution/; s/name: debian/name: $account/; s/^\( *groups: \).*/\1[adm, systemd-journal]/' etc/cloud/cloud.cfg"
to_rpm cloud-guest-utils "$growpart" :
to_rpm gdisk "$gdisk" :
to_rpm hyperv-daemons "$daemons" \
    "($units && mv *kvp-daemon.service $kvp.service && mv *vss-daemon.service $vss.service && rm -f hyperv-daemons.* &&
      sed -i '/^\[Unit\]/a ConditionVirtualization=microsoft' $kvp.service $vss.service)
     sed -i 's/hv-kvp-daemon/$kvp/; s/hv-vss-daemon/$vss/' usr/lib/udev/rules.d/*hyperv* 2>/dev/null || :"
to_rpm azure-vm-utils azure-vm-utils :
# The configuration lies in /etc, not in a directory of its own, and the service is called after the daemon.
to_rpm chrony chrony \
    "for conf in etc/chrony/chrony.conf usr/share/chrony/chrony.conf; do [ ! -e \$conf ] || mv \$conf etc/chrony.conf; done
     rm -rf etc/apparmor.d etc/init.d; mkdir -p etc/default; test -s etc/chrony.conf
     echo 'DAEMON_OPTS=\"-F 1 -f /etc/chrony.conf\"' >etc/default/chrony
     ($units && mv chrony.service chronyd.service && sed -i '/^Alias=/d' chronyd.service)"
chroot "$root" createrepo_c --quiet /srv/repository
rm -rf "$build" "$archives"/*.deb
mkdir -p "$root/etc/yum.repos.d" "$root/etc/dnf/vars"
printf '[standin]\nname=Stand-in\nbaseurl=file:///srv/repository\nenabled=1\ngpgcheck=0\n' \
    >"$root/etc/yum.repos.d/standin.repo"
echo 9 >"$root/etc/dnf/vars/releasever"

# The service of SSH is called after its daemon.
mv "$root/usr/lib/systemd/system/ssh.service" "$root/usr/lib/systemd/system/sshd.service"
sed -i '/^Alias=/d' "$root/usr/lib/systemd/system/sshd.service"
rm -f "$root"/etc/systemd/system/*/ssh.service "$root/etc/systemd/system/sshd.service" "$root/etc/init.d/ssh"
chroot "$root" systemctl enable sshd.service

# /boot/grub2, and /boot/grub a link to it: Debian's GRUB has the old name built in.
mv "$root/boot/grub" "$root/boot/grub2" 2>/dev/null || mkdir "$root/boot/grub2"
ln -s grub2 "$root/boot/grub"
ln -s grub-mkconfig "$root/usr/sbin/grub2-mkconfig"
ln -s grub-editenv "$root/usr/bin/grub2-editenv"
rm -f "$root/usr/sbin/update-grub" "$root/usr/sbin/update-grub2"
# finish.sh, which runs once as the guest's process 1, speaks Debian's names.
finish=$root/finish-installation
sed -i \
    -e 's,^    update-grub || .*,    rm -f /boot/initrd.img*\n    grub2-mkconfig -o /boot/grub2/grub.cfg || { fail grub2-mkconfig; return 1; },' \
    -e 's,^    rm -f /finish-installation,&\n    rm -rf /var/lib/dpkg /var/lib/apt /var/cache/apt /etc/apt /usr/bin/apt /usr/bin/apt-* /usr/bin/dpkg*,' \
    "$finish"
grep -q grub2-mkconfig "$finish" && grep -q 'rm -rf /var/lib/dpkg' "$finish"
