//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRun gives the shell of "make run" commands and wants nothing to be there
// after them.
func TestRun(t *testing.T) {
	t.Run("session", func(t *testing.T) { tryRun(t, "--user") })
	t.Run("process 1", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("only root can make the namespaces")
		}
		tryRun(t)
	})
}

// TestInstall wants what "make install" installs to be complete, and to work.
func TestInstall(t *testing.T) {
	dir := t.TempDir()
	root := func(path string) string { return filepath.Join(dir, path) }
	cmd := exec.Command("make", "-C", "../..", "-o", "programs", "install", "BIN="+programs, "DESTDIR="+dir, "PREFIX=/usr")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, job := range []string{"etc/init/onset-sources.conf", "usr/share/upstart/sessions/onset-sources.conf"} {
		if out, err := exec.Command(root("usr/sbin/init-checkconf"), "--noscript", root(job)).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if text, _ := os.ReadFile(root(job)); !strings.Contains(string(text), "\nexec /usr/sbin/onset-sources") {
			t.Errorf("%s starts another program than was installed, or none:\n%s", job, text)
		}
	}
	manuals, _ := filepath.Glob("../../man/*")
	for _, from := range manuals {
		name := filepath.Base(from)
		if _, err := os.Stat(root("usr/share/man/man" + name[len(name)-1:] + "/" + name)); err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(name, ".5") {
			continue
		}
		if err := syscall.Access(root("usr/sbin/"+strings.TrimSuffix(name, ".8")), 1); err != nil {
			t.Errorf("%s is of no program: %v", name, err)
		}
	}
	for _, file := range []string{"etc/dbus-1/system.d/Upstart.conf", "usr/share/bash-completion/completions/initctl", "usr/share/bash-completion/completions/stop", "var/log/upstart"} {
		if _, err := os.Stat(root(file)); err != nil {
			t.Error(err)
		}
	}
}

func tryRun(t *testing.T, options ...string) {
	tmp := t.TempDir()
	mark := "ONSET_TEST=" + tmp
	args := append(append([]string{program("run"), "--bin=" + programs, "--sources=../../conf/onset-sources.conf"}, options...), filepath.Join("..", "..", "examples"))
	cmd := exec.Command(args[0], args[1:]...)
	if os.Getuid() == 0 { // no other process has the port of the example in this network
		cmd = exec.Command("sh", append([]string{"-c", `ip link set lo up && exec "$0" "$@"`}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, mark)
	cmd.Stdin = strings.NewReader("echo the shell:\nstatus network\nstop database\ninitctl why web\n" +
		"timeout 180 sh -c 'until initctl facts | grep PORT=7878; do sleep 0.01; done'\n" +
		"bash -c 'exec 3<>/dev/tcp/127.0.0.1/7878; echo >&3; cat <&3'\n" +
		"initctl check-config && echo all can be met\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, after, _ := strings.Cut(string(out), "the shell:\n")
	for text, wanted := range map[string][]string{
		before: {"== initctl list\n", "\nweb start/running, process ", "  web           ready    while (network and database) became true\n"},
		after:  {"network start/running, process ", "database stop/waiting\n", "web rest", "\nhello, port ", "\nall can be met\n"},
	} {
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if left, _ := filepath.Glob(filepath.Join(root, fmt.Sprintf("onset-run-%d", cmd.Process.Pid))); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range processes {
		if env, _ := os.ReadFile(file); strings.Contains(string(env), mark) {
			t.Errorf("still there: %s", file)
		}
	}
}
