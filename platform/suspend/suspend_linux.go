package suspend

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stateFile is the kernel's (Documentation/admin-guide/pm/sleep-states.rst).
// It is the lock, too.
const stateFile = "/sys/power/state"

func openLock() (*os.File, error) { return os.Open(stateFile) }

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
		return "", fmt.Errorf("this kernel cannot %s: %w", m, err)
	}
	return choose(m, string(b))
}

// choose picks from what the state file says.
func choose(m Method, state string) (string, error) {
	offered := strings.Fields(state)
	for _, w := range words[m] {
		if slices.Contains(offered, w) {
			return w, nil
		}
	}
	return "", fmt.Errorf("this kernel cannot %s: %s has %q", m, stateFile, strings.Join(offered, " "))
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
	var all, awake unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &all)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake)
	return time.Duration(all.Nano() - awake.Nano())
}
