package settings

import (
	"fmt"
	"log/slog"
	"net/netip"
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
		MaxConnections: 4096, MemoryLimit: 256 << 20, SpoolLimit: 2 << 30, WriteTimeout: 30 * time.Second, DrainDelay: time.Second, ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelInfo), Tracing: defaultTracing}
	got.Memory = MemoryOrigin{} // of this machine: TestMemoryLimitFollowsTheContainer
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

// defaultTracing is what is said of traces where nothing is.
var defaultTracing = Tracing{TraceProtocol: "http/protobuf", TraceSampler: "parentbased_always_on", TraceSamplerArg: 1}

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
		MaxConnections: 4096, MemoryLimit: 256 << 20, SpoolLimit: 2 << 30, WriteTimeout: 30 * time.Second, DrainDelay: time.Second, ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelDebug), LogFormat: "json", Tracing: defaultTracing}
	got.Memory = MemoryOrigin{} // of this machine: TestMemoryLimitFollowsTheContainer
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
		AdminAddr: ":9091", MemoryLimit: 4 << 30, StateCacheBytes: 1 << 30, BatchEvents: 200_000, BatchBytes: 512e6, AuditRate: 1000, AuditBytes: 1 << 20, CompressBytes: 4 << 20, TakeoverAfter: Takeover(5 * time.Second), ConsoleAddr: "127.0.0.1:9093", Privacy: "masked",
		ShutdownTimeout: 10 * time.Second, LogLevel: LogLevel(slog.LevelInfo), Tracing: defaultTracing}
	got.Memory = MemoryOrigin{} // of this machine: TestMemoryLimitFollowsTheContainer
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
		for _, f := range reflect.VisibleFields(s) { // those of embedded structs, too
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
