#!/bin/sh
# Unpacks Debian's daemons, with all they need, as a root of their own in the
# folder $1. What is there already is kept, unless this script has changed.
# Nothing is installed: no script of a package runs, and packages that
# exclude each other lie side by side. Only root can do it, for the owners of
# files and the databases.
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
dir=${1:?usage: daemons.sh FOLDER}
mark=$(cksum <"$script")
[ "$(cat "$dir/made" 2>/dev/null)" != "$mark" ] || exit 0

fail() {
	echo "daemons: $*" >&2
	exit 1
}
for tool in apt-get dpkg-deb chroot; do
	command -v $tool >/dev/null || fail "no $tool: the daemons are Debian's packages"
done
[ "$(id -u)" = 0 ] || fail "only root can unpack a system's files"

base='base-files base-passwd bash coreutils dash debianutils dpkg findutils grep hostname init-system-helpers
	libc-bin login mawk mount passwd perl-base procps sed util-linux'
daemons='apache2 at bind9 chrony cron dbus dnsmasq-base mariadb-server nginx-light openssh-server postgresql
	redis-server rsyslog samba'
unused='^(galera|iproute2|libc-l10n|libllvm|libmpfr|libpython|libz3|locales|lsof|mariadb-client-1|media-types|python|rsync|tdb-tools)'

rm -rf "$dir"
mkdir -p "$dir/debs" "$dir/root"
cd "$dir"
: >status # as if nothing were installed

# packages prints what has to be installed to have the given ones.
packages() {
	# shellcheck disable=SC2086 # lists of words
	apt-get -o Dir::State::status="$PWD/status" install -s --no-install-recommends $base $daemons "$1" |
		sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p' | grep -Ev "$unused"
}
list() { (packages exim4-daemon-light && packages postfix) | sort -u; }

names=$(list)
[ -n "$names" ] || { echo "== getting package lists" && apt-get -q update && names=$(list); }
[ -n "$names" ] || fail "apt finds no way to install $daemons"
echo "== downloading $(echo "$names" | wc -l) packages"
# shellcheck disable=SC2086 # a list of words
get() { (cd debs && apt-get -qq -o APT::Sandbox::User=root -o Dir::State::status=../status download $names); }
get || { apt-get -q update && names=$(list) && get; } || fail "cannot download"

echo "== unpacking"
for folder in bin sbin lib lib64; do
	mkdir -p root/usr/$folder
	ln -s usr/$folder root/$folder
done
for deb in debs/*.deb; do # exim4 before postfix, whose sendmail is used
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C root --keep-directory-symlink \
		--exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale --exclude=./usr/lib/python3
done
rm -rf debs status

echo "== making users and databases"
cd root
[ -e bin/sh ] || ln -s dash bin/sh
[ -e usr/bin/awk ] || ln -s mawk usr/bin/awk
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
echo 'root:*:19000::::::' >etc/shadow
id=200
for user in _chrony bind Debian-exim dnsmasq messagebus mysql postfix postdrop postgres redis sshd; do
	echo "$user:x:$id:$id::/nonexistent:/bin/sh" >>etc/passwd
	echo "$user:x:$id:" >>etc/group
	echo "$user:*:19000::::::" >>etc/shadow
	id=$((id + 1))
done
echo '127.0.0.1 localhost onset' >etc/hosts
mkdir -p dev proc sys run tmp var/tmp root
chmod 1777 tmp var/tmp
rmdir var/run
ln -s /run var/run
[ -e dev/null ] || mknod -m 666 dev/null c 1 3
[ -e dev/urandom ] || mknod -m 666 dev/urandom c 1 9
ldconfig -r .
as() { # USER COMMAND...: prints only what went wrong
	user=$1
	shift
	chroot . setpriv --reuid "$user" --regid "$user" --clear-groups env -i HOME=/tmp LC_ALL=C PATH=/usr/sbin:/usr/bin "$@" \
		>../said 2>&1 </dev/null || { cat ../said >&2 && fail "cannot run $1"; }
}
chroot . install -d -o postgres -g postgres var/lib/onset-postgres
as postgres /usr/lib/postgresql/15/bin/initdb -N --locale=C -D /var/lib/onset-postgres
chroot . install -d -o mysql -g mysql var/lib/onset-mariadb
as mysql mariadb-install-db --no-defaults --datadir=/var/lib/onset-mariadb --skip-test-db \
	--innodb-log-file-size=4M --auth-root-authentication-method=normal
chroot . ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
rm -f dev/urandom dev/null ../said
cd ..
echo "$mark" >made
