package conf_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"onset/core/conf"
	"onset/core/expr"
	"onset/core/job"
)

// linux is the signal table of UPSTART §1.4 on Linux.
var linux = job.Signals{
	{Name: "HUP", Number: 1}, {Name: "INT", Number: 2}, {Name: "QUIT", Number: 3}, {Name: "ILL", Number: 4},
	{Name: "TRAP", Number: 5}, {Name: "ABRT", Number: 6}, {Name: "IOT", Number: 6}, {Name: "BUS", Number: 7},
	{Name: "FPE", Number: 8}, {Name: "KILL", Number: 9}, {Name: "USR1", Number: 10}, {Name: "SEGV", Number: 11},
	{Name: "USR2", Number: 12}, {Name: "PIPE", Number: 13}, {Name: "ALRM", Number: 14}, {Name: "TERM", Number: 15},
	{Name: "STKFLT", Number: 16}, {Name: "CHLD", Number: 17}, {Name: "CLD", Number: 17}, {Name: "CONT", Number: 18},
	{Name: "STOP", Number: 19}, {Name: "TSTP", Number: 20}, {Name: "TTIN", Number: 21}, {Name: "TTOU", Number: 22},
	{Name: "URG", Number: 23}, {Name: "XCPU", Number: 24}, {Name: "XFSZ", Number: 25}, {Name: "VTALRM", Number: 26},
	{Name: "PROF", Number: 27}, {Name: "WINCH", Number: 28}, {Name: "IO", Number: 29}, {Name: "POLL", Number: 29},
	{Name: "PWR", Number: 30}, {Name: "SYS", Number: 31},
}

var defaults = job.Defaults{Console: job.ConsoleLog, Signals: linux}

func parseText(text string) (*job.Class, []*conf.Error) {
	return conf.Parse("j", job.Origin{Path: "x", Text: text}, defaults)
}

// accepted is a text and what it changes in the default class.
type accepted struct {
	name, text string
	change     func(c *job.Class)
}

func op(words ...string) expr.Node { return expr.Node{Name: words[0], Args: words[1:]} }

func mainExec(text string) func(*job.Class) {
	return func(c *job.Class) { c.Process.Set(job.Main, job.Process{Text: text}) }
}

func description(s string) func(*job.Class) {
	return func(c *job.Class) { c.Description = s }
}

func mainScript(s string) func(*job.Class) {
	return func(c *job.Class) { c.Process.Set(job.Main, job.Process{Script: true, Text: s}) }
}

func startOn(nodes ...expr.Node) func(*job.Class) {
	return func(c *job.Class) { c.StartOn = nodes }
}

func holdsWhile(nodes ...expr.Node) func(*job.Class) {
	return func(c *job.Class) { c.While = nodes }
}

func isolation(i job.Isolation) func(*job.Class) {
	return func(c *job.Class) { c.Attrs.Isolation = &i }
}

var and, or, not = expr.Node{Op: expr.And}, expr.Node{Op: expr.Or}, expr.Node{Op: expr.Not}

