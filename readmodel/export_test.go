package readmodel

import "time"

// SetLeastPatience sets how long the database's answer is waited for at first.
func (s *Store) SetLeastPatience(d time.Duration) { s.patience.least = d }

// Believe has x take a generation for the live one, as a replica does that has
// read nothing since it was.
func Believe(x *Exports, g Generation) { x.live.Store(newQueries(g)) }
