package e2e

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// owners are the accounts of TestNobodyGetsAnothersDocument. What each holds names it.
const owners = 24

func owner(n int) events.UUID { return events.UUID{0: 0xaa, 1: byte(n), 15: 1} }

// publishOwners publishes documents of every size: small ones, which are read together,
// ones that are spooled, and one with pages. Every sixth account is incomplete.
func (s *system) publishOwners(t *testing.T) {
	t.Helper()
	m, err := events.NewQuotaTierDefined(newMeta("tier"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	s.publishEvent(t, m, err)
	for n := range owners {
		mark := fmt.Sprintf("owner-%d-", n)
		m, err := events.NewUserRegistered(newMeta(mark), owner(n), events.UserRegistered{Email: mark + "@example.org", Tier: "free", QuotaTierID: "free"})
		s.publishEvent(t, m, err)
		if n%6 == 5 {
			continue
		}
		m, err = events.NewTeamCreated(newMeta(mark+"team"), owner(n), events.TeamCreated{ID: owner(n), Name: mark, Slug: mark, QuotaTierID: "free"})
		s.publishEvent(t, m, err)
		sandboxes := []int{1, 3, 40, 1, 200}[n%5]
		s.publishEach(t, sandboxes, func(i int) (events.Message, error) {
			return events.NewSandboxCreated(newMeta(fmt.Sprint(mark, "sandbox", i)), owner(n), events.SandboxCreated{ID: fmt.Sprint(mark, i), Template: mark,
				Metadata: []byte(`{"x":"` + strings.Repeat(mark, 100) + `"}`)})
		})
	}
}

// TestNobodyGetsAnothersDocument: many clients at once ask for many accounts over few
// connections, so that reads are done for several together, documents are shared and
// connections used again; a good part of them leaves in the middle. Whatever is
// answered is the token's own account's, to the last byte, and so is what an answer
// without a document says. The entity tag of another's document is none of one's own.
func TestNobodyGetsAnothersDocument(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishOwners(t)
	projector := s.startProjector(t)
	s.waitProjected(t)
	projector.stop(t)
	separator := "?"
	if strings.Contains(s.database, "?") {
		separator = "&"
	}
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database + separator + "pool_max_conns=3&options=-c%20role%3Daccountexport_reader"})
	tokens, tags := make([]string, owners), make([]string, owners)
	for n := range owners {
		tokens[n] = mintToken(t, owner(n))
		_, h, _, err := get(t.Context(), url, tokens[n])
		if err != nil {
			t.Fatal(err)
		}
		tags[n] = h.Get("ETag")
	}
	var whole, left, unread atomic.Int64
	seed := testrun.Seed(t)
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			for range testrun.AtLength(40, 2000) {
				n, other := random.IntN(owners), random.IntN(owners)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(3) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(random.IntN(8000))*time.Microsecond)
				}
				status, body, err := askAs(ctx, transport, url, tokens[n], tags[other], random)
				cancel()
				incomplete := n%6 == 5
				switch {
				case err != nil && ctx.Err() != nil:
					left.Add(1)
				case err != nil:
					t.Errorf("owner %d: %v", n, err)
				case status == http.StatusNotModified && (other != n || incomplete):
					t.Errorf("owner %d: not modified since the document of %d", n, other)
				case status == http.StatusServiceUnavailable && incomplete, status == http.StatusNotModified:
					unread.Add(1)
				case status != http.StatusOK && status != http.StatusPartialContent || incomplete:
					t.Errorf("owner %d: status %d: %.300s", n, status, body)
				default:
					whole.Add(1)
				}
				// Also of what was read before it left; the last name may be cut off.
				read := string(body)
				if at := strings.LastIndex(read, "owner-"); at >= 0 && at > len(read)-len("owner-00-") {
					read = read[:at]
				}
				if all, own := strings.Count(read, "owner-"), strings.Count(read, fmt.Sprintf("owner-%d-", n)); all != own {
					t.Errorf("owner %d, status %d: %d of %d names are another's", n, status, all-own, all)
					return
				}
			}
		})
	}
	clients.Wait()
	t.Logf("%d documents or parts of them, %d without one, %d left", whole.Load(), unread.Load(), left.Load())
	if whole.Load() < 100 || left.Load() < 10 || unread.Load() < 10 {
		t.Error("that is too few of one kind to say anything")
	}
}

// askAs asks in one of the ways in which clients do, and gives what it has read.
func askAs(ctx context.Context, transport *http.Transport, url, token, tag string, random *rand.Rand) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept-Encoding", []string{"identity", "gzip"}[random.IntN(2)])
	switch random.IntN(4) {
	case 0:
		if tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
	case 1:
		req.Header.Set("Range", "bytes=0-99999")
		if tag != "" && random.IntN(2) == 0 {
			req.Header.Set("If-Range", tag)
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	read := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if read, err = gzip.NewReader(resp.Body); err != nil {
			return 0, nil, err
		}
	}
	body, err = io.ReadAll(read)
	if errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() != nil {
		err = ctx.Err()
	}
	return resp.StatusCode, body, err
}
