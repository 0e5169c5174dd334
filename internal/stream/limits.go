package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What a server says where a limit is reached that a stream or a consumer runs
// into.
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

// ErrMaxConsumers means that nothing can be read since there are as many
// consumers as may be. It passes when another reading ends.
var ErrMaxConsumers = errors.New("it has as many consumers as max_consumers lets it, or the account, or default_max_consumers of the server's limits, have, " +
	"and every reading takes one more: raise that limit, or end other readers")

// limited says which limit of the server or the account an error is of, and what
// would be right.
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

// pullLimits is what a reader's consumer lets it ask for; 0 is no limit.
type pullLimits struct {
	batch   int           // messages of one request
	bytes   int           // of one request
	expires time.Duration // of one request
}

// allowed reads it from what the server has made of the consumer: where nothing
// was asked for, it has filled in its own limits.
func allowed(cfg jetstream.ConsumerConfig) pullLimits {
	return pullLimits{cfg.MaxRequestBatch, cfg.MaxRequestMaxBytes, cfg.MaxRequestExpires}
}

// leastInactive is the least inactive_threshold under which a reader can be: a
// consumer is gone sooner than its first request comes over a slow network.
const leastInactive = time.Second

// ErrNoReader means that a limit lets nobody read the stream, now or later.
var ErrNoReader = errors.New("nobody can read the stream")

// tooShort refuses an inactive_threshold of the stream that lets no reader live.
func tooShort(of time.Duration) error {
	return fmt.Errorf("%w: its consumer_limits have inactive_threshold %v, and a consumer that lives for less than %v is gone before it is read from: "+
		"raise it, to 5m for example", ErrNoReader, of, leastInactive)
}
