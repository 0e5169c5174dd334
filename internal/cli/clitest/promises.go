package clitest

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"accountexport/internal/settings"
)

// Program is the program under test.
type Program struct {
	Name     settings.Program
	Root     func() *cobra.Command
	Run      func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int
	Settings map[string]Values // by the name of the setting
	Stand    map[string]string // a right argument for each word of usage lines, such as POSITION
}

// Values are a right and a wrong value of a setting. With all settings right and a
// context that has ended, a command ends soon without having done anything. Where every
// text is right, Wrong is empty.
type Values struct{ Right, Wrong string }

// result is what a call has returned and printed.
type result struct {
	status         int
	stdout, stderr string
}

func (p Program) call(ctx context.Context, environ []string, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := p.Run(ctx, args, environ, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// environ sets every setting to its right value, except those given.
func (p Program) environ(but ...string) []string {
	out := slices.Clone(but)
	for name, v := range p.Settings {
		if !slices.ContainsFunc(but, func(b string) bool { return strings.HasPrefix(b, name+"=") }) {
			out = append(out, name+"="+v.Right)
		}
	}
	return out
}

// docs are the settings of the program.
func (p Program) docs() (docs []settings.Doc) {
	for _, d := range settings.Docs() {
		if slices.Contains(d.UsedBy, p.Name) {
			docs = append(docs, d)
		}
	}
	return docs
}

// free tells whether a command needs no settings.
func free(cmd *cobra.Command) bool {
	return cmd.Name() == "help" || cmd.Name() == "completion" || cmd.HasParent() && free(cmd.Parent())
}

// Commands are the names of the commands that do something, without the name of the
// program.
func (p Program) Commands() (commands []string) {
	Walk(p.Root(), func(cmd *cobra.Command) {
		if !free(cmd) && !strings.HasSuffix(cmd.Use, " COMMAND") {
			commands = append(commands, strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), string(p.Name))))
		}
	})
	return commands
}

// calls are one right call, by its usage line, of every command that does something.
func (p Program) calls(t *testing.T) (calls [][]string) {
	t.Helper()
	root := p.Root()
	for _, name := range p.Commands() {
		call := strings.Fields(name)
		cmd, _, err := root.Find(call)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(optional.ReplaceAllString(cmd.Use, ""), " ")
		for word := range strings.FieldsSeq(rest) {
			word, _, _ = strings.Cut(strings.Trim(word, "()"), "|")
			if strings.HasPrefix(word, "--") {
				call = append(call, word)
				continue
			}
			stand, ok := p.Stand[word]
			if !ok {
				t.Fatalf("%s: what could %s be?", cmd.UseLine(), word)
			}
			call = append(call, stand)
		}
		calls = append(calls, call)
	}
	return calls
}

// optional is what a usage line marks as optional.
var optional = regexp.MustCompile(`\[[^\]]*\]`)

// spellings are the ways in which a flag can be given to a command.
func spellings(call []string, flag, value string) [][]string {
	return [][]string{
		append(slices.Clone(call), flag, value),
		append(slices.Clone(call), flag+"="+value),
		append([]string{flag, value}, call...),
		append([]string{flag + "=" + value}, call...),
	}
}

// FlagsOverride calls every command with every setting as a flag: the flag counts, and
// not the environment. Each way of writing a flag is used with every command and with
// every setting.
func (p Program) FlagsOverride(t *testing.T) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	calls := p.calls(t)
	for j, d := range p.docs() {
		v, ok := p.Settings[d.Name]
		if !ok {
			t.Errorf("what could %s be, rightly and wrongly?", d.Name)
		}
		if !ok || v.Wrong == "" {
			continue
		}
		flag := "--" + strings.ReplaceAll(strings.ToLower(d.Name), "_", "-")
		for i, call := range calls {
			args := spellings(call, flag, v.Wrong)[(i+j)%4]
			s := p.call(ended, p.environ(), args...)
			if s.status != 2 || s.stdout != "" || !strings.Contains(s.stderr, d.Name+" is ") || !strings.Contains(s.stderr, d.Right) {
				t.Errorf("%s %q with all that is right in the environment: %+v", p.Name, args, s)
			}
			if (i+j)%5 > 0 {
				continue // wrong flags were seen to count; for right ones, some of the calls are enough
			}
			args = spellings(call, flag, "")[i%4]
			if s := p.call(ended, p.environ(), args...); s.status != 2 || s.stdout != "" || !strings.Contains(s.stderr, flag+" is empty: leave it out, or give "+d.Right) {
				t.Errorf("%s %q with all that is right in the environment: %+v", p.Name, args, s)
			}
			if v.Right == "" {
				continue // to leave it out is right
			}
			args = spellings(call, flag, v.Right)[i%4]
			if s := p.call(ended, p.environ(d.Name+"="+v.Wrong), args...); s.status == 2 || strings.Contains(s.stderr, d.Name+" is ") {
				t.Errorf("%s %q with another value in the environment: %+v", p.Name, args, s)
			}
		}
		if s := p.call(ended, p.environ(d.Name+"="+v.Wrong), calls[0]...); s.status != 2 || !strings.Contains(s.stderr, d.Name+" is ") {
			t.Errorf("%s with %s=%s in the environment: %+v", p.Name, d.Name, v.Wrong, s)
		}
	}
}

