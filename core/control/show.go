package control

import (
	"fmt"
	"strconv"
	"strings"

	"onset/core/expr"
)

// JobName is the printed name of an instance: with the instance name in
// parentheses unless that is empty.
func JobName(class, instance string) string {
	if instance == "" {
		return class
	}
	return class + " (" + instance + ")"
}

// StatusLine is what initctl prints about an instance, without the final
// newline (UPSTART §7.3). A class without instances has goal stop, state
// waiting and no processes. RespawnAt is empty unless a respawn is delayed.
func StatusLine(class, instance, goal, state, respawnAt string, processes []ProcessInfo) string {
	s := JobName(class, instance) + " " + goal + "/" + state
	if respawnAt != "" {
		s += ", respawn at " + respawnAt
	}
	for i, p := range processes {
		pid := "process " + strconv.Itoa(p.PID)
		switch {
		case i > 0:
			s += "\n\t" + p.Name + " " + pid
		case p.Name == "main" || p.Name == "pre-start" || p.Name == "post-stop":
			s += ", " + pid
		default:
			s += ", (" + p.Name + ") " + pid
		}
	}
	return s
}

// StatusNotes is what initctl prints below the status line of what main waits
// for or is about, and says of itself, and of how often the job has lost
// processes for want of memory.
func StatusNotes(phase, text string, oomKills int32) string {
	s := ""
	if phase != "" {
		s = "\n\t" + phase
	}
	if text != "" {
		s += "\n\t" + strconv.Quote(text)
	}
	if oomKills > 0 {
		s += fmt.Sprintf("\n\tkilled for want of memory: %d", oomKills)
	}
	return s
}

// TreeText is what initctl prints of a tree below the status line: a line for
// each process, indented below its parent, and what they use.
func TreeText(t *Tree) string {
	var b strings.Builder
	depth := map[int]int{0: 1}
	for _, p := range t.Processes {
		depth[p.PID] = depth[p.Parent] + 1
		fmt.Fprintf(&b, "%s%d %s", strings.Repeat("  ", depth[p.Parent]), p.PID, p.Command)
		if p.Parent == 0 && p.Slot != "main" {
			fmt.Fprintf(&b, " (%s)", p.Slot)
		}
		b.WriteByte('\n')
	}
	if t.Usage != nil {
		b.WriteString("  using " + t.Usage.text() + "\n")
	}
	return b.String()
}

func (u *Usage) text() string {
	var parts []string
	if u.CPU != nil {
		parts = append(parts, fmt.Sprintf("%.3f s of processor time", float64(*u.CPU)/1e6))
	}
	if u.Memory != nil {
		parts = append(parts, fmt.Sprintf("%.1f MiB of memory", float64(*u.Memory)/(1<<20)))
	}
	if u.PIDs != nil {
		parts = append(parts, fmt.Sprintf("%d tasks", *u.PIDs))
	}
	return strings.Join(parts, ", ")
}

// ClassInfo is what the tools know of a class, from its properties.
type ClassInfo struct {
	Name            string
	Emits, Provides []string
	StartOn, StopOn expr.Tree
	While           expr.Tree
}

// condition is one of a class's expressions with the words it begins with.
type condition struct {
	stanza string
	tree   expr.Tree
}

func (c *ClassInfo) conditions() []condition {
	return []condition{{"start on", c.StartOn}, {"stop on", c.StopOn}, {"while", c.While}}
}

// ShowConfig prints the names and conditions of a class (UPSTART §7.4), each
// line with its newline.
func ShowConfig(c *ClassInfo) string {
	var b strings.Builder
	c.writeNames(&b)
	for _, cond := range c.conditions() {
		if len(cond.tree) > 0 {
			b.WriteString("  " + cond.stanza + " " + cond.tree.String() + "\n")
		}
	}
	return b.String()
}

// ShowConfigEvents is ShowConfig with a line for each operand (option -e).
func ShowConfigEvents(c *ClassInfo) string {
	var b strings.Builder
	c.writeNames(&b)
	for _, cond := range c.conditions() {
		for n := range cond.tree.Operands {
			writeOperand(&b, cond.stanza, n)
		}
	}
	return b.String()
}

func (c *ClassInfo) writeNames(b *strings.Builder) {
	b.WriteString(c.Name + "\n")
	for _, e := range c.Emits {
		b.WriteString("  emits " + e + "\n")
	}
	for _, p := range c.Provides {
		b.WriteString("  provides " + p + "\n")
	}
}

func writeOperand(b *strings.Builder, stanza string, n expr.Node) {
	job, at := jobOf(n)
	b.WriteString("  " + stanza + " " + n.Name + " (job:")
	if at >= 0 {
		b.WriteString(" " + job)
	}
	b.WriteString(", env:")
	for i, a := range n.Args {
		if i != at {
			b.WriteString(" " + a)
		}
	}
	b.WriteString(")\n")
}

// jobOf returns the job an operand on a job event names, and which of its
// arguments does that; at is -1 without one.
func jobOf(n expr.Node) (job string, at int) {
	switch n.Name {
	case "starting", "started", "stopping", "stopped":
	default:
		return "", -1
	}
	if len(n.Args) > 0 && !strings.Contains(n.Args[0], "=") {
		return n.Args[0], 0
	}
	for i, a := range n.Args {
		if name, ok := strings.CutPrefix(a, "JOB="); ok {
			return name, i
		}
	}
	return "", -1
}

// Prefixed puts a program's name before a message. One that begins with a
// word and a colon is taken for one with a place in front, which the name
// joins without a space (UPSTART §7.1).
func Prefixed(prog, message string) string {
	sep := ": "
	if i := strings.IndexAny(message, " \t\r\n:"); i > 0 && message[i] == ':' {
		sep = ":"
	}
	return prog + sep + message
}
