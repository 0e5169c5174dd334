package main

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// One pass over the stream passes many messages in the time that finding one
// account's own takes (measured: 700 thousand a second, and 10 ms an account).
const messagesAnAccount = 5000

// mostAtOnce bounds the documents held for one pass, in bytes and accounts.
const (
	mostAtOnceBytes    = 16 << 20
	mostAtOnceAccounts = 20_000
)

// several compares accounts, as many in one pass over the stream as fit into
// memory. What a pass finds to differ is looked at again by itself: the shared
// fold may be ahead of the tier that a document was stored beside.
type several struct {
	*verifying
	each func(verdict) error

	accounts map[events.UUID]storedAccount
	order    []events.UUID
	bytes    int
}

type storedAccount struct {
	readmodel.Meta
	body []byte
}

// add takes the account on, and compares what has gathered once it is enough.
func (s *several) add(ctx context.Context, id events.UUID) error {
	meta, body, err := s.stored(ctx, id)
	if err != nil {
		return err
	}
	if s.accounts == nil {
		s.accounts = map[events.UUID]storedAccount{}
	}
	s.accounts[id] = storedAccount{meta, body}
	s.order = append(s.order, id)
	s.bytes += len(body)
	if s.bytes < mostAtOnceBytes && len(s.order) < mostAtOnceAccounts {
		return nil
	}
	return s.flush(ctx)
}

// flush compares what has gathered.
func (s *several) flush(ctx context.Context) error {
	accounts, order := s.accounts, s.order
	s.accounts, s.order, s.bytes = nil, nil, 0
	info, err := s.client.Info(ctx)
	if err != nil {
		return err
	}
	fold := projections.NewFold()
	if info.Messages < uint64(len(order))*messagesAnAccount {
		if fold, err = s.pass(ctx, accounts); err != nil {
			return err
		}
	}
	sums := map[events.UUID]readmodel.Sum{}
	for _, id := range order {
		same, err := equal(fold, id, accounts[id])
		if err != nil {
			return err
		}
		if !same {
			continue
		}
		if sums[id], err = sumOf(fold.Account(id)); err != nil {
			return err
		}
	}
	differences, err := s.counts(ctx, sums)
	if err != nil {
		return err
	}
	for _, id := range order {
		v := verdict{Account: id.String(), Position: accounts[id].Position, Differences: []string{}}
		if _, same := sums[id]; !same || differences[id] != nil {
			if v, err = s.account(ctx, id); err != nil {
				return err
			}
		}
		if err := s.each(v); err != nil {
			return err
		}
	}
	return nil
}

// pass folds the accounts, each to its stored position, and all tiers.
func (s *several) pass(ctx context.Context, accounts map[events.UUID]storedAccount) (*projections.Fold, error) {
	fold := projections.NewFold()
	err := s.client.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if a, ok := accounts[to.Account]; to.Kind == events.SubjectAccount && (!ok || m.Position > a.Position) {
			return nil
		}
		_, _, err := fold.Apply(m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fold the stream: %w", err)
	}
	return fold, nil
}

// equal tells whether the account is stored as it was folded. False is no
// verdict.
func equal(fold *projections.Fold, id events.UUID, stored storedAccount) (bool, error) {
	a := fold.Account(id)
	if a == nil {
		return false, nil
	}
	doc, missing, err := fold.Document(id)
	if err != nil {
		return false, err
	}
	state := a.State(missing)
	return state.String() == stateOf(stored.State) && a.Position() == stored.Position &&
		(state == projections.Erased || a.Parked() == stored.Parked) && string(doc) == string(stored.body), nil
}
