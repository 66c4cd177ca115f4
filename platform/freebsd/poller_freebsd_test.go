package freebsd

import (
	"testing"

	"onset/platform/platformtest"
)

func TestPoller(t *testing.T) {
	platformtest.RunPoller(t, func() (platformtest.Poller, error) { return NewPoller() })
}
