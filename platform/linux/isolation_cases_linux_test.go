package linux

import (
	"golang.org/x/sys/unix"

	"onset/core/job"
)

const readOnlyFS = "read-only file system"

func bind(pairs ...string) (list []job.Setting) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, job.Setting{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// isolationCases are those of a privileged init.
var isolationCases = []isolationCase{
	{name: "none", want: [][2]string{{"ns:mnt", "init's"}, {"ns:pid", "init's"}, {"ns:net", "init's"}, {"ns:uts", "init's"},
		{"ns:ipc", "init's"}, {"ns:user", "init's"}, {"ns:cgroup", "init's"}, {"ns:time", "init's"}, {"read:/tmp/machine", "machine's"}}},
	{name: "mount", isolation: job.Isolation{Namespaces: namespaces("mount")},
		want: [][2]string{{"ns:mnt", "own"}, {"ns:pid", "init's"}, {"ns:net", "init's"}, {"ns:user", "init's"}, {"umount:/mnt/data/sub", "ok"}}},
	{name: "pid", isolation: job.Isolation{Namespaces: namespaces("pid")},
		want: [][2]string{{"ns:pid", "own"}, {"ns:mnt", "own"}, {"pid:", "1"}, {"processes:", "1"}, {"kind:/proc", "proc"}, {"ns:net", "init's"}}},
	{name: "net", isolation: job.Isolation{Namespaces: namespaces("net")},
		want: [][2]string{{"ns:net", "own"}, {"interfaces:", "lo"}, {"local:", "connection refused"}, {"ns:mnt", "init's"}}},
	{name: "private network", isolation: job.Isolation{Private: []string{"network"}},
		want: [][2]string{{"ns:net", "own"}, {"interfaces:", "lo"}, {"local:", "connection refused"}}},
	{name: "uts", isolation: job.Isolation{Namespaces: namespaces("uts")},
		want: [][2]string{{"ns:uts", "own"}, {"hostname:elsewhere", "elsewhere"}}},
	{name: "ipc", isolation: job.Isolation{Namespaces: namespaces("ipc")},
		want: [][2]string{{"ns:ipc", "own"}, {"segment:", "no such file or directory"}}},
	{name: "no ipc", want: [][2]string{{"segment:", "found"}}},
	{name: "cgroup", isolation: job.Isolation{Namespaces: namespaces("cgroup")}, want: [][2]string{{"ns:cgroup", "own"}}},
	{name: "time", isolation: job.Isolation{Namespaces: namespaces("time")}, want: [][2]string{{"ns:time", "own"}}},
	{name: "user", isolation: job.Isolation{Namespaces: namespaces("user")},
		want: [][2]string{{"ns:user", "own"}, {"ids:", "0 0"}, {"status:CapEff", "000001ffffffffff"}, {"hostname:x", "operation not permitted"}}},
	{name: "user with others", isolation: job.Isolation{Namespaces: namespaces("user", "uts", "pid", "net"), Private: []string{"tmp", "dev"}},
		want: [][2]string{{"ns:user", "own"}, {"hostname:x", "x"}, {"pid:", "1"}, {"processes:", "1"}, {"interfaces:", "lo"},
			{"list:/tmp", ""}, {"write:/dev/null", "ok"}}},
	{name: "user and setuid", isolation: job.Isolation{Namespaces: namespaces("user")},
		change: func(_ *lab, s *job.Spec) { s.Attrs.Setuid = "daemon" },
		want:   [][2]string{{"ns:user", "own"}, {"ids:", "1 1"}, {"status:CapEff", "0000000000000000"}, {"status:Groups", "1 "}}},
	{name: "all", isolation: job.Isolation{Namespaces: namespaces("mount", "pid", "net", "uts", "ipc", "user", "cgroup", "time")},
		want: [][2]string{{"ns:mnt", "own"}, {"ns:pid", "own"}, {"ns:net", "own"}, {"ns:uts", "own"}, {"ns:ipc", "own"}, {"ns:user", "own"},
			{"ns:cgroup", "own"}, {"ns:time", "own"}}},
	{name: "net without a path to join", isolation: job.Isolation{Namespaces: namespaces("net@/mnt/nowhere")},
		fails: "unable to isolate: net /mnt/nowhere: No such file or directory"},
	{name: "net of no namespace", isolation: job.Isolation{Namespaces: namespaces("net@/mnt/file")},
		fails: "unable to isolate: net /mnt/file: Invalid argument"},
	{name: "net of an optional path", isolation: job.Isolation{Namespaces: namespaces("net?@/mnt/nowhere")},
		want:    [][2]string{{"ns:net", "init's"}},
		notices: []string{"true namespace net /mnt/nowhere is left out: No such file or directory"}},
	{name: "unknown", isolation: job.Isolation{Namespaces: namespaces("none")}, fails: "unable to isolate: none: Invalid argument"},
	{name: "unknown and optional", isolation: job.Isolation{Namespaces: namespaces("none?", "uts")},
		want: [][2]string{{"ns:uts", "own"}}, notices: []string{"true namespace none is left out: Invalid argument"}},
	{name: "pid of a daemon", isolation: job.Isolation{Namespaces: namespaces("pid")},
		change: func(_ *lab, s *job.Spec) { s.Expect.Kind = job.ExpectDaemon },
		fails:  "unable to isolate: pid: its processes end with the first, which expect fork and expect daemon have end"},
	{name: "pid of what stops", isolation: job.Isolation{Namespaces: namespaces("pid?")},
		change:  func(_ *lab, s *job.Spec) { s.Expect.Kind = job.ExpectStop },
		want:    [][2]string{{"ns:pid", "init's"}},
		notices: []string{"true namespace pid is left out: its first process cannot stop itself"}},
	{name: "security has none", isolation: job.Isolation{Namespaces: namespaces("net"), Private: []string{"tmp"}},
		change: func(_ *lab, s *job.Spec) { s.Slot = job.Security },
		want:   [][2]string{{"ns:net", "init's"}, {"read:/tmp/machine", "machine's"}}},

	{name: "private tmp", isolation: job.Isolation{Private: []string{"tmp"}},
		want: [][2]string{{"list:/tmp", ""}, {"mode:/tmp", "41777"}, {"kind:/tmp", "tmpfs"}, {"mode:/var/tmp", "41777"}, {"kind:/var/tmp", "tmpfs"},
			{"write:/tmp/new", "ok"}}},
	{name: "what was in the private tmp", want: [][2]string{{"list:/tmp", "machine"}}},
	{name: "private dev", isolation: job.Isolation{Private: []string{"dev"}},
		want: [][2]string{{"list:/dev", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"}, {"write:/dev/null", "ok"},
			{"chmod:/dev/null", readOnlyFS}, {"kind:/dev/pts", "devpts"}, {"list:/dev/pts", "ptmx"}, {"mode:/dev/ptmx", "20666"}, {"mode:/dev/null", "20666"},
			{"list:/dev/shm", ""}, {"mode:/dev/shm", "41777"}, {"mode:/dev/fd/3", "10600"}}},
	{name: "umask does not reach what is made", isolation: job.Isolation{Private: []string{"tmp", "dev"}},
		change: func(_ *lab, s *job.Spec) { s.Attrs.Umask = 0o077 },
		want:   [][2]string{{"mode:/tmp", "41777"}, {"mode:/dev/shm", "41777"}, {"mode:/dev/pts", "40755"}, {"write:/mnt/target/mine", "ok"}, {"mode:/mnt/target/mine", "100600"}}},

	{name: "readonly file", isolation: job.Isolation{ReadOnly: []string{"/mnt/file"}},
		want: [][2]string{{"read:/mnt/file", "plain"}, {"write:/mnt/file", readOnlyFS}, {"write:/mnt/other", "ok"}}},
	{name: "readonly directory with mounts", isolation: job.Isolation{ReadOnly: []string{"/mnt/data"}},
		want: [][2]string{{"write:/mnt/data/file", readOnlyFS}, {"write:/mnt/data/sub/file", readOnlyFS}, {"write:/mnt/target/x", "ok"}}},
	{name: "readonly mount", isolation: job.Isolation{ReadOnly: []string{"/mnt"}},
		want: [][2]string{{"write:/mnt/file", readOnlyFS}, {"write:/mnt/data/sub/file", readOnlyFS}, {"write:/tmp/x", "ok"}}},
	{name: "readonly root with places to write to", isolation: job.Isolation{ReadOnly: []string{"/"}, Private: []string{"tmp"}, Bind: bind("/mnt/data", "/mnt/data")},
		want: [][2]string{{"write:/mnt/file", readOnlyFS}, {"write:/etc/onset-test", readOnlyFS}, {"write:/tmp/x", "ok"}, {"write:/mnt/data/x", "ok"}, {"write:/mnt/data/sub/x", "ok"}}},
	{name: "readonly and missing", isolation: job.Isolation{ReadOnly: []string{"/mnt/nowhere"}},
		fails: "unable to isolate: readonly /mnt/nowhere: No such file or directory"},
	{name: "readonly and allowed to miss", isolation: job.Isolation{ReadOnly: []string{"-/mnt/nowhere", "-/mnt/file/below", "-/mnt/file"}},
		want: [][2]string{{"write:/mnt/file", readOnlyFS}}},
	{name: "a relative path", isolation: job.Isolation{ReadOnly: []string{"mnt"}}, fails: "unable to isolate: readonly mnt: Invalid argument"},

	{name: "hide", isolation: job.Isolation{Hide: []string{"/mnt/secret", "/mnt/file", "-/mnt/nowhere"}},
		want: [][2]string{{"list:/mnt/secret", ""}, {"mode:/mnt/secret", "40000"}, {"read:/mnt/file", ""}, {"mode:/mnt/file", "100000"},
			{"write:/mnt/file", readOnlyFS}, {"write:/mnt/secret/x", readOnlyFS}, {"cwd:", "/"}, {"mounts:/", "1"}, {"mounts:/mnt/file", "1"}}},
	{name: "hide from a user", isolation: job.Isolation{Hide: []string{"/mnt/secret", "/mnt/file"}},
		change: func(_ *lab, s *job.Spec) { s.Attrs.Setuid = "daemon" },
		want:   [][2]string{{"list:/mnt/secret", "permission denied"}, {"read:/mnt/file", "permission denied"}}},
	{name: "hide what is missing", isolation: job.Isolation{Hide: []string{"/mnt/nowhere"}},
		fails: "unable to isolate: hide /mnt/nowhere: No such file or directory"},
	{name: "hide all", isolation: job.Isolation{Hide: []string{"/"}}, fails: "unable to isolate: hide /: Invalid argument"},

	{name: "bind", isolation: job.Isolation{Bind: bind("/mnt/data", "/mnt/target", "/mnt/secret/file", "/mnt/file")},
		want: [][2]string{{"read:/mnt/target/file", "data"}, {"write:/mnt/target/sub/x", "ok"}, {"read:/mnt/data/sub/x", "x"}, {"read:/mnt/file", "secret"}}},
	{name: "bind read-only", isolation: job.Isolation{Bind: bind("/mnt/data", "/mnt/target"), ReadOnly: []string{"/mnt/target"}},
		want: [][2]string{{"write:/mnt/target/file", readOnlyFS}, {"write:/mnt/target/sub/x", readOnlyFS}, {"write:/mnt/data/sub/x", "ok"}}},
	{name: "bind from nowhere", isolation: job.Isolation{Bind: bind("/mnt/nowhere", "/mnt/target")},
		fails: "unable to isolate: bind /mnt/nowhere: No such file or directory"},
	{name: "bind from what may be missing", isolation: job.Isolation{Bind: bind("-/mnt/nowhere", "/mnt/target")},
		want: [][2]string{{"read:/mnt/target/file", "covered"}}},
	{name: "bind to nowhere", isolation: job.Isolation{Bind: bind("/mnt/data", "/mnt/nowhere")},
		fails: "unable to isolate: bind /mnt/nowhere: No such file or directory"},
	{name: "bind a file to a directory", isolation: job.Isolation{Bind: bind("/mnt/file", "/mnt/target")},
		fails: "unable to isolate: bind /mnt/target: Invalid argument"},

	{name: "in a chroot", isolation: job.Isolation{Bind: bind("/mnt/target", "/data"), ReadOnly: []string{"/"}, Private: []string{"dev", "tmp"},
		Namespaces: namespaces("pid")},
		change: func(_ *lab, s *job.Spec) { s.Process.Text, s.Attrs.Chroot = "/bin/probe", "/mnt/jail" },
		want: [][2]string{{"pid:", "1"}, {"processes:", "1"}, {"read:/data/file", "covered"}, {"write:/data/new", "ok"}, {"write:/new", readOnlyFS},
			{"write:/bin/new", readOnlyFS}, {"write:/dev/null", "ok"}, {"write:/tmp/new", "ok"}}},
	{name: "links in a chroot stay inside", isolation: job.Isolation{ReadOnly: []string{"/link"}},
		change: func(_ *lab, s *job.Spec) { s.Process.Text, s.Attrs.Chroot = "/bin/probe", "/mnt/jail" },
		want:   [][2]string{{"write:/data/new", readOnlyFS}, {"write:/new", "ok"}}},
	{name: "hide in a chroot", isolation: job.Isolation{Hide: []string{"/data", "/new"}},
		change: func(_ *lab, s *job.Spec) {
			s.Process.Text, s.Attrs.Chroot, s.Attrs.Chdir = "/bin/probe", "/mnt/jail", "/bin"
		},
		want: [][2]string{{"list:/data", ""}, {"read:/new", ""}, {"cwd:", "/bin"}, {"read:../new", ""}}},
	{name: "in a chroot of a session", isolation: job.Isolation{Bind: bind("/out", "/in"), Hide: []string{"/bin"}},
		change: func(_ *lab, s *job.Spec) {
			s.Process.Text, s.Root, s.Attrs.Chroot = "/in/probe", "/mnt/session", "/jail"
			unix.Link("/mnt/session/jail/bin/probe", "/mnt/session/out/probe")
		},
		want: [][2]string{{"read:/in/file", "session's"}, {"list:/bin", ""}}},
}

// userCases are those of the init of a session.
var userCases = []isolationCase{
	{name: "none", want: [][2]string{{"ns:mnt", "init's"}, {"ns:user", "init's"}, {"ids:", "4242 4343"}}},
	{name: "user", isolation: job.Isolation{Namespaces: namespaces("user")},
		want: [][2]string{{"ns:user", "own"}, {"ids:", "4242 4343"}, {"status:CapEff", "0000000000000000"}, {"status:CapPrm", "0000000000000000"},
			{"status:CapInh", "0000000000000000"}, {"status:CapAmb", "0000000000000000"}}},
	{name: "all", isolation: job.Isolation{Namespaces: namespaces("mount", "pid", "net", "uts", "ipc", "cgroup", "time")},
		want: [][2]string{{"ns:mnt", "own"}, {"ns:pid", "own"}, {"ns:net", "own"}, {"ns:uts", "own"}, {"ns:ipc", "own"}, {"ns:user", "own"},
			{"ns:cgroup", "own"}, {"ns:time", "own"}, {"ids:", "4242 4343"}, {"pid:", "1"}, {"processes:", "1"}, {"interfaces:", "lo"},
			{"local:", "connection refused"}, {"hostname:x", "operation not permitted"}, {"status:CapEff", "0000000000000000"}}},
	{name: "private", isolation: job.Isolation{Private: []string{"tmp", "dev", "network"}},
		want: [][2]string{{"list:/tmp", ""}, {"write:/tmp/x", "ok"}, {"write:/dev/null", "ok"}, {"list:/dev", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"},
			{"mode:/dev/ptmx", "20666"}, {"interfaces:", "lo"}, {"umount:/tmp", "operation not permitted"}}},
	{name: "files", isolation: job.Isolation{ReadOnly: []string{"/mnt/data", "/"}, Hide: []string{"/mnt/secret", "/mnt/file"}, Bind: bind("/mnt/data", "/mnt/target")},
		want: [][2]string{{"write:/mnt/data/sub/x", readOnlyFS}, {"write:/mnt/target/x", "ok"}, {"list:/mnt/secret", "permission denied"}, {"read:/mnt/file", "permission denied"},
			{"read:/mnt/target/x", "x"}}},
	{name: "net of another", isolation: job.Isolation{Namespaces: namespaces("net@/proc/1/ns/net")},
		fails: "unable to isolate: net /proc/1/ns/net: Permission denied"},
}
