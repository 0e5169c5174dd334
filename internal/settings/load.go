package settings

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/pflag"

	"accountexport/internal/secret"
)

// AddFlags adds a flag for each of the program's settings.
func AddFlags(flags *pflag.FlagSet, program Program) {
	for _, d := range Docs() {
		if d.usedBy(program) {
			meaning := strings.ReplaceAll(d.Meaning, "`", "") // what is in backquotes would stand for the value
			flags.String(flagName(d.Name), "", fmt.Sprintf("%s: %s (default %s)", d.Name, meaning, d.Default))
		}
	}
}

// LoadAPI reads the API's settings from the environment (as os.Environ gives
// it) and from parsed flags: those of [AddFlags], or those of a command that has
// them from the one above it. An empty variable counts as one that is not set; an
// empty flag is refused, since who gave it meant something, and neither the
// variable nor the default.
func LoadAPI(flags *pflag.FlagSet, environ []string) (API, error) {
	s, problems := loadAPI(flags, environ)
	return s, join(problems)
}

func loadAPI(flags *pflag.FlagSet, environ []string) (s API, problems []error) {
	values, problems := collect(flags, environ, ForAPI)
	problems = append(problems, parse(&s, values, ForAPI)...)
	problems = append(problems, s.settleIssuer(values)...)
	problems = append(problems, s.settleMemory(values)...)
	for i, c := range s.OAuthClients {
		s.OAuthClients[i] = strings.TrimSpace(c)
		if s.OAuthClients[i] == "" {
			problems = append(problems, problem(ForAPI, "ALLOW_OAUTH_CLIENTS", values, nil))
			break
		}
	}
	return s, problems
}

// LoadAdmin reads ADMIN_ADDR alone, for whoever asks the program that runs; see
// [LoadAPI]. The others may be wrong, or not there.
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

// LoadDevstack reads devstack's settings; see [LoadAPI]. It judges as well what
// projector and API, which it starts, will find in the environment: there the
// given settings, in its form, count first.
func LoadDevstack(flags *pflag.FlagSet, environ, projector, api []string) (Devstack, error) {
	var s Devstack
	values, problems := collect(flags, environ, ForDevstack)
	problems = append(problems, parse(&s, values, ForDevstack)...)
	none := pflag.NewFlagSet("", pflag.ContinueOnError)
	_, ofProjector := loadProjector(none, slices.Concat(environ, projector))
	_, ofAPI := loadAPI(none, slices.Concat(environ, api))
	for _, p := range slices.Concat(ofProjector, ofAPI) {
		if !slices.ContainsFunc(problems, func(q error) bool { return q.Error() == p.Error() }) { // both have some settings
			problems = append(problems, p)
		}
	}
	return s, join(problems)
}

// What the API's memory is for: a connection with what is sent on it takes some
// 32 KiB, and a quarter is the program's own.
const (
	leastAPIMemory  = 64 << 20
	mostConnections = 10_000
	connectionBytes = 32 << 10
)

// settleMemory derives how many connections API_MEMORY_LIMIT has room for: they
// have half of it where nothing else is said.
func (s *API) settleMemory(values map[string]string) []error {
	if s.MemoryLimit == 0 {
		return nil // not right, as was said
	}
	if s.MemoryLimit < leastAPIMemory {
		return []error{problem(ForAPI, "API_MEMORY_LIMIT", values, nil)}
	}
	if s.MaxConnections == 0 && values["MAX_CONNECTIONS"] == "" {
		s.MaxConnections = PositiveCount(min(mostConnections, s.MemoryLimit/2/connectionBytes))
	}
	if most := s.MemoryLimit * 5 / 8 / connectionBytes; Bytes(s.MaxConnections) > most {
		return []error{fmt.Errorf("API_MEMORY_LIMIT is %d bytes, too little for MAX_CONNECTIONS, %d: it has room for %d; "+
			"raise the limit, or lower or leave out the other", s.MemoryLimit, s.MaxConnections, most)}
	}
	return nil
}

// SpoolMemory is what connections leave of the memory for documents that are
// being sent.
func (s *API) SpoolMemory() int64 {
	return int64(s.MemoryLimit)*3/4 - int64(s.MaxConnections)*connectionBytes
}

// LoadProjector reads the projector's settings; see [LoadAPI].
func LoadProjector(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ)
	return s, join(problems)
}

func loadProjector(flags *pflag.FlagSet, environ []string, optional ...string) (s Projector, problems []error) {
	values, problems := collect(flags, environ, ForProjector)
	problems = append(problems, parse(&s, values, ForProjector, optional...)...)
	problems = append(problems, s.settleMemory(values)...)
	problems = append(problems, s.settleNATS(values, variables(environ))...)
	return s, problems
}

// variables is an environment, of which the last value counts.
func variables(environ []string) map[string]string {
	out := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		out[name] = value
	}
	return out
}

// LoadStream reads the settings of the projector's commands that look at the
// stream alone: DATABASE_URL may be missing.
func LoadStream(flags *pflag.FlagSet, environ []string) (Projector, error) {
	s, problems := loadProjector(flags, environ, "DATABASE_URL")
	return s, join(problems)
}

// leastMemory is what a projector needs with the smallest bounds.
const leastMemory = 128 << 20

