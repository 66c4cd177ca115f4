package linux

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"onset/core/job"
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
	run := exec.Command("/mnt/probe", "-test.run=^"+t.Name()+"$", "-test.v="+verbose(), "-test.timeout=2m")
	run.Env = []string{"ONSET_USER_RUN=1", "PATH=" + os.Getenv("PATH")}
	run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4343}}
	run.Dir = "/"
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("as a user: %v\n%s", err, out)
	}
	t.Logf("%s", out)
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
