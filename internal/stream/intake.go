package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// MaxHeader is how many bytes the header of a stored message may have: JetStream
// keeps its length in two bytes.
const MaxHeader = math.MaxUint16

// ErrKeepsNothing means that a stream takes no message, or removes messages by itself:
// what was published there is not there for good.
var ErrKeepsNothing = errors.New("the stream does not keep what is published")

// Intake is what a stream takes of publishers.
type Intake struct {
	MaxMessage int    // bytes of a message with its headers
	Setting    string // which setting says so
}

// Intake asks what the stream takes. MaxMessage is the lesser of the server's max_payload
// and the stream's max_msg_size. A stream that takes nothing, or removes messages by
// itself, is refused with [ErrKeepsNothing], which names the settings.
func (c *Client) Intake(ctx context.Context) (in Intake, err error) {
	info, err := c.stream(ctx)
	if err != nil {
		return in, c.explain(err)
	}
	if bad := removing(info.Config); len(bad) > 0 {
		var each []string
		for _, d := range bad {
			each = append(each, d.String())
		}
		return in, fmt.Errorf("%w: of stream %s %s", ErrKeepsNothing, c.cfg.Stream, strings.Join(each, "; "))
	}
	in = Intake{c.MaxPayload(), "the server's max_payload"}
	if size := int(info.Config.MaxMsgSize); size > 0 && size < in.MaxMessage {
		in = Intake{size, "the stream's max_msg_size"}
	}
	return in, nil
}

// removing lists those of a stream's differences by which it takes no message, says
// nothing to whoever publishes, or removes messages. A limit on the stream only
// refuses new ones where it does not discard old ones.
func removing(have jetstream.StreamConfig) (out []engine.Deviation) {
	old := have.Discard != jetstream.DiscardNew
	bad := map[string]bool{"retention": true, "max_age": true, "mirror": true, "no_ack": true, "sealed": true,
		"max_msgs": old, "max_bytes": old, "max_msgs_per_subject": old || !have.DiscardNewPerSubject}
	for _, d := range differences(have, wanted(have.Name)) {
		if bad[d.What] {
			out = append(out, d)
		}
	}
	return out
}
