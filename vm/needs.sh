#!/bin/sh
# Sees to it that the machines of the boot tests can be started: QEMU, and
# below the folder $1 Debian's cloud kernel with its modules and static busybox. What is there
# already is kept. Only QEMU is ever installed, and only by root; the rest is
# downloaded and unpacked, which anybody may do.
set -eu
dir=${1:?usage: needs.sh FOLDER}
mkdir -p "$dir"
cd "$dir"

fail() {
	echo "vm-needs: $*" >&2
	exit 1
}

lists= # options for package lists of our own
updated=
apt() {
	tool=$1
	shift
	"$tool" -o APT::Sandbox::User=root $lists "$@" # root's downloads go to root's folder
}

# update gets the package lists, once: the system's, or lists of our own where
# those are not ours to change.
update() {
	[ -z "$updated" ] || return 1
	updated=yes
	echo "== getting package lists"
	if [ "$(id -u)" != 0 ]; then
		mkdir -p apt/lists/partial apt/cache/archives/partial
		lists="-o Dir::State::Lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt/cache"
	fi
	apt apt-get -q update
}

# fetch PACKAGE ./FOLDER... downloads it and unpacks those folders of it.
fetch() {
	echo "== fetching $1"
	apt apt-get download "$1" || { update && apt apt-get download "$1"; } || fail "cannot download $1"
	for deb in "$1"_*.deb; do
		shift
		dpkg-deb --fsys-tarfile "$deb" | tar -xf - "$@"
		rm -f "$deb"
	done
}

# kernel prints the package that the meta package names today.
kernel() {
	apt apt-cache depends --important linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	install="apt-get install -y --no-install-recommends qemu-system-x86"
	command -v apt-get >/dev/null || fail "no qemu-system-x86_64: install QEMU for x86"
	[ "$(id -u)" = 0 ] || fail "no qemu-system-x86_64: as root, $install"
	echo "== installing qemu-system-x86"
	export DEBIAN_FRONTEND=noninteractive
	$install || { update && $install; } || fail "cannot install qemu-system-x86"
fi

named=${ONSET_LINUX_KERNEL:-}
[ -z "$named" ] || [ -e "$named" ] || fail "no file $named (ONSET_LINUX_KERNEL)"
# has_kernel: modules are of the same package, and came later to this script.
has_kernel() {
	[ -n "$named" ] || { ls boot/vmlinuz-* && ls lib/modules/*/modules.builtin; } >/dev/null 2>&1
}
if has_kernel && [ -e bin/busybox ]; then
	exit 0
fi

for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || fail "no $tool: kernel and busybox come from Debian packages"
done
if ! has_kernel; then
	package=$(kernel)
	[ -n "$package" ] || { update && package=$(kernel); }
	[ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64"
	rm -rf boot lib
	fetch "$package" ./boot ./lib/modules
fi
[ -e bin/busybox ] || fetch busybox-static ./bin
rm -rf apt
