package snapshot

import (
	"bytes"
	"testing"

	"onset/core/engine"
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
