package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"accountexport/projections"
)

// check checks what has to be true after every act.
func (p *simulation) check() {
	p.t.Helper()
	p.checkAnswers()
	p.checkTraces()
	p.lossAccepted = false
}

// checkAnswers: erased accounts get 410, and no other account's complete document is lost or goes
// back.
func (p *simulation) checkAnswers() {
	p.t.Helper()
	for _, h := range slices.Clone(p.people) {
		var status int
		var header http.Header
		eventually(p.t, "an answer", 20*time.Second, func(ctx context.Context) (err error) {
			status, header, _, err = get(ctx, "http://"+p.serve+"/v1/account/export", h.token)
			if err == nil && (status == http.StatusBadGateway || status == http.StatusServiceUnavailable && h.complete && !h.erased && !p.lossAccepted) {
				err = fmt.Errorf("status %d", status)
			}
			return err
		})
		position, _ := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
		switch {
		case h.erased && status != http.StatusGone && status != http.StatusNotFound:
			p.t.Errorf("%s was erased, and gets %d", h.id, status)
		case h.erased:
		case h.complete && status != http.StatusOK && !p.lossAccepted:
			p.t.Errorf("%s had a document, and gets %d", h.id, status)
		case h.complete && position < h.position && !p.lossAccepted:
			p.t.Errorf("the document of %s was at %d, and is at %d", h.id, h.position, position)
		case status != http.StatusOK && p.lossAccepted:
			p.forget(h) // the stream has lost too much of the account
		default:
			h.complete, h.position = h.complete || status == http.StatusOK, position
		}
	}
}

// forget ignores from now on a person whose loss was accepted.
func (p *simulation) forget(h *person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.people = slices.DeleteFunc(p.people, func(x *person) bool { return x == h })
}

// watchErased asks for erased accounts all the time: after the receipt none of them is served,
// whatever happens.
func (p *simulation) watchErased(ctx context.Context) {
	rng := rand.New(rand.NewPCG(3, 4))
	for sleep(ctx, 5*time.Millisecond) == nil {
		p.receipts.Lock()
		var h *person
		if n := len(p.receipts.of); n > 0 {
			h = p.receipts.of[rng.IntN(n)]
		}
		p.receipts.Unlock()
		if h == nil {
			continue
		}
		// Without an answer nobody is served.
		if status, _, _, err := get(ctx, "http://"+p.serve+"/v1/account/export", h.token); err == nil && status == http.StatusOK {
			p.t.Errorf("%s has a receipt, and is served", h.id)
			return
		}
	}
}

// checkTraces: neither the stream nor a dump of the database holds the marker of an erased person.
func (p *simulation) checkTraces() {
	p.t.Helper()
	var gone []*person
	for _, h := range p.people {
		if h.erased {
			gone = append(gone, h)
		}
	}
	if gone == nil {
		return
	}
	found := func(where string, in []byte) {
		for _, h := range gone {
			if bytes.Contains(in, []byte(h.marker)) || bytes.Contains(in, fmt.Appendf(nil, "%x", h.marker)) {
				p.t.Errorf("%s was erased, and is in %s", h.id, where)
			}
		}
	}
	if err := p.client.ReadAll(p.t.Context(), func(m projections.Message) error {
		found(fmt.Sprintf("message %d of the stream", m.Position), m.Data)
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
	found("the database", p.pgTool(p.t, "pg_dump", "--inserts", p.database))
}

// end compares everything that is served with the stream. Counts of erased or lost messages depend
// on when a generation read them, so it then compares a new generation with the oracle.
func (p *simulation) end() {
	if p.t.Failed() {
		return
	}
	p.mu.Lock() // nothing is published from here on
	defer p.mu.Unlock()
	p.must("verify", "--all")
	p.must("rebuild")
	if status, out := p.waitSettled(); status != 0 {
		p.t.Fatalf("exit %d: %s", status, out)
	}
	p.must("verify", "--all")
	accounts, messages := p.checkAgainstOracle(p.t)
	p.t.Logf("%d accounts of %d messages are what the oracle folds", accounts, messages)
}
