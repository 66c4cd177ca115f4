//go:build !linux

package power

import (
	"context"
	"fmt"

	"onset/eventsources"
)

// Run implements eventsources.Source.
func (Source) Run(context.Context, eventsources.Init) error {
	return fmt.Errorf("devctl tells of power, and initctl suspend of suspends: %w", eventsources.ErrUnsupported)
}
