package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/outbox"
)

// rehearsals are the situations of the runbook's entries, by their headings.
func rehearsals() map[string]rehearsal {
	all := alertRehearsals()
	maps.Copy(all, apiRehearsals())
	maps.Copy(all, relayRehearsals())
	maps.Copy(all, exitRehearsals())
	return all
}

// notRehearsed are the entries whose situation no test makes, and why.
func notRehearsed() map[string]string {
	return map[string]string{
		"ProjectorPoolExhausted":  "run takes as many connections as it has lanes; only a defect or a pool_max_conns of four exhausts them",
		"ApiObjectiveBurningSlow": "its commands are those of ApiObjectiveBurningFast",
		"ApiSpoolExhausted":       "two gigabytes of documents have to wait for slow clients",
	}
}

// alertRehearsals are those of the projector's alerts.
func alertRehearsals() map[string]rehearsal {
	return map[string]rehearsal{
		"ProjectorDown": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.systemdDoes(t, "kill", "--signal=SIGKILL", "accountexport-projector")
			return o
		}},
		"ProjectorNotProgressing": {situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.asItsLogin(t)
			lock(t, o.database, "LOCK TABLE export.checkpoints IN EXCLUSIVE MODE")
			o.publishSandbox(t, someone, "sbx-new")
			return o
		}},
		"ProjectorLagGrowing": slowDatabase(),
		"ProjectorRefused": {first: "Exit 18: messages are missing", situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.deleteMessage(t, 5)
			o.unit("accountexport-projector").process.mustExit(t, 18)
			return o
		}},
		"ProjectorPartitionsUnowned": {situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.unit("accountexport-projector").process.signal(syscall.SIGSTOP)
			return o
		}},
		"ProjectorRestartLoop": {quick: true, situation: wrongSetting, byHand: rightSetting},
		"ProjectorEventsParked": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.publishRaw(t, "controlplane.account."+someone, wrongEmail)
			o.waitProjected(t)
			return o
		}},
		"ProjectorAuditDifferences": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.execute(t, `UPDATE export_g1.account_export SET quota_tier_id = 'nobodys' WHERE account_id = '`+someone+`'`)
			return o
		}},
		"ProjectorErasureUnfinished": {situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.publishRaw(t, "controlplane.account.typo", `{"email":"someone@example.org"}`)
			o.waitProjected(t)
			o.killBeforeClearing(t, "erase", "--account", someone)
			return o
		}, after: func(t *testing.T, o *onCall) { o.checkErased(t, someone) }},
		"ProjectorLedgerNotExported": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.erase(t, another, 0, nothingLeft)
			o.execute(t, `UPDATE export.erasures SET entered_at = entered_at - interval '2 days'`)
			return o
		}},
		"ProjectorGenerationAbandoned": {situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.mustPublish(t, workload.New(33, workload.Config{Accounts: 10}), 3000)
			o.waitProjected(t)
			rebuild := launch(t, "projector", o.settings, "rebuild", "--max-rate", "500")
			eventually(t, "a generation to be built", time.Minute, func(ctx context.Context) error {
				var n int
				err := o.pool.QueryRow(ctx, `SELECT count(*) FROM export.generations g JOIN export.checkpoints c USING (generation) WHERE state = 'building' AND position > 0`).Scan(&n)
				if err == nil && n == 0 {
					err = errors.New("none is")
				}
				return err
			})
			rebuild.kill()
			return o
		}},
		"ProjectorPaused": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.mustRun(t, 0, "paused", "pause", "--note", "moving the disk")
			o.publishSandbox(t, someone, "sbx-new")
			return o
		}},
		"ProjectorStreamOffContract": {quick: true, situation: func(t *testing.T) *onCall {
			natsCommand(t)
			o := healthy(t)
			o.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxAge = 24 * time.Hour })
			return o
		}},
	}
}

// slowDatabase is a projector that is behind, since the network to its database is slow, until
// somebody mends that.
func slowDatabase() rehearsal {
	networks := map[*onCall]*tcpproxy.Proxy{}
	return rehearsal{
		situation: func(t *testing.T) *onCall {
			o := healthy(t)
			network := tcpproxy.ForTest(t, o.databaseAddr())
			network.Set(tcpproxy.Shape{Delay: 5 * time.Millisecond, BytesPerSecond: 100_000})
			networks[o] = network
			o.edit(t, o.login, o.databaseThrough(t, network))
			o.edit(t, "", "BATCH_EVENTS=\"1000\"\n")
			o.systemdDoes(t, "restart", "accountexport-projector")
			o.mustPublish(t, workload.New(34, workload.Config{Accounts: 500}), 40_000)
			return o
		},
		byHand: func(_ *testing.T, o *onCall) { networks[o].Set(tcpproxy.Shape{}) },
	}
}

// wrongEmail is an event of which the producer got a field wrong.
const wrongEmail = `{"specversion":"1.0","id":"wrong-1","source":"/test","type":"controlplane.user.email_changed.v1","time":"2026-03-25T07:11:48Z","data":{"email":{"addr":"a@example.org"}}}`

// execute changes the database in a way that no program would.
func (o *onCall) execute(t *testing.T, sql string) {
	t.Helper()
	if tag, err := o.pool.Exec(t.Context(), sql); err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("%s: %v, %v", sql, tag, err)
	}
}

