package env

import (
	"slices"
	"testing"
)

func TestTableOperations(t *testing.T) {
	own := Table{"OWN=o", "B=own"}
	base := Table{"A=1", "B=2", "C="}
	for _, tt := range []struct {
		name string
		do   func(Table) Table
		want Table
	}{
		{"a new key goes last", func(t Table) Table { return t.Set("D=4", false) }, Table{"A=1", "B=2", "C=", "D=4"}},
		{"a known key is replaced in place", func(t Table) Table { return t.Set("B=x=y", true) }, Table{"A=1", "B=x=y", "C="}},
		{"or left alone", func(t Table) Table { return t.Set("B=x", false) }, Table{"A=1", "B=2", "C="}},
		{"a longer key is another", func(t Table) Table { return t.Set("AA=x", true) }, Table{"A=1", "B=2", "C=", "AA=x"}},
		{"a bare name is copied from init", func(t Table) Table { return t.Add("OWN", true, own) }, Table{"A=1", "B=2", "C=", "OWN=o"}},
		{"a bare known name takes init's value", func(t Table) Table { return t.Add("B", true, own) }, Table{"A=1", "B=own", "C="}},
		{"a bare unknown name removes", func(t Table) Table { return t.Add("A", true, own) }, Table{"B=2", "C="}},
		{"a bare unknown name does nothing without replace", func(t Table) Table { return t.Add("A", false, own) }, Table{"A=1", "B=2", "C="}},
		{"an entry with a value is set", func(t Table) Table { return t.Add("A=", true, own) }, Table{"A=", "B=2", "C="}},
		{"later entries win a merge", func(t Table) Table { return t.Merge([]string{"D=1", "A=2", "D=3"}) }, Table{"A=2", "B=2", "C=", "D=3"}},
		{"unset removes", func(t Table) Table { return t.Unset("B") }, Table{"A=1", "C="}},
		{"unset is exact (DECISIONS 6)", func(t Table) Table { return t.Unset("AB") }, Table{"A=1", "B=2", "C="}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.do(base.Clone()); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if !slices.Equal(base, Table{"A=1", "B=2", "C="}) {
		t.Errorf("a clone shares memory: %q", base)
	}
}

func TestUnsetLeavesOtherTablesAlone(t *testing.T) {
	table := Table{"A=1", "B=2"}
	table.Unset("A")
	if !slices.Equal(table, Table{"A=1", "B=2"}) {
		t.Errorf("got %q", table)
	}
}

func TestLookup(t *testing.T) {
	table := Table{"A=1", "E=", "A=2"}
	for key, want := range map[string]string{"A": "1", "E": ""} {
		if v, ok := table.Lookup(key); !ok || v != want {
			t.Errorf("%s: got %q, %v", key, v, ok)
		}
	}
	if _, ok := table.Lookup("X"); ok {
		t.Error("found X")
	}
	if Key("A=1=2") != "A" || Key("A") != "A" {
		t.Error("wrong key")
	}
}
