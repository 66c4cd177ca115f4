package timers

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// scripts: lines beginning with > are what was said.
var scripts = []struct{ why, from, script string }{
	{"intervals begin when the job is first seen", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		pass 25m
		> 2026-11-20T12:10:00Z EVERY=10m
		> 2026-11-20T12:20:00Z EVERY=10m
		pass 5m
		> 2026-11-20T12:30:00Z EVERY=10m`},
	{"equal operands of two jobs are one timer, in whatever order", "2026-11-20T12:00:00Z", `
		job a EVERY=10m COUNT=2
		pass 5m
		job b COUNT=2 EVERY=10m
		pass 30m
		> 2026-11-20T12:10:00Z EVERY=10m COUNT=2
		> 2026-11-20T12:20:00Z EVERY=10m COUNT=2`},
	{"one that goes and comes back goes on, without what it missed", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		job c CRON="5 * * * *"
		pass 12m
		> 2026-11-20T12:05:00Z CRON=5 * * * *
		> 2026-11-20T12:10:00Z EVERY=10m
		no a
		no c
		pass 1h
		job a EVERY=10m
		job c CRON="5 * * * *"
		pass 8m
		> 2026-11-20T13:20:00Z EVERY=10m`},
	{"suspend counts, and ends with one run", "2026-11-20T12:00:00Z", `
		job a EVERY=10m
		job c CRON="*/15 * * * *"
		suspend 34m
		> 2026-11-20T12:10:00Z EVERY=10m late 24m0s
		> 2026-11-20T12:15:00Z CRON=*/15 * * * * late 19m0s
		pass 11m
		> 2026-11-20T12:40:00Z EVERY=10m
		> 2026-11-20T12:45:00Z CRON=*/15 * * * *`},
	{"a night of suspend, too", "2026-11-20T20:00:00Z", `
		job c CRON="0 4 * * *"
		suspend 12h
		> 2026-11-21T04:00:00Z CRON=0 4 * * * late 4h0m0s
		pass 1d
		> 2026-11-22T04:00:00Z CRON=0 4 * * *`},
	{"a clock set forward by less than three hours is caught up once", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		job h CRON="0 * * * *"
		job m EVERY=10m
		set 2h
		> 2026-11-20T12:30:00Z CRON=30 12 * * * late 1h30m0s
		pass 1h
		> 2026-11-20T14:10:00Z EVERY=10m
		> 2026-11-20T14:20:00Z EVERY=10m
		> 2026-11-20T14:30:00Z EVERY=10m
		> 2026-11-20T14:40:00Z EVERY=10m
		> 2026-11-20T14:50:00Z EVERY=10m
		> 2026-11-20T15:00:00Z CRON=0 * * * *
		> 2026-11-20T15:00:00Z EVERY=10m`},
	{"set forward by a day: not caught up, unless persistent", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		job p CRON="30 12 * * *" PERSISTENT=yes
		set 1d
		> 2026-11-20T12:30:00Z CRON=30 12 * * * PERSISTENT=yes late 23h30m0s
		pass 1h
		> 2026-11-21T12:30:00Z CRON=30 12 * * * PERSISTENT=yes
		no c
		set 1d
		> 2026-11-22T12:30:00Z CRON=30 12 * * * PERSISTENT=yes late 30m0s`},
	{"set back by less than three hours: not again", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		pass 31m
		> 2026-11-20T12:30:00Z CRON=30 12 * * *
		set -1h
		pass 1h
		pass 1d
		> 2026-11-21T12:30:00Z CRON=30 12 * * *`},
	{"but each minute goes on", "2026-11-20T12:00:30Z", `
		job c CRON="* * * * *"
		pass 1m
		> 2026-11-20T12:01:00Z CRON=* * * * *
		set -1h
		pass 2m
		> 2026-11-20T11:02:00Z CRON=* * * * *
		> 2026-11-20T11:03:00Z CRON=* * * * *
		set 30s
		> 2026-11-20T11:04:00Z CRON=* * * * *
		set -30s
		pass 2m
		> 2026-11-20T11:05:00Z CRON=* * * * *`},
	{"set back by a day: it is that day again", "2026-11-20T12:00:00Z", `
		job c CRON="30 12 * * *"
		pass 1h
		> 2026-11-20T12:30:00Z CRON=30 12 * * *
		set -1d
		pass 1d
		> 2026-11-20T12:30:00Z CRON=30 12 * * *`},
	{"a clock that is corrected in small steps", "2026-11-20T11:59:00Z", `
		job c CRON="0 * * * *"
		pass 59s
		set 1s
		> 2026-11-20T12:00:00Z CRON=0 * * * *
		set -2s
		pass 10s`},
	{"a machine without a clock of its own: what was not missed does not run", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		pass 1d
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		off -20000d
		set 20000d
		pass 1d
		> 2026-11-22T04:00:00Z CRON=0 4 * * * PERSISTENT=yes`},
	{"and what was missed does", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		job c CRON="0 5 * * *"
		pass 1d
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		> 2026-11-21T05:00:00Z CRON=0 5 * * *
		off -20000d
		set 20003d
		> 2026-11-22T04:00:00Z CRON=0 4 * * * PERSISTENT=yes late 56h0m0s
		pass 1d
		> 2026-11-25T04:00:00Z CRON=0 4 * * * PERSISTENT=yes
		> 2026-11-25T05:00:00Z CRON=0 5 * * *`},
	{"a machine that was off", "2026-11-20T12:00:00Z", `
		job p CRON="0 4 * * *" PERSISTENT=yes
		job c CRON="0 5 * * *"
		job e EVERY=1h PERSISTENT=yes
		job f EVERY=90m
		pass 2h
		> 2026-11-20T13:00:00Z EVERY=1h PERSISTENT=yes
		> 2026-11-20T13:30:00Z EVERY=90m
		> 2026-11-20T14:00:00Z EVERY=1h PERSISTENT=yes
		off 1d
		> 2026-11-20T15:00:00Z EVERY=1h PERSISTENT=yes late 23h0m0s
		> 2026-11-21T04:00:00Z CRON=0 4 * * * PERSISTENT=yes late 10h0m0s
		pass 90m
		> 2026-11-21T15:00:00Z EVERY=1h PERSISTENT=yes
		> 2026-11-21T15:30:00Z EVERY=90m`},
	{"off between two intervals", "2026-11-20T12:00:00Z", `
		job e EVERY=1h PERSISTENT=yes
		pass 10m
		off 20m
		pass 30m
		> 2026-11-20T13:00:00Z EVERY=1h PERSISTENT=yes`},
	{"a source that was killed loses nothing and runs nothing twice", "2026-11-20T11:59:50Z", `
		job a EVERY=10s
		job c CRON="* * * * *"
		pass 10s
		> 2026-11-20T12:00:00Z CRON=* * * * *
		> 2026-11-20T12:00:00Z EVERY=10s
		kill 1s
		pass 9s
		> 2026-11-20T12:00:10Z EVERY=10s
		kill 55s
		> 2026-11-20T12:00:20Z EVERY=10s late 45s
		> 2026-11-20T12:01:00Z CRON=* * * * * late 5s
		pass 5s
		> 2026-11-20T12:01:10Z EVERY=10s`},
	{"AT", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T14:00:00+01:00
		job old AT=2026-11-20T11:59:59Z
		> log AT=2026-11-20T11:59:59Z of job old is past and will not run
		job missed AT=2026-11-20T11:59:58Z PERSISTENT=yes
		> 2026-11-20T11:59:58Z AT=2026-11-20T11:59:58Z PERSISTENT=yes late 2s
		pass 2h
		> 2026-11-20T13:00:00Z AT=2026-11-20T14:00:00+01:00
		kill 1s
		off 1h
		> log AT=2026-11-20T14:00:00+01:00 of job a is past and will not run
		> log AT=2026-11-20T11:59:59Z of job old is past and will not run
		set -1d
		pass 2d
		set 1d`},
	{"AT that comes while the machine is off", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T13:00:00Z PERSISTENT=yes
		off 4h
		> 2026-11-20T13:00:00Z AT=2026-11-20T13:00:00Z PERSISTENT=yes late 3h0m0s
		off 1h`},
	{"AT as late as can be", "2026-11-20T12:00:00Z", `
		job a AT=2250-12-31T23:59:59Z JITTER=1h
		job b EVERY=36600d JITTER=36600d
		set -20700d
		pass 1d`},
	{"AT that the clock jumps over", "2026-11-20T12:00:00Z", `
		job a AT=2026-11-20T13:00:00Z
		job b AT=2026-11-20T16:00:00Z
		set 2h
		> 2026-11-20T13:00:00Z AT=2026-11-20T13:00:00Z late 1h0m0s
		set 4h
		pass 1d`},
	{"AFTER an event, the last one", "2026-11-20T12:00:00Z", `
		job a AFTER="started 'foo' RESULT=o*" DELAY=30s
		event started JOB=bar RESULT=ok
		event started JOB=foo RESULT=bad
		event stopped JOB=foo RESULT=ok
		pass 1m
		event started JOB=foo RESULT=ok
		pass 10s
		event started JOB=foo RESULT=ok
		pass 1m
		> 2026-11-20T12:01:40Z AFTER=started 'foo' RESULT=o* DELAY=30s
		event started JOB=foo RESULT=ok
		pass 10s
		kill 1s
		pass 1m
		> 2026-11-20T12:02:40Z AFTER=started 'foo' RESULT=o* DELAY=30s
		event started JOB=foo RESULT=ok
		off 1m
		pass 1h`},
	{"without a delay", "2026-11-20T12:00:00Z", `
		job a AFTER=filesystem
		event filesystem
		> 2026-11-20T12:00:00Z AFTER=filesystem`},
	{"AFTER=startup counts from the start of init, each boot", "2026-11-20T12:00:00Z", `
		job a AFTER=startup DELAY=5m
		job past AFTER=startup DELAY=5s
		> 2026-11-20T11:59:55Z AFTER=startup DELAY=5s late 5s
		job p AFTER=startup DELAY=1h PERSISTENT=yes
		pass 1h
		> 2026-11-20T12:04:50Z AFTER=startup DELAY=5m
		> 2026-11-20T12:59:50Z AFTER=startup DELAY=1h PERSISTENT=yes
		kill 1s
		pass 1h
		off 1d
		> 2026-11-21T14:00:01Z AFTER=startup DELAY=5s
		pass 30m
		> 2026-11-21T14:04:56Z AFTER=startup DELAY=5m
		off 1h
		> 2026-11-21T15:30:01Z AFTER=startup DELAY=5s
		pass 2h
		> 2026-11-21T15:34:56Z AFTER=startup DELAY=5m
		> 2026-11-21T16:29:56Z AFTER=startup DELAY=1h PERSISTENT=yes`},
	{"COUNT is over kills, and over boots if persistent", "2026-11-20T12:00:00Z", `
		job a EVERY=1m COUNT=2
		job p EVERY=70s COUNT=3 PERSISTENT=yes
		pass 61s
		> 2026-11-20T12:01:00Z EVERY=1m COUNT=2
		kill 1s
		pass 5m
		> 2026-11-20T12:01:10Z EVERY=70s COUNT=3 PERSISTENT=yes
		> 2026-11-20T12:02:00Z EVERY=1m COUNT=2
		> 2026-11-20T12:02:20Z EVERY=70s COUNT=3 PERSISTENT=yes
		> 2026-11-20T12:03:30Z EVERY=70s COUNT=3 PERSISTENT=yes
		off 5m
		pass 5m
		> 2026-11-20T12:12:02Z EVERY=1m COUNT=2
		> 2026-11-20T12:13:02Z EVERY=1m COUNT=2`},
	{"a run that is not over: the next is left out", "2026-11-20T12:00:00Z", `
		job a EVERY=1m
		hold
		pass 150s
		finish
		> 2026-11-20T12:01:00Z EVERY=1m
		pass 1m
		> 2026-11-20T12:03:00Z EVERY=1m`},
	{"or waits", "2026-11-20T12:00:00Z", `
		job a EVERY=1m OVERLAP=queue
		hold
		pass 190s
		finish
		> 2026-11-20T12:01:00Z EVERY=1m OVERLAP=queue
		> 2026-11-20T12:02:00Z EVERY=1m OVERLAP=queue late 1m10s
		> 2026-11-20T12:03:00Z EVERY=1m OVERLAP=queue late 10s
		pass 1m
		> 2026-11-20T12:04:00Z EVERY=1m OVERLAP=queue`},
	{"one event where one says all that the other does", "2026-11-20T23:30:00Z", `
		job hourly CRON="0 * * * *"
		job daily CRON="0 0 * * *"
		pass 2h
		> 2026-11-21T00:00:00Z CRON=0 0 * * *
		> 2026-11-21T01:00:00Z CRON=0 * * * *`},
	{"one that says more at other times is told of", "2026-11-20T23:30:00Z", `
		job a EVERY=10m
		job b EVERY=10m COUNT=1
		> log EVERY=10m COUNT=1 of job b starts job a too, which has EVERY=10m: give each a NAME
		job c CRON="0 4 * * *"
		job d CRON="0 4 * * *" PERSISTENT=yes
		job e CRON="0 4 * * *" TZ=UTC
		> log CRON="0 4 * * *" TZ=UTC of job e starts job c too, which has CRON="0 4 * * *": give each a NAME`},
	{"what is wrong is told once, and the rest goes on", "2026-11-20T12:00:00Z", `
		job bad EVERY=soon
		> log job bad: time EVERY=soon: EVERY: it is not a time as 90, 10m or 1h30m
		job good EVERY=1m
		pass 1m
		> 2026-11-20T12:01:00Z EVERY=1m`},
	{"the zone of the machine", "2026-03-28T12:00:00Z", `
		zone Europe/Berlin
		kill 1s
		job c CRON="30 2 * * *"
		pass 2d
		> 2026-03-29T03:00:00+02:00 CRON=30 2 * * *
		> 2026-03-30T02:30:00+02:00 CRON=30 2 * * *`},
	{"a zone of its own", "2026-11-20T12:00:00Z", `
		needs Asia/Tokyo
		job c CRON=@daily TZ=Asia/Tokyo
		pass 1d
		> 2026-11-21T00:00:00+09:00 CRON=@daily TZ=Asia/Tokyo`},
}

func TestScripts(t *testing.T) {
	for _, c := range scripts {
		t.Run(c.why, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			p := newPlayed(t, from)
			var want []string
			check := func(after string) {
				if got := p.said(); !slices.Equal(got, want) {
					t.Fatalf("before %q\ngot  %s\nwant %s", after, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
				}
				want = nil
			}
			for line := range strings.SplitSeq(c.script, "\n") {
				line = strings.TrimSpace(line)
				if said, ok := strings.CutPrefix(line, "> "); ok {
					want = append(want, said)
				} else if line != "" {
					check(line)
					p.do(line)
				}
			}
			check("the end")
		})
	}
}
