package main

import (
	"errors"
	"slices"
	"strings"

	"onset/core/control"
	"onset/core/expr"
)

// config is the schema of show-config --json: an array of these.
type config struct {
	Job      string     `json:"job"`
	Emits    []string   `json:"emits"`
	Provides []string   `json:"provides"`
	StartOn  *condition `json:"start_on"` // null without one
	StopOn   *condition `json:"stop_on"`
	While    *condition `json:"while"`
}

// condition is an expression twice: as show-config prints it and as the D-Bus
// properties have it.
type condition struct {
	Text string     `json:"text"`
	RPN  [][]string `json:"rpn"`
}

func newConfig(c control.ClassInfo) config {
	cond := func(t expr.Tree) *condition {
		if len(t) == 0 {
			return nil
		}
		return &condition{t.String(), t.RPN()}
	}
	return config{c.Name, append([]string{}, c.Emits...), append([]string{}, c.Provides...),
		cond(c.StartOn), cond(c.StopOn), cond(c.While)}
}

func (t *tool) showConfig(args []string) error {
	var paths []control.ObjectPath
	var err error
	if len(args) == 0 {
		paths, err = ask[[]control.ObjectPath](t, manager, control.GetAllJobs)
	} else {
		var path control.ObjectPath
		path, err = t.job(args[0])
		paths = append(paths, path)
	}
	if err != nil {
		return err
	}
	show, a := control.ShowConfig, asWritten
	if t.opts.has("enumerate") {
		show, a = control.ShowConfigEvents, writtenOut
	}
	classes, err := t.classes(paths, a)
	if err != nil {
		return err
	}
	if t.opts.has("json") {
		list := make([]config, len(classes))
		for i, c := range classes {
			list[i] = newConfig(c)
		}
		return t.printJSON(list)
	}
	for i := range classes {
		t.print(show(&classes[i]))
	}
	return nil
}

// aliases says what to do with operands that name an alias (EXTENSIONS §2).
type aliases uint8

const (
	asWritten   aliases = iota // leave them
	writtenOut                 // show them as init matches them: the name, or the expression
	substituted                // put the expression in their place
)

// classes fetches what the tools need of classes. Vanished ones are left out.
func (t *tool) classes(paths []control.ObjectPath, a aliases) ([]control.ClassInfo, error) {
	props, err := fetch[properties](t, paths, control.PropertyGetAll, control.InterfaceJob)
	if err != nil {
		return nil, err
	}
	list := make([]control.ClassInfo, 0, len(paths))
	for i, p := range props {
		if p == nil {
			continue
		}
		c, err := newClassInfo(*p, a)
		c.Name = className(paths[i])
		if err != nil {
			return nil, errors.New(c.Name + ": " + err.Error())
		}
		list = append(list, c)
	}
	return list, nil
}

func newClassInfo(p properties, a aliases) (c control.ClassInfo, err error) {
	c.Emits, c.Provides = get[[]string](p, "emits"), get[[]string](p, "provides")
	if c.While, err = tree(p, "while"); err != nil {
		return c, err
	}
	if c.StartOn, err = eventTree(p, "start_on", a); err != nil {
		return c, err
	}
	c.StopOn, err = eventTree(p, "stop_on", a)
	return c, err
}

func tree(p properties, name string) (expr.Tree, error) {
	return expr.FromRPN(get[[][]string](p, name))
}

// eventTree is tree for a condition with aliases, of which old inits know
// nothing.
func eventTree(p properties, name string, a aliases) (expr.Tree, error) {
	plain, err := tree(p, name)
	if _, knows := p[name+"_expanded"]; err != nil || !knows || a == asWritten {
		return plain, err
	}
	full, err := tree(p, name+"_expanded")
	if err != nil || a == writtenOut {
		return full, err
	}
	return substitute(nil, plain, full), nil
}

// substitute appends full, which is plain with its aliases written out, with
// the expressions in place of the aliases. An alias written out is an "or" of
// itself and its expression.
func substitute(out, plain, full expr.Tree) expr.Tree {
	p, f := len(plain)-1, len(full)-1
	switch {
	case p < 0 || f <= 0:
		return append(out, full...)
	case plain[p].Op == expr.Match:
		return append(out, full[1:f]...)
	case plain[p].Op == expr.Not || plain[p].Op != full[f].Op: // no event expression, not written out
		return append(out, full...)
	}
	pl, fl := plain.Left(p), full.Left(f)
	out = substitute(out, plain[:pl+1], full[:fl+1])
	out = substitute(out, plain[pl+1:p], full[fl+1:f])
	return append(out, full[f])
}

func (t *tool) checkConfig(args []string) error {
	paths, err := ask[[]control.ObjectPath](t, manager, control.GetAllJobs)
	if err != nil {
		return err
	}
	classes, err := t.classes(paths, substituted)
	if err != nil {
		return err
	}
	o := control.CheckOptions{Warn: t.opts.has("warn"), User: t.userMode()}
	if list := t.opts.value("ignore-events"); list != "" {
		o.Events = strings.Split(list, ",")
	}
	if len(args) > 0 {
		o.Only = args[0]
		if !slices.ContainsFunc(classes, func(c control.ClassInfo) bool { return c.Name == o.Only }) {
			return spoken("Invalid job class: " + o.Only)
		}
	}
	report, ok := control.CheckConfig(classes, o)
	t.print(report)
	if !ok {
		return errQuiet
	}
	return nil
}
