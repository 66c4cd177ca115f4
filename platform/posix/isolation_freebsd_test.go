package posix

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// jailedPlan is a plan whose isolation is to be had in a jail.
func jailedPlan(t *testing.T, i job.Isolation, argv ...string) *Plan {
	t.Helper()
	i.Namespaces = Namespaces(&i, true)
	p := isolated(i, argv...)
	p.Jail = fmt.Sprintf("onset-test-%d", os.Getpid())
	t.Cleanup(func() {
		if jid, _ := FindJail(p.Jail); jid != 0 {
			t.Errorf("the jail is left")
			RemoveJail(jid)
		}
		RemoveTree(p.Jail)
		for _, name := range Trees() {
			t.Errorf("mounts of %s are left", name)
		}
	})
	return p
}

func kinds(names ...string) (i job.Isolation) {
	for _, name := range names {
		kind, optional := strings.CutPrefix(name, "optional ")
		i.Namespaces = append(i.Namespaces, job.Namespace{Kind: kind, Optional: optional})
	}
	return i
}

// orNone is a program for a plan that is not to get as far.
func orNone(argv []string) []string {
	if len(argv) == 0 {
		return []string{"/none"}
	}
	return argv
}

// TestJails sees from the inside what namespaces become.
func TestJails(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const alone = "lo0 true [127.0.0.1/8 ::1/128 fe80::1/64]"
	for _, c := range []struct {
		name   string
		i      job.Isolation
		argv   []string
		want   string
		reason string
	}{
		{name: "pid", i: kinds("pid"), argv: probing("jail"), want: "1"},
		{name: "none", argv: probing("jail"), want: "0"},
		{name: "mount nothing", i: kinds("mount"), argv: probing("mount", "/mnt"), want: "Operation not permitted"},
		{name: "network of the machine", i: kinds("pid"), argv: probing("interfaces"), want: probeInterfaces(nil)},
		{name: "network", i: kinds("net"), argv: probing("interfaces"), want: alone},
		{name: "private network", i: job.Isolation{Private: []string{"network"}}, argv: probing("interfaces"), want: alone},
		{name: "name of the machine", i: kinds("uts"), argv: probing("hostname"), want: host},
		{name: "own name", i: kinds("uts"), argv: probing("hostname", "inner"), want: "inner"},
		{name: "no such kind", i: kinds("user"), reason: "unable to isolate: user: Operation not supported"},
		{name: "no network of a path", i: job.Isolation{Namespaces: []job.Namespace{{Kind: "net", Path: "/x"}}}, reason: "unable to isolate: net /x: Operation not supported"},
		{name: "optional", i: kinds("optional time", "ipc"), argv: probing("jail"), want: "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := jailedPlan(t, c.i, orNone(c.argv)...)
			text, reason := asRoot.run(t, p)
			if c.want == alone { // there are others that nobody made, and are down
				text, _, _ = strings.Cut(text, "\n")
			}
			if text != c.want || reason != c.reason {
				t.Errorf("got %q, %q, want %q, %q", text, reason, c.want, c.reason)
			}
		})
	}
	if now, _ := os.Hostname(); now != host {
		t.Errorf("the machine is called %q now", now)
	}
}

// TestIPC has a System V segment of the machine. Its key counts in no jail.
func TestIPC(t *testing.T) {
	const private, create, remove = 0, 0o1000, 0
	id, _, errno := unix.Syscall(unix.SYS_SHMGET, private, 4096, create|0o600)
	if errno != 0 {
		t.Skip("no System V memory: " + errno.Error())
	}
	defer unix.Syscall(unix.SYS_SHMCTL, id, remove, 0)
	for kind, want := range map[string]string{"pid": "attached", "ipc": "Invalid argument"} {
		if text, reason := asRoot.run(t, jailedPlan(t, kinds(kind), probing("shm", fmt.Sprint(id))...)); text != want || reason != "" {
			t.Errorf("%s: %q, %q", kind, text, reason)
		}
	}
}

