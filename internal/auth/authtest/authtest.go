// Package authtest creates access tokens like those of Supabase Auth, for tests and
// for devstack.
package authtest

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"accountexport/events"
)

// Claims returns exactly the claims of a token that Supabase Auth issues now, to a
// user who signed in with a password, with an exp after ttl.
func Claims(issuer string, account events.UUID, email string, ttl time.Duration) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss":           issuer,
		"sub":           account.String(),
		"aud":           "authenticated",
		"exp":           now.Add(ttl).Unix(),
		"iat":           now.Unix(),
		"email":         email,
		"phone":         "",
		"app_metadata":  map[string]any{"provider": "email", "providers": []string{"email"}},
		"user_metadata": map[string]any{"email": email, "email_verified": true, "phone_verified": false, "sub": account.String()},
		"role":          "authenticated",
		"aal":           "aal1",
		"amr":           []any{map[string]any{"method": "password", "timestamp": now.Unix()}},
		"session_id":    uuid.NewString(),
		"is_anonymous":  false,
	}
}

// Mint returns a user's token, signed with the project's secret (HS256).
func Mint(secret, issuer string, account events.UUID, email string, ttl time.Duration) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, Claims(issuer, account, email, ttl)).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("mint a token: %w", err)
	}
	return token, nil
}