var tokenTexts = []accepted{
	{"an empty file is the default class", "", func(*job.Class) {}},
	{"blank and comment lines are ignored", "\n \t\r\n# x \\\n  # y", func(*job.Class) {}},
	{"a comment is not continued", "# x \\\ntask", func(c *job.Class) { c.Task = true }},
	{"a hash ends a word", "description web#server", description("web")},
	{"a carriage return is whitespace", "description web\r\n", description("web")},
	{"a vertical tab is not", "description web\v", description("web\v")},
	{"quoted pieces concatenate", `description we"b 's"er'v e'r`, description("web 'serv er")},
	{"quotes protect delimiters", `description "a # b	c"`, description("a # b	c")},
	{"a line feed in quotes is a space", "description \"a  \n\t b\n\"", description("a b ")},
	{"escaped whitespace is literal", `description a\ b`, description("a b")},
	{"an escaped backslash is one", `description a\\b`, description(`a\b`)},
	{"other escapes keep the backslash", `description a\"b\#c\n`, description(`a\"b\#c\n`)},
	{"escapes work in quotes", `description "a\\\"b"`, description(`a\\"b`)},
	{"a glued continuation is a space", "description a\\\nb", description("a b")},
	{"whitespace after a continuation ends an argument", "export a\\\n b", func(c *job.Class) { c.Export = []string{"a", "b"} }},
	{"a continuation at an end is dropped", "description a\\\n\ntask", func(c *job.Class) { c.Description, c.Task = "a", true }},
	{"a continuation in quotes is a space", "description \"a \\\n b\"", description("a b")},
	{"a continuation may come before an argument", "description \\\n \\\n  a", description("a")},
	{"a last line needs no line feed", "description a", description("a")},

	{"a command keeps quotes and escapes", `exec a  "b  c" \"d \\ 'e'`, mainExec(`a  "b  c" \"d \\ 'e'`)},
	{"a command loses outer whitespace", "exec \t a b \t # c", mainExec("a b")},
	{"a command keeps escaped whitespace at its end", "exec a\\  ", mainExec(`a\ `)},
	{"a continued command has one space", "exec a \t \\\n \\\n\tb", mainExec("a b")},
	{"a line feed in a quoted piece of a command is a space", "exec a \"b \n c\"", mainExec(`a "b c"`)},
	{"an empty quoted piece is a command", `exec ""`, mainExec(`""`)},
	{"a hash in quotes is part of a command", `exec a "#" '#'#b`, mainExec(`a "#" '#'`)},

	{"a block may be empty", "script\nend script", mainScript("")},
	{"a block is verbatim", "script # x\n\"a\\\n#b\nend script # y", mainScript("\"a\\\n#b\n")},
	{"common indentation is removed", "script\n\t a\n\t  b\n\t c\nend script\n", mainScript("a\n b\nc\n")},
	{"a blank line keeps the indentation", "script\n  a\n\n  b\nend script\n", mainScript("  a\n\n  b\n")},
	{"tabs and spaces are not alike", "script\n \ta\n  b\nend script\n", mainScript("\ta\n b\n")},
	{"the end line may be indented", "script\n a\n\tend \t script\t\n", mainScript("a\n")},
	{"more on the end line makes it none", "script\nend scripts\nend script x\nendscript\nend script#\n", mainScript("end scripts\nend script x\nendscript\n")},
}

const hookScripts = "pre-start script\npre-start\nend script\npost-start script\npost-start\nend script\n" +
	"pre-stop script\npre-stop\nend script\npost-stop script\npost-stop\nend script"

