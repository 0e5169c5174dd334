package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// receipt is what `projector erase` prints.
type receipt struct {
	Account          string    `json:"account"`
	ErasedAt         uint64    `json:"erased_at_position"` // of the event that stays in the stream
	Already          bool      `json:"erased_already"`
	MessagesRemoved  int       `json:"messages_removed"` // of the account
	StraysRemoved    int       `json:"strays_removed"`   // messages on mistyped subjects that held its id or e-mail
	RowsRemoved      int64     `json:"rows_removed"`     // of generations that are not live, and of parked strays
	RowsLeft         int64     `json:"rows_left"`        // 0
	MessagesSearched int       `json:"messages_searched"`
	MessagesLeft     int       `json:"messages_left"` // 0
	ElsewhereAt      []uint64  `json:"mentioned_elsewhere_at,omitempty"`
	Searched         string    `json:"searched"`
	Done             time.Time `json:"done"`
}

func (p *program) erase() *cobra.Command {
	var account events.UUID
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "erase --account ID [--json]",
		Short: "Erase an account from the stream and from every generation, and prove it",
		Long: "Publishes account.erased, waits until `projector run` has projected it, removes the account's other messages from the\n" +
			"stream, clears every generation, looks for its id and e-mail addresses, in either case, in what is parked under\n" +
			"mistyped subjects, and then searches stream and tables. Interrupted anywhere, a second run completes it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			e := &erasing{account: account}
			var err error
			if e.client, err = p.connectStream(ctx, p.cfg.Logger(p.err)); err != nil {
				return err
			}
			defer e.client.Close()
			if e.pool, err = p.connectDatabase(ctx); err != nil {
				return err
			}
			defer e.pool.Close()
			return e.run(ctx, p.out, asJSON)
		},
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the receipt as JSON")
	return cmd
}

// erasing is one erasure.
type erasing struct {
	client  *stream.Client
	pool    *pgxpool.Pool
	account events.UUID
	heard   bool
	erased  uint64   // position of the event that erased it; 0 where none has
	others  int      // messages beside that one
	needles [][]byte // what to look for, in lower case
}

func (e *erasing) run(ctx context.Context, out io.Writer, asJSON bool) error {
	if err := e.look(ctx); err != nil {
		return err
	}
	if !e.heard && asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"account": e.account.String(), "heard_of": false})
	}
	if !e.heard {
		_, err := fmt.Fprintf(out, "account %s was never heard of: there is nothing to erase\n", e.account)
		return err
	}
	again := e.erased > 0 && e.others == 0
	if err := e.publish(ctx); err != nil {
		return err
	}
	if err := e.projected(ctx); err != nil {
		return err
	}
	r := receipt{Account: e.account.String(), ErasedAt: e.erased}
	var err error
	if err := e.strays(ctx, &r); err != nil {
		return err
	}
	if r.MessagesRemoved, err = e.client.RemoveAccount(ctx, e.account, e.erased); err != nil {
		return err
	}
	rows, err := readmodel.EraseAccount(ctx, e.pool, e.account)
	if err != nil {
		return err
	}
	r.RowsRemoved += rows
	if err := e.prove(ctx, &r); err != nil {
		return err
	}
	if again && r.MessagesRemoved+r.StraysRemoved+int(r.RowsRemoved) == 0 {
		r.Already = true
	}
	if r.Already && !asJSON {
		fmt.Fprintf(out, "account %s was erased already, at position %d\n", e.account, e.erased)
	}
	return r.print(out, asJSON)
}

// look reads the account's messages for what has to be known before they go.
func (e *erasing) look(ctx context.Context) error {
	e.needles = [][]byte{[]byte(e.account.String())}
	return e.client.ReadAccount(ctx, e.account, 0, func(m projections.Message) error {
		e.heard = true
		d, err := projections.Decode(m)
		if err != nil {
			return err
		}
		switch data := d.Event.Data.(type) {
		case *events.AccountErased:
			if e.erased == 0 {
				e.erased = m.Position
				return nil
			}
		case *events.UserRegistered:
			e.needles = append(e.needles, bytes.ToLower([]byte(data.Email)))
		case *events.UserEmailChanged:
			e.needles = append(e.needles, bytes.ToLower([]byte(data.Email)))
		}
		e.others++
		return nil
	})
}

func (e *erasing) publish(ctx context.Context) error {
	if e.erased > 0 {
		return nil
	}
	m, err := events.NewAccountErased(events.Meta{ID: "erase-" + rand.Text(), Source: "/projector/erase", Time: events.TimeOf(time.Now())}, e.account)
	if err != nil {
		return err
	}
	e.erased, _, err = e.client.Publish(ctx, m)
	return err
}

