package settings

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestConnectionsWithoutTLSAreTold: where a connection goes to another machine and no
// certificate is checked, that is said with what would protect it, and never with a
// password. pgx's own default, to try TLS and go on without, is not protected.
func TestConnectionsWithoutTLSAreTold(t *testing.T) {
	for _, name := range []string{"PGSSLMODE", "PGSSLROOTCERT", "PGHOST"} {
		t.Setenv(name, "")
	}
	const login = "postgres://u:hunter2@"
	for _, test := range []struct {
		name, database, nats, keys string
		want                       string // settings that are told
	}{
		{name: "all here", database: login + "127.0.0.1/x", nats: "nats://127.0.0.1:4222", keys: "http://127.0.0.1:54321/keys"},
		{name: "by names of this machine", database: login + "localhost/x", nats: "nats://localhost,nats://[::1]:4222", keys: "http://localhost/keys"},
		{name: "by other names of this machine", database: login + "LocalHost/x", nats: "nats://nats.localhost,nats://localhost.:4222", keys: "http://auth.localhost/keys"},
		{name: "names that only look so", database: login + "localhost.example/x", nats: "nats://mylocalhost", keys: "http://localhost.example/keys", want: "DATABASE_URL NATS_URL JWT_JWKS_URL"},
		{name: "a socket", database: "host=/var/run/postgresql dbname=x"},
		{name: "defaults", database: login + "db/x", nats: "nats://n1:4222", keys: "http://keys.example/keys", want: "DATABASE_URL NATS_URL JWT_JWKS_URL"},
		{name: "sslmode=disable", database: login + "db/x?sslmode=disable", want: "DATABASE_URL"},
		{name: "sslmode=allow", database: login + "db/x?sslmode=allow", want: "DATABASE_URL"},
		{name: "sslmode=prefer", database: login + "db/x?sslmode=prefer", want: "DATABASE_URL"},
		{name: "sslmode=require", database: login + "db/x?sslmode=require", want: "DATABASE_URL"},
		{name: "sslmode=verify-ca", database: login + "db/x?sslmode=verify-ca"},
		{name: "sslmode=verify-full", database: login + "db/x?sslmode=verify-full", nats: "tls://n1:4222", keys: "https://keys.example/keys"},
		{name: "the second of two hosts", database: login + "127.0.0.1,db/x", want: "DATABASE_URL"},
		{name: "one NATS server of two", nats: "nats://u:hunter2@127.0.0.1:4222,nats://u:hunter2@n2:4222", want: "NATS_URL"},
		{name: "WebSockets", nats: "ws://n1:80", want: "NATS_URL"},
		{name: "WebSockets with TLS", nats: "wss://n1:443"},
	} {
		api := API{DatabaseURL: DatabaseURL(test.database), JWKSURL: HTTPURL(test.keys)}
		projector := Projector{DatabaseURL: DatabaseURL(test.database), DatabaseDirect: DatabaseURL(test.database), OutboxURL: DatabaseURL(test.database), NATSURL: NATSURL(test.nats)}
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		told := func(all []Unprotected) string {
			Warn(log, all)
			var names []string
			for _, u := range all {
				names = append(names, u.Setting)
			}
			return strings.Join(names, " ")
		}
		if got, want := told(api.Unprotected()), strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(test.want, "NATS_URL", ""), "  ", " ")); got != want {
			t.Errorf("%s: the API tells %q, want %q", test.name, got, want)
		}
		want := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(test.want, "JWT_JWKS_URL", ""), "DATABASE_URL", "DATABASE_URL DATABASE_DIRECT_URL"))
		if got := told(projector.Unprotected()); got != want {
			t.Errorf("%s: run tells %q, want %q", test.name, got, want)
		}
		if got, want := told(projector.UnprotectedRelay()), strings.ReplaceAll(want, "DATABASE_URL DATABASE_DIRECT_URL", "OUTBOX_DATABASE_URL"); got != want {
			t.Errorf("%s: relay tells %q, want %q", test.name, got, want)
		}
		if strings.Contains(out.String(), "hunter2") || test.want != "" && !strings.Contains(out.String(), "advice=") {
			t.Errorf("%s: it says %s", test.name, out.String())
		}
	}
	for name, s := range map[string]Projector{"an authority": {NATSCA: "ca.pem"}, "a certificate": {NATSCert: "c.pem"}, "TLS first": {TLSFirst: true}} {
		s.NATSURL = "nats://n1:4222"
		if got := s.unprotectedNATS(); got != nil {
			t.Errorf("%s demands TLS, and %v is told", name, got)
		}
	}
}

// TestSecretsForCollectorsAreProtected: headers for a collector of traces may be a secret, and are told where they go to another
// machine in the clear. Spans alone hold nothing to protect.
func TestSecretsForCollectorsAreProtected(t *testing.T) {
	const secret = Pairs("authorization=Bearer%20hunter2")
	for _, test := range []struct {
		name    string
		tracing Tracing
		told    bool
	}{
		{"in the clear", Tracing{TraceEndpoint: "http://collector:4318", TraceHeaders: secret}, true},
		{"by TLS", Tracing{TraceEndpoint: "https://collector:4318", TraceHeaders: secret}, false},
		{"on this machine", Tracing{TraceEndpoint: "http://localhost:4318", TraceHeaders: secret}, false},
		{"without headers", Tracing{TraceEndpoint: "http://collector:4318"}, false},
		{"switched off", Tracing{TraceEndpoint: "http://collector:4318", TraceHeaders: secret, TraceOff: true}, false},
		{"no collector", Tracing{TraceHeaders: secret}, false},
	} {
		projector := Projector{Tracing: test.tracing}
		for program, all := range map[string][]Unprotected{"api": API{Tracing: test.tracing}.Unprotected(), "run": projector.Unprotected(), "relay": projector.UnprotectedRelay()} {
			var out bytes.Buffer
			Warn(slog.New(slog.NewTextHandler(&out, nil)), all)
			if told := strings.Contains(out.String(), "OTEL_EXPORTER_OTLP_ENDPOINT"); told != test.told || strings.Contains(out.String(), "hunter2") {
				t.Errorf("%s, %s: %s", test.name, program, &out)
			}
		}
	}
}
