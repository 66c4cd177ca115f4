package keeper

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/cause"
	"onset/core/engine"
	"onset/core/snapshot"
)

func testMemory(t *testing.T, slot, log int) *Memory {
	t.Helper()
	fd, err := newMemory(slot, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	m, err := mapMemory(fd)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRecoverFindsTheSlotOfTheLog(t *testing.T) {
	m := testMemory(t, 1<<20, 1<<20)
	if _, err := m.Recover(false); err != ErrEmpty {
		t.Fatalf("new memory: %v, want %v", err, ErrEmpty)
	}
	e := engine.New(engine.Options{})
	log := snapshot.NewLog(m.Log)
	step := func() {
		in := engine.Input{Clock: cause.Clock{Mono: time.Second}, Msg: engine.Tick{}}
		log.Append(in)
		log.Begin(len(e.Step(in)))
	}
	for n := range 5 {
		if _, err := m.Save(log, stateOf(e)); err != nil {
			t.Fatal(err)
		}
		for range n {
			step()
		}
		for _, wrong := range []uint64{0, 1} { // died before it noted the slot
			m.head.Current = wrong
			r, err := m.Recover(false)
			if err != nil || r.Inputs != n {
				t.Fatalf("after snapshot %d: %v, %v", n, r, err)
			}
		}
		other := 1 - m.Current() // died while it wrote the next one
		copy(m.Slots[other], "half a snapshot")
		m.head.Lengths[other] = 1 << 40
		if r, err := m.Recover(false); err != nil || r.Inputs != n {
			t.Fatalf("after half a snapshot: %v, %v", r, err)
		}
	}
}

// stateOf writes the state of an engine for Save.
func stateOf(e *engine.Engine) func([]byte) []byte {
	return func(to []byte) []byte { return snapshot.Append(to, e.State()) }
}

func TestRecoverRefusesWhatFitsNowhere(t *testing.T) {
	m := testMemory(t, 1<<16, 1<<16)
	if _, err := m.Save(snapshot.NewLog(m.Log), stateOf(engine.New(engine.Options{}))); err != nil {
		t.Fatal(err)
	}
	m.Slots[m.Current()][3]++
	if _, err := m.Recover(false); !errors.Is(err, snapshot.ErrOtherSnapshot) {
		t.Errorf("changed snapshot: %v", err)
	}
	large := func(to []byte) []byte { return append(to, make([]byte, 1<<16+1)...) }
	if _, err := m.Save(snapshot.NewLog(m.Log), large); err != errBig {
		t.Errorf("large snapshot: %v", err)
	}
}

func TestMemoryIsChecked(t *testing.T) {
	for name, change := range map[string]func(*memoryHead){
		"magic":     func(h *memoryHead) { h.Magic++ },
		"slot size": func(h *memoryHead) { h.SlotSize = 1 << 63 },
		"log size":  func(h *memoryHead) { h.LogSize++ },
	} {
		fd, err := newMemory(4096, 4096)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mapMemory(fd)
		if err != nil {
			t.Fatal(err)
		}
		change(m.head)
		if _, err := mapMemory(fd); err != errMemory {
			t.Errorf("%s: %v, want %v", name, err, errMemory)
		}
		unix.Close(fd)
	}
}
