package linux

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// births are the namespaces that a process can only be born into, in the
// order in which they are blamed for a birth that fails.
var births = []struct {
	kind string
	flag uintptr
}{{"user", unix.CLONE_NEWUSER}, {"pid", unix.CLONE_NEWPID}, {"time", unix.CLONE_NEWTIME}}

// mayMakeNamespaces reports whether this process needs no user namespace for
// the others.
func mayMakeNamespaces() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// bear forks an exec stage into its namespaces. Optional ones are left out
// where they cannot be had.
func (p *Processes) bear(n *newcomer, plan *posix.Plan, birth *posix.Birth) (int, error) {
	for {
		pid, err := p.forkStage(n, plan, birth)
		if err == nil || err == unix.EAGAIN || err == unix.ENOMEM {
			return pid, err
		}
		list := plan.Isolation.Namespaces
		at := toBlame(list)
		if at < 0 {
			return pid, err
		}
		if err := p.without(n, list[at], err); err != nil {
			return 0, err
		}
		plan.Isolation.Namespaces = slices.Delete(list, at, at+1)
	}
}

// toBlame returns which of the namespaces kept a process from being born, or
// -1: the one that the kernel does not have, else the first.
func toBlame(list []job.Namespace) int {
	blamed := -1
	for _, b := range births {
		at := slices.IndexFunc(list, func(n job.Namespace) bool { return n.Kind == b.kind })
		if at < 0 {
			continue
		}
		if _, err := os.Lstat("/proc/self/ns/" + b.kind); os.IsNotExist(err) {
			return at
		}
		if blamed < 0 {
			blamed = at
		}
	}
	return blamed
}

// without refuses a job one of whose namespaces cannot be had, or notes that
// it is left out.
func (p *Processes) without(n *newcomer, ns job.Namespace, err error) error {
	if ns.Optional {
		p.o.Notice(n.Token, posix.LeftOut(ns.Kind, err).Error())
		return nil
	}
	return &platform.SpawnError{Reason: posix.NoIsolation(ns.Kind, err).Error()}
}

// Why a job cannot have its own process 1.
var (
	errEndsWithFirst = errors.New("its processes end with the first, which expect fork and expect daemon have end")
	errStopsNot      = errors.New("its first process cannot stop itself")
)

// processOne sees to it that a job whose main process is process 1 of a
// namespace can be what it is.
func (p *Processes) processOne(n *newcomer, plan *posix.Plan) error {
	list := plan.Isolation.Namespaces
	at := slices.IndexFunc(list, func(n job.Namespace) bool { return n.Kind == "pid" })
	if at < 0 {
		return nil
	}
	var err error
	switch s := n.Spec; {
	case n.Tracked():
		err = errEndsWithFirst
	case s.Debug || s.Slot == job.Main && s.Expect.Kind == job.ExpectStop:
		err = errStopsNot
	default:
		return nil
	}
	pid := list[at]
	plan.Isolation.Namespaces = slices.Delete(list, at, at+1)
	return p.without(n, pid, err)
}

// lastCapability is the last one that all kernels have whose user namespaces
// are of use.
const lastCapability = unix.CAP_AUDIT_READ

// birth adds the namespaces that a process is born into. In a user namespace
// everybody keeps the ids: root those of all users, others their own.
func (p *Processes) birth(attr *syscall.SysProcAttr, list []job.Namespace) {
	for _, b := range births {
		if slices.ContainsFunc(list, func(n job.Namespace) bool { return n.Kind == b.kind }) {
			attr.Cloneflags |= b.flag
		}
	}
	if attr.Cloneflags&unix.CLONE_NEWUSER == 0 {
		return
	}
	if p.maker.UID == 0 {
		attr.UidMappings, attr.GidMappings = sameIDs("/proc/self/uid_map"), sameIDs("/proc/self/gid_map")
		attr.GidMappingsEnableSetgroups = !p.maker.NoGroup
		return
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: p.maker.UID, HostID: p.maker.UID, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: p.maker.GID, HostID: p.maker.GID, Size: 1}}
	for c := uintptr(0); c <= lastCapability; c++ {
		attr.AmbientCaps = append(attr.AmbientCaps, c) // else they are gone when the stage is executed
	}
}

// sameIDs maps all ids that there are to themselves.
func sameIDs(file string) (all []syscall.SysProcIDMap) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err := strconv.Atoi(f[0])
		size, failed := strconv.Atoi(f[2])
		if err == nil && failed == nil {
			all = append(all, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
		}
	}
	return all
}
