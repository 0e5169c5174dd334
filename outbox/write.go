package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/events"
)

// ErrRepeatedID means that an event with the id waits to be published already.
var ErrRepeatedID = errors.New("an event with this id is in the outbox already")

// Writer writes events. The zero value is what [Write] uses.
type Writer struct {
	// Park has events written that the projector will park, as [events.Decode] says
	// with an error. They need a sound subject, and an id. Default: they are refused.
	Park bool
}

// Write writes events in a transaction, each to its subject, in their order. It is
// one round trip. What the projector would park is refused, with an [*events.Invalid],
// and then nothing is written; the transaction can go on. After any other error it
// cannot.
func Write(ctx context.Context, tx pgx.Tx, messages ...events.Message) error {
	return Writer{}.Write(ctx, tx, messages...)
}

// Write is [Write] as the writer says.
func (w Writer) Write(ctx context.Context, tx pgx.Tx, messages ...events.Message) error {
	if len(messages) == 0 {
		return nil
	}
	subjects, ids, payloads := make([]string, len(messages)), make([]string, len(messages)), make([][]byte, len(messages))
	headers := make([]*string, len(messages))
	trace := traceparent(ctx)
	for i, m := range messages {
		m.Header = withTraceparent(m.Header, trace)
		id, header, err := w.check(m)
		if err != nil {
			return fmt.Errorf("outbox: event %d of %d, on %.200q: %w", i+1, len(messages), m.Subject, err)
		}
		subjects[i], ids[i], headers[i], payloads[i] = m.Subject, id, header, m.Data
		if m.Data == nil {
			payloads[i] = []byte{}
		}
	}
	_, err := tx.Exec(ctx, `SELECT outbox.write_all($1::text[], $2::text[], $3::text[], $4::bytea[])`, subjects, ids, headers, payloads)
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.ConstraintName == "messages_id" {
		return fmt.Errorf("outbox: %w: %w", ErrRepeatedID, err)
	}
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// check judges a message, and gives its id and its header as the table has it.
func (w Writer) check(m events.Message) (id string, header *string, err error) {
	_, to, err := events.Decode(m)
	if err != nil && (!w.Park || to.Kind == events.SubjectUnsound) {
		return "", nil, err
	}
	if id = strings.Trim(m.EventID(), " \t"); id == "" { // as a header brings it
		return "", nil, errors.New("it has no id: each event needs one of its own, since the relay finds by it what was published")
	}
	for name := range m.Header {
		if len(name) >= 5 && strings.EqualFold(name[:5], "nats-") {
			return "", nil, fmt.Errorf("it has the header %.64q: those that begin with Nats- are the relay's own", name)
		}
	}
	if len(m.Header) > 0 {
		values := make(map[string][]string, len(m.Header))
		for name, list := range m.Header {
			values[name] = append([]string{}, list...) // never null, which the table refuses
		}
		b, err := json.Marshal(values)
		if err != nil {
			return "", nil, err
		}
		text := string(b)
		header = &text
	}
	return id, header, nil
}