var upstartTexts = []accepted{
	{"the last single value wins", "version 1\nversion 2", func(c *job.Class) { c.Version = "2" }},
	{"author", "author me", func(c *job.Class) { c.Author = "me" }},
	{"usage", "usage 'N=number'", func(c *job.Class) { c.Usage = "N=number" }},
	{"instance", "instance $A/${B-c}", func(c *job.Class) { c.Instance = "$A/${B-c}" }},
	{"env accumulates", "env B=1\nenv A\nenv C=''\nenv file", func(c *job.Class) { c.Env = []string{"B=1", "A", "C=", "file"} }},
	{"export accumulates", "export A\nexport B C", func(c *job.Class) { c.Export = []string{"A", "B", "C"} }},
	{"emits accumulates", "emits a\nemits b-* c", func(c *job.Class) { c.Emits = []string{"a", "b-*", "c"} }},
	{"the last start on wins", "start on a\nstart on b", startOn(op("b"))},
	{"stop on", "stop on a", func(c *job.Class) { c.StopOn = expr.Tree{op("a")} }},
	{"all hooks are scripts", hookScripts, func(c *job.Class) {
		for slot := job.PreStart; slot <= job.PostStop; slot++ {
			c.Process.Set(slot, job.Process{Script: true, Text: slot.String() + "\n"})
		}
	}},
	{"a hook is a command", "post-start exec a", func(c *job.Class) { c.Process.Set(job.PostStart, job.Process{Text: "a"}) }},
	{"manual alone", "manual", func(c *job.Class) { c.Manual = true }},
	{"debug", "debug", func(c *job.Class) { c.Debug = true }},
	{"manual drops start on and leaves the line", "start on a\nmanual task", func(c *job.Class) { c.Task, c.Manual = true, true }},
	{"start on after manual counts", "manual\nstart on a", startOn(op("a"))},
	{"debug leaves the line", "debug respawn", func(c *job.Class) { c.Debug, c.Respawn = true, true }},
	{"exec replaces script", "script\nend script\nexec a", mainExec("a")},
	{"script replaces exec", "exec a\nscript\nend script", mainScript("")},
	{"hooks", "pre-start exec a\npost-start script\nb\nend script\npre-stop exec c\npost-stop exec d", func(c *job.Class) {
		c.Process.Set(job.PreStart, job.Process{Text: "a"})
		c.Process.Set(job.PostStart, job.Process{Script: true, Text: "b\n"})
		c.Process.Set(job.PreStop, job.Process{Text: "c"})
		c.Process.Set(job.PostStop, job.Process{Text: "d"})
	}},
	{"expect", "expect stop\nexpect fork", func(c *job.Class) { c.Expect.Kind = job.ExpectFork }},
	{"expect none", "expect daemon\nexpect none", func(*job.Class) {}},
	{"kill timeout", "kill timeout 20", func(c *job.Class) { c.KillTimeout = 20 }},
	{"a time beyond all timers is cut", "kill timeout 9999999999", func(c *job.Class) { c.KillTimeout = 1<<31 - 1 }},
	{"kill signal by name", "kill signal SIGINT", func(c *job.Class) { c.KillSignal = 2 }},
	{"kill signal by number", "kill signal 99", func(c *job.Class) { c.KillSignal = 99 }},
	{"reload signal", "reload signal USR1", func(c *job.Class) { c.ReloadSignal = 10 }},
	{"respawn", "respawn # always", func(c *job.Class) { c.Respawn = true }},
	{"respawn limit does not enable respawn", "respawn limit 3 60", func(c *job.Class) { c.RespawnLimit, c.RespawnInterval = 3, 60 }},
	{"respawn limit unlimited", "respawn limit unlimited", func(c *job.Class) { c.RespawnLimit, c.RespawnInterval = 0, 0 }},
	{"normal exit accumulates", "normal exit 3 TERM\nnormal exit SIGHUP 300", func(c *job.Class) { c.NormalExit = []job.Status{3, 15 << 8, 1 << 8, 300} }},
	{"console", "console owner", func(c *job.Class) { c.Attrs.Console = job.ConsoleOwner }},
	{"umask", "umask 27", func(c *job.Class) { c.Attrs.Umask = 027 }},
	{"nice as strtol reads it", "nice ' +7'", func(c *job.Class) { c.Attrs.Nice, c.Attrs.HasNice = 7, true }},
	{"nice zero is set", "nice 0", func(c *job.Class) { c.Attrs.HasNice = true }},
	{"oom scales up", "oom 7", func(c *job.Class) { c.Attrs.OOM = 466 }},
	{"oom scales down", "oom -5", func(c *job.Class) { c.Attrs.OOM = -294 }},
	{"oom never", "oom never", func(c *job.Class) { c.Attrs.OOM = -1000 }},
	{"oom score", "oom score -1000", func(c *job.Class) { c.Attrs.OOM = -1000 }},
	{"oom score never", "oom score never", func(c *job.Class) { c.Attrs.OOM = -1000 }},
	{"limit", "limit nofile 10 unlimited\nlimit core 0 0", func(c *job.Class) {
		c.Attrs.Limits = limits(7, job.Limit{Set: true, Soft: 10, Hard: job.Unlimited})
		c.Attrs.Limits[4] = job.Limit{Set: true}
	}},
	{"limit as strtoul reads it", "limit stack -1 +8", func(c *job.Class) { c.Attrs.Limits = limits(3, job.Limit{Set: true, Soft: job.Unlimited, Hard: 8}) }},
	{"directories and ids", "chroot /r\nchdir /d\nsetuid u\nsetgid 7", func(c *job.Class) {
		c.Attrs.Chroot, c.Attrs.Chdir, c.Attrs.Setuid, c.Attrs.Setgid = "/r", "/d", "u", "7"
	}},
	{"apparmor load", "apparmor load /p", func(c *job.Class) { c.Process.Set(job.Security, job.Process{Text: "/sbin/apparmor_parser -r -W /p"}) }},
	{"apparmor switch", "apparmor switch $P", func(c *job.Class) { c.Attrs.AppArmor = "$P" }},
	{"cgroup merges by controller, name and key", "cgroup cpu\ncgroup memory g k 1\ncgroup cpu shares 2\ncgroup memory g\ncgroup memory g k 3\ncgroup memory h", func(c *job.Class) {
		c.Attrs.Cgroups = []job.Cgroup{
			{Controller: "cpu", Names: []job.CgroupName{{Name: "$UPSTART_CGROUP", Settings: []job.Setting{{Key: "shares", Value: "2"}}}}},
			{Controller: "memory", Names: []job.CgroupName{{Name: "g", Settings: []job.Setting{{Key: "k", Value: "3"}}}, {Name: "h"}}},
		}
	}},
	{"import and tmpfiles accumulate", "import A\nimport B C\ntmpfiles /a /b", func(c *job.Class) {
		c.Import, c.Attrs.Tmpfiles = []string{"A", "B", "C"}, []string{"/a", "/b"}
	}},
}

