package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

// parkedAct is what a command does to parked messages with a note.
type parkedAct struct {
	use, short, long string
	note             *string
	noteUsage        string
	question         func(c *acts.ParkedSelection) string // of more than one
	act              func(cmd *cobra.Command, c *acts.ParkedSelection, one bool) (int, error)
	done, dones      string
	already          func(c *acts.ParkedSelection) int
	were             string
}

// parkedDone is the result as JSON.
type parkedDone struct {
	Parked  int64 `json:"parked"`  // that were looked at
	Meant   int   `json:"meant"`   // of them
	Changed int   `json:"changed"` // of those
}

func (p *program) parkedAct(a *parkedAct) *cobra.Command {
	f := &parkedFilters{}
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   a.use,
		Short: a.short,
		Long:  a.long + parkedFilterHelp,
		Args:  f.one,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			*a.note = strings.TrimSpace(*a.note)
			c := &acts.ParkedSelection{Pool: pool, Filter: f.ParkedFilter}
			if err := p.choose(cmd, f, c); err != nil || len(c.Messages) == 0 {
				return err
			}
			already, one := a.already(c), f.position > 0
			if n := len(c.Messages) - already; !one && n > 1 && !yes {
				if err := p.confirmer(cmd)(cmd.Context(), a.question(c)); err != nil {
					return err
				}
			}
			n, err := a.act(cmd, c, one)
			if err != nil && n > 0 {
				err = fmt.Errorf("%w; %d of the messages were done before, and the same call does the rest", err, n)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(parkedDone{c.Total, len(c.Messages), n})
			}
			if one {
				done := a.done
				if n == 0 && a.were == "not dismissed" {
					done = "was not dismissed"
				}
				_, err = fmt.Fprintf(p.out, "message %d %s\n", f.position, done)
				return err
			}
			rest := ""
			if k := len(c.Messages) - n; k > 0 {
				rest = fmt.Sprintf("; %d others that are meant were %s", k, a.were)
			}
			_, err = fmt.Fprintf(p.out, "%d of %d parked messages %s%s\n", n, c.Total, a.dones, rest)
			return err
		},
	}
	f.flags(cmd)
	cli.Required(cmd.Flags(), a.note, "note", cli.Text("TEXT", a.noteUsage), "why")
	cmd.Flags().BoolVar(&f.all, "all", false, "all that is parked")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// choose finds the messages; none without an error where all were meant and
// nothing is parked, which it says.
func (p *program) choose(cmd *cobra.Command, f *parkedFilters, c *acts.ParkedSelection) error {
	err := c.Select(cmd.Context())
	var none *acts.NoneParked
	if !errors.As(err, &none) {
		return err
	}
	if err := f.nothing(none); err != nil {
		return err
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return p.printJSON(parkedDone{})
	}
	_, err = fmt.Fprintln(p.out, "no message is parked")
	return err
}

// printJSON prints one value in one line.
func (p *program) printJSON(v any) error { return json.NewEncoder(p.out).Encode(v) }
