package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"accountexport/events"
	"accountexport/internal/cli/clitest"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
	"accountexport/outbox"
	"accountexport/projections"
)

// TestScripts runs the scripts in testdata/script. Beside the commands that scripts of
// every program have, see [clitest.Scripts], there are
//
//	servers NAME…                a database and a NATS server each: $NAME_DATABASE_URL and $NAME_NATS_URL
//	park NAME STREAM ACCOUNT     publishes a message of the account that no fold accepts
//	raw NAME STREAM SUBJECT FILE publishes what the file holds, on a subject that Go would read between quotes
//	lose NAME ACCOUNT            removes all rows of the account from the live generation
//	outbox NAME N                N events more in an outbox in that database, which is made
//	documented HEADING           compares what was printed last with doc/json.md
//	clean                        fails where anything that was printed last would command a terminal
//	dump NAME STREAM FILE        writes all that the database and the stream hold
func TestScripts(t *testing.T) {
	clitest.Scripts(t, map[string]clitest.Command{"servers": servers, "park": park, "raw": raw, "dump": dump, "lose": lose, "outbox": fillOutbox, "documented": documented, "clean": clean})
}

func TestScriptsShowEveryCommand(t *testing.T) { clitest.Covered(t, tree()) }

// TestFlagsOfEveryCommandAreShown: flags.txtar, which shows with real servers that flags
// count and not the environment, calls every command.
func TestFlagsOfEveryCommandAreShown(t *testing.T) {
	b, err := os.ReadFile("testdata/script/flags.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range theProgram().Commands() {
		if !bytes.Contains(b, []byte(" "+command+" ")) && !bytes.Contains(b, []byte(" "+command+"\n")) {
			t.Errorf("flags.txtar does not call %s", command)
		}
	}
}

// TestEveryCommandIsOnRecord: audit.txtar, which shows what is on record of each call, calls
// every command that looks at an account or acts. The others are named here, and the
// console, whose own tests show that each look and act is on record.
func TestEveryCommandIsOnRecord(t *testing.T) {
	b, err := os.ReadFile("testdata/script/audit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	without := map[string]bool{"run": true, "relay": true, "status": true, "console": true, "completion": true, "help": true}
	for _, command := range theProgram().Commands() {
		called := bytes.Contains(b, []byte(" projector "+command+" ")) || bytes.Contains(b, []byte(" projector "+command+"\n"))
		if !called && !without[strings.Fields(command)[0]] {
			t.Errorf("audit.txtar does not call %s, to show that it is on record or is not", command)
		}
	}
}

func servers(ts *testscript.TestScript, _ bool, names []string) {
	t := clitest.Test(ts)
	for _, name := range names {
		ts.Setenv(name+"_DATABASE_URL", postgres.TestDatabase(t))
		ts.Setenv(name+"_NATS_URL", natsserver.ForTest(t).URL())
	}
}

func connected(ts *testscript.TestScript, name, streamName string) *stream.Client {
	c, err := stream.Connect(clitest.Test(ts).Context(), stream.Config{URL: ts.Getenv(name + "_NATS_URL"), Stream: streamName,
		Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	return c
}

func park(ts *testscript.TestScript, _ bool, args []string) {
	c := connected(ts, args[0], args[1])
	defer c.Close()
	_, err := c.PublishRaw(clitest.Test(ts).Context(), events.Message{Subject: "controlplane.account." + args[2], Data: []byte("hello")})
	ts.Check(err)
}

func raw(ts *testscript.TestScript, _ bool, args []string) {
	c := connected(ts, args[0], args[1])
	defer c.Close()
	subject, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	_, err = c.PublishRaw(clitest.Test(ts).Context(), events.Message{Subject: subject, Data: []byte(ts.ReadFile(args[3]))})
	ts.Check(err)
}

func fillOutbox(ts *testscript.TestScript, _ bool, args []string) {
	ctx := clitest.Test(ts).Context()
	conn, err := pgx.Connect(ctx, ts.Getenv(args[0]+"_DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	ts.Check(outbox.Migrate(ctx, conn))
	_, err = conn.Exec(ctx, `SELECT outbox.write('controlplane.account.3c90c3cc-0d44-4b50-8888-8dd25736052a',
		'{"type": "controlplane.user.restored.v1", "source": "/t"}') FROM generate_series(1, $1::int)`, args[1])
	ts.Check(err)
}

// lose removes an account from every table of the first generation that has a column
// account_id.
func lose(ts *testscript.TestScript, _ bool, args []string) {
	ctx := clitest.Test(ts).Context()
	conn, err := pgx.Connect(ctx, ts.Getenv(args[0]+"_DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT format('%I.%I', c.table_schema, c.table_name)
		FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = 'export_g1' AND c.column_name = 'account_id' AND t.table_type = 'BASE TABLE'
		ORDER BY c.table_name DESC`)
	ts.Check(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	ts.Check(err)
	removed := int64(0)
	for _, table := range tables {
		tag, err := conn.Exec(ctx, `DELETE FROM `+table+` WHERE account_id = $1`, args[1])
		ts.Check(err)
		removed += tag.RowsAffected()
	}
	if removed == 0 {
		ts.Fatalf("no table holds account %s", args[1])
	}
}

func clean(ts *testscript.TestScript, _ bool, _ []string) {
	said := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if said == "" {
		ts.Fatalf("nothing was printed")
	}
	at := strings.IndexFunc(said, func(c rune) bool { return !strconv.IsPrint(c) && c != '\n' && c != '\t' || c == utf8.RuneError })
	if at >= 0 {
		ts.Fatalf("it prints %q", said[max(0, at-40):min(len(said), at+40)])
	}
	if strings.Contains(said, "\nMADE UP") {
		ts.Fatalf("it prints a line that came out of a message")
	}
}

func dump(ts *testscript.TestScript, _ bool, args []string) {
	var out strings.Builder
	ctx := clitest.Test(ts).Context()
	ts.Check(dumpStream(ctx, connected(ts, args[0], args[1]), &out))
	ts.Check(dumpDatabase(ctx, ts.Getenv(args[0]+"_DATABASE_URL"), &out))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(out.String()), 0o600))
}

func dumpStream(ctx context.Context, c *stream.Client, out io.Writer) error {
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "stream %s of %s: %d to %d\n", info.Name, info.Created, info.First, info.Last)
	return c.ReadAll(ctx, func(m projections.Message) error { return json.NewEncoder(out).Encode(m) })
}

// dumpDatabase writes every row of every table, and in which version.
func dumpDatabase(ctx context.Context, url string, out io.Writer) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
		ORDER BY 1`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, table := range tables {
		fmt.Fprintf(out, "\n%s\n", table)
		if _, err := conn.PgConn().CopyTo(ctx, out, `COPY (SELECT t.ctid, t.xmin, t.* FROM `+table+` t ORDER BY t.ctid) TO STDOUT`); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}