// projected waits until the live generation has the erasure.
func (e *erasing) projected(ctx context.Context) error {
	exports := readmodel.NewExports(e.pool)
	for told := time.Now(); ; {
		m, err := exports.Meta(ctx, e.account)
		if err != nil {
			return err
		}
		if m.State == readmodel.Erased {
			// Every partition has to be there: what is removed must not move the
			// stream's beginning past a checkpoint, for the guard to see.
			g, err := readmodel.Live(ctx, e.pool)
			if err != nil {
				return err
			}
			if lowest, err := readmodel.Lowest(ctx, e.pool, g.Number); err != nil || lowest >= e.erased {
				return err
			}
		}
		if time.Since(told) > 30*time.Second {
			return fmt.Errorf("account.erased is published at position %d, and not projected within 30 s: is `projector run` running? "+
				"Nothing is removed yet; run the same command again", e.erased)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mentions tells whether a message holds the account's id or an e-mail address,
// in either case.
func (e *erasing) mentions(parts ...[]byte) bool {
	for _, p := range parts {
		p = bytes.ToLower(p)
		plain := unescape(p)
		for _, n := range e.needles {
			if len(n) > 0 && (bytes.Contains(p, n) || bytes.Contains(plain, n)) {
				return true
			}
		}
	}
	return false
}

// escapes are the JSON spellings of one character, in lower case; what is no
// JSON may hold them, too.
var escapes = regexp.MustCompile(`\\(u[0-9a-f]{4}|/)`)

func unescape(p []byte) []byte {
	if !bytes.Contains(p, []byte{'\\'}) {
		return p
	}
	return bytes.ToLower(escapes.ReplaceAllFunc(p, func(m []byte) []byte {
		if m[1] == '/' {
			return m[1:]
		}
		r, _ := strconv.ParseUint(string(m[2:]), 16, 16) // four hex digits
		return utf8.AppendRune(nil, rune(r))
	}))
}

func (e *erasing) mentioned(m projections.Message) bool {
	parts := [][]byte{[]byte(m.Subject), m.Data}
	for name, values := range m.Header {
		parts = append(parts, []byte(name))
		for _, v := range values {
			parts = append(parts, []byte(v))
		}
	}
	return e.mentions(parts...)
}

// strays removes what is on mistyped subjects and speaks of the account, from
// the tables and from the stream.
func (e *erasing) strays(ctx context.Context, r *receipt) error {
	var positions []uint64
	err := e.client.ReadAll(ctx, func(m projections.Message) error {
		if events.ParseSubject(m.Subject).Kind == events.SubjectUnsound && e.mentioned(m) {
			positions = append(positions, m.Position)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Before the account's own messages go, since those tell a second run the
	// e-mail addresses.
	r.RowsRemoved, err = readmodel.EachStray(ctx, e.pool, func(p readmodel.Parked) bool {
		return e.mentions([]byte(p.Subject), []byte(p.Headers), []byte(p.Reason), p.Payload)
	})
	if err != nil {
		return err
	}
	for _, position := range positions {
		gone, err := e.client.Remove(ctx, position)
		if err != nil {
			return err
		}
		if gone {
			r.StraysRemoved++
		}
	}
	return nil
}

// prove searches stream and tables for what is left.
func (e *erasing) prove(ctx context.Context, r *receipt) (err error) {
	r.Searched = "every message of the stream for the account's id and e-mail addresses, in either case; every table of every generation"
	err = e.client.ReadAll(ctx, func(m projections.Message) error {
		r.MessagesSearched++
		to := events.ParseSubject(m.Subject)
		switch own := to.Kind == events.SubjectAccount && to.Account == e.account; {
		case m.Position == e.erased:
		case own, to.Kind == events.SubjectUnsound && e.mentioned(m):
			r.MessagesLeft++
		case e.mentioned(m):
			r.ElsewhereAt = append(r.ElsewhereAt, m.Position)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.RowsLeft, err = readmodel.Remains(ctx, e.pool, e.account); err != nil {
		return err
	}
	r.Done = time.Now().UTC()
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return fmt.Errorf("%d messages and %d rows of account %s are left (new ones may have come, or a generation is being built): "+
			"run the same command again", r.MessagesLeft, r.RowsLeft, e.account)
	}
	return nil
}

func (r receipt) print(out io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := fmt.Fprintf(out, `account            %s
erased at          position %d, the one message of it that stays
messages removed   %d of the account, %d on mistyped subjects
rows removed       %d beside those of the live generation
searched           %d messages, and every table of every generation
left               %d messages, %d rows
done               %s
`, r.Account, r.ErasedAt, r.MessagesRemoved, r.StraysRemoved, r.RowsRemoved, r.MessagesSearched, r.MessagesLeft, r.RowsLeft, r.Done.Format(time.RFC3339))
	if err == nil && len(r.ElsewhereAt) > 0 {
		_, err = fmt.Fprintf(out, "mentioned          in messages of other accounts, which are theirs: positions %v\n", r.ElsewhereAt)
	}
	return err
}
