package eventsources

import "time"

// SetTimes shortens the times of a host.
func (h *Host) SetTimes(grace, delay, giveUp time.Duration) {
	h.grace, h.delay, h.giveUp = grace, delay, giveUp
}

// SetPrelude shortens the time for sources to be ready.
func (h *Host) SetPrelude(d time.Duration) { h.prelude = d }

// Window is how many calls are on their way at once.
const Window = window
