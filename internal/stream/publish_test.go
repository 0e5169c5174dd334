package stream

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"accountexport/events"
	"accountexport/projections"
)

func event(id string) events.Message {
	return events.Message{
		Subject: events.AccountSubject(account(1)),
		Header:  map[string][]string{"Content-Type": {"application/cloudevents+json"}},
		Data: []byte(`{"specversion":"1.0","id":"` + id + `","source":"/test","type":"controlplane.user.restored.v1",` +
			`"time":"2026-05-01T10:00:00Z","data":{}}`),
	}
}

func TestARetryIsDropped(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	type answer struct {
		Position  uint64
		Duplicate bool
	}
	for _, step := range []struct {
		id   string
		want answer
	}{{"a", answer{1, false}}, {"b", answer{2, false}}, {"a", answer{1, true}}, {"b", answer{2, true}}, {"c", answer{3, false}}} {
		m := event(step.id)
		position, duplicate, err := c.Publish(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, answer{position, duplicate}); diff != "" {
			t.Errorf("event %s: -want +got:\n%s", step.id, diff)
		}
		if len(m.Header) != 1 {
			t.Errorf("the caller's headers became %v", m.Header)
		}
	}
	got, err := c.Get(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if id := got.Header[nats.MsgIdHdr]; !slices.Equal(id, []string{"a"}) {
		t.Errorf("%s is %q, want the event's id", nats.MsgIdHdr, id)
	}
}

func TestAPartitionCannotBeChosenByTheProducer(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	id := account(1).String()
	for _, subject := range []string{"controlplane.3.account." + id, "controlplane.account", "controlplane.account." + id + ".x", "other.account." + id} {
		if position, err := c.PublishRaw(ctx, events.Message{Subject: subject}); err == nil {
			t.Errorf("%s was stored at %d", subject, position)
		}
	}
	want := -1
	for range 3 {
		position, err := c.PublishRaw(ctx, events.Message{Subject: "controlplane.account." + id})
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Get(ctx, position)
		if err != nil {
			t.Fatal(err)
		}
		if want == -1 {
			want = m.Partition
		}
		if m.Partition != want || m.Partition < 0 {
			t.Errorf("partition %d, want %d for every message of the account", m.Partition, want)
		}
	}
}

func TestPublishAllTellsOfARefusedMessage(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	n := 0
	_, err := c.PublishAll(ctx, func() (events.Message, bool) {
		n++
		m := note(n)
		if n == 10 {
			m.Header = map[string][]string{nats.ExpectedLastSeqHdr: {"99"}}
		}
		return m, n <= 5000
	})
	if err == nil {
		t.Error("no error, although the server refused message 10")
	}
}

func TestOneAccountsMessages(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 500) // account 7 has 7, 57, 107, …, 457
	for _, subject := range []string{"controlplane.quota_tier.pro", "controlplane.quota_tier.pro_2", "controlplane.quota_tier.pro"} {
		if _, err := c.PublishRaw(ctx, events.Message{Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		read func(fn func(projections.Message) error) error
		want []uint64
	}{
		{"all", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(7), 0, fn) },
			[]uint64{7, 57, 107, 157, 207, 257, 307, 357, 407, 457}},
		{"up to one of them", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(7), 157, fn) }, []uint64{7, 57, 107, 157}},
		{"up to another's", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(7), 206, fn) }, []uint64{7, 57, 107, 157}},
		{"before the first", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(7), 6, fn) }, nil},
		{"beyond the end", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(7), 1e6, fn) },
			[]uint64{7, 57, 107, 157, 207, 257, 307, 357, 407, 457}},
		{"never heard of", func(fn func(projections.Message) error) error { return c.ReadAccount(ctx, account(60), 0, fn) }, nil},
		{"a tier", func(fn func(projections.Message) error) error { return c.ReadTier(ctx, "pro", 0, fn) }, []uint64{501, 503}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []uint64
			if err := tc.read(func(m projections.Message) error {
				got = append(got, m.Position)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	stop := errors.New("stop")
	if err := c.ReadAccount(ctx, account(7), 0, func(projections.Message) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the caller's error", err)
	}
	for _, tier := range []string{"", "*", ">", "a.b", "a b", "é", string(repeat(65))} {
		if err := c.ReadTier(ctx, tier, 0, func(projections.Message) error { return nil }); err == nil {
			t.Errorf("%q was taken for a tier id", tier)
		}
	}
}

func TestOneAccountsMessagesWhereThePartitionsChanged(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 100)
	cfg := wanted("CONTROL_PLANE")
	cfg.SubjectTransform.Destination = destination(5)
	if _, err := c.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	publishNotes(ctx, t, c, 101, 200)
	for n := range 50 {
		want := []uint64{uint64(n), uint64(n + 50), uint64(n + 100), uint64(n + 150)}
		if n == 0 {
			want = []uint64{50, 100, 150, 200}
		}
		var got []uint64
		if err := c.ReadAccount(ctx, account(n), 0, func(m projections.Message) error {
			got = append(got, m.Position)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("account %d: -want +got:\n%s", n, diff)
		}
	}
}
