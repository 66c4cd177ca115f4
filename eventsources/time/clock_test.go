package timers

import (
	"os"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

// TestKernelClock has an alarm ring, and not before its time.
func TestKernelClock(t *testing.T) {
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, d := range []time.Duration{20 * time.Millisecond, -time.Second, 0} {
		at := c.now().run + d
		c.set(at)
		for deadline := time.After(sourcetest.Patience); ; {
			select {
			case <-c.rings():
			case <-deadline:
				t.Fatal("it did not ring")
			}
			if c.now().run >= at {
				break // else somebody set the clock
			}
		}
	}
	before := c.now()
	if d := time.Until(before.wall).Abs(); d > 10*time.Second {
		t.Errorf("its time is %v off", d)
	}
	if began, ok := startOf(os.Getpid()); ok && (began > before.run || before.run-began > time.Hour) {
		t.Errorf("this process began at %v, and it is %v", began, before.run)
	}
}
