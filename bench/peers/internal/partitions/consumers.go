// Package partitions gives a durable consumer for each partition of the stream: within
// one, and so within an account, messages come in order, and all of them come at once.
package partitions

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stream is the control plane's.
const Stream = "CONTROL_PLANE"

// Prefetch is how many messages a consumer has on the way. Few, since the server's clock
// of an acknowledgement runs while they wait for those before them.
const Prefetch = 100

// Consumers makes the consumers, with explicit acknowledgements, or finds them as they
// were left.
func Consumers(ctx context.Context, js jetstream.JetStream, name string) ([]jetstream.Consumer, error) {
	s, err := js.Stream(ctx, Stream)
	if err != nil {
		return nil, err
	}
	n := 1
	if t := s.CachedInfo().Config.SubjectTransform; t != nil {
		if _, after, ok := strings.Cut(t.Destination, "{{partition("); ok {
			count, _, _ := strings.Cut(after, ",")
			if n, err = strconv.Atoi(count); err != nil {
				return nil, fmt.Errorf("the stream's transform %s: %w", t.Destination, err)
			}
		}
	}
	all := make([]jetstream.Consumer, n)
	for p := range all {
		all[p], err = s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable:       name + "-" + strconv.Itoa(p),
			FilterSubject: "controlplane." + strconv.Itoa(p) + ".*.*",
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       30 * time.Second,
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
