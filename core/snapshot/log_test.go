package snapshot

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
)

func TestInputsNotedInAFixedMemoryAreFoundAgain(t *testing.T) {
	l := NewLog(make([]byte, 1<<20))
	l.Reset(nil)
	want := inputs(1, 300)
	for _, in := range want {
		l.Append(in)
		l.Begin(3)
	}
	r := &replay{r: &Recovered{}}
	r.r.Log, _, _ = openLog(l.Bytes())
	for i, in := range want {
		if n := r.read(); n.kind != noteInput || !sameInput(n.input, in) {
			t.Fatalf("record %d is %+v, want %+v", i, n, in)
		}
		if n := r.read(); n.kind != noteBegun || n.k != 3 {
			t.Fatalf("record behind %d is %+v", i, n)
		}
	}
	if n := r.read(); n.kind != 0 || r.r.Log.torn() {
		t.Errorf("there is more: %+v", n)
	}
}

// sameInput compares inputs by what a log makes of them.
func sameInput(a, b engine.Input) bool { return bytes.Equal(inputBytes(a), inputBytes(b)) }

func inputBytes(in engine.Input) []byte {
	c := codec{version: version}
	var scratch [len(messages)]any
	c.input(&in, scratch[:])
	return c.buf
}

func TestALogThatIsFullSaysSoAndNotesNothingMore(t *testing.T) {
	l := NewLog(make([]byte, 100))
	l.Reset(nil)
	l.Append(engine.Input{Msg: engine.FileRemoved{Path: string(make([]byte, 90))}})
	if !l.Full() {
		t.Fatal("a record of more than 90 bytes found room in 100")
	}
	free := l.Remaining()
	l.Begin(0)
	if l.Remaining() != free {
		t.Error("a record follows one that is missing")
	}
	l.Reset(nil)
	if l.Begin(0); l.Full() || l.Remaining() >= free {
		t.Error("an empty log took nothing")
	}
}

func TestALogMayEndWithItsMemory(t *testing.T) {
	for size := logHead; size < 80; size++ {
		l := NewLog(make([]byte, size))
		l.Reset(nil)
		n := 0
		for l.Begin(n); !l.Full(); l.Begin(n) {
			n++
		}
		again, _, err := openLog(l.Bytes())
		if size < logHead+4 {
			continue // no room for a head
		}
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for again.next() != nil {
			found++
		}
		if found != n || again.torn() {
			t.Errorf("%d bytes: %d records, found %d", size, n, found)
		}
	}
}

func TestALogThatMayGrowIsNeverFull(t *testing.T) {
	l := NewLog(nil)
	l.Grow = true
	l.Reset(nil)
	want := inputs(2, 200)
	for _, in := range want {
		l.Append(in)
	}
	again, _, err := openLog(l.Bytes())
	if err != nil || l.Full() {
		t.Fatal(err)
	}
	found := 0
	for again.next() != nil {
		found++
	}
	if found != len(want) {
		t.Errorf("found %d of %d", found, len(want))
	}
}

func TestOldRecordsDoNotComeBackAfterReset(t *testing.T) {
	l := NewLog(make([]byte, 1<<12))
	l.Reset([]byte("a"))
	for range 10 {
		l.Begin(1)
	}
	old := slices.Clone(l.Bytes())
	l.Reset([]byte("b"))
	copy(l.Bytes()[logHead:], old[logHead:]) // as if it had died right there
	again, base, err := openLog(l.Bytes())
	if err != nil || base != identity([]byte("b")) {
		t.Fatal(base, err)
	}
	if again.next() != nil {
		t.Error("a record of the old log counts in the new one")
	}
}

func BenchmarkLogAppend(b *testing.B) {
	called := engine.Called{
		Caller: control.Caller{ID: 9, Conn: 3, UID: 1000, PID: 4711, Command: "initctl emit net-device-up IFACE=eth0"},
		Call: control.Call{Method: control.EmitEvent, Name: "net-device-up",
			Env: []string{"IFACE=eth0", "ADDRFAM=inet", "METHOD=dhcp", "LOGICAL=eth0"}, Wait: true},
	}
	clock := cause.Clock{Mono: time.Hour, Wall: 1_700_000_000_000_000_000}
	ordinary := []engine.Msg{engine.Exited{PID: 4711, Status: 1}, called, engine.Spawned{Token: 77, PID: 4711}}
	l := NewLog(make([]byte, 1<<20))
	l.Reset(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if l.Append(engine.Input{Clock: clock, Msg: ordinary[i%len(ordinary)]}); l.Remaining() < 1<<10 {
			l.Reset(nil)
		}
	}
}

func BenchmarkLogBegin(b *testing.B) {
	l := NewLog(make([]byte, 1<<20))
	l.Reset(nil)
	b.ReportAllocs()
	for b.Loop() {
		if l.Begin(2); l.Remaining() < 1<<10 {
			l.Reset(nil)
		}
	}
}
