package auth

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// claims are the claims of an access token that are checked. iat is not among them:
// clocks that run ahead are common.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	Expires   *date            `json:"exp"`
	NotBefore *date            `json:"nbf"`
	Role      string           `json:"role"`
	ClientID  *string          `json:"client_id"` // the third party that the token was issued to
}

// date is a NumericDate, which has to be a number (RFC 7519 §2). The library would
// also accept text.
type date struct{ jwt.NumericDate }

// UnmarshalJSON refuses anything but a number.
func (d *date) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '-' && (b[0] < '0' || b[0] > '9') {
		return errors.New("a time in a token is a number of seconds")
	}
	return d.NumericDate.UnmarshalJSON(b)
}

// numeric converts d to the library's type.
func (d *date) numeric() *jwt.NumericDate {
	if d == nil {
		return nil
	}
	return &d.NumericDate
}

// UnmarshalJSON matches names exactly and refuses duplicates. The standard library
// would take "SUB", or the second "sub", for the subject.
func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	return json.Unmarshal(b, (*plain)(c))
}

// The methods of jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.numeric(), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.numeric(), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }
