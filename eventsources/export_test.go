package eventsources

import "time"

// SetTimes shortens the times of a host.
func (h *Host) SetTimes(grace, delay, giveUp time.Duration) {
	h.grace, h.delay, h.giveUp = grace, delay, giveUp
}

// Window is how many calls are on their way at once.
const Window = window
