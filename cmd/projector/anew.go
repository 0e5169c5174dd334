package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// anew carries erasures of the ledger out in a stream that lacks them, or holds
// messages of those accounts still, since it was restored from before or is a
// copy that nobody has purged. It needs no projector: the tables are cleared
// here, and the event is folded by whoever comes by it.
type anew struct {
	client *stream.Client
	pool   *pgxpool.Pool
	out    io.Writer
	those  []readmodel.Erasure

	needles map[events.UUID]*needles
	strays  map[events.UUID]*found
}

// unfinished lists those erasures on the ledger of which the stream lacks the
// event, or holds other messages.
func unfinished(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) (those []readmodel.Erasure, err error) {
	ledger := map[events.UUID]readmodel.Erasure{}
	var after *events.UUID
	for {
		some, err := readmodel.Erasures(ctx, pool, after, 1000)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			ledger[e.Account] = e
		}
		after = &some[len(some)-1].Account
	}
	erased, others := map[events.UUID]bool{}, map[events.UUID]bool{}
	err = client.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if _, ok := ledger[to.Account]; !ok || to.Kind != events.SubjectAccount {
			return nil
		}
		if _, erases := stream.Erases(m, to.Account); erases && !erased[to.Account] {
			erased[to.Account] = true
		} else {
			others[to.Account] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for account, e := range ledger {
		if !erased[account] || others[account] {
			those = append(those, e)
		}
	}
	return those, nil
}

// say names those accounts.
func (a *anew) say() {
	fmt.Fprintf(a.out, "Stream %s lacks, in whole or in part, %d erasures that the ledger knows:\n", a.client.Stream(), len(a.those))
	const most = 20
	for i, e := range a.those {
		if i == most {
			fmt.Fprintf(a.out, "  and %d more\n", len(a.those)-most)
			break
		}
		fmt.Fprintf(a.out, "  account %s, erased %s\n", e.Account, e.ErasedAt.UTC())
	}
}

// carryOut erases them, all or, where it ends with an error, those that it has
// come by: it may be repeated.
func (a *anew) carryOut(ctx context.Context) error {
	if len(a.those) == 0 {
		return nil
	}
	if missing := a.client.CanErase(ctx, a.those[0].Account); len(missing) > 0 {
		return fmt.Errorf("the erasures cannot be carried out, and none was: %w", errors.Join(missing...))
	}
	if err := a.look(ctx); err != nil {
		return err
	}
	for _, e := range a.those {
		if err := a.one(ctx, e); err != nil {
			return fmt.Errorf("erase account %s anew: %w", e.Account, err)
		}
	}
	if err := a.prove(ctx); err != nil {
		return err
	}
	copies, err := a.client.Copies(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d erasures were carried out anew in stream %s\n", len(a.those), a.client.Stream())
	for _, name := range copies {
		fmt.Fprintf(a.out, "stream %s is a copy, and was left as it is: `projector erase --account ID --purge-copies %s` for each of them\n", name, name)
	}
	return nil
}

// look reads e-mail addresses, and then, once through the stream, finds the
// strays of all.
func (a *anew) look(ctx context.Context) error {
	a.needles, a.strays = map[events.UUID]*needles{}, map[events.UUID]*found{}
	for _, e := range a.those {
		n := needlesOf(e.Account)
		err := a.client.ReadAccount(ctx, e.Account, 0, func(m projections.Message) error {
			d, err := projections.Decode(m)
			if err == nil {
				n.read(&d)
			}
			return err
		})
		if err != nil {
			return err
		}
		rows, err := readmodel.LookFor(ctx, a.pool, e.Account, nil)
		if err != nil {
			return err
		}
		for _, address := range rows.Emails {
			n.email(address)
		}
		a.needles[e.Account], a.strays[e.Account] = &n, &found{}
	}
	return a.client.ReadAll(ctx, func(m projections.Message) error {
		if events.ParseSubject(m.Subject).Kind != events.SubjectUnsound {
			return nil
		}
		for account, n := range a.needles {
			if n.inMessage(m) {
				f := a.strays[account]
				f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
			}
		}
		return nil
	})
}

// one publishes the same event, with the time that it had, and removes all else.
func (a *anew) one(ctx context.Context, e readmodel.Erasure) error {
	first, err := a.client.PublishErased(ctx, e.Account, e.ErasedAt)
	if err != nil {
		return err
	}
	gaps := &gaps{client: a.client, pool: a.pool}
	if err := gaps.book(ctx, a.strays[e.Account].strays); err != nil {
		return err
	}
	for _, position := range a.strays[e.Account].strays {
		if _, err := a.client.Remove(ctx, position); err != nil {
			return err
		}
	}
	if _, err := a.client.RemoveAccount(ctx, e.Account, first.Position, gaps.book); err != nil {
		return err
	}
	info, err := a.client.Info(ctx)
	if err != nil {
		return err
	}
	if _, err := readmodel.FailBuilding(ctx, a.pool, info.First); err != nil {
		return err
	}
	_, err = readmodel.Clear(ctx, a.pool, readmodel.Clearing{Account: e.Account, At: first.At, Tomb: first.Position, Stream: info,
		Strays: a.strays[e.Account].subjects, Mention: a.needles[e.Account].in})
	return err
}

// prove looks once through the stream that nothing of them is left.
func (a *anew) prove(ctx context.Context) error {
	left := 0
	erased := map[events.UUID]bool{}
	err := a.client.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if to.Kind == events.SubjectAccount {
			if a.needles[to.Account] == nil {
				return nil
			}
			if _, erases := stream.Erases(m, to.Account); erases && !erased[to.Account] {
				erased[to.Account] = true
				return nil
			}
			left++
			return nil
		}
		for _, n := range a.needles {
			if to.Kind == events.SubjectUnsound && n.inMessage(m) {
				left++
			}
		}
		return nil
	})
	if err == nil && (left > 0 || len(erased) < len(a.those)) {
		err = fmt.Errorf("%d messages of accounts that were erased anew are left, and %d of %d erasures are in the stream: run the same command again",
			left, len(erased), len(a.those))
	}
	return err
}
