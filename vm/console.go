package vm

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// console collects what the guest prints, without carriage returns, and finds
// patterns in it. One goroutine writes, one expects.
type console struct {
	mu    sync.Mutex
	text  []byte
	seen  int           // text before it has been matched
	more  chan struct{} // closed and replaced at each write and at the end
	ended bool
}

func newConsole() *console { return &console{more: make(chan struct{})} }

func (c *console) Write(p []byte) (int, error) {
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

// end tells expectations that nothing follows.
func (c *console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.wake()
}

func (c *console) wake() {
	close(c.more)
	c.more = make(chan struct{})
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

// expect waits until the pattern matches behind the last match, and returns
// the match and its groups.
func (c *console) expect(pattern string, timeout time.Duration) ([]string, error) {
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
			return nil, fmt.Errorf("the machine ended without %q on its console%s", pattern, c.tail())
		}
		select {
		case <-more:
		case <-timer.C:
			return nil, fmt.Errorf("no %q on the console within %v%s", pattern, timeout, c.tail())
		}
	}
}

func (c *console) match(re *regexp.Regexp) (match []string, ended bool, more <-chan struct{}) {
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

// tail is the end of the console for one error; the whole of it is in the
// test's log.
func (c *console) tail() string {
	lines := strings.Split(strings.TrimRight(c.String(), "\n"), "\n")
	return "; its last lines:\n\t" + strings.Join(lines[max(0, len(lines)-5):], "\n\t")
}
