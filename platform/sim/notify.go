package sim

import (
	"slices"
	"strconv"
	"strings"

	"onset/core/engine"
	"onset/core/job"
)

// firstHandle is above the descriptors that calls bring.
const firstHandle = 100_000

// Notify lets a process send lines of the sd_notify protocol, with
// descriptors. A main process that is none of the spawn is left out.
func (w *World) Notify(pid int, lines []string, files ...int) {
	p := w.Find(pid)
	if p == nil {
		return
	}
	for _, f := range files {
		w.handles[f] = true
	}
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		text, ok := strings.CutPrefix(line, "MAINPID=")
		main, err := strconv.Atoi(text)
		return ok && (err != nil || !slices.ContainsFunc(w.members(p.Token), func(q *Process) bool { return q.PID == main }))
	})
	w.happen(engine.Notified{Token: p.Token, PID: pid, Lines: lines, Files: files})
}

// say performs the step notify: MAINPID stands for the process itself, and
// FILE for a descriptor of its own.
func (w *World) say(p *Process, words []string) {
	var lines []string
	var files []int
	for _, word := range words {
		switch word {
		case "MAINPID":
			lines = append(lines, "MAINPID="+strconv.Itoa(p.PID))
		case "FILE":
			w.lastHandle++
			files = append(files, firstHandle+w.lastHandle)
		default:
			lines = append(lines, word)
		}
	}
	w.Notify(p.PID, lines, files...)
}

// Sign lets a process do what expect listen, fd or dbus waits for.
func (w *World) Sign(pid int) {
	if p := w.Find(pid); p != nil {
		w.happen(engine.Ready{Token: p.Token})
	}
}

// supervise tells the end of a process also if that is the child of another.
func (w *World) supervise(pid int) {
	switch p := w.Find(pid); {
	case p == nil, !p.Alive() && p.Parent != initPID:
		w.happen(engine.Exited{PID: pid, Status: job.NoStatus})
	default:
		p.supervised = true
	}
}
