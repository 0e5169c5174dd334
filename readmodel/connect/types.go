package connect

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// RegisterTypes tells a connection of a pool the types of the arguments that the read
// model's statements have, for the modes in which it does not ask the server for them,
// such as default_query_exec_mode=exec.
func RegisterTypes(_ context.Context, conn *pgx.Conn) error {
	for _, id := range []any{[16]byte{}, (*[16]byte)(nil)} {
		conn.TypeMap().RegisterDefaultPgType(id, "uuid")
	}
	for _, ids := range []any{[][16]byte(nil), []*[16]byte(nil)} {
		conn.TypeMap().RegisterDefaultPgType(ids, "_uuid")
	}
	return nil
}
