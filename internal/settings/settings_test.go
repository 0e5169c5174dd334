package settings

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const db = "DATABASE_URL=postgres://u:hunter2@db:5432/app"

func flagSet(t *testing.T, program Program, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags, program)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestAPIDefaultsFollowFromSupabaseURL(t *testing.T) {
	got, err := LoadAPI(flagSet(t, ForAPI), []string{db, "SUPABASE_URL=https://p.supabase.co/", "LOG_LEVEL="})
	if err != nil {
		t.Fatal(err)
	}
	want := API{DatabaseURL: "postgres://u:hunter2@db:5432/app", HTTPAddr: ":8080", AdminAddr: ":9092",
		SupabaseURL: "https://p.supabase.co/", Issuer: "https://p.supabase.co/auth/v1",
		JWKSURL: "https://p.supabase.co/auth/v1/.well-known/jwks.json", Audience: "authenticated",
		MaxConnections: 4096, MemoryLimit: 256 << 20, SpoolLimit: 2 << 30, WriteTimeout: 30 * time.Second, DrainDelay: time.Second, ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelInfo)}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Network) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// TestKeysFollowFromTheIssuer: all forms of SUPABASE_URL that people copy name the
// same issuer, and a project with a secret also has a key set, unless only JWT_ISSUER
// names its issuer.
func TestKeysFollowFromTheIssuer(t *testing.T) {
	secret := "JWT_SECRET=" + strings.Repeat("s", 32)
	for _, test := range []struct {
		environ      []string
		issuer, keys HTTPURL
	}{
		{[]string{"SUPABASE_URL=https://p.supabase.co/auth/v1"}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json"},
		{[]string{"SUPABASE_URL=https://p.supabase.co//auth/v1//"}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json"},
		{[]string{"SUPABASE_URL=https://x/supa/"}, "https://x/supa/auth/v1", "https://x/supa/auth/v1/.well-known/jwks.json"},
		{[]string{"SUPABASE_URL=https://p.supabase.co", secret}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json"},
		{[]string{"SUPABASE_URL=https://p.supabase.co", secret, "JWT_JWKS_URL=https://k"}, "https://p.supabase.co/auth/v1", "https://k"},
		{[]string{"JWT_ISSUER=https://i", secret}, "https://i", ""},
		{[]string{"JWT_ISSUER=https://i", secret, "JWT_JWKS_URL=https://k"}, "https://i", "https://k"},
		{[]string{"SUPABASE_URL=http://kong:8000", "JWT_ISSUER=http://127.0.0.1:54321/auth/v1"}, "http://127.0.0.1:54321/auth/v1", "http://127.0.0.1:54321/auth/v1/.well-known/jwks.json"},
	} {
		got, err := LoadAPI(flagSet(t, ForAPI), append([]string{db}, test.environ...))
		if err != nil || got.Issuer != test.issuer || got.JWKSURL != test.keys {
			t.Errorf("%v: issuer %s, keys %s, %v", test.environ[0], got.Issuer, got.JWKSURL, err)
		}
	}
}

func TestAPIOverrides(t *testing.T) {
	secret := strings.Repeat("s", 32)
	got, err := LoadAPI(flagSet(t, ForAPI, "--http-addr=127.0.0.1:1", "--log-format", "json"), []string{db, "HTTP_ADDR=:2",
		"JWT_ISSUER=http://localhost:54321/auth/v1", "JWT_SECRET=" + secret, "ALLOW_OAUTH_CLIENTS=a, b", "LOG_LEVEL=debug",
		"CORS_ALLOWED_ORIGINS=https://app.example.com, http://localhost:3000", "RATE_LIMIT=0.5:10", "ADDRESS_RATE_LIMIT=2.5",
		"TRUSTED_PROXIES=10.0.0.0/8, ::1"})
	if err != nil {
		t.Fatal(err)
	}
	want := API{DatabaseURL: "postgres://u:hunter2@db:5432/app", HTTPAddr: "127.0.0.1:1", AdminAddr: ":9092",
		Issuer: "http://localhost:54321/auth/v1", JWTSecret: Secret(secret), Audience: "authenticated",
		OAuthClients: []string{"a", "b"}, Origins: []Origin{"https://app.example.com", "http://localhost:3000"},
		RateLimit: Rate{0.5, 10}, AddressRate: Rate{2.5, 3},
		TrustedProxies: []Network{Network(netip.MustParsePrefix("10.0.0.0/8")), Network(netip.MustParsePrefix("::1/128"))},
		MaxConnections: 4096, MemoryLimit: 256 << 20, SpoolLimit: 2 << 30, WriteTimeout: 30 * time.Second, DrainDelay: time.Second, ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelDebug), LogFormat: "json"}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Network) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestProjectorDefaultsAndSizes(t *testing.T) {
	got, err := LoadProjector(flagSet(t, ForProjector, "--batch-bytes=512MB"), []string{db, "MEMORY_LIMIT=4GiB"})
	if err != nil {
		t.Fatal(err)
	}
	want := Projector{DatabaseURL: "postgres://u:hunter2@db:5432/app", NATSURL: "nats://127.0.0.1:4222", Stream: "CONTROL_PLANE",
		AdminAddr: ":9091", MemoryLimit: 4 << 30, StateCacheBytes: 1 << 30, BatchEvents: 200_000, BatchBytes: 512e6, AuditRate: 1000, AuditBytes: 1 << 20, TakeoverAfter: Takeover(5 * time.Second),
		ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelInfo)}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Network) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

// TestFlagsCountWhicheverSetWasParsed: flags count even if they were parsed as part
// of another set, as those of a command are.
func TestFlagsCountWhicheverSetWasParsed(t *testing.T) {
	above, command := pflag.NewFlagSet("program", pflag.ContinueOnError), pflag.NewFlagSet("command", pflag.ContinueOnError)
	AddFlags(above, ForProjector)
	command.AddFlagSet(above)
	if err := command.Parse([]string{"--stream", "STAGING"}); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []*pflag.FlagSet{above, command} {
		s, err := LoadProjector(flags, []string{db, "STREAM=PRODUCTION", "LOG_LEVEL=debug"})
		if err != nil || s.Stream != "STAGING" || s.LogLevel != LogLevel(slog.LevelDebug) {
			t.Errorf("stream %s, level %v: %v", s.Stream, s.LogLevel, err)
		}
	}
}

func TestDevstackMayHaveADatabase(t *testing.T) {
	api := []string{db, "SUPABASE_URL=https://p.supabase.co"}
	for _, test := range []struct{ environ, flag, want, say string }{
		{db, "--keep=no", "postgres://u:hunter2@db:5432/app", ""},
		{db, "--database-url=host=other", "host=other", ""},
		{db, "--database-url=", "", "--database-url is empty: leave it out, or give a PostgreSQL"},
		{db, "--database-url= ", "", "--database-url is empty"},
		{"DATABASE_URL=", "--keep=no", "", ""},
		{"DATABASE_URL=\n", "--keep=no", "", ""},
		{"DATABASE_URL=postgres://u:hunter2@db:port/app", "--keep=no", "", "DATABASE_URL is (hidden): it has to be"},
	} {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		AddFlags(flags, ForDevstack)
		flags.String("keep", "", "a flag that is no setting")
		if err := flags.Parse([]string{test.flag}); err != nil {
			t.Fatal(err)
		}
		s, err := LoadDevstack(flags, []string{test.environ}, []string{db}, api)
		if test.say == "" && (err != nil || string(s.DatabaseURL) != test.want) || !strings.Contains(fmt.Sprint(err), test.say) {
			t.Errorf("%+v: got %q, %v", test, string(s.DatabaseURL), err)
		}
	}
}

// TestDevstackJudgesWhatItsProgramsInherit, except the settings that it gives them
// itself.
func TestDevstackJudgesWhatItsProgramsInherit(t *testing.T) {
	flags := flagSet(t, ForDevstack)
	given := []string{db, "NATS_CREDS=", "LOG_FORMAT=text"}
	api := append(given, "JWT_ISSUER=https://i", "JWT_SECRET="+strings.Repeat("s", 32), "JWT_JWKS_URL=")
	environ := []string{"NATS_CREDS=/no/such/file", "LOG_FORMAT=xml", "JWT_JWKS_URL=x", "STATE_CACHE_BYTES=64MiB", "LOG_LEVEL=warn"}
	if _, err := LoadDevstack(flags, environ, given, api); err != nil {
		t.Error(err)
	}
	_, err := LoadDevstack(flags, append(environ, "LOG_LEVEL=nonsense", "LANES=65", "DRAIN_DELAY=0", "STATE_CACHE_BYTES=1GiB"), given, api)
	for _, name := range []string{"LOG_LEVEL", "LANES", "DRAIN_DELAY", "MEMORY_LIMIT"} {
		if strings.Count(fmt.Sprint(err), name+" is ") != 1 {
			t.Errorf("%s is not named once in %v", name, err)
		}
	}
}

// TestAnEmptyFlagIsRefused, of every setting and whatever the environment says: it
// usually comes from a shell variable that is not set, and means neither the
// environment's value nor the default.
func TestAnEmptyFlagIsRefused(t *testing.T) {
	loads := map[Program]func(*pflag.FlagSet, []string) error{
		ForAPI:       func(f *pflag.FlagSet, e []string) error { _, err := LoadAPI(f, e); return err },
		ForProjector: func(f *pflag.FlagSet, e []string) error { _, err := LoadProjector(f, e); return err },
		ForDevstack:  func(f *pflag.FlagSet, e []string) error { _, err := LoadDevstack(f, e, nil, nil); return err },
	}
	loads["stream"] = func(f *pflag.FlagSet, e []string) error { _, err := LoadStream(f, e); return err }
	for program, load := range loads {
		of := program
		if program == "stream" {
			of = ForProjector
		}
		for _, d := range Docs() {
			if !d.usedBy(of) {
				continue
			}
			for _, value := range []string{"", " ", "\n"} {
				flag := flagName(d.Name)
				want := "--" + flag + " is empty: leave it out, or give " + d.Right
				err := load(flagSet(t, of, "--"+flag+"="+value), []string{db, "SUPABASE_URL=https://p.supabase.co", "STREAM=OTHER"})
				if err == nil || err.Error() != "settings: "+want {
					t.Errorf("%s --%s=%q: %v, want %s", program, flag, value, err, want)
				}
			}
		}
	}
}

// TestStreamAloneNeedsNoDatabase, and libpq's own variables do not matter to it.
func TestStreamAloneNeedsNoDatabase(t *testing.T) {
	t.Setenv("PGPORT", "abc")
	t.Setenv("PGSERVICE", "nope")
	if s, err := LoadStream(flagSet(t, ForProjector), nil); err != nil || s.DatabaseURL != "" || s.Stream != "CONTROL_PLANE" {
		t.Errorf("%q, %s: %v", string(s.DatabaseURL), s.Stream, err)
	}
	if _, err := LoadProjector(flagSet(t, ForProjector), []string{db}); !strings.Contains(fmt.Sprint(err), "and PGPORT and PGSERVICE") {
		t.Errorf("with a database, for which they count: %v", err)
	}
	if _, err := LoadStream(flagSet(t, ForProjector), []string{"LANES=65"}); !strings.Contains(fmt.Sprint(err), "LANES is") {
		t.Errorf("another setting: %v", err)
	}
}

func TestBadSettingsAreNamedWithWhatWouldBeRight(t *testing.T) {
	api := []string{db, "SUPABASE_URL=https://p.supabase.co"}
	projector := []string{db}
	for _, test := range []struct {
		program Program
		environ []string
		say     string
	}{
		{ForAPI, []string{"SUPABASE_URL=https://p"}, "DATABASE_URL is not set: it has to be a PostgreSQL"},
		{ForAPI, []string{db}, "SUPABASE_URL is not set"},
		{ForAPI, []string{db, "JWT_ISSUER=https://i"}, "set JWT_JWKS_URL or JWT_SECRET"},
		{ForAPI, append(api, "JWT_SECRET="+strings.Repeat("x", 40), "JWT_JWKS_URL=https://k"), ""},
		{ForAPI, []string{db, "SUPABASE_URL=https://p.supabase.co/rest/v1/"}, `and ends in /rest/v1: it has to be the project's address such as https://project.supabase.co`},
		{ForAPI, []string{db, "SUPABASE_URL=https://x/supa/auth/v1/.well-known/jwks.json"}, `and ends in /auth/v1/.well-known/jwks.json: it has to be the project's address`},
		{ForAPI, []string{db, "SUPABASE_URL=https://supabase.com/dashboard/project/p"}, `a page of the dashboard: it has to be the project's address`},
		{ForAPI, []string{db, "SUPABASE_URL=p.supabase.co"}, `SUPABASE_URL is "p.supabase.co": it has to be the project's address such as https://`},
		{ForAPI, append(api, "JWT_SECRET=short"), "JWT_SECRET is (hidden), and it has 5 bytes: it has to be at least 32"},
		{ForAPI, append(api, "JWT_ISSUER=ftp://i"), `JWT_ISSUER is "ftp://i": it has to be an absolute http://`},
		{ForAPI, append(api, "JWT_JWKS_URL=/keys"), `JWT_JWKS_URL is "/keys"`},
		{ForAPI, append(api, "CORS_ALLOWED_HEADERS=X-Tenant, x-other"), ""},
		{ForAPI, append(api, "CORS_ALLOWED_HEADERS=X-Tenant,*"), `CORS_ALLOWED_HEADERS is "X-Tenant,*": it has to be names of headers`},
		{ForAPI, append(api, "CORS_ALLOWED_HEADERS=X-Tenant,,b"), `CORS_ALLOWED_HEADERS is`},
		{ForAPI, append(api, "HTTP_ADDR=8080"), `HTTP_ADDR is "8080": it has to be host:port`},
		{ForAPI, append(api, "HTTP_ADDR=:65536"), `HTTP_ADDR is ":65536"`},
		{ForAPI, append(api, "ADMIN_ADDR=:http"), `ADMIN_ADDR is ":http"`},
		{ForAPI, append(api, "ALLOW_OAUTH_CLIENTS=a,,b"), `ALLOW_OAUTH_CLIENTS is "a,,b"`},
		{ForAPI, append(api, "SHUTDOWN_TIMEOUT=10"), `SHUTDOWN_TIMEOUT is "10": it has to be a time above zero`},
		{ForAPI, append(api, "SHUTDOWN_TIMEOUT=-1s"), `SHUTDOWN_TIMEOUT is "-1s"`},
		{ForAPI, append(api, "API_MEMORY_LIMIT=64MiB"), ""},
		{ForAPI, append(api, "API_MEMORY_LIMIT=63MiB"), `API_MEMORY_LIMIT is "63MiB": it has to be a size such as 256MiB`},
		{ForAPI, append(api, "MAX_CONNECTIONS=5000"), ""},
		{ForAPI, append(api, "MAX_CONNECTIONS=6000"), `API_MEMORY_LIMIT is 268435456 bytes, too little for MAX_CONNECTIONS, 6000: it has room for 5120`},
		{ForAPI, append(api, "API_SPOOL_LIMIT=much"), `API_SPOOL_LIMIT is "much"`},
		{ForAPI, append(api, "LOG_LEVEL=verbose"), `LOG_LEVEL is "verbose": it has to be debug, info, warn or error`},
		{ForAPI, append(api, "LOG_FORMAT=xml"), `LOG_FORMAT is "xml": it has to be text or json`},
		{ForAPI, []string{"DATABASE_URL=postgres://u:hunter2@db:port/app"}, `DATABASE_URL is (hidden): it has to be`},
		{ForAPI, []string{"DATABASE_URL=postgres://u:hunter2@db:5432/app?sslmode=maybe"}, `DATABASE_URL is "postgres://db:5432" (the rest`},
		{ForAPI, []string{"DATABASE_URL=postgres://u:hun@/ter2@db:5432/app"}, `DATABASE_URL is (hidden): it has to be`},
		{ForAPI, []string{"DATABASE_URL=postgres://u:hunter2@db:5432/app?sslmode=maybe"}, "its sslmode is not right"},
		{ForAPI, []string{"DATABASE_URL=postgres://u:hunter2@db:5432/app?default_query_exec_mode=fast"}, "its default_query_exec_mode is not right"},
		{ForAPI, []string{"DATABASE_URL=host=db password=hunter2 pool_max_conns=many"}, "its pool_max_conns is not right"},
		{ForAPI, []string{db, "DATABASE_DIRECT_URL=postgres://u:hunter2@db:port/app"}, `DATABASE_DIRECT_URL is (hidden): it has to be`},
		{ForAPI, []string{"DATABASE_URL=host=db password=hunter2 port=x"}, `DATABASE_URL is (hidden): it has to be`},
		{ForProjector, append(projector, "NATS_URL=nats://u:hunter2@a:4222,b:4222"), `NATS_URL is (hidden): it has to be nats://`},
		{ForProjector, append(projector, "NATS_URL=http://u:hunter2@a"), `NATS_URL is "http://a" (the rest is hidden)`},
		{ForProjector, append(projector, "NATS_CREDS=/does/not/exist"), `NATS_CREDS is "/does/not/exist", and it cannot be opened`},
		{ForProjector, append(projector, "STREAM=a.b"), `STREAM is "a.b"`},
		{ForProjector, append(projector, "LANES=-1"), `LANES is "-1"`},
		{ForProjector, append(projector, "LANES=65"), `LANES is "65"`},
		{ForProjector, append(projector, "BATCH_EVENTS=0"), `BATCH_EVENTS is "0"`},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=1MIB "), ""},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=1k"), `STATE_CACHE_BYTES is "1k": it has to be a size`},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=9223372036854775807GiB"), `STATE_CACHE_BYTES is`},
		{ForProjector, append(projector, "BATCH_BYTES=1000"), `BATCH_BYTES is "1000"`},
		{ForProjector, append(projector, "MEMORY_LIMIT=128MiB"), ""},
		{ForProjector, append(projector, "MEMORY_LIMIT=127MiB"), `MEMORY_LIMIT is "127MiB": it has to be a size such as 512MiB`},
		{ForProjector, append(projector, "MEMORY_LIMIT=much"), `MEMORY_LIMIT is "much"`},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=128MiB"), ""},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=154MiB"), `MEMORY_LIMIT is 536870912 bytes, too little for STATE_CACHE_BYTES, 161480704`},
		{ForProjector, append(projector, "STATE_CACHE_BYTES=1GiB"), `MEMORY_LIMIT is`},
		{ForProjector, append(projector, "BATCH_BYTES=65MiB"), `and twice BATCH_BYTES, 68157440`},
	} {
		t.Run(strings.Join(test.environ, " "), func(t *testing.T) {
			var err error
			if test.program == ForAPI {
				_, err = LoadAPI(flagSet(t, ForAPI), test.environ)
			} else {
				_, err = LoadProjector(flagSet(t, ForProjector), test.environ)
			}
			got := fmt.Sprint(err)
			if test.say == "" && err != nil || !strings.Contains(got, test.say) {
				t.Errorf("got %s, want %q in it", got, test.say)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the password is in %s", got)
			}
		})
	}
}

