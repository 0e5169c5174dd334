package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The server's error codes for limits that creating a stream or a consumer can hit.
const (
	errAccountExceeded   jetstream.ErrorCode = 10002
	errStorageExceeded   jetstream.ErrorCode = 10047
	errNoPeers           jetstream.ErrorCode = 10005
	errMaxConsumers      jetstream.ErrorCode = 10026
	errMaxStreams        jetstream.ErrorCode = 10027
	errMaxBytesRequired  jetstream.ErrorCode = 10113
	errNoTier            jetstream.ErrorCode = 10120
	errInactiveThreshold jetstream.ErrorCode = 10153
)

// ErrMaxConsumers means that the stream cannot be read because its consumer limit is
// reached. It passes once another reader ends.
var ErrMaxConsumers = errors.New("it has as many consumers as max_consumers lets it, or the account, or default_max_consumers of the server's limits, have, " +
	"and every reading takes one more: raise that limit, or end other readers")

// limited adds to an error of the server which limit of the server or the account it
// is about, and what would be right. Other errors are returned unchanged.
func limited(err error) error {
	refused := (*jetstream.APIError)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	why := ""
	switch refused.ErrorCode {
	case errMaxBytesRequired:
		why = "the account has max_bytes_required (max_stream_bytes), and an event store is without a limit of its own: take it off the account"
	case errMaxStreams:
		why = "the account has as many streams as its max_streams allows: raise that, or delete a stream"
	case errAccountExceeded:
		why = "the account's max_file is used up: raise it, since an event store only grows"
	case errStorageExceeded:
		why = "the account's max_file, or the server's max_file_store, has no room for another stream: raise it"
	case errMaxConsumers:
		return fmt.Errorf("%w (%w)", ErrMaxConsumers, err)
	case errNoPeers:
		why = "no server of the cluster has room for it: their max_file_store, or how many are up, keeps it out"
	case errNoTier:
		why = "the account's limits are for other numbers of replicas: give it a limit for one, or make the stream by hand with as many as it allows, " +
			"which `projector provision` then checks"
	default:
		return err
	}
	return fmt.Errorf("%s (%w)", why, err)
}

// pullLimits is the most that a consumer lets one pull request ask for. 0 stands for
// no limit.
type pullLimits struct {
	batch   int // messages
	bytes   int
	expires time.Duration
}

// pullLimitsOf reads the limits from the consumer's configuration as the server returned
// it: where the request asked for none, the server has filled in its own.
func pullLimitsOf(cfg jetstream.ConsumerConfig) pullLimits {
	return pullLimits{cfg.MaxRequestBatch, cfg.MaxRequestMaxBytes, cfg.MaxRequestExpires}
}

// minInactiveThreshold is the shortest inactive_threshold that a reader can work with. With
// a shorter one, a slow network could have the server remove the consumer before its
// first pull request arrives.
const minInactiveThreshold = time.Second

// ErrNoReader means that a limit keeps everybody from reading the stream, now and
// later.
var ErrNoReader = errors.New("nobody can read the stream")

// inactiveThresholdTooShort is the refusal of a stream whose inactive_threshold is too short for a
// reader.
func inactiveThresholdTooShort(of time.Duration) error {
	return fmt.Errorf("%w: its consumer_limits have inactive_threshold %v, and a consumer that lives for less than %v is gone before it is read from: "+
		"raise it, to 5m for example", ErrNoReader, of, minInactiveThreshold)
}
