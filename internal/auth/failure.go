package auth

import (
	"errors"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Kind says what a failure means for whoever sent the token.
type Kind uint8

// The kinds of failure.
const (
	Bad         Kind = iota // no sound token: get another (401)
	Forbidden               // a sound token, but not for this (403)
	Unavailable             // cannot be told now: try again (503)
)

// Failure is why a token was not accepted.
type Failure struct {
	Reason string // stable, for metrics
	Kind   Kind
	text   string
}

// Error says it in words that may be shown to whoever sent the token.
func (f *Failure) Error() string { return f.text }

// The failures.
var (
	ErrExpired         = &Failure{"expired", Bad, "the token has expired"}
	ErrNotYetValid     = &Failure{"not_yet_valid", Bad, "the token is not valid yet"}
	ErrBadSignature    = &Failure{"bad_signature", Bad, "the token's signature is not the issuer's"}
	ErrUnknownKey      = &Failure{"unknown_key", Bad, "the token's key is not one of the issuer's"}
	ErrMalformed       = &Failure{"malformed", Bad, "the token is malformed"}
	ErrWrongIssuer     = &Failure{"wrong_issuer", Bad, "the token is from another issuer"}
	ErrWrongAudience   = &Failure{"wrong_audience", Bad, "the token is for another audience"}
	ErrWrongRole       = &Failure{"wrong_role", Forbidden, "the token is not a signed-in user's"}
	ErrNoSubject       = &Failure{"no_subject", Forbidden, "the token names no user"}
	ErrThirdParty      = &Failure{"third_party", Forbidden, "the token was given to a third-party client"}
	ErrKeysUnavailable = &Failure{"keys_unavailable", Unavailable, "the issuer's keys have not been fetched yet"}
)

// Reasons lists the reasons of all failures.
func Reasons() []string {
	var out []string
	for _, f := range []*Failure{ErrExpired, ErrNotYetValid, ErrBadSignature, ErrUnknownKey, ErrMalformed, ErrWrongIssuer,
		ErrWrongAudience, ErrWrongRole, ErrNoSubject, ErrThirdParty, ErrKeysUnavailable} {
		out = append(out, f.Reason)
	}
	return out
}

// failure turns the libraries' errors about a signature into this package's. Their texts are
// dropped: they may repeat parts of the token.
func failure(err error) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, jwkset.ErrKeyNotFound):
		return ErrUnknownKey
	case errors.Is(err, jwt.ErrTokenMalformed):
		return ErrMalformed
	}
	return ErrBadSignature
}
