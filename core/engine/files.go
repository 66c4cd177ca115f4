package engine

import (
	"slices"
	"strconv"
	"strings"

	"onset/core/env"
	"onset/core/event"
	"onset/core/expr"
	"onset/core/fact"
	"onset/core/job"
)

// useFile and dropFile count who may still need a descriptor: the event or the
// fact it came with, and the instances an event started, which hand it to every
// process they start (DECISIONS 17).
func (e *Engine) useFile(file int) {
	if file != 0 {
		e.fileUses[file]++
	}
}

func (e *Engine) dropFile(file int) {
	if file == 0 {
		return
	}
	e.fileUses[file]--
	if e.fileUses[file] == 0 {
		delete(e.fileUses, file)
		e.do(CloseFile{file})
	}
}

func (e *Engine) dropFiles(files []job.NamedFile) {
	for _, f := range files {
		e.dropFile(f.File)
	}
}

// prepare sets the environment of an instance's next cycle, and the
// descriptors its processes get.
func (e *Engine) prepare(j *Instance, vars env.Table, files []job.NamedFile) {
	for _, f := range files {
		e.useFile(f.File)
	}
	e.dropFiles(j.StartFiles)
	j.StartEnv, j.StartFiles = vars, files
}

func eventFiles(events []*event.Event) []job.NamedFile {
	var files []job.NamedFile
	for _, ev := range events {
		if ev.File != 0 {
			files = append(files, job.NamedFile{Name: fileName(ev.Name, ev.Env), File: ev.File})
		}
	}
	return files
}

// fileName is the name that sd_listen_fds(3) has for the descriptor of an
// event or a fact.
func fileName(name string, vars env.Table) string {
	if v, _ := vars.Lookup("FDNAME"); isFileName(v) {
		return v
	}
	if isFileName(name) {
		return name
	}
	return "unknown" // as sd_listen_fds(3) has it
}

// firstFD is the descriptor that the first file of a job has in its
// processes; the others follow.
const firstFD = 3

// giveFiles adds to a spec the descriptors of events, of facts, and for main
// those it stored.
func (e *Engine) giveFiles(j *Instance, s *job.Spec) {
	files := slices.Concat(j.Files, e.factFiles(j))
	if len(files) > 0 {
		fds := make([]string, len(files))
		for i := range files {
			fds[i] = strconv.Itoa(firstFD + i)
		}
		s.Env = s.Env.Set("UPSTART_FDS="+strings.Join(fds, " "), true)
	}
	if s.Slot == job.Main {
		files = append(files, j.Stored...)
	}
	for _, f := range files {
		s.Files = append(s.Files, f.File)
		if s.Slot == job.Main {
			s.ListenNames = append(s.ListenNames, f.Name)
		}
	}
}

// factFiles returns the descriptors of the facts that the start on of an
// instance names, in the order of its operands, each once.
func (e *Engine) factFiles(j *Instance) (files []job.NamedFile) {
	c := j.class
	expand := func(p string) (string, error) {
		return env.Expand(p, c.Def.EnvTable(nil, e.s.Options.Env).Lookup)
	}
	for n := range c.StartOn.Operands {
		facts := e.facts.Named(n.Name)
		for i, f := range facts {
			same := func(g *fact.Fact) bool { return g.File != 0 && g.Session == f.Session && slices.Equal(g.Env, f.Env) }
			if f.File == 0 || f.Session != j.Session || !n.Matches(&expr.Subject{Name: f.Name, Env: f.Env}, expand) ||
				!j.isFor(f) || slices.ContainsFunc(facts[:i], same) {
				continue
			}
			for _, g := range facts[i+1:] {
				if same(g) { // a source that came back, within the grace time
					f = g
				}
			}
			if !slices.ContainsFunc(files, func(g job.NamedFile) bool { return g.File == f.File }) {
				files = append(files, job.NamedFile{Name: fileName(f.Name, f.Env), File: f.File})
			}
		}
	}
	return files
}

// isFor reports whether an event with the variables of a fact would start this
// instance, and not another of its class.
func (j *Instance) isFor(f *fact.Fact) bool {
	name, err := env.Expand(j.Class.Instance, func(key string) (string, bool) {
		if v, ok := f.Env.Lookup(key); ok && j.Class.Imports(key) {
			return v, true
		}
		return j.Env.Lookup(key)
	})
	return err == nil && name == j.Name
}
