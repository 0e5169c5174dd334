package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/projections"
)

// TestWhateverIsPublishedIsReadUnchanged publishes what a broken or hostile producer
// can, each followed by a valid message, and reads all of it back.
func TestWhateverIsPublishedIsReadUnchanged(t *testing.T) {
	ctx := deadline(t)
	c, _ := provisioned(t)
	subject := events.AccountSubject(account(1))
	for _, tc := range []struct {
		name string
		in   events.Message
	}{
		{"nothing at all", events.Message{Subject: subject}},
		{"no UTF-8", events.Message{Subject: subject, Data: []byte{0xff, 0, 0xfe}}},
		{"1 MB", events.Message{Subject: subject, Data: repeat(1 << 20)}},
		{"1 MB with headers", events.Message{Subject: subject, Header: map[string][]string{"A": {"b"}}, Data: repeat(1<<20 - 100)}},
		{"much in headers", events.Message{Subject: subject, Header: map[string][]string{"A": {string(repeat(60 << 10))}}}},
		{"headers of any case, twice, empty", events.Message{Subject: subject, Data: []byte("x"),
			Header: map[string][]string{"ce-id": {"1", "2"}, "CE-ID": {"3"}, "empty": {""}, "percent": {"%zz%C3"}, "utf-8": {"grüße"}}}},
		{"a kind that is none", events.Message{Subject: "controlplane.nonsense.x", Data: []byte("x")}},
		{"a key that is no id", events.Message{Subject: "controlplane.account.7", Data: []byte("x")}},
		{"a key as a partition", events.Message{Subject: "controlplane.7.7", Data: []byte("x")}},
		{"a subject of punctuation", events.Message{Subject: "controlplane.$JS.{{wildcard(1)}}", Data: []byte("x")}},
		{"headers of a status", events.Message{Subject: subject, Header: map[string][]string{"Status": {"409"}, "Description": {"Consumer Deleted"}}}},
		{"headers of a heartbeat", events.Message{Subject: subject,
			Header: map[string][]string{"Status": {"100"}, "Description": {"Idle Heartbeat"}, "Nats-Last-Consumer": {"99999"}}}},
		{"headers of a timeout", events.Message{Subject: subject, Header: map[string][]string{"Status": {"408"}, "Description": {"Request Timeout"}}}},
		{"headers of no responders", events.Message{Subject: subject, Header: map[string][]string{"Status": {"503"}}}},
		{"a pin", events.Message{Subject: subject, Header: map[string][]string{"Nats-Pin-Id": {"x"}}, Data: []byte("x")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			position, err := c.PublishRaw(ctx, tc.in)
			if err != nil {
				t.Fatal(err)
			}
			publishNotes(ctx, t, c, 1, 1)
			got := readUpTo(ctx, t, open(ctx, t, c, position-1), position+1)
			if diff := cmp.Diff([]uint64{position, position + 1}, positions(got)); diff != "" {
				t.Fatalf("positions: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tc.in, got[0].Message, emptyIsNil); diff != "" {
				t.Errorf("read: -want +got:\n%s", diff)
			}
			one, err := c.Get(ctx, position)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got[0], one, emptyIsNil); diff != "" {
				t.Errorf("Get: -read +got:\n%s", diff)
			}
		})
	}
}

// TestBrokenHeaderBlocks stores header blocks that no client library would send; the
// server keeps them as they are.
func TestBrokenHeaderBlocks(t *testing.T) {
	ctx := deadline(t)
	c, srv := provisioned(t)
	subject := events.AccountSubject(account(1))
	for i, header := range []string{
		"NATS/1.0 409 Consumer Deleted\r\n\r\n",
		"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
		"NATS/1.0 503\r\n\r\n",
		"NATS/1.0\r\nno colon\r\n\r\n",
		"NATS/1.0\r\nA: b\r\n",
		"NATS/9\r\n\r\n",
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
	} {
		t.Run(fmt.Sprintf("%q", header), func(t *testing.T) {
			sendBytes(ctx, t, srv, fmt.Sprintf("HPUB %s %d %d\r\n%s\r\n", subject, len(header), len(header), header))
			position := uint64(2*i + 1)
			publishNotes(ctx, t, c, 1, 1)
			got := readUpTo(ctx, t, open(ctx, t, c, position-1), position+1)
			if diff := cmp.Diff([]uint64{position, position + 1}, positions(got)); diff != "" {
				t.Fatalf("positions: -want +got:\n%s", diff)
			}
			one, err := c.Get(ctx, position)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got[0], one, emptyIsNil); diff != "" {
				t.Errorf("Get: -read +got:\n%s", diff)
			}
		})
	}
}

// TestLargerThanWhatTheServerTakesNow: messages stored when the server accepted
// larger ones are read in their place, even where no pull request has room for them,
// and so is what follows.
func TestLargerThanWhatTheServerTakesNow(t *testing.T) {
	ctx := deadline(t)
	srv, err := natsserver.Start(natsserver.Options{MaxPayload: 20 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	before := connect(t, srv)
	if _, err := before.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	large := func(n int) {
		t.Helper()
		m := note(1)
		m.Data = bytes.Repeat([]byte("x"), n)
		if _, err := before.PublishRaw(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	publishNotes(ctx, t, before, 1, 200)
	large(19 << 20)
	publishNotes(ctx, t, before, 1, 200)
	large(3 << 20)
	large(9 << 20)
	publishNotes(ctx, t, before, 1, 200)
	before.Close()
	srv.Halt()
	if err := srv.RestartWith(1 << 20); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(ctx, Config{URL: srv.URL(), Name: t.Name(), PrefetchBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	// Under the race detector, on a busy machine, the server may be silent over a large
	// message for long enough that the reader ends; then reading begins again.
	var got []projections.Message
	for len(got) < 603 {
		r := open(ctx, t, c, uint64(len(got)))
		batch, err := r.Next(ctx, nil, bound)
		for err == nil && len(batch) > 0 {
			if got = append(got, batch...); len(got) >= 603 {
				break
			}
			batch, err = r.Next(ctx, nil, bound)
		}
		if err != nil && !errors.Is(err, ErrReaderStalled) {
			t.Fatalf("after %d messages: %v", len(got), err)
		}
		r.Close()
	}
	for i, m := range got {
		if m.Position != uint64(i+1) {
			t.Fatalf("message %d is at %d", i+1, m.Position)
		}
	}
	for position, size := range map[int]int{201: 19 << 20, 402: 3 << 20, 403: 9 << 20} {
		if n := len(got[position-1].Data); n != size {
			t.Errorf("message %d has %d bytes, want %d", position, n, size)
		}
	}
}

// sendBytes writes protocol lines itself, and returns once the server has processed
// them.
func sendBytes(ctx context.Context, t *testing.T, srv *natsserver.Server, line string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(srv.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(`CONNECT {"verbose":false,"headers":true}` + "\r\n" + line + "PING\r\n")); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch text := in.Text(); {
		case strings.HasPrefix(text, "-ERR"):
			t.Fatal(text)
		case text == "PONG":
			return
		}
	}
	t.Fatal("the server hung up")
}

// emptyIsNil compares payloads: the protocol does not distinguish an empty one from
// none.
var emptyIsNil = cmp.Comparer(bytes.Equal)
