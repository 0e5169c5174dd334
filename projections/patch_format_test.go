package projections

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestWaitingPatchesKeepTheirStoredForm compares the stored form of patches with what
// earlier versions have written: it is in databases, its digests are in their rows, and
// its keys are the names of Go fields, which nobody may rename.
func TestWaitingPatchesKeepTheirStoredForm(t *testing.T) {
	at, text, never := events.Time(1_774_429_847_000_000), events.Some("x"), events.Clear[events.Time]()
	got := map[string]string{}
	for kind, p := range map[string]patch{
		"user": &userPatch{At: at, Email: text, Tier: text, QuotaTierID: text, IsOperator: events.Some(true), Name: text, DisplayName: text,
			AvatarURL: events.Clear[string](), EmailVerifiedAt: events.Some(at), SoftDeletedAt: never, DeleteScheduledAt: never,
			Flags: []events.Flag{{Name: "a", Value: []byte(`{"n":1.0}`)}, {Name: "b"}}},
		"team":    &teamPatch{At: at, Name: text, Slug: text, OwnerUserID: events.Some(events.UUID{1}), QuotaTierID: text, SoftDeletedAt: never},
		"key":     &keyPatch{Name: text, Scope: text, ExpiresAt: never, IsActive: events.Some(false), UsedAt: events.Some(at), RevokedAt: events.Some(at)},
		"sandbox": &sandboxPatch{At: at, Status: text, Metadata: []byte(`{"a":1}`), StartedAt: events.Some(at), DestroyedAt: never},
		"none":    &sandboxPatch{},
	} {
		b, err := encodePatch(p)
		if err != nil {
			t.Fatal(err)
		}
		got[kind] = string(b)
	}
	want := map[string]string{
		"user":    `{"At":"2026-03-25T09:10:47Z","Email":{"Set":true,"Value":"x"},"Tier":{"Set":true,"Value":"x"},"QuotaTierID":{"Set":true,"Value":"x"},"IsOperator":{"Set":true,"Value":true},"Name":{"Set":true,"Value":"x"},"DisplayName":{"Set":true,"Value":"x"},"AvatarURL":{"Set":true,"Null":true},"EmailVerifiedAt":{"Set":true,"Value":"2026-03-25T09:10:47Z"},"SoftDeletedAt":{"Set":true,"Null":true},"DeleteScheduledAt":{"Set":true,"Null":true},"Flags":[{"Name":"a","Value":"eyJuIjoxLjB9"},{"Name":"b"}]}`,
		"team":    `{"At":"2026-03-25T09:10:47Z","Name":{"Set":true,"Value":"x"},"Slug":{"Set":true,"Value":"x"},"OwnerUserID":{"Set":true,"Value":"01000000-0000-0000-0000-000000000000"},"QuotaTierID":{"Set":true,"Value":"x"},"SoftDeletedAt":{"Set":true,"Null":true}}`,
		"key":     `{"Name":{"Set":true,"Value":"x"},"Scope":{"Set":true,"Value":"x"},"ExpiresAt":{"Set":true,"Null":true},"IsActive":{"Set":true},"UsedAt":{"Set":true,"Value":"2026-03-25T09:10:47Z"},"RevokedAt":{"Set":true,"Value":"2026-03-25T09:10:47Z"}}`,
		"sandbox": `{"At":"2026-03-25T09:10:47Z","Status":{"Set":true,"Value":"x"},"Metadata":"eyJhIjoxfQ==","StartedAt":{"Set":true,"Value":"2026-03-25T09:10:47Z"},"DestroyedAt":{"Set":true,"Null":true}}`,
		"none":    `{}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
