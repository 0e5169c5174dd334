package console

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// countedStream counts what a history reads.
type countedStream struct {
	accountStream
	reads, messages atomic.Int64
	failAfter       int64 // messages, once; 0: never
}

var errCutOff = errors.New("cut off")

func (c *countedStream) ReadAccountAfter(ctx context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error {
	c.reads.Add(1)
	return c.accountStream.ReadAccountAfter(ctx, account, after, upTo, func(m projections.Message) error {
		if n := c.messages.Add(1); c.failAfter > 0 && n > c.failAfter {
			c.failAfter = 0
			return errCutOff
		}
		return each(m)
	})
}

// regrownStream is a stream that has lost its end, and has grown again since: messages that
// were sent later are in the place of those that it held.
type regrownStream struct{ *countedStream }

func (r regrownStream) At(ctx context.Context, position uint64) (projections.Message, bool, error) {
	m, found, err := r.countedStream.At(ctx, position)
	m.Time = m.Time.Add(time.Second)
	return m, found, err
}

func (c *countedStream) Info(ctx context.Context) (engine.StreamInfo, error) {
	return c.accountStream.Info(ctx)
}

// testHistories: those who look at one account at once share one reading, a later look
// reads only what is new, a reading that was cut off goes on, and what takes too much room,
// or is not used any more, is forgotten.
func testHistories(t *testing.T, s *stack, p *person) {
	position := func(h *histories, from accountStream) (last uint64) {
		t.Helper()
		if err := h.with(t.Context(), from, p.id, func(h *history) error {
			last = h.entries[len(h.entries)-1].position
			return nil
		}); err != nil {
			t.Error(err)
		}
		return last
	}
	all := int64(len(p.positions))
	h, from := newHistories(Full), &countedStream{accountStream: s.client}
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() { position(h, from) })
	}
	readers.Wait()
	if n := from.messages.Load(); n != all {
		t.Errorf("eight readers have read %d messages, want %d, once each", n, all)
	}
	newest := p.send(events.NewUserEmailVerified(p.meta(), p.id))
	if last := position(h, from); last != newest {
		t.Errorf("the last message is at %d, want %d", last, newest)
	}
	if n := from.messages.Load(); n != all+1 {
		t.Errorf("a later look has read %d messages, want one", n-all)
	}
	position(h, regrownStream{from})
	if n := from.messages.Load(); n != 2*all+2 {
		t.Errorf("of a stream that has grown again since it lost its end %d messages were read, want all %d anew", n-all-1, all+1)
	}

	h, from = newHistories(Full), &countedStream{accountStream: s.client, failAfter: 5}
	if err := h.with(t.Context(), from, p.id, func(*history) error { return nil }); !errors.Is(err, errCutOff) {
		t.Errorf("a reading that is cut off: %v", err)
	}
	position(h, from)
	if n := from.messages.Load(); n != all+2 {
		t.Errorf("a reading that was cut off after 5 messages has read %d in all, want %d", n, all+2)
	}

	k := h.all[p.id]
	h.forgetIdle(k, historyIdle)
	if len(h.all) != 1 {
		t.Error("a history that was used just now is forgotten")
	}
	h.forgetIdle(k, 0)
	if len(h.all) != 0 || h.bytes != 0 || k.entries != nil {
		t.Errorf("an idle history stays: %d, %d bytes", len(h.all), h.bytes)
	}
	h.most = 1
	position(h, from)
	if len(h.all) != 0 || h.bytes != 0 {
		t.Errorf("beyond the bound of all histories %d stay with %d bytes", len(h.all), h.bytes)
	}
}

