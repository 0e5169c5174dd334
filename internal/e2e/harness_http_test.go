package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/port"
	"accountexport/internal/workload"
)

// Who signs the tokens that the API accepts.
const (
	issuer    = "https://project.example/auth/v1"
	jwtSecret = "a secret shared with an older Supabase project"
)

// freeAddr is an address at which nothing listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	n, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint("127.0.0.1:", n)
}

// get sends a GET request, with a bearer token if there is one.
func get(ctx context.Context, url, token string) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(req)
}

// do sends a request and reads the answer.
func do(req *http.Request) (int, http.Header, []byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

// mintToken is a token of an account.
func mintToken(t *testing.T, id events.UUID) string {
	t.Helper()
	token, err := authtest.Mint(jwtSecret, issuer, id, "someone@example.org", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// startAPI starts an API with these settings, waits until it answers, and returns the URL of
// exports.
func startAPI(t *testing.T, settings map[string]string) (url string, api *process) {
	t.Helper()
	addr := freeAddr(t)
	all := map[string]string{"HTTP_ADDR": addr, "ADMIN_ADDR": "127.0.0.1:0", "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret, "LOG_FORMAT": "text", "LOG_LEVEL": "warn"}
	maps.Copy(all, settings)
	api = launch(t, "api", all)
	url = "http://" + addr + "/v1/account/export"
	eventually(t, "the API", 20*time.Second, func(ctx context.Context) error {
		_, _, _, err := get(ctx, url, "")
		return err
	})
	return url, api
}

// getAtPosition asks for a document at a position, with Prefer: wait.
func getAtPosition(ctx context.Context, url, token string, position uint64, seconds int) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?min_position=%d", url, position), nil)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Prefer", fmt.Sprintf("wait=%d", seconds))
	return do(req)
}

// waitAtPosition asks until the document at a position is served.
func waitAtPosition(t testing.TB, url, token string, position uint64) {
	t.Helper()
	eventually(t, fmt.Sprint("a document at position ", position), 20*time.Second, func(ctx context.Context) error {
		status, _, body, err := getAtPosition(ctx, url, token, position, 1)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %.300s", status, body)
		}
		return err
	})
}

// apiClient asks an API for exports, each with a token of its account.
type apiClient struct{ addr string }

func (c apiClient) get(ctx context.Context, id, query string) (int, http.Header, []byte, error) {
	account, err := events.ParseUUID(id)
	if err != nil {
		return 0, nil, nil, err
	}
	token, err := authtest.Mint(jwtSecret, issuer, account, "someone@example.org", time.Hour)
	if err != nil {
		return 0, nil, nil, err
	}
	return get(ctx, "http://"+c.addr+"/v1/account/export"+query, token)
}

// waitStatus asks until the answer has this status.
func (c apiClient) waitStatus(t testing.TB, id, query string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("status %d for account %s%s", want, id, query), 30*time.Second, func(ctx context.Context) error {
		status, _, body, err := c.get(ctx, id, query)
		if err == nil && status != want {
			err = fmt.Errorf("status %d: %.300s", status, body)
		}
		return err
	})
}

// serveSomeone starts an API, and returns a function that asks it for the account someone and
// returns the status.
func (s *system) serveSomeone(t *testing.T) func() int {
	t.Helper()
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	token := mintToken(t, uuid(t, someone))
	return func() (status int) {
		eventually(t, "an answer", 20*time.Second, func(ctx context.Context) (err error) {
			status, _, _, err = get(ctx, url, token)
			return err
		})
		return status
	}
}

// newSystemWithAPI is a system with an API, whose stream has events of some accounts and of
// someone. served returns what the API answers for someone.
func newSystemWithAPI(t *testing.T) (s *system, served func() string) {
	t.Helper()
	s = newSystem(t)
	account := uuid(t, someone)
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	token := mintToken(t, account)
	s.publishComplete(t, account)
	s.mustPublish(t, workload.New(51, workload.Config{Accounts: 5}), 300)
	return s, func() (answer string) {
		eventually(t, "someone to be served", 20*time.Second, func(ctx context.Context) error {
			status, h, body, err := get(ctx, url, token)
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %v: %s", status, err, body)
			}
			answer = fmt.Sprintf("%s\n%s\n%s", h.Get("ETag"), h.Get("Export-Position"), body)
			return nil
		})
		return answer
	}
}
