package manager

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// quiet is how long no collection has been needed when memory is given back.
const quiet = time.Second / 2

// GiveBackMemory sees to it that what a burst of work needed goes back to the
// kernel when it is over; the runtime alone keeps it for minutes. A process
// that never needed a collection has nothing to give back, and stays small.
// Objects do not move, so what garbage lay between them in a burst stays empty
// space: the heap grows by half between collections, not to its double.
func GiveBackMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	g := &giver{}
	g.timer = time.AfterFunc(quiet, debug.FreeOSMemory)
	g.timer.Stop()
	g.listen()
}

type giver struct {
	timer  *time.Timer
	needed uint32 // collections that nobody asked for
}

// listen is told of the next collection.
func (g *giver) listen() {
	runtime.AddCleanup(new([16]byte), func(g *giver) { g.collected() }, g)
}

func (g *giver) collected() {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	if needed := s.NumGC - s.NumForcedGC; needed != g.needed { // else it was by FreeOSMemory
		g.needed = needed
		g.timer.Reset(quiet)
	}
	g.listen()
}
