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

	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// backUpNATS copies everything that the NATS server has on disk. restore puts the copy back,
// whatever is there by then.
func (s *system) backUpNATS(t *testing.T) (restore func()) {
	t.Helper()
	backup := t.TempDir()
	s.whileNATSIsDown(t, func() error { return os.CopyFS(backup, os.DirFS(s.nats.Dir())) })
	return func() {
		t.Helper()
		s.whileNATSIsDown(t, func() error {
			if err := os.RemoveAll(s.nats.Dir()); err != nil {
				return err
			}
			return os.CopyFS(s.nats.Dir(), os.DirFS(backup))
		})
	}
}

// loseTheEnd publishes a hundred messages, waits until they are projected, and restores the stream
// of before. It returns the documents as they were with those messages.
func (s *system) loseTheEnd(t *testing.T) (documents string) { return s.loseTheEndAfter(t, func() {}) }

// loseTheEndAfter is loseTheEnd with a function that is called before the stream is restored.
func (s *system) loseTheEndAfter(t *testing.T, first func()) (documents string) {
	t.Helper()
	restore := s.backUpNATS(t)
	eventually(t, "more to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(54, workload.Config{Accounts: 5}), 100, 0)
	})
	s.waitProjected(t)
	documents = s.documents(t)
	first()
	restore()
	return documents
}

// loseTheMiddle publishes a hundred messages and removes all but the last ten of the stream, before
// the projector can read them. It returns the documents as they were before.
func (s *system) loseTheMiddle(t *testing.T) (documents string) {
	t.Helper()
	documents = s.documents(t)
	s.whileUnreachable(t, func(url string) {
		client, err := stream.Connect(t.Context(), stream.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		unseen := &system{client: client}
		unseen.mustPublish(t, workload.New(55, workload.Config{Accounts: 5}), 100)
		info, err := client.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, err := jetStream(t, url).Stream(t.Context(), s.streamName())
		if err == nil {
			err = st.Purge(t.Context(), jetstream.WithPurgeSequence(info.Last-9))
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return documents
}

// createMirror creates a mirror of the stream and waits until it has all messages.
func (s *system) createMirror(t *testing.T, name string) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Storage: jetstream.FileStorage,
		Mirror: &jetstream.StreamSource{Name: s.streamName()}}); err != nil {
		t.Fatal(err)
	}
	s.waitMirrored(t, name)
}

// waitMirrored waits until a mirror is at the stream's last message.
func (s *system) waitMirrored(t *testing.T, name string) {
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

// promote deletes the stream and puts a mirror in its place.
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

// dumpDatabase backs the database up. restoreDump restores it into the same database, whatever is
// there by then.
func (s *system) dumpDatabase(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "dump")
	s.pgTool(t, "pg_dump", "-Fc", "-f", file, s.database)
	return file
}

// restoreDump replaces the database's content by that of a dump.
func (s *system) restoreDump(t *testing.T, file string) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), `
DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^export' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
END $$`); err != nil {
		t.Fatal(err)
	}
	s.pgTool(t, "pg_restore", "-d", s.database, file)
	s.pool.Reset()
}

// pgTool runs one of PostgreSQL's client programs.
func (s *system) pgTool(t *testing.T, program string, args ...string) (out []byte) {
	t.Helper()
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	out, err = exec.Command(filepath.Join(binaries, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return out
}

// ledgerExport writes an export of the ledger, which has to contain an account, to a file.
func (s *system) ledgerExport(t *testing.T, account string) (file string) {
	t.Helper()
	return writeFile(t, s.mustRun(t, 0, account, "erasures", "export"))
}

// importErasure imports an entry for an account into the ledger, as from an earlier life of the
// stream. The stream has no erased event of it.
func (s *system) importErasure(t *testing.T, account string) {
	t.Helper()
	s.mustRun(t, 0, "1 of them were not", "erasures", "import", writeFile(t, fmt.Sprintf(`{"account":"%s","erased_at":"2026-03-25T07:11:48Z",`+
		`"position":1000,"stream":"CONTROL_PLANE","stream_created":"2026-03-01T00:00:00Z"}`+"\n", account)))
}

// writeFile writes a text to a new file.
func writeFile(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// startHealthy starts `projector run`, and waits until `status` exits with 0.
func (s *system) startHealthy(t *testing.T) {
	t.Helper()
	s.startProjector(t)
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
