package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

func (p *program) erasures() *cobra.Command {
	return group("erasures", "See the ledger of erasures, and keep it beyond the database's loss",
		`  # Who was erased?
  projector erasures list
  # Keep a copy where the loss of the database does not reach, once a day.
  projector erasures export > erasures.jsonl`,
		p.erasuresList(), p.erasuresExport(), p.erasuresImport(), p.erasuresRemove())
}

func (p *program) erasuresList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List who was erased, when, and the digest of the receipt",
		Example: `  # Who was erased, and when?
  projector erasures list
  # How many were erased by each stream?
  projector erasures list --json | jq -r .stream | sort | uniq -c`,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			if err := p.look(ctx, pool, acts.ErasuresViewed, nil, ""); err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			print := func(e admin.Erasure) error {
				receipt := e.Receipt
				if receipt == "" {
					receipt = "–"
				}
				_, err := fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", e.Account, e.ErasedAt.UTC().Format(time.RFC3339), e.Position, cli.Printable(e.Stream), receipt)
				return err
			}
			if p.asJSON {
				print = func(e admin.Erasure) error { return p.printJSON(lineOf(e)) }
			} else {
				fmt.Fprintln(w, "ACCOUNT\tERASED\tPOSITION\tSTREAM\tRECEIPT")
			}
			var after *events.UUID
			for {
				page, err := admin.Erasures(ctx, pool, after, 1000)
				if err != nil {
					return err
				}
				for _, e := range page {
					if err := print(e); err != nil {
						return err
					}
				}
				if len(page) == 0 {
					return w.Flush()
				}
				after = &page[len(page)-1].Account
			}
		}),
	}
	p.jsonFlag(cmd, "print a JSON line for each account")
	return cmd
}

func (p *program) erasuresExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print the ledger of erasures as JSON lines, to be kept where the database's loss does not reach",
		Long: "Prints every entry of the ledger as a line of JSON, and notes when. It holds account ids and times, and nothing else of\n" +
			"anybody. `projector status` and projector_erasures_export_age_seconds tell where that was more than a day ago.",
		Example: `  # Keep the ledger beside the backups.
  projector erasures export > erasures.jsonl
  # The same, compressed.
  projector erasures export | gzip > erasures.jsonl.gz`,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			return p.act(ctx, pool, acts.ErasuresExport, nil, "", func() error {
				_, err := admin.ExportErasures(ctx, pool, func(e admin.Erasure) error { return p.printJSON(lineOf(e)) })
				return err
			})
		}),
	}
}

// importedLine is the result as JSON.
type importedLine struct {
	Read    int   `json:"read"`
	Entered int64 `json:"entered"` // lines whose account was not on the ledger
}

func (p *program) erasuresImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import [FILE] [--json]",
		Short: "Enter into the ledger what `projector erasures export` has printed; repeatable",
		Long: "Reads JSON lines from a file or standard input, and enters those accounts that the ledger lacks: all of them, or, where a\n" +
			"line cannot be read, none. `projector run` compares the ledger with the stream when it starts.",
		Example: "  # After the database was restored, before `projector run` starts.\n" +
			"  projector erasures import erasures.jsonl\n" +
			"  # The same from another machine.\n" +
			"  ssh backup cat erasures.jsonl | projector erasures import",
		Args: cli.MaybeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, done, err := input(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			erasures, err := readErasures(cmd.Context(), in)
			if err != nil {
				return fmt.Errorf("%w; nothing was imported", err)
			}
			return p.withDatabase(cmd.Context(), func(ctx context.Context, pool *pgxpool.Pool) error {
				return p.act(ctx, pool, acts.ErasuresImport, nil, fmt.Sprintf("%d erasures", len(erasures)), func() error {
					entered, err := admin.ImportErasures(ctx, pool, erasures)
					if err != nil {
						return err
					}
					return p.result(importedLine{len(erasures), int64(entered)}, "%d erasures read, %d of them were not on the ledger\n",
						len(erasures), entered)
				})
			})
		},
	}
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

// removedLine is the result as JSON.
type removedLine struct {
	Removed string `json:"removed"` // the account
}

func (p *program) erasuresRemove() *cobra.Command {
	var account events.UUID
	cmd := &cobra.Command{
		Use:   "remove --account ID [--yes] [--json]",
		Short: "Take an account off the ledger that nobody has erased",
		Long: "For an account that came onto the ledger by mistake, by another deployment's export, say: `projector accept` and `rebuild`\n" +
			"would erase it. One that is erased in a generation that is live or was live stays on the ledger. On a terminal it asks\n" +
			"first; elsewhere it goes on unasked.",
		Example: `  # An account came onto the ledger by the export of another deployment.
  projector erasures remove --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # The same from a script.
  projector erasures remove --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --yes --json`,
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) error {
			return p.act(ctx, on.Pool, acts.ErasuresRemove, &account, "", func() error { return p.removeErasure(ctx, on, account) })
		}),
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	p.yesFlag(cmd, yesDoNotAsk)
	p.jsonFlag(cmd, jsonResult)
	return cmd
}
