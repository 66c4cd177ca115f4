package eventsources

import "time"

// SetTimes shortens the times of a host.
func (h *Host) SetTimes(grace, delay time.Duration) { h.grace, h.delay = grace, delay }
