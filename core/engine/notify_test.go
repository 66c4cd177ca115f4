package engine

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"onset/core/cause"
	"onset/core/job"
)

func TestLinesOfANoticeAreReadOrOverlooked(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		lines string
		want  notice
	}{
		{"READY=1", notice{state: "READY"}},
		{"RELOADING=1\nREADY=1", notice{state: "READY"}},
		{"READY=0\nSTOPPING=yes\nFDSTORE=\nBARRIER=2", notice{}},
		{"STATUS=a=b", notice{text: text("a=b")}},
		{"STATUS=", notice{text: text("")}},
		{"STATUS=a\xff", notice{}},
		{"STATUS=\x1b[2J\ta\u0085ü", notice{text: text(" [2J a ü")}},
		{"STATUS=" + strings.Repeat("x", 1023) + "ü!", notice{text: text(strings.Repeat("x", 1023))}},
		{"MAINPID=12", notice{main: 12}},
		{"MAINPID=12\nMAINPID=x", notice{main: 12}},
		{"WATCHDOG=1", notice{fed: true}},
		{"WATCHDOG=trigger", notice{trigger: true}},
		{"WATCHDOG_USEC=1500000", notice{watchdog: 1500 * time.Millisecond}},
		{"WATCHDOG_USEC=0", notice{watchdog: -1}},
		{"WATCHDOG_USEC=-1\nWATCHDOG_USEC=18446744073709551615\nWATCHDOG_USEC=9223372036854775807", notice{}},
		{"EXTEND_TIMEOUT_USEC=1000", notice{extend: time.Millisecond}},
		{"EXTEND_TIMEOUT_USEC=4000000000000000", notice{extend: maxExtension}},
		{"FDSTORE=1\nFDNAME=a\nFDPOLL=0", notice{store: true, name: "a"}},
		{"FDSTOREREMOVE=1\nFDNAME=a", notice{remove: true, name: "a"}},
		{"BARRIER=1", notice{barrier: true}},
		{"ready=1\n READY=1\nERRNO=1\nX\n\n=", notice{}},
	} {
		got := readNotice(strings.Split(tt.lines, "\n"))
		if (got.text == nil) != (tt.want.text == nil) || got.text != nil && *got.text != *tt.want.text {
			t.Errorf("%q: text %v, want %v", tt.lines, got.text, tt.want.text)
		}
		if got.text, tt.want.text = nil, nil; got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.lines, got, tt.want)
		}
	}
}

func TestNamesOfFilesAreThoseOfSdNotify(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "a b.c-d": true, strings.Repeat("x", 255): true,
		"": false, "a:b": false, "ü": false, "a\n": false, "\x7f": false, strings.Repeat("x", 256): false} {
		if isFileName(name) != want {
			t.Errorf("%q is a name: %t, want %t", name, !want, want)
		}
	}
}

// notifier is an engine with one job that speaks sd_notify, under token 1.
func notifier() *Engine {
	e := New(Options{PID: 1, LogPriority: Fatal, NotifySocket: "/n", StartupEvent: "startup",
		Signals: job.Signals{{Name: "TERM", Number: 15}, {Name: "KILL", Number: 9}, {Name: "HUP", Number: 1}}})
	e.Step(Input{Msg: Loaded{[]Source{{Path: "/etc/init", Files: []File{{Path: "/etc/init/s.conf",
		Text: "start on startup\nexpect notify\nrespawn\nexec s\n"}}}}}})
	e.Step(Input{Msg: Spawned{1, 10}})
	e.Step(Input{Msg: Executed{10}})
	return e
}

func TestAJobCannotHaveInitKeepAnyNumberOfFiles(t *testing.T) {
	e := notifier()
	closed := 0
	for f := 1000; f < 1000+maxStored+10; f++ {
		for _, effect := range e.Step(Input{Msg: Notified{Token: 1, PID: 10, Lines: []string{"FDSTORE=1"}, Files: []int{f}}}) {
			if c, ok := effect.(CloseFile); ok && c.File == f {
				closed++
			}
		}
	}
	if stored := len(e.instances[1].Stored); stored != maxStored || closed != 10 {
		t.Errorf("%d are stored and %d closed", stored, closed)
	}
}

func TestTheFilesOfAllJobsAreBoundedToo(t *testing.T) {
	e := notifier()
	for f := range maxFiles {
		e.useFile(10_000 + f)
	}
	effects := e.Step(Input{Msg: Notified{Token: 1, PID: 10, Lines: []string{"FDSTORE=1"}, Files: []int{7}}})
	if len(e.instances[1].Stored) != 0 || len(effects) != 1 || effects[0] != (CloseFile{7}) {
		t.Errorf("it is stored: %v", effects)
	}
}

func TestABusyWatchdogCostsNoMemory(t *testing.T) {
	e := notifier()
	e.Step(Input{Msg: Notified{Token: 1, PID: 10, Lines: []string{"READY=1", "WATCHDOG_USEC=60000000"}}})
	for n := range 50_000 {
		at := cause.Clock{Mono: time.Duration(n) * time.Millisecond}
		e.Step(Input{Clock: at, Msg: Notified{Token: 1, PID: 10, Lines: []string{"WATCHDOG=1"}}})
	}
	if len(e.timers) > 4 {
		t.Errorf("there are %d timers", len(e.timers))
	}
}

// FuzzNotified sends any messages to a job, and files with them, and looks
// whether each file is kept or closed, once.
func FuzzNotified(f *testing.F) {
	for _, s := range []string{"READY=1", "FDSTORE=1\nFDNAME=x\x00FDSTOREREMOVE=1\nFDNAME=x\x00BARRIER=1\nFDSTORE=1",
		"MAINPID=11\x00MAINPID=10\x00WATCHDOG_USEC=5\x00WATCHDOG=trigger", "STATUS=\xff\x00EXTEND_TIMEOUT_USEC=99999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := notifier()
		open := map[int]bool{}
		for n, message := range strings.Split(text, "\x00") {
			file := 1000 + n
			open[file] = true
			at := cause.Clock{Mono: time.Duration(n) * time.Second}
			effects := e.Step(Input{Clock: at, Msg: Notified{Token: 1, PID: 10, Lines: strings.Split(message, "\n"), Files: []int{file}}})
			for _, effect := range effects {
				if c, ok := effect.(CloseFile); ok {
					if !open[c.File] {
						t.Fatalf("%d is closed twice", c.File)
					}
					delete(open, c.File)
				}
			}
		}
		j := e.instances[1]
		for _, s := range j.Stored {
			if !open[s.File] {
				t.Fatalf("%d is closed and kept", s.File)
			}
			delete(open, s.File)
		}
		if len(open) > 0 {
			t.Fatalf("%v are open and known to nobody", open)
		}
		if r := j.Report.Text; !utf8.ValidString(r) || len(r) > maxStatusText || strings.ContainsFunc(r, unicode.IsControl) {
			t.Fatalf("the text is %q", r)
		}
	})
}
