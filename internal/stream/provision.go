package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DefaultPartitions is the number of partitions of a stream that Provision
// creates. Readers never assume it: they read the stream's own.
const DefaultPartitions = 16

// Result says what Provision found or made.
type Result struct {
	Created    bool
	Partitions int
}

// ErrDiffers means that a stream of the name is there and is not as contract
// §1 wants it.
var ErrDiffers = errors.New("the stream differs from what the contract wants")

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
		Duplicates:        2 * time.Minute,
		AllowDirect:       true,
	}
}

// Provision creates the stream, or checks the one that is there; it may be
// repeated. A stream that differs is refused with [ErrDiffers], naming each
// difference. Another number of partitions, replicas or subjects' duplicate
// window is no difference.
func (c *Client) Provision(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	want := wanted(c.cfg.Stream)
	s, err := c.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err = c.create(ctx, want); err == nil {
			return Result{Created: true, Partitions: DefaultPartitions}, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return Result{}, fmt.Errorf("create stream %s: %w", want.Name, err)
		}
		s, err = c.js.Stream(ctx, want.Name) // somebody else was faster
	}
	if err != nil {
		return Result{}, fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := s.CachedInfo().Config
	n, err := partitionCount(have.SubjectTransform)
	diffs := differences(have, want)
	if err != nil {
		diffs = append(diffs, err.Error())
	}
	if len(diffs) > 0 {
		return Result{}, fmt.Errorf("%w: %s", ErrDiffers, strings.Join(diffs, "; "))
	}
	return Result{Partitions: n}, nil
}

func differences(have, want jetstream.StreamConfig) []string {
	var out []string
	differ := func(what string, same bool, have, want any) {
		if !same {
			out = append(out, fmt.Sprintf("%s is %v, want %v", what, have, want))
		}
	}
	unlimited := func(n int64) bool { return n <= 0 }
	differ("subjects", slices.Equal(have.Subjects, want.Subjects), have.Subjects, want.Subjects)
	differ("retention", have.Retention == want.Retention, have.Retention, want.Retention)
	differ("storage", have.Storage == want.Storage, have.Storage, want.Storage)
	differ("max_msgs", unlimited(have.MaxMsgs), have.MaxMsgs, "no limit")
	differ("max_bytes", unlimited(have.MaxBytes), have.MaxBytes, "no limit")
	differ("max_age", have.MaxAge == 0, have.MaxAge, "no limit")
	differ("max_msgs_per_subject", unlimited(have.MaxMsgsPerSubject), have.MaxMsgsPerSubject, "no limit")
	differ("max_msg_size", unlimited(int64(have.MaxMsgSize)), have.MaxMsgSize, "no limit")
	differ("sources", len(have.Sources) == 0, len(have.Sources), "none")
	differ("mirror", have.Mirror == nil, "set", "none")
	differ("republish", have.RePublish == nil, "set", "none")
	differ("no_ack", !have.NoAck, have.NoAck, false)
	differ("sealed", !have.Sealed, have.Sealed, false)
	differ("deny_delete", !have.DenyDelete, have.DenyDelete, false)
	differ("deny_purge", !have.DenyPurge, have.DenyPurge, "false: erasing an account purges its subject")
	differ("allow_rollup_hdrs", !have.AllowRollup, have.AllowRollup, "false: a publisher could remove history")
	differ("allow_msg_ttl", !have.AllowMsgTTL, have.AllowMsgTTL, "false: a publisher could let history expire")
	return out
}

// errStoreFailed is what a server says whose disk failed it, or which is still
// clearing the folders of a stream that was deleted.
const errStoreFailed jetstream.ErrorCode = 10049

// create creates the stream. What may pass within a second is tried again.
func (c *Client) create(ctx context.Context, want jetstream.StreamConfig) (err error) {
	for range 5 {
		_, err = c.js.CreateStream(ctx, want)
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
