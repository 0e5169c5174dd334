package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
)

// ErrOtherProgress means that a progress file is of another stream, or none.
var ErrOtherProgress = errors.New("the progress file does not fit")

// checkStream compares the stream with the one that lines were published to, which
// has to hold them still.
func (p *progress) checkStream(ctx context.Context, path string, client *stream.Client, info engine.StreamInfo) error {
	have := identityOf(info)
	differs, reached := "", max(p.Last, p.Mark)
	if p.Window != nil {
		reached = max(reached, p.Window.After)
	}
	switch {
	case have.Name != p.Stream.Name:
		differs = fmt.Sprintf("they went to stream %s, and STREAM is %s", p.Stream.Name, have.Name)
	case have.ID != p.Stream.ID:
		differs = fmt.Sprintf("they went to a stream %s with the id %q, and this one's is %q", have.Name, p.Stream.ID, have.ID)
	case !have.Created.Equal(p.Stream.Created):
		differs = fmt.Sprintf("they went to a stream %s that was created at %s, and this one was at %s: it was created anew, or restored", have.Name,
			p.Stream.Created.Format(time.RFC3339Nano), have.Created.Format(time.RFC3339Nano))
	case info.Last < reached:
		differs = fmt.Sprintf("the stream had reached position %d, and ends at %d: it was restored from before", reached, info.Last)
	default:
		var err error
		if differs, err = p.missing(ctx, client); err != nil {
			return err
		}
	}
	if differs == "" {
		return nil
	}
	return fmt.Errorf("%w: %s says that lines up to %d are published, and %s. Nothing was published. To go on, name that stream; "+
		"to publish the whole input to this one, from its first line, name another file with --progress", ErrOtherProgress, path, p.Done.Lines, differs)
}

// missing says how the stream lacks the last message that was published to it; empty
// where it has that message, or an erasure has removed it.
func (p *progress) missing(ctx context.Context, client *stream.Client) (differs string, err error) {
	if p.LastMessage == nil {
		return "", nil // nothing was published, or somebody who knows better has taken it out
	}
	m, err := client.Get(ctx, p.Last)
	switch {
	case err == nil && m.Subject == p.LastMessage.Subject && digestOf([]byte(stream.MessageID(m))) == p.LastMessage.ID:
		return "", nil
	case err == nil:
		return fmt.Sprintf("at position %d, where the last of them was, is another message: the stream was restored from before, and has grown since", p.Last), nil
	case !errors.Is(err, stream.ErrNoMessage):
		return "", fmt.Errorf("the last message that was published: %w", err)
	}
	if to := events.ParseSubject(p.LastMessage.Subject); to.Kind == events.SubjectAccount {
		erased, err := client.FirstErased(ctx, to.Account)
		if err != nil {
			return "", fmt.Errorf("whether the account of the last message that was published is erased: %w", err)
		}
		if erased.Position > p.Last {
			return "", nil
		}
	}
	return fmt.Sprintf("at position %d, where the last of them was, is no message any more, and no erasure of its account tells why: the stream was restored from "+
		"before and lacks them, or somebody has removed that message (where that is so and all others are there, take \"last_message\" out of the progress file, "+
		"and run the same command again)", p.Last), nil
}
