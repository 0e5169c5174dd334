package oracle

import (
	"slices"
	"strings"
)

// Outcome is the outcome of a message (contract §3).
type Outcome string

// The outcomes.
const (
	Applied   Outcome = "applied"
	Duplicate Outcome = "duplicate"
	Deferred  Outcome = "deferred"
	Ignored   Outcome = "ignored"
	Parked    Outcome = "parked"
)

// OtherType is the label of a message that is counted under no known type.
const OtherType = "other"

// Result is the outcome of one message. Type is the label under which it is counted:
// the type without "controlplane.", or OtherType. Reason is empty except for parked
// messages, where it reads "place: what is wrong with it".
type Result struct {
	Outcome Outcome
	Type    string
	Reason  string
}

// ParkedMessage is one parked message. Account is empty if the subject names none.
type ParkedMessage struct {
	Position uint64
	Account  string
	Reason   string
}

// Fold holds every account and tier of one stream. It is not safe for concurrent
// use.
type Fold struct {
	patterns patterns
	types    map[string][]field
	accounts map[string]*account
	tiers    map[string]tier
	parked   []ParkedMessage
	totals   map[string]map[Outcome]int
}

// New returns the fold of an empty stream.
func New() *Fold {
	return &Fold{
		patterns: compilePatterns(),
		types:    eventTypes(),
		accounts: map[string]*account{},
		tiers:    map[string]tier{},
		totals:   map[string]map[Outcome]int{},
	}
}

// Apply folds the next message of the stream. It keeps nothing of m, so that the
// caller may reuse its buffers.
func (f *Fold) Apply(m Message) Result {
	m.Data = slices.Clone(m.Data)
	r := f.apply(m)
	if f.totals[r.Type] == nil {
		f.totals[r.Type] = map[Outcome]int{}
	}
	f.totals[r.Type][r.Outcome]++
	return r
}

// Totals counts messages by type label and outcome.
func (f *Fold) Totals() map[string]map[Outcome]int { return f.totals }

// ParkedMessages lists the parked messages in stream order, without those of erased
// accounts.
func (f *Fold) ParkedMessages() []ParkedMessage { return slices.Clone(f.parked) }

func (f *Fold) apply(m Message) Result {
	kind, key := f.subject(m.Subject)
	var a *account
	if kind == accountSubject {
		a = f.accounts[key]
		if a != nil && a.erased {
			return Result{Outcome: Ignored, Type: OtherType}
		}
		if a == nil {
			a = &account{id: key}
			f.accounts[key] = a
		}
		a.position = m.Position
	}
	r := f.judge(m, kind, key, a)
	if r.Outcome == Parked {
		p := ParkedMessage{Position: m.Position, Reason: r.Reason}
		if a != nil {
			p.Account = a.id
		}
		f.parked = append(f.parked, p)
	}
	return r
}

type subjectKind int

const (
	noSubject subjectKind = iota
	accountSubject
	tierSubject
)

// subject returns the kind of a subject and its last token. Only a valid subject has
// a kind.
func (f *Fold) subject(s string) (subjectKind, string) {
	tokens := strings.Split(s, ".")
	last := tokens[len(tokens)-1]
	if len(tokens) != 3 || tokens[0] != "controlplane" {
		return noSubject, last
	}
	switch {
	case tokens[1] == "account" && f.patterns.uuid.MatchString(last) && last == asciiLower(last):
		return accountSubject, last
	case tokens[1] == "quota_tier" && len(last) <= 64 && isTierID(last):
		return tierSubject, last
	}
	return noSubject, last
}

func isTierID(s string) bool {
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// judge tries the outcomes in the order of the contract. a is nil except for a valid
// account subject.
func (f *Fold) judge(m Message, kind subjectKind, key string, a *account) Result {
	envelope, problem := f.patterns.readEnvelope(m, key)
	label := OtherType
	name, prefixed := strings.CutPrefix(envelope.typ, typePrefix)
	fields, known := f.types[name]
	known = known && prefixed
	if problem == "" && known {
		label = name
	}
	park := func(reason string) Result { return Result{Outcome: Parked, Type: label, Reason: reason} }
	switch {
	case kind == noSubject:
		return park("subject: names no account or tier")
	case problem != "":
		return park(problem)
	case !known:
		return Result{Outcome: Ignored, Type: label}
	case (entity(name) == "quota_tier") != (kind == tierSubject):
		return park("type: not on this kind of subject")
	}
	data, problem := envelope.readData()
	if problem != "" {
		return park(problem)
	}
	read, problem := f.patterns.readFields(data, fields)
	if problem != "" {
		return park(problem)
	}
	e := event{typ: name, at: envelope.at, position: m.Position, values: read}
	if kind == tierSubject {
		if e.text("id") != key {
			return park("id: not the subject's tier")
		}
		f.tiers[key] = tier{position: m.Position, id: key, name: e.text("display_name"),
			sandboxes: e.number("max_concurrent_sandboxes"), dailyCreates: e.number("daily_sandbox_creates"),
			dailyGBHours: e.number("daily_gb_hours")}
		return Result{Outcome: Applied, Type: label}
	}
	outcome, reason := f.fold(a, e)
	return Result{Outcome: outcome, Type: label, Reason: reason}
}

// fold applies a valid event to its account.
func (f *Fold) fold(a *account, e event) (Outcome, string) {
	if a.team != nil {
		switch {
		case e.typ == "team.created.v1" && e.text("id") != a.team.id:
			return Parked, "id: a second team"
		case entity(e.typ) == "team" && e.text("id") != a.team.id:
			return Parked, "id: another team"
		case e.typ == "api_key.created.v1" && e.text("team_id") != a.team.id:
			return Parked, "team_id: another team"
		}
	}
	if creates(e.typ) {
		if a.exists(e) {
			return Duplicate, ""
		}
		a.create(e)
		waiting := a.waiting
		a.waiting = nil
		for _, w := range waiting {
			if a.exists(w) {
				a.change(w)
			} else {
				a.waiting = append(a.waiting, w)
			}
		}
		return Applied, ""
	}
	switch {
	case e.typ == "account.erased.v1":
		*a = account{id: a.id, position: a.position, erased: true, erasedAt: e.at}
		f.parked = slices.DeleteFunc(f.parked, func(p ParkedMessage) bool { return p.Account == a.id })
		return Applied, ""
	case entity(e.typ) == "quota_usage":
		if problem := a.recordUsage(e); problem != "" {
			return Parked, problem
		}
		return Applied, ""
	case !a.exists(e):
		a.waiting = append(a.waiting, e)
		return Deferred, ""
	}
	a.change(e)
	return Applied, ""
}

func creates(typ string) bool {
	switch typ {
	case "user.registered.v1", "team.created.v1", "api_key.created.v1", "sandbox.created.v1":
		return true
	}
	return false
}
