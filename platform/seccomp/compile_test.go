package seccomp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// amd64 is a machine whose process has the capabilities named.
func amd64(caps ...string) Machine {
	return Machine{Arch: "amd64", Kernel: "6.1.0-9-amd64", Capabilities: func(name string) bool { return slices.Contains(caps, name) }}
}

const (
	retErrno = 0x00050000
	x86_64   = 0xc000003e
	i386     = 0x40000003
	aarch64  = 0xc00000b7
)

// verdict is what a profile makes of a call by name.
func verdict(t *testing.T, text string, m Machine, audit uint32, name string, args ...uint64) uint32 {
	t.Helper()
	f, err := Compile(text, m)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(archs[:], func(a arch) bool { return a.audit == audit })
	n := number(lookUp(name), archs[i].column())
	if n < 0 {
		t.Fatalf("there is no call %s", name)
	}
	d := data{number: uint32(n), arch: audit}
	copy(d.args[:], args)
	return run(f.Program, d)
}

func TestRules(t *testing.T) {
	const denying = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [`
	allow := func(more string) string {
		return denying + `{"names": ["read"], "action": "SCMP_ACT_ALLOW"` + more + `}]}`
	}
	for _, c := range []struct {
		name, text string
		m          Machine
		want       uint32
		args       []uint64
	}{
		{name: "allowed", text: allow(""), want: retAllow},
		{name: "not named", text: denying + `]}`, want: retErrno | 38},
		{name: "default number", text: `{"defaultAction": "SCMP_ACT_ERRNO"}`, want: retErrno | 1},
		{name: "kill", text: `{"defaultAction": "SCMP_ACT_KILL_PROCESS"}`, want: 0x80000000},
		{name: "one name", text: denying + `{"name": "read", "action": "SCMP_ACT_LOG"}]}`, want: retLog},
		{name: "number", text: denying + `{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095}]}`, want: retErrno | 4095},
		{name: "unknown names", text: denying + `{"names": ["no_such_call", "read"], "action": "SCMP_ACT_ALLOW"}]}`, want: retAllow},
		{name: "the first decides", text: denying + `{"names": ["read"], "action": "SCMP_ACT_TRAP"}, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: 0x30000},
		{name: "the default action says nothing", text: denying + `{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: retAllow},
		{name: "without args wins", text: denying + `{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}, {"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, want: retAllow},
		{name: "all args", text: allow(`, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]`), args: []uint64{1, 2}, want: retAllow},
		{name: "one of all args", text: allow(`, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]`), args: []uint64{1, 3}, want: retErrno | 38},
		{name: "either value", text: allow(`, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]`), args: []uint64{2}, want: retAllow},
		{name: "capability held", text: allow(`, "includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}`), m: amd64("CAP_KILL", "CAP_CHOWN"), want: retAllow},
		{name: "capability not held", text: allow(`, "includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}`), m: amd64("CAP_KILL"), want: retErrno | 38},
		{name: "excluded by capability", text: allow(`, "excludes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}`), m: amd64("CAP_KILL"), want: retErrno | 38},
		{name: "included here", text: allow(`, "includes": {"arches": ["arm64", "amd64"]}`), want: retAllow},
		{name: "included elsewhere", text: allow(`, "includes": {"arches": ["arm64"]}`), want: retErrno | 38},
		{name: "excluded here", text: allow(`, "excludes": {"arches": ["amd64"]}`), want: retErrno | 38},
		{name: "kernel new enough", text: allow(`, "includes": {"minKernel": "4.8"}`), want: retAllow},
		{name: "kernel too old", text: allow(`, "includes": {"minKernel": "6.10"}`), want: retErrno | 38},
		{name: "kernel too new", text: allow(`, "excludes": {"minKernel": "6.1"}`), want: retErrno | 38},
		{name: "what engines write", text: `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "defaultErrnoRet": 38, "archMap": [{"architecture": "SCMP_ARCH_X86_64",
			"subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}], "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
			"args": null, "comment": "", "includes": {}, "excludes": {}, "errno": ""}]}`, want: retAllow},
	} {
		if c.m.Arch == "" {
			c.m = amd64()
		}
		if got := verdict(t, c.text, c.m, x86_64, "read", c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

func TestArchitectures(t *testing.T) {
	const rest = `"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`
	own := `{"defaultAction": "SCMP_ACT_ERRNO", ` + rest
	both := `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"], ` + rest
	mapped := `{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
		{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}], ` + rest
	for _, c := range []struct {
		name, text string
		arch       string
		audit      uint32
		want       uint32
	}{
		{"own", own, "amd64", x86_64, retAllow},
		{"not listed", own, "amd64", i386, retKillThread},
		{"listed", both, "amd64", i386, retAllow},
		{"own beside it", both, "amd64", x86_64, retAllow},
		{"listed, and not of this machine", both, "amd64", aarch64, retKillThread},
		{"mapped", mapped, "amd64", i386, retAllow},
		{"mapped for another", mapped, "arm64", i386, retKillThread},
		{"own of another", mapped, "arm64", aarch64, retAllow},
	} {
		if got := verdict(t, c.text, Machine{Arch: c.arch}, c.audit, "read"); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
	f, err := Compile(both, amd64())
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[uint32]uint32{x32: retKillThread, x32 + 512: retKillThread, noCall: retErrno | 1} {
		if got := run(f.Program, data{number: number, arch: x86_64}); got != want {
			t.Errorf("call %#x: %#x, want %#x", number, got, want)
		}
	}
}

// TestBigEndian looks at the halves of arguments where s390x has them.
func TestBigEndian(t *testing.T) {
	f, err := Compile(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRAP",
		"args": [{"index": 1, "value": 4294967298, "op": "SCMP_CMP_EQ"}]}]}`, Machine{Arch: "s390x"})
	if err != nil {
		t.Fatal(err)
	}
	var loads []string
	for i, in := range f.Program {
		if in.Code == load && in.K >= offsetArgs {
			loads = append(loads, fmt.Sprint(in.K, "=", f.Program[i+1].K))
		}
	}
	if got := strings.Join(loads, " "); got != "24=1 28=2" {
		t.Errorf("compared are %s", got)
	}
}

func TestErrors(t *testing.T) {
	call := func(text string) string { return `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}, ` + text + `]}` }
	for _, c := range []struct{ text, want string }{
		{``, "byte 0: unexpected end"},
		{`{"defaultAction": "SCMP_ACT_ALLOW"`, "byte 34: unexpected end"},
		{`{"defaultAction" "x"}`, `byte 18: invalid character '"' after object key`},
		{`{} {}`, "byte 4: more than one value"},
		{`[]`, "byte 1: the profile: cannot be array"},
		{`{"defaultAction": 1}`, "byte 19: defaultAction: cannot be number"},
		{`{"syscalls": [{"args": [{"index": -1}]}]}`, "byte 36: syscalls.args.index: cannot be number -1"},
		{`{"sycalls": []}`, `byte 15: unknown field "sycalls"`},
		{`{}`, `defaultAction: unknown action ""`},
		{`{"defaultAction": "SCMP_ACT_NOTIFY"}`, "defaultAction: SCMP_ACT_NOTIFY is not supported"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}`, "defaultErrnoRet: SCMP_ACT_ALLOW has none"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_Z80"]}`, `architectures[1]: unknown architecture "SCMP_ARCH_Z80"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["X32"]}]}`, `archMap[0].subArchitectures[0]: unknown architecture "X32"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG", "LOG"]}`, `flags[1]: unknown flag "LOG"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}`, "listenerPath: not supported"},
		{strings.Replace(call(`{}`), "{}", `{"names": ["read"], "action": "SCMP_ACT_TRAP"}`, 1), `syscalls[1].action: unknown action ""`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_TRAP"}]}`, "syscalls[0].names: none"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["raed"], "action": "SCMP_ACT_TRAP"}]}`, `syscalls[0].names[0]: unknown system call "raed"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRAP", "errnoRet": 1}]}`, "syscalls[0].errnoRet: SCMP_ACT_TRAP has none"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096}]}`, "syscalls[0].errnoRet: 4096 is out of range"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]}`, "syscalls[0].args[0].index: 6 is out of range"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"op": "EQ"}]}]}`, `syscalls[0].args[0].op: unknown operator "EQ"`},
	} {
		if f, err := Compile(c.text, amd64()); err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot %v, %v\nwant %s", c.text, f, err, c.want)
		}
	}
	if _, err := Compile(`{"defaultAction": "SCMP_ACT_ALLOW"}`, Machine{Arch: "pdp11"}); err == nil || err.Error() != "no system calls of pdp11 are known" {
		t.Errorf("got %v", err)
	}
	var rules []string
	for i := range 600 {
		rules = append(rules, fmt.Sprintf(`{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": %d, "op": "SCMP_CMP_EQ"}]}`, i))
	}
	text := `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [` + strings.Join(rules, ",") + `]}`
	if got := verdict(t, text, amd64(), x86_64, "read", 599); got != 0x30000 {
		t.Errorf("the last of 600 rules yields %#x", got)
	}
	args := strings.Repeat(`{"index": 0, "op": "SCMP_CMP_EQ"},`, 5000) // each a rule, of each of the calls
	for _, rules := range []string{strings.Join(append(rules, rules...), ","),
		`{"names": ["read", "write", "open"], "action": "SCMP_ACT_LOG", "args": [` + strings.TrimSuffix(args, ",") + `]}`} {
		text = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [` + rules + `]}`
		if _, err := Compile(text, amd64()); err == nil || err.Error() != "more instructions than the 4096 that the kernel takes" {
			t.Errorf("got %v", err)
		}
	}
}

func TestDefault(t *testing.T) {
	const denied, absent = retErrno | 1, retErrno | 38
	for _, c := range []struct {
		name string
		args []uint64
		caps []string
		want uint32
	}{
		{name: "read", want: retAllow},
		{name: "execve", want: retAllow},
		{name: "ptrace", want: retAllow},
		{name: "clone", args: []uint64{0x3d0f00}, want: retAllow},
		{name: "clone", args: []uint64{0x10000000}, want: denied},
		{name: "clone", args: []uint64{0x20011}, want: denied},
		{name: "clone", args: []uint64{0x20011}, caps: []string{"CAP_SYS_ADMIN"}, want: retAllow},
		{name: "clone3", want: absent},
		{name: "clone3", caps: []string{"CAP_SYS_ADMIN"}, want: retAllow},
		{name: "mount", want: denied},
		{name: "mount", caps: []string{"CAP_SYS_ADMIN"}, want: retAllow},
		{name: "bpf", caps: []string{"CAP_BPF"}, want: retAllow},
		{name: "reboot", caps: []string{"CAP_SYS_ADMIN"}, want: denied},
		{name: "keyctl", caps: []string{"CAP_SYS_ADMIN"}, want: denied},
		{name: "io_uring_setup", want: denied},
		{name: "personality", args: []uint64{0xffffffff}, want: retAllow},
		{name: "personality", args: []uint64{0x40000}, want: absent},
		{name: "vserver", want: absent},
	} {
		for _, audit := range []uint32{x86_64, i386} {
			if got := verdict(t, Default, amd64(c.caps...), audit, c.name, c.args...); got != c.want {
				t.Errorf("%s%v with %v by %#x: %#x, want %#x", c.name, c.args, c.caps, audit, got, c.want)
			}
		}
	}
	for _, a := range archs {
		for _, caps := range []bool{false, true} {
			f, err := Compile(Default, Machine{Arch: a.name, Kernel: "6.1", Capabilities: func(string) bool { return caps }})
			if err != nil || len(f.Program) > 1000 {
				t.Errorf("%s: %d instructions, %v", a.name, len(f.Program), err)
			}
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(Default)
	f.Add(`{"defaultAction":"SCMP_ACT_LOG","syscalls":[{"name":"read","action":"SCMP_ACT_ERRNO","errnoRet":9,"args":[{"index":1,"value":4294967297,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := Compile(text, amd64("CAP_KILL"))
		if err != nil {
			return
		}
		if n := len(filter.Program); n > maxProgram {
			t.Fatalf("%d instructions", n)
		}
		for _, audit := range []uint32{x86_64, i386, 0} {
			for _, number := range []uint32{0, 1, 56, 101, 435, 436, x32, noCall} { // run panics at what the kernel does not take
				run(filter.Program, data{number: number, arch: audit, args: [maxArgs]uint64{1, 1 << 32, 1<<32 + 1}})
			}
		}
	})
}
