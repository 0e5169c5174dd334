package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// everythingWrong is a status with one of each that may be found at the same time.
func everythingWrong() *acts.Status {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	st := &acts.Status{Comparable: true, Position: 9, Lag: 5, Stream: engine.StreamInfo{Name: "S", Last: 14, Partitions: 2,
		Deviations: []engine.Deviation{{What: "retention", Have: "interest", Want: "limits"}, {What: "id", Have: "missing", Want: "one; `projector provision` writes it"}}},
		Refused: fmt.Errorf("%w: %w: x", engine.ErrRefused, stream.ErrRecreated), Unreadable: fmt.Errorf("y")}
	st.Generation = readmodel.Generation{Number: 4, State: readmodel.StateLive}
	st.Partitions = []admin.PartitionStatus{{Checkpoint: engine.Checkpoint{Partition: 1, Position: 9, Epoch: 2, AsOf: noon}}}
	st.Parked, st.ErasedServed = 3, 2
	st.Ledger = admin.LedgerStatus{Erasures: 7, Age: 48 * time.Hour}
	st.PendingErasures = []events.UUID{{15: 1}, {15: 2}}
	st.Building = &admin.BuildStatus{Number: 5, Position: 3}
	st.Pause = &engine.Pause{Since: noon, By: "ann"}
	st.Problems = []readmodel.Problem{
		{Class: readmodel.Refused, Partition: readmodel.NoPartition, Reason: "recreated", Message: "exit status 12: z", Replica: "one", First: noon, Noted: noon, Times: 1},
		{Class: readmodel.Failed, Partition: 1, Reason: "store", Message: "m", Position: 3, Until: 5, EventType: "t", Replica: "one", First: noon, Noted: noon, Times: 2}}
	return st
}

// TestStatusOfEverythingWrong: every finding that is no figure has its line, in an order
// that does not depend on what else is wrong.
func TestStatusOfEverythingWrong(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := printStatus(&b, everythingWrong()); err != nil {
		t.Fatal(err)
	}
	want := "generation 4 (live), projection version 0.0, stream S\n" +
		"paused since 2026-07-01T12:00:00Z, by ann: no checkpoint moves until `projector resume`\n" +
		"`projector run` would end with exit status 12: refused: the stream was recreated: x\n" +
		"one more `projector run` could not read it: y\n" +
		"the stream's retention is interest, want limits; nothing is lost by it yet\n" +
		"the stream's id is missing, want one; `projector provision` writes it; nothing is lost by it yet\n" +
		"position 9 of 14, 5 behind, paused; 3 parked\n" +
		"applied 0  duplicate 0  deferred 0  ignored 0  parked 0  \n" +
		"on record: `projector run` has refused, recreated: exit status 12: z; 1 times since 2026-07-01T12:00:00Z, last 2026-07-01T12:00:00Z, by one; gone once that is projected again\n" +
		"on record: partition 1 begins again, store: m; a message from position 3, t, to 5; 2 times since 2026-07-01T12:00:00Z, last 2026-07-01T12:00:00Z, by one; gone once that is projected again\n" +
		"the ledger of 7 erasures was never exported: `projector erasures export`, once a day, to where the database's loss does not reach\n" +
		"2 accounts on the ledger of erasures are served still: keep the API stopped until this line is gone\n" +
		"the erasure of account 00000000-0000-0000-0000-000000000001 is not finished: `projector erase --account 00000000-0000-0000-0000-000000000001` goes on with it\n" +
		"the erasure of account 00000000-0000-0000-0000-000000000002 is not finished: `projector erase --account 00000000-0000-0000-0000-000000000002` goes on with it\n" +
		"generation 5 is at 3, and nobody builds it: `projector rebuild` goes on with it, `projector generations drop 5` gives it up\n" +
		"no `projector run` is there: what is published waits for one\n"
	got, _, _ := strings.Cut(b.String(), "MEMBER")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +printed):\n%s", diff)
	}
}

// TestCommandsOfFindingsAreCalls: each command that a finding names can be run as it stands:
// it exists, and takes its flags and arguments. So does each that its text names.
func TestCommandsOfFindingsAreCalls(t *testing.T) {
	t.Parallel()
	all := findings.Of(everythingWrong())
	for _, r := range findings.Refusals() {
		all = append(all, findings.Of(&acts.Status{Refused: r.Err, Stream: engine.StreamInfo{Partitions: 2}})...)
	}
	many, still, alone := everythingWrong(), everythingWrong(), everythingWrong()
	many.Problems, many.PendingErasures = slices.Repeat(many.Problems, 10), slices.Repeat(many.PendingErasures, 20)
	still.Pause, still.Refused = nil, nil
	alone.Members, alone.Building.Running = []admin.Member{{Name: "one"}}, true
	alone.Pause = nil
	for _, st := range []*acts.Status{many, still, alone} {
		all = append(all, findings.Of(st)...)
	}
	seen := map[findings.What]bool{}
	calls := map[string]bool{}
	for _, f := range all {
		seen[f.What] = true
		for _, call := range f.Commands {
			calls[call] = true
		}
		if f.What == findings.Deviation {
			continue // in the words of the stream's server
		}
		for i, span := range strings.Split(f.Text, "`") {
			if i%2 == 1 {
				calls[span] = true
			}
		}
	}
	for _, what := range findings.Whats() {
		if !seen[what] {
			t.Errorf("no status here has %s", what)
		}
	}
	if len(calls) < 12 {
		t.Errorf("only %d commands are looked at: %v", len(calls), calls)
	}
	// The servers are not there: a call that is right begins, and ends with another status.
	environ := []string{"DATABASE_URL=postgres://127.0.0.1:1/x", "NATS_URL=nats://127.0.0.1:1", "ADMIN_ADDR=127.0.0.1:0"}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for call := range calls {
		words := strings.Fields(call)
		if words[0] != "projector" {
			t.Errorf("`%s` is no command of ours", call)
			continue
		}
		var told bytes.Buffer
		if status := run(ended, words[1:], environ, &told, &told); status == cli.ExitUsage {
			t.Errorf("`%s` is a wrong call: %s", call, told.String())
		}
	}
}
