package loop

import (
	"math/rand"
	"slices"
	"testing"

	"onset/core/engine"
)

// TestQueueIsAsASlice compares with the plain way of doing it.
func TestQueueIsAsASlice(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var q queue
	var want []engine.Msg
	for i := range 5000 {
		var msgs []engine.Msg
		for k := range r.Intn(1 + r.Intn(20)) {
			msgs = append(msgs, engine.Executed{PID: 20*i + k})
		}
		switch what := r.Intn(8); {
		case q.empty() != (len(want) == 0):
			t.Fatalf("step %d: empty is %v, %d wait", i, q.empty(), len(want))
		case what == 0:
			q.pushBack(msgs)
			want = append(want, msgs...)
		case what == 1:
			q.pushFront(msgs)
			want = slices.Concat(msgs, want)
		case len(want) > 0:
			if got := q.take(); got != want[0] {
				t.Fatalf("step %d: got %v, want %v", i, got, want[0])
			}
			want = want[1:]
		}
	}
}

func TestResultsCostTheSameHoweverManyWait(t *testing.T) {
	var q queue
	q.pushBack(make([]engine.Msg, 10000))
	results := make([]engine.Msg, 2)
	if n := testing.AllocsPerRun(1000, func() {
		q.take()
		q.pushFront(results[:1])
	}); n > 0.01 {
		t.Errorf("%v allocations a message", n)
	}
	for range 10000 { // two for one: the room in front is used up and made anew
		q.take()
		q.pushFront(results)
	}
	if got := len(q.msgs) - q.head; got != 20000 {
		t.Errorf("%d wait", got)
	}
}
