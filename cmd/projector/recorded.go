package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// recorder puts on record, in the database's audit, what this call looks at and does.
func (p *program) recorder(pool *pgxpool.Pool) *acts.Recorder {
	return &acts.Recorder{Pool: pool, Who: p.caller(), Through: acts.ThroughCommandLine,
		OnUnended: func(err error) { fmt.Fprintf(p.err, "the audit: %v\n", err) }}
}

// caller names who calls this program, as [operatorName] does, and by sudo who has
// called that. It is what the machine says, and not who the database's login is.
func (p *program) caller() string {
	name, host := osUser(), osHost()
	if p.sudoUser != "" && p.sudoUser != name {
		name += " (sudo by " + p.sudoUser + ")"
	}
	return name + "@" + host
}

// operatorName names who calls this program, as user@host, as far as the machine
// knows.
func operatorName() string { return osUser() + "@" + osHost() }

func osUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "somebody"
}

func osHost() string {
	if h, err := os.Hostname(); err == nil {
		return h
	}
	return "somewhere"
}

// look records a look before anything is shown.
func (p *program) look(ctx context.Context, pool *pgxpool.Pool, what string, account *events.UUID, detail string) error {
	return p.recorder(pool).Look(ctx, what, account, detail)
}

// act records an act before it is done, and then what it has come to.
func (p *program) act(ctx context.Context, pool *pgxpool.Pool, what string, account *events.UUID, detail string, do func() error) error {
	line, err := p.recorder(pool).Begin(ctx, what, account, detail)
	if err != nil {
		return err
	}
	err = do()
	line.End(ctx, err)
	return err
}

// lookAtStream is look for the commands that need no database: where none is set, it
// says on standard error that the look is on no record.
func (p *program) lookAtStream(ctx context.Context, what string, account *events.UUID, detail string) error {
	if p.cfg.DatabaseURL == "" {
		fmt.Fprintln(p.err, "DATABASE_URL is not set: this look is on no record")
		return nil
	}
	err := p.withDatabase(ctx, func(ctx context.Context, pool *pgxpool.Pool) error { return p.look(ctx, pool, what, account, detail) })
	if err != nil {
		return fmt.Errorf("%w; without DATABASE_URL the same call asks no database, and is on no record", err)
	}
	return nil
}

// actOnStream is act for the commands that need no database: where none is set, nothing
// is recorded.
func (p *program) actOnStream(ctx context.Context, what string, account *events.UUID, detail string, do func() error) error {
	if p.cfg.DatabaseURL == "" {
		return do()
	}
	var line *acts.Recorded
	pool, err := p.connectDatabase(ctx)
	if err == nil {
		defer pool.Close()
		line, err = p.recorder(pool).Begin(ctx, what, account, detail)
	}
	if err != nil {
		return fmt.Errorf("%w; without DATABASE_URL the same call asks no database, and is on no record", err)
	}
	err = do()
	line.End(ctx, err)
	return err
}

// knownType is a type for the audit, which holds nothing that came out of a message.
func knownType(t string) string {
	t = "controlplane." + strings.TrimPrefix(t, "controlplane.")
	if slices.Contains(events.Types(), t) {
		return "type " + events.ShortType(t)
	}
	return "a type that is unknown"
}

// detailOf says which parked messages are meant, as far as the audit may know.
func (f *parkedFilters) detailOf() string {
	var all []string
	add := func(set bool, format string, args ...any) {
		if set {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(f.all, "all")
	add(f.position > 0, "position %d", f.position)
	add(f.Type != "", "%s", knownType(f.Type))
	add(f.Reason != "", "by reason")
	add(!f.Since.IsZero(), "since a time")
	add(f.position == 0 && f.From > 0, "from position %d", f.From)
	add(f.position == 0 && f.To > 0, "to position %d", f.To)
	add(f.Dismissed, "dismissed")
	return strings.Join(all, ", ")
}

// accountOf is whom a selection is about: the account of the filter, or that of the one
// message; nil where it may be several.
func (f *parkedFilters) accountOf(s *admin.ParkedSelection) *events.UUID {
	if f.Account == nil && len(s.Messages) == 1 {
		return s.Messages[0].Account
	}
	return f.Account
}
