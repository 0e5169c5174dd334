package auth

import (
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// claims are those of an access token that are judged. iat is not: clocks that
// run ahead are common.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	Expires   *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Role      string           `json:"role"`
	ClientID  *string          `json:"client_id"` // of the third party that the token was given to
}

// UnmarshalJSON reads names exactly, and refuses one given twice: the standard
// library would take "SUB", or the second "sub", for the subject.
func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	return json.Unmarshal(b, (*plain)(c))
}

// These implement jwt.Claims.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }
