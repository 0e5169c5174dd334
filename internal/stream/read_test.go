package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/projections"
)

// TestReadingEndsWhereTheEndIsGone: the message to read up to may have been deleted
// before, or be deleted while it is awaited. Everything before it is read all the
// same.
func TestReadingEndsWhereTheEndIsGone(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c, _ := provisioned(t)
	publishNotes(ctx, t, c, 1, 10)
	remove := func(position uint64) {
		t.Helper()
		if deleted, err := c.DeleteMessage(ctx, position); err != nil || !deleted {
			t.Fatalf("remove %d: %v, %v", position, deleted, err)
		}
	}
	remove(10)
	remove(9)
	read := func(end uint64, see func(uint64)) (got []uint64) {
		t.Helper()
		if err := c.ReadTo(ctx, end, func(m projections.Message) error {
			got = append(got, m.Position)
			see(m.Position)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	if diff := cmp.Diff(want, read(10, func(uint64) {})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var all []uint64
	if err := c.ReadAll(ctx, func(m projections.Message) error { all = append(all, m.Position); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("all: -want +got:\n%s", diff)
	}

	// The stream has 60 more, of which the server has sent at most half: the messages in
	// flight do not include those that are purged now.
	big := events.Message{Subject: events.AccountSubject(account(1)), Data: repeat(1 << 19)}
	for range 120 {
		if _, err := c.PublishRaw(ctx, big); err != nil {
			t.Fatal(err)
		}
	}
	got := read(130, func(position uint64) {
		if position == 8 {
			s, err := c.js.Stream(ctx, "CONTROL_PLANE")
			if err == nil {
				err = s.Purge(ctx, jetstream.WithPurgeSequence(131))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(got) < 8 || len(got) >= 128 {
		t.Errorf("%d messages read: the test removed nothing that was waited for", len(got))
	}
	if got := read(130, func(uint64) {}); len(got) != 0 {
		t.Errorf("%d messages read of an empty stream", len(got))
	}
}

// TestOneReadingOfAnAccount: messages stored without a partition token while the
// transform was missing, or under another partition, belong to the account; those
// whose token is no partition belong to none.
func TestOneReadingOfAnAccount(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	c, _ := provisioned(t)
	own := events.Message{Subject: events.AccountSubject(account(7)), Data: []byte("x")}
	publish := func(m events.Message) {
		t.Helper()
		if _, err := c.PublishRaw(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	publish(own)
	cfg := wanted("CONTROL_PLANE")
	cfg.SubjectTransform = nil
	cfg.Subjects = []string{"controlplane.>"}
	if _, err := c.js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	publish(own)
	publish(events.Message{Subject: "controlplane.other.account." + account(7).String(), Data: []byte("nobody's")})
	publish(events.Message{Subject: "controlplane.12345.account." + account(7).String(), Data: []byte("nobody's")})
	publish(events.Message{Subject: "controlplane.99.account." + account(7).String(), Data: []byte("of another count")})
	if _, err := c.js.UpdateStream(ctx, wanted("CONTROL_PLANE")); err != nil {
		t.Fatal(err)
	}
	publish(own)
	read := func() (got []uint64) {
		t.Helper()
		if err := c.ReadAccount(ctx, account(7), 0, func(m projections.Message) error {
			if m.Subject != own.Subject {
				t.Errorf("subject %s", m.Subject)
			}
			got = append(got, m.Position)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff([]uint64{1, 2, 5, 6}, read()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n, err := c.PurgeAccount(ctx, account(7), 2, nil); err != nil || n != 3 {
		t.Errorf("removed %d, %v", n, err)
	}
	if diff := cmp.Diff([]uint64{2}, read()); diff != "" {
		t.Errorf("after removal: -want +got:\n%s", diff)
	}
	var left []uint64
	if err := c.ReadAll(ctx, func(m projections.Message) error { left = append(left, m.Position); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{2, 3, 4}, left); diff != "" {
		t.Errorf("in the stream: -want +got:\n%s", diff)
	}
}

// TestRequestsThatAreRefused: a refused request names the missing permission and does
// not wait for an answer.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	v := &violations{}
	waiter, unwatch := v.watch("$JS.API.STREAM.PURGE.S", false)
	defer unwatch()
	v.handle(errors.New("something else"))
	v.handle(permissionViolation("$JS.API.STREAM.PURGE.OTHER"))
	select {
	case <-waiter.done:
		t.Error("another subject was refused")
	default:
	}
	v.handle(permissionViolation("$js.api.stream.purge.s"))
	select {
	case <-waiter.done:
	case <-time.After(time.Minute):
		t.Error("refused, and not told")
	}
}

func permissionViolation(subject string) error {
	return &violation{`Permissions Violation for Publish to "` + subject + `"`}
}

type violation struct{ text string }

func (v *violation) Error() string { return v.text }
func (v *violation) Unwrap() error { return nats.ErrPermissionViolation }
