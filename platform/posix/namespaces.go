package posix

import (
	"slices"

	"onset/core/job"
)

// Namespaces are those that a job's stanzas need, each once (EXTENSIONS §5). A
// privileged init may make them; another only inside a user namespace.
func Namespaces(i *job.Isolation, privileged bool) []job.Namespace {
	list := slices.Clone(i.Namespaces)
	need := func(kind string, optional bool) {
		if n := findNamespace(list, kind); n >= 0 {
			list[n].Optional = list[n].Optional && optional
			return
		}
		list = append(list, job.Namespace{Kind: kind, Optional: optional})
	}
	if slices.Contains(i.Private, "network") {
		need("net", false)
	}
	if n := findNamespace(list, "pid"); n >= 0 {
		need("mount", list[n].Optional) // for its /proc
	}
	if len(i.Bind)+len(i.ReadOnly)+len(i.Hide)+len(i.Credentials) > 0 || slices.Contains(i.Private, "tmp") || slices.Contains(i.Private, "dev") {
		need("mount", false)
	}
	if !privileged && len(list) > 0 {
		need("user", !slices.ContainsFunc(list, func(n job.Namespace) bool { return !n.Optional }))
	}
	return list
}

func findNamespace(list []job.Namespace, kind string) int {
	return slices.IndexFunc(list, func(n job.Namespace) bool { return n.Kind == kind })
}

// NoIsolation words what a job asked for and cannot have.
func NoIsolation(what string, err error) *SetupError {
	return failure("unable to isolate: "+what, err)
}

// LeftOut words what a job asked for only where it can be had.
func LeftOut(what string, err error) *SetupError {
	e := failure("namespace "+what+" is left out", err)
	e.Step = StepNotice
	return e
}

// without handles a namespace that cannot be had.
func (s *stage) without(n job.Namespace, err error) *SetupError {
	what := n.Kind
	if n.Path != "" {
		what += " " + n.Path
	}
	if !n.Optional {
		return NoIsolation(what, err)
	}
	LeftOut(what, err).send(s.report)
	return nil
}
