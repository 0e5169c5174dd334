package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func (p *program) erasures() *cobra.Command {
	cmd := &cobra.Command{Use: "erasures", Short: "See the ledger of erasures, and keep it beyond the database's loss"}
	cmd.AddCommand(p.erasuresList(), p.erasuresExport(), p.erasuresImport(), p.erasuresRemove())
	return cmd
}

// erasureLine is an entry of the ledger as `projector erasures` prints it, a
// line of JSON.
type erasureLine struct {
	Account       string    `json:"account"`
	ErasedAt      time.Time `json:"erased_at"` // by the event itself
	Position      uint64    `json:"position"`  // of the event, in this stream
	Stream        string    `json:"stream"`
	StreamCreated time.Time `json:"stream_created"`
	Receipt       string    `json:"receipt,omitempty"` // sha256:… of the last receipt, as JSON
}

func lineOf(e admin.Erasure) erasureLine {
	return erasureLine{e.Account.String(), e.ErasedAt.UTC(), e.Position, e.Stream, e.StreamCreated.UTC(), e.Receipt}
}

func (p *program) erasuresList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List who was erased, when, and the digest of the receipt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			print := func(e admin.Erasure) error {
				receipt := e.Receipt
				if receipt == "" {
					receipt = "–"
				}
				_, err := fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", e.Account, e.ErasedAt.UTC().Format(time.RFC3339), e.Position, cli.Printable(e.Stream), receipt)
				return err
			}
			if asJSON {
				enc := json.NewEncoder(p.out)
				print = func(e admin.Erasure) error { return enc.Encode(lineOf(e)) }
			} else {
				fmt.Fprintln(w, "ACCOUNT\tERASED\tPOSITION\tSTREAM\tRECEIPT")
			}
			var after *events.UUID
			for {
				some, err := admin.Erasures(cmd.Context(), pool, after, 1000)
				if err != nil {
					return err
				}
				for _, e := range some {
					if err := print(e); err != nil {
						return err
					}
				}
				if len(some) == 0 {
					return w.Flush()
				}
				after = &some[len(some)-1].Account
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON line for each account")
	return cmd
}

func (p *program) erasuresExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print the ledger of erasures as JSON lines, to be kept where the database's loss does not reach",
		Long: "Prints every entry of the ledger as a line of JSON, and notes when. It holds account ids and times, and nothing else of\n" +
			"anybody. `projector status` and projector_erasures_export_age_seconds tell where that was more than a day ago.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			enc := json.NewEncoder(p.out)
			_, err = admin.ExportErasures(cmd.Context(), pool, func(e admin.Erasure) error { return enc.Encode(lineOf(e)) })
			return err
		},
	}
}

// importedLine is the result as JSON.
type importedLine struct {
	Read    int   `json:"read"`
	Entered int64 `json:"entered"` // that were not on the ledger
}

func (p *program) erasuresImport() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import [FILE] [--json]",
		Short: "Enter into the ledger what `projector erasures export` has printed; repeatable",
		Long: "Reads JSON lines from a file or standard input, and enters those accounts that the ledger lacks: all of them, or, where a\n" +
			"line cannot be read, none. `projector run` compares the ledger with the stream when it starts.",
		Args: cli.MaybeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, done, err := input(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			those, err := readErasures(cmd.Context(), in)
			if err != nil {
				return fmt.Errorf("%w; nothing was imported", err)
			}
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			entered, err := admin.ImportErasures(cmd.Context(), pool, those)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(importedLine{len(those), int64(entered)})
			}
			_, err = fmt.Fprintf(p.out, "%d erasures read, %d of them were not on the ledger\n", len(those), entered)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// removedLine is the result as JSON.
type removedLine struct {
	Removed string `json:"removed"` // the account
}

func (p *program) erasuresRemove() *cobra.Command {
	var account events.UUID
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove --account ID [--yes] [--json]",
		Short: "Take an account off the ledger that nobody has erased",
		Long: "For an account that came onto the ledger by mistake, by another deployment's export, say: `projector accept` and `rebuild`\n" +
			"would erase it. One that is erased in a generation that is live or was live stays on the ledger. On a terminal it asks\n" +
			"first; elsewhere it goes on unasked.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			on, done, err := p.target(ctx)
			if err != nil {
				return err
			}
			defer done()
			first, err := on.Stream.FirstErased(ctx, account)
			if err == nil && first.Position > 0 {
				err = fmt.Errorf("stream %s holds account.erased of account %s, at position %d: whoever folds it erases the account, and it stays on the ledger",
					on.Stream.Stream(), account, first.Position)
			}
			if err != nil {
				return err
			}
			e, err := admin.FindErasure(ctx, on.Pool, account)
			if errors.Is(err, readmodel.ErrNotFound) { // it may have been begun, and not published
				err = nil
			} else if err == nil && !yes {
				err = p.confirmer(cmd)(ctx, fmt.Sprintf("Account %s, erased %s by stream %s, goes off the ledger: where it was erased, it returns with a "+
					"restored stream.", account, e.ErasedAt.UTC().Format(time.RFC3339), e.Stream))
			}
			if err == nil {
				err = admin.RemoveErasure(ctx, on.Pool, account)
			}
			if errors.Is(err, readmodel.ErrNotFound) {
				return fmt.Errorf("account %s is not on the ledger; `projector erasures list` shows who is", account)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(removedLine{account.String()})
			}
			_, err = fmt.Fprintf(p.out, "account %s is no longer on the ledger of erasures; remove it from exports as well, or it comes back by them\n", account)
			return err
		},
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

var receiptDigest = regexp.MustCompile(`^(sha256:[0-9a-f]{64})?$`)

// readErasures reads the lines of an export, all of which have to be sound.
func readErasures(ctx context.Context, in io.Reader) ([]admin.Erasure, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	seen := map[events.UUID]int{}
	var out []admin.Erasure
	for n := 1; lines.Scan(); n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var l erasureLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d is no entry of the ledger: %w", n, err)
		}
		account, err := events.ParseUUID(l.Account)
		switch {
		case err != nil:
			err = errors.New(`"account" is no UUID`)
		case seen[account] > 0:
			err = fmt.Errorf("account %s is on line %d already", account, seen[account])
		case l.ErasedAt.IsZero():
			err = errors.New(`"erased_at" is missing`)
		case !eventTime(l.ErasedAt):
			err = errors.New(`"erased_at" is no time of an event: years 0001 to 9999 in UTC`)
		case l.Position == 0 || l.Position > 1<<63-1:
			err = errors.New(`"position" is no position of a stream`)
		case l.Stream == "":
			err = errors.New(`"stream" is missing`)
		case !streamName.MatchString(l.Stream):
			err = errors.New(`"stream" is no name of a stream`)
		case l.StreamCreated.IsZero():
			err = errors.New(`"stream_created" is missing`)
		case !eventTime(l.StreamCreated):
			err = errors.New(`"stream_created" is no time of a stream: years 0001 to 9999 in UTC`)
		case !receiptDigest.MatchString(l.Receipt):
			err = errors.New(`"receipt" is not sha256: and 64 hex digits`)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d is no entry of the ledger: %w", n, err)
		}
		seen[account] = n
		out = append(out, admin.Erasure{Account: account, ErasedAt: l.ErasedAt, Position: l.Position, Stream: l.Stream,
			StreamCreated: l.StreamCreated, Receipt: l.Receipt})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	return out, nil
}

// eventTime tells whether an event may have such a time, and JSON can hold it.
func eventTime(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999
}

// exportDue is after how long an export of the ledger is too old.
const exportDue = 24 * time.Hour
