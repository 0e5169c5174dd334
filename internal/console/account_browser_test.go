package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"accountexport/events"
	"accountexport/internal/local/browser"
)

// manyMessages is how many messages the account has whose timeline is scrolled.
const manyMessages = 10_000

// publishMany gives an account so many messages: its sandbox changes its status with each.
func (p *person) publishMany(n int) {
	p.t.Helper()
	p.register()
	p.send(events.NewSandboxCreated(p.meta(), p.id, events.SandboxCreated{ID: "sbx-1", Template: "small"}))
	first := p.positions[len(p.positions)-1]
	left := n - len(p.positions)
	var failed error
	sent, err := p.s.client.PublishAll(p.t.Context(), func() (m events.Message, more bool) {
		if left == 0 || failed != nil {
			return m, false
		}
		left--
		at := p.meta()
		at.ID = fmt.Sprintf("%s-many-%d", p.id, left)
		m, failed = events.NewSandboxStatusChanged(at, p.id, events.SandboxStatusChanged{ID: "sbx-1", Status: fmt.Sprintf("status-%d", left)})
		return m, true
	})
	if err != nil || failed != nil {
		p.t.Fatal(err, failed)
	}
	for i := range sent {
		p.positions = append(p.positions, first+uint64(i)+1)
	}
	p.s.projected(p.t, p.positions[len(p.positions)-1])
}

// watchRows notes the most rows that the table ever has.
const watchRows = `(() => {
	const rows = () => document.querySelectorAll("#timeline tr").length;
	window.mostRows = rows();
	new MutationObserver(() => { window.mostRows = Math.max(window.mostRows, rows()); })
		.observe(document.querySelector("#timeline tbody"), { childList: true });
	return window.mostRows;
})()`

// seen are the positions of the rows that can be seen in the table, from the first.
const seen = `(() => {
	const box = document.querySelector("#timeline").getBoundingClientRect();
	const head = document.querySelector("#timeline thead").getBoundingClientRect();
	return [...document.querySelectorAll("#timeline tbody tr[id]")].filter((r) => {
		const at = r.getBoundingClientRect();
		return at.top >= head.bottom - 2 && at.bottom <= box.bottom + 2;
	}).map((r) => Number(r.id.slice(1)));
})()`

