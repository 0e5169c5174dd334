package devstack

import (
	"fmt"
	"math/rand/v2"
	"time"

	"accountexport/events"
)

// simulation makes up what happens to accounts, and tells of it in events. It belongs
// to one goroutine.
type simulation struct {
	rng  *rand.Rand
	kind string // what the ids of its events begin with
	run  string // makes the ids of this run differ from those of earlier runs
	n    int    // events made
	now  func() time.Time
}

// life is what the control plane knows of one account.
type life struct {
	number    int
	id, team  events.UUID
	keys      []events.UUID
	sandboxes []string // that were not destroyed
}

func newSimulation(kind string, now func() time.Time) *simulation {
	started := time.Now()
	return &simulation{rng: rand.New(rand.NewPCG(uint64(started.UnixNano()), 1)), kind: kind, run: started.UTC().Format("20060102150405.000000000"), now: now}
}

// newLife is an account that has not registered yet.
func newLife(number int) *life {
	return &life{number: number, id: numbered("3c90c3cc-0d44-4b50-8888", number), team: numbered("7a90c3cc-0d44-4b50-8888", number)}
}

// numbered returns a UUID that is the same in every run, so that kept accounts go on.
func numbered(prefix string, i int) events.UUID {
	id, _ := events.ParseUUID(fmt.Sprintf("%s-%012x", prefix, i)) // always well-formed
	return id
}

func (s *simulation) meta() events.Meta {
	s.n++
	return events.Meta{ID: fmt.Sprintf("%s-%s-%09d", s.kind, s.run, s.n), Source: source, Time: events.TimeOf(s.now())}
}

const source = "/devstack/control-plane"

// tiers makes the events that define the quota tiers.
func (s *simulation) tiers() (all []events.Message, err error) {
	for i, id := range []string{"free", "pro"} {
		m, err := events.NewQuotaTierDefined(s.meta(), events.QuotaTierDefined{ID: id, DisplayName: "The " + id + " tier",
			MaxConcurrentSandboxes: int64(3 + 17*i), DailySandboxCreates: int64(50 + 450*i), DailyGBHours: events.Decimal(1_500_000 * (1 + 9*i))})
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// registration makes an account's first events, for some accounts out of order.
func (s *simulation) registration(a *life) (all []events.Message, err error) {
	name := fmt.Sprintf("User %d", a.number)
	steps := []func() (events.Message, error){
		func() (events.Message, error) {
			return events.NewUserRegistered(s.meta(), a.id, events.UserRegistered{Email: fmt.Sprintf("user%d@example.org", a.number), Tier: "free",
				QuotaTierID: "free", Name: &name})
		},
		func() (events.Message, error) { return events.NewUserEmailVerified(s.meta(), a.id) },
		func() (events.Message, error) {
			return events.NewTeamCreated(s.meta(), a.id, events.TeamCreated{ID: a.team, Name: name + "'s team", Slug: fmt.Sprintf("team-%d", a.number), QuotaTierID: "free"})
		},
		func() (events.Message, error) { return s.newKey(a, nil) },
		func() (events.Message, error) { return s.newSandbox(a) },
	}
	if a.number%7 == 3 { // the verification comes before the registration, and is deferred until then
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		m, err := step()
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// something makes what happens next to an account: mostly one sound event. An event
// that is anonymous has no id, so that no outbox can hold it.
func (s *simulation) something(a *life) (messages []events.Message, anonymous bool, err error) {
	switch s.rng.IntN(50) {
	case 0:
		m, anonymous := s.broken(a)
		return []events.Message{m}, anonymous, nil
	case 1:
		messages, err = s.overtaken(a)
		return messages, false, err
	}
	m, err := s.randomEvent(a)
	return []events.Message{m}, false, err
}

// randomEvent creates the next event in an account's life.
func (s *simulation) randomEvent(a *life) (events.Message, error) {
	today := events.Date(s.now().UTC().Format(time.DateOnly))
	switch s.rng.IntN(10) {
	case 0, 1:
		return s.newSandbox(a)
	case 2, 3, 4, 5:
		return s.changeSandbox(a)
	case 6:
		return events.NewQuotaUsageIncremented(s.meta(), a.id, events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: a.team,
			UsageDate: today, SandboxCreates: int64(s.rng.IntN(3)), GBHours: events.Decimal(s.rng.IntN(2_000_000))}})
	case 7:
		if len(a.keys) == 0 {
			return s.newKey(a, nil)
		}
		key := a.keys[s.rng.IntN(len(a.keys))]
		switch s.rng.IntN(12) {
		case 0:
			return s.newKey(a, &key) // a rotation
		case 1:
			return events.NewAPIKeyRevoked(s.meta(), a.id, events.APIKeyRevoked{ID: key})
		}
		return events.NewAPIKeyUsed(s.meta(), a.id, events.APIKeyUsed{ID: key})
	case 8:
		return events.NewUserProfileUpdated(s.meta(), a.id, events.UserProfileUpdated{DisplayName: events.Some(fmt.Sprintf("Name no. %d", s.n))})
	}
	flag := []byte(fmt.Sprintf(`{"score":%d}`, s.rng.IntN(100)))
	if s.rng.IntN(2) == 0 {
		flag = nil
	}
	return events.NewUserAbuseFlagsChanged(s.meta(), a.id, events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: "spam", Value: flag}}})
}

