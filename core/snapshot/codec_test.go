package snapshot

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"onset/core/engine"
	"onset/core/job"
)

func TestRestoredEngineGoesOnWithTheSameEffectsAndState(t *testing.T) {
	for seed := range uint64(12) {
		steady, renewed := engine.New(options), engine.New(options)
		for i, in := range inputs(seed, 300) {
			want, got := steady.Step(in), renewed.Step(in)
			if text(got) != text(want) {
				t.Fatalf("seed %d step %d, %T %+v\ngot:\n%s\nwant:\n%s", seed, i, in.Msg, in.Msg, text(got), text(want))
			}
			data := Encode(renewed.State())
			if !bytes.Equal(data, Encode(steady.State())) {
				t.Fatalf("seed %d step %d: state differs after %T %+v", seed, i, in.Msg, in.Msg)
			}
			s := mustDecode(t, data)
			if !bytes.Equal(Encode(s), data) {
				t.Fatalf("seed %d step %d: a decoded state encodes differently", seed, i)
			}
			renewed = engine.Restore(s)
			a, okA := steady.Deadline()
			b, okB := renewed.Deadline()
			if a != b || okA != okB {
				t.Fatalf("seed %d step %d: deadline %v %v, want %v %v", seed, i, b, okB, a, okA)
			}
		}
	}
}

func TestAliasesDependOnTheFilesAndNotOnTheirHistory(t *testing.T) {
	write := func(name, text string) engine.Input {
		return engine.Input{Msg: engine.FileChanged{Source: "/etc/init", File: engine.File{Path: "/etc/init/" + name, Text: text}}}
	}
	steady := engine.New(options)
	for _, in := range []engine.Input{
		{Msg: engine.Loaded{Sources: []engine.Source{{Path: "/etc/init"}}}},
		write("up.alias", "on lift\n"), write("up.override", "on hoist\n"), write("up.conf", "exec u\n"), write("x.conf", "start on up\n"),
		{Msg: engine.FileRemoved{Source: "/etc/init", Path: "/etc/init/up.conf"}}, write("x.conf", "start on up\n"),
	} {
		renewed := engine.Restore(mustDecode(t, Encode(steady.State())))
		renewed.Step(in)
		steady.Step(in)
		if got, want := describe(renewed.State()), describe(steady.State()); got != want {
			t.Errorf("after %+v\ngot\n%s\nwant\n%s", in.Msg, got, want)
		}
	}
}

func TestAnEngineThatWasNotDoneGoesOnInTheSameOrder(t *testing.T) {
	steady := engine.New(options)
	steady.Step(engine.Input{Msg: engine.Loaded{Sources: []engine.Source{{Path: "/etc/init", Files: []engine.File{
		{Path: "/etc/init/a.conf", Text: "start on startup or stopped b\nstop on started a\n"},
		{Path: "/etc/init/b.conf", Text: "start on stopped a\nstop on started b or started c\n"},
		{Path: "/etc/init/c.conf", Text: "start on stopped a or starting b\nstop on stopping b\n"},
	}}}}})
	for i := range 3 {
		s := mustDecode(t, Encode(steady.State()))
		if !s.Ticking || s.Cursor == 0 {
			t.Fatalf("tick %d: it is at rest", i)
		}
		renewed := engine.Restore(s)
		if text(renewed.Step(engine.Input{Msg: engine.Tick{}})) != text(steady.Step(engine.Input{Msg: engine.Tick{}})) {
			t.Fatalf("tick %d has other effects", i)
		}
	}
}

// walked returns the snapshot of an engine after n steps of a walk.
func walked(seed uint64, n int) []byte {
	e := engine.New(options)
	for _, in := range inputs(seed, n) {
		e.Step(in)
	}
	return Encode(e.State())
}

func TestDamagedSnapshotsAreRefusedOrRead(t *testing.T) {
	data := walked(3, 200)
	for n := range data {
		if _, err := Decode(data[:n]); err == nil {
			t.Fatalf("%d of %d bytes are a snapshot", n, len(data))
		}
	}
	for n := range data {
		damaged := bytes.Clone(data)
		damaged[n] ^= 1 << (n % 8)
		if s, err := Decode(damaged); err == nil {
			engine.Restore(s)
		}
	}
}

