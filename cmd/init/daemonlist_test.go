//go:build linux

package main

// daemon is one of Debian's.
type daemon struct {
	name    string
	program string // name of the executable of its main process
	pidFile string // where it writes its number once it runs
	prepare string // what its init script does first
	ways    []way
}

// way is a way of starting a daemon.
type way struct {
	run     string // the stanza of the job
	stanzas string
	forks   bool   // what init starts ends once the daemon runs
	wrapper string // name of the script that stays in front of the daemon and so is what to supervise
	silent  bool   // writes no file with its number
	mainPID bool   // tells its number by sd_notify; whether init has heard of it when it is looked for is chance
}

const c = "/etc/onset/"

var daemons = []daemon{
	{"rsyslogd", "rsyslogd", "/run/rsyslogd.pid", "", []way{
		{run: "exec start-stop-daemon --start --quiet --pidfile /run/rsyslogd.pid --exec /usr/sbin/rsyslogd -- -f " + c + "rsyslog.conf", forks: true},
		{run: "exec rsyslogd -n -f " + c + "rsyslog.conf"},
	}},
	{"cron", "cron", "/run/crond.pid", "", []way{
		{run: "exec cron", forks: true},
		{run: "exec cron -f"},
	}},
	{"atd", "atd", "/run/atd.pid", "mkdir -p /var/spool/cron/atjobs /var/spool/cron/atspool; chown -R daemon /var/spool/cron/at*", []way{
		{run: "exec atd", forks: true},
		{run: "exec atd -f", silent: true},
	}},
	{"sshd", "sshd", "/run/sshd.pid", "mkdir -p /run/sshd", []way{
		{run: "exec /usr/sbin/sshd -f " + c + "sshd_config", forks: true},
		{run: "exec /usr/sbin/sshd -D -f " + c + "sshd_config"},
	}},
	{"nginx", "nginx", "/run/nginx.pid", "mkdir -p /var/lib/nginx /var/log/nginx", []way{
		{run: "exec nginx -c " + c + "nginx.conf", forks: true},
		{run: "exec nginx -c " + c + "nginx.conf -g 'daemon off;'"},
	}},
	{"apache2", "apache2", "/run/apache2.pid", "mkdir -p /run/lock /run/apache2", []way{
		{run: "exec apache2ctl -f " + c + "apache2.conf -k start", forks: true},
		{run: "exec apache2ctl -f " + c + "apache2.conf -D FOREGROUND", wrapper: "apache2ctl"},
	}},
	{"postgresql", "postgres", "/tmp/postgresql.pid", "", []way{
		{run: "exec /usr/lib/postgresql/15/bin/pg_ctl start -w -D /var/lib/onset-postgres -o '-c config_file=" + c + "postgresql.conf'",
			stanzas: "setuid postgres\nsetgid postgres\n", forks: true},
		{run: "exec /usr/lib/postgresql/15/bin/postgres -D /var/lib/onset-postgres -c config_file=" + c + "postgresql.conf",
			stanzas: "setuid postgres\nsetgid postgres\n"},
	}},
	{"redis", "redis-check-rdb", "/run/redis.pid", "", []way{
		{run: "exec redis-server " + c + "redis.conf --daemonize yes", forks: true},
		{run: "exec redis-server " + c + "redis.conf --supervised auto"},
		{run: "exec start-stop-daemon --start --quiet --background --exec /usr/bin/redis-server -- " + c + "redis.conf", forks: true},
	}},
	{"dnsmasq", "dnsmasq", "/run/dnsmasq.pid", "", []way{
		{run: "exec dnsmasq -1 -C /dev/null -R -p 5353 -x /run/dnsmasq.pid", forks: true},
		{run: "exec dnsmasq -1 -C /dev/null -R -p 5353 -x /run/dnsmasq.pid -k"},
	}},
	{"named", "named", "/run/named.pid", "mkdir -p /var/cache/bind", []way{
		{run: "exec named -c " + c + "named.conf", forks: true, mainPID: true},
		{run: "exec named -f -c " + c + "named.conf"},
	}},
	{"postfix", "master", "/var/spool/postfix/pid/master.pid", "cp /usr/share/postfix/master.cf.dist /etc/onset/master.cf\n" +
		"cp -r /etc/postfix/post* /etc/onset; chown postfix /var/lib/postfix", []way{
		{run: "exec postfix -c /etc/onset start", forks: true},
		{run: "exec postfix -c /etc/onset start-fg", wrapper: "postfix-script"},
	}},
	{"smbd", "smbd", "/run/samba/smbd.pid", "mkdir -p /run/samba /var/lib/samba/private /var/cache/samba /var/log/samba", []way{
		{run: "exec start-stop-daemon --start --quiet --exec /usr/sbin/smbd -- -D -s " + c + "smb.conf", forks: true},
		{run: "exec smbd -F --no-process-group -s " + c + "smb.conf"},
	}},
	{"dbus-daemon", "dbus-daemon", "/run/dbus/pid", "mkdir -p /run/dbus; rm -f /run/dbus/pid", []way{
		{run: "exec dbus-daemon --config-file=" + c + "dbus.conf --fork", forks: true},
		{run: "exec dbus-daemon --config-file=" + c + "dbus.conf --nofork"},
	}},
	{"chronyd", "chronyd", "/run/chronyd.pid", "", []way{
		{run: "exec chronyd -x -u root -f " + c + "chrony.conf", forks: true},
		{run: "exec chronyd -d -x -u root -f " + c + "chrony.conf"},
	}},
	{"exim4", "exim4", "/run/exim4.pid", "install -d -o Debian-exim -g Debian-exim /var/spool/exim4", []way{
		{run: "exec exim4 -C " + c + "exim4.conf -bd -q30m", forks: true},
		{run: "exec exim4 -C " + c + "exim4.conf -bdf -q30m", silent: true},
	}},
	{"mariadbd", "mariadbd", "/tmp/mariadbd.pid", "", []way{
		{run: "script\n\tmariadbd-safe --defaults-file=" + c + "my.cnf &\nend script", forks: true, wrapper: "mariadbd-safe"},
		{run: "exec mariadbd-safe --defaults-file=" + c + "my.cnf", wrapper: "mariadbd-safe"},
		{run: "exec mariadbd --defaults-file=" + c + "my.cnf"},
	}},
}
