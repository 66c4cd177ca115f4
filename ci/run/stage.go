//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces are init's own; that of the network holds the address of init's
// private socket.
const namespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// stateFolder is where timers are remembered, the machine's own of which are
// not for the examples.
const stateFolder = "/var/lib/onset"

// stage is process 1 before init: it makes the mounts and executes init. It
// returns only with an error.
func stage(dir string, init []string) error {
	mounts := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{filepath.Join(dir, "kmsg"), "/dev/kmsg", "", unix.MS_BIND},                 // init's messages are not the kernel's here
		{"/dev/null", "/dev/console", "", unix.MS_BIND},                             // nor is the console its own
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC}, // with the links of here
		{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},                    // udevd and buses tell nothing here
		{"state", stateFolder, "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("cannot mount %q on %q: %v", m.source, m.target, err)
		}
	}
	// Init finds its own group to be the root of all when it mounts them.
	unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH)
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cannot make a namespace of cgroups: %v", err)
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("cannot set up the loopback interface: %v", err)
	}
	return syscall.Exec(init[0], init, os.Environ())
}

func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// collectLog makes what stands for the kernel's log and copies it to the file
// of messages.
func (m *machine) collectLog() error {
	if err := unix.Mkfifo(m.path("kmsg"), 0o600); err != nil {
		return err
	}
	from, err := os.OpenFile(m.path("kmsg"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	go io.Copy(m.messages, from)
	return nil
}
