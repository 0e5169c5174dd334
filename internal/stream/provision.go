package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// DefaultPartitions is the number of partitions of a stream that Provision
// creates. Readers never assume it: they read the stream's own.
const DefaultPartitions = 16

// ProvisionResult says what Provision found or made.
type ProvisionResult struct {
	Created    bool
	ID         string // which stream it claims to be
	Partitions int
}

// ErrDiffers means that a stream of the name is there and is not as contract
// §1 wants it.
var ErrDiffers = errors.New("the stream differs from what the contract wants")

// wanted is the stream that Provision creates. The window for duplicates is the
// server's: two minutes, or less where it allows no more.
func wanted(name string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              name,
		Description:       "Control plane events: the event store",
		Subjects:          []string{published},
		SubjectTransform:  &jetstream.SubjectTransformConfig{Source: published, Destination: destination(DefaultPartitions)},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxAge:            0,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		AllowDirect:       true,
	}
}

// Provision creates the stream, or checks the one that is there; it may be
// repeated. A stream that differs is refused with [ErrDiffers], naming each
// difference. Another number of partitions, replicas or subjects' duplicate
// window is no difference. A stream that says not which one it is gets an id: its
// own, where it is one of those that are known.
func (c *Client) Provision(ctx context.Context, known ...engine.StreamIdentity) (ProvisionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	want := wanted(c.cfg.Stream)
	want.Metadata = map[string]string{idKey: newID()}
	info, err := c.stream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err = c.create(ctx, want); err == nil {
			return ProvisionResult{Created: true, ID: want.Metadata[idKey], Partitions: DefaultPartitions}, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return ProvisionResult{}, fmt.Errorf("create stream %s: %w", want.Name, limited(err))
		}
		info, err = c.stream(ctx) // somebody else was faster
	}
	if err != nil {
		return ProvisionResult{}, fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := info.Config
	n, err := partitionCount(have.SubjectTransform)
	var diffs []string
	for _, d := range differences(have, want) {
		diffs = append(diffs, d.String())
	}
	if err != nil {
		diffs = append(diffs, err.Error())
	}
	if len(diffs) > 0 {
		return ProvisionResult{}, fmt.Errorf("%w: %s", ErrDiffers, strings.Join(diffs, "; "))
	}
	id, err := c.identify(ctx, known)
	return ProvisionResult{ID: id, Partitions: n}, err
}

// errStoreFailed is what a server says whose disk failed it, or which is still
// clearing the folders of a stream that was deleted.
const errStoreFailed jetstream.ErrorCode = 10049

// create creates the stream. What may pass within a second is tried again.
func (c *Client) create(ctx context.Context, want jetstream.StreamConfig) (err error) {
	for range 5 {
		err = c.withPermissionCheck(ctx, c.prefix+"STREAM.CREATE."+want.Name, func(ctx context.Context) error {
			_, err := c.js.CreateStream(ctx, want)
			return err
		})
		var refused *jetstream.APIError
		if !errors.As(err, &refused) || refused.ErrorCode != errStoreFailed {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
	return err
}
