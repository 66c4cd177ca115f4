package posix

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/seccomp"
)

const (
	maxProfile     = 1 << 20 // bytes
	defaultProfile = "@default"
	noProfile      = "unable to set seccomp profile"
)

// usualCapabilities are those that container engines give, for the conditions
// of profiles: a job without a bounding set counts as having these.
var usualCapabilities = [...]string{"chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap",
	"setpcap", "net_bind_service", "sys_chroot", "kill", "audit_write"}

// callFilter is a profile for the kernel.
type callFilter struct{ *seccomp.Filter }

// compile makes a program of the job's seccomp profile (EXTENSIONS §5).
func (s *stage) compile() *SetupError {
	name, text := s.Isolation.Seccomp, seccomp.Default
	if name == "" {
		return nil
	}
	if name != defaultProfile {
		b, err := readBounded(name, maxProfile)
		if err != nil {
			return failure(noProfile+": "+name, err)
		}
		text = string(b)
	}
	names := s.Isolation.CapBounding
	if len(names) == 0 {
		names = append(usualCapabilities[:], s.Isolation.CapAmbient...)
	}
	held, err := parseCapabilities(names)
	if err != nil {
		return failure(noCapabilities, err)
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return failure(noProfile, err)
	}
	s.Filter, err = seccomp.Compile(text, seccomp.Machine{
		Arch: runtime.GOARCH, Kernel: unix.ByteSliceToString(kernel.Release[:]), Capabilities: held.has,
	})
	if err != nil {
		return failure(noProfile+": "+name, err)
	}
	return nil
}

// install comes last: it may forbid all but the execution. The kernel takes a
// filter only of who cannot gain privileges, or has them all.
func (f *callFilter) install() unix.Errno {
	if f.Filter == nil {
		return 0
	}
	program := unix.SockFprog{Len: uint16(len(f.Program)), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(f.Program)))}
	set := func() unix.Errno {
		_, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), uintptr(unsafe.Pointer(&program)))
		return errno
	}
	errno := set()
	if errno == unix.EACCES {
		if errno = setNoNewPrivileges(); errno == 0 {
			errno = set()
		}
	}
	return errno
}
