package main

import (
	"strings"
	"testing"
	"time"
)

func TestTimers(t *testing.T) {
	before := time.Local
	time.Local = time.FixedZone("XST", 3600)
	defer func() { time.Local = before }()
	now := func(t *tool) { t.now = func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) } }
	type row struct {
		Name  string
		Env   []string
		Owner string
	}
	facts := answers{"/ GetFacts": []row{
		{"timer", []string{"JOB=done", "TIMER=AT=2026-01-01T00:00:00Z", "LAST=2026-01-01T00:00:00Z"}, "source 3"},
		{"timer", []string{"JOB=tick", "TIMER=EVERY=10m", "NEXT=2026-11-20T12:00:09.5Z"}, "source 3"},
		{"timer", []string{"JOB=backup", `TIMER=CRON="0 4 * * *"`, "NEXT=2026-11-20T04:00:00Z", "LAST=2026-11-19T04:00:00Z"}, "source"},
		{"timer", []string{"JOB=backup", `TIMER=CRON="0 4 * * *"`, "NEXT=2026-11-21T04:00:00Z", "LAST=2026-11-20T04:00:00Z"}, "source 3"},
		{"timer", []string{"JOB=made-up"}, "uid 0"},
		{"other", []string{"JOB=x"}, "source 3"},
	}}
	for _, c := range []struct{ line, want string }{
		{"initctl timers", "" +
			"NEXT                         LEFT      LAST                         JOB     TIMER\n" +
			"Fri 2026-11-20 13:00:09 XST  9s        -                            tick    EVERY=10m\n" +
			"Sat 2026-11-21 05:00:00 XST  16h 0min  Fri 2026-11-20 05:00:00 XST  backup  CRON=\"0 4 * * *\"\n" +
			"-                            -         Thu 2026-01-01 01:00:00 XST  done    AT=2026-01-01T00:00:00Z\n"},
		{"initctl timers --json", `[
  {
    "job": "tick",
    "timer": "EVERY=10m",
    "next": "2026-11-20T12:00:09.5Z"
  },
  {
    "job": "backup",
    "timer": "CRON=\"0 4 * * *\"",
    "next": "2026-11-21T04:00:00Z",
    "last": "2026-11-20T04:00:00Z"
  },
  {
    "job": "done",
    "timer": "AT=2026-01-01T00:00:00Z",
    "last": "2026-01-01T00:00:00Z"
  }
]
`},
	} {
		f := startFake(t, world.with(facts))
		f.change = now
		if got := f.runTool(strings.Fields(c.line), nil); got.stdout != c.want || got.status != 0 {
			t.Errorf("%s: %+v", c.line, got)
		}
	}
	f := startFake(t, world.with(answers{"/ GetFacts": []row{}}))
	if got := f.runTool([]string{"initctl", "timers"}, nil); got != (result{}) {
		t.Errorf("%+v", got)
	}
}

func TestTimeThatIsLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "now", 0: "now", 999 * time.Millisecond: "now", time.Second: "1s", 61 * time.Second: "1min 1s", time.Hour: "1h 0min",
		25*time.Hour + 59*time.Minute: "1d 1h", 400 * 24 * time.Hour: "400d 0h",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
