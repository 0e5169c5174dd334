package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// TestPermissionsOfProvisioning: `provision` needs exactly the permissions of its row, on a stream
// that is new, has no id, or is as it should be, and also where JetStream is asked for in the
// server's own domain.
func TestPermissionsOfProvisioning(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	table := permissions(t)
	type provisioning struct {
		row      string
		domain   bool   // JetStream is asked for in the server's own
		missing  string // empty if nothing is missing
		settings map[string]string
		subjects []string
	}
	var all []*provisioning
	for _, row := range []string{"provision", "provision of a new stream", "provision of one without an id"} {
		if len(table[row]) == 0 {
			t.Fatalf("the table has no row %q", row)
		}
		for _, domain := range []bool{false, true} {
			if domain && row != "provision of a new stream" {
				continue
			}
			may := of(table[row], "$JS.API", "CONTROL_PLANE", "")
			for j, missing := range append([]string{""}, may...) {
				if read := table["status"]; !testrun.Long() && j > 0 && j <= len(read) && j-1 != len(all)%len(read) {
					continue // the short form takes one of the permissions in READ
				}
				all = append(all, &provisioning{row: row, domain: domain, missing: missing,
					subjects: slices.DeleteFunc(slices.Clone(may), func(s string) bool { return s == missing })})
			}
		}
	}
	// Each user has its own account, with one stream.
	accounts := ""
	for i, p := range all {
		var g grants
		p.settings = g.user(map[string]string{"NATS_URL": s.nats.URL(), "DATABASE_URL": postgres.TestDatabase(t), "LOG_FORMAT": "text"}, p.subjects)
		accounts += fmt.Sprintf("A%d { jetstream: enabled, users: [ { user: admin%d, password: admin }\n%s ] }\n", i, i, strings.Replace(g.users[0], "user0", fmt.Sprint("user", i), 1))
		p.settings["NATS_USER"] = fmt.Sprint("user", i)
		if p.domain {
			p.settings["NATS_JS_DOMAIN"] = "hub"
		}
	}
	if err := s.nats.Reconfigure(t.Context(), "jetstream { domain: hub }\naccounts {\n"+accounts+"}\n"); err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		if p.row != "provision of a new stream" {
			admin := maps.Clone(p.settings)
			admin["NATS_USER"], admin["NATS_PASSWORD"] = fmt.Sprint("admin", i), "admin"
			if out, status := command(t, "projector", admin, "provision"); status != 0 {
				t.Fatalf("exit %d: %s", status, out)
			}
			if p.row == "provision of one without an id" {
				js := jetStream(t, strings.Replace(s.nats.URL(), "nats://", fmt.Sprintf("nats://admin%d:admin@", i), 1))
				withoutID(t, js)
			}
		}
		out, status := command(t, "projector", p.settings, "provision")
		switch named := "no permission to publish on " + p.missing; {
		case p.missing == "" && status != 0:
			t.Errorf("%s with exactly what its row says: exit %d: %s", p.row, status, out)
		case p.missing != "" && (status != 1 || !strings.Contains(out, named)):
			t.Errorf("%s without %s: exit %d: %s", p.row, p.missing, status, out)
		}
	}
}

// withoutID removes the stream's id.
func withoutID(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.Metadata = nil
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}
