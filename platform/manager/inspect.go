package manager

import (
	"encoding/json"

	"onset/core/control"
	"onset/core/engine"
)

// inspect answers GetTree.
func (m *Manager) inspect(e engine.Inspect) {
	t := control.Tree{Processes: []control.TreeProcess{}}
	for _, s := range e.Spawns {
		for _, p := range m.k.Processes.Tree(s.Token, s.PID) {
			t.Processes = append(t.Processes, control.TreeProcess{Slot: s.Slot, PID: p.PID, Parent: p.Parent, Command: p.Command})
		}
		if u := m.k.Processes.Usage(s.Token); u != nil {
			if t.Usage == nil {
				t.Usage = &control.Usage{}
			}
			t.Usage.Add(u)
		}
	}
	text, _ := json.Marshal(t)
	m.bus.Respond(e.Call, e.Conn, control.Reply{Values: []any{string(text)}})
}
