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
		s.members.setTakeover(s.Takeover)
		attended, end := s.members.withHeartbeatTimeout(ctx)
		err := s.members.heartbeatOrRegister(attended)
		if cause := context.Cause(attended); err != nil && errors.Is(cause, errHeartbeatTimeout) {
			err = cause
		}
		if end(); err != nil {
			return nil, err
		}
	}
	var p *engine.Pause
	err := s.readTimeout.Do(ctx, func(ctx context.Context) (err error) {
		p, err = readmodel.FindPause(ctx, s.pool)
		return err
	})
	return p, err
}

// heartbeatOrRegister tells the others that this replica lives, and makes it a member where it
// is none, without a part in anything.
func (m *membership) heartbeatOrRegister(ctx context.Context) error {
	t, err := m.heartbeat(ctx, 0, false)
	if err != nil || t.member {
		return err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	if err := m.register(ctx, conn); err != nil {
		return err
	}
	m.joined = true
	return nil
}
