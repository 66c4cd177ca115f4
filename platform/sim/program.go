package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"onset/core/job"
)

// A program is what a process does, written as the text of its exec line or
// script: steps separated by newline, ';' or ','. At its end a process exits
// with 0. A text whose first word is no step is a daemon that runs for ever
// and handles HUP, USR1 and USR2. The steps:
//
//	sleep 5s       wait
//	hang           wait for ever
//	exit N         exit with code N
//	true, false    exit with 0 or 1; /sbin/apparmor_parser is true
//	die SIG        end by that signal
//	crash 5s       go on, and die by SEGV at a random moment within that time
//	daemon N       fork N times in a row, each parent exits with 0
//	linger 2s [N]  fork; the child goes on, the parent exits with N after that time
//	wrap           fork; the child goes on, the parent hangs
//	leak N         fork N children of the same group that hang
//	escape N       the same, each in a group of its own
//	exec           execute another program
//	stop           raise STOP; goes on after CONT
//	raise SIG      raise any other signal
//	ignore SIG…    ignore these signals from now on
//	listen         listen on a socket
//	notify WORD…   send a message of sd_notify, each word a line
//	noexec REASON  fail before the program is executed
type program []step

// op is the kind of a step.
type op uint8

const (
	opSleep op = iota
	opHang
	opExit
	opRaise
	opCrash
	opForkExit
	opLinger
	opWrap
	opLeak
	opEscape
	opExec
	opIgnore
	opListen
	opNotify
)

type step struct {
	op      op
	after   time.Duration
	status  job.Status
	signal  job.Signal
	signals signalSet
	words   []string
}

// image is a parsed program.
type image struct {
	steps   program
	handles signalSet
	noexec  string // why it cannot be executed
}

// parseProgram makes a program of the text of a job's process.
func parseProgram(text string) image {
	var img image
	for i, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' || r == ',' }) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "noexec" {
			img.noexec = strings.TrimSpace(strings.TrimSpace(line)[len("noexec"):])
			continue
		}
		steps, ok := parseStep(words)
		if !ok {
			if i > 0 {
				panic(fmt.Sprintf("internal error: program %q: unknown step %q", text, line))
			}
			return image{steps: program{{op: opHang}}, handles: setOf(1, 10, 12)}
		}
		img.steps = append(img.steps, steps...)
	}
	return img
}

func parseStep(words []string) (steps program, ok bool) {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	switch words[0] {
	case "sleep":
		return program{{op: opSleep, after: duration(arg)}}, true
	case "crash":
		return program{{op: opCrash, after: duration(arg)}}, true
	case "hang":
		return program{{op: opHang}}, true
	case "true", "/sbin/apparmor_parser":
		return program{{op: opExit}}, true
	case "false":
		return program{{op: opExit, status: job.Exit(1)}}, true
	case "exit":
		return program{{op: opExit, status: job.Exit(count(arg))}}, true
	case "die":
		return program{{op: opExit, status: job.Killed(signal(arg))}}, true
	case "daemon":
		return repeat(opForkExit, arg), true
	case "linger":
		code := 0
		if len(words) > 2 {
			code = count(words[2])
		}
		return program{{op: opLinger, after: duration(arg), status: job.Exit(code)}}, true
	case "wrap":
		return program{{op: opWrap}}, true
	case "leak":
		return repeat(opLeak, arg), true
	case "escape":
		return repeat(opEscape, arg), true
	case "exec":
		return program{{op: opExec}}, true
	case "stop":
		return program{{op: opRaise, signal: sigSTOP}}, true
	case "raise":
		return program{{op: opRaise, signal: signal(arg)}}, true
	case "listen":
		return program{{op: opListen}}, true
	case "notify":
		return program{{op: opNotify, words: words[1:]}}, true
	case "ignore":
		var set signalSet
		for _, name := range words[1:] {
			set |= setOf(signal(name))
		}
		return program{{op: opIgnore, signals: set}}, true
	}
	return nil, false
}

func repeat(o op, times string) (p program) {
	n := 1
	if times != "" {
		n = count(times)
	}
	for range n {
		p = append(p, step{op: o})
	}
	return p
}

// The arguments of steps are written by tests; a bad one is a bug there.

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic("internal error: program: " + err.Error())
	}
	return d
}

func count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("internal error: program: " + err.Error())
	}
	return n
}

func signal(name string) job.Signal {
	n, ok := Signals.Number(name)
	if !ok {
		panic("internal error: program: unknown signal " + name)
	}
	return n
}
