package sim

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/job"
)

// spawn starts a process of a job and returns its pid.
func spawn(t *testing.T, w *World, token uint64, text string, expect job.ExpectKind) int {
	t.Helper()
	spec := &job.Spec{Job: "j", Process: job.Process{Text: text}, Expect: job.Expect{Kind: expect}}
	results := w.Do(engine.Spawn{Token: token, Spec: spec})
	m, ok := results[0].(engine.Spawned)
	if !ok || len(results) != 1 {
		t.Fatalf("spawn: %v", results)
	}
	return m.PID
}

// until lets time pass and returns what happened, taking every message as a
// journal would.
func until(w *World, limit time.Duration) (all []engine.Msg) {
	w.Limit = limit
	for {
		msgs := w.Wait(0, false)
		if len(msgs) == 0 {
			return all
		}
		for _, m := range msgs {
			w.Taken(m)
		}
		all = append(all, msgs...)
	}
}

func want(t *testing.T, got []engine.Msg, msgs ...engine.Msg) {
	t.Helper()
	if !reflect.DeepEqual(got, msgs) && len(got)+len(msgs) > 0 {
		t.Errorf("got  %+v\nwant %+v", got, msgs)
	}
}

func TestProgramsEndAsTheySay(t *testing.T) {
	for _, tt := range []struct {
		text   string
		status job.Status
		after  time.Duration
	}{
		{"true", job.Exit(0), 0},
		{"false", job.Exit(1), 0},
		{"exit 7", job.Exit(7), 0},
		{"sleep 3s", job.Exit(0), 3 * time.Second},
		{"sleep 1s; die SEGV", job.Killed(11), time.Second},
		{"ignore TERM, sleep 2s\nexit 3", job.Exit(3), 2 * time.Second},
		{"raise USR1; true", job.Killed(10), 0},
	} {
		w := New(1)
		pid := spawn(t, w, 1, tt.text, job.ExpectNone)
		var early []engine.Msg
		if tt.after > 0 {
			early = until(w, tt.after-1)
		}
		got := append(early, until(w, tt.after)...)
		want(t, got, engine.Executed{PID: pid}, engine.Exited{PID: pid, Status: tt.status})
		if tt.after > 0 && len(early) != 1 {
			t.Errorf("%q ends before %v", tt.text, tt.after)
		}
		if w.Find(pid) != nil {
			t.Errorf("%q is not reaped", tt.text)
		}
	}
}

func TestCrashComesWithinItsTimeAndIsReproducible(t *testing.T) {
	ends := func(seed uint64) time.Duration {
		w := New(seed)
		spawn(t, w, 1, "crash 10s; hang", job.ExpectNone)
		msgs := until(w, 10*time.Second)
		if len(msgs) != 2 || msgs[1].(engine.Exited).Status != job.Killed(sigSEGV) {
			t.Fatalf("got %v", msgs)
		}
		w = New(seed)
		spawn(t, w, 1, "crash 10s; hang", job.ExpectNone)
		w.Limit = 10 * time.Second
		w.Wait(0, false)
		w.Wait(0, false)
		return w.Now().Mono
	}
	first, again := ends(1), ends(1)
	if first != again {
		t.Error("the same seed gives another moment")
	}
	if first == ends(2) {
		t.Error("another seed gives the same moment")
	}
}

func TestTermEndsDaemonsAndKillEndsAll(t *testing.T) {
	w := New(1)
	mild, stubborn := spawn(t, w, 1, "mydaemon --flag", job.ExpectNone), spawn(t, w, 2, "ignore TERM; hang", job.ExpectNone)
	until(w, 0)
	for _, pid := range []int{mild, stubborn} {
		w.Do(engine.Kill{PID: pid, Signal: 1}) // handled by daemons only
		w.Do(engine.Kill{PID: pid, Signal: sigTERM})
	}
	want(t, until(w, 0), engine.Exited{PID: mild, Status: job.Killed(sigTERM)}, engine.Exited{PID: stubborn, Status: job.Killed(1)})

	stubborn = spawn(t, w, 3, "ignore TERM HUP; hang", job.ExpectNone)
	until(w, 0)
	w.Do(engine.Kill{PID: stubborn, Signal: sigTERM})
	want(t, until(w, 0))
	w.Do(engine.Kill{PID: stubborn, Signal: sigKILL})
	want(t, until(w, 0), engine.Exited{PID: stubborn, Status: job.Killed(sigKILL)})
}

