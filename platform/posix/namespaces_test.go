package posix

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

func TestNamespaces(t *testing.T) {
	kind := func(k string, optional bool) job.Namespace { return job.Namespace{Kind: k, Optional: optional} }
	for _, c := range []struct {
		name         string
		isolation    job.Isolation
		unprivileged bool
		want         []job.Namespace
	}{
		{name: "none", isolation: job.Isolation{Sched: "idle"}},
		{name: "none without privileges", unprivileged: true},
		{name: "pid needs mount", isolation: job.Isolation{Namespaces: []job.Namespace{kind("pid", false)}},
			want: []job.Namespace{kind("pid", false), kind("mount", false)}},
		{name: "optional pid needs no mount", isolation: job.Isolation{Namespaces: []job.Namespace{kind("pid", true)}},
			want: []job.Namespace{kind("pid", true), kind("mount", true)}},
		{name: "what is needed is not optional", isolation: job.Isolation{Namespaces: []job.Namespace{kind("mount", true), kind("net", true)},
			Private: []string{"network"}, Hide: []string{"/x"}}, want: []job.Namespace{kind("mount", false), kind("net", false)}},
		{name: "private network", isolation: job.Isolation{Private: []string{"network"}}, want: []job.Namespace{kind("net", false)}},
		{name: "private network that is there", isolation: job.Isolation{Private: []string{"network"}, Namespaces: []job.Namespace{{Kind: "net", Path: "/n"}}},
			want: []job.Namespace{{Kind: "net", Path: "/n"}}},
		{name: "private tmp", isolation: job.Isolation{Private: []string{"tmp"}}, want: []job.Namespace{kind("mount", false)}},
		{name: "bind", isolation: job.Isolation{Bind: []job.Setting{{}}}, want: []job.Namespace{kind("mount", false)}},
		{name: "readonly", isolation: job.Isolation{ReadOnly: []string{"/"}}, want: []job.Namespace{kind("mount", false)}},
		{name: "without privileges", unprivileged: true, isolation: job.Isolation{Private: []string{"dev"}},
			want: []job.Namespace{kind("mount", false), kind("user", false)}},
		{name: "optional without privileges", unprivileged: true, isolation: job.Isolation{Namespaces: []job.Namespace{kind("net", true)}},
			want: []job.Namespace{kind("net", true), kind("user", true)}},
		{name: "user without privileges", unprivileged: true, isolation: job.Isolation{Namespaces: []job.Namespace{kind("user", true), kind("net", false)}},
			want: []job.Namespace{kind("user", false), kind("net", false)}},
	} {
		before := slices.Clone(c.isolation.Namespaces)
		if got := Namespaces(&c.isolation, !c.unprivileged); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if !slices.Equal(before, c.isolation.Namespaces) {
			t.Errorf("%s: the class is changed", c.name)
		}
	}
}

func TestIsolationWords(t *testing.T) {
	if got := NoIsolation("readonly /x", unix.ENOENT).Error(); got != "unable to isolate: readonly /x: No such file or directory" {
		t.Errorf("a refusal is %q", got)
	}
	if got := LeftOut("net", unix.EPERM).Error(); got != "namespace net is left out: Operation not permitted" {
		t.Errorf("a notice is %q", got)
	}
}
