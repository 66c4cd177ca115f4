package sim

import "onset/core/engine"

// Notify lets a process send lines of the sd_notify protocol, with
// descriptors.
func (w *World) Notify(pid int, lines []string, files ...int) {
	for _, f := range files {
		w.handles[f] = true
	}
	if p := w.Find(pid); p != nil {
		w.happen(engine.Notified{Token: p.Token, PID: pid, Lines: lines, Files: files})
	}
}

// Sign lets a process do what expect listen, fd or dbus waits for.
func (w *World) Sign(pid int) {
	if p := w.Find(pid); p != nil {
		w.happen(engine.Ready{Token: p.Token})
	}
}
