package platformtest

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// facts is what a report says.
type facts map[string]string

func parseFacts(text string) facts {
	f := facts{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		f[k] = v
	}
	return f
}

// expect compares facts, but for those that the helper cannot tell here.
func (w *world) expect(f facts, want map[string]string) {
	w.Helper()
	for _, k := range sortedKeys(want) {
		if got := f[k]; got != want[k] && !slices.Contains(untold, k) {
			w.Errorf("%s is %q, want %q", k, got, want[k])
		}
	}
}

// reported runs the reporting helper with a spec changed by change.
func (w *world) reported(io platform.Streams, change func(*job.Spec)) facts {
	w.Helper()
	s := w.spec("helper report " + w.dir + "/out")
	if change != nil {
		change(s)
	}
	pid := w.spawn(s, io)
	if status := w.awaitExit(pid); status != 0 {
		w.Errorf("the process ended with %d", status)
	}
	return parseFacts(w.file("out"))
}

// attribute is a case of one field: what it makes a process see.
func attribute(name string, change func(*world, *job.Spec), want map[string]string) testCase {
	return testCase{name, func(w *world) {
		w.expect(w.reported(noStreams, func(s *job.Spec) { change(w, s) }), want)
	}}
}

var specCases = []testCase{
	{"a plain program", testPlain},
	attribute("umask", func(_ *world, s *job.Spec) { s.Attrs.Umask = 0o077 }, facts{"umask": "077", "cwd": "/", "fds": "0:/dev/null 1:/dev/null 2:/dev/null"}),
	attribute("nice", func(_ *world, s *job.Spec) { s.Attrs.HasNice, s.Attrs.Nice = true, -7 }, facts{"nice": "-7"}),
	attribute("oom score", func(_ *world, s *job.Spec) { s.Attrs.OOM = 500 }, facts{"oom": "500"}),
	attribute("setuid", func(w *world, s *job.Spec) { w.open(s); s.Attrs.Setuid = "daemon" },
		facts{"uid": idOf("/etc/passwd", "daemon", 2), "gid": idOf("/etc/passwd", "daemon", 3), "groups": "[" + idOf("/etc/passwd", "daemon", 3) + "]"}),
	attribute("setgid", func(_ *world, s *job.Spec) { s.Attrs.Setgid = "daemon" }, facts{"uid": "0", "gid": idOf("/etc/group", "daemon", 2)}),
	attribute("setuid through the stage", func(w *world, s *job.Spec) { w.open(s); s.Attrs.Setuid, s.Attrs.Umask = "daemon", 0o027 },
		facts{"uid": idOf("/etc/passwd", "daemon", 2), "umask": "027", "groups": "[" + idOf("/etc/passwd", "daemon", 3) + "]"}),
	attribute("cpu affinity", func(_ *world, s *job.Spec) { s.Attrs.Isolation = &job.Isolation{CPUAffinity: "0"} }, facts{"Cpus_allowed_list": "0"}),
	attribute("security has none of them", func(_ *world, s *job.Spec) {
		s.Slot, s.Attrs.Umask, s.Attrs.Setuid, s.Attrs.Chroot = job.Security, 0o077, "daemon", "/nowhere"
	}, facts{"umask": "022", "uid": "0"}),
	{"chdir", testChdir},
	{"chroot", testChroot},
	{"limits", testLimits},
	{"a limit on memory", testMemoryLimit},
	{"descriptors", testDescriptors},
	{"console log", testConsoleLog},
	{"console output and owner", testConsole},
	{"console output without a console", testNoConsole},
	{"shell commands", testShell},
	{"scripts", testScripts},
	{"the path of the environment", testPath},
	{"tmpfiles", testTmpfiles},
	{"debug", testDebug},
}

// open lets every user run the helper and write in the directory of the test.
func (w *world) open(s *job.Spec) {
	os.Chmod(w.dir, 0o777)
	w.copyHelper(w.dir + "/helper")
	s.Process.Text = strings.Replace(s.Process.Text, w.self, w.dir+"/helper", 1)
}

func (w *world) copyHelper(to string) {
	text, err := os.ReadFile(w.self)
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		w.Fatal(err)
	}
}

func idOf(file, name string, field int) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); f[0] == name && len(f) > field {
			return f[field]
		}
	}
	return "?"
}

