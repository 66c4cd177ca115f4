package script

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestExpectGoesForward(t *testing.T) {
	c := NewConsole()
	fmt.Fprint(c, "one\r\ntwo 22\r\none\r\n")
	for _, step := range []struct{ pattern, want string }{
		{"^one$", "one"}, {`two (\d+)(x)?`, "two 22|22|"}, {"^one$", "one"},
	} {
		got, err := c.Expect(step.pattern, time.Minute)
		if err != nil || strings.Join(got, "|") != step.want {
			t.Errorf("%s: got %q, %v", step.pattern, got, err)
		}
	}
	if _, err := c.Expect("one", 0); err == nil || !strings.Contains(err.Error(), "\ttwo 22\n") {
		t.Errorf("got %v, want an error with the last lines", err)
	}
	if got := c.String(); got != "one\ntwo 22\none\n" {
		t.Errorf("console is %q", got)
	}
}

func TestExpectWaitsForWhatComesInPieces(t *testing.T) {
	c := NewConsole()
	go func() {
		for _, b := range []byte("login: ") {
			c.Write([]byte{b})
		}
	}()
	if _, err := c.Expect("login: $", time.Minute); err != nil {
		t.Error(err)
	}
}

func TestExpectEndsWithTheMachine(t *testing.T) {
	c := NewConsole()
	fmt.Fprint(c, "last words")
	c.End()
	if _, err := c.Expect("words", time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := c.Expect("never", time.Minute); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("got %v", err)
	}
}

func TestExpectRefusesABadPattern(t *testing.T) {
	if _, err := NewConsole().Expect("(", time.Minute); err == nil {
		t.Error("no error")
	}
}
