package bench

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/testrun"
)

// peer is a program that a team would build instead of the projector: one of bench/peers.
type peer struct {
	name    string // in tables
	program string // and schema, and what its consumers are called
	path    string
	watch   string // a query for the position of each account
}

const documentPositions = `SELECT account_id, position FROM documents`

// buildPeers builds those that fold.
func buildPeers(t testing.TB) []*peer {
	t.Helper()
	all := []*peer{
		{name: "per message", program: "permessage", watch: documentPositions},
		{name: "Watermill", program: "watermill", watch: documentPositions},
		{name: "batches", program: "batches", watch: `SELECT account_id, (SELECT position FROM checkpoint) FROM users`},
	}
	for _, p := range all {
		p.path = testrun.GoTool(t, "../../bench/peers", "./"+p.program)
	}
	return all
}

// peerStack is what peers run on beside the projector.
type peerStack struct {
	*stack
	js jetstream.JetStream
}

func newPeerStack(t testing.TB, s *stack) *peerStack {
	t.Helper()
	return &peerStack{s, s.jetStream(t)}
}

// in is the database's URL for a schema, with a connection for each partition, which no
// peer has use for more than.
func (s *peerStack) in(schema string) string {
	return s.pg.URL() + "&search_path=" + url.QueryEscape(schema) + "&pool_max_conns=16"
}

// forgetPeer drops what a peer has stored, here and in the stream.
func (s *peerStack) forgetPeer(t testing.TB, p *peer) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.pool.Exec(ctx, `DROP SCHEMA IF EXISTS `+p.program+` CASCADE; CREATE SCHEMA `+p.program); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(ctx, `CHECKPOINT`); err != nil {
		t.Fatal(err)
	}
	stream, err := s.js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.consumers(t, p, stream) {
		if err := stream.DeleteConsumer(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
}

// consumers are a peer's durable ones.
func (s *peerStack) consumers(t testing.TB, p *peer, stream jetstream.Stream) map[string]*jetstream.ConsumerInfo {
	t.Helper()
	all := map[string]*jetstream.ConsumerInfo{}
	list := stream.ListConsumers(t.Context())
	for c := range list.Info() {
		if strings.HasPrefix(c.Name, p.program+"-") {
			all[c.Name] = c
		}
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// start starts a peer.
func (s *peerStack) start(t testing.TB, p *peer) *projectorProcess {
	t.Helper()
	cmd := exec.Command(p.path)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.in(p.program), "NATS_URL="+s.nats.URL())
	return startProcess(t, cmd)
}

// waitPeer waits until a peer, which runs, has committed and acknowledged everything up
// to a position.
func (s *peerStack) waitPeer(t testing.TB, p *peer, run *projectorProcess, position uint64) {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Minute); !s.reached(t, p, stream, position); {
		select {
		case <-run.Ended():
			t.Fatalf("%s has ended: %s", p.name, run.out)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not at %d after ten minutes: %s", p.name, position, run.out)
		}
	}
}

func (s *peerStack) reached(t testing.TB, p *peer, stream jetstream.Stream, position uint64) bool {
	t.Helper()
	if p.program == "batches" {
		var at uint64
		err := s.pool.QueryRow(t.Context(), `SELECT position FROM batches.checkpoint`).Scan(&at)
		return err == nil && at >= position // before its start there is no table
	}
	all := s.consumers(t, p, stream)
	for _, c := range all {
		if c.NumPending > 0 || c.NumAckPending > 0 {
			return false
		}
	}
	return len(all) == 16
}

// catchUpPeer runs a peer until it has caught up.
func (s *peerStack) catchUpPeer(t testing.TB, p *peer, position uint64) (cpu time.Duration, peak int64) {
	t.Helper()
	run := s.start(t, p)
	s.waitPeer(t, p, run, position)
	return run.stop(t)
}

// positions is the peer's query within its schema.
func (p *peer) positions(context.Context) (string, error) {
	sql := strings.NewReplacer("FROM documents", "FROM "+p.program+".documents", "FROM users", "FROM "+p.program+".users",
		"FROM checkpoint", "FROM "+p.program+".checkpoint")
	return sql.Replace(p.watch), nil
}
