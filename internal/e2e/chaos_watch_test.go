package e2e

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// checkpointWatcher polls the checkpoints: when each partition moved, and which replica owns it.
type checkpointWatcher struct {
	url      string // of the database
	progress *progress

	mu     sync.Mutex
	at     map[int]checkpoint
	moves  int           // changes of owner, by partition
	epochs int64         // sum of the increments of epochs
	commit chan struct{} // closed at the next commit
}

type checkpoint struct {
	position, epoch int64
	owner           string
}

func newCheckpointWatcher(url string) *checkpointWatcher {
	return &checkpointWatcher{url: url, progress: newProgress(), at: map[int]checkpoint{}, commit: make(chan struct{})}
}

// run polls until ctx ends. While the database is away, no partition moves.
func (w *checkpointWatcher) run(ctx context.Context) {
	every(ctx, 50*time.Millisecond, func() {
		conn, err := pgx.Connect(ctx, w.url)
		if err != nil {
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for ctx.Err() == nil && w.poll(ctx, conn) == nil && sleep(ctx, 20*time.Millisecond) == nil {
		}
	})
}

func (w *checkpointWatcher) poll(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
SELECT partition, position, epoch, coalesce(owner, '') FROM export.checkpoints JOIN export.generations USING (generation) WHERE state = 'live'`)
	if err != nil {
		return err
	}
	var partition int
	var now checkpoint
	_, err = pgx.ForEachRow(rows, []any{&partition, &now.position, &now.epoch, &now.owner}, func() error {
		w.record(partition, now)
		return nil
	})
	return err
}

func (w *checkpointWatcher) record(partition int, now checkpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.at[partition]
	if known && was.owner != now.owner && was.owner != "" && now.owner != "" {
		w.moves++
	}
	if known {
		w.epochs += now.epoch - was.epoch
	}
	if now.position != was.position {
		w.progress.advanced(partition)
	}
	w.at[partition] = now
}

// owner is the owner of a partition when it was polled last.
func (w *checkpointWatcher) owner(partition int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at[partition].owner
}

// reached reports whether every partition is at a position.
func (w *checkpointWatcher) reached(position uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.at {
		if c.position < int64(position) {
			return false
		}
	}
	return len(w.at) > 0
}

// listen receives notifications of commits until ctx ends.
func (w *checkpointWatcher) listen(ctx context.Context) {
	every(ctx, 50*time.Millisecond, func() {
		conn, err := pgx.Connect(ctx, w.url)
		if err != nil {
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, `LISTEN export_checkpoints`); err != nil {
			return
		}
		for {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				return
			}
			w.mu.Lock()
			close(w.commit)
			w.commit = make(chan struct{})
			w.mu.Unlock()
		}
	})
}

// committed waits for the next commit of a batch.
func (w *checkpointWatcher) committed(ctx context.Context) error {
	w.mu.Lock()
	ch := w.commit
	w.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leaderCounter counts the changes of the stream's leader.
type leaderCounter struct {
	mu      sync.Mutex
	leader  string
	changes int
}

func (l *leaderCounter) run(ctx context.Context, url string) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return
	}
	every(ctx, 200*time.Millisecond, func() {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "CONTROL_PLANE")
		if err != nil || s.CachedInfo().Cluster == nil || s.CachedInfo().Cluster.Leader == "" {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if now := s.CachedInfo().Cluster.Leader; now != l.leader {
			if l.leader != "" {
				l.changes++
			}
			l.leader = now
		}
	})
}
