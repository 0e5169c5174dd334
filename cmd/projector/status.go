package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections"
	"accountexport/readmodel"
)

// status is what `projector status --json` prints.
type status struct {
	Generation  int64            `json:"generation"`
	State       string           `json:"state"`
	Version     string           `json:"version"`
	Stream      string           `json:"stream"`
	StreamEnd   uint64           `json:"stream_end"`
	Position    uint64           `json:"position"` // the lowest checkpoint
	Lag         uint64           `json:"lag_events"`
	Progressing bool             `json:"progressing"`
	Parked      int64            `json:"parked"`    // that count
	Dismissed   int64            `json:"dismissed"` // parked messages that do not
	Outcomes    map[string]int64 `json:"outcomes"`
	Ledger      ledgerStatus     `json:"erasures"`
	Members     []member         `json:"members"` // live replicas
	Partitions  []partition      `json:"partitions"`
	Paused      *pauseStatus     `json:"paused"`       // null where projecting goes on
	Refused     *refusal         `json:"refused"`      // null where `run` goes on
	Building    *buildingStatus  `json:"building"`     // null where no generation is
	Off         []offContract    `json:"off_contract"` // settings of the stream that have cost nothing yet

	refused error
	paused  *projections.Pause
}

// refusal is why `projector run` would refuse the stream.
type refusal struct {
	Exit int    `json:"exit"` // status that it would end with
	Why  string `json:"why"`
}

// buildingStatus is a generation that is being built.
type buildingStatus struct {
	Generation int64  `json:"generation"`
	Position   uint64 `json:"position"`
	AtWork     bool   `json:"at_work"` // whether anybody is; false: it was abandoned
}

// offContract is a setting of the stream that is not as the contract wants it.
type offContract struct {
	What string `json:"what"`
	Is   string `json:"is"`
	Want string `json:"want"`
}

// ledgerStatus is how the ledger of erasures is kept.
type ledgerStatus struct {
	Entries  int64      `json:"entries"`
	Exported *time.Time `json:"exported_at"` // last; null: never
	Due      bool       `json:"export_due"`  // that is, or the first entry where there is none, more than a day old
	Begun    []string   `json:"unfinished"`  // accounts whose erasure was begun and cut off; the same command takes it up again
	Served   int64      `json:"served"`      // accounts on it that the live generation has as alive
}

type member struct {
	Name       string    `json:"name"`
	Partitions int       `json:"partitions"`
	JoinedAt   time.Time `json:"joined_at"`
	Silent     float64   `json:"silent_seconds"`
}

type partition struct {
	Partition int       `json:"partition"`
	Position  uint64    `json:"position"`
	Lag       uint64    `json:"lag_events"`
	Epoch     int64     `json:"epoch"`
	AsOf      time.Time `json:"as_of"`
	Owner     string    `json:"owner"`
}

