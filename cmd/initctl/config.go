package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

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
	var paths []dbus.ObjectPath
	var err error
	if len(args) == 0 {
		paths, err = ask[[]dbus.ObjectPath](t, manager, control.GetAllJobs)
	} else {
		var path dbus.ObjectPath
		path, err = t.job(args[0])
		paths = append(paths, path)
	}
	if err != nil {
		return err
	}
	enumerate := t.opts.has("enumerate")
	classes, err := t.classes(paths, enumerate)
	if err != nil {
		return err
	}
	if t.opts.has("json") {
		list := make([]config, len(classes))
		for i, c := range classes {
			list[i] = newConfig(c.info)
		}
		return t.printJSON(list)
	}
	for _, c := range classes {
		if enumerate {
			t.print(control.ShowConfigEvents(&c.info))
		} else {
			t.print(control.ShowConfig(&c.info))
		}
	}
	return nil
}

// class is a class with the names of the aliases its conditions use.
type class struct {
	info    control.ClassInfo
	aliases []string
}

// classes fetches what the tools need of classes; expanded is with the aliases
// written out, where init knows aliases. Vanished classes are left out.
func (t *tool) classes(paths []dbus.ObjectPath, expanded bool) ([]class, error) {
	props, err := fetch[map[string]dbus.Variant](t, paths, control.PropertyGetAll, control.InterfaceJob)
	if err != nil {
		return nil, err
	}
	list := make([]class, 0, len(paths))
	for i, p := range props {
		if p == nil {
			continue
		}
		c := class{info: control.ClassInfo{Name: className(paths[i]),
			Emits: get[[]string](*p, "emits"), Provides: get[[]string](*p, "provides")}}
		if err := c.readConditions(*p, expanded); err != nil {
			return nil, errors.New(c.info.Name + ": " + err.Error())
		}
		list = append(list, c)
	}
	return list, nil
}

func (c *class) readConditions(p properties, expanded bool) (err error) {
	if c.info.While, err = tree(p, "while"); err != nil {
		return err
	}
	if c.info.StartOn, err = c.condition(p, "start_on", expanded); err != nil {
		return err
	}
	c.info.StopOn, err = c.condition(p, "stop_on", expanded)
	return err
}

func (c *class) condition(p properties, name string, expanded bool) (expr.Tree, error) {
	plain, err := tree(p, name)
	if _, knows := p[name+"_expanded"]; err != nil || !knows || !expanded {
		return plain, err
	}
	full, err := tree(p, name+"_expanded")
	if err == nil {
		c.aliases = appendAliases(c.aliases, plain, full)
	}
	return full, err
}

func tree(p properties, name string) (expr.Tree, error) {
	return expr.FromRPN(get[[][]string](p, name))
}

// appendAliases adds the operands of a condition that are names of aliases:
// written out, each is an "or" of itself and something.
func appendAliases(names []string, plain, full expr.Tree) []string {
	if len(plain) == 0 || len(full) == 0 {
		return names
	}
	p, f := len(plain)-1, len(full)-1
	switch plain[p].Op {
	case expr.Match:
		if f > 0 {
			names = append(names, plain[p].Name)
		}
		return names
	case expr.And, expr.Or:
		pl, fl := plain.Left(p), full.Left(f)
		names = appendAliases(names, plain[:pl+1], full[:fl+1])
		return appendAliases(names, plain[pl+1:p], full[fl+1:f])
	}
	return names
}

func (t *tool) checkConfig(args []string) error {
	paths, err := ask[[]dbus.ObjectPath](t, manager, control.GetAllJobs)
	if err != nil {
		return err
	}
	classes, err := t.classes(paths, true)
	if err != nil {
		return err
	}
	o := control.CheckOptions{Warn: t.opts.has("warn"), User: t.userMode()}
	if list := t.opts.value("ignore-events"); list != "" {
		o.Events = strings.Split(list, ",")
	}
	infos := make([]control.ClassInfo, len(classes))
	for i, c := range classes {
		infos[i] = c.info
		o.Events = append(o.Events, c.aliases...)
	}
	if len(args) > 0 {
		o.Only = args[0]
		if !slices.ContainsFunc(infos, func(c control.ClassInfo) bool { return c.Name == o.Only }) {
			return errors.New("Invalid job class: " + o.Only) //nolint:staticcheck // UPSTART §7.5
		}
	}
	report, ok := control.CheckConfig(infos, o)
	t.print(report)
	if !ok {
		return errQuiet
	}
	return nil
}
