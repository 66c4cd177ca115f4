package linux

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform/seccomp"
)

func init() {
	probes["env"] = func(name string) string { return os.Getenv(name) }
}

func secret(name, path string) []job.Setting { return []job.Setting{{Key: name, Value: path}} }

// privilegeCases are of privileges beside the rest of isolation; platform/posix
// tests each alone.
var privilegeCases = []isolationCase{
	{name: "all at once", isolation: job.Isolation{
		Namespaces: namespaces("pid", "net", "uts", "ipc", "cgroup"), Private: []string{"tmp", "dev"}, ReadOnly: []string{"/"}, Hide: []string{"/mnt/secret"},
		CapBounding: []string{"CAP_KILL", "chown"}, CapAmbient: []string{"kill"}, NoNewPrivs: true, Seccomp: "@default", Setgroups: []string{"5", "tty", "4242"},
		Credentials: secret("k", "/mnt/secret/file"), EnvFiles: []job.EnvFile{{Path: "/mnt/secret/vars"}}, Sched: "batch", IOPrio: "idle", CPUAffinity: "0"},
		change: func(_ *lab, s *job.Spec) { s.Attrs.Setuid = "daemon" },
		want: [][2]string{{"pid:", "1"}, {"ids:", "1 1"}, {"status:Groups", "5 5 4242 "}, {"status:CapBnd", "0000000000000021"}, {"status:CapEff", "0000000000000020"},
			{"status:CapAmb", "0000000000000020"}, {"status:NoNewPrivs", "1"}, {"status:Seccomp", "2"}, {"status:Cpus_allowed_list", "0"},
			{"list:/mnt/secret", "permission denied"}, {"env:CREDENTIALS_DIRECTORY", "/run/credentials"}, {"read:/run/credentials/k", "secret"},
			{"write:/run/credentials/x", readOnlyFS}, {"write:/run/x", readOnlyFS}, {"env:FROM", "a file"}, {"umount:/tmp", "operation not permitted"}}},
	{name: "a user namespace", isolation: job.Isolation{Namespaces: namespaces("user"), CapBounding: []string{"kill"}, Seccomp: "@default", Credentials: secret("k", "/mnt/secret/file")},
		want: [][2]string{{"ns:user", "own"}, {"status:CapBnd", "0000000000000020"}, {"status:CapEff", "0000000000000020"}, {"status:Seccomp", "2"}, {"read:/run/credentials/k", "secret"}}},
	{name: "gone with the job", want: [][2]string{{"list:/run/credentials", ""}, {"env:CREDENTIALS_DIRECTORY", ""}}},
	{name: "traced", isolation: job.Isolation{CapBounding: []string{"kill"}, Seccomp: "@default", NoNewPrivs: true, Credentials: secret("k", "/mnt/secret/file")},
		change: func(_ *lab, s *job.Spec) {
			runtime.LockOSThread() // who traces is a thread
			s.Attrs.Setuid, s.Expect.Kind = "daemon", job.ExpectFork
		},
		want: [][2]string{{"ids:", "1 1"}, {"status:Seccomp", "2"}, {"status:CapBnd", "0000000000000020"}, {"read:/run/credentials/k", "secret"}}},
	{name: "no privileges in pre-start", isolation: job.Isolation{CapBounding: []string{"kill"}, Seccomp: "@default"},
		change: func(_ *lab, s *job.Spec) { s.Slot = job.PreStart },
		want:   [][2]string{{"status:CapBnd", "0000000000000020"}, {"status:Seccomp", "2"}}},
}

