package conf_test

import (
	"testing"

	"onset/core/conf"
)

func TestClassify(t *testing.T) {
	for _, f := range []struct {
		rel  string
		kind conf.Kind
		name string
	}{
		{"a.conf", conf.ConfFile, "a"},
		{"//net/a.b.conf", conf.ConfFile, "net/a.b"},
		{"net/a.override", conf.OverrideFile, "net/a"},
		{"halt.alias", conf.AliasFile, "halt"},
		{"a.conf~", conf.NotConfig, ""},
		{"a.conf.bak", conf.NotConfig, ""},
		{"aconf", conf.NotConfig, ""},
		{"x.d/conf", conf.NotConfig, ""},
		{".conf", conf.NotConfig, ""},
		{"net/.conf", conf.NotConfig, ""},
		{".a.conf", conf.NotConfig, ""},
		{"net/.a.override", conf.NotConfig, ""},
		{"a.CONF", conf.NotConfig, ""},
		{"", conf.NotConfig, ""},
	} {
		if kind, name := conf.Classify(f.rel); kind != f.kind || name != f.name {
			t.Errorf("%q: got %d %q, want %d %q", f.rel, kind, name, f.kind, f.name)
		}
	}
}

func TestSkipDir(t *testing.T) {
	for _, base := range []string{".git", ".x", "x~", "x.bak", "x.BAK", "#x#", "x.swp", "x.swo", "x.swn", "x,v",
		"RCS", "CVS", "CVS.adm", "SCCS", "BitKeeper", "{arch}", "_darcs", "x.dpkg-old", "x.rpmsave", "x.rpmorig",
		"x.rpmnew", "x;0123aBcD"} {
		if !conf.SkipDir(base) {
			t.Errorf("%q is read", base)
		}
	}
	for _, base := range []string{"net", "x.d", "#x", "#", "git", "CVSx", "x.dpkg", "x.dpkg-old.d", "x;0123abc", "x;0123abcg", "x.bak.d"} {
		if conf.SkipDir(base) {
			t.Errorf("%q is skipped", base)
		}
	}
}
