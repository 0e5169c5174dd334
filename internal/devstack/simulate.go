package devstack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
)

// controlPlane simulates a control plane: accounts that register and then keep
// changing. It belongs to one goroutine.
type controlPlane struct {
	client    *stream.Client
	rng       *rand.Rand
	run       string // makes the ids of this run differ from those of earlier runs
	n         int
	attempted int // events published, or tried
	accounts  []*life
}

// life is what the control plane knows of one account.
type life struct {
	id, team  events.UUID
	keys      []events.UUID
	sandboxes []string
	made      int
}

func newControlPlane(client *stream.Client, accounts int) *controlPlane {
	p := &controlPlane{client: client, rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)),
		run: time.Now().UTC().Format("20060102150405")}
	for i := range accounts {
		p.accounts = append(p.accounts, &life{id: numbered("3c90c3cc-0d44-4b50-8888", i), team: numbered("7a90c3cc-0d44-4b50-8888", i)})
	}
	return p
}

// numbered returns a UUID that is the same in every run, so that kept accounts go on.
func numbered(prefix string, i int) events.UUID {
	id, _ := events.ParseUUID(fmt.Sprintf("%s-%012x", prefix, i)) // always well-formed
	return id
}

func (p *controlPlane) meta() events.Meta {
	p.n++
	return events.Meta{ID: fmt.Sprintf("sim-%s-%d", p.run, p.n), Source: "/devstack/control-plane", Time: events.TimeOf(time.Now())}
}

func (p *controlPlane) publish(ctx context.Context, m events.Message, err error) error {
	p.attempted++
	if err == nil {
		_, _, err = p.client.Publish(ctx, m)
	}
	return err
}

// publishFirst publishes the quota tiers and the first account.
func (p *controlPlane) publishFirst(ctx context.Context) error {
	for i, id := range []string{"free", "pro"} {
		m, err := events.NewQuotaTierDefined(p.meta(), events.QuotaTierDefined{ID: id, DisplayName: "The " + id + " tier",
			MaxConcurrentSandboxes: int64(3 + 17*i), DailySandboxCreates: int64(50 + 450*i), DailyGBHours: events.Decimal(1_500_000 * (1 + 9*i))})
		if err := p.publish(ctx, m, err); err != nil {
			return err
		}
	}
	return p.register(ctx, 0)
}

// register publishes an account's first events, for some accounts out of order.
func (p *controlPlane) register(ctx context.Context, i int) error {
	a := p.accounts[i]
	name := fmt.Sprintf("User %d", i)
	steps := []func() (events.Message, error){
		func() (events.Message, error) {
			return events.NewUserRegistered(p.meta(), a.id, events.UserRegistered{Email: fmt.Sprintf("user%d@example.org", i), Tier: "free",
				QuotaTierID: "free", Name: &name})
		},
		func() (events.Message, error) { return events.NewUserEmailVerified(p.meta(), a.id) },
		func() (events.Message, error) {
			return events.NewTeamCreated(p.meta(), a.id, events.TeamCreated{ID: a.team, Name: name + "'s team", Slug: fmt.Sprintf("team-%d", i), QuotaTierID: "free"})
		},
		func() (events.Message, error) { return p.newKey(a, nil) },
		func() (events.Message, error) { return p.newSandbox(a) },
	}
	if i%7 == 3 { // the verification comes before the registration, and is deferred until then
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		m, err := step()
		if err := p.publish(ctx, m, err); err != nil {
			return err
		}
	}
	return nil
}

// step publishes one random event.
func (p *controlPlane) step(ctx context.Context) error {
	a := p.accounts[p.rng.IntN(len(p.accounts))]
	switch p.rng.IntN(50) {
	case 0:
		return p.broken(ctx, a)
	case 1:
		return p.overtaken(ctx, a)
	}
	m, err := p.randomEvent(a)
	return p.publish(ctx, m, err)
}

// randomEvent creates the next event in an account's life.
func (p *controlPlane) randomEvent(a *life) (events.Message, error) {
	today := events.Date(time.Now().UTC().Format(time.DateOnly))
	switch p.rng.IntN(10) {
	case 0, 1:
		return p.newSandbox(a)
	case 2, 3, 4, 5:
		return p.changeSandbox(a)
	case 6:
		return events.NewQuotaUsageIncremented(p.meta(), a.id, events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: a.team,
			UsageDate: today, SandboxCreates: int64(p.rng.IntN(3)), GBHours: events.Decimal(p.rng.IntN(2_000_000))}})
	case 7:
		if len(a.keys) == 0 {
			return p.newKey(a, nil)
		}
		key := a.keys[p.rng.IntN(len(a.keys))]
		switch p.rng.IntN(12) {
		case 0:
			return p.newKey(a, &key) // a rotation
		case 1:
			return events.NewAPIKeyRevoked(p.meta(), a.id, events.APIKeyRevoked{ID: key})
		}
		return events.NewAPIKeyUsed(p.meta(), a.id, events.APIKeyUsed{ID: key})
	case 8:
		return events.NewUserProfileUpdated(p.meta(), a.id, events.UserProfileUpdated{DisplayName: events.Some(fmt.Sprintf("Name no. %d", p.n))})
	}
	flag := []byte(fmt.Sprintf(`{"score":%d}`, p.rng.IntN(100)))
	if p.rng.IntN(2) == 0 {
		flag = nil
	}
	return events.NewUserAbuseFlagsChanged(p.meta(), a.id, events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: "spam", Value: flag}}})
}

