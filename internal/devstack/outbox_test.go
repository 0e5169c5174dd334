package devstack_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// published lists the ids of the events that are in the stream, by subject: of the
// history, and of what came through the outbox after it.
func (r *running) published(t *testing.T) (history, after map[string][]string) {
	t.Helper()
	client, err := stream.Connect(t.Context(), stream.Config{URL: r.nats, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	history, after = map[string][]string{}, map[string][]string{}
	err = client.ReadAll(t.Context(), func(m projections.Message) error {
		id := stream.MessageID(m)
		switch {
		case strings.HasPrefix(id, "history-"):
			history[m.Subject] = append(history[m.Subject], id)
			if len(after[m.Subject]) > 0 {
				t.Errorf("%s comes after what happened later to %s", id, m.Subject)
			}
		case strings.HasPrefix(id, "sim-"):
			after[m.Subject] = append(after[m.Subject], id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return history, after
}

// checkHistory: each line of the history is in the stream once, in order within its
// account, and with a time that lies back.
func checkHistory(t *testing.T, r *running) {
	t.Helper()
	f, err := os.Open(filepath.Join(r.dir, "history.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string][]string{}
	last := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e struct{ ID, Type, PartitionKey, Time string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		subject := "controlplane.quota_tier." + e.PartitionKey
		if account, err := events.ParseUUID(e.PartitionKey); err == nil {
			subject = events.AccountSubject(account)
		}
		want[subject] = append(want[subject], e.ID)
		if e.Time[:19] < last {
			t.Errorf("%s of %s comes after one of %s", e.ID, e.Time, last)
		}
		last = e.Time[:19]
	}
	history, _ := r.published(t)
	if diff := cmp.Diff(want, history); diff != "" || len(want) < 3 {
		t.Errorf("history of %d subjects, -file +stream:\n%s", len(want), diff)
	}
}

// noteWritten has the control plane's database note all that is written to the outbox
// from now on, of which the relay removes what it has published.
func noteWritten(t *testing.T, r *running) {
	t.Helper()
	r.onOutbox(t, func(db *pgxpool.Pool) {
		_, err := db.Exec(t.Context(), `
CREATE TABLE public.written (subject text, number bigint, id text);
CREATE FUNCTION public.note_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.written VALUES (NEW.subject, NEW.number, NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_written AFTER INSERT ON outbox.messages FOR EACH ROW EXECUTE FUNCTION public.note_written();`)
		if err != nil {
			t.Fatal(err)
		}
	})
}

// checkOutbox: once the outbox was empty, the stream has exactly what was written to
// it: the n-th event of a subject is the n-th that the stream has of it, and none is
// there twice.
func checkOutbox(t *testing.T, r *running) {
	t.Helper()
	type row struct {
		Subject string
		Number  int
		ID      string
	}
	var written []row
	r.onOutbox(t, func(db *pgxpool.Pool) {
		eventually(t, "events to be written", func() error {
			rows, err := db.Query(t.Context(), `SELECT subject, number, id FROM written ORDER BY subject, number`)
			if err != nil {
				return err
			}
			if written, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row]); err == nil && len(written) < 40 {
				err = fmt.Errorf("%d are", len(written))
			}
			return err
		})
		eventually(t, "the outbox to be empty", func() error {
			var pending int
			err := db.QueryRow(t.Context(), `SELECT count(*) FROM outbox.messages`).Scan(&pending)
			if err == nil && pending > 0 {
				err = fmt.Errorf("%d are pending", pending)
			}
			return err
		})
	})
	_, after := r.published(t)
	for _, w := range written {
		found := after[w.Subject]
		if len(found) < w.Number || found[w.Number-1] != w.ID {
			t.Errorf("event %d of %s is %s, and among these it is not the %[1]d-th: %v", w.Number, w.Subject, w.ID, found)
		}
	}
	seen := map[string]bool{}
	for subject, ids := range after {
		for _, id := range ids {
			if seen[id] {
				t.Errorf("%s is there twice, on %s", id, subject)
			}
			seen[id] = true
		}
	}
}

// databaseURL is the URL of a database as devstack describes it: by its URL, or, on a
// given server, of whose URL the password is not shown, by its name.
func databaseURL(t *testing.T, cmd *exec.Cmd, description string) string {
	t.Helper()
	if !strings.HasPrefix(description, "database ") {
		url, _, _ := strings.Cut(description, ";")
		return url
	}
	given := os.Getenv("DATABASE_URL")
	for _, setting := range cmd.Env {
		if value, ok := strings.CutPrefix(setting, "DATABASE_URL="); ok {
			given = value
		}
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme == "" {
		return given + " dbname=" + strings.Fields(description)[1]
	}
	u.Path = "/" + strings.Fields(description)[1]
	return u.String()
}

// onOutbox does something in the control plane's database.
func (r *running) onOutbox(t *testing.T, do func(*pgxpool.Pool)) {
	t.Helper()
	db, err := pgxpool.New(t.Context(), r.outbox)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do(db)
}

// status is what `projector status` prints.
func (r *running) status(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(r.cmd.Path), "projector"), "status")
	cmd.Env = append(os.Environ(), "NATS_URL="+r.nats, "DATABASE_URL="+r.database, "OUTBOX_DATABASE_URL="+r.outbox)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("projector status: %v: %s", err, out)
	}
	return string(out)
}
