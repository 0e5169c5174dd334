package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// erasing is one erasure: look, test, publish, wait until it is projected, and
// then remove, fence, clear and prove, in rounds until nothing is left. What each
// step leaves behind, the same command takes up again.
type erasing struct {
	client      *stream.Client
	pool        *pgxpool.Pool
	account     events.UUID
	purgeCopies []string
	takeover    time.Duration // a projector that was silent for so long counts as dead
	sure        func() error  // asks whoever started it
	say         io.Writer     // what is waited for

	first   stream.Erased // the first erased event in the stream; its position is 0 where there is none
	before  stream.Erased // the same before anything was done
	others  int           // messages beside that one
	rows    readmodel.Traces
	ledger  readmodel.Erasure // the account's entry, where it has one
	owed    bool              // the erasure was begun before, and cut off
	copies  []string
	needles needles
}

// look reads what stream, tables and ledger know of the account, and what has to
// be known of its messages before they go.
func (e *erasing) look(ctx context.Context) (heard bool, err error) {
	e.needles = needlesOf(e.account)
	e.first, e.others = stream.Erased{}, 0
	if e.owed, err = e.noted(ctx); err != nil {
		return false, err
	}
	err = e.client.ReadAccount(ctx, e.account, 0, func(m projections.Message) error {
		heard = true
		d, err := projections.Decode(m)
		if err != nil {
			return err
		}
		if at, erases := stream.Erases(m, e.account); erases && e.first.Position == 0 {
			e.first = stream.Erased{Position: m.Position, At: at}
			return nil
		}
		e.needles.read(&d)
		e.others++
		return nil
	})
	if err != nil {
		return false, err
	}
	e.before = e.first
	// Messages may have been removed by hand, and rows be all that is left.
	if e.rows, err = readmodel.LookFor(ctx, e.pool, e.account, nil); err != nil {
		return false, err
	}
	for _, address := range e.rows.Emails {
		e.needles.email(address)
	}
	e.ledger, err = readmodel.FindErasure(ctx, e.pool, e.account)
	if err != nil && !errors.Is(err, readmodel.ErrNotFound) {
		return false, err
	}
	if heard || e.owed || e.rows.Rows > 0 || e.rows.Erased || err == nil {
		return true, nil
	}
	// All there is of it may be on mistyped subjects.
	f, err := search(ctx, e.client, e.account, e.needles, 0)
	if err != nil || f.left() > 0 {
		return true, err
	}
	e.rows, err = readmodel.LookFor(ctx, e.pool, e.account, e.needles.in)
	return e.rows.Rows > 0, err
}

// noted tells whether the erasure was begun before, and takes on the addresses
// that were known then: the messages that told them may be gone.
func (e *erasing) noted(ctx context.Context) (begun bool, err error) {
	all, err := readmodel.OwedErasures(ctx, e.pool, false)
	for _, o := range all {
		if o.Account == e.account {
			begun = true
			for _, address := range o.Emails {
				e.needles.email(address)
			}
		}
	}
	return begun, err
}

// collect reads once more by which addresses the account is found, which may
// have changed since, and has them noted before any of its messages goes.
func (e *erasing) collect(ctx context.Context) error {
	if err := e.client.ReadAccount(ctx, e.account, 0, func(m projections.Message) error {
		d, err := projections.Decode(m)
		if err == nil {
			e.needles.read(&d)
		}
		return err
	}); err != nil {
		return err
	}
	rows, err := readmodel.LookFor(ctx, e.pool, e.account, nil)
	if err != nil {
		return err
	}
	for _, address := range rows.Emails {
		e.needles.email(address)
	}
	return readmodel.OweErasure(ctx, e.pool, e.account, e.needles.emails(), false)
}

