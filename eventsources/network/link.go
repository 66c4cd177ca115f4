package network

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// link is a network interface as the kernel tells of it.
type link struct {
	index    int
	name     string
	up       bool // it carries packets
	loopback bool
	state    string // up, unknown, down and so on of RFC 2863; empty: not told
	address  string // of the hardware; empty: none, or not told
}

// errShort is that a message of the kernel ends before what it announces.
var errShort = errors.New("it is too short")

// env is what events tell of a link.
func (l *link) env() []string {
	env := []string{"IFACE=" + l.name, "INTERFACE=" + l.name}
	if l.state != "" {
		env = append(env, "OPERSTATE="+l.state)
	}
	if l.address != "" {
		env = append(env, "ADDRESS="+l.address)
	}
	return env
}

// change is what a kernel tells at once. What a link was before it came again
// counts too: each is told in its order.
type change struct {
	links []linkChange
	all   bool   // the links are all there are
	reach *reach // nil: as before
}

type linkChange struct {
	link
	gone bool
}

// reach is what leads out of the machine.
type reach struct {
	addresses []address
	ways      []way
}

// address is that a link has one of global scope.
type address struct {
	index int
	v6    bool
}

// way is a default route.
type way struct {
	index  int // of the link it leads through
	v6     bool
	metric uint32 // less is better
}

// out returns the best default route through a link that is up, where such a
// link has an address of its family.
func (r *reach) out(links map[int]link) (best way, ok bool) {
	usable := func(index int) bool { return links[index].up && !links[index].loopback }
	ways := slices.Clone(r.ways)
	slices.SortStableFunc(ways, func(a, b way) int {
		if a.v6 != b.v6 { // IPv4 first
			return map[bool]int{false: -1, true: 1}[a.v6]
		}
		return cmp.Compare(a.metric, b.metric)
	})
	for _, w := range ways {
		if usable(w.index) && slices.ContainsFunc(r.addresses, func(a address) bool { return a.v6 == w.v6 && usable(a.index) }) {
			return w, true
		}
	}
	return way{}, false
}

// local reports whether a link that is up has an address.
func (r *reach) local(links map[int]link) bool {
	return slices.ContainsFunc(r.addresses, func(a address) bool { return links[a.index].up && !links[a.index].loopback })
}

// printable returns bytes that anybody may have chosen as the text of a
// variable: \ is \\, and what is not printable, or not UTF-8, \xHH a byte.
func printable(raw string) string {
	var b strings.Builder
	for len(raw) > 0 {
		r, n := utf8.DecodeRuneInString(raw)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r):
			for _, c := range []byte(raw[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(raw[:n])
		}
		raw = raw[n:]
	}
	return b.String()
}
