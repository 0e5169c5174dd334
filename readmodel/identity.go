package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
)

// onStream tells whether the generation was folded from the stream, as far as a
// stream says who it is.
func (g Generation) onStream(stream engine.StreamInfo) bool {
	return g.Stream.Name == stream.Name && g.Stream.Created.Equal(stream.Created.Truncate(time.Microsecond)) &&
		(g.Stream.ID == "" || stream.ID == "" || g.Stream.ID == stream.ID)
}

// learn notes the stream's id for a generation that was folded before it had
// one.
func (g *Generation) learn(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) error {
	if g.Stream.ID != "" || stream.ID == "" || !g.onStream(stream) {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE export.generations SET stream_id = $2 WHERE generation = $1 AND stream_id IS NULL`, g.Number, stream.ID)
	if err != nil {
		return fmt.Errorf("note the stream's id for generation %d: %w", g.Number, err)
	}
	g.Stream.ID = stream.ID
	return nil
}

// Folded lists the streams that the generations were folded from, that of the
// live one first.
func Folded(ctx context.Context, pool *pgxpool.Pool) ([]engine.StreamIdentity, error) {
	all, err := generations(ctx, pool, "")
	if err != nil {
		return nil, err
	}
	var out []engine.StreamIdentity
	for _, g := range all {
		out = append(out, g.Stream)
		if g.State == StateLive {
			out[0], out[len(out)-1] = out[len(out)-1], out[0]
		}
	}
	return out, nil
}

// Checkpoints are how far each partition of a generation is, and the last message
// that was folded of it.
func Checkpoints(ctx context.Context, pool *pgxpool.Pool, generation int64) ([]engine.Checkpoint, error) {
	rows, err := pool.Query(ctx, `
SELECT partition, position, epoch, as_of, last_position, last_at, last_digest FROM export.checkpoints WHERE generation = $1 ORDER BY partition`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return out, nil
}

// scanCheckpoint reads partition, position, epoch, as_of and the last message.
func scanCheckpoint(r pgx.CollectableRow) (c engine.Checkpoint, err error) {
	var last lastMessage
	err = r.Scan(&c.Partition, &c.Position, &c.Epoch, &c.AsOf, &last.position, &last.at, &last.digest)
	if err == nil {
		c.Last, err = last.mark()
	}
	return c, err
}

// lastMessage is a checkpoint's last message as it is stored.
type lastMessage struct {
	position *int64
	at       *time.Time
	digest   []byte
}

func (l lastMessage) mark() (m engine.Mark, err error) {
	if l.position == nil {
		return m, nil
	}
	if l.at == nil || len(l.digest) != len(m.Digest) {
		return m, errors.New("a checkpoint's last message has no time or digest")
	}
	return engine.Mark{Position: uint64(*l.position), Time: *l.at, Digest: [16]byte(l.digest)}, nil
}
