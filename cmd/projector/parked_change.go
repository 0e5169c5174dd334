package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

// parkedChange is a command that changes what is on record of parked messages and
// says why in a note: what sets `parked dismiss` and `parked undismiss` apart.
type parkedChange struct {
	what             string // as the audit has it
	use, short, long string
	example          string
	noteUsage        string // what a note may look like

	question func(s *acts.ParkedSelection) string // asked where more than one message would change
	apply    func(ctx context.Context, s *acts.ParkedSelection, note string, byPosition bool) (changed int, err error)

	unchanged func(s *acts.ParkedSelection) int // how many of the selected messages are as they are to be

	one, oneUnchanged   string // what is said of the message selected by its position
	many, manyUnchanged string // what is said of messages selected by filters
}

// parkedChangedLine is the result as JSON.
type parkedChangedLine struct {
	Parked  int64 `json:"parked"`  // all parked messages
	Meant   int   `json:"meant"`   // of them, those that were selected
	Changed int   `json:"changed"` // of those
}

func (p *program) parkedChange(c *parkedChange) *cobra.Command {
	filters := &parkedFilters{}
	var note string
	cmd := &cobra.Command{
		Use:     c.use,
		Short:   c.short,
		Long:    c.long + parkedFilterHelp,
		Example: c.example,
		Args:    filters.args,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			s := &acts.ParkedSelection{Pool: pool, Filter: filters.ParkedFilter}
			if err := p.selectParked(ctx, filters, s); err != nil || len(s.Messages) == 0 {
				return err
			}
			detail := fmt.Sprintf("%d messages: %s", len(s.Messages), filters.detailOf())
			return p.act(ctx, pool, c.what, filters.accountOf(&s.ParkedSelection), detail, func() error {
				return p.applyParkedChange(ctx, c, filters, s, note)
			})
		}),
	}
	filters.flags(cmd)
	cli.Required(cmd.Flags(), &note, "note", cli.Text("TEXT", c.noteUsage), "why")
	cmd.Flags().BoolVar(&filters.all, "all", false, "all that is parked")
	p.yesFlag(cmd, yesDoNotAsk)
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

// applyParkedChange asks where it has to, changes what was selected, and prints what
// came of it.
func (p *program) applyParkedChange(ctx context.Context, c *parkedChange, filters *parkedFilters, s *acts.ParkedSelection, note string) error {
	byPosition := filters.position > 0
	if n := len(s.Messages) - c.unchanged(s); !byPosition && n > 1 {
		if err := p.confirm(ctx, c.question(s)); err != nil {
			return err
		}
	}
	n, err := c.apply(ctx, s, strings.TrimSpace(note), byPosition)
	if err != nil && n > 0 {
		return fmt.Errorf("%w; %d of the messages were done before, and the same call does the rest", err, n)
	}
	if err != nil {
		return err
	}
	line := parkedChangedLine{s.Total, len(s.Messages), n}
	if byPosition {
		done := c.one
		if n == 0 {
			done = c.oneUnchanged
		}
		return p.result(line, "message %d %s\n", filters.position, done)
	}
	rest := ""
	if k := len(s.Messages) - n; k > 0 {
		rest = fmt.Sprintf("; %d others that are meant were %s", k, c.manyUnchanged)
	}
	return p.result(line, "%d of %d parked messages %s%s\n", n, s.Total, c.many, rest)
}

// selectParked finds the messages that the flags select. It is an error where they
// select none, except for --all: then it prints that nothing is parked, and the
// selection is empty.
func (p *program) selectParked(ctx context.Context, f *parkedFilters, s *acts.ParkedSelection) error {
	err := s.Select(ctx)
	var none *acts.NoneParked
	if !errors.As(err, &none) {
		return err
	}
	if err := f.noneSelected(none); err != nil {
		return err
	}
	return p.result(parkedChangedLine{}, "no message is parked\n")
}
