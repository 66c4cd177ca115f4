package timers

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var stamped = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// someEntries are one of each kind.
func someEntries() map[string]*entry {
	return map[string]*entry{
		"EVERY=1m":                   {ran: 3, ref: timeOf(stamped.UnixNano()), last: timeOf(stamped.UnixNano() + 1), due: 7 * time.Second},
		"AFTER=a \"b\n\x00c\x00\xff": {gone: true},
	}
}

func TestStateIsReadAsWritten(t *testing.T) {
	now := moment{stamped, 5 * time.Second}
	s, err := decode(encode(someEntries(), "a boot", now))
	if err != nil || !reflect.DeepEqual(s.entries, someEntries()) || s.boot != "a boot" || s.run != now.run || !s.dueWall["EVERY=1m"].Equal(stamped.Add(2*time.Second)) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := decode(encode(nil, "", now)); err != nil || len(s.entries) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestCutStateIsGarbage(t *testing.T) {
	text := encode(someEntries(), "a boot", moment{})
	for n := range text {
		if s, err := decode(text[:n]); err == nil {
			t.Errorf("%q: %+v", text[:n], s)
		}
	}
	for _, change := range [][2]string{{"timers 1", "timers 2"}, {"end 2", "end 1"}, {"3 ", "-3 "}, {"3 ", "x "}, {`"EVERY`, "EVERY"}} {
		if s, err := decode([]byte(strings.Replace(string(text), change[0], change[1], 1))); err == nil {
			t.Errorf("%q: %+v", change, s)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add(encode(someEntries(), "a boot", moment{stamped, time.Second}))
	f.Add([]byte(header + " \"\" 0\nend 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decode(text)
		if err != nil {
			return
		}
		again, err := decode(encode(s.entries, s.boot, moment{stamped, s.run}))
		if err != nil || !reflect.DeepEqual(again.entries, s.entries) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func (p *played) expect(want ...string) {
	p.t.Helper()
	if got := p.said(); !slices.Equal(got, want) {
		p.t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestGarbageIsMovedAside(t *testing.T) {
	p := newPlayed(t, stamped)
	p.do("job p EVERY=1h PERSISTENT=yes")
	p.kill()
	file := filepath.Join(p.dir, "durable", "timers")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, text[:len(text)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.do("kill 30m")
	p.expect("log DIR/durable/timers: it is not what was written there; it is now DIR/durable/timers.bad, and timers begin anew")
	if bad, err := os.ReadFile(file + ".bad"); err != nil || len(bad) != len(text)/2 {
		t.Errorf("%q, %v", bad, err)
	}
	p.do("pass 59m")
	p.expect()
	p.do("pass 1m")
	p.expect("2026-11-20T13:30:00Z EVERY=1h PERSISTENT=yes")
}

// TestTwoProcesses wants one of two that have the same files to wait for the
// other.
func TestTwoProcesses(t *testing.T) {
	p := newPlayed(t, stamped)
	p.do("job p EVERY=1m")
	p.do("pass 61s")
	p.expect("2026-11-20T12:01:00Z EVERY=1m")
	second := *p
	second.clock = newFakeClock(p.clock.at.wall)
	second.clock.at = p.clock.at
	second.start()
	second.do("pass 5m")
	second.expect("log another process has the timers in DIR/volatile/timers; those that are kept there wait for its end",
		"log another process has the timers in DIR/durable/timers; those that are kept there wait for its end")
	p.do("pass 5m")
	if n := len(p.said()); n != 5 {
		t.Errorf("%d runs", n)
	}
	p.kill()
	second.do("pass 60s")
	second.expect("2026-11-20T12:07:00Z EVERY=1m")
}

// TestFolderThatComesLater is a /var that is mounted after the start.
func TestFolderThatComesLater(t *testing.T) {
	p := newPlayed(t, stamped)
	p.do(`job p CRON="0 4 * * *" PERSISTENT=yes`)
	p.do("pass 1d")
	p.expect("2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes")
	p.kill()
	durable := filepath.Join(p.dir, "durable")
	if err := os.Rename(durable, durable+".away"); err != nil {
		t.Fatal(err)
	}
	for _, there := range []bool{false, true} { // another folder, and something that is none
		if !there {
			if err := os.WriteFile(durable, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.do("kill 1d")
		if !there {
			p.expect("log what timers did is not kept: mkdir DIR/durable: not a directory")
			if err := os.Remove(durable); err != nil {
				t.Fatal(err)
			}
			continue
		}
		p.expect()
	}
	if err := os.RemoveAll(durable); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(durable+".away", durable); err != nil {
		t.Fatal(err)
	}
	p.do("pass 2m")
	p.expect(fmt.Sprintf("%s CRON=0 4 * * * PERSISTENT=yes late %v", "2026-11-22T04:00:00Z", 32*time.Hour+time.Minute))
}

func TestFolders(t *testing.T) {
	for _, c := range []struct{ session, home, state, runtime, want string }{
		{"", "/home/u", "/s", "/r", volatileFolder + "/timers " + durableFolder + "/timers"},
		{"unix:abstract=/com/ubuntu/upstart-session/1000/77", "/home/u", "", "/run/user/1000", "/run/user/1000/onset/timers.77 /home/u/.local/state/onset/timers"},
		{"unix:path=/run/user/1000/upstart/77.socket", "/home/u", "/s", "relative", "/s/onset/timers.77 /s/onset/timers"},
		{"unix:path=/x/77.socket,guid=1", "", "", "/r", "/r/onset/timers.77 /r/onset/timers"},
	} {
		t.Setenv("UPSTART_SESSION", c.session)
		t.Setenv("HOME", c.home)
		t.Setenv("XDG_STATE_HOME", c.state)
		t.Setenv("XDG_RUNTIME_DIR", c.runtime)
		stores := Source{}.stores()
		if got := stores[volatile].path + " " + stores[durable].path; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