func TestAFormatThatIsNewerIsNamed(t *testing.T) {
	_, err := Decode([]byte(magic + "\x07"))
	if err == nil || err.Error() != "cannot read snapshot: format 7 is newer than 5, the newest known" {
		t.Error(err)
	}
}

func TestAFewBytesCannotClaimMuchMemory(t *testing.T) {
	data := walked(3, 200)
	for n := len(magic) + 1; n < len(data); n += 7 {
		huge := append(bytes.Clone(data[:n]), 0xff, 0xff, 0xff, 0xff, 0x7f)
		huge = append(huge, data[n:]...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Decode(huge)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(64*len(data)) {
			t.Fatalf("length at %d: %d bytes", n, used)
		}
	}
}

// goldenSeed makes a state with something of everything in it.
const goldenSeed = 10

var update = flag.Bool("update", false, "write the golden snapshot of this version")

// A snapshot of each format that was ever written is kept; it must be read as
// it was meant.
func TestSnapshotsOfEveryFormatAreRead(t *testing.T) {
	for v := 1; v <= version; v++ {
		name := fmt.Sprintf("testdata/version-%d", v)
		if *update && v == version {
			data := walked(goldenSeed, 150)
			os.WriteFile(name+".snapshot", data, 0o644)
			os.WriteFile(name+".txt", []byte(describe(mustDecode(t, data))), 0o644)
		}
		data, err := os.ReadFile(name + ".snapshot")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(mustDecode(t, data)); got != string(want) {
			t.Errorf("version %d is read as\n%s\nwant\n%s", v, got, want)
		}
	}
}

// describe writes down what a state says, a line for each thing in it.
func describe(s *engine.State) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("clock %+v booted %v priority %s env %q", s.Clock, s.Booted, s.LogPriority, s.Env)
	p("last %d %d %d at %d respawning %v ticking %v quiesce %v", s.LastEvent, s.LastInstance, s.LastToken, s.Cursor, s.Respawning, s.Ticking, s.Quiesce)
	p("bus %q sessions %q held %+v reloads %v asks %v graces %v", s.BusAddress, s.Sessions, s.Held, s.Reloads, s.Asks, s.Graces)
	for _, src := range s.Sources {
		p("source %s %d %q", src.Path, src.Kind, src.Session)
		for _, name := range slices.Sorted(maps.Keys(src.Confs)) {
			p("  conf %s %q class %v", name, src.Confs[name].Text, src.Confs[name].Class != nil)
		}
		p("  %d overrides, %d aliases", len(src.Overs), len(src.Aliases))
	}
	for _, ev := range s.Events {
		p("event %d %s %q %q file %d %d failed %v blockers %d waiters %v", ev.ID, ev.Name, ev.Env, ev.Session, ev.File, ev.Progress, ev.Failed, ev.Blockers, ev.Waiters)
	}
	for _, f := range s.Facts {
		file := ""
		if f.File != 0 {
			file = fmt.Sprint(" file ", f.File)
		}
		p("fact %s %q %v %q%s", f.Name, f.Env, f.Owner, f.Session, file)
	}
	for _, c := range s.Classes {
		p("class %q %s start on %s %v stop on %s wanted %q", c.Session, c.Def.Name, c.StartOn, c.StartHeld, c.StopOn, c.Wanted)
		for _, ch := range c.History.Changes() {
			p("  %s %s at %v because %s, %d links", ch.Action, ch.Instance, ch.At, ch.Cause.Text, ch.Cause.Depth)
		}
		for _, j := range c.Instances {
			var procs [job.Health]job.Proc
			copy(procs[:], j.Live)
			p("  instance %d %q %s/%s %q procs %v held %v blocker %d kill %v failed %v %s %d respawned %d trace %d", j.ID, j.Name, j.Goal, j.State,
				j.Env, procs, j.StopHeld, j.Blocker, j.KillDue, j.Failed, j.FailedSlot, j.FailedStatus, j.RespawnCount, j.TraceState)
			if j.Due != 0 || j.Delay != 0 || j.Overdue != job.NoSlot {
				p("    due %v overdue %s run since %v delay %v %v", j.Due, j.Overdue, j.RunSince, j.Delay, j.Delayed)
			}
			for _, w := range j.Waiters {
				p("    waits: event %d call %+v", w.Event, w.Call)
			}
		}
	}
	return b.String()
}
