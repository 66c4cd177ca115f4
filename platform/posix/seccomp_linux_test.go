package posix

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"onset/core/job"
)

func TestSeccomp(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, dir + "/.."} {
		os.Chmod(d, 0o755)
	}
	profile := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	full := profile("full", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`)
	noExec := profile("no-exec", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}]}`)
	killing := profile("killing", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"}]}`)
	broken := profile("broken", "{\n\t\"defaultAction\": \"SCMP_ACT_ALLOW\",\n}")
	wrong := profile("wrong", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", "raed"], "action": "SCMP_ACT_TRAP"}]}`)
	root := isolated(job.Isolation{Seccomp: full}, readStatus...)
	unshare := []string{"unshare", "-m", "true"}
	for _, c := range []struct {
		name         string
		by           starter
		user         string
		i            job.Isolation
		argv         []string
		want, reason string
		signal       syscall.Signal
	}{
		{name: "by root", by: asRoot, i: root.Isolation, argv: readStatus, want: "\nNoNewPrivs:\t0\nSeccomp:\t2\n"},
		{name: "of a user", by: asRoot, user: "daemon", i: root.Isolation, argv: readStatus, want: "\nNoNewPrivs:\t1\nSeccomp:\t2\n"},
		{name: "by a user", by: asUser, i: root.Isolation, argv: readStatus, want: "\nNoNewPrivs:\t1\nSeccomp:\t2\n"},
		{name: "of a user who may anything", by: asRoot, user: "daemon", i: job.Isolation{Seccomp: full, CapAmbient: []string{"sys_admin"}}, argv: readStatus, want: "\nNoNewPrivs:\t0\nSeccomp:\t2\n"},
		{name: "an error", by: asRoot, i: root.Isolation, argv: []string{"mkdir", dir + "/x"}, want: "No space left on device\n"},
		{name: "the default", by: asUser, i: job.Isolation{Seccomp: "@default"}, argv: []string{"sh", "-c", "uname | tr a-z A-Z"}, want: "LINUX\n"},
		{name: "what the default forbids", by: asRoot, i: job.Isolation{Seccomp: "@default"}, argv: unshare, want: "Operation not permitted\n"},
		{name: "what a capability allows", by: asRoot, i: job.Isolation{Seccomp: "@default", CapBounding: []string{"sys_admin"}}, argv: unshare, want: ""},
		{name: "killed", by: asRoot, i: job.Isolation{Seccomp: killing}, argv: []string{"uname"}, signal: syscall.SIGSYS},
		{name: "no execution", by: asRoot, i: job.Isolation{Seccomp: noExec}, argv: []string{"true"}, reason: "unable to execute: Operation not permitted"},
		{name: "no profile", by: asRoot, i: job.Isolation{Seccomp: dir + "/none"}, reason: "unable to set seccomp profile: " + dir + "/none: No such file or directory"},
		{name: "no JSON", by: asRoot, i: job.Isolation{Seccomp: broken}, reason: "unable to set seccomp profile: " + broken + ": byte 39: invalid character '}' looking for beginning of object key string"},
		{name: "no such call", by: asRoot, i: job.Isolation{Seccomp: wrong}, reason: "unable to set seccomp profile: " + wrong + `: syscalls[0].names[1]: unknown system call "raed"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := isolated(c.i, c.argv...)
			p.Setuid = c.user
			if c.argv == nil {
				p.Argv = []string{"true"}
			}
			text, reason, status := c.by.status(t, p)
			if reason != c.reason || !strings.Contains(text, c.want) || c.want == "" && text != "" {
				t.Errorf("got %q, %q, want %q, %q", text, reason, c.want, c.reason)
			}
			if signaled := status.Signaled(); signaled != (c.signal != 0) || signaled && status.Signal() != c.signal {
				t.Errorf("the status is %#x", status)
			}
		})
	}
}
