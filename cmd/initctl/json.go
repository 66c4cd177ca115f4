package main

import "encoding/json"

// printJSON prints a value as indented JSON (EXTENSIONS §11). The schemas are
// the types with json tags; fields are added, never changed.
func (t *tool) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		t.print(string(text) + "\n")
	}
	return err
}
