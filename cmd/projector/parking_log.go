package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// parkingLog logs that messages were parked: at most one line a second, with how many
// there were and the most frequent kinds. Of a message it logs its type, and nothing
// else that was in it.
type parkingLog struct {
	engine.Observer
	log *slog.Logger

	mu         sync.Mutex                  // guards the fields below, for the engine's goroutines and the timer's
	generation int64                       // into which they were folded
	kinds      map[engine.ParkedKind]int64 // messages since the last line
	last       time.Time                   // when the last line was logged
	due        *time.Timer                 // logs the next line; nil where there is nothing to log
}

const (
	parkingLogInterval = time.Second
	kindsLogged        = 3
)

// Committed implements [engine.Observer].
func (l *parkingLog) Committed(s engine.BatchStats) {
	l.Observer.Committed(s)
	if len(s.Parked) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[engine.ParkedKind]int64{}
	}
	l.generation = s.Generation
	for k, n := range s.Parked {
		l.kinds[k] += n
	}
	if wait := parkingLogInterval - time.Since(l.last); l.due == nil {
		l.due = time.AfterFunc(max(0, wait), l.flush)
	}
}

// flush logs the messages that were parked since the last line, if any were.
func (l *parkingLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due != nil {
		l.due.Stop()
		l.due = nil
	}
	if len(l.kinds) == 0 {
		return
	}
	all, n := slices.SortedFunc(maps.Keys(l.kinds), func(a, b engine.ParkedKind) int {
		return cmp.Or(cmp.Compare(l.kinds[b], l.kinds[a]), strings.Compare(a.Type, b.Type), strings.Compare(a.Reason, b.Reason))
	}), int64(0)
	var most []string
	for i, k := range all {
		if n += l.kinds[k]; i < kindsLogged {
			most = append(most, fmt.Sprintf("%d of %s, %s", l.kinds[k], cut(shortParkedType(k.Type), 64), k.Reason))
		}
	}
	l.log.Warn("messages were parked; `projector parked list --group-by reason` shows them", "generation", l.generation, "messages", n,
		"kinds", len(all), "most", most)
	l.kinds, l.last = nil, time.Now()
}

// logDismissals logs, every five seconds at most, that messages were dismissed or
// dismissals taken back, by this program or another. `projector parked list
// --dismissed` has the notes. Each replica logs it.
func logDismissals(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) {
	known := int64(-1)
	runPeriodically(ctx, 5*time.Second, jobTimeout, func(ctx context.Context) error {
		n, err := admin.CountDismissed(ctx, pool)
		if err != nil {
			return err
		}
		if known >= 0 && n != known {
			log.Info("parked messages were dismissed, or dismissals taken back", "dismissed", n, "before", known)
		}
		known = n
		return nil
	}, nil)
}