// secret must not be in any message.
const secret = "postgres://u:hunter2@db/x"

// secrets are connection strings in many forms. Their password is hunter2; in some it
// follows 31337, which looks like a port.
var secrets = []string{secret, "http://u:hunter2@host/?x", "http://u:31337/hunter2@host", "nats://u:31337/hunter2@host", "postgres://u:31337?hunter2@host",
	"postgres://u:31337#hunter2@host", "user=u password=hunter2 host=db", "password=hunter2", "u:hunter2@db", "hunter2@db:5432",
	"https://a.example.com,http://u:hunter2@host", strings.Repeat("hunter2/", 5)}

// SecretsAreHidden puts a password where it does not belong: into every setting, by
// flag and by environment variable, and into arguments and flags of every command.
func (p Program) SecretsAreHidden(t *testing.T) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	hidden := func(environ []string, args ...string) {
		t.Helper()
		s := p.call(ended, environ, args...)
		if out := s.stdout + s.stderr; strings.Contains(strings.ToLower(out), "hunter2") || strings.Contains(out, "31337") {
			t.Errorf("%s %q with %q: %+v", p.Name, args, environ, s)
		}
	}
	calls := p.calls(t)
	for i, d := range p.docs() {
		for j, text := range secrets {
			call := calls[(i+j)%len(calls)]
			hidden(p.environ(d.Name+"="+text), call...)
			flag := "--" + strings.ReplaceAll(strings.ToLower(d.Name), "_", "-")
			hidden(p.environ(), spellings(call, flag, text)[(i+j)%4]...)
			hidden(p.environ(), append(append(slices.Clone(call), flag), strings.Fields(text)...)...) // as a shell splits it when it is not quoted
		}
	}
	Walk(p.Root(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		for _, text := range secrets {
			hidden(p.environ(), append(slices.Clone(path), text)...)
			hidden(p.environ(), append(slices.Clone(path), strings.Fields(text)...)...)
			hidden(p.environ(), append(slices.Clone(path), "one", text)...)
			hidden(p.environ(), append(slices.Clone(path), "one", "two", text)...)
			hidden(p.environ(), append(slices.Clone(path), "--"+text)...)
			hidden(p.environ(), append(slices.Clone(path), "-"+text)...)
			hidden(p.environ(), append([]string{text}, path...)...)
			hidden(p.environ(), append([]string{cobra.ShellCompRequestCmd}, append(slices.Clone(path), text, "")...)...)
			cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				hidden(p.environ(), append(slices.Clone(path), "--"+f.Name+"="+text)...)
			})
		}
	})
}

// HelpNeedsNothing asks for the help of every command, and makes wrong calls, without
// any settings.
func (p Program) HelpNeedsNothing(t *testing.T) {
	t.Helper()
	Walk(p.Root(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		for _, args := range [][]string{slices.Concat(path, []string{"--help"}), slices.Concat(path, []string{"-h"}),
			slices.Concat([]string{"--help"}, path), slices.Concat([]string{"help"}, path)} {
			s := p.call(t.Context(), nil, args...)
			if s.status != 0 || s.stderr != "" || !strings.Contains(s.stdout, "Usage:\n  "+cmd.UseLine()+"\n") || cmd.Short == "" {
				t.Errorf("%s %q: %+v", p.Name, args, s)
			}
		}
	})
	for _, call := range p.calls(t) {
		for _, extra := range []string{"--no-such-flag", "-x", "--help=perhaps"} {
			p.wrong(t, append(slices.Clone(call), extra))
		}
		p.wrong(t, append(slices.Clone(call), secret, secret, secret)) // too many arguments for every command
	}
	for _, args := range [][]string{{"no-such-command"}, {"help", "no-such-command"}, {"help", "completion", "no-such-shell"},
		{"completion"}, {"completion", "no-such-shell"}, {"completion", "bash", "more"}, {"--version=perhaps"}, {"--version", "more"},
		{"no-such-command", "--help"}, {"--help", "no-such-command"}, {"--", "help"}, {""}} {
		p.wrong(t, args)
	}
}

// wrong makes a wrong call without any settings: the call is what is reported, and not
// the settings.
func (p Program) wrong(t *testing.T, args []string) {
	t.Helper()
	s := p.call(t.Context(), nil, args...)
	if s.status != 2 || s.stdout != "" || strings.Contains(s.stderr, "settings:") || strings.Contains(s.stderr, "hunter2") ||
		!strings.Contains(s.stderr, string(p.Name)+": ") || !strings.Contains(s.stderr, "--help` says more") {
		t.Errorf("%s %q: %+v", p.Name, args, s)
	}
}
