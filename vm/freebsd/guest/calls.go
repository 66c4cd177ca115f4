//go:build freebsd

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

const statusCommand = "__status" // N: what a call returned

// call carries out what the interpreter would do by a goroutine or not at all.
// It returns what is left to do for it.
func (s *sh) call(ctx context.Context, args []string) ([]string, error) {
	if trap := s.trapped(); trap != "" {
		return []string{"eval", trap + "\n" + quoteAll(args)}, nil
	}
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case "exec":
		if len(args) > 1 {
			err := s.replace(hc, args[1:])
			fmt.Fprintf(hc.Stderr, "sh: exec: %s: %v\n", args[1], err)
			return []string{"exit", "127"}, nil
		}
	case startCommand:
		source := args[1]
		if len(args) > 2 && s.isProgram(hc, args[2]) {
			source = "exec " + source // one fork, as with other shells
		}
		if err := s.background(hc, source); err != nil {
			return nil, err
		}
		return []string{"eval", lastVariable + "=" + strconv.Itoa(s.last)}, nil
	case subshellCommand:
		cmd := s.child(hc, args[1])
		return status(cmd.Run())
	case closeCommand:
		fd, _ := strconv.Atoi(args[1])
		unix.Close(fd)
		return []string{"true"}, nil
	case "wait":
		return s.wait(args[1:])
	case "kill":
		if code := killTool(args[1:]); code != 0 {
			return []string{statusCommand, strconv.Itoa(code)}, nil
		}
		return []string{"true"}, nil
	case "trap":
		return s.trap(args), nil
	case "help": // is initctl's
		if path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0]); err == nil {
			args[0] = path
		}
	case "umask":
		if len(args) > 1 {
			mask, _ := strconv.ParseInt(args[1], 8, 32)
			syscall.Umask(int(mask))
			return []string{"true"}, nil
		}
	case "echo": // writes a line at once, as many may append to a file
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			return []string{"echo", "-n", strings.Join(args[1:], " ") + "\n"}, nil
		}
	case "ulimit":
		return status(ulimit(args[1:]))
	}
	return args, nil
}

// ulimit is ulimit [-S] -n NUMBER.
func ulimit(args []string) error {
	set, _ := flags(args, "n")
	number, err := strconv.ParseInt(set['n'], 10, 64)
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = number
	if set['S'] == "" {
		limit.Max = number
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// isProgram says whether a word names neither a function nor what the shell
// does itself.
func (s *sh) isProgram(hc interp.HandlerContext, name string) bool {
	if _, err := interp.LookPathDir(hc.Dir, hc.Env, name); err != nil || interp.IsBuiltin(name) || name == "kill" {
		return false
	}
	return s.runner.Funcs[name] == nil
}

// exec runs a program, with what is open above the three descriptors.
func (s *sh) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	if args[0] == statusCommand {
		code, _ := strconv.Atoi(args[1])
		return interp.ExitStatus(code)
	}
	path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		fmt.Fprintf(hc.Stderr, "sh: %s: not found\n", args[0])
		return interp.ExitStatus(127)
	}
	cmd := command(hc, path, args)
	code := exitCode(cmd.Run())
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(code)
}

func command(hc interp.HandlerContext, path string, args []string) *exec.Cmd {
	return &exec.Cmd{Path: path, Args: args, Env: exported(hc.Env), Dir: hc.Dir,
		Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr, ExtraFiles: inherited()}
}

// inherited are the descriptors from 3 to 9 that a program would get.
func inherited() []*os.File {
	files := make([]*os.File, 7)
	for i := range files {
		if flags, err := unix.FcntlInt(uintptr(i+3), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			fd, err := unix.FcntlInt(uintptr(i+3), unix.F_DUPFD_CLOEXEC, 10)
			if err == nil {
				files[i] = os.NewFile(uintptr(fd), "inherited")
			}
		}
	}
	return files
}

func exported(e expand.Environ) []string {
	vars := map[string]string{}
	e.Each(func(name string, v expand.Variable) bool {
		delete(vars, name)
		if v.Exported && v.IsSet() {
			vars[name] = v.String()
		}
		return true
	})
	list := []string{}
	for name, value := range vars {
		list = append(list, name+"="+value)
	}
	return list
}

// replace executes a program in place of the shell; it returns only with an
// error.
func (s *sh) replace(hc interp.HandlerContext, args []string) error {
	path, err := interp.LookPathDir(hc.Dir, hc.Env, args[0])
	if err != nil {
		return errors.New("not found")
	}
	if err := os.Chdir(hc.Dir); err != nil {
		return err
	}
	for fd, stream := range []any{hc.Stdin, hc.Stdout, hc.Stderr} {
		f, ok := stream.(*os.File)
		if !ok || f == nil {
			if f, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return err
			}
		}
		if int(f.Fd()) == fd {
			unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		} else if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return err
		}
		unix.SetNonblock(fd, false)
	}
	return syscall.Exec(path, args, exported(hc.Env))
}