// TestTrees sees from the inside what the job's files are.
func TestTrees(t *testing.T) {
	dir := ownRoot(t)
	for _, d := range []string{"secret/deep", "empty", "open"} {
		if err := os.MkdirAll(dir+"/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("secret/file")
	write("tmp")
	if err := inTurn(
		func() error { return os.Symlink(dir+"/secret", dir+"/link") },
		func() error { return os.Symlink("/dev", dir+"/devices") },
		func() error { return os.Chmod(dir+"/open", 0o777) },
		func() error { return os.Mkdir(dir+"/open/sub", 0o755) }); err != nil {
		t.Fatal(err)
	}
	bind := func(from, to string) []job.Setting { return []job.Setting{{Key: from, Value: to}} }
	readOnly, hidden := "Read-only file system", "Permission denied"
	for _, c := range []struct {
		name   string
		i      job.Isolation
		argv   []string
		user   string
		want   string
		reason string
	}{
		{name: "bind", i: job.Isolation{Bind: bind(dir+"/secret", dir+"/empty")}, argv: probing("read", dir+"/empty/file"), want: "secret/file"},
		{name: "bind is written through", i: job.Isolation{Bind: bind(dir+"/secret", dir+"/empty")}, argv: probing("write", dir+"/empty/new"), want: "written"},
		{name: "bind of mounts behind a link", i: job.Isolation{Bind: bind(dir+"/devices", dir+"/empty")}, argv: probing("write", dir+"/empty/null"), want: "written"},
		{name: "bind of what is not there", i: job.Isolation{Bind: bind(dir+"/none", dir+"/empty")}, reason: "unable to isolate: bind " + dir + "/none: No such file or directory"},
		{name: "optional bind", i: job.Isolation{Bind: bind("-"+dir+"/none", dir+"/empty")}, argv: probing("list", dir+"/empty"), want: ""},
		{name: "bind to what is not there", i: job.Isolation{Bind: bind(dir+"/secret", dir+"/none")}, reason: "unable to isolate: bind " + dir + "/none: No such file or directory"},
		{name: "private tmp", i: job.Isolation{Private: []string{"tmp"}}, argv: probing("list", "/tmp"), want: ""},
		{name: "private tmp is for all", i: job.Isolation{Private: []string{"tmp"}}, argv: probing("write", "/tmp/x"), user: "daemon", want: "written"},
		{name: "readonly", i: job.Isolation{ReadOnly: []string{dir + "/secret"}}, argv: probing("write", dir+"/secret/deep/x"), want: readOnly},
		{name: "beside readonly", i: job.Isolation{ReadOnly: []string{dir + "/secret"}}, argv: probing("write", dir+"/x"), want: "written"},
		{name: "readonly root", i: job.Isolation{ReadOnly: []string{"/"}}, argv: probing("write", dir+"/x"), want: readOnly},
		{name: "readonly root with tmp", i: job.Isolation{ReadOnly: []string{"/"}, Private: []string{"tmp"}}, argv: probing("write", "/tmp/x"), want: "written"},
		{name: "readonly root with bind", i: job.Isolation{ReadOnly: []string{"/"}, Bind: bind(dir+"/secret", dir+"/secret")}, argv: probing("write", dir+"/secret/x"), want: "written"},
		{name: "readonly root has devices", i: job.Isolation{ReadOnly: []string{"/"}}, argv: probing("write", "/dev/null"), want: "written"},
		{name: "readonly of what is not there", i: job.Isolation{ReadOnly: []string{dir + "/none"}}, reason: "unable to isolate: readonly " + dir + "/none: No such file or directory"},
		{name: "optional readonly", i: job.Isolation{ReadOnly: []string{"-" + dir + "/none"}}, argv: probing("jail"), want: "1"},
		{name: "hide", i: job.Isolation{Hide: []string{dir + "/secret"}}, argv: probing("mode", dir+"/secret"), want: "d---------"},
		{name: "hide from a user", i: job.Isolation{Hide: []string{dir + "/secret"}}, argv: probing("read", dir+"/secret/file"), user: "daemon", want: hidden},
		{name: "hide below hide", i: job.Isolation{Hide: []string{dir + "/secret", dir + "/secret/deep"}}, reason: "unable to isolate: hide " + dir + "/secret/deep: No such file or directory"},
		{name: "through a link", i: job.Isolation{Hide: []string{dir + "/link"}}, argv: probing("mode", dir+"/secret"), want: "d---------"},
		{name: "where others may write", i: job.Isolation{Hide: []string{dir + "/open/sub"}}, reason: "unable to isolate: hide " + dir + "/open/sub: others than root can change the path"},
		{name: "the root cannot be hidden", i: job.Isolation{Hide: []string{"/"}}, reason: "unable to isolate: hide /: Invalid argument"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := jailedPlan(t, c.i, orNone(c.argv)...)
			p.Setuid = c.user
			if text, reason := asRoot.run(t, p); text != c.want || reason != c.reason {
				t.Errorf("got %q, %q, want %q, %q", text, reason, c.want, c.reason)
			}
		})
	}
	if text, err := os.ReadFile(dir + "/secret/file"); err != nil || string(text) != "secret/file" {
		t.Errorf("the machine reads %q, %v", text, err)
	}
}

// TestHiddenFile needs nullfs of single files, which FreeBSD has since 14.
func TestHiddenFile(t *testing.T) {
	dir := ownRoot(t)
	if err := os.WriteFile(dir+"/file", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, reason := asRoot.run(t, jailedPlan(t, job.Isolation{Hide: []string{dir + "/file"}}, probing("read", dir+"/file")...))
	if old := "unable to isolate: hide " + dir + "/file: Not a directory"; reason != old && (reason != "" || text != "") {
		t.Errorf("got %q, %q", text, reason)
	}
}

func TestPrivateDev(t *testing.T) {
	text, reason := asRoot.run(t, jailedPlan(t, job.Isolation{Private: []string{"dev"}}, probing("devices")...))
	if reason != "" || !strings.HasSuffix(text, " <nil>") {
		t.Fatalf("got %q, %q", text, reason)
	}
	for _, name := range strings.Fields(text) {
		if name == "mem" || name == "console" || name == "devctl" {
			t.Errorf("there is %s: %s", name, text)
		}
	}
	for _, name := range []string{"null", "zero", "random", "fd", "stdin"} {
		if !strings.Contains(" "+text, " "+name+" ") {
			t.Errorf("there is no %s: %s", name, text)
		}
	}
}

// TestJailedRoot has a root of its own in the jail.
func TestJailedRoot(t *testing.T) {
	root := ownRoot(t)
	text, err := os.ReadFile(testBinary)
	if err == nil {
		err = os.WriteFile(root+"/probe", text, 0o755)
	}
	if err == nil {
		err = os.Mkdir(root+"/tmp", 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		i    job.Isolation
		want string
	}{
		{name: "jail", i: kinds("pid"), want: "probe tmp"},
		{name: "tree", i: job.Isolation{Private: []string{"tmp"}}, want: "probe tmp"},
	} {
		p := jailedPlan(t, c.i, "/probe", probeArg, "list", "/")
		p.Chroot = root
		if text, reason := asRoot.run(t, p); text != c.want || reason != "" {
			t.Errorf("%s: got %q, %q", c.name, text, reason)
		}
		RemoveTree(p.Jail)
		p = jailedPlan(t, c.i, "/probe", probeArg, "write", "/tmp/"+c.name)
		p.Chroot = root
		if text, reason := asRoot.run(t, p); text != "written" || reason != "" {
			t.Errorf("%s: got %q, %q", c.name, text, reason)
		}
	}
	if _, err := os.Stat(root + "/tmp/jail"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(root + "/tmp/tree"); !os.IsNotExist(err) {
		t.Errorf("what is private is seen: %v", err)
	}
}

func TestJailNeedsRoot(t *testing.T) {
	p := jailedPlan(t, kinds("ipc"), probing("jail")...)
	if _, reason := asUser.run(t, p); reason != "unable to isolate: ipc: Operation not permitted" {
		t.Errorf("got %q", reason)
	}
	p = jailedPlan(t, kinds("optional ipc"), probing("jail")...)
	if text, reason := asUser.run(t, p); text != "0" || reason != "" {
		t.Errorf("optional: got %q, %q", text, reason)
	}
}

// TestScheduling sees what the program of a plan has of it.
func TestScheduling(t *testing.T) {
	for _, c := range []struct {
		i            job.Isolation
		want, reason string
	}{
		{i: job.Isolation{CPUAffinity: "0"}, want: "0 1 rtprio 3 "},
		{i: job.Isolation{CPUAffinity: "200"}, reason: "unable to set scheduling: Invalid argument"},
		{i: job.Isolation{CPUAffinity: "1-0"}, reason: "unable to set scheduling: Invalid argument"},
		{i: job.Isolation{Sched: "idle"}, want: "0 1 rtprio 4 31 "},
		{i: job.Isolation{Sched: "fifo", SchedPrio: 5}, want: "0 1 rtprio 10 26 policy 1"},
		{i: job.Isolation{Sched: "rr", SchedPrio: 99}, reason: "unable to set scheduling: Invalid argument"},
		{i: job.Isolation{Sched: "batch"}, reason: "unable to set scheduling: Operation not supported"},
		{i: job.Isolation{IOPrio: "idle"}, reason: "unable to set scheduling: Operation not supported"},
	} {
		if text, reason := asRoot.run(t, isolated(c.i, probing("processor")...)); !strings.HasPrefix(text, c.want) || reason != c.reason {
			t.Errorf("%+v: got %q, %q, want %q, %q", c.i, text, reason, c.want, c.reason)
		}
	}
}

// TestRefusals are what this kernel has nothing like.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		i      job.Isolation
		reason string
	}{
		{i: job.Isolation{Seccomp: "@default"}, reason: "unable to set seccomp profile: Function not implemented"},
		{i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: "/etc/passwd"}}}, reason: "unable to pass credentials: Function not implemented"},
		{i: job.Isolation{CapBounding: []string{"chown"}}, reason: "unable to set capabilities: Function not implemented"},
		{i: job.Isolation{CapAmbient: []string{"kill"}}, reason: "unable to set capabilities: Function not implemented"},
	} {
		if _, reason := asRoot.run(t, isolated(c.i, probing("jail")...)); reason != c.reason {
			t.Errorf("%+v: got %q", c.i, reason)
		}
	}
	if _, err := os.Stat(credentialsDir); !os.IsNotExist(err) {
		t.Errorf("there is a place for credentials: %v", err)
	}
	i := job.Isolation{NoNewPrivs: true}
	want := map[bool]string{false: "unable to set no new privileges: Operation not supported"}[atLeast(1400026)]
	if _, reason := asRoot.run(t, isolated(i, probing("jail")...)); reason != want {
		t.Errorf("no new privileges: %q", reason)
	}
}