func TestGroupKillReachesChildrenButNotThoseThatLeft(t *testing.T) {
	w := New(1)
	pid := spawn(t, w, 1, "leak 2; escape; hang", job.ExpectNone)
	until(w, 0)
	w.Do(engine.Kill{PID: pid, Signal: sigTERM, Scope: engine.Process})
	want(t, until(w, 0), engine.Exited{PID: pid, Status: job.Killed(sigTERM), Left: 3})

	pid = spawn(t, w, 2, "leak 2; escape; hang", job.ExpectNone)
	until(w, 0)
	w.Do(engine.Kill{PID: pid, Signal: sigTERM})
	want(t, until(w, 0), engine.Exited{PID: pid, Status: job.Killed(sigTERM), Left: 3},
		engine.Exited{PID: pid + 1, Status: job.Killed(sigTERM), Left: 2}, engine.Exited{PID: pid + 2, Status: job.Killed(sigTERM), Left: 1})
	if n := len(w.Processes()); n != 4 { // three of the first, one of the second
		t.Errorf("%d processes are left", n)
	}
}

func TestTreeKillReachesAllOfASpawnAndItsEndIsTold(t *testing.T) {
	w := New(1)
	pid, other := spawn(t, w, 1, "leak; escape; exit 0", job.ExpectNone), spawn(t, w, 2, "hang", job.ExpectNone)
	want(t, until(w, 0), engine.Executed{PID: pid}, engine.Executed{PID: other}, engine.Exited{PID: pid, Left: 2})
	w.Do(engine.Kill{Token: 1, Signal: sigTERM, Scope: engine.Tree})
	want(t, until(w, 0), engine.Exited{PID: other + 1, Status: job.Killed(sigTERM), Left: 1},
		engine.Exited{PID: other + 2, Status: job.Killed(sigTERM)}, engine.Emptied{Token: 1})
	w.Await(1)
	want(t, until(w, 0), engine.Emptied{Token: 1})

	w = New(1)
	w.NoGroups = true
	pid = spawn(t, w, 1, "leak; escape; hang", job.ExpectNone)
	until(w, 0)
	w.Do(engine.Kill{Token: 1, PID: pid, Signal: sigTERM, Scope: engine.Tree})
	want(t, until(w, 0), engine.Exited{PID: pid, Status: job.Killed(sigTERM)}, engine.Exited{PID: pid + 1, Status: job.Killed(sigTERM)})
}

func TestDeadChildIsToldWhenItsParentIsGone(t *testing.T) {
	w := New(1)
	pid := spawn(t, w, 1, "leak; hang", job.ExpectNone)
	until(w, 0)
	w.End(pid+1, job.Exit(5))
	want(t, until(w, 0))
	w.End(pid, job.Exit(0))
	want(t, until(w, 0), engine.Exited{PID: pid, Status: 0}, engine.Exited{PID: pid + 1, Status: 5})
}

func TestStoppedProcessKeepsSignalsUntilContinued(t *testing.T) {
	w := New(1)
	pid := spawn(t, w, 1, "stop; exit 4", job.ExpectNone)
	want(t, until(w, 0), engine.Executed{PID: pid}, engine.Stopped{PID: pid, Signal: sigSTOP})
	w.Do(engine.Kill{PID: pid, Signal: sigTERM})
	want(t, until(w, time.Minute))
	w.Do(engine.Kill{PID: pid, Signal: sigCONT})
	want(t, until(w, time.Minute), engine.Continued{PID: pid, Signal: sigCONT}, engine.Exited{PID: pid, Status: job.Killed(sigTERM)})
}

