package settings

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/pflag"

	"accountexport/internal/secret"
)

// variables converts an environment, in which the last value of a name counts.
func variables(environ []string) map[string]string {
	out := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		out[name] = value
	}
	return out
}

func flagName(setting string) string {
	return strings.ReplaceAll(strings.ToLower(setting), "_", "-")
}

// collect takes the program's settings from the environment, in which the last value
// counts, and then from the flags that were given. It asks each flag, and not the
// set, whether it was given: a command's set shares flags with those of the commands
// above it, and only the set that was parsed knows.
func collect(flags *pflag.FlagSet, environ []string, program Program) (values map[string]string, problems []error) {
	values = map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if _, ok := find(program, name); ok {
			delete(values, name)
			if !isBlank(value) {
				values[name] = value
			}
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		name := strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		d, ok := find(program, name)
		if !ok || !f.Changed {
			return
		}
		if isBlank(f.Value.String()) {
			problems = append(problems, fmt.Errorf("--%s is empty: leave it out, or give %s", f.Name, d.Right))
			return
		}
		values[name] = f.Value.String()
	})
	return values, problems
}

// isBlank reports whether a value is empty or white space. For PostgreSQL's driver
// white space is a valid connection string that names the database of libpq's own
// variables.
func isBlank(value string) bool { return strings.TrimSpace(value) == "" }

// parse fills target and returns a problem for each setting that is invalid, or that
// is required, missing and not in optional.
func parse(target any, values map[string]string, program Program, optional ...string) (problems []error) {
	err := env.ParseWithOptions(target, env.Options{Environment: values, FuncMap: parsers()})
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	for _, err := range all.Errors {
		var bad env.ParseError
		var missing env.VarIsNotSetError
		switch {
		case errors.As(err, &bad):
			problems = append(problems, problem(program, variable(target, bad.Name), values, bad.Err))
		case errors.As(err, &missing) && slices.Contains(optional, missing.Key):
		case errors.As(err, &missing):
			d, _ := find(program, missing.Key)
			problems = append(problems, fmt.Errorf("%s is not set: it has to be %s", missing.Key, d.Right))
		default:
			problems = append(problems, err)
		}
	}
	return problems
}

// variable returns the name of the setting of a field.
func variable(target any, field string) string {
	f, ok := reflect.TypeOf(target).Elem().FieldByName(field)
	if !ok {
		return field
	}
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

// problem is the error of an invalid setting: its name, its value unless that may be
// secret, the cause, and what would be right.
func problem(program Program, name string, values map[string]string, cause error) error {
	d, _ := find(program, name)
	value := values[name]
	shown := secret.Hidden
	switch {
	case !d.Secret && !secret.MayBeIn(value):
		shown = secret.Quote(value)
	case !d.Secret || strings.HasSuffix(name, "_URL"):
		shown = secret.QuoteURL(value)
	}
	if cause != nil && !errors.Is(cause, errInvalid) {
		return fmt.Errorf("%s is %s, and %w: it has to be %s", name, shown, cause, d.Right)
	}
	return fmt.Errorf("%s is %s: it has to be %s", name, shown, d.Right)
}

// join makes one error of all problems, and nil of none.
func join(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.Error()
	}
	return fmt.Errorf("settings: %s", strings.Join(lines, "\n          "))
}
