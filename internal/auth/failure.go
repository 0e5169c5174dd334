package auth

import (
	"errors"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Kind says how a failure is to be answered.
type Kind uint8

// The kinds of failure.
const (
	Bad         Kind = iota // not a valid token: the client needs another (401)
	Forbidden               // a valid token, but not for this API (403)
	Unavailable             // cannot be decided now: the client may try again (503)
)

// Failure is why a token was not accepted.
type Failure struct {
	Reason string // label of a metric; stable
	Kind   Kind
	text   string
}

// Error describes the failure to the client that sent the token. It contains nothing
// of the token.
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

// failure maps the libraries' errors about a signature to this package's. Their texts
// are dropped, since they may repeat parts of the token.
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
