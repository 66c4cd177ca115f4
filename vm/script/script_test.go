package script

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	s, err := Parse("# a test\n\nmemory 512\nappend quiet x=y\nmodules button e1000\nborrow /bin/a /b\nexpect 30s ^a b$\nsend  echo hi\nplug usb-kbd\nends reset\n" +
		"-- /etc/a --\none\n\n# two\n-- /bin/b 0755 --\n-- /bin/c -> b --\n-- not a marker --\n")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, step := range s.Steps {
		steps = append(steps, fmt.Sprintf("%d:%s", step.Line, step.Text))
	}
	if got := strings.Join(steps, "|"); got != "7:expect 30s ^a b$|8:send  echo hi|9:plug usb-kbd|10:ends reset" {
		t.Errorf("steps: %s", got)
	}
	if other, err := Parse("unplug usb-kbd"); !s.Plugs || err != nil || other.Plugs {
		t.Errorf("plugs: %v, without: %v, %v", s.Plugs, other.Plugs, err)
	}
	if s, err := Parse("-- /a 0755 base64 --\naGkg\nIQ==\n-- /b --\n"); err != nil || string(s.Files[0].Data) != "hi !" || s.Files[0].Mode != 0o755 {
		t.Errorf("base64: %+v, %v", s, err)
	}
	if s.Memory != 512 || strings.Join(s.Append, "|") != "quiet|x=y" || strings.Join(s.Modules, "|") != "button|e1000" ||
		strings.Join(s.Borrows, "|") != "/bin/a|/b" {
		t.Errorf("memory %d, append %q, modules %q, borrows %q", s.Memory, s.Append, s.Modules, s.Borrows)
	}
	want := "[{/etc/a  420 one\n\n# two\n} {/bin/b  493 } {/bin/c b 420 -- not a marker --\n}]"
	got := "["
	for i, f := range s.Files {
		if i > 0 {
			got += " "
		}
		got += fmt.Sprintf("{%s %s %d %s}", f.Name, f.Link, f.Mode, f.Data)
	}
	if got += "]"; got != want {
		t.Errorf("files: %q\nwant %q", got, want)
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"send x\nfly", `2: unknown command "fly"`},
		{"memory much", "1: "},
		{"\nexpect 3s ", "2: expect without a pattern"},
		{"wake up", "1: "},
		{"-- /a 0644 base64 --\nb!", "/a: illegal base64"},
		{"ends well", `1: no machine ends as "well"`},
		{"expect (", "1: error parsing regexp"},
		{"reject (", "1: error parsing regexp"},
	} {
		if _, err := Parse(c.text); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

// machine is a target that ended, as it says.
type machine struct {
	Target
	console, end string
}

func (m machine) Console() string                    { return m.console }
func (m machine) Wait(time.Duration) (string, error) { return m.end, nil }

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		machine
		want string
		ok   bool
	}{
		{machine{end: Off}, Off, true},
		{machine{end: Off}, Reset, false},
		{machine{end: Reset}, Reset, true},
		{machine{end: Reset}, Off, false},
		{machine{end: OffOrReset}, Off, true},
		{machine{end: OffOrReset}, Reset, true},
		{machine{end: OffOrReset}, Panic, false},
		{machine{end: Reset, console: "x\npanic: y\n"}, Panic, true},
		{machine{end: Reset, console: "x\npanic: y\n"}, Reset, false},
	} {
		if err := Ends(c.machine, c.want); (err == nil) != c.ok {
			t.Errorf("%+v, want %q: %v", c.machine, c.want, err)
		}
	}
}