func (s *simulation) newKey(a *life, parent *events.UUID) (events.Message, error) {
	key := numbered(fmt.Sprintf("9b%02x%04x-%04x-4b50-8888", s.rng.IntN(256), s.rng.IntN(65536), s.rng.IntN(65536)), s.n)
	a.keys = append(a.keys, key)
	return events.NewAPIKeyCreated(s.meta(), a.id, events.APIKeyCreated{ID: key, TeamID: a.team, KeyPrefix: "sk_" + key.String()[:6],
		Name: fmt.Sprintf("key %d", len(a.keys)), Scope: "full", RotationParentKeyID: parent})
}

func (s *simulation) newSandbox(a *life) (events.Message, error) {
	id := fmt.Sprintf("sbx_%s_%d", s.run, s.n)
	a.sandboxes = append(a.sandboxes, id)
	return events.NewSandboxCreated(s.meta(), a.id, events.SandboxCreated{ID: id, Template: "code-interpreter-v1",
		Metadata: []byte(fmt.Sprintf(`{"region":"eu-central-1","number":%d}`, s.n))})
}

func (s *simulation) changeSandbox(a *life) (events.Message, error) {
	if len(a.sandboxes) == 0 {
		return s.newSandbox(a)
	}
	i := s.rng.IntN(len(a.sandboxes))
	id := a.sandboxes[i]
	what := s.rng.IntN(4)
	if len(a.sandboxes) > 10 {
		what = 1 // as many are destroyed as are created
	}
	switch what {
	case 0:
		return events.NewSandboxStarted(s.meta(), a.id, events.SandboxStarted{ID: id})
	case 1:
		a.sandboxes = append(a.sandboxes[:i], a.sandboxes[i+1:]...)
		return events.NewSandboxDestroyed(s.meta(), a.id, events.SandboxDestroyed{ID: id})
	case 2:
		return events.NewSandboxMetadataUpdated(s.meta(), a.id, events.SandboxMetadataUpdated{ID: id, Metadata: []byte(`{"region":"us-east-1"}`)})
	}
	return events.NewSandboxStatusChanged(s.meta(), a.id, events.SandboxStatusChanged{ID: id, Status: []string{"paused", "archived", "snapshotting"}[s.rng.IntN(3)]})
}

// overtaken makes a sandbox's start before its creation: the start is deferred until
// the creation arrives.
func (s *simulation) overtaken(a *life) ([]events.Message, error) {
	created, err := s.newSandbox(a)
	if err != nil {
		return nil, err
	}
	started, err := events.NewSandboxStarted(s.meta(), a.id, events.SandboxStarted{ID: a.sandboxes[len(a.sandboxes)-1]})
	return []events.Message{started, created}, err
}

// broken makes an invalid event, which is parked, and the account goes on. Half of
// them are anonymous.
func (s *simulation) broken(a *life) (m events.Message, anonymous bool) {
	id := s.meta().ID
	i := s.rng.IntN(4)
	payload := []string{`{"specversion":"1.0"`, `[]`,
		fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/x","type":"controlplane.sandbox.created.v1","time":"yesterday","data":{}}`, id),
		fmt.Sprintf(`{"specversion":"1.0","id":"%s","source":"/x","type":"controlplane.sandbox.created.v1","time":"2026-03-25T07:00:00Z","data":{"id":""}}`, id),
	}[i]
	return events.Message{Subject: events.AccountSubject(a.id), Data: []byte(payload)}, i < 2
}