// atLeast reports whether the kernel is of a version (kern.osreldate) or later.
func atLeast(version uint32) bool {
	is, err := unix.SysctlUint32("kern.osreldate")
	return err == nil && is >= version
}

// TestGroups has the effective group first, where this kernel keeps it.
func TestGroups(t *testing.T) {
	for _, c := range []struct {
		user, group string
		setgroups   []string
		want        string
	}{
		{user: "daemon", want: "1 1 [1]"},
		{user: "daemon", group: "operator", want: "1 5 [5 1]"},
		{group: "daemon", want: "0 1 [1"},
		{user: "daemon", setgroups: []string{"operator", "1"}, want: "1 1 [1 5]"},
	} {
		p := isolated(job.Isolation{Setgroups: c.setgroups}, probing("groups")...)
		p.Setuid, p.Setgid = c.user, c.group
		if text, reason := asRoot.run(t, p); !strings.HasPrefix(text, c.want) || reason != "" {
			t.Errorf("%+v: got %q, %q", c, text, reason)
		}
	}
}

// TestOOM protects from the want of memory, or says that it cannot.
func TestOOM(t *testing.T) {
	for score, want := range map[int]string{0: "false", -1000: "true", -500: "false", 500: "false"} {
		p := isolated(job.Isolation{}, probing("protected")...)
		p.OOM = score
		if text, reason := asRoot.run(t, p); text != want || reason != "" {
			t.Errorf("%d: got %q, %q", score, text, reason)
		}
	}
	p := isolated(job.Isolation{}, probing("protected")...)
	p.OOM = -1000
	if _, reason := asUser.run(t, p); reason != "unable to set oom adjustment: Operation not permitted" {
		t.Errorf("a user gets %q", reason)
	}
}

// TestHiddenTree is unmounted though something was mounted over its place.
func TestHiddenTree(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	p := jailedPlan(t, job.Isolation{Private: []string{"tmp"}}, probing("jail")...)
	if text, reason := asRoot.run(t, p); text != "1" || reason != "" {
		t.Fatalf("got %q, %q", text, reason)
	}
	if err := Nmount("tmpfs", "/var/db", 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount("/var/db", unix.MNT_FORCE)
	if err := RemoveTree(p.Jail); err != nil {
		t.Error(err)
	}
	if left := Trees(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
