package readmodel

import "time"

// SetLeastPatience sets how long the database's answer is waited for at first.
func (s *Store) SetLeastPatience(d time.Duration) { s.patience.least = d }
