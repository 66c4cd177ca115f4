package platformtest

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
)

// forksTimed is how many children each process of BenchForks makes.
const forksTimed = 500

// BenchForks tells how long a fork takes in a service with expect fork that
// is ready, and before that, next to one in a process that was never traced.
// Orphans must come to the test process.
func BenchForks(b *testing.B, backend Backend) {
	runtime.LockOSThread()
	r := &race{B: b}
	r.poller, r.procs = backend()
	var untraced, ready, unready time.Duration // the best times: others have the machine too
	for b.Loop() {
		better(&untraced, r.time(job.ExpectNone, "leave"))
		better(&ready, r.time(job.ExpectFork, "leave"))
		better(&unready, r.time(job.ExpectFork, "stay"))
	}
	b.ReportMetric(float64(untraced.Microseconds())/forksTimed, "µs/fork")
	b.ReportMetric(float64(ready)/float64(untraced), "ready/untraced")
	b.ReportMetric(float64(unready)/float64(untraced), "traced/untraced")
}

func better(best *time.Duration, d time.Duration) {
	if *best == 0 || d < *best {
		*best = d
	}
}

// race is a back end whose processes are timed.
type race struct {
	*testing.B
	poller platform.Poller
	procs  platform.Processes
	token  uint64
}

// time starts the helper that paces as the child of one that leaves or stays,
// and returns what it wrote. It paces when it is let go or the first one stays.
func (r *race) time(kind job.ExpectKind, first string) time.Duration {
	dir := r.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = unix.Mkfifo(dir+"/go", 0o600)
	}
	if err != nil {
		r.Fatal(err)
	}
	words := []string{self, helperArg, "spawn", first, "pace", dir + "/go", strconv.Itoa(forksTimed), dir + "/out"}
	r.token++
	started, err := r.procs.Spawn(r.token, &job.Spec{
		Job: "test", Slot: job.Main, Expect: job.Expect{Kind: kind}, Env: env.Table{"PATH=/bin"},
		Process: job.Process{Text: strings.Join(words, " ")},
		Attrs:   job.Attrs{Console: job.ConsoleNone, Umask: -1},
	}, noStreams)
	if err != nil {
		r.Fatal(err)
	}
	paced, goes := 0, first == "stay"
	for there(dir+"/out") != nil {
		r.poller.Wait(time.Millisecond)
		r.procs.Collect(func(m engine.Msg) {
			if m, ok := m.(engine.Exited); ok && m.PID == started.PID {
				paced, goes = m.Heir, true
				r.procs.Detach(paced)
			}
		})
		if goes && (paced == 0 || resting(paced, true)) {
			fd, err := unix.Open(dir+"/go", unix.O_WRONLY|unix.O_NONBLOCK, 0)
			unix.Close(fd)
			goes = err != nil
		}
	}
	text, _ := os.ReadFile(dir + "/out")
	n, _ := strconv.Atoi(string(text))
	unix.Kill(-started.PID, unix.SIGKILL) // the one that stays
	return time.Duration(n)
}
