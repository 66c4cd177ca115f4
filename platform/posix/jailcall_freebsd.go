package posix

import (
	"slices"

	"golang.org/x/sys/unix"
)

// What jail_set(2) is to do, and what a parameter of a jail can be.
const (
	jailCreate = 0x01
	jailUpdate = 0x02
	jailAttach = 0x04

	jailNew     = 1
	jailInherit = 2
)

// FindJail returns the number of a jail that lives, or 0. One that the exec
// stage made and did not enter is empty.
func FindJail(name string) (jid int, empty bool) {
	p, persist := newParameters(), make([]byte, 4)
	p.string("name", name)
	p.add("persist", persist)
	n, err := p.call(unix.SYS_JAIL_GET, 0)
	if err != nil {
		return 0, false
	}
	return int(n), persist[0] != 0
}

// OwnNetwork reports whether a jail has a network of its own; 0 has none.
func OwnNetwork(jid int) bool {
	p, vnet := newParameters(), make([]byte, 4)
	p.int("jid", jid)
	p.add("vnet", vnet)
	_, err := p.call(unix.SYS_JAIL_GET, 0)
	return jid != 0 && err == nil && vnet[0] == jailNew
}

// Jails calls yield with each jail that lives below that of this process.
func Jails(yield func(jid int, name string)) {
	for jid := 0; ; {
		p, name := newParameters(), make([]byte, 256)
		p.int("lastjid", jid)
		p.add("name", name)
		next, err := p.call(unix.SYS_JAIL_GET, 0)
		if err != nil {
			return
		}
		jid = int(next)
		yield(jid, unix.ByteSliceToString(name))
	}
}

// RemoveJail ends a jail with all that is in it.
func RemoveJail(jid int) error {
	if _, _, errno := unix.Syscall(unix.SYS_JAIL_REMOVE, uintptr(jid), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// hasJailParameter reports whether the kernel knows a parameter of jails.
func hasJailParameter(name string) bool {
	_, err := unix.SysctlRaw("security.jail.param." + name)
	return err != unix.ENOENT
}

// newJail makes a jail that stays until it is entered, or removed. It shares
// with this process all but what the kinds of namespaces say.
func newJail(name, root string, kinds []string) (jid int, err error) {
	p := newParameters()
	p.string("name", name)
	p.string("path", root)
	p.flag("persist")
	p.int("enforce_statfs", 1) // the mounts below its root
	has := func(kind string) int {
		if slices.Contains(kinds, kind) {
			return jailNew
		}
		return jailInherit
	}
	p.int("host", has("uts"))
	if has("uts") == jailNew {
		for _, param := range []string{"hostname", "domainname", "hostuuid"} {
			if value, err := unix.Sysctl("kern." + param); err == nil {
				p.string("host."+param, value)
			}
		}
	}
	for _, param := range []string{"sysvmsg", "sysvsem", "sysvshm"} {
		if hasJailParameter(param) {
			p.int(param, has("ipc"))
		}
	}
	if has("net") == jailNew {
		p.int("vnet", jailNew)
	} else {
		for _, param := range []string{"ip4", "ip6"} {
			if hasJailParameter(param) {
				p.int(param, jailInherit)
			}
		}
	}
	for _, param := range []string{"chflags", "mlock", "raw_sockets", "reserved_ports", "set_hostname", "socket_af"} {
		if param = "allow." + param; hasJailParameter(param) {
			p.flag(param)
		}
	}
	n, err := p.call(unix.SYS_JAIL_SET, jailCreate)
	return int(n), err
}

// enterJail has this process in a jail, which is gone with the last process
// in it from now on.
func enterJail(jid int) error {
	p := newParameters()
	p.int("jid", jid)
	p.flag("nopersist")
	_, err := p.call(unix.SYS_JAIL_SET, jailUpdate|jailAttach)
	return err
}
