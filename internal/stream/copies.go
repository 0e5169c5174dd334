package stream

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// On is the same connection with another stream, a copy, which needs no subject
// transform. Closing either closes both.
func (c *Client) On(stream string) *Client {
	other := *c
	other.cfg.Stream, other.copy = stream, true
	return &other
}

// Stream is the name of the client's stream.
func (c *Client) Stream() string { return c.cfg.Stream }

// Copies lists the streams that this connection can see and that copy from this
// one, as its mirror or by sourcing from it, and those that copy from such, in
// the order of their names. Copies in other NATS accounts cannot be seen.
func (c *Client) Copies(ctx context.Context) ([]string, error) {
	all, err := c.streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for copies of stream %s: %w", c.cfg.Stream, err)
	}
	from := map[string]bool{c.cfg.Stream: true}
	var copies []string
	for found := true; found; {
		found = false
		for _, s := range all {
			if !from[s.Name] && copiesFrom(s, from) {
				from[s.Name], found = true, true
				copies = append(copies, s.Name)
			}
		}
	}
	slices.Sort(copies)
	return copies, nil
}

func copiesFrom(s jetstream.StreamConfig, from map[string]bool) bool {
	if s.Mirror != nil && from[s.Mirror.Name] {
		return true
	}
	return slices.ContainsFunc(s.Sources, func(src *jetstream.StreamSource) bool { return from[src.Name] })
}

func (c *Client) streams(ctx context.Context) (all []jetstream.StreamConfig, err error) {
	for {
		var answer struct {
			Total   int `json:"total"`
			Streams []struct {
				Config jetstream.StreamConfig `json:"config"`
			} `json:"streams"`
		}
		question := struct {
			Offset int `json:"offset"`
		}{len(all)}
		if err := c.api(ctx, "STREAM.LIST", question, &answer); err != nil {
			return nil, err
		}
		for _, s := range answer.Streams {
			all = append(all, s.Config)
		}
		if len(answer.Streams) == 0 || len(all) >= answer.Total {
			return all, nil
		}
	}
}
