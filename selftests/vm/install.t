#!/bin/bash
# SPDX-License-Identifier: MIT
#
# install.t: the module as it is installed, for both stock kernels: by make
# install-module, and by dkms from what make install-dkms left.  What dkms built
# is loaded in a guest of its kernel and used.  Everything happens under $tmp:
# dkms has its trees there, and its key is not made.
#
# The udev rule is read by udev itself, in a mount namespace where it is the only
# rule in /run and where there is no device to set permissions of.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1
unset MAKEFLAGS MFLAGS MAKELEVEL
PATH=$PATH:/usr/sbin:/sbin

need /usr/sbin/dkms selftests/vm/run
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
dkms=(env sign_file=none dkms --dkmstree "$tmp/tree" --sourcetree "$tmp/to/usr/src" --installtree "$tmp/installed")

# on SERIES: $release and $kdir
on()
{
	release=$(scripts/guest-kernel --release "$(scripts/guest-kernel "$1")") || exit 1
	kdir=/lib/modules/$release/build
}

make -s install-dkms DESTDIR="$tmp/to" > "$tmp/log" 2>&1
result $? "make install-dkms" "$tmp/log"
[ -z "$(find "$tmp/to" -name '*.o' -o -name '*.mod.c')" ]
result $? "installs sources only"
mkdir -p "$tmp/tree" "$tmp/installed"
"${dkms[@]}" add "gcarena/$version" > "$tmp/log" 2>&1
result $? "dkms add" "$tmp/log"

for series in 6.12 6.1; do
	on $series
	make -s install-module KDIR="$kdir" B="${CHECK_BUILD:-build}" DESTDIR="$tmp/to" > "$tmp/log" 2>&1
	result $? "$series: make install-module" "$tmp/log"
	find "$tmp/to/lib/modules/$release" -name 'gcarena.ko*' > "$tmp/found"
	[ "$(wc -l < "$tmp/found")" = 1 ] &&
		[ "$(modinfo -F vermagic "$(cat "$tmp/found")" | cut -d ' ' -f 1)" = "$release" ]
	result $? "$series: one module, for this kernel" "$tmp/found"
	grep -q gcarena.ko "$tmp/to/lib/modules/$release/modules.dep"
	result $? "$series: which modprobe knows of" "$tmp/log"

	"${dkms[@]}" build "gcarena/$version" -k "$release" > "$tmp/log" 2>&1
	result $? "$series: dkms build" "$tmp/log"
	! grep -i 'warning:' "$tmp/tree/gcarena/$version/$release"/*/log/make.log > "$tmp/warnings"
	result $? "$series: without warnings" "$tmp/warnings"
	found=$(find "$tmp/tree/gcarena/$version/$release" -name 'gcarena.ko*')
	case $found in
	*.xz) xz -dc "$found" > "$tmp/dkms-$series.ko" ;;
	*) cp "$found" "$tmp/dkms-$series.ko" ;;
	esac
	# Only for a kernel that is there.
	mkdir -p "$tmp/installed/$release"
	if [ "$(id -u)" = 0 ]; then
		"${dkms[@]}" install "gcarena/$version" -k "$release" --no-depmod > "$tmp/log" 2>&1 &&
			[ -n "$(find "$tmp/installed" -path "*$release*" -name 'gcarena.ko*')" ]
		result $? "$series: dkms install" "$tmp/log"
	else
		skip "$series: dkms install" "dkms installs as root only"
	fi
	timeout 120 selftests/vm/run --kernel "$series" --no-module --no-programs --mem 512M \
		--add "$tmp/dkms-$series.ko:/dkms/gcarena.ko" --add "$build/selftests/guest/ioctl_errno:/ioctl_errno" -- sh -c \
		'insmod /dkms/gcarena.ko && /ioctl_errno && rmmod gcarena' > "$tmp/log" 2>&1
	result $? "$series: what dkms built loads, works and unloads" "$tmp/log"

	make -s uninstall-module KDIR="$kdir" B="${CHECK_BUILD:-build}" DESTDIR="$tmp/to" > "$tmp/log" 2>&1 &&
		[ -z "$(find "$tmp/to/lib" -name 'gcarena.ko*' -path "*$release*")" ]
	result $? "$series: make uninstall-module" "$tmp/log"
done

# $tmp/rules: our rule, and the same for a device that every machine has.
mkdir "$tmp/rules"
{
	cat udev/60-gcarena.rules
	sed -n 's/SUBSYSTEM=="misc", KERNEL=="gcarena"/SUBSYSTEM=="mem", KERNEL=="null"/p' udev/60-gcarena.rules
} > "$tmp/rules/60-gcarena.rules"
# shellcheck disable=SC2016
if [ -e /sys/devices/virtual/mem/null ] && unshare --mount --map-root-user sh -c '
		mount -t tmpfs tmpfs /run && mkdir -p /run/udev/rules.d && cp "$1"/* /run/udev/rules.d &&
			mount -t tmpfs tmpfs /dev && exec udevadm test --action=add /sys/devices/virtual/mem/null
	' sh "$tmp/rules" > "$tmp/log" 2>&1; then
	grep -q '60-gcarena.rules:[0-9]* MODE 0666' "$tmp/log"
	result $? "udev: the rule is applied" "$tmp/log"
	! grep '60-gcarena.rules:.*[Ii]gnoring' "$tmp/log" > "$tmp/ignored"
	result $? "udev: no line of it is ignored" "$tmp/ignored"
else
	skip "udev: the rule is applied" "no user namespaces, or no udevadm"
	skip "udev: no line of it is ignored" "no user namespaces, or no udevadm"
fi
tap_done
