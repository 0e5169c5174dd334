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
	var newStream bool
	cmd := &cobra.Command{
		Use:   "provision [--new-stream] [--json]",
		Short: "Create or check the stream, and migrate the database",
		Long: "Brings the database to this program's schema, and creates the stream or checks that it is as it must be; one that does\n" +
			"not say which stream it is gets an id. May be repeated. A stream that differs is refused, naming each difference; another\n" +
			"partition count is none. Where the database holds checkpoints and there is no such stream, none is made unless told\n" +
			"--new-stream: an empty one would be another than what was folded. Ends with 1 where `projector run` could not read it.",
		Example: `  # Before the first start, and with each new version.
  projector provision
  # The stream is lost, and so are its backups: begin an empty one.
  projector provision --new-stream`,
		RunE: p.onStream(func(ctx context.Context, client *stream.Client) error {
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
			if entered > 0 && !p.asJSON {
				fmt.Fprintf(p.out, "%d accounts that were erased before are entered into the ledger of erasures\n", entered)
			}
			detail := "" // the audit is there by now
			if newStream {
				detail = "--new-stream"
			}
			return p.act(ctx, pool, acts.Provision, nil, detail, func() error { return p.provisionStream(ctx, client, pool, newStream, entered) })
		}),
	}
	p.jsonFlag(cmd, jsonResult)
	cmd.Flags().BoolVar(&newStream, "new-stream", false, "make a new, empty stream although the database holds checkpoints of one")
	return cmd
}

// provisionStream creates or checks the stream, once the database is migrated.
func (p *program) provisionStream(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, newStream bool, entered int64) error {
	folded, err := readmodel.SourceStreams(ctx, pool)
	if err != nil {
		return err
	}
	there, err := client.Exists(ctx)
	if err != nil {
		return err
	}
	switch {
	case newStream: // it is to be another stream, so it is compared with nothing
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
	if p.asJSON {
		return p.printJSON(provisioned{string(p.cfg.Stream), res.Created, res.ID, res.Partitions, entered})
	}
	verb := "checked"
	if res.Created {
		verb = "created"
	}
	fmt.Fprintf(p.out, "stream %s %s, id %s, %d partitions; database migrated\n", p.cfg.Stream, verb, res.ID, res.Partitions)
	return p.readable(ctx, client, pool)
}

// readable fails where `projector run` could not read the stream. Where the only
// reason is that the stream has as many consumers as it may, and replicas are alive,
// the consumers are theirs: that is printed, and is no failure.
func (p *program) readable(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) error {
	err := client.CanRead(ctx)
	if errors.Is(err, stream.ErrMaxConsumers) {
		if st, statusErr := admin.ReadStatus(ctx, pool); statusErr == nil && len(st.Members) > 0 {
			fmt.Fprintf(p.out, "%v; %d replicas of `projector run` read it\n", err, len(st.Members))
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("`projector run` could not read it: %w", err)
	}
	return nil
}

// checkSameStream fails where the stream is not the one that was folded, or no
// longer is: then provision gives it no id. Another number of partitions, another
// projection version and missing messages do not make it another stream. A database
// that was restored is migrated before this is asked.
func (p *program) checkSameStream(ctx context.Context, client *stream.Client, pool *pgxpool.Pool) error {
	err := acts.NewTarget(client, pool).Check(ctx)
	for _, passes := range []error{readmodel.ErrNoGeneration, engine.ErrVersion, engine.ErrPartitions, stream.ErrHistoryLost, stream.ErrMissing} {
		if errors.Is(err, passes) {
			return nil
		}
	}
	if acts.IsRefusal(err) {
		return fmt.Errorf("the database is migrated, and the stream was left as it is: %w", err)
	}
	return err
}

// noNewStream is the error where there is no stream and the database holds
// checkpoints of one. It says what to look at before a new stream is created.
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
	// erasures from before there was a ledger, or by an older program beside this one
	Entered int64 `json:"erasures_entered"`
}
