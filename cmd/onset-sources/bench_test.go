package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

// everySource is a job that has something for every source to do.
const everySource = `start on socket PROTO=unix PATH=PATH/socket or time EVERY=1h or dbus SIGNAL=Hello or net-device-added
stop on acpi or net-device-up or :sys:bench or wifi-changed or suspending
exec true
`

// BenchmarkMemory is the memory of onset-sources with all sources that a
// kernel has, each at work for a job and with facts to hold, after it has been
// so for a second, beside so many jobs that want nothing of them.
func BenchmarkMemory(b *testing.B) {
	for _, others := range []int{0, 10000} {
		b.Run(fmt.Sprint("beside", others), func(b *testing.B) { benchMemory(b, others) })
	}
}

func benchMemory(b *testing.B, others int) {
	bus := sourcetest.NewBus(b)
	dir := b.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	jobs := map[string]string{
		"every.conf": everySource,
		"a.conf":     "while net-device INTERFACE=lo and net-device-up INTERFACE=lo\nexec sleep 1000000\n",
		"b.conf":     "while file FILE=PATH/* and dbus-name NAME=com.example.Bench\nexec sleep 1000000\n",
		"sources.conf": "start on go\nexpect notify\nenv DBUS_SYSTEM_BUS_ADDRESS=" + bus.Address + "\nenv DBUS_SESSION_BUS_ADDRESS=" + bus.Address +
			"\nexec " + dir + "/onset-sources --user\n",
	}
	for n := range others {
		jobs[fmt.Sprintf("other%d.conf", n)] = fmt.Sprintf("start on started other%d or runlevel [2345]\nexec true\n", n+1)
	}
	s := sourcetest.NewSession(b, jobs)
	s.Initctl("emit", "go")
	pid, err := strconv.Atoi(processOf.FindStringSubmatch(s.Initctl("status", "sources"))[1])
	if err != nil {
		b.Fatal(err)
	}
	for _, fact := range []string{"socket PROTO=unix", "timer JOB=every", "file FILE="} {
		s.Await("the fact "+fact, func() bool { return strings.Contains(s.Initctl("facts"), fact) })
	}
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.ReportMetric(float64(pss(b, pid))/1024, "PSS-MB")
}
