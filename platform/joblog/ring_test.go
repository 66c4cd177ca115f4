package joblog

import (
	"bytes"
	"testing"
)

func TestRing(t *testing.T) {
	for _, step := range []int{1, 7, 1000, tailMax - 1, tailMax, tailMax + 1, 3*tailMax + 5} {
		var r ring
		var all []byte
		for len(all) < 4*tailMax {
			part := make([]byte, step)
			for i := range part {
				part[i] = byte(len(all) + i*i)
			}
			r.write(part)
			all = append(all, part...)
			if step > 500 && !bytes.Equal(r.bytes(), all[max(0, len(all)-tailMax):]) {
				t.Fatalf("step %d: wrong after %d", step, len(all))
			}
		}
		if !bytes.Equal(r.bytes(), all[len(all)-tailMax:]) {
			t.Errorf("step %d: wrong", step)
		}
	}
}