func testPlain(w *world) {
	pid := w.spawn(w.spec("helper report "+w.dir+"/out"), noStreams)
	id := fmt.Sprint(pid)
	w.expect(parseFacts(w.file("out")), facts{
		"pid": id, "sid": id, "pgid": id, "ppid": fmt.Sprint(os.Getpid()), "uid": "0", "umask": "022", "cwd": "/",
		"env":  "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin UPSTART_JOB=test",
		"args": "report " + w.dir + "/out", "fds": "0:/dev/null 1:/dev/null 2:/dev/null",
		"SigBlk": "00000000", "SigIgn": "00000000", "tty": "0", "nice": "0", "oom": "0",
	})
	w.awaitExit(pid)
	w.staged(0)
}

// staged checks how many processes did not take the fast path, where the back
// end counts them.
func (w *world) staged(want int) {
	w.Helper()
	if c, ok := w.procs.(interface{ Counts() (fast, staged int) }); ok {
		if fast, staged := c.Counts(); staged != want {
			w.Errorf("%d fast and %d staged spawns, want %d staged", fast, staged, want)
		}
	}
}

func testChdir(w *world) {
	w.expect(w.reported(noStreams, func(s *job.Spec) { s.Attrs.Chdir = w.dir }), facts{"cwd": w.dir})
	here, _ := os.Getwd()
	w.expect(w.reported(noStreams, func(s *job.Spec) { s.InheritCwd = true }), facts{"cwd": here})
	// A directory that only root may enter is entered before setuid.
	shut := filepath.Join(w.dir, "shut")
	os.Mkdir(shut, 0o700)
	s := w.script("echo $PWD", "pwd > "+w.dir+"/shut.out")
	s.Attrs.Chdir, s.Attrs.Setuid = shut, "daemon"
	os.Chmod(w.dir, 0o777)
	w.awaitExit(w.spawn(s, noStreams))
	if got := w.file("shut.out"); got != shut+"\n" {
		w.Errorf("the directory is %q, want %q", got, shut)
	}
}

// testChroot has a user that exists only inside the roots.
func testChroot(w *world) {
	outer, inner := filepath.Join(w.dir, "session"), "/jail"
	root := outer + inner
	os.MkdirAll(root+"/bin", 0o755)
	os.MkdirAll(root+"/etc", 0o755)
	os.MkdirAll(root+"/tmp", 0o777)
	os.Chmod(root+"/tmp", 0o777)
	os.WriteFile(root+"/etc/passwd", []byte("inmate:x:4321:4322::/:/bin/sh\n"), 0o644)
	os.WriteFile(root+"/etc/group", []byte("inmates:x:4322:\nwardens:x:4323:inmate\nroot:x:0:\n"), 0o644)
	w.copyHelper(root + "/bin/helper")
	for i, change := range []func(*job.Spec){
		func(s *job.Spec) { s.Attrs.Chroot, s.Process.Text = root, "/bin"+s.Process.Text },
		func(s *job.Spec) { s.Attrs.Chroot = root },
		func(s *job.Spec) { s.Root = root },
		func(s *job.Spec) { s.Root, s.Attrs.Chroot = outer, inner },
		func(s *job.Spec) {
			s.Root, s.Attrs.Chroot, s.Attrs.Setuid, s.Attrs.Setgid = outer, inner, "inmate", "wardens"
		},
	} {
		s := w.spec(fmt.Sprintf("/helper %s report /tmp/out%d", helperArg, i))
		if s.Process.Text = strings.TrimPrefix(s.Process.Text, "/"); i == 0 {
			s.Process.Text = "/" + s.Process.Text
		}
		change(s)
		w.awaitExit(w.spawn(s, noStreams))
		text, _ := os.ReadFile(fmt.Sprintf("%s/tmp/out%d", root, i))
		want := facts{"cwd": "/", "uid": "0", "args": fmt.Sprintf("report /tmp/out%d", i)}
		if i == 4 {
			want["uid"], want["gid"], want["groups"] = "4321", "4323", "[4322 4323]"
		}
		if f := parseFacts(string(text)); f["args"] == "" {
			w.Errorf("case %d: no report", i)
		} else {
			w.expect(f, want)
		}
	}
}

// needsPlainShell skips what a shell in Go cannot show: its runtime raises the
// limit of descriptors and needs more memory than a test leaves.
func (w *world) needsPlainShell() {
	if _, err := buildinfo.ReadFile("/bin/sh"); err == nil {
		w.Skip("the shell of this machine is a Go program, which has other limits than it was started with")
	}
}

