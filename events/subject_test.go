package events_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

func TestParseSubject(t *testing.T) {
	const id = "64c38c41-1961-4698-82a7-af9eab79b005"
	account := events.Subject{Kind: events.SubjectAccount, Account: mustUUID(t, id)}
	tier := func(id string) events.Subject { return events.Subject{Kind: events.SubjectTier, Tier: id} }
	var unsound events.Subject
	for _, test := range []struct {
		published string
		want      events.Subject
	}{
		{"controlplane.account." + id, account},
		{"controlplane.quota_tier.free", tier("free")},
		{"controlplane.quota_tier.Enterprise_1-x", tier("Enterprise_1-x")},
		{"controlplane.quota_tier." + strings.Repeat("x", 64), tier(strings.Repeat("x", 64))},
		{"controlplane.quota_tier." + id, tier(id)},

		{"", unsound},
		{"controlplane", unsound},
		{"controlplane.account", unsound},
		{"controlplane.account.", unsound},
		{"controlplane.account." + strings.ToUpper(id), unsound},
		{"controlplane.account." + id + ".", unsound},
		{"controlplane.account." + id + ".x", unsound},
		{"controlplane.account." + id[1:], unsound},
		{"controlplane.account.{" + id + "}", unsound},
		{"controlplane.account.64c38c4119614698" + "82a7af9eab79b005", unsound},
		{"controlplane.account.64c38c41_1961-4698-82a7-af9eab79b005", unsound},
		{"controlplane.account.64c38c41-1961-4698-82a7-af9eab79b00g", unsound},
		{"controlplane.Account." + id, unsound},
		{"controlplane.accounts." + id, unsound},
		{"controlplane.7.account." + id, unsound},
		{" controlplane.account." + id, unsound},
		{"controlplane.account." + id + "\n", unsound},
		{"controlplane.quota_tier.", unsound},
		{"controlplane.quota_tier.a b", unsound},
		{"controlplane.quota_tier.a.b", unsound},
		{"controlplane.quota_tier.é", unsound},
		{"controlplane.quota_tier.*", unsound},
		{"controlplane.quota_tier." + strings.Repeat("x", 65), unsound},
		{"other.account." + id, unsound},
	} {
		if diff := cmp.Diff(test.want, events.ParseSubject(test.published)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.published, diff)
		}
	}
	if got := events.ParseSubject(events.AccountSubject(account.Account)); got != account {
		t.Errorf("the subject made of an account is read back as %v", got)
	}
	if got := events.ParseSubject(events.TierSubject("free")); got != tier("free") {
		t.Errorf("the subject made of a tier is read back as %v", got)
	}
}

func mustUUID(t testing.TB, s string) events.UUID {
	t.Helper()
	id, err := events.ParseUUID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
