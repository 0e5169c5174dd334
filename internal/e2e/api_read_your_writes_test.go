package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
)

// TestReadYourOwnWrites: a client that publishes, and then asks with the position that was
// acknowledged, gets a document that holds what it published. Many clients do so at once while the
// projector is killed and started.
func TestReadYourOwnWrites(t *testing.T) {
	t.Parallel()
	const clients, rounds = 20, 15
	s := newSystem(t)
	run := s.startProjector(t)
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	n := 0
	var mu sync.Mutex
	meta := func() events.Meta {
		mu.Lock()
		defer mu.Unlock()
		n++
		return newMeta(fmt.Sprint("w", n))
	}
	publish := func(m events.Message, err error) uint64 {
		if err != nil {
			t.Error(err)
			return 0
		}
		at, _, err := s.client.Publish(t.Context(), m)
		if err != nil {
			t.Error(err)
		}
		return at
	}
	publish(events.NewQuotaTierDefined(meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free"}))
	// The tier is in another partition, for which a request does not wait.
	eventually(t, "the tier to be projected", time.Minute, s.caughtUp)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			account := events.UUID{0x77, byte(i)}
			token, err := authtest.Mint(jwtSecret, issuer, account, "someone@example.org", time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			publish(events.NewTeamCreated(meta(), account, events.TeamCreated{ID: account, Name: "n", Slug: "s", QuotaTierID: "free"}))
			at := publish(events.NewUserRegistered(meta(), account, events.UserRegistered{Email: "0@b.example", Tier: "free", QuotaTierID: "free"}))
			for round := range rounds {
				email := fmt.Sprintf("%d@b.example", round)
				if round > 0 {
					at = publish(events.NewUserEmailChanged(meta(), account, events.UserEmailChanged{Email: email}))
				}
				header, body, err := getUntilReached(t, url, token, at)
				if err != nil {
					t.Error(err)
					return
				}
				var doc struct{ User struct{ Email string } }
				if err := json.Unmarshal(body, &doc); err != nil || doc.User.Email != email {
					t.Errorf("client %d, round %d: %v, %s", i, round, err, body)
				}
				if header.Get("Export-Position") != strconv.FormatUint(at, 10) || header.Get("Preference-Applied") != "wait=10" {
					t.Errorf("client %d, round %d: %v, want position %d", i, round, header, at)
				}
			}
		})
	}
	run.kill()
	s.startProjector(t)
	all.Wait()
}

// getUntilReached asks for the document at a position, and repeats the request when ten seconds
// were not enough.
func getUntilReached(t *testing.T, url, token string, at uint64) (http.Header, []byte, error) {
	for tries := 0; ; tries++ {
		status, header, body, err := getAtPosition(t.Context(), url, token, at, 10)
		switch {
		case err == nil && status == http.StatusOK:
			return header, body, nil
		case tries == 8:
			return nil, nil, fmt.Errorf("position %d: %d %s, %w", at, status, body, err)
		case err != nil || !strings.Contains(string(body), "account-incomplete"):
			time.Sleep(50 * time.Millisecond) // the API may not listen yet, or the projector may be down for longer
		case tries > 3:
			return nil, nil, fmt.Errorf("position %d: %d %s", at, status, body) // the tier's partition may lag only briefly
		default:
			time.Sleep(200 * time.Millisecond)
		}
	}
}
