package export

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// TestBytesAsText: a bytea, and an array of them, in the text format is decoded in
// either form of bytea_output and as it is stored.
func TestBytesAsText(t *testing.T) {
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 0))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	values := [][]byte{{}, every, []byte("NULL"), []byte(`{"a":[1,"\\\"x\n"]} `), []byte(`\x41`), []byte(`\101`), []byte(`,`), []byte(`"`), []byte(`}`), []byte("plain"), []byte("żółć")}
	const some = "\\\\\"\"{},x0 N\x00\xff\n"
	for range 100 {
		v := make([]byte, rng.IntN(12))
		for i := range v {
			v[i] = some[rng.IntN(len(some))]
		}
		values = append(values, v)
	}
	lists := [][][]byte{nil, values}
	for range 50 {
		at := rng.IntN(len(values))
		lists = append(lists, values[at:min(len(values), at+rng.IntN(4))])
	}
	url := postgres.TestDatabase(t)
	for _, output := range []string{"escape", "hex"} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		if _, err := conn.Exec(t.Context(), "SET bytea_output = "+output); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
			for _, v := range values {
				got := column(t, conn, mode, `SELECT $1::bytea`, v, func(c *columns) []byte { return c.bytes(0) })
				if !bytes.Equal(got, v) {
					t.Errorf("%s, mode %s: %q is read as %q", output, mode, v, got)
				}
			}
			for _, list := range lists {
				got := column(t, conn, mode, `SELECT $1::bytea[]`, list, func(c *columns) (all [][]byte) {
					for _, v := range c.byteaArray(0) {
						all = append(all, bytes.Clone(v))
					}
					return all
				})
				if !slices.EqualFunc(got, list, bytes.Equal) {
					t.Errorf("%s, mode %s: %q is read as %q", output, mode, list, got)
				}
			}
		}
	}
}

func column[T any](t *testing.T, conn *pgx.Conn, mode pgx.QueryExecMode, sql string, arg any, take func(*columns) T) (got T) {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, mode, arg)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		c := newColumns(rows)
		got = take(&c)
		if c.err != nil {
			t.Errorf("%v: %v", arg, c.err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestMalformedTextIsRefused: malformed text is refused, and nothing is read beyond
// its end.
func TestMalformedTextIsRefused(t *testing.T) {
	for _, text := range []string{`\x4`, `\x4g`, `\`, `\1`, `\12`, `a\400`, `\-12`, `\+12`, `a\b`} {
		c := columns{values: [][]byte{[]byte(text)}, text: true}
		if c.bytes(0); c.err == nil {
			t.Errorf("%q is read", text)
		}
	}
	for _, text := range []string{``, `{`, `}`, `{"}`, `{"a}`, `{"a"`, `{"a"b}`, `{a,}`, `{,a}`, `{,}`, `{"a",}`, `{NULL}`, `{a,NULL}`, `{"a\}`, `{"a\"}`, `{"\`, `{a}b}`, `{""""}`} {
		c := columns{values: [][]byte{[]byte(text)}, text: true}
		if c.byteaArray(0); c.err == nil {
			t.Errorf("%q is read", text)
		}
	}
}
