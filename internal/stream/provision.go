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

// DefaultPartitions is the partition count of a stream that Provision creates.
// Readers never assume it: they read the stream's own count.
const DefaultPartitions = 16

// ProvisionResult says what Provision found or created.
type ProvisionResult struct {
	Created    bool
	ID         string // the id that the stream claims; see idKey
	Partitions int
}

// ErrDiffers means that a stream of the name exists and is not as contract §1 wants
// it.
var ErrDiffers = errors.New("the stream differs from what the contract wants")

// wanted is the configuration of a stream that Provision creates. The duplicate
// window is the server's default: two minutes, or less where the server allows no
// more.
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

// Provision creates the stream, or checks the one that exists. It may be repeated. A
// stream that differs from the contract is refused with [ErrDiffers], which names
// each difference; another partition count, replica count or duplicate window is no
// difference. A stream without an id is given one: the id that it had, where it is
// among the known identities, and otherwise a new one. Nothing else of an existing
// stream is changed.
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
		info, err = c.stream(ctx) // another program created it in between
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

// errStoreFailed is the server's error code for a failed disk, and for a stream whose
// files are still being deleted.
const errStoreFailed jetstream.ErrorCode = 10049

// create creates the stream. A store error, which may pass within a second, is
// retried.
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