var expressionTexts = []accepted{
	{"operators bind alike, to the left", "start on a or b and c", startOn(op("a"), op("b"), or, op("c"), and)},
	{"parentheses group", "start on a or (b and c)", startOn(op("a"), op("b"), op("c"), and, or)},
	{"arguments", `start on a 1 "2 3" K=v L!='w x'`, startOn(op("a", "1", "2 3", "K=v", "L!=w x"))},
	{"quoted keywords are arguments", `start on "and" 'or' and not not`, startOn(op("and", "or"), op("not", "not"), and)},
	{"parentheses need no blanks", "start on (a)and(b c)or d", startOn(op("a"), op("b", "c"), and, op("d"), or)},
	{"lines end inside parentheses", "start on (\na # x\n\n  or\r\nb\\\n c\n)# y\ntask", func(c *job.Class) {
		c.StartOn, c.Task = expr.Tree{op("a"), op("b", "c"), or}, true
	}},
	{"a continuation goes on outside", "start on a \\\n and b", startOn(op("a"), op("b"), and)},
	{"not binds before and before or", "while a or not b and c K=1", holdsWhile(op("a"), op("b"), not, op("c", "K=1"), and, or)},
	{"not of a group, twice", "while not not (a or b) and\\\n c", holdsWhile(op("a"), op("b"), or, not, not, op("c"), and)},
	{"or groups to the left", "while a or b or c", holdsWhile(op("a"), op("b"), or, op("c"), or)},
	{"lines end inside parentheses of while", "while (not\n a\n and b)", holdsWhile(op("a"), not, op("b"), and)},
	{"quoted not is a fact", `while "not" and 'and'`, holdsWhile(op("not"), op("and"), and)},
}

var extensionTexts = []accepted{
	{"manual keeps while", "start on a\nwhile b\nmanual", func(c *job.Class) { c.While, c.Manual = expr.Tree{op("b")}, true }},
	{"while after manual counts", "manual\nwhile b", holdsWhile(op("b"))},
	{"provides accumulates", "provides a\nprovides b c", func(c *job.Class) { c.Provides = []string{"a", "b", "c"} }},
	{"expect listen", "expect listen", func(c *job.Class) { c.Expect.Kind = job.ExpectListen }},
	{"expect listen at an address", "expect listen [::1]:80", func(c *job.Class) { c.Expect = job.Expect{Kind: job.ExpectListen, Arg: "[::1]:80"} }},
	{"expect dbus", "expect dbus org.x", func(c *job.Class) { c.Expect = job.Expect{Kind: job.ExpectDBus, Arg: "org.x"} }},
	{"expect replaces the argument, not the timeout", "expect timeout 9\nexpect dbus a\nexpect notify", func(c *job.Class) { c.Expect = job.Expect{Kind: job.ExpectNotify, Timeout: 9} }},
	{"expect fd", "expect fd 3", func(c *job.Class) { c.Expect = job.Expect{Kind: job.ExpectFD, FD: 3} }},
	{"kill mode", "kill mode process", func(c *job.Class) { c.KillMode = job.KillProcess }},
	{"namespaces replace by kind", "namespace pid net /run/n\nnamespace optional pid\nnamespace optional time mount", isolation(job.Isolation{Namespaces: []job.Namespace{
		{Kind: "pid", Optional: true}, {Kind: "net", Path: "/run/n"}, {Kind: "time", Optional: true}, {Kind: "mount", Optional: true}}})},
	{"private", "private tmp\nprivate network tmp", isolation(job.Isolation{Private: []string{"tmp", "network"}})},
	{"paths", "readonly /a\nreadonly /b /c\nhide /d\nbind /e /f\nbind /e /g", isolation(job.Isolation{
		ReadOnly: []string{"/a", "/b", "/c"}, Hide: []string{"/d"},
		Bind: []job.Setting{{Key: "/e", Value: "/f"}, {Key: "/e", Value: "/g"}}})},
	{"capabilities", "capability bounding chown CAP_KILL\ncapability bounding Cap_Net_Raw\ncapability ambient kill\nno new privileges", isolation(job.Isolation{
		CapBounding: []string{"chown", "CAP_KILL", "Cap_Net_Raw"}, CapAmbient: []string{"kill"}, NoNewPrivs: true})},
	{"seccomp and groups", "seccomp @default\nsetgroups a b", isolation(job.Isolation{Seccomp: "@default", Setgroups: []string{"a", "b"}})},
	{"credentials replace by name", "credential a /1\ncredential b /2\ncredential a /3", isolation(job.Isolation{
		Credentials: []job.Setting{{Key: "a", Value: "/3"}, {Key: "b", Value: "/2"}}})},
	{"env files", "env file /a\nenv file -/b", isolation(job.Isolation{EnvFiles: []job.EnvFile{{Path: "/a"}, {Path: "/b", Optional: true}}})},
	{"respawn delay", "respawn delay 2 60", func(c *job.Class) { c.RespawnDelay, c.RespawnDelayMax = 2*time.Second, time.Minute }},
	{"respawn delay forgets an earlier bound", "respawn delay 2 60\nrespawn delay 3", func(c *job.Class) { c.RespawnDelay = 3 * time.Second }},
	{"respawn delay with fractions", "respawn delay 0.02 1.50", func(c *job.Class) {
		c.RespawnDelay, c.RespawnDelayMax = 20*time.Millisecond, 1500*time.Millisecond
	}},
	{"respawn delay beyond nanoseconds", "respawn delay 0.0000000019 99999999999.5", func(c *job.Class) {
		c.RespawnDelay, c.RespawnDelayMax = 1, math.MaxInt32*time.Second+time.Second/2
	}},
	{"respawn on", "respawn on always", func(c *job.Class) { c.RespawnOn = job.RespawnAlways }},
	{"health", "health exec a\nhealth interval 1\nhealth timeout 2\nhealth failures 4", func(c *job.Class) {
		c.Process.Set(job.Health, job.Process{Text: "a"})
		c.Health = job.HealthRule{Interval: 1, Timeout: 2, Failures: 4}
	}},
	{"health script", "health script\na\nend script", func(c *job.Class) { c.Process.Set(job.Health, job.Process{Script: true, Text: "a\n"}) }},
	{"timeouts", "watchdog 1\nstart timeout 2\nstop timeout 3", func(c *job.Class) { c.Watchdog, c.StartTimeout, c.StopTimeout = 1, 2, 3 }},
	{"ioprio", "ioprio best-effort 07", isolation(job.Isolation{IOPrio: "best-effort 7"})},
	{"ioprio idle", "ioprio idle", isolation(job.Isolation{IOPrio: "idle"})},
	{"cpu affinity", "cpu affinity 0-3,8 10", isolation(job.Isolation{CPUAffinity: "0-3,8,10"})},
	{"sched realtime", "sched fifo 5", isolation(job.Isolation{Sched: "fifo", SchedPrio: 5})},
	{"sched batch", "sched rr 5\nsched batch", isolation(job.Isolation{Sched: "batch"})},
}

