package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
)

// Ways out of a refusal.
const (
	nothingSent = "Nothing was published to it, and what waits is kept. "
	acceptWay   = "accept this one: `projector relay --accept-stream`, after which the relay publishes what waits to it, and looks first whether it is there already"
	otherWays   = nothingSent + "Ways out: point STREAM, NATS_URL and OUTBOX_DATABASE_URL at what belongs together; or " + acceptWay
	behindWays  = nothingSent + "Ways out: restore the stream from a backup that holds them; or " + acceptWay + ". What was acknowledged is not in the outbox any more: " +
		"what of it this stream lacks is lost to it, unless it is published again, from another copy of the stream, or as events that set what the control plane's tables hold now"
)

// checkIdentity refuses a stream that is not the one that was published to, as the
// projector refuses one that it has not folded.
func checkIdentity(info engine.StreamInfo, n noted) error {
	have := n.stream
	switch {
	case have.Name == "": // nothing yet
		return nil
	case info.Name != have.Name:
		return fmt.Errorf("%w: it is %s, and the outbox was published to %s. %s", stream.ErrOtherStream, info.Name, have.Name, otherWays)
	case stamp(info.Created) != stamp(have.Created):
		return fmt.Errorf("%w: %s was created %s, and the outbox was published to one that was created %s. %s", stream.ErrRecreated,
			info.Name, stamp(info.Created), stamp(have.Created), otherWays)
	case info.ID != "" && have.ID != "" && info.ID != have.ID:
		return fmt.Errorf("%w: the id of %s is %s, and the outbox was published to one with %s. %s", stream.ErrOtherStream, info.Name, info.ID, have.ID, otherWays)
	case info.Last < n.lastPosition:
		return fmt.Errorf("%w: stream %s ends at %d, and the outbox's last message was acknowledged at %d: the stream was restored from before. %s",
			engine.ErrStreamBehind, info.Name, info.Last, n.lastPosition, behindWays)
	case info.Last < n.searchFrom: // what waits may come to be before there, where nobody would look for it
		return fmt.Errorf("%w: stream %s ends at %d, and ended at %d when the relay last looked: the stream was restored from before. %s",
			engine.ErrStreamBehind, info.Name, info.Last, n.searchFrom, behindWays)
	}
	return nil
}

// checkLast refuses a stream that holds another message where the last one was
// acknowledged: it was restored from before, and got others since. One that was
// removed, as erasures do, says nothing.
func checkLast(ctx context.Context, s source, name string, n noted) error {
	if n.lastPosition == 0 {
		return nil
	}
	m, err := s.Get(ctx, n.lastPosition)
	if errors.Is(err, stream.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.Subject != n.lastSubject || stream.MessageID(m) != n.lastID {
		return fmt.Errorf("%w: stream %s holds another message at %d, where the outbox's last one was acknowledged: the stream was restored from before. %s",
			engine.ErrStreamBehind, name, n.lastPosition, behindWays)
	}
	return nil
}

// stamp is a time as a database keeps it.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) }
