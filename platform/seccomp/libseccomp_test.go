package seccomp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// askLibseccomp sends lines to the script and returns as many.
func askLibseccomp(t *testing.T, questions []any) []string {
	t.Helper()
	const python = "/usr/bin/python3" // that of the package
	if out, err := exec.Command(python, "-c", "import seccomp").CombinedOutput(); err != nil {
		t.Skipf("libseccomp's Python bindings are not installed (python3-seccomp): %v %s", err, out)
	}
	var in bytes.Buffer
	for _, q := range questions {
		line, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // it has rules that it never comes to an end with
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "testdata/libseccomp.py")
	cmd.Stdin = &in
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(lines), len(questions))
	}
	return lines
}

// TestNumbersAreThoseOfLibseccomp compares all numbers that both know.
func TestNumbersAreThoseOfLibseccomp(t *testing.T) {
	var names []string
	for line := range strings.Lines(syscallTable) {
		names = append(names, strings.Fields(line)[0])
	}
	names = names[1:]
	var columns []string
	for _, a := range archs {
		columns = append(columns, a.name)
	}
	answer := askLibseccomp(t, []any{map[string]any{"resolve": names, "arches": columns}})[0]
	numbers := map[string][]int{}
	if err := json.Unmarshal([]byte(answer), &numbers); err != nil {
		t.Fatal(err)
	}
	for _, column := range slices.Sorted(maps.Keys(numbers)) {
		own, same := callsOf(archOf(column)), 0
		for i, n := range numbers[column] {
			switch {
			case n < 0 || own[names[i]] < 0: // one of them knows a newer kernel
			case n == own["socketcall"] || n == own["ipc"]: // which libseccomp looks into
			case n != own[names[i]]:
				t.Errorf("%s of %s is %d, and %d to libseccomp", names[i], column, own[names[i]], n)
			default:
				same++
			}
		}
		if same < 250 {
			t.Errorf("only %d names of %s are known to both", same, column)
		}
	}
}

// callsOf returns the numbers of an architecture by name, -1 for those that
// it does not have.
func callsOf(a *arch) map[string]int {
	calls := map[string]int{}
	for line := range strings.Lines(syscallTable) {
		if name, _, _ := strings.Cut(line, " "); name != "name" {
			calls[name] = number(strings.TrimSpace(line), a.column())
		}
	}
	return calls
}

// plain is a profile in the terms of the script.
type plain struct {
	Arches  []string    `json:"arches"`
	Default [2]any      `json:"default"`
	Rules   []plainRule `json:"rules"`
}

type plainRule struct {
	Name   string     `json:"name"`
	Action [2]any     `json:"action"`
	Args   []plainArg `json:"args"`
}