func TestAllProblemsAreInOneError(t *testing.T) {
	_, err := LoadAPI(flagSet(t, ForAPI), []string{"LOG_LEVEL=x", "HTTP_ADDR=y", "SHUTDOWN_TIMEOUT=z"})
	for _, name := range []string{"DATABASE_URL", "SUPABASE_URL", "LOG_LEVEL", "HTTP_ADDR", "SHUTDOWN_TIMEOUT"} {
		if !strings.Contains(fmt.Sprint(err), name+" is ") {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	secret := strings.Repeat("hunter2!", 4)
	s, err := LoadAPI(flagSet(t, ForAPI), []string{db, "SUPABASE_URL=https://p", "JWT_SECRET=" + secret})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s.Logger(&log).Info("settings", "secret", s.JWTSecret, "database", s.DatabaseURL.String())
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s.JWTSecret), log.String()} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("a secret is in %s", printed)
		}
	}
}

func TestEverySettingIsDocumentedWithItsDefault(t *testing.T) {
	type documented struct{ Program, Name, Default string }
	var inDocs, inStructs []documented
	for _, d := range Docs() {
		if d.Meaning == "" || d.Right == "" {
			t.Errorf("%s lacks a meaning or what is right", d.Name)
		}
		for _, p := range d.UsedBy {
			inDocs = append(inDocs, documented{string(p), d.Name, d.Default})
		}
	}
	for program, s := range map[Program]reflect.Type{ForAPI: reflect.TypeFor[API](), ForProjector: reflect.TypeFor[Projector](), ForDevstack: reflect.TypeFor[Devstack]()} {
		for f := range s.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("env"), ",")
			if name == "" {
				continue // no setting: only a context of NATS sets it
			}
			value := f.Tag.Get("envDefault")
			if option == "required" {
				value = "required"
			}
			d, _ := find(program, name)
			if value == "" && !strings.ContainsAny(d.Default, "–<") && name != "LOG_FORMAT" {
				t.Errorf("%s has no default, but %q is documented", name, d.Default)
			}
			if value == "" {
				value = d.Default
			}
			inStructs = append(inStructs, documented{string(program), name, value})
		}
	}
	order := func(a, b documented) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(inDocs, order)
	slices.SortFunc(inStructs, order)
	if d := cmp.Diff(inStructs, inDocs); d != "" {
		t.Error(d)
	}
}

func TestLogFormat(t *testing.T) {
	for _, test := range []struct{ format, want string }{
		{"", `{"time"`},
		{"json", `{"time"`},
		{"text", "time="},
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		s := Projector{LogFormat: LogFormat(test.format), LogLevel: LogLevel(slog.LevelWarn)}
		s.Logger(file).Info("not logged")
		s.Logger(file).Warn("logged")
		got, err := os.ReadFile(file.Name())
		if err != nil || !strings.HasPrefix(string(got), test.want) || strings.Contains(string(got), "not logged") {
			t.Errorf("LOG_FORMAT=%s: got %s, %v", test.format, got, err)
		}
		file.Close()
	}
}
