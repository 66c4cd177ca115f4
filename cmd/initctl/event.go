package main

import (
	"strings"

	"onset/core/control"
)

func (t *tool) emit(args []string) error {
	return t.tell(manager, control.EmitEvent, args[0], args[1:], t.wait())
}

// fact sets or clears a fact of the administrator (EXTENSIONS §1).
func (t *tool) fact(args []string) error {
	method := control.SetFact
	switch args[0] {
	case "set":
	case "clear":
		method = control.ClearFact
	default:
		return usageError("illegal argument: " + args[0])
	}
	if len(args) < 2 {
		return usageError("missing fact name")
	}
	return t.tell(manager, method, args[1], args[2:])
}

// factInfo is the schema of facts --json: an array of these.
type factInfo struct {
	Name  string   `json:"name"`
	Env   []string `json:"env"`
	Owner string   `json:"owner"`
}

func (t *tool) getFacts() ([]factInfo, error) {
	rows, err := ask[[][]any](t, manager, control.GetFacts)
	list := make([]factInfo, 0, len(rows))
	for _, row := range rows {
		if len(row) != 3 {
			continue
		}
		var f factInfo
		f.Name, _ = row[0].(string)
		f.Env, _ = row[1].([]string)
		f.Owner, _ = row[2].(string)
		list = append(list, f)
	}
	return list, err
}

func (t *tool) facts([]string) error {
	list, err := t.getFacts()
	if err != nil {
		return err
	}
	if t.opts.has("json") {
		return t.printJSON(list)
	}
	for _, f := range list {
		words := append([]string{f.Name}, f.Env...)
		t.print(strings.Join(words, " ") + " (" + f.Owner + ")\n")
	}
	return nil
}
