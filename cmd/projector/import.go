package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/importer"
)

// importLine is the result as JSON.
type importLine struct {
	Lines     int64  `json:"lines"`
	Published int64  `json:"published"`
	Found     int64  `json:"found"`
	Erased    int64  `json:"erased"`
	Parked    int64  `json:"parked"`
	Position  uint64 `json:"position"`
	Before    int64  `json:"lines_before"`
	DryRun    bool   `json:"dry_run"`
}

const importHelp = `Reads one event a line (NDJSON, plain or gzip) and publishes each exactly once, in their order within an account.

A line is a structured CloudEvent, whose partitionkey names the account, or the tier of a quota_tier event; or, without
specversion, an object of
  subject      controlplane.account.<UUID> or controlplane.quota_tier.<tier id>
  headers      an object of texts, or lists of texts: the ce- headers of binary mode; none that begins with Nats-
  data         the payload: a JSON value as it stands, or a text, of which the payload is the characters
  data_base64  the payload in base64, instead of data
Empty lines are passed over. The event's id is sent as Nats-Msg-Id, and no two lines may have the same one.

A FILE is checked whole, and where the projector would park a line, nothing of it is published; --park publishes such lines,
too. (What is parked only for what the account holds already is not looked for.) Lines of accounts that are erased are left out. Standard input is checked as it comes: then
the lines before a wrong one are published.

Progress is kept in the --progress file. Ended in whatever way, the same command goes on where it was, with the same input; what
comes behind the lines that are done may have been mended, or added. Keep the file: without it, all is published again.`

func (p *program) importEvents() *cobra.Command {
	c := &importCommand{program: p}
	cmd := &cobra.Command{
		Use:   "import FILE|- [--progress FILE] [--park] [--dry-run] [--json]",
		Short: "Publish many events, a line each, exactly once and in order",
		Long:  importHelp,
		Example: `  # Would all of it be accepted? Nothing is connected to.
  projector import history.ndjson.gz --dry-run
  # Publish it; the same line again goes on where it was ended.
  projector import history.ndjson.gz
  # From another program.
  dump-events | projector import - --progress history.progress`,
		Annotations: map[string]string{streamOnly: "yes"},
		Args:        c.arguments,
		RunE:        func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	c.flags = flags
	cli.Flag(flags, &c.progress, "progress", cli.Path("FILE", "the name of a file"), "where to keep what is done; default FILE.progress, required for standard input")
	flags.BoolVar(&c.park, "park", false, "publish what the projector will park, too")
	flags.BoolVar(&c.dryRun, "dry-run", false, "check all lines, connect to nothing and publish nothing")
	c.jsonFlag(cmd, jsonResult)
	return cmd
}

// importCommand is one call of it.
type importCommand struct {
	*program
	flags          *pflag.FlagSet
	file, progress string // file is empty for standard input
	park, dryRun   bool
}

// arguments reads them, after the flags were read.
func (c *importCommand) arguments(cmd *cobra.Command, given []string) error {
	if err := cli.Arg(&c.file, cli.Text("FILE", "the name of a file, or - for standard input"))(cmd, given); err != nil {
		return err
	}
	if slices.Contains([]string{"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, c.file) {
		c.file = "" // by any of its names, also where it is a file: only its descriptor says from where on it is to be read
	}
	if c.file == "" && c.progress == "" && !c.dryRun {
		return errors.New("--progress is missing: for standard input it has to be the name of a file, where what is done is kept")
	}
	return nil
}

func (c *importCommand) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	opt := importer.Options{Name: "standard input", Progress: c.progress, Park: c.park, Logger: c.logger(c.err)}
	open, regular, size := importer.Interruptible(ctx, func() (io.ReadCloser, error) { return io.NopCloser(cmd.InOrStdin()), nil }), false, int64(0)
	if c.file != "" {
		opt.Name = c.file
		info, err := os.Stat(c.file)
		if err != nil {
			return quoted(err)
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a folder: FILE has to be the name of a file, or - for standard input", shown(c.file))
		}
		isDescriptor := strings.HasPrefix(c.file, "/dev/fd/") || strings.HasPrefix(c.file, "/proc/self/fd/")
		regular, size = info.Mode().IsRegular() && !isDescriptor, info.Size()
		open = func() (io.ReadCloser, error) {
			f, err := os.Open(c.file)
			return f, quoted(err)
		}
		if !regular {
			open = importer.Interruptible(ctx, open)
		}
		if opt.Progress == "" && regular {
			opt.Progress = c.file + ".progress"
		}
	}
	show := newImportProgress(c.err, size)
	opt.OnProgress = show.at
	if c.dryRun {
		return c.check(ctx, open, opt, show)
	}
	if opt.Progress == "" {
		return fmt.Errorf("--progress is missing: %s is no plain file, and for such it has to be the name of a file, where what is done is kept", shown(opt.Name))
	}
	client, err := c.connectStream(ctx, opt.Logger)
	if err != nil {
		return err
	}
	defer client.Close()
	detail := ""
	if c.park {
		detail = "--park"
	}
	return c.actOnStream(ctx, acts.Import, nil, detail, func() error {
		sum, err := importer.Run(ctx, client, open, regular, opt)
		show.end(err == nil)
		if err != nil {
			return c.explained(err, opt, sum)
		}
		return c.print(sum)
	})
}

// check is --dry-run.
func (c *importCommand) check(ctx context.Context, open importer.Source, opt importer.Options, show *importProgress) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	sum, err := importer.Check(ctx, in, opt)
	show.end(err == nil)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("asked to end: not all lines of %s were checked", shown(opt.Name))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", shown(opt.Name), err)
	}
	return c.print(sum)
}