func testLimits(w *world) {
	w.needsPlainShell()
	s := w.spec("")
	s.Process.Text = "echo `ulimit -Sn` `ulimit -Hn` `ulimit -c` `ulimit -Hf` > " + w.dir + "/out"
	s.Process.Script = true
	for i, name := range job.LimitNames {
		switch name {
		case "nofile":
			s.Attrs.Limits[i] = job.Limit{Set: true, Soft: 77, Hard: 99}
		case "core":
			s.Attrs.Limits[i] = job.Limit{Set: true}
		case "fsize":
			s.Attrs.Limits[i] = job.Limit{Set: true, Soft: 1 << 20, Hard: job.Unlimited}
		}
	}
	w.awaitExit(w.spawn(s, noStreams))
	if got := w.file("out"); got != "77 99 0 unlimited\n" {
		w.Errorf("the limits are %q", got)
	}
}

// testMemoryLimit has limits that the stage itself could not live with.
func testMemoryLimit(w *world) {
	w.needsPlainShell()
	s := w.script("echo $0 > " + w.dir + "/out")
	for i, name := range job.LimitNames {
		if name == "as" || name == "data" {
			s.Attrs.Limits[i] = job.Limit{Set: true, Soft: 16 << 20, Hard: 16 << 20}
		}
	}
	s.Attrs.Setuid = "daemon"
	os.Chmod(w.dir, 0o777)
	w.awaitExit(w.spawn(s, noStreams))
	w.file("out")
}

func testDescriptors(w *world) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil { // inherited, were it not for the back end
		w.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	for _, umask := range []int{-1, 0} {
		f := w.reported(platform.Streams{Log: -1, Files: []int{fds[1], fds[0]}}, func(s *job.Spec) { s.Attrs.Umask = umask })
		if got := strings.Fields(f["fds"]); f["fds"] != "" && (len(got) != 5 || !strings.HasPrefix(got[3], "3:pipe:") || !strings.HasPrefix(got[4], "4:pipe:")) {
			w.Errorf("descriptors are %q", got)
		}
	}
	s := w.script("true", w.self+" "+helperArg+" report "+w.dir+"/many")
	many := slices.Repeat([]int{fds[1]}, 10)
	if status := w.awaitExit(w.spawn(s, platform.Streams{Log: -1, Files: many})); status != 0 {
		w.Errorf("a script beside ten descriptors: status %d", status)
	}
	if got := parseFacts(w.file("many"))["fds"]; strings.Count(got, ":pipe:") != 10 || !strings.Contains(got, " 12:pipe:") {
		w.Errorf("a script beside ten descriptors has %q", got)
	}
	_, err := w.procs.Spawn(99, s, platform.Streams{Log: -1, Files: make([]int, 600)})
	if e, ok := err.(*platform.SpawnError); !ok || e.Temporary || e.Reason != "unable to move script fd: Too many open files" {
		w.Errorf("six hundred descriptors: %v", err)
	}
}

func testConsoleLog(w *world) {
	master, slave, err := posix.OpenPTY()
	if err != nil {
		w.Skip("no pseudo terminals here: " + err.Error())
	}
	defer unix.Close(master)
	s := w.spec("echo out; echo err >&2; cat; test ! -t 0")
	s.Process.Script, s.Attrs.Console = true, job.ConsoleLog
	pid := w.spawn(s, platform.Streams{Log: slave})
	unix.Close(slave)
	got := ""
	w.eventually("the terminal says it all", func() bool { // some kernels keep none of it when nobody has the terminal
		var b [64]byte
		n, _ := unix.Read(master, b[:])
		got += string(b[:max(n, 0)])
		return got == "out\r\nerr\r\n"
	})
	if status := w.awaitExit(pid); status != 0 {
		w.Errorf("status %d", status)
	}
	w.staged(0)
}

// testConsole needs a back end whose console is the terminal that the test
// puts in its place.
func testConsole(w *world) {
	master, slave, err := posix.OpenPTY()
	if err != nil {
		w.Skip("no pseudo terminals here: " + err.Error())
	}
	defer unix.Close(master)
	name := nameOf(slave)
	defer unix.Close(slave)
	os.Symlink(name, ConsolePath)
	defer os.Remove(ConsolePath)
	for _, console := range []job.Console{job.ConsoleOutput, job.ConsoleOwner} {
		f := w.reported(noStreams, func(s *job.Spec) { s.Attrs.Console = console })
		if want := fmt.Sprintf("0:%s 1:%s 2:%s", name, name, name); f["fds"] != want {
			w.Errorf("console %d: descriptors are %q, want %q", console, f["fds"], want)
		}
		if owns := f["tty"] != "0"; owns != (console == job.ConsoleOwner) {
			w.Errorf("console %d: the terminal is %q", console, f["tty"])
		}
	}
}

func testNoConsole(w *world) {
	f := w.reported(noStreams, func(s *job.Spec) { s.Attrs.Console = job.ConsoleOutput })
	w.expect(f, facts{"fds": "0:/dev/null 1:/dev/null 2:/dev/null"})
}