// lock is a session of somebody else that keeps a table to itself until it is ended.
func lock(t *testing.T, database, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "SET application_name = 'somebody'; BEGIN; "+sql); err != nil {
		t.Fatal(err)
	}
}

// asItsLogin gives the projector's settings the login of doc/operating.md in place of the
// administrator, as whoever is on call finds them: it ends nobody else's session.
func (o *onCall) asItsLogin(t *testing.T) {
	t.Helper()
	u, err := url.Parse(o.database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("projector_on_call")
	execute(t, o.database, `DO $$ BEGIN CREATE ROLE projector_on_call LOGIN IN ROLE accountexport_projector;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`) // another rehearsal on this server was first
	o.edit(t, o.database, u.String())
}

// wrongSetting is a projector that is started with a setting that nobody can use.
func wrongSetting(t *testing.T) *onCall {
	t.Helper()
	o := healthy(t)
	o.edit(t, "", "LANES=\"many\"\n")
	o.systemdDoes(t, "restart", "accountexport-projector")
	o.unit("accountexport-projector").process.mustExit(t, 2)
	return o
}

func rightSetting(t *testing.T, o *onCall) {
	t.Helper()
	o.edit(t, "LANES=\"many\"\n", "")
}

// edit replaces a text in the projector's settings; "" is their end.
func (o *onCall) edit(t *testing.T, from, to string) {
	t.Helper()
	file := o.unit("accountexport-projector").settings
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if from == "" {
		text += to
	} else if text = strings.Replace(text, from, to, 1); text == string(b) {
		t.Fatalf("%s has no %q", file, from)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// apiRehearsals are those of the API's alerts.
func apiRehearsals() map[string]rehearsal {
	return map[string]rehearsal{
		"ApiDown": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t, "api")
			o.systemdDoes(t, "kill", "--signal=SIGKILL", "accountexport-api")
			return o
		}},
		"ApiDatabaseDown": {situation: func(t *testing.T) *onCall {
			o := healthyAt(t, newServer(t, postgres.Options{}), "api", "postgresql")
			if err := o.pg.StopImmediate(t.Context()); err != nil {
				t.Fatal(err)
			}
			o.ask(t) // readers find out first
			return o
		}},
		"ApiPoolExhausted": {first: "ApiObjectiveBurningFast", situation: func(t *testing.T) *onCall {
			o := healthy(t, "api")
			lock(t, o.database, "LOCK TABLE export_g1.account_export")
			token := mintToken(t, uuid(t, someone))
			for range 40 { // more than there are connections
				go func() { _, _, _, _ = get(t.Context(), "http://"+o.addresses["8080"]+"/v1/account/export", token) }()
			}
			return o
		}},
		"ApiObjectiveBurningFast": {situation: func(t *testing.T) *onCall {
			o := healthy(t, "api")
			o.asItsLogin(t)
			lock(t, o.database, "LOCK TABLE export_g1.account_export")
			o.ask(t)
			return o
		}},
	}
}

// ask asks the API for the account until it answers 503.
func (o *onCall) ask(t *testing.T) {
	t.Helper()
	token := mintToken(t, uuid(t, someone))
	eventually(t, "the API to fail", time.Minute, func(ctx context.Context) error {
		status, _, body, err := get(ctx, "http://"+o.addresses["8080"]+"/v1/account/export", token)
		if err == nil && status != 503 {
			err = fmt.Errorf("%d: %.100s", status, body)
		}
		return err
	})
}

// relayRehearsals are those of the relay's alerts.
func relayRehearsals() map[string]rehearsal {
	start := func(t *testing.T) *onCall {
		t.Helper()
		s := newOutboxSystem(t)
		return healthyAt(t, s.system, "relay")
	}
	return map[string]rehearsal{
		"RelayDown": {situation: func(t *testing.T) *onCall {
			o := start(t)
			o.systemdDoes(t, "kill", "--signal=SIGKILL", "accountexport-relay")
			o.write(t, "of the relay's")
			return o
		}},
		"RelayBehind": {situation: func(t *testing.T) *onCall {
			o := start(t)
			o.unit("accountexport-relay").process.signal(syscall.SIGSTOP)
			o.write(t, "of the relay's")
			return o
		}},
		"RelayRefused": {situation: func(t *testing.T) *onCall {
			natsCommand(t)
			o := start(t)
			o.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 2000 })
			o.write(t, strings.Repeat("x", 3000))
			return o
		}},
	}
}

// write writes an event of the account to the outbox.
func (o *onCall) write(t *testing.T, metadata string) {
	t.Helper()
	m, err := events.NewSandboxCreated(newMeta("of-the-outbox"), uuid(t, someone), events.SandboxCreated{ID: "sbx-outbox", Template: "x", Metadata: []byte(`{"note":"` + metadata + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := pgx.BeginFunc(t.Context(), o.pool, func(tx pgx.Tx) error { return outbox.Write(t.Context(), tx, m) }); err != nil {
		t.Fatal(err)
	}
}

// natsCommand requires the nats command.
func natsCommand(t *testing.T) {
	t.Helper()
	testrun.Tool(t, "nats", "go install github.com/nats-io/natscli/nats@v0.5.0")
}
