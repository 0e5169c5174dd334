package settings

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
)

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
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"), `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318": it has to be an absolute http:// or https:// URL`},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:hunter2@collector:4318"), `OTEL_EXPORTER_OTLP_ENDPOINT is "http://collector:4318" (the rest is hidden)`},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_HEADERS=hunter2"), `OTEL_EXPORTER_OTLP_HEADERS is (hidden): it has to be names and values such as key=value`},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20a%0Ahunter2"), `OTEL_EXPORTER_OTLP_HEADERS is (hidden)`},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"), `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", and traces are sent by http/protobuf alone`},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), ""},
		{ForAPI, append(api, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317", "OTEL_SDK_DISABLED=TRUE"), ""},
		{ForProjector, append(projector, "OTEL_TRACES_SAMPLER=sometimes"), `OTEL_TRACES_SAMPLER is "sometimes": it has to be always_on`},
		{ForProjector, append(projector, "OTEL_TRACES_SAMPLER_ARG=NaN"), `OTEL_TRACES_SAMPLER_ARG is "NaN": it has to be a number from 0 to 1`},
		{ForProjector, append(projector, "OTEL_SDK_DISABLED=1"), `OTEL_SDK_DISABLED is "1": it has to be true or false`},
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

// TestPasswordsAreWrittenAsTheRefusalSays: what no connection string holds in a password is refused,
// and written as the refusal says it is taken, for that password.
func TestPasswordsAreWrittenAsTheRefusalSays(t *testing.T) {
	_, err := LoadProjector(flagSet(t, ForProjector), []string{"DATABASE_URL=postgres://u:a b@db:5432/app"})
	said := fmt.Sprint(err)
	for _, char := range []string{" ", "/", "%", "@"} {
		// A plain @ ends the password, and the host is another one: that shows when it is looked for.
		if _, err := LoadProjector(flagSet(t, ForProjector), []string{"DATABASE_URL=postgres://u:a" + char + "b@db:5432/app"}); err == nil && char != "@" {
			t.Errorf("%q in a password is taken as it is, so nobody has to write it otherwise", char)
		}
		name := regexp.QuoteMeta(strings.ReplaceAll(char, " ", "a space"))
		m := regexp.MustCompile("(%[0-9A-F]{2}) for " + name).FindStringSubmatch(said)
		if m == nil {
			t.Errorf("it does not say what to write for %q: %s", char, said)
			continue
		}
		got, err := LoadProjector(flagSet(t, ForProjector), []string{"DATABASE_URL=postgres://u:a" + m[1] + "b@db:5432/app"})
		if err != nil {
			t.Errorf("%s for %q: %v", m[1], char, err)
			continue
		}
		if c, err := pgx.ParseConfig(string(got.DatabaseURL)); err != nil || c.Password != "a"+char+"b" {
			t.Errorf("%s stands for something else than %q: %v", m[1], char, err)
		}
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
