package connect

import (
	"errors"
	"strings"
	"testing"
)

// TestPoolsTakeWhatThereIs: no program takes more connections than there are, or than
// a fraction of what is free unless its user has set so many. No program starts
// without room for the least.
func TestPoolsTakeWhatThereIs(t *testing.T) {
	t.Parallel()
	unlimited := func(server, used int) connections {
		return connections{server: server, serverUsed: used, database: -1, user: -1, databaseUsed: used, userUsed: used}
	}
	usual := PoolSizing{Max: 12, Min: 3, Extra: 1}
	told := PoolSizing{Max: 50, Min: 3, Extra: 1, Explicit: true}
	for _, test := range []struct {
		claim   PoolSizing
		of      connections
		size    int
		refused string
	}{
		{usual, unlimited(97, 0), 12, ""},
		{usual, unlimited(97, 60), 7, ""}, // 37 free, 3 spared, a quarter of them, one beside
		{usual, unlimited(97, 80), 3, ""},
		{usual, unlimited(97, 93), 3, ""},
		{usual, unlimited(97, 94), 0, "it needs 4 at least, and the server lets this user have 97 connections (max_connections, without those that are reserved), and 94 are taken"},
		{usual, unlimited(97, 120), 0, "120 are taken"}, // a superuser's
		{told, unlimited(97, 0), 50, ""},
		{told, unlimited(97, 60), 33, ""},
		{usual, connections{server: 97, serverUsed: 10, database: 20, databaseUsed: 16, user: -1}, 3, ""},
		{usual, connections{server: 97, serverUsed: 20, database: 20, databaseUsed: 17, user: -1}, 0, "the database has a limit of 20 connections (CONNECTION LIMIT), and 17 are taken"},
		{usual, connections{server: 97, serverUsed: 10, database: -1, user: 5, userUsed: 4}, 0, "the user has a limit of 5"},
		{usual, connections{server: 97, database: 0, user: -1}, 0, "the database has a limit of 0"},
	} {
		size, err := test.claim.size(test.of)
		switch {
		case test.refused == "" && (err != nil || size != test.size):
			t.Errorf("%+v of %+v: %d, %v, want %d", test.claim, test.of, size, err, test.size)
		case test.refused != "" && (!errors.Is(err, ErrMisconfigured) || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("%+v of %+v: %d, %v, want %q", test.claim, test.of, size, err, test.refused)
		}
	}
}