func TestEndOfATracedProcessTellsWhatGoesOn(t *testing.T) {
	w := New(1)
	pid := spawn(t, w, 1, "linger 1s; exec; daemon; sleep 1s; exec; leak 2; linger 2s 3; hang", job.ExpectDaemon)
	// pid forks pid+1, which forks pid+2 and ends first; that forks three.
	want(t, until(w, 9*time.Second), engine.Executed{PID: pid},
		engine.Exited{PID: pid, Heir: pid + 2, Forks: 2, Left: 1},
		engine.Exited{PID: pid + 1, Heir: pid + 2, Forks: 1, Left: 1},
		engine.Replaced{PID: pid + 2},
		engine.Exited{PID: pid + 2, Status: job.Exit(3), Heir: pid + 3, Forks: 1, Left: 3})
}

func TestSpawnAndSetupFailures(t *testing.T) {
	w := New(1)
	w.FailSpawns(SpawnError{Reason: "no memory", Temporary: true}, SpawnError{Reason: "unable to set trace: nope", Exec: true})
	spec := &job.Spec{Process: job.Process{Text: "hang"}}
	want(t, w.Do(engine.Spawn{Token: 1, Spec: spec}), engine.SpawnFailed{Token: 1, Reason: "no memory", Temporary: true})
	pid := spawn(t, w, 2, "hang", job.ExpectNone)
	want(t, until(w, 0), engine.ExecFailed{PID: pid, Reason: "unable to set trace: nope"})
	pid = spawn(t, w, 3, "noexec unable to execute: No such file or directory", job.ExpectNone)
	want(t, until(w, 0), engine.ExecFailed{PID: pid, Reason: "unable to execute: No such file or directory"})
	pid = spawn(t, w, 4, "hang", job.ExpectNone)
	w.Do(engine.Kill{PID: pid, Signal: sigKILL}) // before it is executed
	want(t, until(w, 0), engine.Executed{PID: pid}, engine.Exited{PID: pid, Status: job.Killed(sigKILL)})
}

func TestSpawnThatWasDoneIsNotDoneAgain(t *testing.T) {
	w := New(1)
	spec := &job.Spec{Process: job.Process{Text: "hang"}}
	first := w.Do(engine.Spawn{Token: 1, Spec: spec})
	want(t, w.Redo(engine.Spawn{Token: 1, Spec: spec}), first...)
	want(t, w.Redo(engine.Spawn{Token: 2, Spec: spec}), engine.Spawned{Token: 2, PID: first[0].(engine.Spawned).PID + 1})
}

func TestMessagesThatNoJournalTookAreToldAgain(t *testing.T) {
	w := New(1)
	first, second := spawn(t, w, 1, "true", job.ExpectNone), spawn(t, w, 2, "true", job.ExpectNone)
	msgs := w.Wait(0, false)
	for _, m := range msgs[:3] { // both executions, and the end of the first
		w.Taken(m)
	}
	w.Crashed()
	want(t, until(w, 0), engine.Exited{PID: first}, engine.Exited{PID: second})
}

func TestWaitTellsInTheOrderOfTheMainLoop(t *testing.T) {
	w := New(1)
	w.AddSource(engine.Source{Path: "/etc/init"})
	pid := spawn(t, w, 1, "true", job.ExpectNone)
	w.Wait(0, false)
	w.Crashed() // so that all is told at once
	w.Tell(engine.Reload)
	w.WriteFile("/etc/init/a.conf", "")
	var kinds []string
	for _, m := range w.Wait(0, false) {
		kinds = append(kinds, fmt.Sprintf("%T", m))
	}
	if !slices.Equal(kinds, []string{"engine.FileChanged", "engine.Executed", "engine.Told", "engine.Exited"}) {
		t.Errorf("process %d: %v", pid, kinds)
	}
}

func TestWaitReturnsAtTheDeadline(t *testing.T) {
	w := New(1)
	spawn(t, w, 1, "sleep 5s", job.ExpectNone)
	until(w, 0)
	w.Limit = time.Minute
	if msgs := w.Wait(2*time.Second, true); msgs != nil || w.Now().Mono != 2*time.Second {
		t.Errorf("%v at %v", msgs, w.Now().Mono)
	}
}

