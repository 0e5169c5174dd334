package rows

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// DismissalTables say which parked messages were dismissed, and which dismissals were
// taken back. They are outside the generations.
var DismissalTables = []string{"dismissals", "undismissals"}

// queueParked stores the messages that were parked, in stream order.
func queueParked(q QueueFunc, b *engine.Batch) {
	if len(b.Parked) == 0 {
		return
	}
	parked := slices.SortedFunc(slices.Values(b.Parked), func(x, y projections.ParkedMessage) int {
		return cmp.Compare(x.Position, y.Position)
	})
	for rest := parked; len(rest) > 0; {
		n := inOneStatement(len(rest), func(i int) int { return len(rest[i].Payload) })
		queueParkedRows(q, b.Generation, rest[:n])
		rest = rest[n:]
	}
	QueueDismissed(q, b)
}

// queueParkedRows stores messages by one statement.
func queueParkedRows(q QueueFunc, generation int64, parked []projections.ParkedMessage) {
	n := len(parked)
	positions, partitions, accounts, sent := make([]int64, n), make([]int32, n), make([]*[16]byte, n), make([]time.Time, n)
	subjects, types, reasons := make([]string, n), make([]string, n), make([]string, n)
	headers, payloads := make([][]byte, n), make([][]byte, n)
	for i, m := range parked {
		positions[i], partitions[i], accounts[i], sent[i] = int64(m.Position), int32(m.Partition), (*[16]byte)(m.Account), m.Time
		subjects[i], types[i], reasons[i] = printable(m.Subject), printable(m.Type), printable(m.Reason)
		headers[i], payloads[i] = headerLines(m.Header), append([]byte{}, m.Payload...)
	}
	q(readmodel.InSchema(generation, `
INSERT INTO {schema}.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT * FROM unnest($1::bigint[], $2::integer[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])`),
		positions, partitions, accounts, sent, subjects, types, reasons, headers, payloads)
}

// QueueDismissed counts the messages of the batch that were dismissed before, in
// another generation or before a refold, as dismissed in their accounts' rows.
func QueueDismissed(q QueueFunc, b *engine.Batch) {
	if len(b.Parked) == 0 {
		return
	}
	positions := make([]int64, len(b.Parked))
	for i, m := range b.Parked {
		positions[i] = int64(m.Position)
	}
	q(readmodel.InSchema(b.Generation, `
UPDATE {schema}.account_export a SET dismissed = a.dismissed + d.n
FROM (SELECT d.account_id, count(*) AS n FROM export.dismissals d
    JOIN export.generations g ON g.stream_name = d.stream_name AND g.stream_created = d.stream_created
    WHERE g.generation = $1 AND d.position = ANY($2) GROUP BY d.account_id) d
WHERE a.account_id = d.account_id`), b.Generation, positions)
}

// printable makes any bytes a text that PostgreSQL accepts. What it accepts anyway
// stays as it is; anything else is quoted.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// headerLines are a message's headers as lines, sorted by name.
func headerLines(h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b := bytes.NewBuffer([]byte{})
	for _, name := range names {
		for _, value := range h[name] {
			fmt.Fprintf(b, "%s: %s\r\n", name, value)
		}
	}
	return b.Bytes()
}
