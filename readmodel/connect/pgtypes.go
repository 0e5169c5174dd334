package connect

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// RegisterTypes has a connection of a pool know the types of what this package sends
// where it does not ask the server for them, as with default_query_exec_mode=exec.
func RegisterTypes(_ context.Context, conn *pgx.Conn) error {
	for _, id := range []any{[16]byte{}, (*[16]byte)(nil)} {
		conn.TypeMap().RegisterDefaultPgType(id, "uuid")
	}
	for _, ids := range []any{[][16]byte(nil), []*[16]byte(nil)} {
		conn.TypeMap().RegisterDefaultPgType(ids, "_uuid")
	}
	return nil
}
