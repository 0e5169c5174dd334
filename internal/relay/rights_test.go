package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestALoginWithoutRightsIsToldAtStart, as a NATS user is: with the first right that it
// lacks the relay ends. With what package outbox documents it works.
func TestALoginWithoutRightsIsToldAtStart(t *testing.T) {
	a := newArena(t)
	role := fmt.Sprintf("relay_%d", time.Now().UnixNano())
	a.exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	t.Cleanup(func() {
		for _, sql := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			if _, err := a.pool.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	u, err := url.Parse(a.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, increment(t, "1", account(1)))
	for _, next := range []string{`USAGE ON SCHEMA outbox`, `SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA outbox`, `SELECT ON ALL SEQUENCES IN SCHEMA outbox`} {
		r := New(a.connect(t), Options{Database: cfg, Logger: slog.New(slog.DiscardHandler)})
		limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := r.Run(limit); !errors.Is(err, ErrNoRights) || !contains(err, next) {
			t.Errorf("without %s: %v", next, err)
		}
		cancel()
		a.exec(t, `GRANT `+next+` TO `+role)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- New(a.connect(t), Options{Database: cfg, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	a.drained(t, 0)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
