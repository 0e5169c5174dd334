package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
)

func (p *program) provision() *cobra.Command {
	var newStream, asJSON bool
	cmd := &cobra.Command{
		Use:   "provision [--new-stream] [--json]",
		Short: "Create or check the stream, and migrate the database",
		Long: "Brings the database to this program's schema, and creates the stream or checks that it is as it must be; one that does\n" +
			"not say which stream it is gets an id. May be repeated. A stream that differs is refused, naming each difference; another\n" +
			"partition count is none. Where the database holds checkpoints and there is no such stream, none is made unless told\n" +
			"--new-stream: an empty one would be another than what was folded. Ends with 1 where `projector run` could not read it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
			if err != nil {
				return err
			}
			defer client.Close()
			db, err := p.connect(ctx, connect.Migrating)
			if err != nil {
				return err
			}
			pool := db.pool
			defer pool.Close()
			if err := readmodel.MigrateBy(ctx, db.direct()); err != nil {
				return err
			}
			entered, err := admin.BackfillLedger(ctx, pool)
			if err != nil {
				return err
			}
			if entered > 0 && !asJSON {
				fmt.Fprintf(p.out, "%d accounts that were erased before are entered into the ledger of erasures\n", entered)
			}
			folded, err := readmodel.SourceStreams(ctx, pool)
			if err != nil {
				return err
			}
			there, err := client.Exists(ctx)
			if err != nil {
				return err
			}
			switch {
			case newStream: // told that it is another
			case !there && len(folded) > 0:
				return p.noNewStream(ctx, pool, folded[0])
			case there:
				if err := p.checkSameStream(ctx, client, pool); err != nil {
					return err
				}
			}
			res, err := client.Provision(ctx, folded...)
			if err != nil {
				return fmt.Errorf("provision stream %s: %w", p.cfg.Stream, err)
			}
			if asJSON {
				return p.printJSON(provisioned{string(p.cfg.Stream), res.Created, res.ID, res.Partitions, entered})
			}
			verb := "checked"
			if res.Created {
				verb = "created"
			}
			fmt.Fprintf(p.out, "stream %s %s, id %s, %d partitions; database migrated\n", p.cfg.Stream, verb, res.ID, res.Partitions)
			return p.readable(ctx, client, pool)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&newStream, "new-stream", false, "make a new, empty stream although the database holds checkpoints of one")
	return cmd
}

// readable is what would keep `projector run` from reading the stream. Where that
// is only that as many read as may, and replicas live, they are those.
func (p *program) readable(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) error {
	err := client.CanRead(ctx)
	if errors.Is(err, stream.ErrMaxConsumers) {
		if st, inspecting := admin.ReadStatus(ctx, pool); inspecting == nil && len(st.Members) > 0 {
			fmt.Fprintf(p.out, "%v; %d replicas of `projector run` read it\n", err, len(st.Members))
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("`projector run` could not read it: %w", err)
	}
	return nil
}

// checkSameStream is why the stream that is there is not the one that was folded, or not
// any more: then it gets no id here. Another number of partitions, another
// projection version and messages that are missing are no matter of who it is, and
// a restored database is brought to this schema first.
func (p *program) checkSameStream(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) error {
	err := acts.NewTarget(client, pool).Check(ctx)
	for _, other := range []error{readmodel.ErrNoGeneration, engine.ErrVersion, engine.ErrPartitions, stream.ErrHistoryLost, stream.ErrMissing} {
		if errors.Is(err, other) {
			return nil
		}
	}
	if acts.IsRefusal(err) {
		return fmt.Errorf("the database is migrated, and the stream was left as it is: %w", err)
	}
	return err
}

// noNewStream says what to look at before a new stream is made beside
// checkpoints of another.
func (p *program) noNewStream(ctx context.Context, pool *pgxpool.Pool, folded engine.StreamIdentity) error {
	at := ""
	if st, err := admin.ReadStatus(ctx, pool); err == nil {
		highest := uint64(0)
		for _, c := range st.Partitions {
			highest = max(highest, c.Position)
		}
		at = fmt.Sprintf(", read up to %d", highest)
	}
	return fmt.Errorf("there is no stream %s here, and the database holds checkpoints of stream %s, created %s%s: a new, empty stream would be "+
		"another one, which `projector run` refuses, so none was made. Is STREAM the right name, NATS_URL the right server, and its JetStream "+
		"domain and account the right ones? Is DATABASE_URL the right database? A stream that was lost is restored from its backup; "+
		"`projector provision --new-stream` makes an empty one all the same", p.cfg.Stream, folded.Name, folded.Created.UTC().Format(time.RFC3339), at)
}

// provisioned is the result as JSON.
type provisioned struct {
	Stream     string `json:"stream"`
	Created    bool   `json:"created"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
	Entered    int64  `json:"erasures_entered"` // of before there was a ledger, or by an older program beside this one
}
