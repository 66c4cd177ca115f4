package file

import "testing"

func TestOperands(t *testing.T) {
	for _, c := range []struct {
		args, home  string
		path, fault string
	}{
		{"FILE=/a/b", "", "/a/b", ""},
		{"FILE=/a//b/./c", "", "/a/b/c", ""},
		{"FILE=/a/", "", "/a", ""},
		{"FILE=a", "", "", "Path must be absolute: a"},
		{"FILE=~/a", "", "", "Path must be absolute: ~/a"},
		{"FILE=/a/../b", "", "", "Path must not contain parent reference: /a/../b"},
		{"FILE=/a/..", "", "", "Path must not contain parent reference: /a/.."},
		{"FILE=/a..b", "", "/a..b", ""},
		{"FILE=/a*/b", "", "", "Directory globbing not supported: /a*/b"},
		{"FILE=/a[1]/", "", "", "Directory globbing not supported: /a[1]/"},
		{"FILE=/a/$B", "", "", "Path must not contain variables: /a/$B"},
		{"FILE", "", "", "an argument without a name: FILE"},
		{"/a", "", "", "an argument without a name: /a"},
		{"EVENT=create", "", "", ""},
		{"FILE=", "", "", "Path must be absolute: "},
		{"FILE!=/a", "", "", ""},
		{"FILE=/a EVENT=created", "", "", "no event is of this kind: EVENT=created"},
		{"FILE=/a EVENT!=*", "", "", "no event is of this kind: EVENT!=*"},
		{"FILE=/a EVENT=$E MATCH!=x", "", "/a", ""},
		{"FILE=/a COLOUR=red", "", "", "unknown variable: COLOUR=red"},
		{"FILE=/a COLOUR!=red", "", "", "unknown variable: COLOUR!=red"},
		{"while FILE=/a EVENT=create", "", "", "unknown variable: EVENT=create"},
		{"FILE=/a!=b", "", "", "Path must not contain !=: /a!=b"},
		{"FILE=~/a", "/h", "/h/a", ""},
		{"FILE=a/b", "/h", "/h/a/b", ""},
		{"FILE=/a", "/h", "/a", ""},
		{"FILE=./a", "/h", "", "Path must be absolute: ./a"},
		{"FILE=.a", "/h", "", "Path must be absolute: .a"},
	} {
		var warned string
		got := operandsOf(on(c.args), c.home != "", c.home, func(job, text string) { warned = text })
		path := ""
		for _, o := range got {
			path = o.path
		}
		if path != c.path || warned != c.fault {
			t.Errorf("%s (home %q): %q, fault %q; want %q, %q", c.args, c.home, path, warned, c.path, c.fault)
		}
	}
}

// TestBadOperandsLeaveOthers wants a warning a bad operand, once, and the others
// to be told of.
func TestBadOperandsLeaveOthers(t *testing.T) {
	w := newWorld(t, "FILE=D/f", "FILE=relative", "oops")
	w.run()
	w.expect("the start", "log b: Path must be absolute: relative", "log c: an argument without a name: oops")
	w.do("write f")
	w.expect("a file", "file FILE=D/f EVENT=create", "file FILE=D/f EVENT=modify")
	w.set("FILE=D/f", "FILE=relative", "oops", "FILE=D/none")
	w.expect("another job")
}
