package platformtest

import "testing"

// Run runs the suite on back ends from backend.
func Run(t *testing.T, backend Backend) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, backend)) })
	}
}

type testCase struct {
	name string
	run  func(*world)
}

var cases = []testCase{
	{"a simple program", testSimple},
}

func testSimple(w *world) {
	pid := w.spawn(w.spec("helper report "+w.dir+"/out"), noStreams)
	w.Log(w.file("out"))
	if s := w.awaitExit(pid); s != 0 {
		w.Errorf("status %d", s)
	}
}
