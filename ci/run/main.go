//go:build linux

// Command run starts init on a folder of job files, with event sources, shows what it started and
// when, and leaves the user at a shell where initctl talks to it: "make run".
//
// As root init is process 1 of namespaces of its own; otherwise it is the init
// of a session. Everything ends with the shell, also when this program is
// killed, and nothing is left behind.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	runtime.LockOSThread() // its end would be taken for this program's by init
	if len(os.Args) > 2 && os.Args[1] == "stage" {
		fmt.Fprintln(os.Stderr, "run:", stage(os.Args[2], os.Args[3:]))
		os.Exit(1)
	}
	bin := flag.String("bin", "bin", "folder of init, initctl and onset-sources")
	sources := flag.String("sources", "conf/onset-sources.conf", "job file of the event sources")
	user := flag.Bool("user", os.Getuid() != 0, "be the init of a session")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: run [OPTION]... JOBS\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*bin, *sources, flag.Arg(0), *user); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(bin, sources, jobs string, user bool) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGHUP)
	// The shell is interrupted, not what waits for it. Ignoring the signals
	// would reach the shell, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)

	m, err := start(bin, sources, jobs, user)
	if err != nil {
		return err
	}
	defer m.end()
	if err := m.show(); err != nil {
		return err
	}
	shell := m.shell()
	if err := shell.Start(); err != nil {
		return err
	}
	left := make(chan error, 1)
	go func() { left <- shell.Wait() }()
	select {
	case <-left: // its status is that of the user's last command
	case <-ended:
		shell.Process.Signal(syscall.SIGHUP)
	}
	return nil
}

// machine is an init that runs.
type machine struct {
	dir      string // of its logs, sockets and links; removed at the end
	user     bool
	messages *os.File // init's own
	group    *os.File // cgroup of a process 1, or nil
	init     *exec.Cmd
	gone     chan struct{} // closed when init has ended
	started  time.Time
	env      []string // of commands beside it
	made     bool     // stateFolder was
}

func start(bin, sources, jobs string, user bool) (*machine, error) {
	m := &machine{user: user, gone: make(chan struct{})}
	bin, err := filepath.Abs(bin)
	if err == nil {
		jobs, err = filepath.Abs(jobs)
	}
	if err == nil {
		m.dir, err = os.MkdirTemp("", "onset-run")
	}
	if err != nil {
		return nil, err
	}
	if err = m.prepare(bin, sources); err == nil {
		m.init = m.command(filepath.Join(bin, "init"), "--confdir", jobs, "--append-confdir", m.path("conf"), "--logdir", m.path("log"))
		m.started = time.Now()
		err = m.init.Start()
	}
	if err != nil {
		m.remove()
		return nil, err
	}
	go func() {
		m.init.Wait()
		close(m.gone)
	}()
	if err := m.await("init to answer", m.answers); err != nil {
		messages, _ := os.ReadFile(m.messages.Name())
		m.end()
		return nil, fmt.Errorf("%v; its messages:\n%s", err, messages)
	}
	return m, nil
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// links are the names that initctl goes by.
var links = []string{"initctl", "start", "stop", "restart", "reload", "status", "emit"}

func (m *machine) prepare(bin, sources string) error {
	for _, dir := range []string{"bin", "conf", "log", "run"} {
		if err := os.Mkdir(m.path(dir), 0o755); err != nil {
			return err
		}
	}
	job, err := os.ReadFile(sources)
	if err != nil {
		return err
	}
	job = bytes.ReplaceAll(job, []byte("\nexec "), []byte("\nexec "+bin+"/"))
	if err := os.WriteFile(m.path("conf/onset-sources.conf"), job, 0o644); err != nil {
		return err
	}
	for _, name := range links {
		if err := os.Symlink(filepath.Join(bin, "initctl"), filepath.Join(m.path("bin"), name)); err != nil {
			return err
		}
	}
	m.env = append(os.Environ(), "PATH="+m.path("bin")+":"+os.Getenv("PATH"))
	if m.messages, err = os.Create(filepath.Join(m.path("log"), "init.messages")); err != nil {
		return err
	}
	if m.user {
		m.env = append(m.env, "XDG_RUNTIME_DIR="+m.path("run"), "XDG_STATE_HOME="+m.path("run"), "UPSTART_SESSION=") // the last until it is known
		return nil
	}
	m.env = append(m.env, "UPSTART_SESSION=")
	m.made = os.Mkdir(stateFolder, 0o755) == nil
	m.group = makeGroup()
	return m.collectLog()
}

// command is init's.
func (m *machine) command(program string, args ...string) *exec.Cmd {
	if m.user {
		cmd := exec.Command(program, append(args, "--user", "--no-dbus")...)
		cmd.Env = m.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		cmd.Stdout, cmd.Stderr = m.messages, m.messages
		return cmd
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"stage", m.dir, program, "--no-dbus"}, args...)...)
	cmd.Env = []string{"TERM=" + os.Getenv("TERM")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if m.group != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(m.group.Fd())
	}
	cmd.Stderr = m.messages
	return cmd
}

// beside returns a command that runs where init does.
func (m *machine) beside(args ...string) *exec.Cmd {
	if !m.user {
		args = append([]string{"nsenter", "-m", "-p", "-n", "-i", "-u", "-t", fmt.Sprint(m.init.Process.Pid), "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = m.env
	return cmd
}

func (m *machine) initctl(args ...string) ([]byte, error) {
	return m.beside(append([]string{filepath.Join(m.path("bin"), "initctl")}, args...)...).Output()
}

// answers reports whether init can be asked, and finds out how.
func (m *machine) answers() bool {
	if m.user {
		text, err := os.ReadFile(filepath.Join(m.path("run"), "upstart", "sessions", fmt.Sprintf("%d.session", m.init.Process.Pid)))
		if err != nil || len(text) == 0 {
			return false
		}
		m.env[len(m.env)-1] = string(text[:len(text)-1])
	}
	_, err := m.initctl("version")
	return err == nil
}

const (
	patience = time.Minute
	quiet    = 2 * time.Second // without a sign of life
)

// await polls until something is true, and says what for if that takes long.
func (m *machine) await(what string, done func() bool) error {
	began, said := time.Now(), false
	for !done() {
		switch waited := time.Since(began); {
		case m.over():
			return fmt.Errorf("init ended")
		case waited > patience:
			return fmt.Errorf("waited %v in vain for %s", patience, what)
		case waited > quiet && !said:
			fmt.Println("== waiting for", what)
			said = true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (m *machine) over() bool {
	select {
	case <-m.gone:
		return true
	default:
		return false
	}
}

// shell is the user's if there is a terminal, else one that reads commands.
func (m *machine) shell() *exec.Cmd {
	args := []string{"/bin/sh"}
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		if name := os.Getenv("SHELL"); name != "" {
			args[0] = name
		}
		args = append(args, "-i")
		fmt.Printf("\nA shell beside init: try \"start hello\", \"initctl why web\", \"stop network\". Logs are in %s.\n"+
			"Everything ends with it.\n", m.path("log"))
	}
	cmd := m.beside(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// end ends init, and with it all that it started.
func (m *machine) end() {
	if m.user {
		m.init.Process.Signal(syscall.SIGTERM)
		m.await("the jobs to end", m.over)
	}
	m.init.Process.Kill()
	<-m.gone
	m.remove()
}

func (m *machine) remove() {
	os.RemoveAll(m.dir)
	if m.made {
		os.Remove(stateFolder)
	}
	if m.group != nil {
		removeGroup(m.group.Name())
	}
}
