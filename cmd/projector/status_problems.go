package main

import (
	"time"

	"accountexport/readmodel"
)

// problem is a problem on record as JSON.
type problem struct {
	Class     readmodel.ProblemClass `json:"class"`
	Partition *int                   `json:"partition"` // null: of no one partition
	Reason    string                 `json:"reason"`
	Message   string                 `json:"message"`
	Position  *uint64                `json:"position"`       // null where it is not known
	Until     *uint64                `json:"until_position"` // null where it is not known which message failed
	Type      string                 `json:"event_type"`     // of the message at position; empty where it is not known
	Replica   string                 `json:"replica"`
	Since     time.Time              `json:"since"`
	Last      time.Time              `json:"last_at"`
	Times     int64                  `json:"times"`
}

func problemsOf(all []readmodel.Problem) []problem {
	known := func(position uint64) *uint64 {
		if position == 0 {
			return nil
		}
		return &position
	}
	out := []problem{}
	for _, p := range all {
		line := problem{p.Class, &p.Partition, p.Reason, p.Message, known(p.Position), known(p.Until), p.EventType, p.Replica, p.First.UTC(), p.Noted.UTC(), p.Times}
		if p.Partition == readmodel.NoPartition {
			line.Partition = nil
		}
		out = append(out, line)
	}
	return out
}
