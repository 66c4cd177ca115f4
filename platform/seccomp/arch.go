package seccomp

import (
	_ "embed" // of the table
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// syscallTable has a line for each name of a system call with its number on
// each architecture, which the first line names as Go does; "-" where it has
// none.
//
//go:embed syscalls.txt
var syscallTable string

type arch struct {
	oci    string
	name   string // as Go has it
	docker string // in includes and excludes, if that is another
	audit  uint32 // what the kernel tells a filter
	with   string // the other one that a machine runs
}

// archs are those of the table.
var archs = [...]arch{
	{oci: "SCMP_ARCH_X86_64", name: "amd64", audit: 0xc000003e, with: "386"},
	{oci: "SCMP_ARCH_X86", name: "386", docker: "x86", audit: 0x40000003},
	{oci: "SCMP_ARCH_AARCH64", name: "arm64", audit: 0xc00000b7, with: "arm"},
	{oci: "SCMP_ARCH_ARM", name: "arm", audit: 0x40000028},
	{oci: "SCMP_ARCH_RISCV64", name: "riscv64", audit: 0xc00000f3},
	{oci: "SCMP_ARCH_PPC64LE", name: "ppc64le", audit: 0xc0000015},
	{oci: "SCMP_ARCH_S390X", name: "s390x", audit: 0x80000016},
	{oci: "SCMP_ARCH_LOONGARCH64", name: "loong64", audit: 0xc0000102},
	{oci: "SCMP_ARCH_MIPSEL64", name: "mips64le", docker: "mipsel64", audit: 0xc0000008},
}

// otherArchs may be listed too. Their calls kill.
const otherArchs = " X32 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64N32 PPC PPC64 S390 PARISC PARISC64 SH SHEB M68K "

func archOf(name string) *arch {
	i := slices.IndexFunc(archs[:], func(a arch) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return &archs[i]
}

func (a *arch) bigEndian() bool { return a.name == "s390x" }

// archs returns those to make a program for: the machine's own, and the other
// one that it runs if the profile lists it.
func (p *profile) archs(m *Machine) ([]*arch, error) {
	own := archOf(m.Arch)
	if own == nil {
		return nil, fmt.Errorf("no system calls of %s are known", m.Arch)
	}
	list := []*arch{own}
	add := func(path, name string) error {
		short, ok := strings.CutPrefix(name, "SCMP_ARCH_")
		i := slices.IndexFunc(archs[:], func(a arch) bool { return a.oci == name })
		switch {
		case i < 0 && (!ok || !strings.Contains(otherArchs, " "+short+" ")):
			return fmt.Errorf("%s: unknown architecture %q", path, name)
		case i >= 0 && archs[i].name == own.with && len(list) == 1:
			list = append(list, &archs[i])
		}
		return nil
	}
	for i, name := range p.Architectures {
		if err := add(fmt.Sprintf("architectures[%d]", i), name); err != nil {
			return nil, err
		}
	}
	for i, e := range p.ArchMap {
		for k, name := range e.SubArchitectures {
			if e.Architecture != own.oci {
				break
			}
			if err := add(fmt.Sprintf("archMap[%d].subArchitectures[%d]", i, k), name); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// column returns where the table has the numbers of an architecture.
func (a *arch) column() int {
	first, _, _ := strings.Cut(syscallTable, "\n")
	return slices.Index(strings.Fields(first), a.name)
}

// lookUp returns the line of a name, which is empty if there is none, by
// bisection: the lines are in the order of their names.
func lookUp(name string) string {
	low, high := strings.IndexByte(syscallTable, '\n')+1, len(syscallTable)
	for low < high {
		middle := low + (high-low)/2
		start := low + strings.LastIndexByte(syscallTable[low:middle], '\n') + 1
		end := start + strings.IndexByte(syscallTable[start:], '\n')
		line := syscallTable[start:end]
		switch found, _, _ := strings.Cut(line, " "); {
		case found == name:
			return line
		case found < name:
			low = end + 1
		default:
			high = start
		}
	}
	return ""
}

// number returns what a line has in a column, or -1.
func number(line string, column int) int {
	for range column {
		_, line, _ = strings.Cut(line, " ")
	}
	word, _, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(word)
	if err != nil {
		return -1
	}
	return n
}