func (p *controlPlane) newKey(a *life, parent *events.UUID) (events.Message, error) {
	key := numbered(fmt.Sprintf("9b%02x%04x-%04x-4b50-8888", p.rng.IntN(256), p.rng.IntN(65536), p.rng.IntN(65536)), p.n)
	a.keys = append(a.keys, key)
	return events.NewAPIKeyCreated(p.meta(), a.id, events.APIKeyCreated{ID: key, TeamID: a.team, KeyPrefix: "sk_" + key.String()[:6],
		Name: fmt.Sprintf("key %d", len(a.keys)), Scope: "full", RotationParentKeyID: parent})
}

func (p *controlPlane) newSandbox(a *life) (events.Message, error) {
	a.made++
	id := fmt.Sprintf("sbx_%s_%d", p.run, p.n)
	a.sandboxes = append(a.sandboxes, id)
	return events.NewSandboxCreated(p.meta(), a.id, events.SandboxCreated{ID: id, Template: "code-interpreter-v1",
		Metadata: []byte(fmt.Sprintf(`{"region":"eu-central-1","run":%d}`, a.made))})
}

func (p *controlPlane) changeSandbox(a *life) (events.Message, error) {
	if len(a.sandboxes) == 0 {
		return p.newSandbox(a)
	}
	i := p.rng.IntN(len(a.sandboxes))
	id := a.sandboxes[i]
	what := p.rng.IntN(4)
	if len(a.sandboxes) > 10 {
		what = 1 // as many are destroyed as are created
	}
	switch what {
	case 0:
		return events.NewSandboxStarted(p.meta(), a.id, events.SandboxStarted{ID: id})
	case 1:
		a.sandboxes = append(a.sandboxes[:i], a.sandboxes[i+1:]...)
		return events.NewSandboxDestroyed(p.meta(), a.id, events.SandboxDestroyed{ID: id})
	case 2:
		return events.NewSandboxMetadataUpdated(p.meta(), a.id, events.SandboxMetadataUpdated{ID: id, Metadata: []byte(`{"region":"us-east-1"}`)})
	}
	return events.NewSandboxStatusChanged(p.meta(), a.id, events.SandboxStatusChanged{ID: id, Status: []string{"paused", "archived", "snapshotting"}[p.rng.IntN(3)]})
}

// overtaken publishes a sandbox's start before its creation: the start is deferred
// until the creation arrives.
func (p *controlPlane) overtaken(ctx context.Context, a *life) error {
	created, err := p.newSandbox(a)
	if err != nil {
		return err
	}
	started, err := events.NewSandboxStarted(p.meta(), a.id, events.SandboxStarted{ID: a.sandboxes[len(a.sandboxes)-1]})
	if err := p.publish(ctx, started, err); err != nil {
		return err
	}
	return p.publish(ctx, created, nil)
}

// broken publishes an invalid event: it is parked, and the account goes on.
func (p *controlPlane) broken(ctx context.Context, a *life) error {
	payload := []string{`{"specversion":"1.0"`, `[]`,
		fmt.Sprintf(`{"specversion":"1.0","id":"bad-%d","source":"/x","type":"controlplane.sandbox.created.v1","time":"yesterday","data":{}}`, p.n),
		fmt.Sprintf(`{"specversion":"1.0","id":"bad-%d","source":"/x","type":"controlplane.sandbox.created.v1","time":"2026-03-25T07:00:00Z","data":{"id":""}}`, p.n),
	}[p.rng.IntN(4)]
	p.attempted++
	_, err := p.client.PublishRaw(ctx, events.Message{Subject: events.AccountSubject(a.id), Data: []byte(payload)})
	return err
}

// live registers the other accounts and then publishes events of all of them at a
// rate, until ctx ends. Each event is published once the server has stored the one
// before, so a slow disk lowers the rate. An event that cannot be published is
// skipped: it is the servers' failure and may pass.
func (p *controlPlane) live(ctx context.Context, rate int) {
	start := time.Now()
	p.attempted = 0
	for next := 1; ; {
		due := start.Add(time.Duration(p.attempted) * time.Second / time.Duration(rate))
		if time.Since(due) > time.Second { // too late to catch up
			start, p.attempted = time.Now(), 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if next < len(p.accounts) && p.n%2 == 0 {
			_ = p.register(ctx, next)
			next++
			continue
		}
		_ = p.step(ctx)
	}
}