func allAccepted() []accepted {
	var all []accepted
	for _, texts := range [][]accepted{tokenTexts, upstartTexts, expressionTexts, extensionTexts} {
		all = append(all, texts...)
	}
	return all
}

func TestParseSetsTheClass(t *testing.T) {
	for _, a := range allAccepted() {
		t.Run(a.name, func(t *testing.T) {
			got, errs := parseText(a.text)
			if got == nil {
				t.Fatalf("%q: %v", a.text, errs[0])
			}
			want, _ := parseText("")
			want.Origin = got.Origin
			a.change(want)
			if !equal(got, want) {
				t.Errorf("%q: got\n%swant\n%s", a.text, conf.Print(got, linux), conf.Print(want, linux))
			}
			checkPrint(t, a.name, got)
		})
	}
}

// equal compares classes; an operand without arguments may have none or nil.
func equal(a, b *job.Class) bool {
	for _, c := range []*job.Class{a, b} {
		for _, t := range []expr.Tree{c.StartOn, c.StopOn, c.While} {
			for i := range t {
				if len(t[i].Args) == 0 {
					t[i].Args = nil
				}
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

func TestParseDefaults(t *testing.T) {
	c, _ := conf.Parse("j", job.Origin{}, job.Defaults{Console: job.ConsoleOutput, Signals: linux})
	if c.KillTimeout != 5 || c.KillSignal != 15 || c.ReloadSignal != 1 || c.RespawnLimit != 10 ||
		c.RespawnInterval != 5 || c.Attrs.Umask != -1 || c.Attrs.Console != job.ConsoleOutput || c.Attrs.Isolation != nil {
		t.Errorf("got %+v", c)
	}
}

func TestEveryStanzaHasAnExample(t *testing.T) {
	var texts strings.Builder
	for _, a := range allAccepted() {
		texts.WriteString("\n" + a.text + "\n")
	}
	all := texts.String()
	for _, words := range conf.Stanzas() {
		if !strings.Contains(all, "\n"+words+" ") && !strings.Contains(all, "\n"+words+"\n") {
			t.Errorf("no example of %q", words)
		}
	}
}

func limits(number int, l job.Limit) []job.Limit {
	all := make([]job.Limit, job.NumLimits)
	all[number] = l
	return all
}
