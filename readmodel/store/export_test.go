package store

import (
	"context"
	"time"
)

// SetMinTimeout sets the least limit of the adaptive timeouts.
func (s *Store) SetMinTimeout(d time.Duration) { s.readTimeout.Min, s.commitTimeout.Min = d, d }

// Notified waits until all notifications that are due are sent.
func (s *Store) Notified(ctx context.Context) {
	s.notifier.drain(ctx)
	s.members.notifier.drain(ctx)
}
