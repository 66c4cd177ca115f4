package posix

import (
	"os"
	"testing"

	"onset/core/job"
)

func TestEnvFilesOfAJob(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, dir + "/.."} {
		os.Chmod(d, 0o755)
	}
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	first := write("first", "A=file\nB=first\nUPSTART_JOB=other\nNOTIFY_SOCKET=/x\n", 0o644)
	second := write("second", "B=second\nC='a b'\n", 0o600)
	bad := write("bad", "A=1\n\nsecret\n", 0o644)
	big := write("big", string(make([]byte, maxEnvFile+1)), 0o644)
	write("onset-test-program", "#!/bin/sh\necho found\n", 0o755)
	path := write("path", "PATH="+dir+"\n", 0o644)
	files := func(paths ...string) job.Isolation {
		var i job.Isolation
		for _, p := range paths {
			i.EnvFiles = append(i.EnvFiles, job.EnvFile{Path: p})
		}
		return i
	}
	for _, c := range []struct {
		name         string
		by           starter
		i            job.Isolation
		argv         []string
		want, reason string
	}{
		{name: "two files", by: asRoot, i: files(first, second), want: "A=file\nUPSTART_JOB=test\nB=second\nC=a b\n"},
		{name: "one that is not there", by: asRoot, i: files(dir + "/none"), reason: "unable to read environment file: " + dir + "/none: No such file or directory"},
		{name: "one that need not be there", by: asRoot, i: job.Isolation{EnvFiles: []job.EnvFile{{Path: dir + "/none", Optional: true}, {Path: second}}},
			want: "A=job\nUPSTART_JOB=test\nB=second\nC=a b\n"},
		{name: "a bad optional one", by: asRoot, i: job.Isolation{EnvFiles: []job.EnvFile{{Path: bad, Optional: true}}},
			reason: "unable to read environment file: " + bad + ":3: no ="},
		{name: "too large", by: asRoot, i: files(big), reason: "unable to read environment file: " + big + ": File too large"},
		{name: "a directory", by: asRoot, i: files(dir), reason: "unable to read environment file: " + dir + ": Is a directory"},
		{name: "as a user", by: asUser, i: files(second), reason: "unable to read environment file: " + second + ": Permission denied"},
		{name: "the path", by: asUser, i: files(path), argv: []string{"onset-test-program"}, want: "found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := isolated(c.i, "/usr/bin/env")
			if c.argv != nil {
				p.Argv = c.argv
			}
			p.Env = []string{"A=job", "UPSTART_JOB=test"}
			text, reason := c.by.run(t, p)
			if text != c.want || reason != c.reason {
				t.Errorf("got %q, %q, want %q, %q", text, reason, c.want, c.reason)
			}
		})
	}
}

// TestEnvFileOfASession finds it in the session's root.
func TestEnvFileOfASession(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(root+"/vars", []byte("=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := isolated(job.Isolation{EnvFiles: []job.EnvFile{{Path: "/vars"}}}, "/x")
	p.Root = root
	if _, reason := asRoot.run(t, p); reason != "unable to read environment file: /vars:1: illegal name of a variable" {
		t.Errorf("the reason is %q", reason)
	}
}
