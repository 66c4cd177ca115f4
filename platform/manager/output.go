package manager

import (
	"slices"

	"golang.org/x/sys/unix"

	"onset/platform/joblog"
	"onset/platform/keeper"
	"onset/platform/posix"
)

const outputName = "output" // in the keeper's store

// outputMemory returns the memory where output of jobs is until it is in a
// file: that of the manager before, if there was one. It is nil without a
// keeper to hold it.
func (m *Manager) outputMemory() []byte {
	if m.kept == nil {
		return nil
	}
	mem, err := m.kept.mapOutput()
	if err != nil {
		m.warn("output of jobs will be lost if init crashes: %s", err)
	}
	return mem
}

func (k *kept) mapOutput() ([]byte, error) {
	fd := -1
	if i := slices.IndexFunc(k.Stored, func(s keeper.Stored) bool { return s.Name == outputName }); i >= 0 {
		fd = k.Stored[i].FD
		k.Stored = slices.Delete(k.Stored, i, i+1)
	}
	if fd < 0 {
		var err error
		if fd, err = posix.Memory("onset-output", nil); err != nil {
			return nil, err
		}
		if err = k.Store(outputName, fd); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(joblog.ArenaSize)); err != nil {
		return nil, err
	}
	return unix.Mmap(fd, 0, joblog.ArenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
