package conf_test

import (
	"strings"
	"testing"

	"onset/core/conf"
	"onset/core/expr"
	"onset/core/job"
)

// FuzzParse checks that no text breaks the parser, that what it accepts
// prints and parses back to an equal class, and that an error is on a line
// of the file.
func FuzzParse(f *testing.F) {
	for _, a := range allAccepted() {
		f.Add(a.text, "")
	}
	for _, r := range rejected {
		f.Add(r.text, r.text)
	}
	f.Fuzz(func(t *testing.T, text, override string) {
		o := job.Origin{Path: "x", Text: text, OverridePath: "y", OverrideText: override}
		c, errs := conf.Parse("j", o, defaults)
		if c == nil && len(errs) == 0 {
			t.Fatal("neither class nor error")
		}
		for _, e := range errs {
			lines := strings.Count(text, "\n") + 1
			if e.Path == "y" {
				lines = strings.Count(override, "\n") + 1
			}
			if e.Line < 1 || e.Line > lines || e.Col < 1 || strings.Contains(e.Error()+e.Detail(), "\n") {
				t.Errorf("bad error %+v of %d lines", e, lines)
			}
		}
		if c != nil {
			checkPrint(t, "class", c)
		}
	})
}

// FuzzAlias checks that alias files never break the parser, and that
// expansion ends with an expression or an error.
func FuzzAlias(f *testing.F) {
	f.Add("on a", "on runlevel [016]", "a K=1 and b")
	f.Add("on b or c", "on a", "a")
	f.Add("description x\non (b 1 or b 2) and b", "on x\non y", "a and a or b")
	f.Fuzz(func(t *testing.T, a, b, start string) {
		trees := map[string]expr.Tree{}
		for name, text := range map[string]string{"a": a, "b": b} {
			if alias, _ := conf.ParseAlias(name, job.Origin{Text: text}); alias != nil {
				trees[name] = alias.On
			}
		}
		c, _ := parseText("start on " + start)
		if c == nil || len(c.StartOn) > 1000 {
			return
		}
		got, err := expr.ExpandAliases(c.StartOn, func(name string) (expr.Tree, bool) {
			tree, ok := trees[name]
			return tree, ok
		})
		if err != nil {
			return
		}
		if _, err := expr.FromRPN(got.RPN()); err != nil && !strings.Contains(a+b+start, "/") {
			t.Errorf("expanded to %v: %v", got, err)
		}
	})
}