func TestFilesReachTheSourcesTheyAreIn(t *testing.T) {
	w := New(1)
	w.AddSource(engine.Source{Path: "/a"})
	w.AddSource(engine.Source{Path: "/a.conf", Kind: engine.InitConf})
	file := func(path, text string) engine.File { return engine.File{Path: path, Text: text} }
	for _, path := range []string{"/a/x.txt", "/a/.x.conf", "/a/.git/x.conf", "/ab/x.conf", "/a/sub/x.conf~"} {
		w.WriteFile(path, "")
	}
	w.WriteFile("/a/sub/x.conf", "1")
	w.WriteFile("/a.override", "2")
	w.RenameFile("/a/sub/x.conf", "/a/y.alias")
	w.BreakFile("/a/sub-x.conf", "EIO")
	w.RemoveFile("/a/none.conf")
	want(t, until(w, 0),
		engine.FileChanged{Source: "/a", File: file("/a/sub/x.conf", "1")},
		engine.FileChanged{Source: "/a.conf", File: file("/a.override", "2")},
		engine.FileRemoved{Source: "/a", Path: "/a/sub/x.conf"},
		engine.FileChanged{Source: "/a", File: file("/a/y.alias", "1")},
		engine.FileChanged{Source: "/a", File: engine.File{Path: "/a/sub-x.conf", Error: "EIO"}})

	w.WriteFile("/a/sub/z.conf", "3")
	files := w.Load().Sources[0].Files
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	if !slices.Equal(paths, []string{"/a/sub/z.conf", "/a/sub-x.conf", "/a/y.alias"}) {
		t.Errorf("read in the order %v", paths)
	}
}

func TestRemovedSourceIsWatchedAgainAfterALoad(t *testing.T) {
	w := New(1)
	w.AddSource(engine.Source{Path: "/a"})
	w.WriteFile("/a/x.conf", "")
	until(w, 0)
	w.RemoveSource("/a")
	w.WriteFile("/a/y.conf", "")
	want(t, until(w, 0), engine.SourceRemoved{Source: "/a"})
	if files := w.Load().Sources[0].Files; len(files) != 1 {
		t.Errorf("read %v", files)
	}
	w.RemoveFile("/a/y.conf")
	want(t, until(w, 0), engine.FileRemoved{Source: "/a", Path: "/a/y.conf"})
}

func TestBadRepliesAreViolations(t *testing.T) {
	call := control.Call{Method: control.GetJobByName, Name: "x"}
	path := control.Reply{Values: []any{control.ObjectPath("/x")}}
	for _, tt := range []struct {
		name string
		do   func(w *World, p *Pending)
		bad  int
	}{
		{"one that fits", func(w *World, p *Pending) { w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: path}) }, 0},
		{"an error", func(w *World, p *Pending) {
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: control.Reply{Err: control.UnknownJob("x")}})
		}, 0},
		{"of another type", func(w *World, p *Pending) { w.Do(engine.Respond{Call: p.ID, Conn: p.Conn}) }, 1},
		{"twice", func(w *World, p *Pending) {
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: path})
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: path})
		}, 1},
		{"to nobody's call", func(w *World, p *Pending) { w.Do(engine.Respond{Call: p.ID + 1, Conn: p.Conn, Reply: path}) }, 1},
		{"over another connection", func(w *World, p *Pending) {
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn + 1, Reply: path})
		}, 1},
		{"before init is told of the hang-up", func(w *World, p *Pending) {
			w.Hangup(p.Conn)
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: path})
		}, 0},
		{"after it", func(w *World, p *Pending) {
			w.Hangup(p.Conn)
			until(w, 0)
			w.Do(engine.Respond{Call: p.ID, Conn: p.Conn, Reply: path})
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := New(1)
			p := w.Call(w.Connect(), call)
			until(w, 0)
			if tt.do(w, p); len(w.Violations) != tt.bad {
				t.Errorf("violations: %q", w.Violations)
			}
		})
	}
}

func TestTokensAreUsedAndReleasedOnce(t *testing.T) {
	w := New(1)
	spawn(t, w, 1, "hang", job.ExpectNone)
	spawn(t, w, 1, "hang", job.ExpectNone)
	w.Do(engine.Release{Token: 1})
	w.Do(engine.Release{Token: 1})
	if len(w.Violations) != 2 {
		t.Errorf("violations: %q", w.Violations)
	}
}
