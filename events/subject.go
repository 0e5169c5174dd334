package events

import "strings"

// SubjectKind says what a subject's messages are about.
type SubjectKind uint8

// The kinds of subject.
const (
	SubjectUnsound SubjectKind = iota // neither kind, or a last token that is no id of the kind
	SubjectAccount
	SubjectTier
)

const (
	accountPrefix = "controlplane.account."
	tierPrefix    = "controlplane.quota_tier."
)

// Subject is a parsed published subject. The zero value is unsound.
type Subject struct {
	Kind    SubjectKind
	Account UUID   // where Kind is SubjectAccount
	Tier    string // where Kind is SubjectTier
}

// AccountSubject is the subject that an account's events are published on.
func AccountSubject(account UUID) string { return accountPrefix + account.String() }

// TierSubject is the subject that a quota tier's events are published on.
func TierSubject(tier string) string { return tierPrefix + tier }

// ParseSubject reads a subject as published. What is neither kind, or whose
// last token is no lower-case UUID or tier id, is unsound.
func ParseSubject(published string) Subject {
	if id, ok := strings.CutPrefix(published, accountPrefix); ok {
		account, ok := parseUUID(id)
		if !ok {
			return Subject{}
		}
		for i := range len(id) {
			if id[i] >= 'A' && id[i] <= 'F' {
				return Subject{}
			}
		}
		return Subject{Kind: SubjectAccount, Account: account}
	}
	if id, ok := strings.CutPrefix(published, tierPrefix); ok && SoundTier(id) {
		return Subject{Kind: SubjectTier, Tier: id}
	}
	return Subject{}
}

// last is the subject's last token.
func (s Subject) last() string {
	if s.Kind == SubjectAccount {
		return s.Account.String()
	}
	return s.Tier
}

// is tells whether the subject's last token is this text.
func (s Subject) is(last []byte) bool {
	if s.Kind != SubjectAccount {
		return s.Tier == string(last)
	}
	var b [36]byte
	text, _ := s.Account.AppendText(b[:0])
	return string(text) == string(last)
}

// SoundTier tells whether a text can be a tier's id.
func SoundTier(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64
}
