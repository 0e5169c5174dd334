package stream

import (
	"context"
	"math"
)

// MaxHeader is how many bytes the header of a stored message may have: JetStream
// keeps its length in two bytes.
const MaxHeader = math.MaxUint16

// MaxMessage is how many bytes a message may have with its headers: the lesser of
// what the server takes, its max_payload, and of what the stream does, its
// max_msg_size. setting names which of them it is.
func (c *Client) MaxMessage(ctx context.Context) (most int, setting string, err error) {
	info, err := c.stream(ctx)
	if err != nil {
		return 0, "", c.explain(err)
	}
	most, setting = c.MaxPayload(), "the server's max_payload"
	if size := int(info.Config.MaxMsgSize); size > 0 && size < most {
		most, setting = size, "the stream's max_msg_size"
	}
	return most, setting, nil
}
