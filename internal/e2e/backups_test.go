package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// streamName is the stream of the settings.
func (s *system) streamName() string {
	if name := s.settings["STREAM"]; name != "" {
		return name
	}
	return "CONTROL_PLANE"
}

// backUp takes a copy of all that the NATS server has on disk; restore puts it
// back, whatever there is by then.
func (s *system) backUp(t *testing.T) (restore func()) {
	t.Helper()
	backup := t.TempDir()
	s.nats.Halt()
	if err := os.CopyFS(backup, os.DirFS(s.nats.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		s.nats.Halt()
		if err := os.RemoveAll(s.nats.Dir()); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(s.nats.Dir(), os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
		if err := s.nats.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// messages are all that the stream holds.
func (s *system) messages(t *testing.T) (all []events.Message) {
	t.Helper()
	if err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		all = append(all, m.Message)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// putMessages makes the stream anew with these messages: a backup's restore that
// the server gives another time of creation, and other positions where some were
// missing.
func (s *system) putMessages(t *testing.T, messages []events.Message) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	st, err := js.Stream(t.Context(), s.streamName())
	if err == nil {
		err = js.DeleteStream(t.Context(), s.streamName())
	}
	if err == nil {
		_, err = js.CreateStream(t.Context(), st.CachedInfo().Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// deleteMessage removes one with NATS's own means.
func (s *system) deleteMessage(t *testing.T, position uint64) {
	t.Helper()
	st, err := jetStream(t, s.nats.URL()).Stream(t.Context(), s.streamName())
	if err == nil {
		err = st.DeleteMsg(t.Context(), position)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mirrored makes a mirror and waits until it has all.
func (s *system) mirrored(t *testing.T, name string) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Storage: jetstream.FileStorage,
		Mirror: &jetstream.StreamSource{Name: s.streamName()}}); err != nil {
		t.Fatal(err)
	}
	s.mirrorHas(t, name)
}

func (s *system) mirrorHas(t *testing.T, name string) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	eventually(t, "all to be mirrored", time.Minute, func(ctx context.Context) error {
		info, err := s.client.Info(ctx)
		if err != nil {
			return err
		}
		mirror, err := js.Stream(ctx, name)
		if err == nil && mirror.CachedInfo().State.LastSeq != info.Last {
			err = fmt.Errorf("it is at %d of %d", mirror.CachedInfo().State.LastSeq, info.Last)
		}
		return err
	})
}

// promote has a mirror take the place of the stream, which is lost.
func (s *system) promote(t *testing.T, mirror string) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	origin, err := js.Stream(t.Context(), s.streamName())
	if err == nil {
		err = js.DeleteStream(t.Context(), s.streamName())
	}
	if err == nil {
		promoted := origin.CachedInfo().Config
		promoted.Name = mirror
		_, err = js.UpdateStream(t.Context(), promoted)
	}
	if err == nil {
		s.settings["STREAM"] = mirror
		s.client, err = stream.Connect(t.Context(), stream.Config{URL: s.nats.URL(), Stream: mirror, Logger: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
}

// dump backs the database up; undump puts it back into the same database,
// whatever is there by then.
func (s *system) dump(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "dump")
	s.pg15(t, "pg_dump", "-Fc", "-f", file, s.database)
	return file
}

func (s *system) undump(t *testing.T, file string) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), `
DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^export' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
END $$`); err != nil {
		t.Fatal(err)
	}
	s.pg15(t, "pg_restore", "-d", s.database, file)
	s.pool.Reset()
}

// pg15 runs one of PostgreSQL's programs.
func (s *system) pg15(t *testing.T, program string, args ...string) (out []byte) {
	t.Helper()
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	out, err = exec.Command(filepath.Join(binaries, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return out
}

// ledgerFile is an export of the ledger, which knows an account.
func (s *system) ledgerFile(t *testing.T, account string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(file, []byte(s.says(t, 0, account, "erasures", "export")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runs starts `projector run`, and waits until all is well.
func (s *system) runs(t *testing.T) {
	t.Helper()
	launch(t, "projector", s.settings, "run")
	eventually(t, "status to exit 0", time.Minute, func(ctx context.Context) error {
		if err := s.caughtUp(ctx); err != nil {
			return err
		}
		if out, status := command(t, "projector", s.settings, "status"); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
}
