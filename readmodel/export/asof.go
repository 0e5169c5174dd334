package export

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// asOfAge is how old what is remembered of the checkpoints may be.
const asOfAge = 200 * time.Millisecond

// asOf remembers how far in time each partition of a generation has come, so
// that not every read has to join the checkpoints (measured: a quarter of the
// read). What was read before a document is true of the document, too: all
// that the stream held at that time is in.
type asOf struct {
	known atomic.Pointer[asOfTimes]
	mu    sync.Mutex // held by the one who reads anew
}

type asOfTimes struct {
	at        time.Time
	partition map[int]time.Time
}

// times must be asked for before the document is read: what the checkpoints
// told before is true of it, and what they tell later may not be.
func (a *asOf) times(ctx context.Context, db pg.Querier, generation int64) (*asOfTimes, error) {
	known := a.known.Load()
	if known != nil && time.Since(known.at) < asOfAge {
		return known, nil
	}
	if known != nil && !a.mu.TryLock() {
		return known, nil // somebody is reading them
	}
	if known == nil {
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	if now := a.known.Load(); now != known {
		return now, nil
	}
	fresh := &asOfTimes{at: time.Now(), partition: map[int]time.Time{}}
	rows, err := db.Query(ctx, `SELECT partition, as_of FROM export.checkpoints WHERE generation = $1`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	var partition int
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&partition, &at}, func() error {
		fresh.partition[partition] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	a.known.Store(fresh)
	return fresh, nil
}

// of is the time as of which both partitions are; tier is -1 where there is
// none.
func (t *asOfTimes) of(partition, tier int) time.Time {
	at := t.partition[partition]
	if tier >= 0 && t.partition[tier].Before(at) {
		at = t.partition[tier]
	}
	return at.UTC()
}
