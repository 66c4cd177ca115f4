package engine_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/control"
	. "onset/core/engine"
	"onset/core/job"
)

var signals = job.Signals{{Name: "HUP", Number: 1}, {Name: "KILL", Number: 9}, {Name: "TERM", Number: 15}}

// driver steps an engine and plays a kernel in which every spawn succeeds.
type driver struct {
	e   *Engine
	now time.Duration
	pid int
}

func newDriver(files []File) *driver {
	d := &driver{e: New(Options{PID: 1, Signals: signals, LogPriority: Message})}
	d.send(Loaded{[]Source{{Path: "/etc/init", Files: files}}})
	return d
}

// settledDriver leaves no garbage of loading to be paid for by what follows.
func settledDriver(files []File) *driver {
	d := newDriver(files)
	runtime.GC()
	return d
}

func (d *driver) send(msgs ...Msg) {
	for len(msgs) > 0 {
		d.now++
		var results []Msg
		for _, effect := range d.e.Step(Input{Clock: cause.Clock{Mono: d.now}, Msg: msgs[0]}) {
			if s, ok := effect.(Spawn); ok {
				d.pid++
				results = append(results, Spawned{Token: s.Token, PID: d.pid}, Executed{PID: d.pid})
			}
		}
		if msgs = msgs[1:]; len(results) > 0 {
			msgs = append(results, msgs...)
		}
	}
	if at, ok := d.e.Deadline(); ok && at <= d.now {
		d.send(Tick{})
	}
}

func (d *driver) call(c control.Call) { d.send(request(c)) }

func request(c control.Call) Msg { return Called{control.Caller{ID: 1, Conn: 1}, c} }

// classes returns n job files that name an event and a fact of their own.
func classes(n int, format string) []File {
	files := make([]File, n)
	for i := range files {
		files[i] = File{Path: fmt.Sprintf("/etc/init/job-%06d.conf", i), Text: fmt.Sprintf(format, i)}
	}
	return files
}

func BenchmarkLoad10000(b *testing.B) {
	files := classes(10000, "start on event-%d\nexec /usr/sbin/daemon --foreground\n")
	b.ReportMetric(kept(b, func() *driver { return newDriver(files) })/1e6, "heapMB")
}

// BenchmarkRun1000 is what an engine keeps of jobs that run.
func BenchmarkRun1000(b *testing.B) {
	files := classes(1000, "start on go\nexec /usr/sbin/daemon --foreground %d\n")
	bytes := kept(b, func() *driver {
		d := newDriver(files)
		d.call(control.Call{Method: control.EmitEvent, Name: "go"})
		d.send(Tick{}) // ends the use of the last effects
		if got := len(d.e.State().Facts); got != len(files) {
			b.Fatalf("%d jobs run", got)
		}
		return d
	})
	b.ReportMetric(bytes/float64(len(files)), "heapB/job")
}

// kept runs a benchmark and returns how many bytes the last driver keeps.
func kept(b *testing.B, run func() *driver) float64 {
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		d := run()
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(d)
		b.StartTimer()
	}
	return float64(after.HeapAlloc - before.HeapAlloc)
}

func BenchmarkUnnamedEvent(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000, 100000} {
		b.Run(fmt.Sprintf("classes=%d", n), func(b *testing.B) {
			d := settledDriver(classes(n, "start on event-%d\nexec daemon\n"))
			emit := request(control.Call{Method: control.EmitEvent, Name: "nobody", Env: []string{"A=1"}})
			for b.Loop() {
				d.send(emit)
			}
		})
	}
}

func BenchmarkStartedChain(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("length=%d", n), func(b *testing.B) {
			files := classes(n, "exec daemon\n")
			files[0].Text = "start on go\nexec daemon\n"
			for i := 1; i < n; i++ {
				files[i].Text = fmt.Sprintf("start on started job-%06d\nexec daemon\n", i-1)
			}
			var started time.Duration
			for b.Loop() {
				b.StopTimer()
				d := newDriver(files)
				begin := time.Now()
				b.StartTimer()
				d.call(control.Call{Method: control.EmitEvent, Name: "go"})
				started += time.Since(begin)
				if got := len(d.e.State().Classes[n-1].Instances); got != 1 {
					b.Fatalf("the last job of the chain has %d instances", got)
				}
			}
			b.ReportMetric(float64(started.Nanoseconds())/float64(b.N*n), "ns/job")
		})
	}
}

func BenchmarkFactChange(b *testing.B) {
	for _, n := range []int{10, 100000} {
		b.Run(fmt.Sprintf("classes=%d", n), func(b *testing.B) {
			d := settledDriver(classes(n, "while fact-%d and other\nexec daemon\n"))
			set := request(control.Call{Method: control.SetFact, Name: "fact-3"})
			unset := request(control.Call{Method: control.ClearFact, Name: "fact-3"})
			for b.Loop() {
				d.send(set)
				d.send(unset)
			}
		})
	}
}
