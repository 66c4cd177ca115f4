package linux

import (
	"os"
	"strconv"
)

// SystemLog returns what logs a line at a level of syslog(3), in the kernel's
// log (UPSTART §8.2 step 10).
func SystemLog() (func(level int, line string), error) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return func(level int, line string) { f.WriteString("<" + strconv.Itoa(level) + ">" + line + "\n") }, nil
}
