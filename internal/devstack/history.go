package devstack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
)

// What lies before the first run: half of the accounts, and at least the first, have
// been there for half a year. It is bounded, so that starting is quick on slow disks.
const (
	historyAccounts = 100              // at most
	historyEvents   = 10               // of each account, after its first ones
	historyBegins   = 180              // days ago
	historyEnds     = 30 * time.Minute // ago
)

// historyFile is in the folder.
const historyFile = "history.ndjson"

// writeHistory writes the history of the accounts to a file, an event a line in the
// order of their times, as a control plane that has lived without a stream would dump
// it; and what it has led to into the control plane's database.
//
// The file is complete before there is an account in the database, and nothing is
// published before that. So where an earlier run got to the accounts, its file is kept,
// and where it did not, nobody has read its file.
func writeHistory(ctx context.Context, db *pgxpool.Pool, dir string, accounts int) error {
	path := filepath.Join(dir, historyFile)
	var kept bool
	if err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM accounts)`).Scan(&kept); err != nil {
		return fmt.Errorf("the accounts of the control plane: %w", err)
	}
	if kept {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is gone, and the control plane's database has accounts that come from it: to begin anew, remove the folder, and on a given PostgreSQL its databases", path)
		}
		return nil
	}
	lives, lines, err := makeHistory(time.Now(), min(historyAccounts, max(1, accounts/2)))
	if err != nil {
		return fmt.Errorf("make the accounts' history: %w", err)
	}
	if err := writeLines(path, lines); err != nil {
		return fmt.Errorf("write the accounts' history: %w", err)
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		for _, a := range lives {
			if err := a.insert(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the accounts of the control plane: %w", err)
	}
	return nil
}

// makeHistory makes up the accounts, and the events that have led to them.
func makeHistory(now time.Time, accounts int) (lives []*life, all []events.Message, err error) {
	type past struct {
		at time.Time
		events.Message
	}
	var found []past
	at := now.AddDate(0, 0, -historyBegins)
	begin, span := at, now.Add(-historyEnds).Sub(at)
	s := newSimulation("history", func() time.Time { at = at.Add(time.Second); return at }) // an event a second
	keep := func(from time.Time, messages []events.Message) {
		for i, m := range messages {
			found = append(found, past{from.Add(time.Duration(i+1) * time.Second), m})
		}
	}
	tiers, err := s.tiers()
	if err != nil {
		return nil, nil, err
	}
	keep(begin, tiers)
	for i := range accounts {
		a := newLife(i)
		lives = append(lives, a)
		// It registers in the first half, and from then on something happens now and then.
		at = begin.Add(time.Hour + span/2*time.Duration(i)/time.Duration(accounts))
		gap := (now.Add(-historyEnds).Sub(at) - time.Minute) / (historyEvents + 1)
		from := at
		first, err := s.registration(a)
		if err != nil {
			return nil, nil, err
		}
		keep(from, first)
		for range historyEvents {
			at = from.Add(gap/2 + time.Duration(s.rng.Int64N(int64(gap/2))))
			from = at
			m, err := s.randomEvent(a)
			if err != nil {
				return nil, nil, err
			}
			keep(from, []events.Message{m})
		}
	}
	slices.SortStableFunc(found, func(a, b past) int { return a.at.Compare(b.at) })
	for _, p := range found {
		all = append(all, p.Message)
	}
	return lives, all, nil
}

// writeLines writes each event to a line of the file, which is there whole or not at
// all.
func writeLines(path string, all []events.Message) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	var line bytes.Buffer
	for _, m := range all {
		line.Reset()
		if err := json.Compact(&line, m.Data); err != nil {
			return err
		}
		line.WriteByte('\n')
		if _, err := w.Write(line.Bytes()); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// importHistory has `projector import` publish the file. What an earlier run has
// published of it is not published again: the progress file beside it says how much
// that is.
func (s *stack) importHistory(ctx context.Context, settings []string) error {
	s.printf("importing the history of the accounts …")
	imports, err := start(s.projectorBin, "import", s.dir, settings, "import", filepath.Join(s.dir, historyFile))
	if err != nil {
		return err
	}
	return s.finish(ctx, imports)
}
