package main

import (
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/projections"
)

// status is what `projector status --json` prints.
type status struct {
	Generation int64  `json:"generation"`
	State      string `json:"state"`
	Version    string `json:"version"`
	Stream     string `json:"stream"`
	// asked after the positions were read; null where it cannot be compared with them:
	// another stream, or one that has lost its end
	StreamEnd   *uint64  `json:"stream_end"`
	Position    uint64   `json:"position"`   // the lowest checkpoint
	Lag         *uint64  `json:"lag_events"` // null as stream_end
	Progressing bool     `json:"progressing"`
	Rate        *float64 `json:"events_per_second"` // where it is behind and moves; otherwise null
	// until the end is reached at the present rate; null where that is not known, or the
	// end does not come nearer
	Left       *float64         `json:"seconds_left"`
	Parked     int64            `json:"parked"`    // parked messages that were not dismissed
	Dismissed  int64            `json:"dismissed"` // parked messages that were
	Outcomes   map[string]int64 `json:"outcomes"`
	Ledger     ledgerStatus     `json:"erasures"`
	Members    []member         `json:"members"` // live replicas
	Partitions []partition      `json:"partitions"`
	Paused     *pauseStatus     `json:"paused"`     // null where projecting is not paused
	Refused    *refusal         `json:"refused"`    // null where `run` would not refuse the stream
	Unreadable string           `json:"unreadable"` // what keeps one more reader from the stream; empty where nothing does
	Building   *buildingStatus  `json:"building"`   // null where no generation is being built
	// settings of the stream that are not as the contract wants them, and have cost
	// nothing yet
	Off    []offContract `json:"off_contract"`
	Outbox *outboxStatus `json:"outbox"` // null without OUTBOX_DATABASE_URL
	// what is on record of why a projector has refused, or begins again with errors
	Problems []problem `json:"problems"`
}

// refusal is why `projector run` would refuse the stream.
type refusal struct {
	Exit int    `json:"exit"` // the exit status that it would end with
	Why  string `json:"why"`
}

// buildingStatus is a generation that is being built.
type buildingStatus struct {
	Generation int64  `json:"generation"`
	Position   uint64 `json:"position"`
	AtWork     bool   `json:"at_work"` // false: nobody builds it any more
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
	Exported *time.Time `json:"exported_at"` // the last time; null where it never was
	Due      bool       `json:"export_due"`  // the last export, or the first entry where there was none, is more than a day old
	Begun    []string   `json:"unfinished"`  // accounts whose erasure was interrupted; the same command completes it
	Served   int64      `json:"served"`      // accounts on the ledger that are not erased in the live generation
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
	Lag       *uint64   `json:"lag_events"` // null where the lag of the whole is
	Epoch     int64     `json:"epoch"`
	AsOf      time.Time `json:"as_of"`
	Owner     string    `json:"owner"`
}

// statusOf is a status as JSON.
func statusOf(s *acts.Status) *status {
	st := &status{Generation: s.Generation.Number, State: s.Generation.State, Version: s.Generation.Version(), Stream: s.Stream.Name,
		Position: s.Position, Progressing: s.Progressing, Parked: s.Parked, Dismissed: s.Dismissed, Outcomes: outcomes(s),
		Members: []member{}, Partitions: []partition{}, Off: []offContract{}, Problems: problemsOf(s.Problems),
		Ledger: ledgerStatus{Entries: s.Ledger.Erasures, Exported: s.Ledger.Exported, Due: findings.LedgerDue(s.Ledger), Begun: []string{}, Served: s.ErasedServed}}
	if s.Comparable {
		st.StreamEnd, st.Lag = &s.Stream.Last, &s.Lag
	}
	if s.Rate > 0 {
		st.Rate = &s.Rate
	}
	if left := s.Left.Seconds(); left > 0 {
		st.Left = &left
	}
	for _, account := range s.PendingErasures {
		st.Ledger.Begun = append(st.Ledger.Begun, account.String())
	}
	for _, m := range s.Members {
		st.Members = append(st.Members, member{m.Name, m.Partitions, m.JoinedAt, m.SinceHeartbeat.Seconds()})
	}
	for _, c := range s.Partitions {
		p := partition{c.Partition, c.Position, nil, c.Epoch, c.AsOf, c.Owner}
		if s.Comparable {
			behind := s.Behind(c.Checkpoint)
			p.Lag = &behind
		}
		st.Partitions = append(st.Partitions, p)
	}
	if p := s.Pause; p != nil {
		st.Paused = &pauseStatus{p.Since, p.By, p.Note}
	}
	if s.Refused != nil {
		st.Refused = &refusal{findings.ExitStatus(s.Refused), s.Refused.Error()}
	}
	if s.Unreadable != nil {
		st.Unreadable = s.Unreadable.Error()
	}
	if b := s.Building; b != nil {
		st.Building = &buildingStatus{b.Number, b.Position, b.Running}
	}
	for _, d := range s.Stream.Deviations {
		st.Off = append(st.Off, offContract{d.What, d.Have, d.Want})
	}
	return st
}

// outcomes counts the messages of all partitions by outcome.
func outcomes(s *acts.Status) map[string]int64 {
	all := map[string]int64{}
	for _, c := range s.Partitions {
		for _, o := range projections.Outcomes() {
			all[o.String()] += c.Tally[o]
		}
	}
	return all
}
