package job

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"onset/core/env"
	"onset/core/expr"
)

// Slot names one of the processes of a job, in the order of UPSTART's
// process table.
type Slot int8

// The slots. NoSlot marks a failure without a process: the respawn limit.
const (
	NoSlot Slot = iota - 1
	Main
	PreStart
	PostStart
	PreStop
	PostStop
	Security
	Health   // EXTENSIONS §6
	NumSlots = iota - 1
)

var slotNames = [NumSlots]string{"main", "pre-start", "post-start", "pre-stop", "post-stop", "security", "health"}

func (s Slot) String() string {
	if s < 0 || int(s) >= len(slotNames) {
		return "respawn"
	}
	return slotNames[s]
}

// Process is what one slot runs: a shell script or a command line.
type Process struct {
	Script bool
	Text   string
}

// Defined reports whether the class has this process. An empty script is one.
func (p Process) Defined() bool { return p.Script || p.Text != "" }

// Processes are those of a class by slot, no further than the last defined.
type Processes []Process

// Of returns the process of a slot.
func (p Processes) Of(slot Slot) Process {
	if int(slot) >= len(p) {
		return Process{}
	}
	return p[slot]
}

// Set defines the process of a slot.
func (p *Processes) Set(slot Slot, process Process) {
	if missing := int(slot) + 1 - len(*p); missing > 0 {
		*p = append(*p, make(Processes, missing)...)
	}
	(*p)[slot] = process
}

// ExpectKind is the readiness protocol of the main process.
type ExpectKind uint8

// The protocols of UPSTART §2.8, then those of EXTENSIONS §4.
const (
	ExpectNone ExpectKind = iota
	ExpectStop
	ExpectFork
	ExpectDaemon
	ExpectListen
	ExpectDBus
	ExpectNotify
	ExpectFD
)

// ExpectKinds are the words of the expect stanza, by ExpectKind.
var ExpectKinds = []string{"none", "stop", "fork", "daemon", "listen", "dbus", "notify", "fd"}

func (k ExpectKind) String() string { return ExpectKinds[k] }

// Console is where the standard descriptors of a job's processes lead.
type Console uint8

// The consoles of the console stanza.
const (
	ConsoleLog Console = iota
	ConsoleNone
	ConsoleOutput
	ConsoleOwner
)

// Unlimited is the resource limit "unlimited".
const Unlimited = ^uint64(0)

// Limit is one resource limit; both zero and Set is a limit of zero.
type Limit struct {
	Set        bool
	Soft, Hard uint64
}

// LimitNames are the resource limits in the order of UPSTART's state format.
var LimitNames = [...]string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
	"memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"}

// NumLimits is the number of resource limits.
const NumLimits = len(LimitNames)

// Cgroup is one cgroup stanza line, merged by controller (UPSTART §1.4.1).
type Cgroup struct {
	Controller string
	Names      []CgroupName
}

// CgroupName is one group of a controller with its settings in order.
type CgroupName struct {
	Name     string
	Settings []Setting
}

// Setting is a key with a value.
type Setting struct{ Key, Value string }

// Origin is the text a class was made from. A class is a pure function of
// its origin and the parser's defaults, so a snapshot keeps only this.
type Origin struct {
	Path         string // of the conf file
	Text         string
	OverridePath string // empty without override
	OverrideText string
}

// RespawnOn chooses the ends of main that respawn a job.
type RespawnOn uint8

// The choices; the default is Upstart's rule (UPSTART §2.6). Either of the
// others turns respawning on.
const (
	RespawnDefault RespawnOn = iota
	RespawnFailure
	RespawnAlways
)

// KillMode chooses what a stop signals (EXTENSIONS §4).
type KillMode uint8

// The modes; the default is tree where the kernel tracks trees, else group.
const (
	KillDefault KillMode = iota
	KillGroup
	KillTree
	KillProcess
)

// Class is one parsed job definition. It is immutable once parsed, and there
// are many: what most leave alone is in parts that equal classes share.
type Class struct {
	Name    string // path below the configuration directory, without .conf
	Origin  Origin
	StartOn expr.Tree
	StopOn  expr.Tree
	While   expr.Tree
	Process Processes

	*About
	*Rules
	Attrs *Attrs
}

// About is what a class says of itself and which variables it deals in.
type About struct {
	Description, Author, Version, Usage string

	Instance string // pattern; empty for a singleton
	Env      []string
	Export   []string
	Import   []string // ChromeOS; nil without an import stanza
	Emits    []string
	Provides []string
}

// Rules are how a job is started, watched and stopped.
type Rules struct {
	Manual    bool // manual stands after the last start on and while
	Task      bool
	Debug     bool
	Respawn   bool
	RespawnOn RespawnOn
	KillMode  KillMode

	Expect       Expect
	KillTimeout  int // seconds
	KillSignal   Signal
	ReloadSignal Signal

	RespawnLimit    int // deaths; 0 = unlimited
	RespawnInterval int // seconds; 0 = unlimited
	RespawnDelay    time.Duration
	RespawnDelayMax time.Duration // 0 = no doubling
	NormalExit      []Status

	Health       HealthRule
	Watchdog     int // seconds; 0 = none
	StartTimeout int // seconds; 0 = none
	StopTimeout  int // seconds; 0 = none
}

