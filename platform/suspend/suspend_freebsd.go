package suspend

import (
	"errors"
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

	requestSleep = 0x80045004 // ACPIIO_REQSLPSTATE of <dev/acpica/acpiio.h>
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
	for _, s := range states[m] {
		if slices.Contains(strings.Fields(offered), fmt.Sprint("S", s)) {
			return s, nil
		}
	}
	return 0, fmt.Errorf("this kernel cannot %s: hw.acpi.supported_sleep_state is %q", m, offered)
}

const (
	// wakeTime is how long the machine is awake at most before and after a sleep
	// that was asked for: the kernel waits ten seconds for who reads devctl.
	wakeTime = 20 * time.Second
	// least is how long a sleep takes that the clock of the machine shows.
	least = 500 * time.Millisecond
)

var errAwake = errors.New("the machine did not go to sleep")

// Enter puts the machine to sleep and returns when it is awake again. The
// kernel does not tell when that is where somebody reads devctl: then the clock
// does.
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
	before := Clock()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), requestSleep, uintptr(unsafe.Pointer(&s))); errno != 0 {
		return errno
	}
	for end := time.Now().Add(wakeTime); Clock()-before < least; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return errAwake
		}
	}
	return nil
}

// Clock grows by the time that the machine sleeps; its value alone means
// nothing. It also jumps when the time of day is set.
func Clock() time.Duration {
	var day, awake unix.Timespec
	unix.ClockGettime(unix.CLOCK_REALTIME, &day)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake)
	return time.Duration(day.Nano() - awake.Nano())
}
