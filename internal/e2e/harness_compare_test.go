package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/internal/oracle"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// foldByOracle folds the whole stream with the oracle, an independent implementation of the
// contract. Each observer is called after every message.
func (s *system) foldByOracle(t testing.TB, each ...func(*oracle.Fold, projections.Message)) (*oracle.Fold, int) {
	t.Helper()
	fold, n := oracle.New(), 0
	see := func(m projections.Message) error {
		fold.Apply(oracle.Message{Position: m.Position, Subject: m.Subject, Header: m.Header, Data: m.Data})
		for _, also := range each {
			also(fold, m)
		}
		n++
		return nil
	}
	err := s.client.ReadAll(t.Context(), see)
	// A server that has just come back may end a reading before its first message.
	for end := time.Now().Add(20 * time.Second); n == 0 && errors.Is(err, stream.ErrConsumerGone) && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		err = s.client.ReadAll(t.Context(), see)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fold, n
}

// checkAgainstOracle compares every document, every parked message and every count in the database
// with the oracle.
func (s *system) checkAgainstOracle(t testing.TB) (accounts, messages int) {
	t.Helper()
	want, messages := s.foldByOracle(t)
	s.checkSpan(t, messages)
	return s.checkAgainst(t, want, messages), messages
}

// checkSpan requires that the messages that were read and those that the server counts as deleted
// add up to the stream's last position, and that the server lists as many deleted messages as it
// counts.
func (s *system) checkSpan(t testing.TB, messages int) {
	t.Helper()
	info, gone, err := s.client.Deleted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if uint64(messages)+info.Missing() != info.Last || gone.Count() != info.Missing() {
		t.Errorf("%d messages are read, %d missing and %d listed as deleted, of %d", messages, info.Missing(), gone.Count(), info.Last)
	}
}

// checkAgainst compares the database with a fold of the oracle.
func (s *system) checkAgainst(t testing.TB, want *oracle.Fold, messages int) (accounts int) {
	t.Helper()
	s.verifyCounts(t, want, messages)
	s.verifyParked(t, want)
	s.checkDigests(t)
	exports := export.NewReader(s.pool)
	for _, id := range want.Accounts() {
		w := want.Account(id)
		account, err := events.ParseUUID(id)
		if err != nil {
			t.Fatal(err)
		}
		d, err := exports.Open(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		if d.Position != w.Position || d.Parked != w.Parked || stateName(d.State) != w.State {
			t.Errorf("account %s: %s at %d with %d parked, oracle has %s at %d with %d", id, stateName(d.State), d.Position,
				d.Parked, w.State, w.Position, w.Parked)
		}
		if d.State == export.Complete {
			var body bytes.Buffer
			if _, err := d.WriteTo(&body); err != nil {
				t.Fatal(err)
			}
			if d.TierPosition != w.TierPosition {
				t.Errorf("account %s: tier at %d, oracle has %d", id, d.TierPosition, w.TierPosition)
			}
			if diff := oracle.Diff(w.Document, body.Bytes()); diff != "" {
				t.Errorf("account %s: %s", id, diff)
			}
		}
		d.Close()
	}
	return len(want.Accounts())
}

func stateName(s export.State) oracle.State {
	return map[export.State]oracle.State{export.Unknown: oracle.NeverHeardOf, export.Incomplete: oracle.Incomplete,
		export.Complete: oracle.Complete, export.Erased: oracle.Erased}[s]
}

// verifyCounts requires that every message is counted under the outcome that the oracle gives it.
func (s *system) verifyCounts(t testing.TB, want *oracle.Fold, messages int) {
	t.Helper()
	st, err := admin.ReadStatus(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	got, total := map[oracle.Outcome]int{}, 0
	for _, p := range st.Partitions {
		for _, o := range projections.Outcomes() {
			got[oracle.Outcome(o.String())] += int(p.Tally[o])
			total += int(p.Tally[o])
		}
	}
	wanted := map[oracle.Outcome]int{}
	for _, byOutcome := range want.Totals() {
		for o, n := range byOutcome {
			wanted[o] += n
		}
	}
	for o, n := range wanted {
		if got[o] != n {
			t.Errorf("%d messages counted as %s, oracle has %d", got[o], o, n)
		}
	}
	if total != messages {
		t.Errorf("%d messages counted, and the stream holds %d", total, messages)
	}
}

// verifyParked requires that the parked messages are those of the oracle.
func (s *system) verifyParked(t testing.TB, want *oracle.Fold) {
	t.Helper()
	parked := map[uint64]string{}
	for _, p := range want.ParkedMessages() {
		parked[p.Position] = p.Account
	}
	err := admin.ListParked(t.Context(), s.pool, admin.ParkedFilter{}, 1<<30, func(m admin.Parked) error {
		account, there := parked[m.Position]
		if delete(parked, m.Position); !there {
			t.Errorf("message %d is parked (%s), and by the oracle it is not", m.Position, m.Reason)
		}
		var got string
		if m.Account != nil {
			got = m.Account.String()
		}
		if got != account {
			t.Errorf("parked message %d belongs to %q, oracle has %q", m.Position, got, account)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for position := range parked {
		t.Errorf("message %d is not parked, and by the oracle it is", position)
	}
}

// checkDigests requires that every row of the live generation has the count and the digest of its
// messages.
func (s *system) checkDigests(t testing.TB) {
	t.Helper()
	g, err := readmodel.LiveGeneration(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	var silent int
	err = s.pool.QueryRow(t.Context(), fmt.Sprintf(`
SELECT count(*) FROM export_g%d.account_export WHERE counted_at IS DISTINCT FROM position OR num_nulls(messages, digest_high, digest_low) > 0`,
		g.Number)).Scan(&silent)
	if err != nil || g.Format >= readmodel.FormatCounted && silent > 0 {
		t.Errorf("%d rows do not say what went into them: %v", silent, err)
	}
}

// documents is a text of all documents that are served.
func (s *system) documents(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	exports := export.NewReader(s.pool)
	err := admin.EachAccount(t.Context(), s.pool, func(id events.UUID) error {
		d, err := exports.Open(t.Context(), id)
		if err != nil {
			return err
		}
		defer d.Close()
		fmt.Fprintf(&all, "%s %s ", id, d.ETag())
		if d.State == export.Complete {
			_, err = d.WriteTo(&all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// completeAccounts lists the accounts that have a document.
func (s *system) completeAccounts(t *testing.T) (ids []events.UUID) {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `
SELECT account_id FROM export_g1.account_export WHERE user_json IS NOT NULL AND team_json IS NOT NULL
    AND quota_tier_id IN (SELECT id FROM export_g1.quota_tiers) AND erased_at IS NULL ORDER BY account_id`)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range raw {
		ids = append(ids, id)
	}
	return ids
}

// storedRows is a text of all rows of the first generation.
func (s *system) storedRows(t *testing.T) (rows string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `
SELECT string_agg(a::text, ' ' ORDER BY account_id) FROM export_g1.account_export a`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// streamSummary is a text of the stream's messages, positions and id.
func (s *system) streamSummary(t *testing.T) string {
	t.Helper()
	info := s.info(t)
	return fmt.Sprintf("%d messages from %d to %d, id %q", info.Messages, info.First, info.Last, info.ID)
}
