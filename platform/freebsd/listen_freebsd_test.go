package freebsd

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/platformtest"
	"onset/platform/posix"
)

// listenArg makes the test binary a process that listens at each address
// (NETWORK=ADDRESS) once the file before it is there, and stays.
const listenArg = "onset-listen"

func listenMain() {
	if len(os.Args) < 2 || os.Args[1] != listenArg {
		return
	}
	for i := 2; i+1 < len(os.Args); i += 2 {
		for _, err := os.Stat(os.Args[i]); err != nil; _, err = os.Stat(os.Args[i]) {
			time.Sleep(time.Millisecond)
		}
		network, address, _ := strings.Cut(os.Args[i+1], "=")
		l, err := net.Listen(network, address)
		if err != nil {
			panic(err)
		}
		defer l.Close()
	}
	time.Sleep(time.Hour)
}

// heard is what a handler was told.
type heard struct{ story string }

func (h *heard) Listening(uint64)      { h.story += "L" }
func (h *heard) Unwatched(uint64)      { h.story += "U" }
func (h *heard) Remark(uint64, string) { h.story += "R" }

func TestListens(t *testing.T) {
	t.Setenv(platformtest.GroupsEnv, t.TempDir()+"/groups")
	poller, processes := backend()
	procs := processes.(*Processes)
	path := t.TempDir() + "/s"
	self, _ := os.Executable()
	for i, c := range []struct{ want, other, address, story string }{
		{"", "", "tcp=127.0.0.1:8101", "LU"},
		{"*:8102", "tcp=127.0.0.1:8103", "tcp=127.0.0.1:8102", "LU"},
		{"127.0.0.1:8104", "tcp6=[::]:8104", "tcp4=0.0.0.0:8104", "LU"},
		{path, "unix=" + path + "x", "unix=" + path, "LU"},
		{"somewhere", "", "tcp=127.0.0.1:8105", "RLU"},
	} {
		if l, err := net.Listen("tcp", "127.0.0.1:0"); strings.HasPrefix(c.address, "tcp") && err != nil {
			t.Log("no network here for " + c.address + ": " + err.Error())
			continue
		} else if err == nil {
			l.Close()
		}
		h, token := &heard{}, uint64(i+1)
		l := procs.NewListens(poller, nil, h).(*Listens)
		first, second := t.TempDir()+"/go", t.TempDir()+"/go"
		words := []string{self, listenArg, first, c.address}
		if c.other != "" {
			words = []string{self, listenArg, first, c.other, second, c.address}
		}
		s := &job.Spec{Job: "test", Slot: job.Main, Expect: job.Expect{Kind: job.ExpectListen}, Env: env.Table{"PATH=/bin"},
			Process: job.Process{Text: strings.Join(words, " ")}, Attrs: job.Attrs{Console: job.ConsoleNone, Umask: -1}}
		started, err := procs.Spawn(token, s, platform.Streams{Log: -1})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Watch(token, c.want, -1); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(first, nil, 0o600)
		end := time.Now().Add(time.Minute)
		if c.other != "" {
			for !listensAt(started.PID, posix.ListenAddress{}, listeners(), false) && time.Now().Before(end) {
				poller.Wait(time.Millisecond)
			}
			if l.due(); h.story != "" {
				t.Errorf("%q: told %q of one at %s", c.want, h.story, c.other)
			}
			os.WriteFile(second, nil, 0o600)
		}
		for h.story != c.story && time.Now().Before(end) {
			poller.Wait(time.Millisecond)
		}
		if h.story != c.story {
			t.Errorf("%q: told %q of one at %s, want %q", c.want, h.story, c.address, c.story)
		}
		procs.Kill(token, started.PID, job.Signal(unix.SIGKILL), engine.Tree)
	}
}
