package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
)

// TestProjectorIsWhoItsSettingsSay: by every setting for authentication, and by a context of the
// `nats` program, the projector can publish to a server that requires it. With a wrong value it
// exits at once and names server and setting.
func TestProjectorIsWhoItsSettingsSay(t *testing.T) {
	t.Parallel()
	cert := natsserver.CertificatesForTest(t)
	creds, withJWT := natsserver.CredsForTest(t)
	wrongCreds, _ := natsserver.CredsForTest(t)
	seed, public := natsserver.NKeyForTest(t)
	wrongSeed, _ := natsserver.NKeyForTest(t)
	home := t.TempDir()
	event := filepath.Join(home, "event.json")
	m, err := events.NewUserEmailVerified(newMeta("1"), uuid(t, someone))
	if err == nil {
		err = os.WriteFile(event, m.Data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	password := `authorization { user: u, password: hunter2 }`
	for _, tc := range []struct {
		name, config string
		cfg          stream.Config // of the client that provisions
		right, wrong map[string]string
		says         string
	}{
		{"user and password", password, stream.Config{User: "u", Password: "hunter2"},
			map[string]string{"NATS_USER": "u", "NATS_PASSWORD": "hunter2"}, map[string]string{"NATS_USER": "u", "NATS_PASSWORD": "31337"}, "NATS_PASSWORD"},
		{"token", `authorization { token: hunter2 }`, stream.Config{Token: "hunter2"},
			map[string]string{"NATS_TOKEN": "hunter2"}, map[string]string{"NATS_TOKEN": "31337"}, "NATS_TOKEN"},
		{"nkey", `authorization { users: [ { nkey: ` + public + ` } ] }`, stream.Config{NKey: seed},
			map[string]string{"NATS_NKEY": seed}, map[string]string{"NATS_NKEY": wrongSeed}, "NATS_NKEY"},
		{"credentials", withJWT, stream.Config{Creds: creds}, map[string]string{"NATS_CREDS": creds}, map[string]string{"NATS_CREDS": wrongCreds}, "NATS_CREDS"},
		{"certificate", cert.TLS(true), stream.Config{CA: cert.CA, Cert: cert.ClientCert, Key: cert.ClientKey},
			map[string]string{"NATS_CA": cert.CA, "NATS_CERT": cert.ClientCert, "NATS_KEY": cert.ClientKey}, map[string]string{"NATS_CA": cert.CA}, "NATS_CERT"},
		{"domain", `jetstream { domain: hub }`, stream.Config{}, map[string]string{"NATS_JS_DOMAIN": "hub"}, nil, ""},
		{"context", password, stream.Config{User: "u", Password: "hunter2"},
			map[string]string{"NATS_CONTEXT": "right"}, map[string]string{"NATS_CONTEXT": "right", "NATS_TOKEN": "31337"}, "NATS_TOKEN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := natsserver.ForTestWith(t, "jetstream: enabled\n"+tc.config)
			tc.cfg.URL, tc.cfg.ConnectTimeout = srv.URL(), time.Minute
			c, err := stream.Connect(t.Context(), tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			if _, err := c.Provision(t.Context()); err != nil {
				t.Fatal(err)
			}
			settings := func(of map[string]string) map[string]string {
				out := map[string]string{"LOG_FORMAT": "text", "NATS_URL": srv.URL()}
				if of["NATS_CONTEXT"] != "" {
					folder := filepath.Join(home, "nats", "context")
					context := fmt.Sprintf(`{"description": "", "url": %q, "user": "u", "password": "hunter2"}`, srv.URL())
					if err := os.MkdirAll(folder, 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(folder, "right.json"), []byte(context), 0o600); err != nil {
						t.Fatal(err)
					}
					out["XDG_CONFIG_HOME"] = home
					delete(out, "NATS_URL")
				}
				for k, v := range of {
					out[k] = v
				}
				return out
			}
			if out, status := command(t, "projector", settings(tc.right), "publish", event); status != 0 || out != "position 1\n" {
				t.Errorf("exit %d: %s", status, out)
			}
			if tc.wrong == nil {
				return
			}
			out, status := command(t, "projector", settings(tc.wrong), "publish", event)
			if status != 1 || !strings.Contains(out, tc.says) || !strings.Contains(out, strings.TrimPrefix(srv.URL(), "nats://")) ||
				strings.Contains(out, "hunter2") || strings.Contains(out, "31337") {
				t.Errorf("exit %d: %s", status, out)
			}
		})
	}
}
