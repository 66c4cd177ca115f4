//go:build !freebsd

package devctl

import (
	"context"
	"fmt"

	"onset/eventsources"
)

// Run implements eventsources.Source.
func (Source) Run(context.Context, eventsources.Init) error {
	return fmt.Errorf("devctl is FreeBSD's: %w", eventsources.ErrUnsupported)
}
