package socket

import (
	"strings"
	"testing"

	"onset/core/expr"
)

func TestOperands(t *testing.T) {
	for _, c := range []struct{ operand, env, address string }{
		{"PROTO=inet PORT=80", "PROTO=inet PORT=80 ADDR=0.0.0.0", "0.0.0.0:80"},
		{"PROTO=inet PORT=80 ADDR=127.0.0.1", "PROTO=inet PORT=80 ADDR=127.0.0.1", "127.0.0.1:80"},
		{"PROTO=inet ADDR=127.0.0.1 PORT=80", "PROTO=inet PORT=80 ADDR=127.0.0.1", "127.0.0.1:80"},
		{"PROTO=inet6 PORT=80", "PROTO=inet6 PORT=80 ADDR=::", "[::]:80"},
		{"PROTO=inet6 PORT=80 ADDR=0::1", "PROTO=inet6 PORT=80 ADDR=0::1", "[::1]:80"},
		{"PROTO=inet6 PORT=80 V6ONLY=no", "PROTO=inet6 PORT=80 ADDR=:: V6ONLY=no", "[::]:80"},
		{"PROTO=unix PATH=/run/x", "PROTO=unix SOCKET_PATH=/run/x PATH=/run/x", "/run/x"},
		{"PROTO=unix SOCKET_PATH=/run/x", "PROTO=unix SOCKET_PATH=/run/x PATH=/run/x", "/run/x"},
		{"PROTO=unix PATH=/run/x SOCKET_PATH=/run/x", "PROTO=unix SOCKET_PATH=/run/x PATH=/run/x", "/run/x"},
		{"PROTO=unix PATH=@x MODE=0600 OWNER=root GROUP=0", "PROTO=unix SOCKET_PATH=@x PATH=@x MODE=0600 OWNER=root GROUP=0", "@x"},
		{"PROTO=inet TYPE=dgram PORT=53 FDNAME=dns", "PROTO=inet PORT=53 ADDR=0.0.0.0 TYPE=dgram FDNAME=dns", "0.0.0.0:53"},
		{"PROTO=inet PORT=22 ACCEPT=yes MAXCONN=2 BACKLOG=9", "PROTO=inet PORT=22 ADDR=0.0.0.0 ACCEPT=yes MAXCONN=2 BACKLOG=9", "0.0.0.0:22"},
		{"PROTO=netlink FAMILY=route GROUP=1", "PROTO=netlink FAMILY=route GROUP=1", "netlink family 0"},
		{"PROTO=fifo PATH=/run/f", "PROTO=fifo PATH=/run/f", "/run/f"},
		{"PROTO=vsock PORT=4000000000 CID=2", "PROTO=vsock PORT=4000000000 CID=2", "vsock port 4000000000"},
		// Words of Upstart's may be cut short.
		{"PRO=inet PO=80 AD=127.0.0.1", "PROTO=inet PORT=80 ADDR=127.0.0.1 PRO=inet PO=80 AD=127.0.0.1", "127.0.0.1:80"},
		{"PROTO=unix PA=/x", "PROTO=unix SOCKET_PATH=/x PATH=/x PA=/x", "/x"},
	} {
		args := strings.Fields(c.operand)
		s, err := parse(args)
		if c.env == "" {
			if err == nil {
				t.Errorf("%s: %q", c.operand, s.env)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.operand, err)
			continue
		}
		if got := s.key(); got != c.env || s.address() != c.address {
			t.Errorf("%s: %q at %s, want %q at %s", c.operand, got, s.address(), c.env, c.address)
		}
		if n := (expr.Node{Name: "socket", Args: args}); !n.Matches(&expr.Subject{Name: "socket", Env: s.env}, verbatim) {
			t.Errorf("%s does not match its own event %q", c.operand, s.env)
		}
	}
}

func verbatim(pattern string) (string, error) { return pattern, nil }

