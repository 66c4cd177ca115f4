//go:build freebsd

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// sh is one shell.
type sh struct {
	runner  *interp.Runner
	parser  *syntax.Parser
	printer *printer
	name    string   // $0
	options []string // of set, such as -e
	params  []string
	sources []string // all that was read: functions are found there
	last    int      // process that was started last
	jobs    map[int]*os.Process
	traps   map[os.Signal]string
	signals chan os.Signal
}

// shell is sh: -c SOURCE [NAME [ARG...]], FILE [ARG...], or standard input.
func shell(args []string) int {
	s := &sh{
		name:    "sh",
		parser:  syntax.NewParser(syntax.Variant(syntax.LangBash)),
		printer: &printer{syntax.NewPrinter()},
		jobs:    map[int]*os.Process{}, traps: map[os.Signal]string{}, signals: make(chan os.Signal, 16),
	}
	command, interactive := false, false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		for _, letter := range args[0][1:] {
			switch letter {
			case 'c':
				command = true
			case 'i':
				interactive = true
			default:
				s.options = append(s.options, args[0][:1]+string(letter))
			}
		}
		args = args[1:]
	}
	var source []byte
	var err error
	switch {
	case command && len(args) > 0:
		source, args = []byte(args[0]), args[1:]
		if len(args) > 0 {
			s.name, s.params = args[0], args[1:]
		}
	case len(args) > 0:
		source, err = readScript(args[0])
		s.name, s.params = args[0], args[1:]
	case interactive || isTerminal(0):
		return s.interact()
	default:
		source, err = io.ReadAll(os.Stdin)
	}
	if err != nil {
		return fail("sh", err)
	}
	if err := s.start(); err != nil {
		return fail("sh", err)
	}
	return s.run(string(source))
}

// readScript reads from a descriptor itself: opening one of a file that has no
// name needs more than a plain /dev/fd. The script closes it.
func readScript(name string) ([]byte, error) {
	var fd int
	if n, _ := fmt.Sscanf(name, "/dev/fd/%d", &fd); n != 1 {
		return os.ReadFile(name)
	}
	var text []byte
	b := make([]byte, 4096)
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil || n <= 0:
			return text, err
		default:
			text = append(text, b[:n]...)
		}
	}
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TIOCGETA)
	return err == nil
}

func (s *sh) start() error {
	var err error
	s.runner, err = interp.New(interp.StdIO(os.Stdin, os.Stdout, os.Stderr), interp.CallHandler(s.call), interp.OpenHandler(s.open),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.Params(append(append(s.options[:len(s.options):len(s.options)], "--"), s.params...)...))
	return err
}

// run runs all of the source, and returns the exit status.
func (s *sh) run(source string) int {
	file, err := s.parser.Parse(strings.NewReader(source), s.name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	s.sources = append(s.sources, source)
	rewrite(file, s.printer)
	err = s.runner.Run(context.Background(), file)
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	return fail("sh", err)
}

func prompt() string { return cmp.Or(os.Getenv("PS1"), "# ") }

// interact reads commands from the console, or plays them.
func (s *sh) interact() int {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // is for what runs in the foreground
	if err := s.start(); err != nil {
		return fail("sh", err)
	}
	if p, err := newPlayer(); err != nil {
		return fail("play", err)
	} else if p != nil {
		return p.play(s)
	}
	status := 0
	var pending bytes.Buffer
	for {
		ask := prompt()
		if pending.Len() > 0 {
			ask = "> "
		}
		os.Stdout.WriteString(ask)
		line, err := readLine()
		if err != nil {
			return status
		}
		pending.WriteString(line)
		if _, err := s.parser.Parse(bytes.NewReader(pending.Bytes()), ""); err != nil && syntax.IsIncomplete(err) {
			continue
		}
		status = s.run(pending.String())
		pending.Reset()
		if s.runner.Exited() {
			return status
		}
	}
}

// readLine reads byte by byte, since programs read the same terminal. What was
// typed ahead is shown behind the prompt, so that output begins a line.
func readLine() (string, error) {
	const erase, backspace, endOfFile = 0x7f, '\b', 4
	saved, err := unix.IoctlGetTermios(0, unix.TIOCGETA)
	show := func(string) {}
	if err == nil {
		ours := *saved
		ours.Lflag &^= unix.ECHO | unix.ICANON
		ours.Cc[unix.VMIN], ours.Cc[unix.VTIME] = 1, 0
		unix.IoctlSetTermios(0, unix.TIOCSETA, &ours)
		defer unix.IoctlSetTermios(0, unix.TIOCSETA, saved)
		show = func(s string) { os.Stdout.WriteString(s) }
	}
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := syscall.Read(0, b)
		switch {
		case err == syscall.EINTR:
		case err != nil || n == 0 || b[0] == endOfFile && len(line) == 0:
			return "", io.EOF
		case b[0] == '\n' || b[0] == '\r':
			show("\n")
			return string(line) + "\n", nil
		case b[0] == erase || b[0] == backspace:
			if len(line) > 0 {
				line = line[:len(line)-1]
				show("\b \b")
			}
		case b[0] >= ' ' || b[0] == '\t':
			line = append(line, b[0])
			show(string(b[:1]))
		}
	}
}
