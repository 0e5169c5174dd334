package findings

import (
	"errors"
	"slices"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/connect"
)

// Refusal is an error that restarting does not help against, since a person has to
// decide. It has an exit status of its own, so that a service manager can tell it from
// others and does not restart the program, and a word by which metrics and the record of
// problems name it ([accountexport/readmodel.Refused]).
type Refusal struct {
	Err    error
	Exit   int
	Reason string

	// commands are the ways out that need no backup, the one to begin with first; none
	// of them gives anything up before it has said what.
	commands []string
}

const (
	accept        = "projector accept" // says what it would give up; only with --yes does it do so
	rebuild       = "projector rebuild"
	rebuildAnyhow = "projector rebuild --accept-differences"
)

// Refusals lists them, in the order of their exit statuses.
func Refusals() []Refusal {
	return []Refusal{
		{engine.ErrVersion, 10, "version", []string{rebuild}},
		{stream.ErrOtherStream, 11, "other_stream", []string{accept, rebuildAnyhow}},
		{stream.ErrRecreated, 12, "recreated", []string{accept, rebuildAnyhow}},
		{engine.ErrStreamBehind, 13, "stream_behind", []string{rebuildAnyhow}},
		{stream.ErrHistoryLost, 14, "history_lost", []string{accept, rebuildAnyhow}},
		{engine.ErrPartitions, 15, "partitions", []string{rebuild}},
		{engine.ErrDiverged, 16, "diverged", []string{rebuildAnyhow}},
		{acts.ErrErasuresMissing, 17, "erasures_missing", []string{accept, rebuild}},
		{stream.ErrMissing, 18, "messages_missing", []string{accept, rebuild}},
	}
}

// RefusalOf is the refusal that an error is, and whether it is one.
func RefusalOf(err error) (Refusal, bool) {
	all := Refusals()
	i := slices.IndexFunc(all, func(r Refusal) bool { return errors.Is(err, r.Err) })
	if i < 0 {
		return Refusal{}, false
	}
	return all[i], true
}

// ExitStatus is the status that the projector ends with on an error.
func ExitStatus(err error) int {
	if r, refused := RefusalOf(err); refused {
		return r.Exit
	}
	if errors.Is(err, connect.ErrMisconfigured) {
		return cli.ExitUsage
	}
	return cli.ExitFailure
}