// testBounds: of a history that is beyond its bounds the first messages are shown, and the
// page says so, as it does of a document that is too large; what does not fit into memory is
// in a file without a name, and shown all the same.
func testBounds(t *testing.T, s *stack, p, erased *person) {
	screens := s.c.accounts
	bounds, largest := screens.histories.bounds, screens.largest
	defer func() {
		screens.histories.bounds, screens.largest = bounds, largest
		screens.histories.forget(p.id)
	}()
	screens.histories.forget(p.id)
	screens.histories.bounds, screens.largest = historyBounds{memory: 1 << 20, file: 1000}, 100
	page := s.get(t, p.path(), http.StatusOK)
	for _, want := range []string{"projector history --account " + p.id.String(), "has more messages than the console keeps", "projector export --account " + p.id.String(), "is not shown here"} {
		if !strings.Contains(page, want) {
			t.Errorf("a page of a large account lacks %q", want)
		}
	}
	if strings.Contains(page, "email_verified_at</dt>") {
		t.Error("a document that is too large is shown")
	}
	if page := s.get(t, p.path()+"?at="+at(p.positions[4]), http.StatusOK); !strings.Contains(page, "too large to be folded for a page") {
		t.Error("a page of a large account's past does not say that it is too large")
	}
	screens.largest = largest
	var cut accountView
	if s.getJSON(t, "/api"+p.path(), &cut); cut.Document == nil || !cut.Timeline.Cut {
		t.Fatalf("the document of an account whose history is cut: %+v", cut)
	}
	for _, section := range cut.Document.Sections {
		for _, item := range section.Items {
			for _, f := range item.Fields {
				if f.Origin != 0 {
					t.Errorf("%s.%s leads to %d, and a message that was left out may have set it since", section.Name, f.Name, f.Origin)
				}
			}
		}
	}
	var past pastView
	if s.getJSON(t, "/api"+p.path()+"/document?at="+at(p.positions[len(p.positions)-1]), &past); !past.Moment.Cut || past.Moment.Position != 0 {
		t.Errorf("a moment after messages that were left out is told as one after another message: %+v", past.Moment)
	}

	s.get(t, erased.path(), http.StatusOK)
	m, err := events.NewAccountErased(erased.meta(), erased.id)
	position := erased.send(m, err)
	var v timelineView
	if s.getJSON(t, "/api"+erased.path()+"/timeline", &v); len(v.Entries) != 1 || v.Entries[0].Position != position {
		t.Errorf("a large account that is erased: %+v", v.Entries)
	}

	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	k := &entryStore{}
	text := strings.Repeat("x", 1<<20)
	var places []int64
	for i := range 9 {
		place, err := k.append([]byte(string(rune('a'+i)) + text))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	if k.memory() > 2*storeMemory {
		t.Errorf("%d bytes in memory", k.memory())
	}
	for i, place := range places {
		if b, err := k.read(place, 1+len(text)); err != nil || string(b) != string(rune('a'+i))+text {
			t.Errorf("entry %d is not as it was kept: %v", i, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%d files have a name: %v", len(files), err)
	}
	k.close()
}

// createMany sends so many sandboxes, and ends one of the last.
func (p *person) createMany(n int) {
	p.t.Helper()
	p.register()
	for i := range n {
		p.send(events.NewSandboxCreated(p.meta(), p.id, events.SandboxCreated{ID: "box-" + at(uint64(i)), Template: "small"}))
	}
	p.send(events.NewSandboxDestroyed(p.meta(), p.id, events.SandboxDestroyed{ID: "box-117"}))
}

// testLongSections: of a long section some items are shown, and links lead to the others;
// an item that the page is about is shown wherever it is.
func testLongSections(t *testing.T, s *stack, p *person) {
	stopped := p.positions[len(p.positions)-1]
	items := func(query string) (ids []string, of int) {
		var v accountView
		s.getJSON(t, "/api"+p.path()+query, &v)
		for _, section := range v.Document.Sections {
			if section.Name == "sandboxes" {
				for _, item := range section.Items {
					ids = append(ids, item.ID)
				}
				of = section.Of
			}
		}
		return ids, of
	}
	for query, want := range map[string]struct {
		n           int
		first, last string
	}{
		"":                               {50, "box-0", "box-49"},
		"?section=sandboxes&items=50":    {50, "box-50", "box-99"},
		"?section=sandboxes&items=100":   {20, "box-100", "box-119"},
		"?section=sandboxes&items=999":   {0, "", ""},
		"?at=" + at(stopped):             {51, "box-0", "box-117"},
		"?field=sandboxes+status+box-60": {51, "box-0", "box-60"},
	} {
		ids, of := items(query)
		if of != 120 || len(ids) != want.n || want.n > 0 && (ids[0] != want.first || ids[len(ids)-1] != want.last) {
			t.Errorf("%q shows %d of %d items: %v", query, len(ids), of, ids)
		}
	}
	page := s.get(t, p.path()+"?section=sandboxes&items=50", http.StatusOK)
	for _, want := range []string{"items=0&amp;section=sandboxes", "items=100&amp;section=sandboxes", "Shown from 50 to before 100 of 120"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// testCompletes: a row that does not record what went into it is completed by a
// verification where the console may act, and left as it is where it only reads.
func testCompletes(t *testing.T, s *stack, p *person, completes bool) {
	if _, err := s.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET counted_at = NULL, messages = NULL, digest_high = NULL, digest_low = NULL WHERE account_id = $1`,
		[16]byte(p.id)); err != nil {
		t.Fatal(err)
	}
	if v := s.act(t, "verify", map[string]string{"account": p.id.String()}, http.StatusOK); v.Failed != "" || !strings.Contains(v.Summary, "nothing differs") {
		t.Errorf("verify: %+v", v)
	}
	var messages *int64
	if err := s.pool.QueryRow(t.Context(), `SELECT messages FROM export_g1.account_export WHERE account_id = $1`, [16]byte(p.id)).Scan(&messages); err != nil {
		t.Fatal(err)
	}
	if (messages != nil) != completes {
		t.Errorf("the row is completed: %t, want %t", messages != nil, completes)
	}
}
