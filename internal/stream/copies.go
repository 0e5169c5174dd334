package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// WithStream returns a client of another stream, a copy, on the same connection. A
// copy needs no subject transform. Closing one of the clients closes both.
func (c *Client) WithStream(stream string) *Client {
	other := *c
	other.cfg.Stream, other.copy = stream, true
	return &other
}

// IsCopy reports whether the client is of a copy; see [Client.WithStream].
func (c *Client) IsCopy() bool { return c.copy }

// Stream returns the name of the client's stream.
func (c *Client) Stream() string { return c.cfg.Stream }

// Copies lists, sorted by name, the streams visible to this connection that copy from
// this stream, by mirroring or sourcing it, and the streams that copy from those. A
// stream that copies from one of the same name in another JetStream domain or account
// is no copy of this one. Copies in other NATS accounts are not visible and therefore
// not listed.
func (c *Client) Copies(ctx context.Context) (names []string, err error) {
	all, err := c.DescribeCopies(ctx)
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names, err
}

// Copy is a stream that copies from another one.
type Copy struct {
	Name     string
	Mirror   bool     // it mirrors; otherwise it sources
	From     []string // the stream itself, or other copies of it
	Messages uint64
	First    uint64
	Last     uint64
	Lag      uint64 // messages that it has yet to copy, as its server says
	Denies   string // the setting for which nothing can be removed from it, for ever; empty: none
}

// DescribeCopies is [Client.Copies], with what the server says of each.
func (c *Client) DescribeCopies(ctx context.Context) ([]Copy, error) {
	all, err := c.streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for copies of stream %s: %w", c.cfg.Stream, err)
	}
	from := map[string]bool{c.cfg.Stream: true}
	var copies []listed
	for found := true; found; {
		found = false
		for _, s := range all {
			if name := s.Config.Name; !from[name] && s.copiesFrom(from) {
				from[name], found = true, true
				copies = append(copies, s)
			}
		}
	}
	out := make([]Copy, 0, len(copies))
	for _, s := range copies {
		out = append(out, s.describe(from))
	}
	slices.SortFunc(out, func(a, b Copy) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// listed is a stream as STREAM.LIST returns it.
type listed struct {
	Config  jetstream.StreamConfig        `json:"config"`
	State   jetstream.StreamState         `json:"state"`
	Mirror  *jetstream.StreamSourceInfo   `json:"mirror"`
	Sources []*jetstream.StreamSourceInfo `json:"sources"`
	Domain  string                        `json:"domain"` // of the server
}

// describe is what is known of a copy that copies from some of these.
func (s listed) describe(from map[string]bool) Copy {
	out := Copy{Name: s.Config.Name, Mirror: s.Config.Mirror != nil, Messages: s.State.Msgs, First: s.State.FirstSeq, Last: s.State.LastSeq}
	for _, src := range append(slices.Clone(s.Config.Sources), s.Config.Mirror) {
		if src != nil && from[src.Name] && s.isHere(src.External) {
			out.From = append(out.From, src.Name)
		}
	}
	for _, src := range append(slices.Clone(s.Sources), s.Mirror) {
		if src != nil && slices.Contains(out.From, src.Name) {
			out.Lag += src.Lag
		}
	}
	switch {
	case s.Config.Sealed:
		out.Denies = "sealed"
	case s.Config.DenyPurge:
		out.Denies = "deny_purge"
	case s.Config.DenyDelete:
		out.Denies = "deny_delete"
	}
	return out
}

func (s listed) copiesFrom(from map[string]bool) bool {
	here := func(src *jetstream.StreamSource) bool { return from[src.Name] && s.isHere(src.External) }
	return s.Config.Mirror != nil && here(s.Config.Mirror) || slices.ContainsFunc(s.Config.Sources, here)
}

// isHere reports whether a source is in the domain and account of the stream itself.
// Those are the two API prefixes under which a server answers for itself.
func (s listed) isHere(external *jetstream.ExternalStream) bool {
	if external == nil {
		return true
	}
	prefix := strings.TrimSuffix(external.APIPrefix, ".")
	return prefix == "" || prefix == "$JS.API" || s.Domain != "" && prefix == "$JS."+s.Domain+".API"
}

// streams lists every stream that the connection can see; the server answers in
// pages.
func (c *Client) streams(ctx context.Context) (all []listed, err error) {
	for {
		var answer struct {
			Total   int      `json:"total"`
			Streams []listed `json:"streams"`
		}
		question := struct {
			Offset int `json:"offset"`
		}{len(all)}
		if err := c.api(ctx, "STREAM.LIST", question, &answer); err != nil {
			return nil, err
		}
		all = append(all, answer.Streams...)
		if len(answer.Streams) == 0 || len(all) >= answer.Total {
			return all, nil
		}
	}
}
