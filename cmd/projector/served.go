package main

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// sayServed names those on the ledger that are served, and that were never erased
// in this database: it was restored from before, or they are on the ledger by
// mistake, and then erasing them anew would take good documents.
func sayServed(ctx context.Context, pool *pgxpool.Pool, out io.Writer, those []readmodel.Erasure) error {
	ids := make([]events.UUID, len(those))
	for i, e := range those {
		ids[i] = e.Account
	}
	served, err := readmodel.NeverErasedHere(ctx, pool, ids)
	if err != nil || len(served) == 0 {
		return err
	}
	fmt.Fprintf(out, "%d of them are served, and no generation here has ever had them erased. That is as it should be where the database was\n"+
		"restored from before; where it was not, they came onto the ledger by mistake, and `projector erasures remove --account ID`\n"+
		"takes them off it before anything is erased:\n", len(served))
	for i, id := range served {
		if i == namedAtOnce {
			fmt.Fprintf(out, "  and %d more\n", len(served)-i)
			break
		}
		fmt.Fprintf(out, "  account %s is served\n", id)
	}
	return nil
}
