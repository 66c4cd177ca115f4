package seccomp

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write syscalls.txt from the constants of golang.org/x/sys")

var constant = regexp.MustCompile(`(?m)^\tSYS_([A-Z0-9_]+) +=\s*(\d+)$`)

// privateCalls of 32-bit ARM are in no list of the kernel's.
const privateCalls = "breakpoint 983041\ncacheflush 983042\nusr26 983043\nusr32 983044\nset_tls 983045\n"

// constantsOf returns the numbers by name of an architecture of Go.
func constantsOf(t *testing.T, dir, goarch string) map[string]string {
	text, err := os.ReadFile(filepath.Join(dir, "unix", "zsysnum_linux_"+goarch+".go"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]string{}
	for _, m := range constant.FindAllSubmatch(text, -1) {
		name := strings.ToLower(string(m[1]))
		if name == "fstatat" { // as the generic list of system calls has it
			name = "newfstatat"
		}
		if name != "syscall_mask" {
			calls[name] = string(m[2])
		}
	}
	if goarch == "arm" {
		for line := range strings.Lines(privateCalls) {
			name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			calls[name] = number
		}
	}
	return calls
}

func TestNamesAreThoseOfTheKernel(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(syscallTable, "\n")
	columns := strings.Fields(first)[1:]
	calls, names := map[string]map[string]string{}, []string{}
	for _, c := range columns {
		calls[c] = constantsOf(t, strings.TrimSpace(string(dir)), c)
		for name := range calls[c] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b bytes.Buffer
	fmt.Fprintln(&b, first)
	for _, name := range slices.Compact(names) {
		b.WriteString(name)
		for _, c := range columns {
			number := calls[c][name]
			if number == "" {
				number = "-"
			}
			b.WriteString(" " + number)
		}
		b.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile("syscalls.txt", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != syscallTable {
		t.Error("syscalls.txt is not that of golang.org/x/sys; run this test with -update")
	}
}
