package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// PurgeAccount removes the account's messages from the stream, under whichever
// subject they are stored, except the one at position keep; 0 keeps none. It returns
// how many were removed. If book is not nil, it is called with the positions before
// any message is removed, and an error of book removes nothing. PurgeAccount may be
// repeated after an error. It does not reach what JetStream keeps on disk until it
// compacts, nor backups.
func (c *Client) PurgeAccount(ctx context.Context, account events.UUID, keep uint64, book func(ctx context.Context, positions []uint64) error) (removed int, err error) {
	var positions []uint64
	if book != nil {
		if positions, err = c.positions(ctx, account, keep); err != nil {
			return 0, err
		}
		if err := book(ctx, positions); err != nil {
			return 0, err
		}
	}
	if keep > 0 || book == nil { // no message is added before keep, so book was called with all of them
		if removed, err = c.purgeBefore(ctx, account, keep); err != nil {
			return removed, err
		}
	}
	if book == nil {
		if positions, err = c.positions(ctx, account, keep); err != nil {
			return removed, err
		}
	}
	for _, position := range positions {
		if position < keep {
			continue
		}
		deleted, err := c.DeleteMessage(ctx, position)
		if err != nil {
			return removed, err
		}
		if deleted {
			removed++
		}
	}
	return removed, nil
}

// positions returns the positions of the account's messages, except keep.
func (c *Client) positions(ctx context.Context, account events.UUID, keep uint64) (out []uint64, err error) {
	err = c.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		if m.Position != keep {
			out = append(out, m.Position)
		}
		return nil
	})
	return out, err
}

// purgeBefore removes the account's messages before a position with one purge for
// each subject; 0 stands for all.
func (c *Client) purgeBefore(ctx context.Context, account events.UUID, position uint64) (removed int, err error) {
	subjects, _, err := c.storedSubjects(ctx, events.AccountSubject(account))
	if err != nil {
		return 0, fmt.Errorf("look for messages of account %s: %w", account, err)
	}
	for _, subject := range names(subjects) {
		var answer struct {
			Purged int `json:"purged"`
		}
		question := struct {
			Filter string `json:"filter"`
			Before uint64 `json:"seq"`
		}{subject, position}
		if err := c.api(ctx, "STREAM.PURGE."+c.cfg.Stream, question, &answer); err != nil {
			return removed, fmt.Errorf("purge account %s: %w", account, err)
		}
		removed += answer.Purged
	}
	return removed, nil
}

// DeleteMessage removes one message and has the server overwrite it on disk. It
// reports whether there was one.
func (c *Client) DeleteMessage(ctx context.Context, position uint64) (removed bool, err error) {
	err = c.api(ctx, "STREAM.MSG.DELETE."+c.cfg.Stream, deleteRequest{position}, nil)
	if err == nil {
		return true, nil
	}
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) {
		// The error code for "no such message" differs between server versions and storage
		// types, so the message is looked up.
		if _, getErr := c.Get(ctx, position); errors.Is(getErr, ErrNoMessage) {
			return false, nil
		}
	}
	return false, fmt.Errorf("remove message %d: %w", position, err)
}

// deleteRequest is JetStream's request. Its no_erase field is left out, so the
// message is overwritten.
type deleteRequest struct {
	Seq uint64 `json:"seq"`
}
