package freebsd

import (
	bytes "encoding/binary"
	"os"

	"onset/core/control"
)

// What a process uses, by place in struct kinfo_proc.
const (
	kinfoResident  = 264 // pages
	kinfoRunTime   = 328 // microseconds
	kinfoChildTime = 352 // timeval, of children that were waited for
	kinfoThreads   = 596
)

// Usage implements platform.Processes. Nothing but login classes and jails is
// counted as a whole, so it is the sum of what lives.
func (p *Processes) Usage(token uint64) *control.Usage { return usageOf(p.groups.living(token)) }

func usageOf(pids []int) *control.Usage {
	if len(pids) == 0 {
		return nil
	}
	var time, memory, tasks uint64
	page := uint64(os.Getpagesize())
	for _, pid := range pids {
		k, ok := look(pid)
		if !ok {
			continue
		}
		uint64At := func(at int) uint64 { return bytes.LittleEndian.Uint64(k[at:]) }
		time += uint64At(kinfoRunTime) + uint64At(kinfoChildTime)*1e6 + uint64At(kinfoChildTime+8)
		memory += uint64At(kinfoResident) * page
		tasks += uint64(k.int(kinfoThreads))
	}
	return &control.Usage{CPU: &time, Memory: &memory, PIDs: &tasks}
}
