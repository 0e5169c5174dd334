package store

import (
	"context"
	"time"
)

// SetLeastPatience sets how long the database's answer is waited for at first.
func (s *Store) SetLeastPatience(d time.Duration) { s.patience.Min, s.commits.Min = d, d }

// Notified waits until all notices that are due are sent.
func (s *Store) Notified(ctx context.Context) {
	s.notices.wait(ctx)
	s.members.notices.wait(ctx)
}
