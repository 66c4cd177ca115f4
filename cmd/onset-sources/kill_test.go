package main

import (
	"errors"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

var processOf = regexp.MustCompile(`^\S+ start/running, process (\d+)`)

// begun is the process of a job, ready or not.
var begun = regexp.MustCompile(`^\S+ start/[a-z]+, process (\d+)`)

// shipped is a session with these jobs and that of onset-sources as shipped, which
// starts on go.
func shipped(t *testing.T, jobs map[string]string) *sourcetest.Session {
	t.Helper()
	job, err := os.ReadFile("../../conf/session/onset-sources.conf")
	if err != nil {
		t.Fatal(err)
	}
	jobs["onset-sources.conf"] = strings.NewReplacer("start on startup", "start on go", "exec onset", "exec PATH/onset").Replace(string(job))
	s := sourcetest.NewSession(t, jobs)
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, s.Path("onset-sources"))
	}
	if err == nil {
		err = os.WriteFile(s.Path("flag"), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStartAndStop wants the facts to be there whenever a start of the job is
// over, and to end with a stop.
func TestStartAndStop(t *testing.T) {
	s := shipped(t, map[string]string{
		"keeps.conf": "while file FILE=PATH/flag\nexec sleep 1000000\n",
		"waits.conf": "start on time EVERY=1h or socket PROTO=unix PATH=PATH/s\nexec true\n",
		"looks.conf": "while timer JOB=waits and net-device-up INTERFACE=lo\nexec sleep 1000000\n",
	})
	for range 5 {
		s.Initctl("start", "onset-sources")
		facts := s.Initctl("facts")
		for _, want := range []string{"file FILE=", "timer JOB=waits", "socket PROTO=unix"} {
			if !strings.Contains(facts, want) {
				t.Errorf("no fact %q in\n%s", want, facts)
			}
		}
		s.Initctl("stop", "onset-sources")
		if _, err := net.Dial("unix", s.Path("s")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the socket after the stop: %v", err)
		}
		if facts := s.Initctl("facts"); strings.Contains(facts, "(source)") {
			t.Errorf("after the stop:\n%s", facts)
		}
	}
}

// TestKillStorm kills onset-sources, as shipped, every 100 ms, mostly before it
// has told anything: the facts that its sources told hold all the time, and it
// runs at the end. Now and then one is let live until it tells. ONSET_SOAK=1 for a
// minute.
func TestKillStorm(t *testing.T) {
	t.Parallel() // it waits most of the time
	long := 4 * time.Second
	if os.Getenv("ONSET_SOAK") != "" {
		long = time.Minute
	}
	s := shipped(t, map[string]string{
		"keeps.conf":  "while file FILE=PATH/flag\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"hourly.conf": "while timer JOB=waits\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"waits.conf":  "start on time EVERY=1h\nexec true\n",
		"told.conf":   "start on file FILE=PATH/*.probe EVENT=create\ninstance $MATCH\ntask\nexec echo told\n",
	})
	s.Initctl("emit", "go")
	running := func(job string) string {
		if m := processOf.FindStringSubmatch(s.Initctl("status", job)); m != nil {
			return m[1]
		}
		return ""
	}
	kept := []string{"keeps", "hourly"}
	before := map[string]string{}
	for _, job := range kept {
		s.Await(job, func() bool { before[job] = running(job); return before[job] != "" })
	}
	const least = 10
	kills, last, told := 0, "", time.Now()
	awaitTelling := func() {
		t.Helper()
		probe := s.Path(last + ".probe")
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.Await("the next to tell", func() bool { return s.Log("told-"+strings.ReplaceAll(probe, "/", "_")) != "" })
		told = time.Now()
	}
	for end, tick := time.Now().Add(long), time.NewTicker(100*time.Millisecond); kills < least || time.Now().Before(end); <-tick.C {
		m := begun.FindStringSubmatch(s.Initctl("status", "onset-sources"))
		if m == nil || m[1] == last {
			continue // there is none yet
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if kills, last = kills+1, strconv.Itoa(pid); time.Since(told) > time.Second {
			awaitTelling()
		}
	}
	t.Logf("%d kills", kills)
	s.Await("another onset-sources", func() bool { next := running("onset-sources"); return next != "" && next != last })
	last += ".last"
	awaitTelling()
	s.Await("the facts of the dead to end", func() bool { return strings.Count(s.Initctl("facts"), "/flag (source)") == 1 })
	for _, job := range kept {
		if now := running(job); now != before[job] || strings.Count(s.Log(job), "started") != 1 {
			t.Errorf("%s was %q, is %q", job, before[job], now)
		}
	}
}
