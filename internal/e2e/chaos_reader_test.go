package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/oracle"
	"accountexport/projections"
)

// exportReader reads every account over HTTP repeatedly, and keeps samples of the answers, which
// are compared with the fold at their positions.
type exportReader struct {
	url      string
	progress *progress
	tokens   map[events.UUID]string
	last     map[events.UUID]served

	mu      sync.Mutex
	answers map[int]int // by status
	wrong   []string
	samples map[uint64]sample // by position, which belongs to one account
	bytes   int
}

// served is the position of an account and of its tier in the last answer.
type served struct{ position, tier uint64 }

type sample struct {
	account string
	tier    uint64
	body    []byte
}

// sampleBytes limits the samples that are kept.
const sampleBytes = 64 << 20

// startReader starts an API and reads from it until ctx ends.
func (a *chaosSystem) startReader(t *testing.T, ctx context.Context, all *sync.WaitGroup) *exportReader {
	t.Helper()
	a.answering = tcpproxy.ForTest(t, a.databaseAddr())
	addr := freeAddr(t)
	launch(t, "api", map[string]string{"DATABASE_URL": databaseURL("api", a.answering), "HTTP_ADDR": addr, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret, "LOG_LEVEL": "warn"})
	r := &exportReader{url: "http://" + addr + "/v1/account/export", progress: newProgress(), tokens: map[events.UUID]string{},
		last: map[events.UUID]served{}, answers: map[int]int{}, samples: map[uint64]sample{}}
	eventually(t, "the API", 10*time.Second, func(ctx context.Context) error {
		_, _, _, err := get(ctx, r.url, "")
		return err
	})
	all.Go(func() { r.run(ctx, a.known) })
	return r
}

// known lists the accounts that are in the database.
func (a *chaosSystem) known(ctx context.Context) (ids []events.UUID, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = a.pool.QueryRow(ctx, `SELECT array_agg(account_id) FROM export_g1.account_export`).Scan(&ids)
	return ids, err
}

func (r *exportReader) run(ctx context.Context, known func(context.Context) ([]events.UUID, error)) {
	var accounts []events.UUID
	for n := 0; ctx.Err() == nil; n++ {
		if n%200 == 0 || len(accounts) == 0 {
			if ids, err := known(ctx); err == nil {
				accounts = ids
			}
		}
		if len(accounts) > 0 {
			r.read(ctx, accounts[n%len(accounts)])
		}
		_ = sleep(ctx, 5*time.Millisecond)
	}
}

// read reads one account. While the database is away the answer may be 503; nothing else may go
// wrong.
func (r *exportReader) read(ctx context.Context, account events.UUID) {
	token := r.tokens[account]
	if token == "" {
		var err error
		if token, err = authtest.Mint(jwtSecret, issuer, account, "someone@example.org", 2*time.Hour); err != nil {
			r.addError("token: %v", err)
			return
		}
		r.tokens[account] = token
	}
	status, header, body, err := get(ctx, r.url, token)
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.answers[status]++
	r.mu.Unlock()
	was := r.last[account]
	switch {
	case err != nil && status == 0:
		r.addError("account %s: %v", account, err)
	case err != nil:
		// The database failed in the middle of a large document: the client sees
		// that the answer is not complete.
	case status == http.StatusOK:
		r.progress.advanced(0)
		r.keep(account, was, header, body)
	case status == http.StatusServiceUnavailable, status == http.StatusGone:
	case status == http.StatusNotFound && was.position == 0:
	default:
		r.addError("account %s, served at %d before: %d %s", account, was.position, status, body)
	}
}

// keep checks that an answer is no older than the one before, and keeps it.
func (r *exportReader) keep(account events.UUID, was served, header http.Header, body []byte) {
	var major, minor int
	var now served
	if _, err := fmt.Sscanf(header.Get("ETag"), `W/"%d.%d-%d-%d"`, &major, &minor, &now.position, &now.tier); err != nil {
		r.addError("ETag %q: %v", header.Get("ETag"), err)
		return
	}
	if now.position < was.position {
		r.addError("account %s went back from %d to %d", account, was.position, now.position)
	}
	r.last[account] = now
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.samples[now.position]; ok {
		if before.tier == now.tier && string(before.body) != string(body) {
			r.wrong = append(r.wrong, fmt.Sprintf("account %s has two documents at %v:\n%s\n%s", account, now, before.body, body))
		}
	} else if r.bytes < sampleBytes {
		r.samples[now.position] = sample{account.String(), now.tier, body}
		r.bytes += len(body)
	}
}

func (r *exportReader) addError(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
}

// reportErrors reports the first errors as errors of the test.
func (r *exportReader) reportErrors(t testing.TB) {
	for i, w := range r.wrong {
		if i == 20 {
			t.Errorf("and %d more", len(r.wrong)-i)
			return
		}
		t.Errorf("served: %s", w)
	}
}

// check compares what was served at the position of a message with the fold up to there, and counts
// in compared.
func (r *exportReader) check(t testing.TB, compared *int) func(*oracle.Fold, projections.Message) {
	return func(fold *oracle.Fold, m projections.Message) {
		s, ok := r.samples[m.Position]
		if !ok {
			return
		}
		want := fold.Account(s.account)
		if want.Position != m.Position {
			t.Errorf("account %s was served at %d, where it has no message", s.account, m.Position)
			return
		}
		if want.State != oracle.Complete {
			return // the tier has its own position, and was defined later
		}
		got, expect := s.body, want.Document
		if want.TierPosition != s.tier {
			got, expect = withoutTier(t, got), withoutTier(t, expect)
		}
		if diff := oracle.Diff(expect, got); diff != "" {
			t.Errorf("account %s was served at %d: %s", s.account, m.Position, diff)
		}
		*compared++
	}
}

// withoutTier is a document without its tier.
func withoutTier(t testing.TB, document []byte) []byte {
	var parts struct {
		User      json.RawMessage `json:"user"`
		Team      json.RawMessage `json:"team"`
		Usage     json.RawMessage `json:"quota_usage"`
		Keys      json.RawMessage `json:"api_keys"`
		Sandboxes json.RawMessage `json:"sandboxes"`
	}
	if err := json.Unmarshal(document, &parts); err != nil {
		t.Errorf("served %s: %v", document, err)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(parts); err != nil {
		t.Error(err)
	}
	return []byte(b.String())
}
