package bench

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/store"
)

// stack is a durable PostgreSQL server and a NATS server.
type stack struct {
	nats   *natsserver.Process
	pg     *postgres.Server
	client *stream.Client
	pool   *pgxpool.Pool
}

// newStack starts both, each a process of its own, and provisions them.
func newStack(b testing.TB) *stack {
	b.Helper()
	return newStackWith(b, stackOptions{})
}

// stackOptions are what a stack has otherwise than every one has.
type stackOptions struct {
	settings   map[string]string // of PostgreSQL
	undurable  bool              // PostgreSQL's commits do not wait for the disk, where nothing is measured
	nats       string            // the NATS server's configuration; default: JetStream, and nothing else
	partitions int               // of the stream; default: what provisioning gives it
}

// newStackWith is newStack with options.
func newStackWith(b testing.TB, opt stackOptions) *stack {
	b.Helper()
	ctx := b.Context()
	s := &stack{}
	var err error
	if s.nats, err = natsserver.StartProcess(ctx, natsserver.Options{Dir: b.TempDir(), Config: opt.nats}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.nats.Kill)
	s.pg, err = postgres.Start(ctx, postgres.Options{Durable: !opt.undurable, Settings: opt.settings})
	postgres.Check(b, err)
	b.Cleanup(func() { _ = s.pg.Stop(context.Background()) })
	if s.client, err = stream.Connect(ctx, stream.Config{URL: s.nats.URL(), Logger: quiet()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.client.Close)
	if _, err := s.client.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	if opt.partitions > 0 {
		s.repartition(b, opt.partitions)
	}
	if err := readmodel.Migrate(ctx, s.pg.URL()); err != nil {
		b.Fatal(err)
	}
	if s.pool, err = pgxpool.New(ctx, s.pg.URL()+"&pool_max_conns=20&pool_min_conns=20"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.pool.Close)
	var version string
	if err := s.pool.QueryRow(ctx, `SHOW server_version`).Scan(&version); err != nil {
		b.Fatal(err)
	}
	taken.version("PostgreSQL", version)
	return s
}

// repartition gives the empty stream another number of partitions.
func (s *stack) repartition(b testing.TB, n int) {
	b.Helper()
	js := s.jetStream(b)
	st, err := js.Stream(b.Context(), s.client.Stream())
	if err != nil {
		b.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "controlplane.*.*",
		Destination: fmt.Sprintf("controlplane.{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", n)}
	if _, err := js.UpdateStream(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// run projects until the returned function is called.
func (s *stack) run(b testing.TB, opt engine.Options) (stop func()) {
	b.Helper()
	return s.runAs(b, "bench", opt)
}

// runAs is run for one of several replicas.
func (s *stack) runAs(b testing.TB, name string, opt engine.Options) (stop func()) {
	b.Helper()
	store := store.NewStore(s.pool, name, quiet())
	opt.Logger, opt.Guard = quiet(), stream.Guard
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- engine.New(s.client, store, opt).Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		store.Close(context.Background())
	}
}

// waitProjected waits until everything that the stream holds now is projected.
func (s *stack) waitProjected(b testing.TB) {
	b.Helper()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.waitReached(b, info.Last)
}

// projectAll projects everything that the stream holds, and stops.
func (s *stack) projectAll(b testing.TB) {
	b.Helper()
	stop := s.run(b, engine.Options{})
	s.waitProjected(b)
	stop()
}

// waitReached waits until every checkpoint is at the position.
func (s *stack) waitReached(b testing.TB, position uint64) {
	b.Helper()
	for {
		var low int64
		err := s.pool.QueryRow(b.Context(), `SELECT coalesce(min(position), 0) FROM export.checkpoints`).Scan(&low)
		if err == nil && uint64(low) >= position {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// newLargeStack has 200 ordinary accounts and one with 100,000 sandboxes, all projected.
func newLargeStack(b *testing.B) (s *stack, usual []events.UUID, large events.UUID) {
	b.Helper()
	s = newStack(b)
	usual = publishAccounts(b, s, 200)
	large, _ = events.ParseUUID("3c90c3cc-0d44-4b50-9999-000000000000")
	publishLarge(b, s, large, 100_000)
	s.projectAll(b)
	if _, err := s.pool.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	return s, usual, large
}

// command is a command of the projector on this stack.
func (s *stack) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.pg.URL(), "NATS_URL="+s.nats.URL(), "ADMIN_ADDR=127.0.0.1:0")
	return cmd
}

func buildProjector(b testing.TB) (program string) {
	b.Helper()
	program = filepath.Join(b.TempDir(), "projector")
	if out, err := exec.Command("go", "build", "-o", program, "accountexport/cmd/projector").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return program
}