// settleMemory derives the bounds that MEMORY_LIMIT has room for. A batch is
// held twice, folded into and being committed, and what is held is copied when
// it is written.
func (s *Projector) settleMemory(values map[string]string) []error {
	if s.MemoryLimit == 0 {
		return nil // not right, as was said
	}
	if s.MemoryLimit < leastMemory {
		return []error{problem(ForProjector, "MEMORY_LIMIT", values, nil)}
	}
	if s.StateCacheBytes == 0 && values["STATE_CACHE_BYTES"] == "" {
		s.StateCacheBytes = s.MemoryLimit / 4
	}
	if s.BatchBytes == 0 && values["BATCH_BYTES"] == "" {
		s.BatchBytes = s.MemoryLimit / 10
	}
	if s.StateCacheBytes > s.MemoryLimit/2 || s.BatchBytes > (s.MemoryLimit/2-s.StateCacheBytes)/2 {
		return []error{fmt.Errorf("MEMORY_LIMIT is %d bytes, too little for STATE_CACHE_BYTES, %d, and twice BATCH_BYTES, %d: "+
			"together they may be half of it; raise the limit, or lower or leave out the others", s.MemoryLimit, s.StateCacheBytes, s.BatchBytes)}
	}
	return nil
}

// settleIssuer derives what SUPABASE_URL says where it is not overridden.
func (s *API) settleIssuer(values map[string]string) (problems []error) {
	if err := supabaseOwn(s.SupabaseURL); err != nil {
		problems = append(problems, err)
	}
	if s.Issuer == "" && s.SupabaseURL != "" {
		s.Issuer = below(s.SupabaseURL, authPath)
	}
	switch {
	case values["SUPABASE_URL"] == "" && values["JWT_ISSUER"] == "":
		problems = append(problems, errors.New("SUPABASE_URL is not set: the API has to know who issues its users' "+
			"tokens; set it, or JWT_ISSUER with JWT_JWKS_URL or JWT_SECRET"))
	case values["SUPABASE_URL"] == "" && values["JWT_JWKS_URL"] == "" && values["JWT_SECRET"] == "":
		problems = append(problems, errors.New("JWT_ISSUER is set, but not where its keys are: set JWT_JWKS_URL or JWT_SECRET as well"))
	}
	if strings.HasSuffix(string(s.Issuer), authPath+authPath) || strings.Contains(strings.TrimPrefix(strings.TrimPrefix(string(s.Issuer), "https://"), "http://"), "//") {
		problems = append(problems, fmt.Errorf("JWT_ISSUER is %s, and has a part twice: tokens name their issuer as the project's address and %s, "+
			"such as https://project.supabase.co%s", secret.QuoteURL(string(s.Issuer)), authPath, authPath))
	}
	// A project with a secret may come to sign with keys of its own any day. Where
	// only its issuer is named, who has named it for the secret alone is not asked
	// for more.
	if s.JWKSURL == "" && s.Issuer != "" && (values["JWT_SECRET"] == "" || s.SupabaseURL != "") {
		s.JWKSURL = below(s.Issuer, "/.well-known/jwks.json")
	}
	return problems
}

// authPath is where a project's issuer is.
const authPath = "/auth/v1"

// below is an address of the project or issuer u; where u is a project's issuer
// already, which is what people copy, its path is not put there twice.
func below(u HTTPURL, path string) HTTPURL {
	base := strings.TrimRight(string(u), "/")
	if path == authPath {
		base = strings.TrimRight(strings.TrimSuffix(base, authPath), "/")
	}
	return HTTPURL(base + path)
}

// supabaseOwn tells an address of one of the project's other services, or of its
// page in the dashboard, from the project's own.
func supabaseOwn(u HTTPURL) error {
	own, err := url.Parse(string(u))
	if err != nil || u == "" {
		return nil // not right, as was said
	}
	path := strings.TrimRight(own.Path, "/")
	for _, wrong := range []string{"/rest/v1", "/storage/v1", "/functions/v1", "/realtime/v1", "/graphql/v1", authPath + "/.well-known/jwks.json"} {
		if strings.HasSuffix(path, wrong) {
			return fmt.Errorf("SUPABASE_URL is %s and ends in %s: it has to be %s, which is what comes before that",
				secret.QuoteURL(string(u)), wrong, rightProject)
		}
	}
	if strings.HasPrefix(path, "/dashboard/") {
		return fmt.Errorf("SUPABASE_URL is %s, a page of the dashboard: it has to be %s", secret.QuoteURL(string(u)), rightProject)
	}
	return nil
}

func flagName(setting string) string {
	return strings.ReplaceAll(strings.ToLower(setting), "_", "-")
}

// collect takes the program's settings from the environment, of which the last
// value counts, and then from the flags that were given. Whether a flag was given is asked of the flag, not of
// the set: a command's set shares its flags with the sets of the commands above
// it, and only the one that was parsed knows which were given.
func collect(flags *pflag.FlagSet, environ []string, program Program) (values map[string]string, problems []error) {
	values = map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if _, ok := find(program, name); ok {
			delete(values, name)
			if !blank(value) {
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
		if blank(f.Value.String()) {
			problems = append(problems, fmt.Errorf("--%s is empty: leave it out, or give %s", f.Name, d.Right))
			return
		}
		values[name] = f.Value.String()
	})
	return values, problems
}

// blank tells whether nothing is said: to PostgreSQL's driver white space is a
// database, the one that libpq's own variables name.
func blank(value string) bool { return strings.TrimSpace(value) == "" }

// parse fills target and returns a problem for each setting that is not right, or
// that is missing although required and not optional here.
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

// variable is the name of the setting that a field is for.
func variable(target any, field string) string {
	f, ok := reflect.TypeOf(target).Elem().FieldByName(field)
	if !ok {
		return field
	}
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}

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
	if cause != nil && !errors.Is(cause, errNotRight) {
		return fmt.Errorf("%s is %s, and %w: it has to be %s", name, shown, cause, d.Right)
	}
	return fmt.Errorf("%s is %s: it has to be %s", name, shown, d.Right)
}

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
