package store

import (
	"context"
	"errors"

	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// Paused implements [engine.Store].
func (s *Store) Paused(ctx context.Context) (*engine.Pause, error) {
	if s.members != nil {
		s.members.keep(s.Takeover)
		attended, end := s.members.attended(ctx)
		err := s.members.beat(attended)
		if cause := context.Cause(attended); err != nil && errors.Is(cause, errSilent) {
			err = cause
		}
		if end(); err != nil {
			return nil, err
		}
	}
	var p *engine.Pause
	err := s.patience.Do(ctx, func(ctx context.Context) (err error) {
		p, err = readmodel.FindPause(ctx, s.pool)
		return err
	})
	return p, err
}

// beat tells the others that this replica lives, and makes it a member where it
// is none, without a part in anything.
func (m *membership) beat(ctx context.Context) error {
	t, err := m.tell(ctx, 0, false)
	if err != nil || t.member {
		return err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	if err := m.enter(ctx, conn); err != nil {
		return err
	}
	m.joined = true
	return nil
}
