#!/bin/sh
# Sees to it that everything is there that the tests need: quick when it is.
# On Debian root installs the rest; otherwise it is named, and the tests that
# cannot run without it are skipped and say so. With CI=true nothing may be
# missing.
set -eu
cd "$(dirname "$0")/.."

missing=
need() { # PACKAGE COMMAND...
	package=$1
	shift
	for name; do
		command -v "$name" >/dev/null || { missing="$missing $package"; return 0; }
	done
}

need make make
need git git
need gcc gcc
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
need dbus dbus-daemon dbus-send
need openssh-server sshd ssh-keygen # which take sockets, as nginx does
need nginx-light nginx
need util-linux unshare nsenter setpriv
need procps ps
need iproute2 ip
need network-manager NetworkManager nmcli
need udev udevadm
need acpid acpid
/usr/bin/python3 -c 'import seccomp' 2>/dev/null || missing="$missing python3-seccomp" # what filters are compared with
if [ -n "${ONSET_FREEBSD_IMAGE:-}" ]; then
	need xorriso xorriso
	if [ "${ONSET_FREEBSD_ARCH:-}" = arm64 ]; then
		need qemu-system-arm qemu-system-aarch64
		[ -e /usr/share/qemu-efi-aarch64/QEMU_EFI.fd ] || missing="$missing qemu-efi-aarch64"
	else
		[ -e /usr/share/ovmf/OVMF.fd ] || missing="$missing ovmf"
	fi
fi
if [ -d ../shared ]; then # comparisons with what is recorded there
	/usr/bin/python3 -c 'import dbus, gi' 2>/dev/null || missing="$missing python3-dbus python3-gi"
fi

give_up() {
	echo "NOTE: $*: some tests will be skipped"
	[ "${CI:-}" != true ]
}

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null; then
		give_up "not installed:$missing"
	elif [ "$(id -u)" != 0 ]; then
		give_up "not installed: as root, apt-get install$missing"
	else
		echo "== installing$missing"
		export DEBIAN_FRONTEND=noninteractive
		# shellcheck disable=SC2086 # a list of words
		apt-get install -qy --no-install-recommends $missing ||
			{ apt-get update -q && apt-get install -qy --no-install-recommends $missing; } ||
			give_up "cannot install$missing"
	fi
fi
sh vm/needs.sh bin/vm || give_up "no machines to boot"
sh ci/daemons.sh bin/daemons || give_up "no daemons to start"
sh ci/elogind.sh bin/elogind || give_up "no elogind to suspend with"
[ -n "${ONSET_FREEBSD_BOOT:-}${ONSET_FREEBSD_IMAGE:-}" ] ||
	echo "NOTE: FreeBSD boot tests are skipped: set ONSET_FREEBSD_IMAGE or ONSET_FREEBSD_BOOT (go doc ./vm/freebsd)"
