package udev

import (
	"strings"
	"testing"

	"onset/core/expr"
	"onset/eventsources"
)

// conditions of a job, as it writes them: "while" before the name of a fact.
func conditions(names ...string) (list []eventsources.Condition) {
	for _, name := range names {
		fact, is := strings.CutPrefix(name, "while ")
		list = append(list, eventsources.Condition{Job: "/j", Fact: is, Operand: expr.Node{Name: fact}})
	}
	return list
}

func TestConcerns(t *testing.T) {
	for name, want := range map[string]bool{
		"net-device-added": true, "block-device-unbind": true, "while net-device": true, "while block-device": true,
		"net-device-up": false, "net-device": false, "while net-device-up": false, "runlevel": false,
	} {
		if got := (Source{}).Concerns(conditions(name)[0]); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