func (c *importCommand) print(sum importer.Summary) error {
	if c.asJSON && (sum.Lines > 0 || sum.Before > 0) {
		return c.printJSON(importLine{sum.Lines, sum.Published, sum.Found, sum.Erased, sum.Parked, sum.Last, sum.Before, c.dryRun})
	}
	if sum.Lines == 0 && sum.Before == 0 {
		return errors.New("nothing was there to import: the input holds no line with an event")
	}
	if c.dryRun {
		fmt.Fprintf(c.out, "%d lines could be published; %d of them would be parked\n", sum.Lines, sum.Parked)
		return nil
	}
	if sum.Before > 0 {
		fmt.Fprintf(c.out, "%d lines of the input had been done before\n", sum.Before)
	}
	fmt.Fprintf(c.out, "%d lines: %d published, %d found in the stream already; %d of them will be parked\n", sum.Lines, sum.Published, sum.Found, sum.Parked)
	if sum.Erased > 0 {
		fmt.Fprintf(c.out, "%d lines were not published, since their accounts are erased\n", sum.Erased)
	}
	if sum.Last > 0 {
		fmt.Fprintf(c.out, "the last one is at position %d\n", sum.Last)
	}
	return nil
}

// explained says how far it has come, and how to go on.
func (c *importCommand) explained(err error, opt importer.Options, sum importer.Summary) error {
	if errors.Is(err, importer.ErrBusy) || errors.Is(err, importer.ErrOtherInput) || errors.Is(err, importer.ErrOtherProgress) {
		return err
	}
	wrong, line := (*importer.LinesError)(nil), (*importer.LineError)(nil)
	done := "no line is noted as published yet"
	if sum.Done > 0 {
		done = fmt.Sprintf("all lines up to %d are published", sum.Done)
	}
	again := c.again()
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("%s: %w\nnothing was published by this call, and %s; mend the lines, and run: %s", shown(opt.Name), err, done, again)
	case errors.As(err, &line):
		return fmt.Errorf("%s: %w\n%s; mend what is wrong there, and run: %s", shown(opt.Name), err, done, again)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("asked to end: %s; to go on behind that, run: %s", done, again)
	}
	return fmt.Errorf("%w\n%s; to go on behind that, run: %s", err, done, again)
}

// shown is a name as errors have it.
func shown(name string) string { return strings.ToValidUTF8(name, "?") }
