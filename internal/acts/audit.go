package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// Recorder writes who looks and who acts into the audit, export.audit. It is safe for
// concurrent use.
//
// What is looked at is shown, and what is to be done is begun, once its line is
// committed; where that fails, whoever calls shows and does nothing.
type Recorder struct {
	Pool    *pgxpool.Pool
	Who     string // whatever is not printable ASCII is a ? there, and it is cut after 200 characters
	Through string // [ThroughConsole] or [ThroughCommandLine]

	// OnUnended is called where what an act has come to cannot be written, so that its
	// line goes on saying that it was begun; default: nobody
	OnUnended func(error)
}

// noteTimeout is how long one line is waited for.
const noteTimeout = 10 * time.Second

// maxWho is how long a name is at most.
const maxWho = 200

// ErrDeclined means that somebody was asked to confirm an act, and did not.
var ErrDeclined = errors.New("nothing was changed")

// Look records a look, at an account where there is one. what is one of the words of
// this package. detail holds positions, counts, numbers of generations, types and words
// of the code: never a value of an event, an address, an account's id, a note or a
// text to search for.
func (r *Recorder) Look(ctx context.Context, what string, account *events.UUID, detail string) error {
	if _, err := r.note(ctx, what, account, detail, OutcomeDone); err != nil {
		return fmt.Errorf("nothing is shown, since this look cannot be recorded: %w", err)
	}
	return nil
}

// Begin records that an act is about to be done; what and detail are as in
// [Recorder.Look]. [Recorded.End] says what it has come to.
func (r *Recorder) Begin(ctx context.Context, what string, account *events.UUID, detail string) (*Recorded, error) {
	id, err := r.note(ctx, what, account, detail, OutcomeBegun)
	if err != nil {
		return nil, fmt.Errorf("nothing was done, since it cannot be recorded: %w", err)
	}
	return &Recorded{r, id}, nil
}

func (r *Recorder) note(ctx context.Context, what string, account *events.UUID, detail, outcome string) (int64, error) {
	if !slices.Contains(AuditWords(), what) {
		return 0, fmt.Errorf("%q is no word of the audit", what)
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	return admin.NoteAudit(ctx, r.Pool, admin.AuditEntry{Who: auditName(r.Who), Through: r.Through, What: what, Account: account,
		Detail: detail, Outcome: outcome})
}

// auditName is a name as lines have it.
func auditName(who string) string {
	who = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, who)
	if who == "" {
		who = "somebody"
	}
	return who[:min(len(who), maxWho)]
}

// Recorded is the line of an act that was begun.
type Recorded struct {
	by *Recorder
	id int64
}

// End says what the act has come to: done, refused where err says that nothing was
// changed, or failed. It has a time limit of its own, and is written also where ctx has
// ended. It is called once.
func (d *Recorded) End(ctx context.Context, err error) {
	outcome := OutcomeFailed
	switch {
	case err == nil:
		outcome = OutcomeDone
	case IsRefusal(err), errors.Is(err, engine.ErrPaused), errors.Is(err, ErrNotConfirmed), errors.Is(err, ErrDeclined):
		outcome = OutcomeRefused
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := admin.EndAudit(ctx, d.by.Pool, d.id, outcome); err != nil && d.by.OnUnended != nil {
		d.by.OnUnended(fmt.Errorf("it goes on saying that this was begun, and not that it is %s: %w", outcome, err))
	}
}