// test names all that would keep the erasure from being done, before anything is.
func (e *erasing) test(ctx context.Context) (err error) {
	missing := e.client.CanErase(ctx, e.account)
	if e.copies, err = e.client.Copies(ctx); err != nil {
		missing = append(missing, err)
	}
	for _, name := range e.purgeCopies {
		if err == nil && !slices.Contains(e.copies, name) {
			missing = append(missing, fmt.Errorf("--purge-copies: stream %s is no copy of stream %s that this connection can see", name, e.client.Stream()))
			continue
		}
		missing = append(missing, e.client.On(name).CanRemove(ctx)...)
	}
	if err := readmodel.CanErase(ctx, e.pool); err != nil {
		missing = append(missing, err)
	}
	if info, err := e.client.Info(ctx); err == nil {
		if _, err := readmodel.FindMissing(ctx, e.pool, info); errors.Is(err, readmodel.ErrSchema) {
			missing = append(missing, err)
		}
	}
	if err := readmodel.CheckPaused(ctx, e.pool); errors.Is(err, projections.ErrPaused) {
		missing = append(missing, err)
	} else if err != nil {
		return err
	}
	st, err := readmodel.Inspect(ctx, e.pool)
	switch {
	case errors.Is(err, readmodel.ErrNoGeneration):
		missing = append(missing, errors.New("nothing has been projected yet: start `projector run`, which has to fold the erasure"))
	case err != nil:
		return err
	case !slices.ContainsFunc(st.Members, func(m readmodel.Member) bool { return m.Silent < e.takeover }):
		missing = append(missing, errors.New("no projector runs: start `projector run`, which has to fold the erasure; where it refuses, it says what to do first"))
	}
	if len(missing) > 0 {
		return fmt.Errorf("account %s cannot be erased, and nothing was changed: %w", e.account, errors.Join(missing...))
	}
	return nil
}

func (e *erasing) question() string {
	return fmt.Sprintf("Account %s goes from stream %s and from the read model, for ever: %d messages, %d rows.", e.account, e.client.Stream(),
		e.others, e.rows.Rows)
}

// rounds are how often it is looked for what has come meanwhile.
const rounds = 3

// carryOut erases. Before anything is done it is noted that it is to be, until it
// is proven.
func (e *erasing) carryOut(ctx context.Context) (*receipt, error) {
	if err := readmodel.OweErasure(ctx, e.pool, e.account, e.needles.emails(), false); err != nil {
		return nil, err
	}
	if err := e.publish(ctx); err != nil {
		return nil, err
	}
	if err := e.projected(ctx); err != nil {
		return nil, err
	}
	r := &receipt{Account: e.account.String(), ErasedAt: e.first.Position, Failed: []int64{}, Copies: []copyReceipt{},
		Searched: searchedAll, NotSeen: notSeen}
	for range rounds {
		if err := e.round(ctx, r); err != nil {
			return nil, err
		}
		if r.MessagesLeft == 0 && r.RowsLeft == 0 {
			break
		}
	}
	for _, name := range e.copies {
		c, err := e.purgeCopy(ctx, name)
		if err != nil {
			return nil, err
		}
		r.Copies = append(r.Copies, c)
	}
	r.Already = e.before.Position > 0 && r.MessagesRemoved+r.StraysRemoved+int(r.RowsRemoved) == 0
	r.Done = time.Now().UTC()
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return r, nil
	}
	digest := ""
	if r.left() == nil { // a receipt of what copies keep is none
		var err error
		if digest, err = r.digest(); err != nil {
			return nil, err
		}
	}
	return r, readmodel.EndErasure(ctx, e.pool, e.account, digest)
}

// publish makes sure that the stream holds the event, with the time that it had
// where the account was erased before.
func (e *erasing) publish(ctx context.Context) (err error) {
	if e.first.Position > 0 {
		return nil
	}
	at := time.Now()
	if !e.ledger.ErasedAt.IsZero() {
		at = e.ledger.ErasedAt
	}
	e.first, err = e.client.PublishErased(ctx, e.account, at)
	return err
}

// noProgress is how long the projector may take for nothing.
const noProgress = 30 * time.Second

