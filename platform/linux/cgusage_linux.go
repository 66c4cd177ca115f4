package linux

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/core/control"
	"onset/platform"
	"onset/platform/posix"
)

// Usage implements platform.Processes. The group counts time always, memory
// and tasks where it has their controllers; else the processes that live are
// asked, for the memory that is theirs alone.
func (p *Processes) Usage(token uint64) *control.Usage {
	if p.cgroups == nil || !there(p.cgroups.path(token)) {
		return nil
	}
	group, u := p.cgroups.path(token), &control.Usage{}
	if n, ok := counter(group+"/cpu.stat", "usage_usec"); ok {
		u.CPU = &n
	}
	dirs := append([]string{group}, p.limits.groups(token)...)
	u.Memory, u.PIDs = total(dirs, "memory.current", "memory.usage_in_bytes"), total(dirs, "pids.current")
	if u.Memory != nil && u.PIDs != nil {
		return u
	}
	var memory, tasks uint64
	for _, pid := range p.cgroups.processes(token) {
		kilobytes, _, _ := strings.Cut(strings.TrimSpace(statusWord(pid, "RssAnon")), " ")
		n, _ := strconv.ParseUint(kilobytes, 10, 64)
		memory += n << 10
		tasks += uint64(statusField(pid, "Threads"))
	}
	if u.Memory == nil {
		u.Memory = &memory
	}
	if u.PIDs == nil {
		u.PIDs = &tasks
	}
	return u
}

// total is the number in the first file that one of some groups has, or nil.
func total(dirs []string, files ...string) *uint64 {
	for _, dir := range dirs {
		for _, file := range files {
			text, err := os.ReadFile(dir + "/" + file)
			if err != nil {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
				return &n
			}
		}
	}
	return nil
}

// Tree implements platform.Processes.
func (p *Processes) Tree(token uint64, pid int) []platform.Process {
	members := p.cgroups.processes(token)
	if p.cgroups == nil {
		members = descendants(pid)
	} else if !slices.Contains(members, pid) && alive(pid) {
		members = append(members, pid) // somebody moved it away
	}
	return posix.Tree(members, parentOf, describe)
}

// descendants are a process, if it lives, and those it made that still have
// their makers.
func descendants(pid int) []int {
	all, found := allProcesses(), []int{}
	if alive(pid) {
		found = append(found, pid)
	}
	for i := 0; i < len(found); i++ {
		for _, other := range all {
			if parentOf(other) == found[i] && alive(other) {
				found = append(found, other)
			}
		}
	}
	return found
}

// describe returns the command line of a process, or its name in brackets, and
// when after the boot it was started.
func describe(pid int) (command string, started time.Duration, ok bool) {
	stat, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return "", 0, false
	}
	head, rest, _ := strings.Cut(string(stat), "(")
	end := strings.LastIndexByte(rest, ')')
	if head == "" || end < 0 {
		return "", 0, false
	}
	const startTime, ticks = 19, 100 // field 22, behind the name; USER_HZ
	if f := strings.Fields(rest[end+1:]); len(f) > startTime {
		n, _ := strconv.ParseUint(f[startTime], 10, 64)
		started = time.Duration(n) * time.Second / ticks
	}
	command = strings.TrimSpace(strings.Join(arguments(pid), " "))
	if command == "" {
		command = "[" + rest[:end] + "]"
	}
	return command, started, true
}
