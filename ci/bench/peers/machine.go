//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine is an init at work in its namespaces.
type machine struct {
	cmd     *exec.Cmd
	root    string
	shared  string // the folder that services see as /bench
	group   string // cgroup
	started int64  // monotonic ns of its exec
	up      *os.File
	output  bytes.Buffer
}

// report is what helpers/up.c writes.
type report struct {
	Time int64
	PID  int64
}

// accounts are files of the machine's etc that every root has. They are older
// than the inits, as on a machine.
var accounts = []string{"passwd", "group", "nsswitch.conf"}

// start lays out an init with a load and starts it.
func (b *bench) start(p peer, l load) (*machine, error) {
	root, err := os.MkdirTemp(b.dir, "root-")
	if err != nil {
		return nil, err
	}
	os.Chmod(root, 0o755)
	m := &machine{root: root, shared: b.shared}
	for _, dir := range []string{"etc", "var/log", "tmp", "root"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return nil, err
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		m.link("usr/"+link, link)
	}
	m.link("/run", "var/run")
	for _, name := range accounts {
		m.link("/bench/"+name, "etc/"+name)
	}
	m.write("etc/machine-id", strings.Repeat("0123", 8)+"\n")
	err = p.lay(m, l)
	if err == nil {
		err = m.boot(boot{Root: root, Usr: b.usr, Shared: b.shared, Argv: p.argv, Env: p.env})
	}
	if err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// write makes a file of the root; an error shows when the init misses it.
func (m *machine) write(name, text string) {
	path := filepath.Join(m.root, name)
	os.MkdirAll(filepath.Dir(path), 0o755)
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	os.WriteFile(path, []byte(text), mode)
}

func (m *machine) link(target, name string) {
	path := filepath.Join(m.root, name)
	os.MkdirAll(filepath.Dir(path), 0o755)
	os.Symlink(target, path)
}

func (m *machine) boot(b boot) error {
	var err error
	os.Remove(filepath.Join(m.shared, "up.fifo"))
	if err = unix.Mkfifo(filepath.Join(m.shared, "up.fifo"), 0o666); err != nil {
		return err
	}
	if m.up, err = os.OpenFile(filepath.Join(m.shared, "up.fifo"), os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		return err
	}
	if m.group, err = os.MkdirTemp(groups(), "onset-peers-"); err != nil {
		return err
	}
	group, err := os.Open(m.group)
	if err != nil {
		return err
	}
	defer group.Close()
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	m.cmd = exec.Command("/proc/self/exe", stageWord, string(text))
	m.cmd.Stdout, m.cmd.Stderr = &m.output, &m.output
	m.cmd.ExtraFiles = []*os.File{w}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	err = m.cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		m.cmd.Wait()
		m.cmd = nil
		return fmt.Errorf("cannot start process 1: %s", m.output.String())
	}
	m.started, err = strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return err
}

// groups is where cgroup v2 is mounted, below which each init gets a group.
func groups() string {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
			return dir
		}
	}
	return "/sys/fs/cgroup"
}

// reports waits for n reports of services.
func (m *machine) reports(n int, limit time.Duration) ([]report, error) {
	m.up.SetReadDeadline(time.Now().Add(limit))
	got := make([]report, n)
	for i := range got {
		if err := binary.Read(m.up, binary.NativeEndian, &got[i]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("%d of %d services up after %v", i, n, limit)
			}
			return nil, err
		}
	}
	return got, nil
}

// pids are the processes of the namespace.
func (m *machine) pids() []int {
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.cmd.Process.Pid))
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if ns, _ := os.Readlink("/proc/" + e.Name() + "/ns/pid"); ns == own && own != "" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// pss is the memory of the init's own processes in MB: all but the services.
func (m *machine) pss() (float64, error) {
	total := 0.0
	for _, pid := range m.pids() {
		if m.isService(pid) {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it ended
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
				kB, err := strconv.ParseFloat(f[1], 64)
				if err != nil {
					return 0, err
				}
				total += kB / 1024
			}
		}
	}
	return total, nil
}

func (m *machine) isService(pid int) bool {
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return filepath.Base(exe) == "up"
}

// stop ends the namespace and leaves nothing of it.
func (m *machine) stop() {
	if m.cmd != nil {
		m.cmd.Process.Kill()
		m.cmd.Wait()
	}
	if m.up != nil {
		m.up.Close()
	}
	if m.group != "" {
		removeGroup(m.group)
	}
	os.RemoveAll(m.root)
}

func removeGroup(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeGroup(filepath.Join(dir, e.Name()))
		}
	}
	unix.Rmdir(dir)
}

// enter runs helpers/enter.c: the nanoseconds it prints.
func (m *machine) enter(count int, commands ...[]string) ([]int64, error) {
	args := []string{strconv.Itoa(m.cmd.Process.Pid), strconv.Itoa(count)}
	for i, c := range commands {
		if i > 0 {
			args = append(args, "--")
		}
		args = append(args, c...)
	}
	var errs bytes.Buffer
	cmd := exec.Command(filepath.Join(m.shared, "enter"), args...)
	cmd.Env = []string{"PATH=/usr/bin:/usr/sbin:/bin:/sbin"}
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w %s", strings.Join(commands[0], " "), err, errs.String())
	}
	var values []int64
	for _, field := range strings.Fields(string(out)) {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
