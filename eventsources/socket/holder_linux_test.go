package socket

import (
	"net/netip"
	"strings"
	"testing"
)

const (
	hasHolders  = true
	allTakeEach = true // a socket for all addresses is in the way of one for an address
)

func TestTables(t *testing.T) {
	tcp := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0 0 10 0
   1: 0200007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0000000000000000 100 0 0 10 0
   3: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 14 1
   4: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 15 1
   5: 000000000000:0050 0:0 0A 0:0 0:0 0 0 0 16
   6: 0100007F:0051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1
   7: 0100007F:0
`
	unixTable := `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 21 /run/a
0000000000000000: 00000002 00000000 00010000 0001 01 22 @a
0000000000000000: 00000002 00000000 00010000 0001 01 23
`
	for _, c := range []struct{ operand, want string }{
		{"PROTO=inet PORT=80 ADDR=127.0.0.1", "11 14 15"},
		{"PROTO=inet PORT=80", "11 12 14 15"},
		{"PROTO=inet PORT=81", "17"},
		{"PROTO=inet PORT=82", ""},
		{"PROTO=unix PATH=/run/a", "21"},
		{"PROTO=unix PATH=@a", "22"},
	} {
		s, err := parse(strings.Fields(c.operand))
		if err != nil {
			t.Fatal(err)
		}
		got := append(s.inetInodes(rows(tcp)), s.unixInodes(rows(unixTable))...)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.operand, got, c.want)
		}
	}
}

func rows(text string) (list [][]string) {
	for line := range strings.Lines(text) {
		list = append(list, strings.Fields(line))
	}
	return list
}

func FuzzEndpoint(f *testing.F) {
	f.Add("0100007F:0050")
	f.Add("00000000000000000000000001000000:1F90")
	f.Fuzz(func(t *testing.T, text string) {
		if at, ok := parseEndpoint(text); ok && (!at.IsValid() || at == netip.AddrPort{}) {
			t.Errorf("%q is %v", text, at)
		}
	})
}
