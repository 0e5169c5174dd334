// Package cli is how the programs meet a shell: help, completion and version,
// what a wrong call is told, and the exit status.
//
// A call is judged whole before anything is done: first its arguments and
// flags, then the settings; each time everything that is wrong is named at
// once, with what would be right, on standard error, and the program ends with
// status [ExitUsage]. Help, completion and version are printed on standard output
// and need neither settings nor servers. A value that may hold a secret is
// never repeated.
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
	ExitFailure = 1 // what the command was to do failed
	ExitUsage   = 2 // the call was wrong, or the settings cannot be used: nothing was done (but see [Main])
)

// Status is an error that ends the program with this exit status and has
// nothing to say.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Main runs a program in this process until it ends; the first of the signals
// ends its context, a second one the process. A panic of the program's own
// goroutine is a failure, with its stack on standard error. What ends a Go program
// where nothing can catch it, a panic of another goroutine, a fatal error of the
// runtime or SIGQUIT, gives exit status 2, too, with a dump of goroutines where a
// wrong call has its usage.
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

// Options say what a program is made of beside its commands.
type Options struct {
	Stdout, Stderr io.Writer

	// Load reads the settings for a command that was called rightly and is about
	// to run. Its error is one of settings. Help and completion do without.
	Load func(cmd *cobra.Command) error

	// Health reads for --healthcheck what it needs of the settings, and returns what
	// asks the running program. Default: there is no such flag.
	Health func(cmd *cobra.Command) (ask func(context.Context) error, err error)

	Code    func(error) int // exit status of a command's error; default: always Failed
	Version string          // what --version prints, see [Version]
}

// Program is a tree of commands, for one call.
type Program struct {
	Root *cobra.Command

	opt      Options
	out      *output
	free     []*cobra.Command // those that need no settings
	problems []error          // of the arguments
	version  bool             // what was asked for
	health   bool             // or this
	ask      func(context.Context) error
	began    bool // the command itself runs: errors are no longer the caller's
}

// New makes a program of its commands. Those that only hold others need no more than a
// name and a description; a command whose Args is nil takes no arguments.
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
			p.problems = append(p.problems, choose(cmd, given)) // of a command that is not there
			return
		}
		shown(cmd, args)
	})
	root.SetHelpCommand(help(root))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	p.adopt(root)
	root.PersistentPreRunE = p.judge
	return p
}

// adopt has a command and those below it called in this package's ways.
func (p *Program) adopt(cmd *cobra.Command) {
	if cmd.Name() == "completion" || cmd.Name() == "help" || cmd.HasParent() && slices.Contains(p.free, cmd.Parent()) {
		p.free = append(p.free, cmd)
	}
	cmd.SuggestionsMinimumDistance = 2 // letters
	cmd.DisableFlagsInUseLine = true   // commands name their own
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
		return nil // judged beside the flags
	}
	if !runs {
		cmd.Use += " COMMAND"
		cmd.RunE = func(*cobra.Command, []string) error { return nil } // without it cobra shows help, as a success
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
	cmd.InitDefaultHelpFlag() // before the command is looked for: -h has no value
	cmd.Flags().VisitAll(watch)
	for _, c := range cmd.Commands() {
		p.adopt(c)
	}
}

// judge is called before every command but the one that completes for shells.
func (p *Program) judge(cmd *cobra.Command, _ []string) error {
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

// Run is the call with these arguments; it returns the exit status.
func (p *Program) Run(ctx context.Context, args []string) int {
	p.Root.SetArgs(append([]string{}, args...)) // nil would stand for this process's own
	cmd, err := p.Root.ExecuteContextC(ctx)
	if err == nil {
		err = errors.Join(p.problems...) // with help, which cobra takes for a success
	}
	p.out.end()
	if p.out.err != nil && (err == nil || errors.Is(err, p.out.err)) {
		p.say(fmt.Errorf("standard output: %w", p.out.err))
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
		p.say(err)
		return ExitUsage
	case !p.began:
		p.say(err)
		fmt.Fprintf(p.opt.Stderr, "usage: %s; `%s --help` says more\n", cmd.UseLine(), cmd.CommandPath())
		return ExitUsage
	}
	p.say(err)
	if p.opt.Code == nil {
		return ExitFailure
	}
	return p.opt.Code(err)
}

// say prints an error; of the several of a wrong call each is below the other.
func (p *Program) say(err error) {
	text := err.Error()
	if !p.began {
		text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(p.Root.Name())+2))
	}
	fmt.Fprintf(p.opt.Stderr, "%s: %s\n", p.Root.Name(), appendPrintable(nil, []byte(text), layout))
}
