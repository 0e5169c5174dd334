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

// asOfTTL is how old what is remembered of the checkpoints may be.
const asOfTTL = 200 * time.Millisecond

// asOfCache remembers up to which time each partition of a generation has come, so
// that not every read has to join the checkpoints (measured: a quarter of the
// read). What was read before a document is true of the document as well: everything
// that the stream held at that time is in.
type asOfCache struct {
	latest  atomic.Pointer[asOfTimes]
	reading sync.Mutex // guards nothing: whoever holds it reads the checkpoints anew, for as long as the statement takes
}

type asOfTimes struct {
	readAt      time.Time
	byPartition map[int]time.Time
}

// times is up to which time each partition has come, [asOfTTL] old at most, or older
// while another read is reading it anew. It must be asked for before the document
// is read: what the checkpoints said before is true of the document, and what they
// say later may not be.
func (a *asOfCache) times(ctx context.Context, db pg.Querier, generation int64) (*asOfTimes, error) {
	known := a.latest.Load()
	if known != nil && time.Since(known.readAt) < asOfTTL {
		return known, nil
	}
	if known != nil && !a.reading.TryLock() {
		return known, nil // another read is reading them anew
	}
	if known == nil {
		a.reading.Lock()
	}
	defer a.reading.Unlock()
	if now := a.latest.Load(); now != known {
		return now, nil
	}
	fresh := &asOfTimes{readAt: time.Now(), byPartition: map[int]time.Time{}}
	rows, err := db.Query(ctx, `SELECT partition, as_of FROM export.checkpoints WHERE generation = $1`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	var partition int
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&partition, &at}, func() error {
		fresh.byPartition[partition] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	a.latest.Store(fresh)
	return fresh, nil
}

// forDocument is the time as of which both partitions are; tier is -1 where there
// is none.
func (t *asOfTimes) forDocument(partition, tier int) time.Time {
	at := t.byPartition[partition]
	if tier >= 0 && t.byPartition[tier].Before(at) {
		at = t.byPartition[tier]
	}
	return at.UTC()
}
