package snapshot

import (
	"bytes"
	"slices"
	"testing"

	"onset/core/engine"
)

func FuzzDecode(f *testing.F) {
	for seed := range uint64(6) {
		f.Add(walked(seed, 20*int(seed)))
	}
	f.Add(Encode(engine.New(options).State(), engine.LoadConfig{}, engine.FlushLogs{Call: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err != nil {
			return
		}
		engine.Restore(s)
		again := Encode(s)
		if got := Encode(mustDecode(t, again)); !bytes.Equal(got, again) {
			t.Errorf("encoded again:\n%q\n%q", again, got)
		}
	})
}

// FuzzLog replays what follows the head of a log. Checksums are left out:
// they would keep every change away from the rest.
func FuzzLog(f *testing.F) {
	snap := Encode(engine.New(options).State())
	for seed := range uint64(6) {
		var log []byte
		for _, in := range inputs(seed, 12) {
			log = append(append(log, noteInput), inputBytes(in)...)
			log = append(log, 0xff, noteBegun, 0, 0xff)
		}
		f.Add(log, seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, records []byte, poisoned bool) {
		l := NewLog(nil)
		l.Grow = true
		l.Reset(snap)
		for payload := range bytes.SplitSeq(records, []byte{0xff}) {
			if len(payload) > 0 {
				l.begin(uint64(payload[0] & 0x7f))
				l.c.buf = append(l.c.buf, payload[1:]...)
				l.commit()
			}
		}
		log := slices.Clone(l.Bytes())
		if n := len(records); n > 0 && n < len(log) {
			log[n] ^= records[0] // and a torn one
		}
		for _, log := range [][]byte{l.Bytes(), log} {
			if _, err := Recover(snap, log, poisoned); err != nil && len(log) >= logHead && bytes.Equal(log[:logHead], l.Bytes()[:logHead]) {
				t.Error(err)
			}
		}
	})
}
