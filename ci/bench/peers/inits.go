//go:build linux

package main

import (
	"errors"
	"fmt"
)

// load is what an init is to do.
type load struct {
	services int
	chain    bool // each starts when the one before has started
	respawn  bool
	sandbox  bool // namespaces, cgroup limit, capabilities, system-call filter
	idle     bool // laid out, not started
	tasks    int  // logged tasks that start on the event go
	socket   bool // a service that is started by a connection to port 7
	event    bool // a task that starts when the kernel tells of the interface lo
}

// peer is an init that can be measured.
type peer struct {
	name        string
	packages    []string // of Debian
	argv, env   []string
	lay         func(m *machine, l load) error
	stop, start []string // commands for service 2
	note        string
}

// onSocket is whether an init can do no more than start a service for a socket.
func (l load) onSocket() bool { return l.socket && l.services == 0 }

var errNot = errors.New("cannot express it")

var path = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "container=bench"}

const service = "/bench/up"

var inits = []peer{
	{
		name: "Onset", lay: layOnset, env: path,
		argv: []string{"/bench/init"},
		stop: []string{"/bench/initctl", "stop", "b2"}, start: []string{"/bench/initctl", "start", "b2"},
	},
	{
		name: "s6", packages: []string{"s6", "execline", "libs6-2.11", "libskarnet2.13", "libexecline2.9"},
		lay: layS6, env: path,
		argv: []string{"/usr/bin/s6-svscan", "-c2000", "/etc/services"},
		stop: []string{"/usr/bin/s6-svc", "-wD", "-d", "/etc/services/b2"}, start: []string{"/usr/bin/s6-svc", "-wU", "-u", "/etc/services/b2"},
		note: "s6-svscan as process 1; `s6-svc -wD`, `-wU`; s6-rc is no package of Debian 12, so there is no chain",
	},
	{
		name: "runit", packages: []string{"runit"}, lay: layRunit, env: path,
		argv: []string{"/usr/sbin/runit"},
		stop: []string{"/usr/bin/sv", "stop", "/etc/service/b2"}, start: []string{"/usr/bin/sv", "start", "/etc/service/b2"},
		note: "runit with runsvdir as stage 2; `sv` looks every 420 ms",
	},
	{
		name: "finit", packages: []string{"finit", "finit-plugins", "libuev3", "libite5"}, lay: layFinit, env: path,
		argv: []string{"/usr/sbin/finit"},
		stop: []string{"/usr/lib/finit/initctl", "stop", "b2:2"}, start: []string{"/usr/lib/finit/initctl", "start", "b2:2"},
		note: "with its plugins, without udevd, which one of them would start; its `initctl` does not wait for the service",
	},
	{
		name: "systemd", lay: laySystemd, env: path,
		argv: []string{"/usr/lib/systemd/systemd", "--system", "--unit=bench.target", "--log-target=null", "--show-status=0"},
		stop: []string{"/usr/bin/systemctl", "stop", "b2.service"}, start: []string{"/usr/bin/systemctl", "start", "b2.service"},
		note: "process 1 alone, without generators and journal; services of type simple",
	},
	{
		name: "socket-activate", lay: laySocketActivate, env: path,
		argv: []string{"/usr/bin/systemd-socket-activate", "--listen=127.0.0.1:7", "/bench/first", "answer", "3"},
		note: "systemd's, as process 1; it becomes the service, with the first connection only",
	},
	{
		name: "inetd", packages: []string{"openbsd-inetd", "libwrap0"}, lay: layInetd, env: path,
		argv: []string{"/usr/sbin/inetd", "-i", "/etc/inetd.conf"},
		note: "openbsd-inetd as process 1; the service gets the connection",
	},
}

// Services are called b1, b2 and so on.

func layOnset(m *machine, l load) error {
	m.write("var/log/upstart/.keep", "")
	for i := 1; i <= l.services; i++ {
		text := "start on startup\nconsole none\nexec " + service + "\n"
		switch {
		case l.idle:
			text = "start on never\nconsole none\nexec " + service + "\n"
		case l.chain && i > 1:
			text = fmt.Sprintf("start on started b%d\nconsole none\nexec %s\n", i-1, service)
		}
		if l.respawn {
			text += "respawn\nrespawn limit unlimited\n"
		}
		if l.sandbox {
			text += "namespace mount uts ipc\nprivate tmp\nprivate network\nreadonly /usr\ncgroup memory memory.max 100000000\n" +
				"capability bounding CAP_KILL\nno new privileges\nseccomp @default\n"
		}
		m.write(fmt.Sprintf("etc/init/b%d.conf", i), text)
	}
	if l.socket || l.event {
		m.write("etc/init/onset-sources.conf", "start on startup\nexpect notify\nrespawn\nexec /bench/onset-sources\n")
	}
	if l.socket {
		m.write("etc/init/first.conf", "start on socket PROTO=inet ADDR=127.0.0.1 PORT=7\nconsole none\nexec /bench/first answer 3\n")
	}
	if l.event {
		m.write("etc/init/heard.conf", "start on net-device-changed INTERFACE=lo\ninstance $SEQNUM\ntask\nconsole none\nexec "+service+" once\n")
	}
	for i := range l.tasks {
		m.write(fmt.Sprintf("etc/init/t%d.conf", i), "start on go\ntask\nconsole log\nexec /bench/say\n")
	}
	return nil
}

