package suspend

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	device   = "/dev/acpi"
	lockFile = "/var/run/onset-suspend.lock"

	// Of <dev/acpica/acpiio.h>.
	requestSleep = 0x80045004 // ACPIIO_REQSLPSTATE
	ackSleep     = 0x80045005 // ACPIIO_ACKSLPSTATE
)

func openLock() (*os.File, error) { return os.OpenFile(lockFile, os.O_RDONLY|os.O_CREATE, 0o600) }

// states of ACPI, the best first.
var states = map[Method][]int32{Suspend: {3, 1}, Hibernate: {4}}

// Supported returns an error that says what the kernel has if it has not that
// method.
func Supported(m Method) error {
	_, err := state(m)
	return err
}

func state(m Method) (int32, error) {
	offered, err := unix.Sysctl("hw.acpi.supported_sleep_state")
	if err != nil {
		return 0, fmt.Errorf("this kernel cannot %s: no ACPI: %w", m, err)
	}
	if m == Hibernate && !savesMemory() {
		return 0, fmt.Errorf("this kernel cannot %s: no firmware that writes memory to disk: hw.acpi.s4bios is 0", m)
	}
	for _, s := range states[m] {
		if slices.Contains(strings.Fields(offered), fmt.Sprint("S", s)) {
			return s, nil
		}
	}
	return 0, fmt.Errorf("this kernel cannot %s: hw.acpi.supported_sleep_state is %q", m, offered)
}

// savesMemory reports whether S4 keeps what is in memory. The kernel leaves that
// to the firmware (S4BIOS) and enters S4 without, too.
func savesMemory() bool {
	value, err := unix.SysctlRaw("hw.acpi.s4bios") // int; bool in newer kernels
	return err == nil && slices.ContainsFunc(value, func(b byte) bool { return b != 0 })
}

// otherTime is how long somebody else may take to agree, which may be the
// kernel that has waited ten seconds for an answer, and to come back then.
const otherTime = 20 * time.Second

// Enter puts the machine to sleep and returns when it is awake again. Where
// somebody reads devctl the kernel first waits for a reader to agree, which may
// be anybody: we do. When nothing is left to agree to, the sleep is over.
func Enter(m Method) error {
	s, err := state(m)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	ioctl := func(request uintptr, value int32) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(&value))); errno != 0 {
			return errno
		}
		return nil
	}
	if err := ioctl(requestSleep, s); err != nil {
		return err
	}
	for end := time.Now().Add(otherTime); ; time.Sleep(100 * time.Millisecond) {
		switch err := ioctl(ackSleep, 0); {
		case err == nil || err == unix.ENXIO:
			return nil
		case err != unix.ENODEV || time.Now().After(end): // else another's agreement is being carried out
			return err
		}
	}
}

// Clock grows by the time that the machine sleeps; its value alone means
// nothing. It also jumps when the time of day is set, and stands still on a
// machine whose clock does not run meanwhile.
func Clock() time.Duration {
	var day, awake unix.Timespec
	unix.ClockGettime(unix.CLOCK_REALTIME, &day)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake)
	return time.Duration(day.Nano() - awake.Nano())
}
