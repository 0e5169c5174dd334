package settings

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"accountexport/internal/secret"
)

// AddFlags adds a flag for each of the program's settings.
func AddFlags(flags *pflag.FlagSet, program Program) {
	for _, d := range Docs() {
		if d.usedBy(program) {
			// pflag takes text in backquotes for the name of the value
			meaning := strings.ReplaceAll(d.Meaning, "`", "")
			flags.String(flagName(d.Name), "", fmt.Sprintf("%s: %s (default %s)", d.Name, meaning, d.Default))
		}
	}
}

// MayShow reports whether the value of a flag may be printed: one of a setting only
// where it holds no secret, that of any other flag always.
func MayShow(program Program, flag, value string) bool {
	for _, d := range Docs() {
		if d.usedBy(program) && flagName(d.Name) == flag {
			return secret.PlainURL(value) || !d.Secret && !secret.MayBeIn(value)
		}
	}
	return true
}

// LoadAPI reads the API's settings from the environment (in the form of os.Environ)
// and from parsed flags, which are those of [AddFlags] on the command itself or on
// one above it. An empty variable counts as not set. An empty flag is refused, since
// whoever gave it meant neither the variable nor the default. The error lists every
// problem.
func LoadAPI(flags *pflag.FlagSet, environ []string) (API, error) {
	s, problems := loadAPI(flags, environ, containerLimit)
	return s, join(problems)
}

func loadAPI(flags *pflag.FlagSet, environ []string, container containerFunc) (s API, problems []error) {
	values, problems := collect(flags, environ, ForAPI)
	problems = append(problems, parse(&s, values, ForAPI)...)
	problems = append(problems, s.deriveIssuer(values)...)
	problems = append(problems, s.deriveMemory(values, container)...)
	problems = append(problems, s.Tracing.check(ForAPI, values)...)
	for i, c := range s.OAuthClients {
		s.OAuthClients[i] = strings.TrimSpace(c)
		if s.OAuthClients[i] == "" {
			problems = append(problems, problem(ForAPI, "ALLOW_OAUTH_CLIENTS", values, nil))
			break
		}
	}
	return s, problems
}

// LoadAdmin reads ADMIN_ADDR alone, for a command that asks the running program; see
// [LoadAPI]. Other settings may be invalid or missing.
func LoadAdmin(flags *pflag.FlagSet, environ []string, program Program) (Addr, error) {
	values, problems := collect(flags, environ, program)
	value := values["ADMIN_ADDR"]
	if value == "" {
		d, _ := find(program, "ADMIN_ADDR")
		value = d.Default
	}
	addr, err := parseAddr(value)
	if err != nil {
		problems = append(problems, problem(program, "ADMIN_ADDR", values, err))
	}
	return addr, join(problems)
}

// LoadDevstack reads devstack's settings; see [LoadAPI]. It also checks what
// projector and API, which devstack starts, will find in the environment. projector
// and api are the settings that devstack gives them, which override the environment.
func LoadDevstack(flags *pflag.FlagSet, environ, projector, api []string) (Devstack, error) {
	var s Devstack
	values, problems := collect(flags, environ, ForDevstack)
	problems = append(problems, parse(&s, values, ForDevstack)...)
	none := pflag.NewFlagSet("", pflag.ContinueOnError)
	_, ofProjector := loadProjector(none, slices.Concat(environ, projector), containerLimit)
	_, ofAPI := loadAPI(none, slices.Concat(environ, api), containerLimit)
	for _, p := range slices.Concat(ofProjector, ofAPI) {
		if !slices.ContainsFunc(problems, func(q error) bool { return q.Error() == p.Error() }) { // a setting of both
			problems = append(problems, p)
		}
	}
	return s, join(problems)
}

// LoadSimulate reads the settings of `devstack simulate`, which starts no program:
// OUTBOX_DATABASE_URL is required, and JWT_SECRET needs JWT_ISSUER.
func LoadSimulate(flags *pflag.FlagSet, environ []string) (Devstack, error) {
	var s Devstack
	values, problems := collect(flags, environ, ForDevstack)
	problems = append(problems, parse(&s, values, ForDevstack)...)
	needs := []string{"OUTBOX_DATABASE_URL"}
	if values["JWT_SECRET"] != "" {
		needs = append(needs, "JWT_ISSUER")
	}
	for _, name := range needs {
		if values[name] == "" {
			d, _ := find(ForDevstack, name)
			problems = append(problems, fmt.Errorf("%s is not set: it has to be %s", name, d.Right))
		}
	}
	return s, join(problems)
}

// LoadProjector reads the projector's settings; see [LoadAPI].
func LoadProjector(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ, containerLimit)
	return s, join(problems)
}

func loadProjector(flags *pflag.FlagSet, environ []string, container containerFunc, optional ...string) (s Projector, problems []error) {
	values, problems := collect(flags, environ, ForProjector)
	problems = append(problems, parse(&s, values, ForProjector, optional...)...)
	problems = append(problems, s.deriveMemory(values, container)...)
	problems = append(problems, s.deriveNATS(values, variables(environ))...)
	problems = append(problems, s.Tracing.check(ForProjector, values)...)
	return s, problems
}

// LoadStream reads the settings of the projector's commands that only need the
// stream: DATABASE_URL may be missing.
func LoadStream(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ, containerLimit, "DATABASE_URL")
	return s, join(problems)
}

// LoadRelay reads the settings of `projector relay`: OUTBOX_DATABASE_URL is
// required, and DATABASE_URL may be missing.
func LoadRelay(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ, containerLimit, "DATABASE_URL")
	if values, _ := collect(flags, environ, ForProjector); values["OUTBOX_DATABASE_URL"] == "" {
		d, _ := find(ForProjector, "OUTBOX_DATABASE_URL")
		problems = append(problems, fmt.Errorf("OUTBOX_DATABASE_URL is not set: it has to be %s", d.Right))
	}
	return s, join(problems)
}

// LoadConsole reads the settings of `projector console`. Where other machines can reach
// CONSOLE_ADDR, somebody else has to say who asks: TRUSTED_PROXIES and
// CONSOLE_USER_HEADER are required.
func LoadConsole(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ, containerLimit)
	values, _ := collect(flags, environ, ForProjector)
	host, _, _ := net.SplitHostPort(string(s.ConsoleAddr))
	missing := func(name, why string) {
		if values[name] == "" {
			d, _ := find(ForProjector, name)
			problems = append(problems, fmt.Errorf("%s is not set, %s: it has to be %s", name, why, d.Right))
		}
	}
	switch {
	case s.ConsoleAddr != "" && (host == "" || !onThisMachine(host)): // without a host it is every address
		why := fmt.Sprintf("and CONSOLE_ADDR is %q, which other machines can reach", s.ConsoleAddr)
		missing("TRUSTED_PROXIES", why)
		missing("CONSOLE_USER_HEADER", why)
	case values["CONSOLE_USER_HEADER"] != "":
		missing("TRUSTED_PROXIES", "and CONSOLE_USER_HEADER is, which only a trusted proxy is believed")
	}
	return s, join(problems)
}