func laySocketActivate(_ *machine, l load) error {
	if !l.onSocket() {
		return errNot
	}
	return nil
}

func layInetd(m *machine, l load) error {
	if !l.onSocket() {
		return errNot
	}
	m.write("etc/services", "first 7/tcp\n")
	m.write("etc/protocols", "tcp 6 TCP\n")
	m.write("etc/inetd.conf", "127.0.0.1:first stream tcp nowait root /bench/first first answer 1\n")
	return nil
}

func layS6(m *machine, l load) error {
	if l.chain || l.sandbox || l.idle || l.socket || l.event || l.tasks > 0 {
		return errNot
	}
	m.write("etc/services/.s6-svscan/finish", "#!/bin/sh\n")
	for i := 1; i <= l.services; i++ {
		m.link(service, fmt.Sprintf("etc/services/b%d/run", i))
	}
	return nil
}

func layRunit(m *machine, l load) error {
	if l.chain || l.sandbox || l.idle || l.socket || l.event || l.tasks > 0 {
		return errNot
	}
	m.write("etc/runit/1", "#!/bin/sh\n")
	m.write("etc/runit/2", "#!/bin/sh\nexec runsvdir -P /etc/service\n")
	m.write("etc/runit/3", "#!/bin/sh\n")
	m.write("etc/service/.keep", "")
	for i := 1; i <= l.services; i++ {
		m.link(service, fmt.Sprintf("etc/service/b%d/run", i))
	}
	return nil
}

func layFinit(m *machine, l load) error {
	if l.sandbox || l.idle || l.socket || l.event || l.tasks > 0 {
		return errNot
	}
	text := "runlevel 2\n"
	for i := 1; i <= l.services; i++ {
		on := ""
		if l.chain && i > 1 {
			on = fmt.Sprintf("<pid/b%d:%d> ", i-1, i-1)
		}
		pid := ""
		if l.chain {
			pid = fmt.Sprintf("pid:/run/b%d.pid ", i)
		}
		text += fmt.Sprintf("service name:b%d :%d [2] %s%s%s --\n", i, i, on, pid, service)
	}
	m.write("etc/finit.conf", text)
	m.write("etc/finit.d/.keep", "")
	return nil
}

func laySystemd(m *machine, l load) error {
	if l.idle || l.event || l.tasks > 0 {
		return errNot
	}
	const units = "etc/systemd/system/"
	for _, name := range generators() {
		m.link("/dev/null", "etc/systemd/system-generators/"+name)
	}
	m.write(units+"bench.target", "[Unit]\nDefaultDependencies=no\n")
	if l.socket {
		m.write(units+"first.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=127.0.0.1:7\n")
		m.write(units+"first.service", "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bench/first answer 3\n"+
			"StandardInput=null\nStandardOutput=null\nStandardError=null\n")
		m.link("../first.socket", units+"bench.target.wants/first.socket")
	}
	for i := 1; i <= l.services; i++ {
		text := "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n"
		if l.chain && i > 1 {
			text += fmt.Sprintf("Requires=b%d.service\nAfter=b%d.service\n", i-1, i-1)
		}
		text += "[Service]\nExecStart=" + service + "\nStandardInput=null\nStandardOutput=null\nStandardError=null\n"
		if l.respawn {
			text += "Restart=always\nRestartSec=0\n"
		}
		if l.sandbox {
			text += "Type=exec\nPrivateTmp=yes\nPrivateNetwork=yes\nPrivateIPC=yes\nProtectHostname=yes\nReadOnlyPaths=/usr\nMemoryMax=100000000\n" +
				"CapabilityBoundingSet=CAP_KILL\nNoNewPrivileges=yes\nSystemCallFilter=@system-service\n"
		}
		name := fmt.Sprintf("b%d.service", i)
		m.write(units+name, text)
		m.link("../"+name, units+"bench.target.wants/"+name)
	}
	return nil
}
