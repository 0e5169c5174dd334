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

func (p *program) audit() *cobra.Command {
	cmd := group("audit", "See who looked at which account, and who did what",
		`  # Who looked at this account, or changed anything of it?
  projector audit list --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # What was done since yesterday?
  projector audit list --since 24h`,
		p.auditList())
	cmd.Long = "The record of what operators looked at and did, by commands and by the console. (What `projector run` audits in the\n" +
		"background, as AUDIT_RATE says, is something else: it holds documents against the stream, and is on no such record.)"
	return cmd
}

// auditLine is a line of the audit as JSON.
type auditLine struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Through string    `json:"through"` // console, command line
	What    string    `json:"what"`
	Account *string   `json:"account"` // null: of no one account, or of one that was erased
	Detail  string    `json:"detail"`
	Outcome string    `json:"outcome"` // begun, done, refused, failed
}

func (p *program) auditList() *cobra.Command {
	var f admin.AuditFilter
	limit := 100
	cmd := &cobra.Command{
		Use:   "list [--account ID] [--who TEXT] [--what WORD] [--since TIME|DURATION] [--limit N] [--json]",
		Short: "List who looked at which account and who did what, the newest first",
		Long: "Each look is on record before anything is shown, and each act before it is begun. The outcome of an act that is over and\n" +
			"says begun is not known: its process was ended before it could say so, or lost the database. Refused: nothing was\n" +
			"changed. Failed: it ended with an error, which may have come in the middle.\n\n" +
			"An account that is erased is in no line any more but that of its erasure: --account finds nothing else of it then.\n\n" +
			"WORD is one of " + auditWords() + ".",
		Example: `  # Who looked at this account, or changed anything of it?
  projector audit list --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # All that one person did in the last week.
  projector audit list --who anna@desk --since 168h --limit 0
  # Which acts were begun, and have not said what became of them?
  projector audit list --limit 0 --json | jq 'select(.outcome == "begun")'`,
		Args: cli.NoArgs,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			most := limit
			if most == 0 {
				most = math.MaxInt
			}
			n, print := 0, p.auditPrinter()
			if err := admin.ListAudit(ctx, pool, f, most, func(e admin.AuditEntry) error {
				n++
				return print(e)
			}); err != nil || p.asJSON {
				return err
			}
			switch n {
			case 0:
				fmt.Fprintln(p.out, "no line of the audit is meant")
			case limit:
				fmt.Fprintf(p.out, "… the newest %d; --limit 0 lists all\n", n)
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	cli.Flag(flags, &f.Account, "account", maybe(accountKind()), "that name this account")
	cli.Flag(flags, &f.Who, "who", cli.Text("TEXT", "who it was, as a line says it, such as anna@desk"), "by this user, exactly")
	cli.Flag(flags, &f.What, "what", auditWordKind(), "of this kind")
	cli.Flag(flags, &f.Since, "since", sinceKind(), "at this time or later, or at most so long ago")
	cli.Flag(flags, &limit, "limit", cli.Whole("N", 0, math.MaxInt32), "at most so many lines; 0 for all")
	p.jsonFlag(cmd, "print a JSON line for each")
	return cmd
}

// auditWords lists what lines may say, in lines of a help.
func auditWords() string {
	var b strings.Builder
	width := len("WORD is one of ")
	for i, word := range acts.AuditWords() {
		if i > 0 {
			b.WriteString(", ")
			width += 2
		}
		if width+len(word) > 115 {
			b.WriteString("\n")
			width = 0
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}

// auditWordKind is one of the words.
func auditWordKind() cli.Kind[string] {
	return cli.Kind[string]{Name: "WORD", Right: "one of " + strings.Join(acts.AuditWords(), ", "), Parse: func(s string) (string, error) {
		if !slices.Contains(acts.AuditWords(), s) {
			return "", fmt.Errorf("no line says that")
		}
		return s, nil
	}}
}

// auditPrinter prints a line each.
func (p *program) auditPrinter() func(admin.AuditEntry) error {
	narrow := cli.Width(p.out) < 110
	columns := []column{{"TIME", 20}, {"WHO", 24}, {"WHAT", 18}, {"OUTCOME", 7}, {"ACCOUNT", 9}, {"DETAIL", 0}}
	if narrow {
		columns = []column{{"TIME", 20}, {"WHO", 16}, {"WHAT", 18}, {"OUTCOME", 7}, {"ACCOUNT", 0}}
	}
	t := newTable(p.out, columns...)
	return func(e admin.AuditEntry) error {
		account := "–"
		if e.Account != nil {
			account = e.Account.String()
		}
		if p.asJSON {
			l := auditLine{ID: e.ID, At: e.At.UTC(), Who: e.Who, Through: e.Through, What: e.What, Detail: e.Detail, Outcome: e.Outcome}
			if e.Account != nil {
				l.Account = &account
			}
			return p.printJSON(l)
		}
		who, detail := e.Who, e.Detail
		if e.Through != acts.ThroughCommandLine {
			who += " by " + e.Through
		}
		if detail == "" {
			detail = "–"
		}
		cells := []string{e.At.UTC().Format(time.RFC3339), who, e.What, e.Outcome, account, detail}
		return t.line(cells[:len(columns)]...)
	}
}
