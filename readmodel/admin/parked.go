package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// ParkedFilter selects parked messages: those that match all of it. The zero value
// selects all of them.
type ParkedFilter struct {
	Account   *events.UUID
	Type      string    // with or without controlplane.
	Reason    string    // a part of the masked reason, in either case, see [events.MaskReason]
	Since     time.Time // sent then or later, by the stream's own timestamp
	From, To  uint64    // positions, both included; 0: no bound
	Dismissed bool      // only those that were dismissed
}

// Parked is a parked message as it is stored. What an unknown sender put there
// is in Subject, Type, Headers and Payload, and a part of it may be in Reason.
type Parked struct {
	Position  uint64
	Partition int
	Account   *events.UUID
	SentAt    time.Time
	Subject   string
	Type      string
	Reason    string
	Headers   string
	Payload   []byte

	DismissedAt *time.Time // nil: it was not dismissed
	Note        string
	Undismissed []Undismissed
}

// Undismissed is a dismissal that was taken back.
type Undismissed struct {
	DismissedAt, At time.Time
	Dismissal, Note string
}

// parkedPerPage is how many messages one statement reads.
const parkedPerPage = 5000

// ListParked calls each with the parked messages of the live generation that match, in
// stream order, without headers and payload, at most limit of them.
// The pages are read one after the other: what is parked meanwhile may be in.
func ListParked(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter, limit int, each func(Parked) error) error {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return err
	}
	return f.list(ctx, pool, g, limit, each)
}

func (f *ParkedFilter) list(ctx context.Context, db pg.Querier, g readmodel.Generation, limit int, each func(Parked) error) error {
	matches, after := f.reasonMatcher(), int64(0)
	if f.From > 0 {
		after = int64(f.From) - 1
	}
	for limit > 0 {
		pageSize := parkedPerPage
		if f.Reason == "" && !f.Dismissed {
			pageSize = min(pageSize, limit)
		}
		page, err := f.page(ctx, db, g, after, pageSize)
		if err != nil {
			return fmt.Errorf("list parked messages: %w", err)
		}
		for _, p := range page {
			if limit == 0 || f.Dismissed && p.DismissedAt == nil || !matches(p.Reason) {
				continue
			}
			limit--
			if err := each(p); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = int64(page[len(page)-1].Position)
	}
	return nil
}

// reasonMatcher tells whether a reason matches. The reason is masked first, so that it
// cannot be used to look for values, and once for all that are masked alike.
func (f *ParkedFilter) reasonMatcher() func(reason string) bool {
	if f.Reason == "" {
		return func(string) bool { return true }
	}
	part, known := strings.ToLower(f.Reason), map[string]bool{}
	return func(reason string) bool {
		masked := events.MaskReason(reason)
		match, ok := known[masked]
		if !ok {
			match = strings.Contains(strings.ToLower(masked), part)
			known[masked] = match
		}
		return match
	}
}

// page is what matches after a position as far as the tables can tell, with the
// dismissals: by two statements, each of which goes by an index whatever the
// server knows of tables that have only just been filled. (Joined, 20,000 messages took
// two minutes.)
func (f *ParkedFilter) page(ctx context.Context, db pg.Querier, g readmodel.Generation, after int64, limit int) ([]Parked, error) {
	rows, err := db.Query(ctx, readmodel.InSchema(g.Number, selectParked+` ORDER BY position LIMIT $6`), append(f.args(after), limit)...)
	if err != nil {
		return nil, err
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Parked, err error) {
		var id *[16]byte
		err = row.Scan(&p.Position, &p.Partition, &id, &p.SentAt, &p.Subject, &p.Type, &p.Reason)
		p.Account = (*events.UUID)(id)
		return p, err
	})
	if err != nil || len(page) == 0 {
		return page, err
	}
	rows, err = db.Query(ctx, `
SELECT position, dismissed_at, note FROM export.dismissals
WHERE stream_name = $1 AND stream_created = $2 AND position BETWEEN $3 AND $4 ORDER BY position`,
		g.Stream.Name, g.Stream.Created, int64(page[0].Position), int64(page[len(page)-1].Position))
	if err != nil {
		return nil, err
	}
	var position uint64
	var at time.Time
	var note string
	i := 0
	_, err = pgx.ForEachRow(rows, []any{&position, &at, &note}, func() error {
		for i < len(page) && page[i].Position < position {
			i++
		}
		if i < len(page) && page[i].Position == position {
			page[i].DismissedAt, page[i].Note = new(at), note
		}
		return nil
	})
	return page, err
}

