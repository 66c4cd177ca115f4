#!/bin/sh
# Unpacks Debian's elogind into the folder $1, if it is not there: installed
# beside systemd it cannot be.
set -eu
dir=${1:?usage: elogind.sh FOLDER}
[ ! -e "$dir/root/lib/elogind/elogind" ] || exit 0
for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || { echo "elogind: no $tool: it is Debian's package" >&2; exit 1; }
done
rm -rf "$dir"
mkdir -p "$dir/debs"
cd "$dir"
get() { (cd debs && apt-get -qq -o APT::Sandbox::User=root download elogind libelogind0); }
echo "== fetching elogind"
get || { apt-get -q update && get; } || { echo "elogind: cannot download" >&2; exit 1; }
for deb in debs/*.deb; do
	dpkg-deb -x "$deb" root
done
rm -r debs
