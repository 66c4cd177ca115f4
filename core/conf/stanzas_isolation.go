package conf

import (
	"slices"
	"strconv"
	"strings"

	"onset/core/job"
)

var (
	namespaceKinds = []string{"mount", "pid", "net", "uts", "ipc", "user", "cgroup", "time"}
	privateKinds   = []string{"tmp", "dev", "network"}
	ioClasses      = []string{"realtime", "best-effort", "idle"}
	schedPolicies  = []string{"other", "batch", "idle", "fifo", "rr"}
)

// realtimePolicies is where the policies with a priority start.
const realtimePolicies = 3

// isolation returns the class's isolation, made at the first of its stanzas.
func (p *parser) isolation() *job.Isolation {
	if p.class.Attrs.Isolation == nil {
		p.class.Attrs.Isolation = &job.Isolation{}
	}
	return p.class.Attrs.Isolation
}

// pair returns the two arguments of the line.
func (p *parser) pair() job.Setting {
	s := job.Setting{Key: p.arg(), Value: p.arg()}
	p.end()
	return s
}

// set replaces the setting with the same key, or adds one.
func set(settings []job.Setting, s job.Setting) []job.Setting {
	for i := range settings {
		if settings[i].Key == s.Key {
			settings[i] = s
			return settings
		}
	}
	return append(settings, s)
}

// The group that a cgroup stanza without a name means.
const defaultGroup = "$UPSTART_CGROUP"

// cgroup reads CONTROLLER [NAME] [KEY VALUE] (UPSTART §1.4.1).
func (p *parser) cgroup() {
	args := make([]string, 1, 4)
	args[0] = p.arg()
	for p.err == nil && p.more() && len(args) < 4 {
		args = append(args, p.arg())
	}
	p.end()
	name := defaultGroup
	if len(args)%2 == 0 {
		name = args[1]
	}
	group := p.cgroupName(args[0], name)
	if n := len(args); n > 2 {
		group.Settings = set(group.Settings, job.Setting{Key: args[n-2], Value: args[n-1]})
	}
}

// cgroupName returns the place of a group in the class, made if it is new.
func (p *parser) cgroupName(controller, name string) *job.CgroupName {
	groups := &p.class.Attrs.Cgroups
	i := slices.IndexFunc(*groups, func(g job.Cgroup) bool { return g.Controller == controller })
	if i < 0 {
		i = len(*groups)
		*groups = append(*groups, job.Cgroup{Controller: controller})
	}
	names := &(*groups)[i].Names
	j := slices.IndexFunc(*names, func(n job.CgroupName) bool { return n.Name == name })
	if j < 0 {
		j = len(*names)
		*names = append(*names, job.CgroupName{Name: name})
	}
	return &(*names)[j]
}

// namespace reads [optional] KIND…, where a path after net is one to join.
func (p *parser) namespace() {
	list := &p.isolation().Namespaces
	optional := false
	for first := true; p.err == nil && (first || p.more()); first = false {
		word := p.arg()
		if word == "optional" && first && !optional {
			optional = true
			word = p.arg()
		}
		if p.err == nil && !slices.Contains(namespaceKinds, word) {
			p.unknown("namespace", namespaceKinds)
			return
		}
		ns := job.Namespace{Kind: word, Optional: optional}
		if word == "net" && p.err == nil && p.more() && strings.HasPrefix(strings.TrimLeft(p.text[p.pos:], `"'`), "/") {
			ns.Path = p.arg()
		}
		i := slices.IndexFunc(*list, func(n job.Namespace) bool { return n.Kind == word })
		if i < 0 {
			*list = append(*list, ns)
		} else {
			(*list)[i] = ns
		}
	}
	p.end()
}

// private reads KIND….
func (p *parser) private() {
	i := p.isolation()
	for first := true; p.err == nil && (first || p.more()); first = false {
		kind := privateKinds[p.choice("private", privateKinds)]
		if !slices.Contains(i.Private, kind) {
			i.Private = append(i.Private, kind)
		}
	}
	p.end()
}

// capabilities reads NAME….
func (p *parser) capabilities(dst []string) []string {
	for first := true; p.err == nil && (first || p.more()); first = false {
		name := p.arg()
		if p.err == nil && job.Capability(name) < 0 {
			p.fail(unknownCap)
			p.suggest("", strings.Fields(job.CapabilityNames))
		}
		dst = append(dst, name)
	}
	p.end()
	return dst
}

// envFile reads the path of env file; a minus before it allows it to miss.
func (p *parser) envFile() {
	path, optional := strings.CutPrefix(p.only(), "-")
	if path == "" {
		p.fail(expectedToken)
	}
	i := p.isolation()
	i.EnvFiles = append(i.EnvFiles, job.EnvFile{Path: path, Optional: optional})
}

// ioprio reads CLASS [LEVEL]; idle has no levels.
func (p *parser) ioprio() {
	class := ioClasses[p.choice("ioprio", ioClasses)]
	if class != "idle" && p.err == nil && p.more() {
		class += " " + strconv.Itoa(p.number(10, 0, 7, illegalIOLevel))
	}
	p.isolation().IOPrio = class
	p.end()
}

// cpuAffinity reads numbers and ranges, apart or with commas; they are kept
// with commas.
func (p *parser) cpuAffinity() {
	var parts []string
	for first := true; p.err == nil && (first || p.more()); first = false {
		for part := range strings.SplitSeq(p.arg(), ",") {
			low, high, ranged := strings.Cut(part, "-")
			a, okA := cpu(low)
			b, okB := cpu(high)
			if !okA || ranged && (!okB || b < a) {
				p.fail(illegalCPUs)
			}
			parts = append(parts, part)
		}
	}
	p.isolation().CPUAffinity = strings.Join(parts, ",")
	p.end()
}

func cpu(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

// sched reads POLICY [PRIO]; the realtime policies need the priority, the
// others have none.
func (p *parser) sched() {
	policy := p.choice("sched", schedPolicies)
	prio := 0
	if policy >= realtimePolicies {
		prio = p.number(10, 1, 99, illegalSchedPrio)
	}
	p.end()
	i := p.isolation()
	i.Sched, i.SchedPrio = schedPolicies[policy], prio
}
