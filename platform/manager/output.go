package manager

import (
	"slices"

	"golang.org/x/sys/unix"

	"onset/platform/joblog"
	"onset/platform/keeper"
	"onset/platform/posix"
)

// names of memory in the keeper's store
const (
	outputName  = "output"
	listensName = "listens"
	groupsName  = "groups"
)

// outputMemory returns the memory where output of jobs is until it is in a
// file: that of the manager before, if there was one. It is nil without a
// keeper to hold it.
func (m *Manager) outputMemory() []byte {
	if m.kept == nil {
		return nil
	}
	mem, err := m.kept.mapped(outputName, joblog.ArenaSize)
	if err != nil {
		m.warn("output of jobs will be lost if init crashes: %s", err)
	}
	return mem
}

// listenMemory returns the memory of calls that were taken from the kernel.
func (m *Manager) listenMemory() []byte {
	if m.kept != nil && m.k.ListenMemory > 0 {
		mem, err := m.kept.mapped(listensName, m.k.ListenMemory)
		if err == nil {
			return mem
		}
		m.warn("a process that begins to listen may hang if init crashes: %s", err)
	}
	return make([]byte, m.k.ListenMemory)
}

// remember gives the back end its memory of what comes from which spawn.
func (m *Manager) remember() {
	if m.kept == nil || m.k.Remember == nil {
		return
	}
	mem, err := m.kept.mapped(groupsName, m.k.GroupMemory)
	if err != nil {
		m.warn("processes of jobs will not be known after a crash of init: %s", err)
		return
	}
	m.k.Remember(mem)
}

// mapped maps memory that the keeper holds under a name, and makes it if need be.
func (k *kept) mapped(name string, size int) ([]byte, error) {
	fd := -1
	if i := slices.IndexFunc(k.Stored, func(s keeper.Stored) bool { return s.Name == name }); i >= 0 {
		fd = k.Stored[i].FD
		k.Stored = slices.Delete(k.Stored, i, i+1)
	}
	if fd < 0 {
		var err error
		if fd, err = posix.Memory("onset-"+name, nil); err != nil {
			return nil, err
		}
		if err = k.Store(name, fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
