package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// SurveyBuckets is how many intervals a survey counts messages in.
const SurveyBuckets = 48

// surveyGroups bounds the groups that are told apart: who sends messages chooses their
// types, and may choose a million.
const surveyGroups = 1000

// ParkedSurvey is what parked messages come to, all that match and group by group, as of
// one moment.
type ParkedSurvey struct {
	ParkedFigures
	Generation int64
	Begin      time.Time     // of the first interval; zero where nothing matches
	Width      time.Duration // of each interval

	Groups  []SurveyGroup // the largest first
	Further ParkedFigures // of the messages whose groups are not told apart; its accounts are not counted

	First []Parked // of those that match, as many as were asked for, in stream order, without headers and payload
}

// ParkedFigures counts messages.
type ParkedFigures struct {
	Messages    int64
	Dismissed   int64 // those of them that were dismissed
	Accounts    int64 // how many accounts they are of
	Lowest, Top uint64
	Since       time.Time // when the lowest and the top one were sent
	Until       time.Time
	Intervals   [SurveyBuckets]uint32 // by when they were sent
}

// SurveyGroup is parked messages of one type and one masked reason.
type SurveyGroup struct {
	Type, Reason string
	ParkedFigures
}

// SurveyParked reads the parked messages of the live generation that match once, in
// stream order, and counts them: all together, and by type and masked reason. typeOf
// names the group of a type; nil: the type without controlplane. The first messages, at
// most so many, are in the survey, too.
//
// It takes three statements, none of which reads accounts, and holds in memory what it
// returns, and the ids of the accounts.
func SurveyParked(ctx context.Context, pool *pgxpool.Pool, f ParkedFilter, first int, typeOf func(string) string) (s ParkedSurvey, err error) {
	if typeOf == nil {
		typeOf = events.ShortType
	}
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		g, err := readmodel.LiveGeneration(ctx, tx)
		if err != nil {
			return err
		}
		s.Generation = g.Number
		dismissed, err := dismissedPositions(ctx, tx, g)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, readmodel.InSchema(g.Number, selectParked+` ORDER BY position`), f.args(0)...)
		if err != nil {
			return err
		}
		t := newTally(&s)
		matches := f.reasonMatcher()
		var p Parked
		var id *[16]byte
		_, err = pgx.ForEachRow(rows, []any{&p.Position, &p.Partition, &id, &p.SentAt, &p.Subject, &p.Type, &p.Reason}, func() error {
			p.Account, p.DismissedAt, p.Note = nil, nil, ""
			if id != nil {
				p.Account = new(events.UUID(*id))
			}
			for len(dismissed) > 0 && dismissed[0].position < p.Position {
				dismissed = dismissed[1:]
			}
			if len(dismissed) > 0 && dismissed[0].position == p.Position {
				p.DismissedAt, p.Note = new(dismissed[0].at), dismissed[0].note
			}
			if f.Dismissed && p.DismissedAt == nil || !matches(p.Reason) {
				return nil
			}
			if len(s.First) < first {
				s.First = append(s.First, p)
			}
			t.add(&p, typeOf(p.Type))
			return nil
		})
		t.end()
		return err
	})
	if err != nil {
		return s, fmt.Errorf("survey parked messages: %w", err)
	}
	return s, nil
}

// dismissal is that of one position.
type dismissal struct {
	position uint64
	at       time.Time
	note     string
}

// dismissedPositions are the dismissals of a generation's stream, by position. They are
// read by themselves: joined with messages of whose number the server knows nothing yet,
// the statement would take minutes.
func dismissedPositions(ctx context.Context, tx pgx.Tx, g readmodel.Generation) ([]dismissal, error) {
	rows, err := tx.Query(ctx, `
SELECT position, dismissed_at, note FROM export.dismissals WHERE stream_name = $1 AND stream_created = $2 ORDER BY position`,
		g.Stream.Name, g.Stream.Created)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d dismissal, err error) {
		err = row.Scan(&d.position, &d.at, &d.note)
		return d, err
	})
}

// tally fills a survey.
type tally struct {
	survey   *ParkedSurvey
	accounts map[events.UUID]struct{}
	groups   map[groupKey]*tallyGroup
	masked   map[string]string // reasons, as long as there are few
}

type groupKey struct{ typ, reason string }

type tallyGroup struct {
	SurveyGroup
	accounts map[events.UUID]struct{}
}

func newTally(s *ParkedSurvey) *tally {
	s.Width = time.Second
	return &tally{s, map[events.UUID]struct{}{}, map[groupKey]*tallyGroup{}, map[string]string{}}
}

func (t *tally) add(p *Parked, typ string) {
	s := t.survey
	if s.Messages == 0 {
		s.Begin = p.SentAt.Truncate(time.Second)
	}
	for p.SentAt.Sub(s.Begin) >= SurveyBuckets*s.Width {
		t.widen()
	}
	interval := max(0, int(p.SentAt.Sub(s.Begin)/s.Width))
	s.count(p, interval)
	if p.Account != nil {
		t.accounts[*p.Account] = struct{}{}
	}
	key := groupKey{typ, t.mask(p.Reason)}
	g := t.groups[key]
	if g == nil {
		if len(t.groups) == surveyGroups {
			s.Further.count(p, interval)
			return
		}
		g = &tallyGroup{SurveyGroup{Type: strings.Clone(typ), Reason: key.reason}, map[events.UUID]struct{}{}}
		t.groups[key] = g
	}
	g.count(p, interval)
	if p.Account != nil {
		g.accounts[*p.Account] = struct{}{}
	}
}

// mask masks a reason, and once for those that are alike.
func (t *tally) mask(reason string) string {
	masked, known := t.masked[reason]
	if !known {
		if masked = events.MaskReason(reason); len(t.masked) < surveyGroups {
			t.masked[reason] = masked
		}
	}
	return masked
}

// widen makes each interval twice as long.
func (t *tally) widen() {
	t.survey.Width *= 2
	t.survey.widen()
	t.survey.Further.widen()
	for _, g := range t.groups {
		g.widen()
	}
}

func (t *tally) end() {
	s := t.survey
	s.Accounts = int64(len(t.accounts))
	for _, g := range t.groups {
		g.Accounts = int64(len(g.accounts))
		s.Groups = append(s.Groups, g.SurveyGroup)
	}
	slices.SortFunc(s.Groups, func(a, b SurveyGroup) int {
		switch {
		case a.Messages != b.Messages:
			return int(b.Messages - a.Messages)
		case a.Type != b.Type:
			return strings.Compare(a.Type, b.Type)
		}
		return strings.Compare(a.Reason, b.Reason)
	})
}

func (n *ParkedFigures) count(p *Parked, interval int) {
	if n.Messages == 0 {
		n.Lowest, n.Since = p.Position, p.SentAt
	}
	n.Messages++
	n.Top, n.Until = p.Position, p.SentAt
	n.Intervals[interval]++
	if p.DismissedAt != nil {
		n.Dismissed++
	}
}

func (n *ParkedFigures) widen() {
	for i := range n.Intervals {
		if sum := uint32(0); 2*i < SurveyBuckets {
			for _, c := range n.Intervals[2*i : 2*i+2] {
				sum += c
			}
			n.Intervals[i] = sum
		} else {
			n.Intervals[i] = 0
		}
	}
}
