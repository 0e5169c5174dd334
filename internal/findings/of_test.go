package findings_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const someone = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

// allRight is a status in which nothing needs attention, with a change.
func allRight(change func(*acts.Status)) *acts.Status {
	st := &acts.Status{Comparable: true, Position: 9, Progressing: true, Stream: engine.StreamInfo{Name: "S", Last: 9, Partitions: 2}}
	st.Generation.Number, st.Generation.State = 4, readmodel.StateLive
	st.Members = []admin.Member{{Name: "one", Partitions: 2, SinceHeartbeat: time.Second}}
	for partition := range 2 {
		st.Partitions = append(st.Partitions, admin.PartitionStatus{Checkpoint: engine.Checkpoint{Partition: partition, Position: 9}, Owner: "one"})
	}
	if change != nil {
		change(st)
	}
	return st
}

func refusedBy(err error) func(*acts.Status) {
	return func(st *acts.Status) { st.Refused = fmt.Errorf("%w: %w", engine.ErrRefused, err) }
}

// TestWhatIsFound: each thing that may be wrong, by itself, is found, with the commands that
// mend it, and what matters is told from what does not.
func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	nobody := func(st *acts.Status) {
		st.Members = nil
		for i := range st.Partitions {
			st.Partitions[i].Owner = ""
		}
	}
	problem := readmodel.Problem{Class: readmodel.Failed, Partition: 1, Reason: "store", Message: "PostgreSQL refuses: SQLSTATE 23514", Generation: 4,
		Position: 7, Until: 7, EventType: "team.created.v1", Replica: "one", First: noon, Noted: noon.Add(time.Minute), Times: 3}
	recorded := func(change func(*readmodel.Problem)) func(*acts.Status) {
		return func(st *acts.Status) {
			p := problem
			change(&p)
			st.Problems = []readmodel.Problem{p}
		}
	}
	for name, c := range map[string]struct {
		status func(*acts.Status)
		want   []string // what each finding is, and its commands
		text   string   // a part of the first one's
	}{
		"nothing": {nil, nil, ""},
		"a pause": {func(st *acts.Status) { st.Pause = &engine.Pause{Since: noon, By: "ann", Note: "disk\x1b[2J"} },
			[]string{"attention paused: projector resume"}, `paused since 2026-07-01T12:00:00Z, by ann (disk\u001b[2J): no checkpoint moves`},
		"a pause while behind": {func(st *acts.Status) { st.Pause, st.Lag, st.Progressing = &engine.Pause{}, 5, false },
			[]string{"attention paused: projector resume"}, ""},
		"another stream": {refusedBy(stream.ErrOtherStream), []string{"broken refused: projector accept; projector rebuild --accept-differences"},
			"`projector run` would end with exit status 11: refused: this is another stream"},
		"a stream that ends too early": {refusedBy(engine.ErrStreamBehind), []string{"broken refused: projector rebuild --accept-differences"}, "exit status 13"},
		"other partitions":             {refusedBy(engine.ErrPartitions), []string{"broken refused: projector rebuild"}, "exit status 15"},
		"no transform": {func(st *acts.Status) { refusedBy(engine.ErrPartitions)(st); st.Stream.Partitions = 0 }, // a rebuild would be refused as well
			[]string{"broken refused: "}, "exit status 15"},
		"erasures that the stream lacks": {refusedBy(acts.ErrErasuresMissing), []string{"broken refused: projector accept; projector rebuild"}, "exit status 17"},
		"nobody can read":                {func(st *acts.Status) { st.Unreadable = errors.New("no\nrights") }, []string{"broken unreadable: "}, "could not read it: no; rights"},
		"one more could not read": {func(st *acts.Status) { st.Unreadable = fmt.Errorf("x: %w", stream.ErrMaxConsumers) },
			[]string{"attention unreadable: "}, ""},
		"a standstill": {func(st *acts.Status) { st.Lag, st.Stream.Last, st.Progressing = 5, 14, false }, []string{"broken not_progressing: "},
			"position 9 of 14, 5 behind, and no checkpoint moves"},
		"a standstill since the replica was killed": {func(st *acts.Status) {
			st.Lag, st.Progressing, st.Members[0].SinceHeartbeat = 5, false, time.Minute
		}, []string{"broken not_progressing: projector run"}, ""},
		"no replica":            {nobody, []string{"attention no_replica: projector run"}, "no `projector run` is there"},
		"behind, and progress":  {func(st *acts.Status) { st.Lag = 5 }, nil, ""},
		"a partition of nobody": {func(st *acts.Status) { st.Partitions[1].Owner = "gone" }, []string{"attention unowned 1: "}, "no replica owns partition 1;"},
		"a setting": {func(st *acts.Status) {
			st.Stream.Deviations = []engine.Deviation{{What: "retention", Have: "limits", Want: "x"}}
		}, []string{"attention deviation: "}, "the stream's retention is limits, want x; nothing is lost by it yet"},
		"a missing id": {func(st *acts.Status) {
			st.Stream.Deviations = []engine.Deviation{{What: "id", Have: "missing", Want: "one; `projector provision` writes it"}}
		}, []string{"attention deviation: projector provision"}, ""},
		"parked messages": {func(st *acts.Status) { st.Parked = 3 }, []string{"attention parked: projector parked list --group-by reason"}, "3 messages are parked"},
		"an error on record": {recorded(func(*readmodel.Problem) {}), []string{"attention problem 1: "},
			"on record: partition 1 begins again, store: PostgreSQL refuses: SQLSTATE 23514; the message at position 7, team.created.v1; 3 times since " +
				"2026-07-01T12:00:00Z, last 2026-07-01T12:01:00Z, by one; gone once that is projected again"},
		"an error of no partition": {recorded(func(p *readmodel.Problem) { p.Partition, p.Until, p.Position = readmodel.NoPartition, 0, 5 }), []string{"attention problem: "},
			"on record: a projector begins again, store: PostgreSQL refuses: SQLSTATE 23514; it stands at position 5; "},
		"a refusal on record that is over": {func(st *acts.Status) {
			recorded(func(p *readmodel.Problem) { p.Class, p.Partition = readmodel.Refused, readmodel.NoPartition })(st)
			st.Members[0].SinceHeartbeat = time.Hour
		}, []string{"attention problem: projector run"}, "on record: `projector run` has refused, store: "},
		"a ledger that was never exported": {func(st *acts.Status) { st.Ledger = admin.LedgerStatus{Erasures: 2, Age: 25 * time.Hour} },
			[]string{"attention ledger_not_exported: projector erasures export"}, "the ledger of 2 erasures was never exported: `projector erasures export`"},
		"a ledger that was exported in time": {func(st *acts.Status) { st.Ledger = admin.LedgerStatus{Erasures: 2, Age: 23 * time.Hour} }, nil, ""},
		"an erased account that is served":   {func(st *acts.Status) { st.ErasedServed = 1 }, []string{"broken erased_served: "}, "keep the API stopped"},
		"an erasure": {func(st *acts.Status) { st.PendingErasures = []events.UUID{account} },
			[]string{"attention erasure_unfinished " + someone + ": projector erase --account " + someone}, "the erasure of account " + someone + " is not finished"},
		"a build": {func(st *acts.Status) { st.Building = &admin.BuildStatus{Number: 5, Position: 3, Running: true} },
			[]string{"told building: "}, "generation 5 is being built, at 3"},
		"a build that waits for its cut-over": {func(st *acts.Status) { st.Building = &admin.BuildStatus{Number: 5, Position: 8} },
			[]string{"attention build_abandoned: projector rebuild; projector generations drop 5; projector cutover"}, "near the end of the stream, so `projector cutover` compares it, and makes it live"},
		"a build of nobody": {func(st *acts.Status) { st.Building = &admin.BuildStatus{Number: 5, Position: 3} },
			[]string{"attention build_abandoned: projector rebuild; projector generations drop 5"}, "generation 5 is at 3, and nobody builds it"},
		"what matters comes first": {func(st *acts.Status) {
			nobody(st)
			st.Building = &admin.BuildStatus{Number: 5, Position: 3, Running: true}
			st.Pause, st.ErasedServed = &engine.Pause{}, 2
		}, []string{"broken erased_served: projector run", "attention paused: projector resume", "attention no_replica: projector run", "told building: "}, ""},
	} {
		st := allRight(c.status)
		found := findings.Of(st)
		var got []string
		broken := false
		for _, f := range found {
			about := ""
			if f.Partition != nil {
				about += fmt.Sprint(" ", *f.Partition)
			}
			if f.Account != nil {
				about += " " + f.Account.String()
			}
			got = append(got, fmt.Sprintf("%s %s%s: %s", f.Severity, f.What, about, strings.Join(f.Commands, "; ")))
			broken = broken || f.Severity == findings.Broken
			if !slices.Contains(findings.Whats(), f.What) || strings.ContainsAny(f.Text, "\n\x1b") {
				t.Errorf("%s: %q is of no known kind, or not printable: %q", name, f.What, f.Text)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +found):\n%s", name, diff)
		} else if len(found) > 0 && !strings.Contains(found[0].Text, c.text) {
			t.Errorf("%s: %s, want %q in it", name, found[0].Text, c.text)
		}
		if fails := st.Refused != nil || st.Unhealthy(); broken != fails {
			t.Errorf("%s: anything broken is %v, and that status fails is %v", name, broken, fails)
		}
	}
}

