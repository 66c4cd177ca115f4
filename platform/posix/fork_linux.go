package posix

import (
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/vfork"
)

// Forks reports whether Fork works here: not before Linux 5.7, and containers
// may forbid clone3. The kernel looks last at the cgroup, which here is none.
func Forks() bool {
	pid, _, errno := (&vfork.Table{Flags: unix.CLONE_INTO_CGROUP, Cgroup: 1<<31 - 1}).Run()
	if pid > 0 { // there are no cgroups
		reap(pid)
	}
	return !slices.Contains([]unix.Errno{unix.ENOSYS, unix.EPERM, unix.EINVAL}, unix.Errno(errno))
}

// Fork is syscall.ForkExec in less time, for what Maker.Simple asks for: the child needs no
// pipe to say what failed, and one system call makes all its signals default.
func Fork(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	b := birth{&vfork.Table{Calls: make([]vfork.Call, 0, 16)}}
	if err := b.attributes(attr); err != nil {
		return 0, err
	}
	b.descriptors(attr.Files)
	if limit := startLimit(); limit != nil {
		b.Add(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, b.Address(unsafe.Pointer(limit)), 0)
	}
	if err := b.program(path, argv, attr.Env); err != nil {
		return 0, err
	}
	syscall.ForkLock.Lock()
	pid, _, errno := b.Run()
	syscall.ForkLock.Unlock()
	switch {
	case errno == 0:
		return pid, nil
	case pid > 0:
		reap(pid)
	}
	return 0, unix.Errno(errno)
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

// birth fills the table of a child.
type birth struct{ *vfork.Table }

func (b birth) attributes(attr *syscall.ProcAttr) error {
	sys := attr.Sys
	if sys.UseCgroupFD {
		b.Flags, b.Cgroup = unix.CLONE_INTO_CGROUP, uint64(sys.CgroupFD)
	}
	if sys.Setsid {
		b.Add(unix.SYS_SETSID)
	}
	b.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, b.Mask(), 0, 8)
	if sys.Chroot != "" {
		if err := b.path(unix.SYS_CHROOT, sys.Chroot); err != nil {
			return err
		}
	}
	if c := sys.Credential; c != nil {
		if !c.NoSetGroups {
			b.Add(sysSetgroups, uintptr(len(c.Groups)), b.Address(unsafe.Pointer(unsafe.SliceData(c.Groups))))
		}
		b.Add(sysSetgid, uintptr(c.Gid))
		b.Add(sysSetuid, uintptr(c.Uid))
	}
	if attr.Dir == "" {
		return nil
	}
	return b.path(unix.SYS_CHDIR, attr.Dir)
}

func (b birth) path(call uintptr, path string) error {
	p, err := unix.BytePtrFromString(path)
	if err == nil {
		b.Add(call, b.Address(unsafe.Pointer(p)))
	}
	return err
}

const closed = ^uintptr(0) // no descriptor

// descriptors puts each in its place. What another takes the place of first moves above all.
func (b birth) descriptors(files []uintptr) {
	fds, next := slices.Clone(files), uintptr(len(files))
	for _, fd := range files {
		if fd != closed {
			next = max(next, fd+1)
		}
	}
	for i, fd := range fds {
		if fd < uintptr(i) {
			b.Add(unix.SYS_DUP3, fd, next, unix.O_CLOEXEC)
			fds[i] = next
			next++
		}
	}
	for i, fd := range fds {
		switch to := uintptr(i); fd {
		case closed:
			b.Add(unix.SYS_CLOSE_RANGE, to, to, 0) // no fault if it is
		case to:
			b.Add(unix.SYS_FCNTL, fd, unix.F_SETFD, 0)
		default:
			b.Add(unix.SYS_DUP3, fd, to, 0)
		}
	}
}

// startLimit is the limit on descriptors that this process was started with
// and package syscall raised, or nil.
func startLimit() *unix.Rlimit {
	own, limit := unix.Rlimit{}, unix.Rlimit{Cur: vfork.Limit[0], Max: vfork.Limit[1]}
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) != nil || own.Max != limit.Max || own.Cur != own.Max-1 || limit.Cur >= own.Cur {
		return nil
	}
	return &limit
}

// program is the last call.
func (b birth) program(path string, argv, env []string) error {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	if i := slices.Index(env, listenPID+ownPID); i >= 0 {
		b.PID = (*byte)(unsafe.Add(unsafe.Pointer(vars[i]), len(listenPID)))
	}
	b.Add(unix.SYS_EXECVE, b.Address(unsafe.Pointer(p)), b.Address(unsafe.Pointer(&args[0])), b.Address(unsafe.Pointer(&vars[0])))
	return nil
}