func (p *program) status() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [--json]",
		Short: "Show how far the read model is; exit 1 when it is behind and not progressing",
		Long: "Shows how far the read model is, what of the stream is not as the contract wants it, how the\n" +
			"ledger of erasures is kept, and whether `projector run` would\n" +
			"refuse the stream: then it ends with the status that `run` would end with. Exit 1 when behind and not progressing,\n" +
			"unless that is since projecting is paused, which it says, and while accounts on the ledger are served still.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := p.inspect(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(p.out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(st); err != nil {
					return err
				}
			} else {
				p.printStatus(st)
			}
			switch {
			case st.refused != nil:
				return cli.Status(exitCode(st.refused))
			case st.Lag > 0 && !st.Progressing && st.Paused == nil, st.Ledger.Served > 0:
				return cli.Status(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// inspect looks at the stream and at the checkpoints; where the model is
// behind it looks again for some seconds to see whether it moves.
func (p *program) inspect(ctx context.Context) (*status, error) {
	client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	on := acts.NewTarget(client, pool)
	info, refused := on.Refused(ctx)
	if refused != nil && !errors.Is(refused, projections.ErrRefused) && !errors.Is(refused, readmodel.ErrNoGeneration) {
		return nil, refused
	}
	st, err := look(ctx, pool, info)
	if err != nil {
		return nil, err
	}
	for _, d := range info.Off {
		st.Off = append(st.Off, offContract{d.What, d.Have, d.Want})
	}
	if refused != nil {
		st.refuse(refused)
		return st, nil
	}
	before := *st
	for deadline := time.Now().Add(5 * time.Second); st.Lag > 0 && !st.Progressing && st.Paused == nil && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
		if st, err = look(ctx, pool, info); err != nil {
			return nil, err
		}
		st.Progressing = st.Lag == 0 || st.Position > before.Position
		st.Off = before.Off
	}
	st.StreamEnd = max(st.StreamEnd, st.Position) // it may have grown since it was asked
	if err = on.CheckLedger(ctx); errors.Is(err, acts.ErrErasuresLacking) {
		st.refuse(err)
		return st, nil
	}
	return st, err
}

func (st *status) refuse(err error) {
	st.refused, st.Refused = err, &refusal{exitCode(err), err.Error()}
}

func look(ctx context.Context, pool *pgxpool.Pool, info projections.StreamInfo) (*status, error) {
	s, err := readmodel.Inspect(ctx, pool)
	if errors.Is(err, readmodel.ErrNoGeneration) {
		return nil, fmt.Errorf("%w: nothing has been projected yet; start `projector run`", err)
	}
	if err != nil {
		return nil, err
	}
	st := &status{Generation: s.Generation.Number, State: s.Generation.State, Version: s.Generation.Version(),
		Stream: info.Name, StreamEnd: info.Last, Parked: s.Parked, Dismissed: s.Dismissed, Outcomes: map[string]int64{}, Members: []member{},
		Off: []offContract{}}
	for _, m := range s.Members {
		st.Members = append(st.Members, member{m.Name, m.Partitions, m.JoinedAt, m.Silent.Seconds()})
	}
	for i, c := range s.Partitions {
		behind := info.Last - min(info.Last, c.Position)
		st.Partitions = append(st.Partitions, partition{c.Partition, c.Position, behind, c.Epoch, c.AsOf, c.Owner})
		if i == 0 || c.Position < st.Position {
			st.Position = c.Position
		}
		for _, o := range projections.Outcomes() {
			st.Outcomes[o.String()] += c.Tally[o]
		}
	}
	ledger, err := readmodel.LookAtLedger(ctx, pool)
	if err != nil {
		return nil, err
	}
	st.Ledger = ledgerStatus{Entries: ledger.Erasures, Exported: ledger.Exported, Due: ledger.Age > exportDue, Begun: []string{}}
	owed, err := readmodel.OwedErasures(ctx, pool, false)
	if err != nil {
		return nil, err
	}
	for _, o := range owed {
		if !o.Anew {
			st.Ledger.Begun = append(st.Ledger.Begun, o.Account.String())
		}
	}
	if st.Ledger.Served, err = readmodel.ServedThoughErased(ctx, pool); err != nil {
		return nil, err
	}
	pause, err := readmodel.FindPause(ctx, pool)
	if err != nil {
		return nil, err
	}
	if pause != nil {
		st.Paused = &pauseStatus{pause.Since, pause.By, pause.Note}
		st.paused = pause
	}
	st.Lag = info.Last - min(info.Last, st.Position)
	st.Progressing = st.Lag == 0
	st.Building, err = building(ctx, pool)
	return st, err
}

func building(ctx context.Context, pool *pgxpool.Pool) (*buildingStatus, error) {
	g, err := readmodel.Building(ctx, pool)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &buildingStatus{Generation: g.Number}
	if b.Position, err = readmodel.Lowest(ctx, pool, g.Number); err != nil {
		return nil, err
	}
	b.AtWork, err = readmodel.AtWork(ctx, pool)
	return b, err
}

func (p *program) printStatus(st *status) {
	fmt.Fprintf(p.out, "generation %d (%s), projection version %s, stream %s\n", st.Generation, st.State, st.Version, st.Stream)
	moving := ""
	if st.Lag > 0 {
		moving = ", progressing"
		switch {
		case st.paused != nil:
			moving = ", paused"
		case !st.Progressing:
			moving = ", NOT progressing"
		}
	}
	if st.paused != nil {
		fmt.Fprintf(p.out, "paused %s: no checkpoint moves until `projector resume`\n", cli.Printable(st.paused.String()))
	}
	if st.Refused != nil {
		fmt.Fprintf(p.out, "`projector run` would end with exit status %d: %s\n", st.Refused.Exit, st.Refused.Why)
	}
	for _, d := range st.Off {
		fmt.Fprintf(p.out, "the stream's %s is %s, want %s; nothing is lost by it yet\n", d.What, d.Is, d.Want)
	}
	fmt.Fprintf(p.out, "position %d of %d, %d behind%s; %d parked\n", st.Position, st.StreamEnd, st.Lag, moving, st.Parked)
	for _, o := range projections.Outcomes() {
		fmt.Fprintf(p.out, "%s %d  ", o, st.Outcomes[o.String()])
	}
	fmt.Fprintln(p.out)
	if st.Ledger.Due {
		last := "was never exported"
		if st.Ledger.Exported != nil {
			last = "was exported last " + st.Ledger.Exported.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(p.out, "the ledger of %d erasures %s: `projector erasures export`, once a day, to where the database's loss does not reach\n",
			st.Ledger.Entries, last)
	}
	if b := st.Building; b != nil && b.AtWork {
		fmt.Fprintf(p.out, "generation %d is being built, at %d\n", b.Generation, b.Position)
	} else if b != nil {
		fmt.Fprintf(p.out, "generation %d is at %d, and nobody builds it: `projector rebuild` goes on with it, `projector generations drop %d` gives it up\n",
			b.Generation, b.Position, b.Generation)
	}
	if st.Ledger.Served > 0 {
		fmt.Fprintf(p.out, "%d accounts on the ledger of erasures are served still: keep the API stopped until this line is gone\n", st.Ledger.Served)
	}
	for _, account := range st.Ledger.Begun {
		fmt.Fprintf(p.out, "the erasure of account %s is not finished: `projector erase --account %s` goes on with it\n", account, account)
	}
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "MEMBER\tPARTITIONS\tJOINED\tSEEN")
	for _, m := range st.Members {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f s ago\n", m.Name, m.Partitions, m.JoinedAt.UTC().Format(time.RFC3339), m.Silent)
	}
	w.Flush()
	fmt.Fprintln(w, "PARTITION\tPOSITION\tBEHIND\tEPOCH\tAS OF\tOWNER")
	for _, c := range st.Partitions {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s\t%s\n", c.Partition, c.Position, c.Lag, c.Epoch, c.AsOf.UTC().Format(time.RFC3339), c.Owner)
	}
	w.Flush()
}
