#!/bin/sh
# Unpacks Debian's cloud kernel and static busybox below the folder $1, for
# boot tests. Nothing is installed; what is there already is kept. Needs the
# package lists of apt (apt-get update).
set -eu
dir=${1:?usage: fetch-kernel.sh FOLDER}
mkdir -p "$dir"
cd "$dir"

# fetch PACKAGE FOLDER: downloads it and unpacks that one folder of it.
fetch() {
	echo "== fetching $1"
	apt-get -q download "$1"
	for deb in "$1"_*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -xf - "./$2"
		rm -f "$deb"
	done
}

for tool in apt-get apt-cache dpkg-deb; do
	command -v $tool >/dev/null || { echo "fetch-kernel: no $tool: set ONSET_LINUX_KERNEL instead" >&2; exit 1; }
done

if ! ls boot/vmlinuz-* >/dev/null 2>&1; then
	# The meta package names the kernel of the day.
	kernel=$(apt-cache depends --important linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1)
	[ -n "$kernel" ] || { echo "fetch-kernel: apt knows no linux-image-cloud-amd64: run apt-get update" >&2; exit 1; }
	fetch "$kernel" boot
fi
[ -e bin/busybox ] || fetch busybox-static bin
ls -l boot/vmlinuz-* bin/busybox
