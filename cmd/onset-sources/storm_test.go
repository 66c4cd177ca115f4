package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"onset/eventsources"
)

// storm emits as many events as fast as it can, and says how many of them init
// handled in order.
func storm(ctx context.Context, init eventsources.Init, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	handled := 0
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	init.Watch(watching, func(s eventsources.Signal) {
		if s.Kind == eventsources.EventEmitted && slices.Equal(s.Env, []string{fmt.Sprint("STORM=", handled)}) {
			handled++
		}
	})
	fmt.Println("storm begins")
	for i := range n {
		if err := init.Emit(ctx, eventsources.Event{Name: "storm", Env: []string{fmt.Sprint("STORM=", i)}}); err != nil {
			return err
		}
	}
	if err := init.EmitWait(ctx, eventsources.Event{Name: "storm-over"}); err != nil {
		return err
	}
	fmt.Println("storm:", handled, "handled")
	return nil
}

// TestStorm wants 100,000 events to reach init one by one, init to answer others
// meanwhile, and neither to need more memory for it than a few windows of
// calls and what Go's collector leaves.
func TestStorm(t *testing.T) {
	const events, grown = 100000, 12 << 10 // kB
	w := newWorld(t)
	w.say("pid")
	pid := 0
	w.Await("the source", func() bool {
		_, err := fmt.Sscanf(w.Log("sources"), "pid %d", &pid)
		return err == nil
	})
	before := map[string]int{"sources": pss(t, pid), "init": pss(t, w.PID)}
	w.say(fmt.Sprint("storm ", events))
	w.awaitText("the storm", "storm begins\n", func() string { return w.Log("sources") })
	answers := 0
	most := map[string]int{}
	for !strings.Contains(w.Log("sources"), "handled") {
		if !strings.Contains(w.list(), "sources start/running") {
			t.Fatal("init does not answer")
		}
		answers++
		most["sources"] = max(most["sources"], pss(t, pid))
		most["init"] = max(most["init"], pss(t, w.PID))
	}
	w.awaitText("all events", fmt.Sprintf("storm: %d handled\n", events), func() string { return w.Log("sources") })
	t.Logf("%d answers beside the storm; PSS in kB: before %v, at most %v", answers, before, most)
	if answers == 0 {
		t.Error("no answer beside the storm")
	}
	if raceEnabled {
		t.Log("memory is not compared: the race detector multiplies it")
		return
	}
	for name, kb := range most {
		if kb > before[name]+grown {
			t.Errorf("%s: %d kB before, %d kB in the storm", name, before[name], kb)
		}
	}
}

var pssLine = regexp.MustCompile(`\nPss: +(\d+) kB`)

// pss is the proportional share of memory of a process in kB; 0 where the
// kernel does not tell.
func pss(t testing.TB, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	m := pssLine.FindSubmatch(text)
	if m == nil {
		t.Fatalf("%q", text)
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb
}
