package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/check"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
)

const checkHelp = `Says of each event what the projector would do with it: applied, duplicate (it creates what is there), deferred (it waits for
what is not there yet), ignored (its type is unknown, or the account is erased), parked (with the field that is wrong, and
what would be right), sound (nothing says whose it is), or unreadable (it is no event). Where any is parked or unreadable, the
exit status is 1, and so it is where there is nothing to look at. An event whose type is unknown, perhaps misspelt, and one that
nothing says the account of, fail with --strict alone.

Reads files, or standard input (also -), plain or gzip. Events are JSON, a line each or however they are laid out, in any of
these forms:
  a structured CloudEvent; its partitionkey names the account, or the tier of a quota_tier event
  an object of subject, headers and data, as ` + "`projector import`" + ` takes it
  what ` + "`nats sub --dump=-`" + ` prints, and a file of ` + "`nats sub --dump=FOLDER`" + `
  what ` + "`nats stream get STREAM SEQUENCE --json`" + ` prints
  what ` + "`nats sub --raw`" + ` prints: payloads alone, so nothing of binary mode, whose attributes are in headers

Alone, no server is asked and no setting is needed: events are judged by themselves and by those before them, as if the stream
were empty. With --against-stream each account begins as the stream has it, with --account that one does, and events of others
are passed over. Events are judged as if they were published now, also those that the stream holds already. The stream is only
read.

What was found in an event is shown as its kind alone, such as "a text": it may be a secret. --found shows it.`

// checkCommand is one call of `projector check`.
type checkCommand struct {
	*program
	checker       check.Checker
	account       *events.UUID
	againstStream bool
	quiet         bool
	strict        bool
	files         int // that were read to their end
	unread        int // that could not be
}

func (p *program) check() *cobra.Command {
	c := &checkCommand{program: p}
	cmd := &cobra.Command{
		Use:   "check [FILE…] [--account ID|--against-stream] [--strict] [--found] [--quiet] [--json]",
		Short: "Say what would become of events, before they are published; exit 1 on any that would be parked",
		Long:  checkHelp,
		Example: `  # In a producer's CI: would any of what the tests made be parked?
  projector check --strict testdata/events.ndjson
  # What of an event that an account has not seen?
  projector check event.json --account 3c90c3cc-0d44-4b50-8888-8dd25736052a
  # What comes by, as it is published.
  nats sub 'controlplane.>' --dump=- | projector check --against-stream
  # Which fields are wrong, how often?
  projector check events.ndjson --json | jq -r 'select(.outcome == "parked") | .field' | sort | uniq -c`,
		Annotations: map[string]string{streamOnly: "yes", serversWith: "account against-stream"},
		Args:        cli.Files,
		RunE:        func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	cli.Flag(cmd.Flags(), &c.account, "account", maybe(accountKind()), "only events of this account, and those that name none, after what the stream has of it")
	cmd.Flags().BoolVar(&c.againstStream, "against-stream", false, "after what the stream has of each account")
	cmd.Flags().BoolVar(&c.checker.Values, "found", false, "print what was found in events where something else was wanted")
	cmd.Flags().BoolVar(&c.quiet, "quiet", false, "print only events that fail: that would be parked or are unreadable, and with --strict those that are ignored or sound")
	cmd.Flags().BoolVar(&c.strict, "strict", false, "exit 1 also on events that are ignored or sound: of an unknown type, after an erasure, or of no account")
	p.jsonFlag(cmd, "print a JSON line for each event")
	cmd.MarkFlagsMutuallyExclusive("account", "against-stream")
	return cmd
}

func (c *checkCommand) run(cmd *cobra.Command, files []string) error {
	c.checker.Account = c.account
	if c.account == nil && !c.againstStream {
		return c.all(cmd, files)
	}
	return c.withStream(cmd.Context(), func(ctx context.Context, client *stream.Client) error {
		c.checker.Stream = client
		return c.all(cmd, files)
	})
}

// all checks every file, also where one of them cannot be read or holds no event,
// which is told in the end.
func (c *checkCommand) all(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	var broken []error
	for _, name := range files {
		err := c.file(cmd, name)
		var input *check.InputError
		switch {
		case errors.As(err, &input):
			if broken = append(broken, input); !errors.Is(err, check.ErrNothing) {
				c.unread++
			}
		case err != nil:
			return errors.Join(append(broken, err)...)
		}
	}
	c.files = len(files) - c.unread
	if !c.quiet {
		if _, err := fmt.Fprintln(c.notes(), c.summary()); err != nil {
			return err
		}
	}
	switch {
	case c.checker.Bad > 0:
		broken = append(broken, fmt.Errorf("%d of %d events would be parked, or are unreadable", c.checker.Bad, c.checker.Events))
	case c.loose() > 0:
		broken = append(broken, fmt.Errorf("%d of %d events would change nothing, since their type is unknown or their account erased, or name no account: --strict", c.loose(), c.checker.Events))
	case c.checker.Events == 0 && len(broken) == 0:
		broken = append(broken, fmt.Errorf("no event was checked: %d are of other accounts than %s", c.checker.Others, c.account))
	}
	return errors.Join(broken...)
}

// loose is how many events fail since --strict is given.
func (c *checkCommand) loose() int {
	if !c.strict {
		return 0
	}
	return c.checker.Counts[projections.Ignored.String()] + c.checker.Counts[check.Sound]
}

// fails tells whether this event makes the exit status 1.
func (c *checkCommand) fails(v *check.Verdict) bool {
	return v.Bad() || c.strict && (v.Outcome == projections.Ignored.String() || v.Outcome == check.Sound)
}

func (c *checkCommand) file(cmd *cobra.Command, name string) error {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return &check.InputError{Err: quoted(err)}
		}
		defer f.Close()
		in = f
	}
	ctx := cmd.Context()
	return c.checker.File(ctx, name, endable{ctx, in}, c.print)
}

