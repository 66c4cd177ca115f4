package script

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Console collects what the guest prints, without carriage returns, and finds
// patterns in it. One goroutine writes, one expects.
type Console struct {
	mu    sync.Mutex
	text  []byte
	seen  int           // text before it has been matched
	more  chan struct{} // closed and replaced at each write and at the end
	ended bool
}

// NewConsole returns one without text.
func NewConsole() *Console { return &Console{more: make(chan struct{})} }

// Write adds to the text.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p {
		if b != '\r' {
			c.text = append(c.text, b)
		}
	}
	c.wake()
	return len(p), nil
}

// End tells expectations that nothing follows.
func (c *Console) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.wake()
}

func (c *Console) wake() {
	close(c.more)
	c.more = make(chan struct{})
}

// String is all of the text.
func (c *Console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// Expect waits until the pattern matches behind the last match, and returns
// the match and its groups.
func (c *Console) Expect(pattern string, timeout time.Duration) ([]string, error) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		match, ended, more := c.match(re)
		switch {
		case match != nil:
			return match, nil
		case ended:
			return nil, fmt.Errorf("the machine ended without %q on its console%s", pattern, c.Tail())
		}
		select {
		case <-more:
		case <-timer.C:
			return nil, fmt.Errorf("no %q on the console within %v%s", pattern, timeout, c.Tail())
		}
	}
}

func (c *Console) match(re *regexp.Regexp) (match []string, ended bool, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.text[c.seen:]
	if at := re.FindSubmatchIndex(rest); at != nil {
		for i := 0; i < len(at); i += 2 {
			group := ""
			if at[i] >= 0 {
				group = string(rest[at[i]:at[i+1]])
			}
			match = append(match, group)
		}
		c.seen += at[1]
	}
	return match, c.ended, c.more
}

// Tail is the end of the console for one error; the whole of it is in the
// test's log.
func (c *Console) Tail() string {
	lines := strings.Split(strings.TrimRight(c.String(), "\n"), "\n")
	return "; its last lines:\n\t" + strings.Join(lines[max(0, len(lines)-5):], "\n\t")
}

// Seen is how much of the text is up to the end of the last match, in bytes.
func (c *Console) Seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// Skip takes so many bytes of the text, which is there, for matched.
func (c *Console) Skip(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = min(n, len(c.text))
}
