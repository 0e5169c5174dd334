package workload

import (
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
	"accountexport/internal/oracle"
)

func TestBacklogIsMostlyApplied(t *testing.T) {
	events, accounts := 10_000, 100
	if testrun.Long() {
		events, accounts = 100_000, 1000
	}
	backlog, fold := NewBacklog(testrun.Seed(t), accounts, events), oracle.New()
	outcomes, bytes, n := map[oracle.Outcome]int{}, 0, 0
	for {
		m, ok := backlog.Next()
		if !ok {
			break
		}
		n++
		if problem := publishable(m); problem != "" {
			t.Fatalf("message %d cannot be published: %s", n, problem)
		}
		bytes += len(m.Data)
		outcomes[fold.Apply(oracle.Message{Position: uint64(n), Subject: m.Subject, Header: m.Header, Data: m.Data}).Outcome]++
	}
	t.Logf("%d events of %d bytes: %v", n, bytes/n, outcomes)
	if n != events || len(fold.Accounts()) != accounts {
		t.Errorf("%d events over %d accounts, want %d over %d", n, len(fold.Accounts()), events, accounts)
	}
	if outcomes[oracle.Applied] < events*99/100 || outcomes[oracle.Parked] == 0 || outcomes[oracle.Deferred] == 0 {
		t.Errorf("outcomes %v: want 99 %% applied, some parked, some deferred", outcomes)
	}
	for _, id := range fold.Accounts() {
		if s := fold.Account(id).State; s != oracle.Complete {
			t.Errorf("account %s is %s", id, s)
		}
	}
}

func TestHotAccountGrowsAndIsApplied(t *testing.T) {
	config := HotConfig{Sandboxes: 2000, Keys: 200, UsageDays: 300}
	hot, fold := NewHotAccount(5, config), oracle.New()
	for n := uint64(1); hot.Growing() || n < 6000; n++ {
		m := hot.Next()
		if r := fold.Apply(oracle.Message{Position: n, Subject: m.Subject, Header: m.Header, Data: m.Data}); r.Outcome != oracle.Applied {
			t.Fatalf("message %d: %s %s", n, r.Outcome, r.Reason)
		}
	}
	document := string(fold.Account(hot.Account()).Document)
	for what, want := range map[string]int{`"template":`: config.Sandboxes, `"key_prefix":`: config.Keys, `"usage_date":`: config.UsageDays} {
		if got := strings.Count(document, what); got != want {
			t.Errorf("%s %d times, want %d", what, got, want)
		}
	}
}

func BenchmarkBacklog(b *testing.B) {
	backlog := NewBacklog(1, 5000, 500_000)
	for b.Loop() {
		if _, ok := backlog.Next(); !ok {
			backlog = NewBacklog(1, 5000, 500_000)
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	g := New(1, hostileConfig())
	for b.Loop() {
		g.Next()
	}
}
