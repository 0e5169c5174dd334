package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// PurgeAccount removes an account's messages from the stream, earlier and later
// ones, under whichever subject they are stored, but for the one at keep; 0
// keeps none. It returns how many went. Before any does, book is told of the
// positions, where it is not nil. It may be repeated; what JetStream keeps on
// disk until it compacts, and what is in backups, it does not reach.
func (c *Client) PurgeAccount(ctx context.Context, account events.UUID, keep uint64, book func(ctx context.Context, positions []uint64) error) (removed int, err error) {
	var those []uint64
	if book != nil {
		if those, err = c.positions(ctx, account, keep); err != nil {
			return 0, err
		}
		if err := book(ctx, those); err != nil {
			return 0, err
		}
	}
	if keep > 0 || book == nil { // what comes before it does not grow, so all of it was told of
		if removed, err = c.purgeBefore(ctx, account, keep); err != nil {
			return removed, err
		}
	}
	if book == nil {
		if those, err = c.positions(ctx, account, keep); err != nil {
			return removed, err
		}
	}
	for _, position := range those {
		if position < keep {
			continue
		}
		gone, err := c.DeleteMessage(ctx, position)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// positions are those of the account's messages, but for the one at keep.
func (c *Client) positions(ctx context.Context, account events.UUID, keep uint64) (those []uint64, err error) {
	err = c.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		if m.Position != keep {
			those = append(those, m.Position)
		}
		return nil
	})
	return those, err
}

// purgeBefore removes an account's messages before a position at once, 0: all.
func (c *Client) purgeBefore(ctx context.Context, account events.UUID, position uint64) (removed int, err error) {
	subjects, _, err := c.storedSubjects(ctx, events.AccountSubject(account))
	if err != nil {
		return 0, fmt.Errorf("look for messages of account %s: %w", account, err)
	}
	for _, subject := range subjects {
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

// DeleteMessage removes one message and overwrites it on disk. It tells whether there
// was one to remove.
func (c *Client) DeleteMessage(ctx context.Context, position uint64) (removed bool, err error) {
	err = c.api(ctx, "STREAM.MSG.DELETE."+c.cfg.Stream, deleteRequest{position}, nil)
	if err == nil {
		return true, nil
	}
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) {
		// The server's word for it differs by version and by how it stores.
		if _, getErr := c.Get(ctx, position); errors.Is(getErr, ErrNoMessage) {
			return false, nil
		}
	}
	return false, fmt.Errorf("remove message %d: %w", position, err)
}

// deleteRequest is JetStream's own; what is not said is that the message is
// overwritten.
type deleteRequest struct {
	Seq uint64 `json:"seq"`
}
