package readmodel_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestOutcomesOfAMember: what a replica has counted is read back as it was noted, the last
// note in the place of the one before. A replica that is no member has nowhere to note it, and one
// that has not told is told from one that has counted nothing of some type.
func TestOutcomesOfAMember(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	owner := ownerOf(t, pool, 0)
	read := func() map[projections.TypeOutcome]int64 {
		t.Helper()
		st, err := admin.ReadStatus(t.Context(), pool)
		if err != nil || len(st.Members) != 1 {
			t.Fatalf("members %+v, %v", st.Members, err)
		}
		return st.Members[0].Outcomes
	}
	if got := read(); got != nil {
		t.Errorf("before anything was noted: %v", got)
	}
	applied, parked := projections.TypeOutcome{Type: "user.registered.v1", Outcome: projections.Applied}, projections.TypeOutcome{Type: "other", Outcome: projections.Parked}
	for _, counted := range []map[projections.TypeOutcome]int64{{applied: 3}, {applied: 1 << 40, parked: 2}} {
		if member, err := readmodel.NoteOutcomes(t.Context(), pool, owner, counted); err != nil || !member {
			t.Fatalf("noted is %v, %v", member, err)
		}
		if diff := cmp.Diff(counted, read()); diff != "" {
			t.Errorf("(-noted +read):\n%s", diff)
		}
	}
	if member, err := readmodel.NoteOutcomes(t.Context(), pool, "somebody else", map[projections.TypeOutcome]int64{applied: 1}); err != nil || member {
		t.Errorf("of no member noted is %v, %v", member, err)
	}
	for text, want := range map[string]int{`{"other":{"parked":2,"of a newer program":1}}`: 1, `[1]`: 0, `{"other":"x"}`: 0, `null`: 0} {
		readmodeltest.Exec(t, pool, `UPDATE export.members SET outcomes = '`+text+`'`)
		if got := read(); len(got) != want {
			t.Errorf("%s is read as %v", text, got)
		}
	}
	readmodeltest.Exec(t, pool, `ALTER TABLE export.members DROP COLUMN outcomes`)
	if _, err := readmodel.NoteOutcomes(t.Context(), pool, owner, nil); !errors.Is(err, readmodel.ErrSchemaOutdated) {
		t.Errorf("with the schema of an older program: %v", err)
	}
	if _, err := admin.ReadStatus(t.Context(), pool); !errors.Is(err, readmodel.ErrSchemaOutdated) {
		t.Errorf("reading with the schema of an older program: %v", err)
	}
}
