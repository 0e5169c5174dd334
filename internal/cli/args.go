package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"accountexport/internal/secret"
)

// NoArgs is for commands that take no arguments.
func NoArgs(_ *cobra.Command, given []string) error {
	if len(given) > 0 {
		return fmt.Errorf("found %s: no argument belongs here", show(given, 0))
	}
	return nil
}

// Arg is for commands that take one argument, which is stored in to.
func Arg[T any](to *T, kind Kind[T]) cobra.PositionalArgs {
	return func(_ *cobra.Command, given []string) (err error) {
		switch {
		case len(given) == 0:
			return fmt.Errorf("%s is missing: it has to be %s", kind.Name, kind.Right)
		case len(given) > 1:
			return fmt.Errorf("found %s after %s: one argument belongs here", show(given, 1), kind.Name)
		}
		v, err := kind.Parse(given[0])
		if err != nil {
			return fmt.Errorf("%s is %s: it has to be %s", kind.Name, show(given, 0), kind.Right)
		}
		*to = v
		return nil
	}
}

// MaybeFile is for commands that take at most one argument, the name of a file.
func MaybeFile(_ *cobra.Command, given []string) error {
	switch {
	case len(given) > 1:
		return fmt.Errorf("found %s after FILE: one file at most belongs here", show(given, 1))
	case len(given) == 1 && given[0] == "":
		return errors.New(`FILE is "": it has to be the name of a file, or left out`)
	}
	return nil
}

// Files is for commands that take the names of files.
func Files(_ *cobra.Command, given []string) error {
	file := Path("FILE", "the name of a file, or left out")
	for i, name := range given {
		if _, err := file.Parse(name); err != nil {
			return fmt.Errorf("FILE is %s: it has to be %s", show(given, i), file.Right)
		}
	}
	return nil
}

// errChoose means that a command was called that only holds other commands.
var errChoose = errors.New("say which")

// choose says why these arguments name none of the commands that cmd holds.
func choose(cmd *cobra.Command, given []string) error {
	switch {
	case len(given) == 0:
		return fmt.Errorf("%w: %s", errChoose, names(cmd))
	case cmd.ArgsLenAtDash() == 0:
		return fmt.Errorf("found %s behind --: a command has to come before it", show(given, 0))
	}
	if !cmd.HasAvailableSubCommands() {
		return fmt.Errorf("found %s behind %s, which holds no commands", show(given, 0), cmd.CommandPath())
	}
	similar := cmd.SuggestionsFor(given[0])
	if given[0] != "" && len(similar) > 0 {
		return fmt.Errorf("%s is not a command: did you mean %s?", show(given, 0), strings.Join(similar, " or "))
	}
	return fmt.Errorf("%s is not a command: it has to be %s", show(given, 0), names(cmd))
}

// names lists the commands that a command holds.
func names(cmd *cobra.Command) string {
	var all []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			all = append(all, c.Name())
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// show quotes one of the given arguments. A connection string that was not quoted
// arrives in several arguments, some of which do not look like one, so all of them are
// hidden when one may hold a secret.
func show(given []string, which int) string {
	if slices.ContainsFunc(given, secret.MayBeIn) {
		return secret.Hidden
	}
	return secret.Quote(given[which])
}
