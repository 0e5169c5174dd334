package store

import (
	"context"
	"time"
)

// SetMinTimeout sets how long the database's answer is waited for at first.
func (s *Store) SetMinTimeout(d time.Duration) { s.readTimeout.Min, s.commitTimeout.Min = d, d }

// Notified waits until all notices that are due are sent.
func (s *Store) Notified(ctx context.Context) {
	s.notifier.drain(ctx)
	s.members.notifier.drain(ctx)
}