// projected waits until the live generation has the erasure, and all partitions
// have come so far: what is removed must not move the stream's beginning past a
// checkpoint, for the guard to see.
func (e *erasing) projected(ctx context.Context) error {
	exports := readmodel.NewExports(e.pool)
	var best uint64
	moved, said := time.Now(), time.Now()
	for {
		g, err := readmodel.Live(ctx, e.pool)
		if err != nil {
			return err
		}
		lowest, err := readmodel.Lowest(ctx, e.pool, g.Number)
		if err != nil {
			return err
		}
		m, err := exports.Meta(ctx, e.account)
		if err != nil {
			return err
		}
		switch {
		case lowest < e.first.Position:
		case m.State == readmodel.Erased:
			return nil
		default: // waiting longer helps nobody
			return fmt.Errorf("account.erased is published at position %d of stream %s, and generation %d, which stands at %d, has not erased the account by it: "+
				"does `projector run` follow that stream? Nothing is removed", e.first.Position, e.client.Stream(), g.Number, lowest)
		}
		if err := readmodel.CheckPaused(ctx, e.pool); err != nil {
			return fmt.Errorf("account.erased is published at position %d, and not projected: %w. Nothing is removed yet; run the same command "+
				"again then", e.first.Position, err)
		}
		if lowest > best {
			best, moved = lowest, time.Now()
		}
		if time.Since(moved) > noProgress {
			return fmt.Errorf("account.erased is published at position %d, and generation %d stands at %d for %v: is `projector run` running? "+
				"Nothing is removed yet; run the same command again", e.first.Position, g.Number, lowest, noProgress)
		}
		if time.Since(said) > 2*time.Second {
			said = time.Now()
			fmt.Fprintf(e.say, "waiting until generation %d, at %d, has projected position %d\n", g.Number, lowest, e.first.Position)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// round removes from the stream, fences who has read it already, clears the
// tables, and searches for what is left.
func (e *erasing) round(ctx context.Context, r *receipt) error {
	if err := e.collect(ctx); err != nil {
		return err
	}
	f, err := search(ctx, e.client, e.account, e.needles, e.first.Position)
	if err != nil {
		return err
	}
	gaps := &gaps{client: e.client, pool: e.pool}
	if err := gaps.book(ctx, f.strays); err != nil {
		return err
	}
	n, err := e.remove(ctx, e.client, f.strays)
	if r.StraysRemoved += n; err != nil {
		return err
	}
	n, err = e.client.RemoveAccount(ctx, e.account, e.first.Position, gaps.book)
	if r.MessagesRemoved += n; err != nil {
		return err
	}
	info, err := e.client.Info(ctx)
	if err != nil {
		return err
	}
	failed, err := readmodel.FailBuilding(ctx, e.pool, info.First)
	if r.Failed = append(r.Failed, failed...); err != nil {
		return err
	}
	rows, err := readmodel.Clear(ctx, e.pool, readmodel.Clearing{Account: e.account, At: e.first.At, Tomb: e.first.Position, Stream: info,
		Strays: f.subjects, Mention: e.needles.in, Everybody: e.owed})
	if r.RowsRemoved += rows; err != nil {
		return err
	}
	if f, err = searchAll(ctx, e.client, e.pool, e.account, e.needles, e.first.Position); err != nil {
		return err
	}
	r.MessagesSearched, r.MessagesLeft, r.ElsewhereAt, r.Unreadable = f.searched, f.left(), f.elsewhere, f.unreadable
	left, err := readmodel.LookFor(ctx, e.pool, e.account, e.needles.in)
	r.RowsLeft = left.Rows
	return err
}

func (e *erasing) remove(ctx context.Context, from *stream.Client, positions []uint64) (removed int, err error) {
	for _, position := range positions {
		gone, err := from.Remove(ctx, position)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// purgeCopy does in a copy, where it was asked for, what was done in the stream.
// Its positions may be others, and its subjects, too.
func (e *erasing) purgeCopy(ctx context.Context, name string) (c copyReceipt, err error) {
	c = copyReceipt{Stream: name, Purged: slices.Contains(e.purgeCopies, name)}
	if !c.Purged {
		return c, nil
	}
	from := e.client.On(name)
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy %s: %w", name, err)
		}
	}()
	for range rounds {
		// Where it has no erased event of its own, nothing has to stay.
		first, err := from.FirstErased(ctx, e.account)
		if err != nil {
			return c, err
		}
		f, err := search(ctx, from, e.account, e.needles, first.Position)
		if err != nil {
			return c, err
		}
		n, err := e.remove(ctx, from, f.strays)
		if c.Removed += n; err != nil {
			return c, err
		}
		n, err = from.RemoveAccount(ctx, e.account, first.Position, nil)
		if c.Removed += n; err != nil {
			return c, err
		}
		if f, err = searchAll(ctx, from, e.pool, e.account, e.needles, first.Position); err != nil {
			return c, err
		}
		if c.Searched, c.Left = f.searched, f.left(); c.Left == 0 {
			break
		}
	}
	return c, nil
}
