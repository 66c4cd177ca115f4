package timers

import (
	"strings"
	"testing"
	"time"

	"onset/core/expr"
)

func TestOperandsAreRefused(t *testing.T) {
	for _, args := range []string{"", "EVERY=0", "EVERY=", "EVERY=1.5h", "EVERY=-1m", "EVERY=1m 5", "EVERY=1y", "EVERY=999999999w", "EVERY=99999999999999999999",
		"EVERY=h", "EVERY=1m EVERY=2m", "EVERY=1m AT=2027-01-01T00:00:00Z", "COUNT=1", "EVERY=1m COUNT=0", "EVERY=1m COUNT=x", "EVERY=1m COUNT=-1",
		"EVERY=1m PERSISTENT=maybe", "EVERY=1m OVERLAP=run", "EVERY=1m DELAY=1s", "EVERY=1m TZ=UTC", "EVERY!=1m", "AT=tomorrow", "AT=2251-01-01T00:00:00Z", "AT=1969-12-31T00:00:00Z", "AT=2027-01-01",
		"AFTER=", "AFTER=time", "AFTER='\"a'", "EVERY=$X", "EVERY=1m WHAT=1", "CRON='* * *'", "AFTER='a [b]'", "CRON=@daily TZ=Mars/Olympus"} {
		words, err := splitWords(args)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := parse(words, findZone); err == nil {
			t.Errorf("%q: %+v", args, s)
		}
	}
}

func TestEventsAreWrittenAsInJobFiles(t *testing.T) {
	for text, want := range map[string]string{
		`started foo`: "started|foo", ` a  b `: "a|b", `a "b c" 'd "e'`: `a|b c|d "e`, `a K="v w"x`: "a|K=v wx", `a b\ c \"`: `a|b c|"`, `a ""`: "a|",
	} {
		n, err := parseEvent(text)
		if got := strings.Join(append([]string{n.Name}, n.Args...), "|"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", `a "b`, `""`} {
		if n, err := parseEvent(text); err == nil {
			t.Errorf("%q: %+v", text, n)
		}
	}
}

func FuzzOperand(f *testing.F) {
	for _, seed := range []string{`EVERY=10m COUNT=2`, `CRON="0 4 * * 1-5" TZ=Europe/Berlin`, `AT=2027-01-01T00:00:00Z`, `AFTER="started foo" DELAY=30s`,
		`CRON="*/7,L 5W feb-10 1#2 *" JITTER=5`, `FROM=09:00 TO=17:00 DAYS=fri-mon`, `CRON="0 4 * * 1#-5,8#1"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args, err := splitWords(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
		berlin := zone(t, "Europe/Berlin")
		if w, err := parseWindow(args, findZone); err == nil {
			if _, change := w.at(now, berlin); !change.IsZero() && !change.After(now) {
				t.Errorf("%q changes at %v", args, change)
			}
		}
		s, err := parse(args, findZone)
		if err != nil {
			return
		}
		tm := &timer{args: args, spec: s, entry: &entry{}, store: &store{}}
		if s.byWall() {
			if next := tm.wallAfter(now, berlin); !next.IsZero() && !next.After(now) {
				t.Errorf("%q: %v after %v", args, next, now)
			}
		}
		if !tm.matches(tm.event(now, now, berlin)) {
			t.Errorf("%q does not match its own event", args)
		}
		n := expr.Node{Name: eventName, Args: args}
		if again, err := splitWords(written(args)); err != nil || strings.Join(again, "\x00") != strings.Join(n.Args, "\x00") {
			t.Errorf("%q is written as %s: %q", args, written(args), again)
		}
	})
}