// NewClass returns a class without anything.
func NewClass(name string) *Class {
	return &Class{Name: name, About: new(About), Rules: new(Rules), Attrs: new(Attrs)}
}

// Clone returns a class of its own, with parts of its own.
func (c *Class) Clone() *Class {
	about, rules, attrs := *c.About, *c.Rules, *c.Attrs
	d := *c
	d.Process, d.About, d.Rules, d.Attrs = slices.Clone(c.Process), &about, &rules, &attrs
	return &d
}

// Expect is the readiness protocol with its argument.
type Expect struct {
	Kind    ExpectKind
	Arg     string // address of listen, name of dbus
	FD      int    // of fd
	Timeout int    // seconds; 0 = none
}

// HealthRule says when the health process runs and when main has failed by it
// (EXTENSIONS §6).
type HealthRule struct {
	Interval int // seconds from the end of a check to the next
	Timeout  int // seconds
	Failures int // in a row that count as the death of main
}

// Attrs are the attributes a process of the job is set up with, as the job
// file asks for them (UPSTART §4, EXTENSIONS §5).
type Attrs struct {
	Console  Console
	HasNice  bool
	Umask    int // -1: the default of this init
	Nice     int
	OOM      int     // -1000..1000; 0 leaves it alone
	Limits   []Limit // by LimitNames; nil without any
	Chroot   string
	Chdir    string
	Setuid   string
	Setgid   string
	AppArmor string // apparmor switch: profile pattern
	Cgroups  []Cgroup
	Tmpfiles []string // ChromeOS

	Isolation *Isolation // nil without any of its stanzas
}

// Shared are the last few parts of classes that differ. Most jobs ask for
// nothing special, or for the same as others.
type Shared struct {
	about []*About
	rules []*Rules
	attrs []*Attrs
}

// Share has a class use the memory of one before that asks for the same.
func (s *Shared) Share(c *Class) {
	c.About, c.Rules, c.Attrs = share(&s.about, c.About), share(&s.rules, c.Rules), share(&s.attrs, c.Attrs)
}

func share[T any](last *[]*T, part *T) *T {
	for _, p := range *last {
		if reflect.DeepEqual(p, part) {
			return p
		}
	}
	const few = 8
	*last = append((*last)[max(0, len(*last)-few+1):], part)
	return part
}

// Isolation holds the stanzas of EXTENSIONS §5 and the scheduling stanzas of
// §6; few jobs have any.
type Isolation struct {
	Namespaces  []Namespace
	Private     []string // tmp, dev, network
	ReadOnly    []string
	Hide        []string
	Bind        []Setting // from, to
	CapBounding []string
	CapAmbient  []string
	NoNewPrivs  bool
	Seccomp     string
	Setgroups   []string
	Credentials []Setting // name, path
	EnvFiles    []EnvFile
	IOPrio      string
	CPUAffinity string
	Sched       string // policy
	SchedPrio   int
}

// CapabilityNames are the capabilities of Linux by number.
const CapabilityNames = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable " +
	"net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct " +
	"sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap " +
	"mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"

// Capability returns the number of a capability, whose name may be in any
// case and begin with "cap_"; -1 for an unknown one.
func Capability(name string) int {
	return slices.Index(strings.Fields(CapabilityNames), strings.TrimPrefix(strings.ToLower(name), "cap_"))
}

// Namespace is one kind of namespace to create, or to join at Path.
type Namespace struct {
	Kind     string
	Path     string
	Optional bool
}

// EnvFile is a file of KEY=VALUE lines read at each start.
type EnvFile struct {
	Path     string
	Optional bool
}

// Defaults are what init's own options decide about a class (UPSTART §1.4).
type Defaults struct {
	Console Console
	Signals Signals
}

// EnvTable returns the class's env entries on top of base, bare names being
// copied from init's own environment.
func (c *Class) EnvTable(base env.Table, own env.Table) env.Table {
	t := base.Clone()
	for _, e := range c.Env {
		t = t.Add(e, true, own)
	}
	return t
}

// Forks reports whether readiness is told by forking, which needs a trace.
func (x Expect) Forks() bool { return x.Kind == ExpectFork || x.Kind == ExpectDaemon }

// Follows reports whether what goes on without main, when that ends well, is
// main: it went into the background.
func (x Expect) Follows() bool { return x.Kind != ExpectNone && x.Kind != ExpectStop }

// TimeLimit returns the limit on the time for which a state waits for the
// process in slot: what its stanza calls it, and seconds, 0 being none
// (EXTENSIONS §4, §6).
func (c *Class) TimeLimit(slot Slot) (name string, seconds int) {
	switch slot {
	case Main:
		return "expect", c.Expect.Timeout
	case Security, PreStart, PostStart:
		return "start", c.StartTimeout
	case Health:
		return "health", c.Health.Timeout
	default:
		return "stop", c.StopTimeout
	}
}

// Respawns reports whether main is ever started again after it ended.
func (c *Class) Respawns() bool { return c.Respawn || c.RespawnOn != RespawnDefault }

// Imports reports whether an event variable of that name reaches the job.
// Without an import stanza every variable does.
func (c *Class) Imports(key string) bool { return c.Import == nil || slices.Contains(c.Import, key) }
