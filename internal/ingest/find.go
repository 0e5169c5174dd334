package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"accountexport/internal/stream"
	"accountexport/projections"
)

// maxSearches is how many searches are made at once; each may take a consumer.
const maxSearches = 8

// Find tells where the stream holds each of the items after a position; 0 where
// it does not. It looks among the messages of the item's subject, under whatever
// partition they are stored, or under none. A message is the item's where it has
// the item's id and the same content.
//
// What is still on its way when Find looks, it does not see: [Publisher.Publish]
// of an item with Tried set does.
func (p *Publisher) Find(ctx context.Context, items []Item, after uint64) ([]uint64, error) {
	found := make([]uint64, len(items))
	queues := map[string][]int{}
	var order []string
	for i, item := range items {
		if queues[item.Message.Subject] == nil {
			order = append(order, item.Message.Subject)
		}
		queues[item.Message.Subject] = append(queues[item.Message.Subject], i)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxSearches)
	for _, subject := range order {
		group.Go(func() error { return p.findOn(ctx, subject, items, queues[subject], after, found) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

// findOn finds those of the items that are of one subject.
func (p *Publisher) findOn(ctx context.Context, subject string, items []Item, which []int, after uint64, found []uint64) error {
	byID := make(map[string]int, len(which))
	for _, i := range which {
		byID[items[i].id()] = i
	}
	return p.client.ReadSubjectAfter(ctx, subject, after, func(m projections.Message) error {
		if i, ok := byID[stream.MessageID(m)]; ok && found[i] == 0 && items[i].is(m) {
			found[i] = m.Position
		}
		return nil
	})
}

// findOne is Find for one item.
func (p *Publisher) findOne(ctx context.Context, item Item, after uint64) (position uint64, err error) {
	found := []uint64{0}
	err = p.findOn(ctx, item.Message.Subject, []Item{item}, []int{0}, after, found)
	return found[0], err
}

// findAll is Find for those of the items that are of one subject.
func (p *Publisher) findAll(ctx context.Context, items []Item, which []int, after uint64) (at []uint64, err error) {
	those := make([]Item, len(which))
	index := make([]int, len(which))
	for n, i := range which {
		those[n], index[n] = items[i], n
	}
	at = make([]uint64, len(which))
	return at, p.findOn(ctx, those[0].Message.Subject, those, index, after, at)
}

// verify tells whether the message that the server took an item for a retry of
// is this item.
func (p *Publisher) verify(ctx context.Context, i int, item Item, position uint64) error {
	m, err := p.client.Get(ctx, position)
	collision := &CollisionError{Index: i, ID: item.ID, Subject: item.Message.Subject, Position: position}
	switch {
	case errors.Is(err, stream.ErrNoMessage):
		return collision
	case err != nil:
		return fmt.Errorf("what %s was taken for a retry of: %w", item.Message.Subject, err)
	case m.Subject != item.Message.Subject || !item.is(m):
		collision.Other = m.Subject
		return collision
	}
	return nil
}

// is tells whether a message on the item's subject is the item: it has its id,
// payload and attributes. Other headers, which say nothing of the event, may
// differ.
func (item Item) is(m projections.Message) bool {
	if stream.MessageID(m) != item.id() || !bytes.Equal(m.Data, item.Message.Data) {
		return false
	}
	for name, values := range item.Message.Header {
		if len(name) > 3 && strings.EqualFold(name[:3], "ce-") && !slices.EqualFunc(m.Header[name], values, sameValue) {
			return false
		}
	}
	return true
}

// sameValue compares values of headers as the wire brings them: without the spaces
// around them, and with a space for each end of a line.
func sameValue(a, b string) bool {
	return strings.TrimSpace(endsOfLines.Replace(a)) == strings.TrimSpace(endsOfLines.Replace(b))
}

var endsOfLines = strings.NewReplacer("\r", " ", "\n", " ")

// id is the item's as a header brings it: without the spaces around it.
func (item Item) id() string { return strings.Trim(item.ID, " \t") }
