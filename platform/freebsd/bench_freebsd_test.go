package freebsd

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/platformtest"
)

// BenchmarkSpawn tells what a spawn costs by the size of the heap, as each
// fork copies its page tables.
func BenchmarkSpawn(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"small heap", 1 << 20}, {"10000 jobs", 64 << 20}, {"256 MB", 256 << 20}} {
		b.Run(size.name, func(b *testing.B) { benchmarkSpawn(b, size.bytes) })
	}
}

func benchmarkSpawn(b *testing.B, size int) {
	b.Setenv(platformtest.GroupsEnv, b.TempDir()+"/groups")
	_, procs := backend()
	heap := make([]byte, size)
	for i := 0; i < len(heap); i += 4096 {
		heap[i] = 1
	}
	s := &job.Spec{Job: "test", Slot: job.Main, Env: env.Table{"PATH=/bin:/usr/bin"}, Process: job.Process{Text: "true"},
		Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1}}
	token := uint64(0)
	for b.Loop() {
		token++
		started, err := procs.Spawn(token, s, platform.Streams{Log: -1})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		unix.Wait4(started.PID, nil, 0, nil)
		b.StartTimer()
	}
	runtime.KeepAlive(heap)
}