func TestBadOperands(t *testing.T) {
	for operand, want := range map[string]string{
		"":                                             "incomplete socket event",
		"PROTO=inet":                                   "incomplete socket event",
		"PROTO=unix":                                   "incomplete socket event",
		"PROTO=netlink GROUP=1":                        "incomplete socket event",
		"PROTO=inet 80":                                "socket event without variable name",
		"PROTO=inet =80":                               "socket event without variable name",
		"inet":                                         "socket event without variable name",
		"PROTO=tcp PORT=80":                            "socket event with unknown PROTO=tcp",
		"PROTO= PORT=80":                               "socket event with unknown PROTO=",
		"PORT=80":                                      "socket event with unknown variable PORT",
		"PORT=80 PROTO=inet":                           "socket event with unknown variable PORT",
		"PROTO!=inet PORT=80":                          "socket event with unknown variable PROTO!",
		"PROTO=inet PROTO=unix":                        "socket event with invalid PROTO=unix",
		"PROTO=inet PORT=80 PATH=x":                    "socket event with unknown variable PATH",
		"PROTO=unix PORT=80":                           "socket event with unknown variable PORT",
		"PROTO=inet PORT=80 X=":                        "socket event with unknown variable X",
		"PROTO=inet PORTS=80":                          "socket event with unknown variable PORTS",
		"PROTO=inet PORT=0":                            "socket event with invalid PORT=0",
		"PROTO=inet PORT=65536":                        "socket event with invalid PORT=65536",
		"PROTO=inet PORT=http":                         "socket event with invalid PORT=http",
		"PROTO=inet PORT=-1":                           "socket event with invalid PORT=-1",
		"PROTO=inet PORT=80 ADDR=localhost":            "socket event with invalid ADDR=localhost",
		"PROTO=inet PORT=80 PO=81":                     "socket event with invalid PORT=81",
		"P=inet6 PO=1 A=:: A=::0":                      "socket event with invalid ADDR=::0",
		"PROTO=inet PORT=80 ADDR=::1":                  "socket event with invalid ADDR=::1",
		"PROTO=inet6 PORT=80 ADDR=1.2.3.4":             "socket event with invalid ADDR=1.2.3.4",
		"PROTO=inet PORT=80 TYPE=raw":                  "socket event with invalid TYPE=raw",
		"PROTO=inet PORT=80 TYPE=seqpacket":            "socket event with invalid TYPE=seqpacket",
		"PROTO=inet PORT=80 TYPE=dgram ACCEPT=yes":     "socket event with invalid ACCEPT=yes for datagrams",
		"PROTO=inet PORT=80 TYPE=dgram NODELAY=yes":    "socket event with invalid NODELAY=yes for datagrams",
		"PROTO=inet PORT=80 ACCEPT=true":               "socket event with invalid ACCEPT=true",
		"PROTO=inet PORT=80 MAXCONN=0":                 "socket event with invalid MAXCONN=0",
		"PROTO=inet PORT=80 FDNAME=a:b":                "socket event with invalid FDNAME=a:b",
		"PROTO=inet PORT=80 DEVICE=0123456789abcdef":   "socket event with invalid DEVICE=0123456789abcdef",
		"PROTO=unix PATH=x":                            "socket event with invalid PATH=x",
		"PROTO=unix PATH=@":                            "socket event with invalid PATH=@",
		"P=unix PA=@!=x":                               "socket event with invalid PATH=@!=x",
		"PROTO=unix PATH=/x SOCKET_PATH=/y":            "socket event with invalid SOCKET_PATH=/y",
		"PROTO=unix PATH=/x MODE=0999":                 "socket event with invalid MODE=0999",
		"PROTO=unix PATH=/x MODE=7777":                 "socket event with invalid MODE=7777",
		"PROTO=fifo PATH=@x":                           "socket event with invalid PATH=@x",
		"PROTO=netlink FAMILY=rout":                    "socket event with invalid FAMILY=rout",
		"PROTO=unix PATH=/" + strings.Repeat("x", 107): "socket event with invalid PATH=/" + strings.Repeat("x", 107),
	} {
		if s, err := parse(strings.Fields(operand)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, %v; want %s", operand, s, err, want)
		}
	}
}

// FuzzOperand wants what can be read to match its own event, and to be the
// same again if its event is read.
func FuzzOperand(f *testing.F) {
	for _, text := range []string{"PROTO=inet PORT=80", "P=unix PA=@x", "PROTO=inet6 PORT=1 ADDR=fe80::1%lo TYPE=dgram",
		"PROTO=netlink FAMILY=route GROUP=1", "PROTO=vsock PORT=1 CID=3 ACCEPT=yes", "PROTO=fifo PATH=/f MODE=600 OWNER=root", "P=unix PA=@!=x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, " ")
		s, err := parse(args)
		if err != nil {
			return
		}
		again, err := parse(s.env)
		if err != nil || again.key() != s.key() || again.address() != s.address() {
			t.Fatalf("%q makes %q, and that %v, %v", text, s.env, again, err)
		}
		seen := map[string]bool{}
		for _, arg := range args {
			word, value, _ := strings.Cut(arg, "=")
			if strings.ContainsAny(value, `*?[\`) || strings.HasSuffix(word, "!") || seen[word] {
				return // no plain value, or one of two
			}
			seen[word] = true
		}
		if n := (expr.Node{Name: "socket", Args: args}); !n.Matches(&expr.Subject{Name: "socket", Env: s.env}, verbatim) {
			t.Fatalf("%q does not match %q", text, s.env)
		}
	})
}
