// Package suspend puts the machine to sleep, and tells how long it slept. It
// knows nothing of init and keeps nothing; clients and event sources use it.
package suspend

import (
	"strconv"
	"time"
)

// Method is a way to sleep (EXTENSIONS §9).
type Method string

// The methods: in memory, and on disk.
const (
	Suspend   Method = "suspend"
	Hibernate Method = "hibernate"
)

// Slept is the variable of event resumed.
func Slept(d time.Duration) string {
	return "SLEPT=" + strconv.Itoa(int(max(0, d).Round(time.Second)/time.Second))
}
