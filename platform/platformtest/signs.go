package platformtest

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// signCases are about what a process gets to say that it is ready, what it had
// stored, and which spawn a process comes from.
var signCases = []testCase{
	{"the descriptor of expect fd", testSignFD},
	{"no place for the descriptor of expect fd", testSignConflicts},
	{"stored descriptors", testListenFDs},
	{"the token of a process", testTokenOf},
	{"the end of a child's child", testSupervise},
}

// pipe returns a pipe that ends with the test.
func (w *world) pipe() (read, write int) {
	w.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func testSignFD(w *world) {
	for _, text := range []string{"echo plain >&7", "echo staged >&7"} {
		read, write := w.pipe()
		s := w.script(text, "test ! -e /dev/fd/5", "echo x >&9 || echo no script")
		s.Expect = job.Expect{Kind: job.ExpectFD, FD: 7}
		if strings.Contains(text, "staged") {
			s.Attrs.Umask = 0
		}
		if status := w.awaitExit(w.spawn(s, platform.Streams{Log: -1, Files: []int{write, write}, Sign: write})); status != 0 {
			w.Errorf("%s: status %d", text, status)
		}
		var b [64]byte
		n, _ := unix.Read(read, b[:])
		if got := strings.TrimSpace(string(b[:n])); !strings.Contains(text, got) || got == "" {
			w.Errorf("%s gave %q", text, got)
		}
	}
}

func testSignConflicts(w *world) {
	_, write := w.pipe()
	for fd, why := range map[int]string{
		4: "it is that of a file which the job gets", 9: "the shell reads the script from it", 100000: "it is too high",
	} {
		s := w.script("true", "true")
		s.Expect = job.Expect{Kind: job.ExpectFD, FD: fd}
		if fd == posix.ScriptFD && posix.ProgramOf(s.Process, 0, "").Script == "" {
			continue // the script is an argument here
		}
		_, err := w.procs.Spawn(99, s, platform.Streams{Log: -1, Files: []int{write, write}, Sign: write})
		e, ok := err.(*platform.SpawnError)
		if !ok || e.Temporary || !strings.HasPrefix(e.Reason, "unable to set up descriptor ") || !strings.HasSuffix(e.Reason, " for expect fd: "+why) {
			w.Errorf("descriptor %d: %v", fd, err)
		}
	}
}

func testListenFDs(w *world) {
	_, write := w.pipe()
	for name, change := range map[string]func(*job.Spec){
		"plain":  func(*job.Spec) {},
		"old":    func(s *job.Spec) { s.Env = append(s.Env, "LISTEN_PID=1", "LISTEN_FDS=9") },
		"line":   func(s *job.Spec) { s.Process.Text = strings.ReplaceAll(strings.TrimSpace(s.Process.Text), "\n", "; ") },
		"staged": func(s *job.Spec) { s.Attrs.Umask = 0o027 },
		"user":   func(s *job.Spec) { s.Attrs.Setuid = "daemon" },
		"text": func(s *job.Spec) { // without an interpreter line, which the shell reads
			os.WriteFile(w.dir+"/prog", []byte(s.Process.Text), 0o755)
			s.Process = job.Process{Text: w.dir + "/prog"}
		},
	} {
		os.WriteFile(w.dir+"/fds", nil, 0o666)
		os.Chmod(w.dir+"/fds", 0o666)
		s := w.script("echo "+name+" $LISTEN_FDS $LISTEN_FDNAMES > "+w.dir+"/fds", "test ! -e /dev/fd/5", "test $LISTEN_PID = $$")
		s.ListenNames = []string{"one", "two"}
		change(s)
		if status := w.awaitExit(w.spawn(s, platform.Streams{Log: -1, Files: []int{write, write}})); status != 0 {
			w.Errorf("%s: status %d", name, status)
		}
		if got := w.file("fds"); got != name+" 2 one:two\n" {
			w.Errorf("%s: got %q", name, got)
		}
	}
}

func testTokenOf(w *world) {
	pid := w.spawn(w.script("sleep 1000 &", "echo $! > "+w.dir+"/child.new", "mv "+w.dir+"/child.new "+w.dir+"/child", "wait"), noStreams)
	child := w.idIn("child")
	other := w.spawn(w.spec("sleep 1000"), noStreams)
	for pid, want := range map[int]uint64{pid: 1, child: 1, other: 2, os.Getpid(): 0, 0: 0, -1: 0, 1 << 22: 0} {
		if got := w.procs.TokenOf(pid); got != want {
			w.Errorf("process %d is of token %d, want %d", pid, got, want)
		}
	}
}

func testSupervise(w *world) {
	w.spawn(w.script("mkfifo "+w.dir+"/fifo", "sh -c 'read x < "+w.dir+"/fifo' &", "echo $! > "+w.dir+"/child.new",
		"mv "+w.dir+"/child.new "+w.dir+"/child", "wait", "sleep 1000"), noStreams)
	child := w.idIn("child")
	w.procs.Supervise(1, child)
	os.WriteFile(w.dir+"/fifo", []byte("go\n"), 0)
	m := await(w, func(m engine.Exited) bool { return m.PID == child })
	if m.Status != job.NoStatus {
		w.Errorf("status %d", m.Status)
	}
	w.procs.Supervise(1, child)
	await(w, func(m engine.Exited) bool { return m.PID == child })
}
