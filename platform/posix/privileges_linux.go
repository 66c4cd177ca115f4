package posix

import (
	"fmt"
	"math/bits"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// capabilities is a set of them.
type capabilities uint64

const allCapabilities = ^capabilities(0)

func parseCapabilities(names []string) (set capabilities, err error) {
	for _, name := range names {
		n := job.Capability(name)
		if n < 0 {
			return 0, fmt.Errorf("unknown capability %q", name)
		}
		set |= 1 << n
	}
	return set, nil
}

// has reports whether the set has the capability of a name.
func (c capabilities) has(name string) bool {
	one, err := parseCapabilities([]string{name})
	return err == nil && c&one != 0
}

// String names one of the set.
func (c capabilities) String() string {
	return "cap_" + strings.Fields(job.CapabilityNames)[bits.TrailingZeros64(uint64(c))]
}

// privilege is what a process keeps.
type privilege struct {
	bounding capabilities
	ambient  capabilities
}

const noCapabilities = "unable to set capabilities"

// privileges reads the names and says what init itself cannot give.
func (s *stage) privileges() *SetupError {
	s.privilege = privilege{bounding: allCapabilities}
	var err error
	if s.ambient, err = parseCapabilities(s.Isolation.CapAmbient); err != nil {
		return failure(noCapabilities, err)
	}
	if len(s.Isolation.CapBounding) > 0 {
		if s.bounding, err = parseCapabilities(s.Isolation.CapBounding); err != nil {
			return failure(noCapabilities, err)
		}
	}
	if outside := s.ambient &^ s.bounding; outside != 0 {
		return failure(noCapabilities, fmt.Errorf("%s is ambient and not in the bounding set", outside))
	}
	own, errno := getCapabilities()
	if errno != 0 {
		return failure(noCapabilities, errno)
	}
	if missing := s.ambient &^ own.permitted; missing != 0 {
		return failure(noCapabilities, fmt.Errorf("init itself does not have %s", missing))
	}
	return nil
}

// beforeIDs is done while the process still may do everything. It takes no
// memory, as afterIDs.
func (p *privilege) beforeIDs() unix.Errno {
	for n := uintptr(0); n < 64; n++ {
		if p.bounding&(1<<n) != 0 {
			continue
		}
		has, errno := prctl(unix.PR_CAPBSET_READ, n, 0)
		if errno != 0 {
			break // the kernel's last one was before
		}
		if has == 0 {
			continue
		}
		if _, errno := prctl(unix.PR_CAPBSET_DROP, n, 0); errno != 0 {
			return errno
		}
	}
	if p.ambient == 0 {
		return 0
	}
	_, errno := prctl(unix.PR_SET_KEEPCAPS, 1, 0) // until it is executed
	return errno
}

// afterIDs keeps the ambient capabilities over a change of the user, and
// inherits nothing else that is out of bounds.
func (p *privilege) afterIDs() unix.Errno {
	if p.ambient == 0 && p.bounding == allCapabilities {
		return 0
	}
	own, errno := getCapabilities()
	if errno != 0 {
		return errno
	}
	own.inheritable = own.inheritable&p.bounding | p.ambient
	if p.ambient != 0 && unix.Geteuid() != 0 {
		own.permitted, own.effective = p.ambient, p.ambient
	}
	if errno := own.set(); errno != 0 {
		return errno
	}
	for n := uintptr(0); n < 64; n++ {
		if p.ambient&(1<<n) == 0 {
			continue
		}
		if _, errno := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n); errno != 0 {
			return errno
		}
	}
	return 0
}

func setNoNewPrivileges() unix.Errno {
	_, errno := prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0)
	return errno
}

// capSets are those of this thread.
type capSets struct{ effective, permitted, inheritable capabilities }

func getCapabilities() (c capSets, errno unix.Errno) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	_, _, errno = syscall.RawSyscall(unix.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	join := func(low, high uint32) capabilities { return capabilities(high)<<32 | capabilities(low) }
	return capSets{
		effective:   join(data[0].Effective, data[1].Effective),
		permitted:   join(data[0].Permitted, data[1].Permitted),
		inheritable: join(data[0].Inheritable, data[1].Inheritable),
	}, errno
}

func (c *capSets) set() unix.Errno {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		shift := 32 * i
		data[i] = unix.CapUserData{Effective: uint32(c.effective >> shift), Permitted: uint32(c.permitted >> shift), Inheritable: uint32(c.inheritable >> shift)}
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	return errno
}

func prctl(option int, a, b uintptr) (uintptr, unix.Errno) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_PRCTL, uintptr(option), a, b, 0, 0, 0)
	return r, errno
}