// child is a shell that begins with the variables and functions of this one.
func (s *sh) child(hc interp.HandlerContext, source string) *exec.Cmd {
	var text strings.Builder
	hc.Env.Each(func(name string, v expand.Variable) bool {
		if v.Kind == expand.String && !v.Exported && !v.ReadOnly && syntax.ValidName(name) {
			text.WriteString(name + "=" + quote(v.String()) + "\n")
		}
		return true
	})
	for _, f := range s.functions() {
		text.WriteString(f + "\n")
	}
	text.WriteString(source)
	args := append([]string{"sh"}, s.options...)
	args = append(args, "-c", text.String(), s.name)
	cmd := command(hc, "/bin/sh", append(args, s.params...))
	return cmd
}

// functions are the declarations in what was read.
func (s *sh) functions() []string {
	var list []string
	for _, source := range s.sources {
		file, err := s.parser.Parse(strings.NewReader(source), "")
		if err != nil {
			continue
		}
		for _, st := range file.Stmts {
			if f, ok := st.Cmd.(*syntax.FuncDecl); ok {
				list = append(list, s.printer.print(f))
			}
		}
	}
	return list
}

// background starts a process that nobody waits for yet.
func (s *sh) background(hc interp.HandlerContext, source string) error {
	cmd := s.child(hc, source)
	cmd.Stdin = nil
	for _, stream := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		if _, ok := (*stream).(*os.File); !ok {
			*stream = nil
		}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.last = cmd.Process.Pid
	s.jobs[s.last] = cmd.Process
	return nil
}

// wait waits for the processes named, or for all; a signal with a trap ends it.
func (s *sh) wait(pids []string) ([]string, error) {
	code := 0
	if len(pids) == 0 {
		for pid := range s.jobs {
			pids = append(pids, strconv.Itoa(pid))
		}
	}
	for _, word := range pids {
		pid, _ := strconv.Atoi(word)
		job := s.jobs[pid]
		if job == nil {
			code = 127
			continue
		}
		ended := make(chan *os.ProcessState, 1)
		go func() { state, _ := job.Wait(); ended <- state }()
		select {
		case state := <-ended:
			code = stateCode(state)
			delete(s.jobs, pid)
		case sig := <-s.signals:
			s.signals <- sig // its trap comes with the next command
			return []string{statusCommand, strconv.Itoa(128 + int(sig.(syscall.Signal)))}, nil
		}
	}
	return []string{statusCommand, strconv.Itoa(code)}, nil
}

// open opens the file of a redirection; a signal with a trap ends the wait for
// the other end of a fifo.
func (s *sh) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	byDefault := interp.DefaultOpenHandler()
	name := path
	if !filepath.IsAbs(name) {
		name = filepath.Join(interp.HandlerCtx(ctx).Dir, name)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		return byDefault(ctx, path, flag, perm)
	}
	type file struct {
		io.ReadWriteCloser
		err error
	}
	opened, given := make(chan file), make(chan bool)
	defer close(given)
	go func() {
		f, err := byDefault(ctx, path, flag, perm)
		select {
		case opened <- file{f, err}:
		case <-given:
			if err == nil {
				f.Close()
			}
		}
	}()
	select {
	case f := <-opened:
		return f.ReadWriteCloser, f.err
	case sig := <-s.signals:
		s.signals <- sig // its trap comes with the next command
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EINTR}
	}
}

func status(err error) ([]string, error) {
	return []string{statusCommand, strconv.Itoa(exitCode(err))}, nil
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return stateCode(exit.ProcessState)
	}
	fmt.Fprintln(os.Stderr, "sh:", err)
	return 126
}

func stateCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// trap takes signals; EXIT and ERR are the interpreter's.
func (s *sh) trap(args []string) []string {
	rest := []string{"true"}
	for i, name := range args {
		sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG"))
		switch {
		case i < 2:
		case sig == 0:
			rest = []string{"trap", args[1], name}
		case args[1] == "-":
			delete(s.traps, sig)
			signal.Reset(sig)
		case args[1] == "":
			signal.Ignore(sig)
		default:
			s.traps[sig] = args[1]
			signal.Notify(s.signals, sig)
		}
	}
	return rest
}

func (s *sh) trapped() string {
	select {
	case sig := <-s.signals:
		return s.traps[sig]
	default:
		return ""
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(args []string) string {
	var list []string
	for _, a := range args {
		list = append(list, quote(a))
	}
	return strings.Join(list, " ")
}
