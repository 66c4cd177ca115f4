package control

import (
	"strings"
	"testing"
)

func TestObjectPaths(t *testing.T) {
	tests := []struct {
		why  string
		o    Object
		path string
	}{
		{"the zero object is the manager", Object{}, "/com/ubuntu/Upstart"},
		{"letters and digits stay", ClassObject("", "tty1"), "/com/ubuntu/Upstart/jobs/tty1"},
		{"other bytes become lower-case hex", ClassObject("", "rc-sysinit"), "/com/ubuntu/Upstart/jobs/rc_2dsysinit"},
		{"a slash in a name is escaped", ClassObject("", "net/apache"), "/com/ubuntu/Upstart/jobs/net_2fapache"},
		{"an underscore is escaped", ClassObject("", "a_b"), "/com/ubuntu/Upstart/jobs/a_5fb"},
		{"a singleton instance is an underscore", InstanceObject("", "foo", ""), "/com/ubuntu/Upstart/jobs/foo/_"},
		{"an instance has its own part", InstanceObject("", "getty", "tty 1"), "/com/ubuntu/Upstart/jobs/getty/tty_201"},
		{"DECISIONS 11: each byte above ASCII by itself", ClassObject("", "é"), "/com/ubuntu/Upstart/jobs/_c3_a9"},
		{"a session's class", ClassObject("/srv", "foo"), "/com/ubuntu/Upstart/jobs/_2fsrv/foo"},
		{"a session's instance", InstanceObject("/srv", "foo", "/x"), "/com/ubuntu/Upstart/jobs/_2fsrv/foo/_2fx"},
		{"an instance whose name is a directory", InstanceObject("", "mount", "/srv"), "/com/ubuntu/Upstart/jobs/mount/_2fsrv"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			if got := string(tt.o.Path()); got != tt.path {
				t.Errorf("Path() = %s, want %s", got, tt.path)
			}
			if got, ok := ParsePath(tt.path); !ok || got != tt.o {
				t.Errorf("ParsePath(%s) = %+v, %v, want %+v", tt.path, got, ok, tt.o)
			}
		})
	}
}

func TestPathsThatNameNothing(t *testing.T) {
	for _, path := range []string{
		"", "/", "/com/ubuntu", "/com/ubuntu/Upstart/", "/com/ubuntu/Upstart/jobs", "/com/ubuntu/Upstart/jobs/",
		"/com/ubuntu/Upstart/jobs/foo/", "/com/ubuntu/Upstart/jobs//foo", "/com/ubuntu/Upstartjobs/foo",
		"/com/ubuntu/Upstart/jobs/_",          // a class has a name
		"/com/ubuntu/Upstart/jobs/a/b/c",      // a session is a directory
		"/com/ubuntu/Upstart/jobs/_2fsrv",     // a session is not an object
		"/com/ubuntu/Upstart/jobs/_2fs/a/b/c", // too deep
		"/com/ubuntu/Upstart/jobs/a_",         // cut escape
		"/com/ubuntu/Upstart/jobs/a_2",        // cut escape
		"/com/ubuntu/Upstart/jobs/a_2D",       // a second spelling
		"/com/ubuntu/Upstart/jobs/_61",        // a second spelling
		"/com/ubuntu/Upstart/jobs/a-b",        // not escaped
		"/com/ubuntu/Upstart/jobs/_zz",        // no escape
	} {
		if o, ok := ParsePath(path); ok {
			t.Errorf("ParsePath(%q) = %+v, want none", path, o)
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add("", "foo", "")
	f.Add("/srv", "rc-sysinit", "a/b")
	f.Add("", "é_", "\x00\xff")
	f.Fuzz(func(t *testing.T, session, class, instance string) {
		if class == "" || class[0] == '/' || session != "" && session[0] != '/' {
			t.Skip("not names that occur")
		}
		for _, o := range []Object{ClassObject(session, class), InstanceObject(session, class, instance)} {
			path := string(o.Path())
			if back, ok := ParsePath(path); !ok || back != o {
				t.Errorf("%+v -> %s -> %+v, %v", o, path, back, ok)
			}
		}
		if o, ok := ParsePath(Root + "/jobs/" + class); ok && string(o.Path()) != Root+"/jobs/"+class {
			t.Errorf("%q is a second path of %+v", class, o)
		}
		if e := Escape(instance); strings.Trim(e, "_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || e == "" {
			t.Errorf("Escape(%q) = %q is no path element", instance, e)
		}
	})
}