type plainArg struct {
	Index    int    `json:"index"`
	Op       string `json:"op"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
}

// oci is the same in the terms of Compile.
func (p *plain) oci() string {
	act := func(kind string, a [2]any) map[string]any {
		m := map[string]any{kind: "SCMP_ACT_" + a[0].(string)}
		if a[0] == "ERRNO" || a[0] == "TRACE" {
			m[map[string]string{"action": "errnoRet", "defaultAction": "defaultErrnoRet"}[kind]] = a[1]
		}
		return m
	}
	profile := act("defaultAction", p.Default)
	var names []string
	for _, a := range p.Arches {
		names = append(names, archOf(a).oci)
	}
	profile["architectures"] = names
	var rules []any
	for _, r := range p.Rules {
		rule := act("action", r.Action)
		rule["names"] = []string{r.Name}
		var args []any
		for _, a := range r.Args {
			args = append(args, map[string]any{"index": a.Index, "op": "SCMP_CMP_" + a.Op, "value": a.Value, "valueTwo": a.ValueTwo})
		}
		rule["args"] = args
		rules = append(rules, rule)
	}
	profile["syscalls"] = rules
	text, _ := json.Marshal(profile)
	return string(text)
}

// values are what arguments are compared with: each half has its say.
var values = []uint64{0, 1, 2, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 1<<32 + 1, 0x7e020000, 1 << 63, 1<<63 + 5, ^uint64(0) - 1, ^uint64(0)}

// random makes a profile. The rules of one call all have one action, and
// either args or none: what libseccomp makes of others hangs on its trees.
func random(r *rand.Rand, arches []string, names []string) *plain {
	acts := [][2]any{{"ALLOW", 0}, {"ERRNO", 1}, {"ERRNO", 38}, {"ERRNO", 4094}, {"TRAP", 0}, {"KILL", 0}, {"KILL_PROCESS", 0}, {"LOG", 0}, {"TRACE", 7}}
	ops := []string{"EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"}
	pick := r.Intn(len(acts))
	values := values
	if len(arches) > 1 { // of the larger ones libseccomp compares only a half there
		values = slices.DeleteFunc(slices.Clone(values), func(v uint64) bool { return v>>32 != 0 })
	}
	p := &plain{Arches: arches, Default: acts[pick], Rules: []plainRule{}}
	acts = slices.Delete(slices.Clone(acts), pick, pick+1)
	for range r.Intn(60) {
		name, act, conditional := names[r.Intn(len(names))], acts[r.Intn(len(acts))], r.Intn(3) == 0
		if slices.ContainsFunc(p.Rules, func(o plainRule) bool { return o.Name == name }) {
			continue
		}
		rule := plainRule{Name: name, Action: act, Args: []plainArg{}}
		several := conditional && r.Intn(2) == 0
		if conditional && !several {
			for _, index := range r.Perm(maxArgs)[:1+r.Intn(3)] {
				a := plainArg{Index: index, Op: ops[r.Intn(len(ops))], Value: values[r.Intn(len(values))]}
				if a.Op == "MASKED_EQ" {
					a.ValueTwo = a.Value & values[r.Intn(len(values))]
				}
				rule.Args = append(rule.Args, a)
			}
		}
		for range 2 {
			if several { // libseccomp fails at less simple ones
				rule.Args = []plainArg{{Index: r.Intn(maxArgs), Op: "EQ", Value: values[r.Intn(len(values))]}}
			}
			p.Rules = append(p.Rules, rule)
		}
	}
	return p
}

func TestVerdictsAreThoseOfLibseccomp(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	sets := [][]string{{"amd64"}, {"amd64"}, {"amd64", "386"}}
	if runtime.GOARCH == "arm64" {
		sets = [][]string{{"arm64"}, {"arm64", "arm"}}
	}
	if !slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH) {
		t.Skip("the test knows nothing of libseccomp on " + runtime.GOARCH)
	}
	var profiles []*plain
	var questions []any
	names := commonNames(sets[len(sets)-1])
	for i := range 150 {
		p := random(r, sets[i%len(sets)], names)
		profiles, questions = append(profiles, p), append(questions, p)
	}
	for i, answer := range askLibseccomp(t, questions) {
		var text string
		if err := json.Unmarshal([]byte(answer), &text); err != nil {
			t.Fatal(err)
		}
		theirs := decodeProgram(t, text)
		f, err := Compile(profiles[i].oci(), Machine{Arch: runtime.GOARCH, Capabilities: func(string) bool { return false }})
		if err != nil {
			t.Fatalf("%v\n%s", err, profiles[i].oci())
		}
		if difference := compare(r, profiles[i], f.Program, theirs); difference != "" {
			t.Fatalf("%s\n%s", difference, profiles[i].oci())
		}
	}
}

// commonNames are those of all the arches, old enough for any libseccomp, and
// not calls that libseccomp finds in ipc and socketcall too.
func commonNames(arches []string) (names []string) {
	first := callsOf(archOf(arches[0]))
	for _, name := range slices.Sorted(maps.Keys(first)) {
		common := first[name] >= 0 && first[name] < 440
		for _, a := range arches {
			common = common && number(lookUp(name), archOf(a).column()) >= 0
		}
		for _, part := range []string{"sem", "shm", "msg", "sock", "send", "recv", "bind", "listen", "accept", "connect", "getpeername", "shutdown"} {
			common = common && !strings.Contains(name, part)
		}
		if common {
			names = append(names, name)
		}
	}
	return names
}

func decodeProgram(t *testing.T, text string) (program []Instruction) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%8 != 0 {
		t.Fatalf("no program: %q", text)
	}
	for ; len(b) > 0; b = b[8:] {
		program = append(program, Instruction{binary.NativeEndian.Uint16(b), b[2], b[3], binary.NativeEndian.Uint32(b[4:])})
	}
	return program
}

// compare runs two programs for all numbers, with many arguments where the
// profile looks at them, and by strange architectures.
func compare(r *rand.Rand, p *plain, ours, theirs []Instruction) string {
	audits := []uint32{0, 0xdeadbeef}
	for i := range archs {
		audits = append(audits, archs[i].audit)
	}
	numbers := []uint32{x32, x32 + 1, x32 + 59, x32 + 512, noCall, noCall - 1, 1000, 5000, 983042, 1 << 31}
	for n := range uint32(600) {
		numbers = append(numbers, n)
	}
	looked := checked(p)
	for _, audit := range audits {
		for _, n := range numbers {
			samples := 1
			if looked[[2]uint32{audit, n}] {
				samples = 200
			}
			for range samples {
				d := data{number: n, arch: audit}
				for i := range d.args {
					d.args[i] = values[r.Intn(len(values))]
					if r.Intn(3) == 0 {
						d.args[i] += uint64(r.Intn(3)) - 1
					}
					if audit>>31 == 0 { // of 32 bits
						d.args[i] &= 1<<32 - 1
					}
				}
				a, b := run(ours, d), run(theirs, d)
				if a != b {
					return fmt.Sprintf("%+v: %#x, and %#x by libseccomp", d, a, b)
				}
			}
		}
	}
	return ""
}

// checked returns the calls whose arguments the profile looks at.
func checked(p *plain) map[[2]uint32]bool {
	set := map[[2]uint32]bool{}
	for _, name := range p.Arches {
		a := archOf(name)
		for _, r := range p.Rules {
			if len(r.Args) > 0 {
				set[[2]uint32{a.audit, uint32(number(lookUp(r.Name), a.column()))}] = true
			}
		}
	}
	return set
}
