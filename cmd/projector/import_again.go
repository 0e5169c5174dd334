package main

import (
	"strings"

	"github.com/spf13/pflag"

	"accountexport/internal/secret"
	"accountexport/internal/settings"
)

// again is the command that goes on: with every flag that was given, since without
// one of them it could publish to another stream. What may be secret is not shown;
// it has to be given again.
func (c *importCommand) again() string {
	words, last, hidden := []string{"projector", "import"}, []string(nil), false
	switch {
	case c.file == "":
		words = append(words, "-")
	case strings.HasPrefix(c.file, "-"):
		last = []string{"--", shellWord(c.file)}
	default:
		words = append(words, shellWord(c.file))
	}
	c.flags.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		switch {
		case !f.Changed:
		case f.NoOptDefVal != "" && value == f.NoOptDefVal:
			words = append(words, "--"+f.Name)
		case f.NoOptDefVal != "":
			words = append(words, "--"+f.Name+"="+value)
		case settings.MayShow(settings.ForProjector, f.Name, value):
			words = append(words, "--"+f.Name, shellWord(value))
		default:
			hidden = true
			words = append(words, "--"+f.Name, shellWord(secret.Hidden))
		}
	})
	command := strings.Join(append(words, last...), " ")
	if c.file == "" {
		command += ", with the whole input again"
	}
	if hidden {
		command += ", with what was given in place of " + secret.Hidden
	}
	return command
}

// shellWord quotes a word for a shell where it needs that.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/+:@%,", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