// TestFindingsAreBounded: however much is on record, what is found fits a page, and says how
// much it leaves out.
func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	found := findings.Of(allRight(func(st *acts.Status) {
		for i := range 1000 {
			st.PendingErasures = append(st.PendingErasures, events.UUID{15: byte(i)})
			st.Problems = append(st.Problems, readmodel.Problem{Class: readmodel.Failed, Partition: i})
		}
	}))
	if len(found) != 9+21 {
		t.Fatalf("%d findings", len(found))
	}
	if got := found[8].Text; got != "on record: 992 more: `projector status --json`" {
		t.Error(got)
	}
	if got := found[29].Text; got != "the erasures of 980 more accounts are not finished: `projector status --json` names them" {
		t.Error(got)
	}
	if *found[0].Partition != 0 || *found[7].Partition != 7 || found[28].Account[15] != 19 {
		t.Error("the first ones are not those that are named")
	}
}

// TestExitStatuses: a refusal has a status of its own, settings that cannot be used that of a
// wrong call, and everything else fails.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	for i, r := range findings.Refusals() {
		err := fmt.Errorf("%w: %w: of this kind", engine.ErrRefused, r.Err)
		if got := findings.ExitStatus(err); got != 10+i {
			t.Errorf("%v: exit status %d, want %d", err, got, 10+i)
		}
		if got, is := findings.RefusalOf(err); !is || got.Reason != r.Reason {
			t.Errorf("%v is taken for %+v", err, got)
		}
	}
	if got := findings.ExitStatus(fmt.Errorf("x: %w", connect.ErrMisconfigured)); got != 2 {
		t.Errorf("unusable settings: %d", got)
	}
	if got := findings.ExitStatus(errors.New("x")); got != 1 {
		t.Errorf("any other error: %d", got)
	}
	if _, is := findings.RefusalOf(errors.New("x")); is {
		t.Error("any error is a refusal")
	}
}