var userPrivilegeCases = []isolationCase{
	{name: "nothing that needs privileges", isolation: job.Isolation{NoNewPrivs: true, Seccomp: "@default", EnvFiles: []job.EnvFile{{Path: "/mnt/open-vars"}}},
		want: [][2]string{{"status:NoNewPrivs", "1"}, {"status:Seccomp", "2"}, {"env:FROM", "a file"}, {"ns:user", "init's"}}},
	{name: "a credential", isolation: job.Isolation{Credentials: secret("k", "/mnt/file")},
		change: func(_ *lab, s *job.Spec) { s.Env = append(s.Env, "XDG_RUNTIME_DIR=/mnt/target") },
		want: [][2]string{{"ns:user", "own"}, {"env:CREDENTIALS_DIRECTORY", "/mnt/target/credentials"}, {"read:/mnt/target/credentials/k", "plain"},
			{"mode:/mnt/target/credentials/k", "100400"}, {"ids:", "4242 4343"}}},
	{name: "no place for a credential", isolation: job.Isolation{Credentials: secret("k", "/mnt/file")}, fails: "unable to pass credentials: Permission denied"},
	{name: "a credential that is another's", isolation: job.Isolation{Credentials: secret("k", "/mnt/secret/vars")}, fails: "unable to pass credentials: /mnt/secret/vars: Permission denied"},
	{name: "capabilities of a user namespace", isolation: job.Isolation{Namespaces: namespaces("user", "net"), CapBounding: []string{"net_admin", "kill"}, CapAmbient: []string{"net_admin"}},
		want: [][2]string{{"status:CapBnd", "0000000000001020"}, {"status:CapEff", "0000000000001000"}, {"status:CapAmb", "0000000000001000"}}},
	{name: "capabilities", isolation: job.Isolation{CapAmbient: []string{"net_admin"}}, fails: "unable to set capabilities: init itself does not have cap_net_admin"},
	{name: "groups", isolation: job.Isolation{Setgroups: []string{"4343"}}, fails: "unable to initgroups: Operation not permitted"},
}

func TestPrivileges(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	preparePrivileges(t)
	newLab(t, "").runAll(t, privilegeCases)
}

func TestPrivilegesOfUser(t *testing.T) {
	if os.Getenv("ONSET_USER_RUN") != "" {
		newLab(t, "").runAll(t, userPrivilegeCases)
		return
	}
	if !inNamespace(t) {
		return
	}
	preparePrivileges(t)
	runAsUser(t)
}

// TestFindWithVariablesOfAFile looks for a process by what init gave it.
func TestFindWithVariablesOfAFile(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	preparePrivileges(t)
	l := newLab(t, "")
	s := l.spec("sleep 1000", &job.Isolation{EnvFiles: []job.EnvFile{{Path: "/mnt/open-vars"}}})
	s.Env = append(s.Env, "UPSTART_JOB=this")
	pid, reason := l.start(s)
	if reason != "" {
		t.Fatal(reason)
	}
	unknown := func(int) bool { return false }
	if found := l.procs.Find(99, s, unknown); found.PID != pid {
		t.Errorf("found %+v, want %d", found, pid)
	}
	s.Env = append(s.Env[:len(s.Env)-1:len(s.Env)-1], "UPSTART_JOB=other")
	if found := l.procs.Find(99, s, unknown); found.PID != 0 {
		t.Errorf("found %+v for another job", found)
	}
	unix.Kill(pid, unix.SIGKILL)
	l.ended(pid)
}

// TestPrivilegesRefused has a kernel, or a container, that can none of it.
func TestPrivilegesRefused(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	preparePrivileges(t)
	lacking(t, `
		{"names": ["seccomp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
		{"names": ["prctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 47, "op": "SCMP_CMP_EQ"}]},
		{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 19, "args": [{"index": 3, "value": 14, "op": "SCMP_CMP_EQ"}]}`)
	newLab(t, "").runAll(t, []isolationCase{
		{name: "seccomp", isolation: job.Isolation{Seccomp: "@default"}, fails: "unable to set seccomp profile: Function not implemented"},
		{name: "no new privileges", isolation: job.Isolation{NoNewPrivs: true}, fails: "unable to set no new privileges: Invalid argument"},
		{name: "ambient", isolation: job.Isolation{CapAmbient: []string{"kill"}}, fails: "unable to set capabilities: Invalid argument"},
		{name: "credential", isolation: job.Isolation{Credentials: secret("k", "/mnt/file")}, fails: "unable to pass credentials: No such device"},
		{name: "bounding", isolation: job.Isolation{CapBounding: []string{"kill"}}, want: [][2]string{{"status:CapBnd", "0000000000000020"}}},
	})
}

// lacking takes system calls away from this process for good.
func lacking(t *testing.T, rules string) {
	t.Helper()
	f, err := seccomp.Compile(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [`+rules+`]}`, seccomp.Machine{Arch: runtime.GOARCH})
	if err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(f.Program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&f.Program[0]))}
	if _, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Skip("no seccomp filter here: " + errno.Error())
	}
}

func preparePrivileges(t *testing.T) {
	prepareTree(t)
	mustMount(t, "tmpfs", "/run", 0)
	os.Chmod("/run", 0o755)
	for file, mode := range map[string]os.FileMode{"/mnt/secret/vars": 0o600, "/mnt/open-vars": 0o644} {
		if err := os.WriteFile(file, []byte("# variables\nFROM='a file'\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
}
