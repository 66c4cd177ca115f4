package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

var processOf = regexp.MustCompile(`^\S+ start/running, process (\d+)`)

// TestKillStorm kills onset-sources, as shipped, every 100 ms: the facts that
// its sources tell hold all the time, and it runs at the end. On a slow machine
// a process may be killed before it has told anything: now and then one must,
// within init's grace time. ONSET_SOAK=1 for a minute.
func TestKillStorm(t *testing.T) {
	t.Parallel() // it waits most of the time
	long := 4 * time.Second
	if os.Getenv("ONSET_SOAK") != "" {
		long = time.Minute
	}
	job, err := os.ReadFile("../../conf/session/onset-sources.conf")
	if err != nil {
		t.Fatal(err)
	}
	s := sourcetest.NewSession(t, map[string]string{
		"onset-sources.conf": strings.NewReplacer("start on startup", "start on go", "exec onset", "exec PATH/onset").Replace(string(job)),
		"keeps.conf":         "while file FILE=PATH/flag\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"hourly.conf":        "while timer JOB=waits\nscript\n\techo started\n\texec sleep 1000000\nend script\n",
		"waits.conf":         "start on time EVERY=1h\nexec true\n",
		"told.conf":          "start on file FILE=PATH/*.probe EVENT=create\ninstance $MATCH\ntask\nexec echo told\n",
	})
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
		if silent := time.Since(told); silent > eventsources.Grace {
			t.Skipf("SKIPPED: this machine is too slow: nobody told anything for %v, and facts hold for %v", silent, eventsources.Grace)
		}
		told = time.Now()
	}
	for end, tick := time.Now().Add(long), time.NewTicker(100*time.Millisecond); kills < least || time.Now().Before(end); <-tick.C {
		pid, err := strconv.Atoi(running("onset-sources"))
		if err != nil || strconv.Itoa(pid) == last {
			continue // not up yet
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
