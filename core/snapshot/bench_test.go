package snapshot

import (
	"fmt"
	"testing"
	"time"

	"onset/core/cause"
	"onset/core/engine"
	"onset/core/job"
)

// running returns an engine with n running services of an ordinary size.
func running(n int) *engine.Engine {
	src := engine.Source{Path: "/etc/init", Kind: engine.JobDir}
	for i := range n {
		src.Files = append(src.Files, engine.File{Path: fmt.Sprintf("/etc/init/service-%d.conf", i), Text: fmt.Sprintf(
			`description "service number %d"
author "somebody <somebody@example.org>"
start on startup and (filesystem or never-%d KEY=value)
stop on runlevel [!2345]
respawn
respawn limit 10 5
env DAEMON=/usr/sbin/service-%d
limit nofile 1024 4096
pre-start script
	test -x $DAEMON || { stop; exit 0; }
	mkdir -p /run/service-%d
end script
exec $DAEMON --foreground --config /etc/service-%d.conf
`, i, i, i, i, i)})
	}
	e := engine.New(options)
	pid := 100
	var clock cause.Clock
	queue := []engine.Msg{engine.Loaded{Sources: []engine.Source{src}}, start("service-0")}
	for i := range n {
		queue = append(queue, start(fmt.Sprintf("service-%d", i)))
	}
	for len(queue) > 0 {
		clock.Mono += time.Millisecond
		m := queue[0]
		queue = queue[1:]
		for _, effect := range e.Step(engine.Input{Clock: clock, Msg: m}) {
			if s, ok := effect.(engine.Spawn); ok {
				pid++
				queue = append(queue, engine.Spawned{Token: s.Token, PID: pid}, engine.Executed{PID: pid})
				if s.Spec.Slot != 0 {
					queue = append(queue, engine.Exited{PID: pid})
				}
			}
		}
	}
	for _, c := range e.State().Classes {
		if len(c.Instances) != 1 || c.Instances[0].State != job.Running {
			panic(c.Def.Name + " does not run")
		}
	}
	return e
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("jobs=%d", n), func(b *testing.B) {
			e := running(n)
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				size = len(Encode(e.State()))
			}
			b.ReportMetric(float64(size)/float64(n), "B/job")
		})
	}
}

func BenchmarkRestore(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("jobs=%d", n), func(b *testing.B) {
			data := Encode(running(n).State())
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := Decode(data)
				if err != nil {
					b.Fatal(err)
				}
				engine.Restore(s)
			}
		})
	}
}

func BenchmarkWriteState(b *testing.B) {
	s := running(1000).State()
	for b.Loop() {
		if _, err := WriteState(s); err != nil {
			b.Fatal(err)
		}
	}
}
