package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"accountexport/internal/secret"
)

// Kind is a kind of values, for flags and arguments.
type Kind[T any] struct {
	Name  string // for usage lines, such as POSITION
	Right string // what a right value looks like, for error messages
	Parse func(string) (T, error)
}

// Whole is the kind of whole numbers in a range.
func Whole(name string, from, to int) Kind[int] {
	return Kind[int]{name, fmt.Sprintf("a whole number from %d to %d", from, to), func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err == nil && (n < from || n > to) {
			err = strconv.ErrRange
		}
		return n, err
	}}
}

// OneOf is the kind of these words.
func OneOf(words ...string) Kind[string] {
	return Kind[string]{strings.Join(words, "|"), strings.Join(words, " or "), func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", errors.New("another word")
		}
		return s, nil
	}}
}

// Text is the kind of texts that are not blank.
func Text(name, right string) Kind[string] {
	return Kind[string]{name, right, func(s string) (string, error) {
		if strings.TrimSpace(s) == "" || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return "", errors.New("no text")
		}
		return s, nil
	}}
}

// Path is the kind of names of files and folders. A connection string is none: a folder
// of that name would be created.
func Path(name, right string) Kind[string] {
	text := Text(name, right)
	return Kind[string]{name, right, func(s string) (string, error) {
		if strings.Contains(s, "://") || strings.Contains(strings.ToLower(s), "password=") {
			return "", errors.New("a connection string")
		}
		return text.Parse(s)
	}}
}

// Flag adds a flag to a command. to holds its default.
func Flag[T any](flags *pflag.FlagSet, to *T, name string, kind Kind[T], usage string) {
	flags.Var(&value[T]{to: to, kind: kind, text: shownDefault(*to)}, name, usage)
}

// Required adds a flag that has to be given.
func Required[T any](flags *pflag.FlagSet, to *T, name string, kind Kind[T], usage string) {
	Flag(flags, to, name, kind, usage)
	_ = cobra.MarkFlagRequired(flags, name) // fails only for a flag that does not exist
}

// value accepts any text while flags are parsed, so that everything that is wrong can
// be reported at once.
type value[T any] struct {
	to   *T
	kind Kind[T]
	text string
	bad  bool
}

func (v *value[T]) Set(s string) error {
	v.text = s
	parsed, err := v.kind.Parse(s)
	if v.bad = err != nil; !v.bad {
		*v.to = parsed
	}
	return nil
}

func (v *value[T]) String() string { return v.text }
func (v *value[T]) Type() string   { return v.kind.Name }

func (v *value[T]) problem() string {
	if !v.bad {
		return ""
	}
	return fmt.Sprintf("is %s: it has to be %s", secret.Quote(v.text), v.kind.Right)
}

func (v *value[T]) right() string { return v.kind.Right }

// shownDefault is the default as the help shows it; empty where there is none.
func shownDefault(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	}
	return ""
}

// watched is a value that remembers every time it was given.
type watched struct {
	pflag.Value
	given []string
}

func watch(f *pflag.Flag) {
	if _, already := f.Value.(*watched); !already {
		f.Value = &watched{Value: f.Value}
	}
}

func (w *watched) Set(s string) error {
	w.given = append(w.given, s)
	return w.Value.Set(s)
}

// flagProblems says what is wrong with the flags that were given, and which required
// ones are missing.
func flagProblems(cmd *cobra.Command) (problems []error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := f.Value.(*watched)
		if !ok {
			return // a flag of the test binary
		}
		report := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("--"+f.Name+" "+format, args...))
		}
		about, ours := v.Value.(interface {
			problem() string
			right() string
		})
		switch swallowed := flagOf(cmd, v.given); {
		case !f.Changed && slices.Equal(f.Annotations[cobra.BashCompOneRequiredFlag], []string{"true"}):
			right := "given"
			if ours {
				right = about.right()
			}
			report("is missing: it has to be %s", right)
		case !f.Changed:
		case len(slices.Compact(v.given)) > 1:
			report("is given more than once, each time another way: give it once")
		case swallowed != "":
			report("has no value: --%s comes behind it", swallowed)
		case ours && about.problem() != "":
			report("%s", about.problem())
		}
	})
	return problems
}

// flagOf is the name of the flag that was taken for the value of another one.
func flagOf(cmd *cobra.Command, given []string) string {
	for _, v := range given {
		if name, ok := strings.CutPrefix(v, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			if cmd.Flags().Lookup(name) != nil {
				return name
			}
		}
	}
	return ""
}

// flagError says why flags could not be parsed, without repeating values.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var alone *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		name, _, _ := strings.Cut(unknown.GetSpecifiedShortnames(), "=")
		return fmt.Errorf("%s is not a flag: but for -h they begin with two dashes", named("-"+name))
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		switch {
		case name == "version", name == "healthcheck" && cmd.Root().Flags().Lookup(name) != nil:
			return fmt.Errorf("--%s goes without a command: `%s --%s`", name, cmd.Root().Name(), name)
		case cmd.HasSubCommands() && knows(cmd, name):
			return fmt.Errorf("%s is a flag of a command, and has to come behind its name", named("--"+name))
		}
		return fmt.Errorf("%s is not a flag", named("--"+name))
	case errors.As(err, &alone):
		return fmt.Errorf("--%s has no value", alone.GetSpecifiedName())
	case errors.As(err, &invalid): // flags of pflag's own kinds
		right := "another value"
		if invalid.GetFlag().Value.Type() == "bool" {
			right = "true or false, or to come without a value"
		}
		return fmt.Errorf("--%s is %s: it has to be %s", invalid.GetFlag().Name, secret.Quote(invalid.GetValue()), right)
	case errors.As(err, &syntax):
		name, _, _ := strings.Cut(syntax.GetSpecifiedFlag(), "=")
		return fmt.Errorf("%s is not a flag", named(name))
	}
	return err
}

// named is a flag as it was given, which may have been anything.
func named(flag string) string { return strings.Trim(secret.Quote(flag), `"`) }

// knows tells whether a command below cmd has the flag.
func knows(cmd *cobra.Command, flag string) bool {
	for _, c := range cmd.Commands() {
		if c.Flags().Lookup(flag) != nil || knows(c, flag) {
			return true
		}
	}
	return false
}