func testShell(w *world) {
	s := w.spec("echo \"$UPSTART_JOB\"  '*' > " + w.dir + "/out")
	w.awaitExit(w.spawn(s, noStreams))
	if got := w.file("out"); got != "test *\n" {
		w.Errorf("the shell wrote %q", got)
	}
	s = w.spec("false; exit 0")
	s.Process.Script = true
	if status := w.awaitExit(w.spawn(s, noStreams)); status != 1 {
		w.Errorf("status %d of a script that fails early, want 1", status)
	}
	w.staged(0)
}

func testScripts(w *world) {
	os.Chmod(w.dir, 0o777)
	long := strings.Repeat("# nothing to see here, only a line to fill the pipe with\n", 4000)
	for i, user := range []string{"", "daemon"} {
		for k, text := range []string{"", long} {
			out := fmt.Sprintf("out%d%d", i, k)
			s := w.script("x=1", text+"ls /dev/fd/ | grep -c '^9$' > "+w.dir+"/"+out+".fd || true", "echo $0 $x > "+w.dir+"/"+out)
			s.Attrs.Setuid = user
			if status := w.awaitExit(w.spawn(s, noStreams)); status != 0 {
				w.Errorf("%s: status %d", out, status)
			}
			argv := posix.ProgramOf(s.Process, 0, "").Argv
			if got, want := w.file(out), argv[len(argv)-1]+" 1\n"; got != want {
				w.Errorf("%s: the script wrote %q, want %q", out, got, want)
			}
			if got := w.file(out + ".fd"); got != "0\n" {
				w.Errorf("%s: descriptor 9 is open in what the script starts", out)
			}
		}
	}
	w.staged(0)
}

func testPath(w *world) {
	dirs := []string{w.dir + "/a", w.dir + "/b", w.dir + "/c"}
	for _, d := range dirs {
		os.MkdirAll(d, 0o755)
	}
	os.WriteFile(dirs[0]+"/prog", nil, 0o644)                                               // not executable
	os.WriteFile(dirs[1]+"/prog", []byte("echo $0 $1 > "+w.dir+"/out\n"), 0o755)            // no format: the shell
	os.WriteFile(dirs[2]+"/prog", []byte("#!/bin/sh\necho wrong > "+w.dir+"/out\n"), 0o755) // too late
	s := w.spec("prog arg")
	s.Env = s.Env.Set("PATH="+strings.Join(dirs, ":"), true)
	w.awaitExit(w.spawn(s, noStreams))
	if got := w.file("out"); got != dirs[1]+"/prog arg\n" {
		w.Errorf("the program wrote %q", got)
	}
}

func testTmpfiles(w *world) {
	conf := w.dir + "/x.conf"
	os.WriteFile(w.dir+"/old", []byte("old"), 0o600)
	os.WriteFile(conf, []byte(strings.ReplaceAll(`# comment
d DIR/run 0750 daemon daemon - -
f DIR/file 0640 - - - some text
f DIR/old 0604 - - - new
F DIR/empty - - - -
L DIR/link - - - - DIR/file
w DIR/file - - - - more
w DIR/none - - - - more
`, "DIR", w.dir)), 0o644)
	t := w.spec("true")
	t.Attrs.Tmpfiles, t.Attrs.Umask = []string{conf}, 0o077
	w.awaitExit(w.spawn(t, noStreams))
	for name, want := range map[string]string{
		"run": "drwxr-x--- daemon", "file": "-rw-r----- root 9", "old": "-rw----r-- root 3", "empty": "-rw-r--r-- root 0", "link": "link root " + w.dir + "/file",
	} {
		if got := w.fileFacts(name); got != want {
			w.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(w.dir + "/none"); err == nil {
		w.Error("w made a file")
	}
}

// fileFacts tells the mode, owner and size of a file, or where a link points.
func (w *world) fileFacts(name string) string {
	name = filepath.Join(w.dir, name)
	fi, err := os.Lstat(name)
	if err != nil {
		return err.Error()
	}
	owner := "root"
	if uid := fi.Sys().(*syscall.Stat_t).Uid; fmt.Sprint(uid) == idOf("/etc/passwd", "daemon", 2) {
		owner = "daemon"
	}
	switch {
	case fi.Mode()&os.ModeSymlink != 0:
		to, _ := os.Readlink(name)
		return "link " + owner + " " + to
	case fi.IsDir():
		return fmt.Sprint(fi.Mode(), " ", owner)
	}
	return fmt.Sprint(fi.Mode(), " ", owner, " ", fi.Size())
}