// endable ends a read when ctx ends: a program that is asked to end does not wait for
// what a terminal or a pipe may never send. The read that is still waiting ends with
// the process.
type endable struct {
	ctx context.Context
	in  io.Reader
}

func (e endable) Read(p []byte) (int, error) {
	type read struct {
		n   int
		err error
	}
	b := make([]byte, len(p)) // the caller's, once this has returned, is the caller's again
	done := make(chan read, 1)
	go func() {
		n, err := e.in.Read(b)
		done <- read{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, b[:r.n]), r.err
	case <-e.ctx.Done():
		return 0, e.ctx.Err()
	}
}

// print prints what would become of one event.
func (c *checkCommand) print(v check.Verdict) error {
	if c.quiet && !c.fails(&v) {
		return nil
	}
	if c.asJSON {
		return c.printJSON(v)
	}
	line := fmt.Sprintf("%s:%d: %s", cli.Printable(v.File), v.Line, v.Outcome)
	if v.Type != "" {
		line += " " + cli.Printable(events.ShortType(v.Type))
	}
	if v.Reason != "" {
		line += ": " + cli.Printable(v.Reason)
	}
	for _, hint := range v.Hints {
		line += "\n    hint: " + cli.Printable(hint)
	}
	_, err := fmt.Fprintln(c.out, line)
	return err
}

// summary says how much was looked at.
func (c *checkCommand) summary() string {
	var counts []string
	count := func(outcome string) {
		if n := c.checker.Counts[outcome]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	for _, o := range projections.Outcomes() {
		count(o.String())
	}
	count(check.Sound)
	count(check.NotRead)
	if len(counts) == 0 {
		counts = []string{"none"}
	}
	after := "as if the stream were empty"
	if c.checker.Stream != nil {
		after = fmt.Sprintf("after what stream %s holds", c.cfg.Stream)
	}
	s := fmt.Sprintf("%d events of %d accounts and %d tiers in %d files checked, %s: %s", c.checker.Events, c.checker.Accounts, c.checker.Tiers,
		c.files, after, strings.Join(counts, ", "))
	if c.checker.Others > 0 {
		s += fmt.Sprintf("; %d of others passed over", c.checker.Others)
	}
	if c.unread > 0 {
		s += fmt.Sprintf("; %d files could not be read to their end", c.unread)
	}
	return s
}
