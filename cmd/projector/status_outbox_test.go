package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/relay"
)

// TestSilentOutboxIsGivenUp: a database that takes connections and never answers does
// not keep status from showing the rest: its limit ends the look, not the caller's.
func TestSilentOutboxIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cfg, err := pgx.ParseConfig("postgres://u:hunter2@" + silent.Addr().String() + "/x?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	c := statusCommand{timeout: time.Second}
	if c.outboxPool, err = newOutboxPool(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.pollOutbox(t.Context())
	if c.outbox != nil || c.outboxErr == nil {
		t.Fatalf("found %v, %v in an outbox that does not answer", c.outbox, c.outboxErr)
	}
	if got := outboxStatusOf(c.outbox, c.outboxErr); got.Pending != nil || !strings.Contains(got.Error, "its database has not answered for 500ms") {
		t.Errorf("it is shown as %+v", got)
	}
}

// TestTheStatementThatGivesUpNamesTheMessage: also where its id has characters that are not
// printed as they are, of which the statement would find none.
func TestTheStatementThatGivesUpNamesTheMessage(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"a'b":                  "DELETE FROM outbox.messages WHERE id = 'a''b'\n",
		"soft\u00adhyphen":     "DELETE FROM outbox.messages WHERE subject = 'controlplane.account.x' AND number = 7\n",
		"right\u202eto left\"": "DELETE FROM outbox.messages WHERE subject = 'controlplane.account.x' AND number = 7\n",
	} {
		var b strings.Builder
		if err := printOutbox(&b, &relay.Status{Refused: []relay.Refused{{Subject: "controlplane.account.x", Number: 7, ID: id, Reason: "too large"}}}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(b.String(), want) {
			t.Errorf("%q: printed is %s", id, b.String())
		}
	}
}
