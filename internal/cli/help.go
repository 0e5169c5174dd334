package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage prints how a command is called: on standard error after a wrong call, and as
// part of the help on standard output.
func (p *Program) usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nCommands:\n")
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				fmt.Fprintf(w, "  %-*s  %s\n", c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	flags(w, "Flags", cmd.LocalNonPersistentFlags())
	if !slices.Contains(p.free, cmd) {
		flags(w, "Settings (a flag overrides its environment variable, and is not empty)", p.Root.PersistentFlags())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n`%s COMMAND --help` says more about a command.\n", cmd.CommandPath())
	}
	return nil
}

func flags(w io.Writer, title string, set *pflag.FlagSet) {
	if set.HasAvailableFlags() {
		fmt.Fprintf(w, "\n%s:\n%s", title, set.FlagUsages())
	}
}

// help is the command that prints the help of another one.
func help(root *cobra.Command) *cobra.Command {
	var topic *cobra.Command
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Args: func(_ *cobra.Command, given []string) error {
			found, rest, err := root.Find(given)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return choose(found, rest)
			}
			topic = found
			return nil
		},
		Run: func(*cobra.Command, []string) { _ = topic.Help() }, // errors of writing are kept by output
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if found, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, c := range found.Commands() {
					if !c.Hidden {
						names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
