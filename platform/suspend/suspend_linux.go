package suspend

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stateFile is the kernel's (Documentation/admin-guide/pm/sleep-states.rst).
const stateFile = "/sys/power/state"

// words of the state file, the best first.
var words = map[Method][]string{Suspend: {"mem", "standby", "freeze"}, Hibernate: {"disk"}}

// Supported returns an error that says what the kernel has if it has not that
// method.
func Supported(m Method) error {
	_, err := word(m)
	return err
}

func word(m Method) (string, error) {
	b, err := os.ReadFile(stateFile)
	if err != nil {
		return "", errors.Join(err, errors.ErrUnsupported)
	}
	offered := strings.Fields(string(b))
	for _, w := range words[m] {
		if slices.Contains(offered, w) {
			return w, nil
		}
	}
	return "", fmt.Errorf("the kernel offers %q only in %s, and that is no way to %s", strings.Join(offered, " "), stateFile, m)
}

// Enter puts the machine to sleep and returns when it is awake again.
func Enter(m Method) error {
	w, err := word(m)
	if err == nil {
		err = os.WriteFile(stateFile, []byte(w), 0)
	}
	return err
}

// Clock grows by the time that the machine sleeps; its value alone means
// nothing.
func Clock() time.Duration {
	// The one that stands still is read last, so that the difference does not
	// grow by what lies in between.
	var all, awake unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &all)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake)
	return time.Duration(all.Nano() - awake.Nano())
}