// selectParked selects what matches after a position as far as the table can tell.
const selectParked = `
SELECT position, partition, account_id, sent_at, subject, type, reason FROM {schema}.parked
WHERE position > $1 AND ($2::uuid IS NULL OR account_id = $2) AND ($3::bigint = 0 OR position <= $3)
    AND ($4::text = '' OR type IN ($4, 'controlplane.' || $4)) AND ($5::timestamptz IS NULL OR sent_at >= $5)`

// args are the arguments of selectParked.
func (f *ParkedFilter) args(after int64) []any {
	var since *time.Time
	if !f.Since.IsZero() {
		since = &f.Since
	}
	return []any{max(after, int64(f.From)-1), (*[16]byte)(f.Account), int64(f.To), f.Type, since}
}

// ParkedAfter is the next parked messages of the live generation that match after a
// position, in stream order, at most limit of them. It looks at no more than 20,000 that
// the table finds; looked is the position up to which it has, and more tells whether there
// is anything beyond it. It takes three statements.
func ParkedAfter(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter, after uint64, limit int) (found []Parked, looked uint64, more bool, err error) {
	const most = 4 * parkedPerPage
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, 0, false, err
	}
	n := most
	if f.Reason == "" && !f.Dismissed {
		n = limit + 1
	}
	page, err := f.page(ctx, pool, g, int64(after), n)
	if err != nil {
		return nil, 0, false, fmt.Errorf("list parked messages: %w", err)
	}
	matches := f.reasonMatcher()
	for _, p := range page {
		if len(found) == limit {
			return found, looked, true, nil
		}
		looked = p.Position
		if (!f.Dismissed || p.DismissedAt != nil) && matches(p.Reason) {
			found = append(found, p)
		}
	}
	return found, looked, len(page) == n, nil
}

// FindParked reads one parked message of the live generation, whole;
// [accountexport/readmodel.ErrNotFound] where none is parked at the position.
func FindParked(ctx context.Context, pool *pgxpool.Pool, position uint64) (Parked, error) {
	p := Parked{Position: position}
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return p, err
	}
	var id *[16]byte
	var headers []byte
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT p.partition, p.account_id, p.sent_at, p.subject, p.type, p.reason, p.headers, p.payload, d.dismissed_at, coalesce(d.note, '')
FROM {schema}.parked p LEFT JOIN export.dismissals d ON d.stream_name = $2 AND d.stream_created = $3 AND d.position = p.position
WHERE p.position = $1`), int64(position), g.Stream.Name, g.Stream.Created).
		Scan(&p.Partition, &id, &p.SentAt, &p.Subject, &p.Type, &p.Reason, &headers, &p.Payload, &p.DismissedAt, &p.Note)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("parked message %d: %w", position, readmodel.ErrNotFound)
	}
	if err != nil {
		return p, fmt.Errorf("parked message %d: %w", position, err)
	}
	p.Account, p.Headers = (*events.UUID)(id), string(headers)
	rows, err := pool.Query(ctx, `
SELECT dismissed_at, undismissed_at, dismissal_note, note FROM export.undismissals
WHERE stream_name = $1 AND stream_created = $2 AND position = $3 ORDER BY undismissed_at`, g.Stream.Name, g.Stream.Created, int64(position))
	if err == nil {
		p.Undismissed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Undismissed])
	}
	if err != nil {
		return p, fmt.Errorf("parked message %d: %w", position, err)
	}
	return p, nil
}
