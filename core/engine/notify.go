package engine

import "onset/core/job"

// signReady handles the sign of readiness of expect listen, fd and dbus.
func (e *Engine) signReady(token uint64) {
	if r, ok := e.byToken[token]; ok && r.slot == job.Main && r.inst.State == job.Spawned {
		e.ready(r.inst)
	}
}

// notified handles a message of the sd_notify protocol (EXTENSIONS §4).
func (e *Engine) notified(m Notified) {
	for _, f := range m.Files {
		e.do(CloseFile{f})
	}
}
