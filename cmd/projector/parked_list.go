package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

func (p *program) parkedList() *cobra.Command {
	f := &parkedFilters{}
	limit := 1000
	var groupBy string
	var found bool
	cmd := &cobra.Command{
		Use:   "list [FILTER] [--dismissed] [--group-by type|reason|account] [--limit N] [--found] [--json]",
		Short: "List parked messages in stream order, or put them into groups, the largest first",
		Long: "Reasons are shown without what was found in the message, which may be a secret: with the field, the kind of what was\n" +
			"found, and what would be right. --found shows it. By reason, messages are in one group whose masked reasons are the\n" +
			"same. Long texts are cut with …, --json cuts nothing. Where filters take nothing, the exit status is 1." + parkedFilterHelp,
		Example: `  # What was parked, by reason, the most frequent first?
  projector parked list --group-by reason
  # The messages of one account, with what was found in them.
  projector parked list --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --found
  # The positions of all that were sent since yesterday.
  projector parked list --since 24h --limit 0 --json | jq .position`,
		Args: func(cmd *cobra.Command, given []string) error {
			if err := cli.NoArgs(cmd, given); err != nil {
				return err
			}
			return f.validate()
		},
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) (err error) {
			if err := p.look(ctx, pool, acts.ParkedViewed, f.Account, f.listDetail(limit, groupBy, found)); err != nil {
				return err
			}
			if limit == 0 {
				limit = math.MaxInt
			}
			n := 0
			if groupBy != "" {
				n, err = p.printGroups(ctx, pool, f.ParkedFilter, groupBy, limit)
			} else {
				n, err = p.printParked(ctx, pool, f.ParkedFilter, limit, found)
			}
			if err != nil || n > 0 {
				return err
			}
			// Nothing was printed: the error counts what there is, and names the filters.
			all, err := admin.SelectParked(ctx, pool, admin.ParkedFilter{From: math.MaxInt64})
			if err == nil {
				err = f.noneSelected(&acts.NoneParked{Of: all.Total})
			}
			if err == nil && !p.asJSON {
				_, err = fmt.Fprintln(p.out, "no message is parked")
			}
			return err
		}),
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&f.Dismissed, "dismissed", false, "only those that were dismissed, and no longer count")
	cli.Flag(cmd.Flags(), &groupBy, "group-by", cli.OneOf(admin.ByType, admin.ByReason, admin.ByAccount), "count those that are alike")
	cli.Flag(cmd.Flags(), &limit, "limit", cli.Whole("N", 0, math.MaxInt32), "at most so many lines; 0 for all")
	cmd.Flags().BoolVar(&found, "found", false, "print what was found in messages where something else was wanted")
	p.jsonFlag(cmd, "print a JSON line for each message or group")
	return cmd
}

// listDetail says what a list shows, as far as the audit may know.
func (f *parkedFilters) listDetail(limit int, groupBy string, found bool) string {
	what := "messages, " + shownOf(found, false)
	if groupBy != "" {
		what = "groups by " + groupBy
	}
	if limit > 0 {
		what = fmt.Sprintf("at most %d %s", limit, what)
	} else {
		what = "all " + what
	}
	if which := f.detailOf(); which != "" {
		what += ": " + which
	}
	return what
}

// printParked prints a line for each message, limit at most, and returns how many it
// has printed.
func (p *program) printParked(ctx context.Context, pool *pgxpool.Pool, f admin.ParkedFilter, limit int, found bool) (n int, err error) {
	columns, narrow := []column{{"POSITION", 9}, {"SENT", 20}, {"ACCOUNT", 9}, {"TYPE", 26}, {"REASON", 0}}, cli.Width(p.out) < 110
	if narrow {
		columns = []column{{"POSITION", 9}, {"SENT", 20}, {"TYPE", 20}, {"REASON", 0}}
	}
	t := newTable(p.out, columns...)
	err = admin.ListParked(ctx, pool, f, limit, func(m admin.Parked) error {
		n++
		if p.asJSON {
			return p.printJSON(lineOfParked(m, found))
		}
		account := "–"
		if m.Account != nil {
			account = m.Account.String()
		}
		reason := shownReason(m.Reason, found)
		if m.DismissedAt != nil {
			reason = "dismissed, " + m.Note + ": " + reason
		}
		cells := []string{fmt.Sprint(m.Position), m.SentAt.UTC().Format(time.RFC3339), account, shortParkedType(m.Type), reason}
		if narrow {
			cells = slices.Delete(cells, 2, 3)
		}
		return t.line(cells...)
	})
	if err == nil && n == limit && !p.asJSON {
		_, err = fmt.Fprintf(p.out, "… the first %d; --limit 0 lists all, --group-by counts them\n", n)
	}
	return n, err
}

// shortParkedType is a type as people read it.
func shortParkedType(t string) string {
	if t = strings.TrimPrefix(t, "controlplane."); t == "" {
		return "–"
	}
	return t
}

// groupLine is a group of parked messages as JSON. It has one of the first three
// fields: the one that --group-by names.
type groupLine struct {
	Type      *string   `json:"type,omitempty"`
	Reason    *string   `json:"reason,omitempty"`
	Account   *string   `json:"account,omitempty"`
	Messages  int64     `json:"messages"`
	Dismissed int64     `json:"dismissed"`
	Accounts  int64     `json:"accounts"`
	From      uint64    `json:"from"`
	To        uint64    `json:"to"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
}

// printGroups prints a line for each group, limit at most, and returns how many
// groups there are.
func (p *program) printGroups(ctx context.Context, pool *pgxpool.Pool, f admin.ParkedFilter, by string, limit int) (int, error) {
	groups, err := admin.GroupParked(ctx, pool, f, by)
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	t := newTable(p.out, column{"MESSAGES", 9}, column{"DISMISSED", 9}, column{"ACCOUNTS", 8}, column{"FROM", 9}, column{"TO", 9},
		column{strings.ToUpper(by), 0})
	for i, g := range groups {
		if i == limit {
			if !p.asJSON {
				fmt.Fprintf(p.out, "… the first %d of %d groups; --limit 0 lists all\n", limit, len(groups))
			}
			break
		}
		if p.asJSON {
			l := groupLine{Messages: g.Messages, Dismissed: g.Dismissed, Accounts: g.Accounts, From: g.First, To: g.Last,
				Since: g.Since.UTC(), Until: g.Until.UTC()}
			*map[string]**string{admin.ByType: &l.Type, admin.ByReason: &l.Reason, admin.ByAccount: &l.Account}[by] = &g.Key
			if err := p.printJSON(l); err != nil {
				return i, err
			}
			continue
		}
		key := g.Key
		if key == "" {
			key = "–"
		}
		if err := t.line(fmt.Sprint(g.Messages), fmt.Sprint(g.Dismissed), fmt.Sprint(g.Accounts), fmt.Sprint(g.First), fmt.Sprint(g.Last), key); err != nil {
			return i, err
		}
	}
	return len(groups), nil
}
