package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel/export"
)

// readContinuously reads every account's export repeatedly until the returned function is called.
// No read may fail, mix two versions, or go back to an earlier position.
func (s *system) readContinuously(t *testing.T) (end func() int) {
	t.Helper()
	accounts := s.accounts(t)
	ctx, stop := context.WithCancel(t.Context())
	exports := export.NewReader(s.pool)
	count := make(chan int, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		last := map[events.UUID]uint64{}
		for ; ctx.Err() == nil; n++ {
			account := accounts[n%len(accounts)]
			d, err := exports.Open(ctx, account)
			if err == nil && ctx.Err() != nil {
				d.Close() // it may hold a transaction, and dropping its generation would wait for that
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("read %d failed: %v", n, err)
				return
			}
			var body bytes.Buffer
			if d.State == export.Complete {
				_, err = d.WriteTo(&body)
			}
			d.Close()
			if ctx.Err() != nil {
				return // this read was interrupted
			}
			if err != nil || d.State == export.Complete && !json.Valid(body.Bytes()) {
				t.Errorf("read %d: %v", n, err)
			}
			if d.Position < last[account] {
				t.Errorf("account %s went back from %d to %d", account, last[account], d.Position)
			}
			last[account] = d.Position
		}
	}()
	return func() int {
		stop()
		return <-count
	}
}

// readContinuouslyOverHTTP does so through the API.
func (s *system) readContinuouslyOverHTTP(t *testing.T) (end func() int) {
	t.Helper()
	return s.readContinuouslyFrom(t, binary(t, "api"))
}

// readContinuouslyFrom does so through the API program in a file.
func (s *system) readContinuouslyFrom(t *testing.T, api string) (end func() int) {
	t.Helper()
	accounts := s.accounts(t)
	addr := freeAddr(t)
	launchFile(t, api, map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": addr, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	tokens := make([]string, len(accounts))
	for i, id := range accounts {
		tokens[i] = mintToken(t, id)
	}
	url := "http://" + addr + "/v1/account/export"
	eventually(t, "the API", 10*time.Second, func(ctx context.Context) error {
		_, _, _, err := get(ctx, url, tokens[0])
		return err
	})
	ctx, stop := context.WithCancel(t.Context())
	count := make(chan int, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		last := make([]int, len(accounts))
		for ; ctx.Err() == nil; n++ {
			i := n % len(accounts)
			status, header, body, err := get(ctx, url, tokens[i])
			if ctx.Err() != nil {
				return
			}
			switch {
			case err != nil:
				t.Errorf("request %d: %v", n, err)
				return
			case status != http.StatusOK:
				// An account that is incomplete or erased gets a problem document.
				if missing := header.Get("Content-Type") != "application/problem+json"; missing || status == http.StatusInternalServerError {
					t.Errorf("request %d: %d %s", n, status, body)
				}
				continue
			}
			position, err := strconv.Atoi(header.Get("Export-Position"))
			if err != nil || !json.Valid(body) {
				t.Errorf("request %d: position %q, %s", n, header.Get("Export-Position"), body)
			}
			if position < last[i] {
				t.Errorf("account %s went back from %d to %d over HTTP", accounts[i], last[i], position)
			}
			last[i] = position
		}
	}()
	return func() int {
		stop()
		return <-count
	}
}

// accounts lists the accounts of the first generation.
func (s *system) accounts(t *testing.T) []events.UUID {
	t.Helper()
	var accounts []events.UUID
	rows, err := s.pool.Query(t.Context(), `SELECT account_id FROM export_g1.account_export`)
	if err != nil {
		t.Fatal(err)
	}
	var id [16]byte
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		accounts = append(accounts, id)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return accounts
}
