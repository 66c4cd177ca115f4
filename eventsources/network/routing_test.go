package network

import (
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// recorded returns messages that a kernel gave, by their first words.
func recorded(t testing.TB, file string) (kinds []string, messages [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		m, err := hex.DecodeString(words[len(words)-1])
		if err != nil {
			t.Fatal(err)
		}
		kinds, messages = append(kinds, words[0]), append(messages, m)
	}
	return kinds, messages
}

// read reads all messages of route(4) in a buffer, and says what they tell.
func read(b []byte) (told []string, err error) {
	list, err := routingMessages(b)
	for _, m := range list {
		switch m[typeOffset] {
		case rtmIfInfo:
			l, err := parseIfInfo(m)
			if err != nil {
				return told, err
			}
			told = append(told, fmt.Sprintf("link %+v", l.link))
		case rtmNewAddr:
			a, ok, err := parseNewAddr(m)
			if err != nil {
				return told, err
			}
			told = append(told, fmt.Sprintf("address %+v %v", a, ok))
		default:
			w, ok, err := parseGet(m)
			if err != nil {
				return told, err
			}
			told = append(told, fmt.Sprintf("route %+v %v", w, ok))
		}
	}
	return told, err
}

func TestRecordedRoutingMessages(t *testing.T) {
	kinds, messages := recorded(t, "routing")
	var told []string
	for i, m := range messages {
		if kinds[i] == "told" && m[typeOffset] != rtmIfInfo {
			continue // whatever else it is, it is looked at
		}
		got, err := read(m)
		if err != nil {
			t.Fatalf("%x: %v", m, err)
		}
		told = append(told, got...)
	}
	want := []string{
		"link {index:1 name:lo0 up:false loopback:true state:down address:}",
		"link {index:2 name:pflog0 up:false loopback:false state:down address:}",
		"link {index:3 name:epair0a up:true loopback:false state:up address:02:5b:dd:2c:57:0a}",
		"address {index:3 v6:true} false",
		"address {index:3 v6:false} true",
		"link {index:4 name:epair0b up:false loopback:false state:down address:02:5b:dd:2c:57:0b}",
		"address {index:4 v6:true} false",
		"route {index:3 v6:false metric:0} true",
		"route {index:3 v6:false metric:0} false",
		"route {index:0 v6:false metric:0} false",
		"route {index:3 v6:true metric:0} false",
		"route {index:0 v6:false metric:0} false",
		"route {index:4 v6:true metric:0} false",
		"route {index:0 v6:false metric:0} false",
		"link {index:4 name: up:false loopback:false state:down address:}",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// TestCutRoutingMessages cuts each message at each byte: no panic, and what is
// not whole is an error or ignored.
func TestCutRoutingMessages(t *testing.T) {
	_, messages := recorded(t, "routing")
	for _, m := range messages {
		for n := range m {
			if n > 0 {
				if _, err := read(m[:n]); err == nil {
					t.Errorf("%d of the bytes of %x are no error", n, m)
				}
			}
			cut := slices.Clone(m[:n])
			if n >= 2 {
				cut[0], cut[1] = byte(n), byte(n>>8)
				read(cut)
			}
		}
	}
}

func FuzzRoutingMessages(f *testing.F) {
	_, messages := recorded(f, "routing")
	for _, m := range messages {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		told, _ := read(b)
		if len(told) > len(b)/ifDataOffset {
			t.Errorf("%d things in %d bytes", len(told), len(b))
		}
		for _, line := range told {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q", line)
			}
		}
	})
}
