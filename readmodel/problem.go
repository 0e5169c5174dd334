package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// Problem is what keeps projecting from going on, as the database has it on record. It
// outlives the process that had it, and is removed once that is over.
//
// No field has anything of an event but its position and its type, and none is a text
// of a server: those may hold values.
type Problem struct {
	Class      ProblemClass
	Partition  int    // [NoPartition]: of no one partition
	Reason     string // a word of a closed list, which the program that notes it has
	Message    string // the program's own words
	Generation int64  // 0: none was known

	// What failed is one of the messages from Position to Until. Where Until is 0,
	// Position is only where the partition stood, and 0 where that is not known.
	Position, Until uint64
	EventType       string // of the message at Position; empty: not known

	// Set by ListProblems.
	Replica string        // that noted it last
	First   time.Time     // when it was noted first, for this reason
	Noted   time.Time     // when it was noted last; tells this note from every other one
	Age     time.Duration // since Noted, by the database's clock
	Times   int64         // how often, in a row
}

// ProblemClass says what a [Problem] has led to.
type ProblemClass string

// The classes.
const (
	Refused ProblemClass = "refused" // the program has ended, and somebody has to decide
	Failed  ProblemClass = "error"   // it begins again at the checkpoints by itself
)

// Reasons are the words that a problem's reason is one of. Words are added, and never
// change what they mean.
func (c ProblemClass) Reasons() []string {
	switch c {
	case Refused: // as `projector run` has exit statuses, from 10 on
		return []string{"version", "other_stream", "recreated", "stream_behind", "history_lost", "partitions", "diverged", "erasures_missing",
			"messages_missing"}
	case Failed: // as the engine has reasons to begin again
		return []string{"fenced", "stalled", "source", "store"}
	}
	return nil
}

// NoPartition is the partition of a [Problem] that is of no one partition.
const NoPartition = -1

// ListProblems lists what is on record: at most one of each class and partition.
func ListProblems(ctx context.Context, db pg.Querier) ([]Problem, error) {
	rows, err := db.Query(ctx, `
SELECT class, partition, reason, message, generation, position, last_position, event_type, replica, first_at, noted_at,
    extract(epoch FROM clock_timestamp() - noted_at)::float8, times
FROM export.problems ORDER BY class DESC, partition`) // refusals first
	if err != nil {
		return nil, fmt.Errorf("read what is on record of problems: %w", ExplainOutdatedSchema(err))
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p Problem, err error) {
		var age float64
		err = r.Scan(&p.Class, &p.Partition, &p.Reason, &p.Message, &p.Generation, &p.Position, &p.Until, &p.EventType, &p.Replica,
			&p.First, &p.Noted, &age, &p.Times)
		p.Age = max(0, time.Duration(age*float64(time.Second)))
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is on record of problems: %w", ExplainOutdatedSchema(err))
	}
	return out, nil
}
