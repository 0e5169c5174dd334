// Package cli is the way in which the programs are called from a shell: help,
// completion, version, wrong calls and exit statuses.
//
// A call is validated as a whole before anything is done: first arguments and flags,
// then the settings. Each time, everything that is wrong is reported at once, with what
// would be right, on standard error, and the program ends with status [ExitUsage].
// Help, completion and version are printed on standard output, and need neither
// settings nor servers. A value that may hold a secret is never repeated.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses that every program has; a program may have more.
const (
	ExitFailure = 1 // the command failed
	ExitUsage   = 2 // the call was wrong, or the settings cannot be used: nothing was done (but see [Main])
)

// Status is an error that ends the program with this exit status and prints nothing.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Main runs a program in this process until it ends. The first of the signals ends its
// context, a second one the process. A panic of the program's own goroutine is a
// failure, with its stack on standard error. Where nothing can catch it, a Go program
// ends with status 2 as well: a panic of another goroutine, a fatal error of the
// runtime, or SIGQUIT. Then a dump of goroutines is printed where a wrong call has its
// usage.
func Main(run func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int, ends ...os.Signal) {
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop)
	os.Exit(caught(os.Stderr, func() int { return run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr) }))
}

// caught runs a program; a panic is a failure.
func caught(stderr io.Writer, run func() int) (status int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "panic: %v\n\n%s", p, debug.Stack())
			status = ExitFailure
		}
	}()
	return run()
}

// Options are what a program consists of beside its commands.
type Options struct {
	Stdout, Stderr io.Writer

	// Load reads the settings for a command that was called rightly and is about to
	// run. Its error is about the settings. It is not called for help and completion.
	Load func(cmd *cobra.Command) error

	// Health reads for --healthcheck the settings that it needs, and returns what asks
	// the running program. Default: there is no such flag.
	Health func(cmd *cobra.Command) (ask func(context.Context) error, err error)

	Code    func(error) int // the exit status for an error of a command; default: always ExitFailure
	Version string          // what --version prints, see [Version]
}

// Program is a tree of commands, for one call in one goroutine.
type Program struct {
	Root *cobra.Command

	opt      Options
	out      *output
	free     []*cobra.Command // commands that need no settings
	problems []error          // wrong arguments, found before the flags are validated
	version  bool             // --version was given
	health   bool             // --healthcheck was given
	ask      func(context.Context) error
	began    bool // the command itself runs, so errors are no longer about the call
}

// New makes a program of its commands. Commands that only hold others need no more than
// a name and a description. A command whose Args is nil takes no arguments.
func New(root *cobra.Command, opt Options) *Program {
	p := &Program{Root: root, opt: opt, out: &output{w: opt.Stdout}}
	root.SetOut(p.out)
	root.SetErr(opt.Stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetUsageFunc(p.usage)
	root.SetFlagErrorFunc(flagError)
	root.Flags().BoolVar(&p.version, "version", false, "print the version")
	if opt.Health != nil {
		root.Flags().BoolVar(&p.health, "healthcheck", false, "ask the program that runs with these settings whether it lives: exit 0 or 1")
	}
	shown := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if given := cmd.Flags().Args(); cmd.HasAvailableSubCommands() && len(given) > 0 {
			p.problems = append(p.problems, choose(cmd, given)) // the arguments name a command that does not exist
			return
		}
		shown(cmd, args)
	})
	root.SetHelpCommand(help(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	p.adopt(root)
	root.PersistentPreRunE = p.validate
	return p
}

// adopt sets up a command, and those below it, so that they are called in the ways of
// this package.
func (p *Program) adopt(cmd *cobra.Command) {
	if cmd.Name() == "completion" || cmd.Name() == "help" || cmd.HasParent() && slices.Contains(p.free, cmd.Parent()) {
		p.free = append(p.free, cmd)
	}
	cmd.SuggestionsMinimumDistance = 2 // letters that may differ
	cmd.DisableFlagsInUseLine = true   // usage lines name the flags themselves
	args, runs := cmd.Args, cmd.Runnable()
	switch {
	case cmd.HasSubCommands():
		args = func(cmd *cobra.Command, given []string) error {
			if len(given) == 0 && (runs || p.version || p.health) {
				return nil
			}
			return choose(cmd, given)
		}
	case args == nil, slices.Contains(p.free, cmd) && cmd.Name() != "help":
		args = NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			p.problems = append(p.problems, err)
		}
		return nil // reported together with the flags
	}
	if !runs {
		cmd.Use += " COMMAND"
		cmd.RunE = func(*cobra.Command, []string) error { return nil } // without it cobra prints the help, as a success
	}
	run, runE := cmd.Run, cmd.RunE
	cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
		if p.version {
			_, err := fmt.Fprint(p.out, p.opt.Version)
			return err
		}
		p.began = true
		if p.health {
			return p.ask(cmd.Context())
		}
		if runE != nil {
			return runE(cmd, args)
		}
		run(cmd, args)
		return nil
	}
	cmd.InitDefaultHelpFlag() // before cobra looks for the command, so that it knows that -h has no value
	cmd.Flags().VisitAll(watch)
	for _, c := range cmd.Commands() {
		p.adopt(c)
	}
}

// validate validates the call before every command, except the one that completes for
// shells.
func (p *Program) validate(cmd *cobra.Command, _ []string) error {
	if cmd.Name() == cobra.ShellCompRequestCmd {
		return nil
	}
	problems := append(p.problems, flagProblems(cmd)...)
	if err := cmd.ValidateFlagGroups(); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	if p.health && !p.version {
		ask, err := p.opt.Health(cmd)
		p.ask = ask
		return err
	}
	if p.version || p.opt.Load == nil || slices.Contains(p.free, cmd) {
		return nil
	}
	return p.opt.Load(cmd)
}

// Run makes the call with these arguments, and returns the exit status.
func (p *Program) Run(ctx context.Context, args []string) int {
	p.Root.SetArgs(append([]string{}, args...)) // nil would mean the arguments of this process
	cmd, err := p.Root.ExecuteContextC(ctx)
	if err == nil {
		err = errors.Join(p.problems...) // found while help was printed, which cobra takes for a success
	}
	p.out.end()
	if p.out.err != nil && (err == nil || errors.Is(err, p.out.err)) {
		p.printError(fmt.Errorf("standard output: %w", p.out.err))
		return ExitFailure
	}
	var status Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, errChoose):
		fmt.Fprintf(p.opt.Stderr, "%s\n", cmd.UsageString())
		p.printError(err)
		return ExitUsage
	case !p.began:
		p.printError(err)
		fmt.Fprintf(p.opt.Stderr, "usage: %s; `%s --help` says more\n", cmd.UseLine(), cmd.CommandPath())
		return ExitUsage
	}
	p.printError(err)
	if p.opt.Code == nil {
		return ExitFailure
	}
	return p.opt.Code(err)
}

// printError prints an error. The problems of a wrong call are printed one below the other.
func (p *Program) printError(err error) {
	text := err.Error()
	if !p.began {
		text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(p.Root.Name())+2))
	}
	fmt.Fprintf(p.opt.Stderr, "%s: %s\n", p.Root.Name(), appendPrintable(nil, []byte(text), layout))
}
