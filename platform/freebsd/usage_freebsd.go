package freebsd

import "onset/core/control"

// Usage implements platform.Processes.
func (p *Processes) Usage(token uint64) *control.Usage { return nil }
