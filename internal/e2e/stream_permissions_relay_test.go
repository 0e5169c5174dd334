package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/outbox"
)

// TestPermissionsOfTheRelay: `relay` works with exactly the permissions of its row, taking
// over from another one whose last messages it looks for in the stream. Lacking one of
// them it ends, and names it.
func TestPermissionsOfTheRelay(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	account := uuid(t, someone)
	written := 0
	// write has two events wait, one of each kind of subject, while the stream has
	// grown by another's since the relay looked.
	write := func() {
		written++
		s.publishSandbox(t, someone, fmt.Sprint("another ", written))
		email, err := events.NewUserEmailVerified(newMeta(fmt.Sprint("account ", written)), account)
		if err != nil {
			t.Fatal(err)
		}
		tier, err := events.NewQuotaTierDefined(newMeta(fmt.Sprint("tier ", written)), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
		if err != nil {
			t.Fatal(err)
		}
		if err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error { return outbox.Write(t.Context(), tx, email, tier) }); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func(ctx context.Context) error {
		var n int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM outbox.messages`).Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages wait", n)
		}
		return err
	}
	may := of(permissions(t)["relay"], "$JS.API", "CONTROL_PLANE", "")
	if len(may) < 7 {
		t.Fatalf("the row of relay has %q", may)
	}
	settings := maps.Clone(s.settings)
	settings["OUTBOX_DATABASE_URL"] = s.database
	var g grants
	whole, lacking := g.user(settings, may), map[string]map[string]string{}
	for _, missing := range may {
		lacking[missing] = g.user(settings, slices.DeleteFunc(slices.Clone(may), func(s string) bool { return s == missing }))
	}
	if err := s.nats.Reconfigure(t.Context(), g.config("")); err != nil {
		t.Fatal(err)
	}
	works := func() {
		write()
		p := launch(t, "projector", whole, "relay")
		eventually(t, "an empty outbox", 30*time.Second, waiting)
		p.stop(t)
	}
	works()
	for missing, settings := range lacking {
		write()
		p := launch(t, "projector", settings, "relay")
		named := "no permission to publish on " + strings.TrimSuffix(missing, "*")
		eventually(t, "it to name "+missing, 30*time.Second, hasPrinted(p, named))
		ended := make(chan int, 1)
		go func() { ended <- p.wait() }()
		wait := 30 * time.Second
		if strings.HasPrefix(missing, "controlplane.") { // events of the other kind may be published before, and then it goes on
			wait = time.Second
		}
		select {
		case status := <-ended:
			if out := p.out.tail(1 << 16); status != 1 || !strings.Contains(out, named) || strings.Contains(out, "hunter2") {
				t.Errorf("without %s: exit %d: %s", missing, status, out)
			}
		case <-time.After(wait):
			if wait > time.Second {
				t.Errorf("without %s it goes on: %v: %s", missing, waiting(t.Context()), p.out.tail(1<<16))
			}
			p.kill()
		}
	}
	works()
}