// TestTenThousandMessagesScroll: with the keyboard alone and with the wheel one comes to
// the end, the middle and any position of ten thousand messages, and the page never has
// more than 200 rows of them.
func TestTenThousandMessagesScroll(t *testing.T) {
	s := newStack(t)
	p := newPerson(t, s)
	p.publishMany(manyMessages)
	if len(p.positions) != manyMessages {
		t.Fatalf("%d messages", len(p.positions))
	}
	b := browser.New(t)
	b.Do(t, chromedp.EmulateViewport(1280, 900))
	b.Open(t, s.url+p.path())
	if n := browser.Evaluate[int](t, b, watchRows); n > 200 {
		t.Errorf("%d rows when it was opened", n)
	}
	shows := func(what string, position uint64) {
		t.Helper()
		b.Eventually(t, fmt.Sprintf("%s: position %d is seen", what, position), fmt.Sprintf(`%s.includes(%d)`, seen, position))
		got := browser.Evaluate[[]uint64](t, b, seen)
		for i := 1; i < len(got); i++ {
			if got[i] != got[i-1]+1 {
				t.Errorf("%s: the rows are %v", what, got)
				break
			}
		}
		if len(got) < 5 {
			t.Errorf("%s: %d rows are seen", what, len(got))
		}
	}
	tall := browser.Evaluate[float64](t, b, `document.querySelector("#timeline").scrollHeight / document.querySelector("#timeline tbody tr[id]").getBoundingClientRect().height`)
	if tall < manyMessages || tall > manyMessages+3 {
		t.Errorf("the table is %.1f rows high, want %d and the heading", tall, manyMessages)
	}
	browser.Evaluate[bool](t, b, `(() => { const box = document.querySelector("#timeline"); box.scrollIntoView(); box.focus(); return true; })()`)
	b.Do(t, chromedp.KeyEvent(kb.End))
	shows("End", p.positions[manyMessages-1])
	b.Do(t, chromedp.KeyEvent(kb.PageUp))
	b.Eventually(t, "PageUp has gone back", fmt.Sprintf(`%s.length > 4 && !%s.includes(%d)`, seen, seen, p.positions[manyMessages-1]))
	b.Do(t, chromedp.KeyEvent(kb.Home))
	shows("Home", p.positions[0])
	middle := browser.Evaluate[float64](t, b, `document.querySelector("#timeline").scrollHeight / 2`)
	at := browser.Evaluate[[]float64](t, b, `(() => { const r = document.querySelector("#timeline").getBoundingClientRect(); return [r.x + 100, r.y + 100]; })()`)
	b.Do(t, chromedp.MouseEvent(chromedp.MouseWheel, at[0], at[1], func(p *input.DispatchMouseEventParams) { p.DeltaX, p.DeltaY = 0.001, middle }))
	shows("the wheel", p.positions[manyMessages/2+3])
	browser.Evaluate[bool](t, b, `(() => { const at = document.querySelector("#filter-message"); at.focus(); return true; })()`)
	b.Do(t, chromedp.KeyEvent(fmt.Sprint(p.positions[7777])+kb.Enter))
	shows("a position", p.positions[7777])
	b.Eventually(t, "its row has the focus", fmt.Sprintf(`document.activeElement.closest("tr")?.id === "m%d"`, p.positions[7777]))
	b.Eventually(t, "what it has changed is told", `document.querySelector("#message").textContent.includes("sandboxes[sbx-1].status")`)

	// The outcome's filter, the origin of a field, and the slider.
	browser.Evaluate[bool](t, b, `(() => { const f = document.querySelector("#filter-type"); f.value = "controlplane.team.created.v1"; f.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`)
	b.Eventually(t, "one message is selected", fmt.Sprintf(`JSON.stringify(%s) === "[%d]"`, seen, p.positions[1]))
	browser.Evaluate[bool](t, b, `(() => { document.querySelector("#section-sandboxes").closest(".part").querySelector("td:nth-child(4) a.origin").click(); return true; })()`)
	shows("the origin of the status", p.positions[manyMessages-1])
	browser.Evaluate[bool](t, b, `(() => { document.querySelector("#slider").focus(); return true; })()`)
	b.Do(t, chromedp.KeyEvent(kb.Home+kb.ArrowRight+kb.ArrowRight+kb.ArrowRight))
	b.Eventually(t, "the document is as it was after the fourth message", fmt.Sprintf(
		`document.querySelector("#document-body").textContent.includes("status-%d") && document.querySelector("#at").value === "%d"`, manyMessages-4, p.positions[3]))
	shows("the slider", p.positions[3])
	b.Eventually(t, "what has changed is marked", `document.querySelectorAll("#document-body td.changed").length === 2`)
	if n := browser.Evaluate[int](t, b, `window.mostRows`); n > 200 || n < 20 {
		t.Errorf("the table has had up to %d rows, want at most 200", n)
	}
	if log := b.Log(); len(log) > 0 {
		t.Errorf("the browser says: %q", log)
	}
	b.Do(t, chromedp.EmulateViewport(375, 800))
	if wide := browser.Evaluate[int](t, b, `document.documentElement.scrollWidth`); wide > 375 {
		t.Errorf("at 375 pixels the page is %d wide", wide)
	}
	testStatements(t, s, p)
}

// testStatements: the page takes five statements, and none of them reads all accounts.
func testStatements(t *testing.T, s *stack, p *person) {
	i := 0
	var failed error
	if _, err := s.client.PublishAll(t.Context(), func() (m events.Message, more bool) {
		if i++; i > 3000 || failed != nil {
			return m, false
		}
		m = events.Message{Subject: events.AccountSubject(events.NewUUID()), Data: []byte("broken")}
		if i%2 == 0 {
			m, failed = events.NewUserEmailVerified(meta(fmt.Sprint("other", i)), events.NewUUID())
		}
		return m, true
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	p.park()
	s.projected(t, p.positions[len(p.positions)-1])
	scans := func() (n int64) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `SELECT pg_stat_force_next_flush() IS NULL, coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables
WHERE schemaname LIKE 'export_g%'`).Scan(new(bool), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, path := range []string{p.path(), p.path() + "?at=" + at(p.positions[100]), "/accounts/" + events.NewUUID().String()} {
		before := scans()
		var page string
		var own []string
		for range 4 { // a look of the hub may come in between: the least counts
			s.count.taken()
			page = s.get(t, path, http.StatusOK)
			var now []string
			for _, statement := range s.count.taken() {
				now = append(now, strings.Join(strings.Fields(statement), " "))
			}
			if own == nil || len(now) < len(own) {
				own = now
			}
		}
		if len(own) > 5 || len(own) < 3 {
			t.Errorf("%s takes %d statements, want at most 5: %q", path, len(own), own)
		}
		if read := scans() - before; read > 0 {
			t.Errorf("%s reads %d rows of tables as wholes", path, read)
		}
		if !strings.Contains(page, "Timeline") {
			t.Errorf("%s: %s", path, page)
		}
	}
}
