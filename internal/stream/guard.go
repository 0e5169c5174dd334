package stream

import (
	"errors"
	"fmt"

	"accountexport/projections/engine"
)

// Ways in which a stream can have lost what was folded from it; others are
// [engine.ErrStreamBehind] and [engine.ErrPartitions].
var (
	ErrOtherStream = errors.New("this is another stream")
	ErrRecreated   = errors.New("the stream was recreated")
	ErrHistoryLost = errors.New("the stream begins after the checkpoint")
	ErrMissing     = errors.New("messages are missing that nobody removed")
)

// The ways out of each case, the command first that ends it whatever the stream
// holds. Accepting is `projector accept` where the live generation can soundly go
// on, and a rebuild that is told to accept differences where it cannot.
const (
	untouched = "Nothing was changed, and what is there is still served. "
	compared  = "or accept this one: `projector accept`, which checks that it holds the same messages at the same positions, as a copy or " +
		"a mirror does, and names the accounts that differ; `projector rebuild --accept-differences`, which takes on any stream, and gives up " +
		"what this one cannot account for"

	otherWays    = untouched + "Ways out: restore the pair: point STREAM and DATABASE_URL at what belongs together; " + compared
	recreateWays = untouched + "Ways out: restore the stream from a backup, which is refused in turn where it ends before the checkpoint, and lacks what this " +
		"stream holds since it was made (keep its folder: doc/operating.md, \"What came into another stream meanwhile\"); " + compared
	behindWays = untouched + "Ways out: restore the stream from a backup that reaches the checkpoint; or accept that what is missing is lost: " +
		"`projector rebuild --accept-differences`, which folds what the stream holds now into a new generation, and says who would go back or " +
		"be lost by it. The live generation cannot go on, since positions that it has folded would be given out again"
	lostWays = untouched + "Ways out: restore the stream from a backup that holds what is missing; or accept that it is lost: `projector accept` " +
		"keeps the documents and goes on with the first message there is, and `projector rebuild --accept-differences` makes documents of what " +
		"there is"
)

// missingWays are the ways out where messages are missing.
const missingWays = untouched + "Ways out: restore the stream from a backup that holds them, and all that came since; or accept that they are lost: `projector accept` " +
	"keeps the documents and goes on, and `projector verify --all` names the accounts whose messages they were; `projector rebuild` folds what " +
	"the stream holds now into a new generation, and cuts over only where no document would change. Where it is the database that was " +
	"restored from before, the stream is right: keep the API stopped, and import the newest export of the ledger first (doc/operating.md, " +
	"\"After a database was restored\")"

// MissingMessages is the refusal of a stream of which messages are gone that no
// erasure has removed: so many, at these positions as far as the server says.
func MissingMessages(stream string, n uint64, gone engine.Ranges) error {
	where := "the server does not say at which positions"
	if len(gone) > 0 {
		where = "at positions " + gone.String()
	}
	return fmt.Errorf("%w: stream %s has lost %d messages, %s: no erasure removed them, and they were there before. %s",
		ErrMissing, stream, n, where, missingWays)
}

// UndeliveredMessages is the refusal of a stream that counts messages as there
// and does not deliver them.
func UndeliveredMessages(stream string, those engine.Ranges) error {
	return fmt.Errorf("%w: stream %s counts %d messages as there that its server cannot give, at positions %v: what it has stored is damaged, "+
		"and its log may say more. %s", ErrMissing, stream, those.Count(), those, missingWays)
}

// claims says what a stream's id tells beside: never that it holds the same.
func claims(id, folded string) string {
	switch {
	case id == "" || folded == "":
		return ""
	case id == folded:
		return fmt.Sprintf(" (by its id %s it claims to be that one; what it holds is another matter)", id)
	}
	return fmt.Sprintf(" (its id is %s, and was %s)", id, folded)
}

// Guard holds a stream against the checkpoints of what was folded from it; it
// is a [engine.Guard]. A new generation, with nothing folded yet, accepts
// any beginning; gaps inside are a matter of counts ([Client.Deleted], [ReconcilingSource]).
func Guard(info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	switch {
	case info.Name != have.Name:
		return fmt.Errorf("%w: it is %s, and the documents were folded from %s%s. %s", ErrOtherStream, info.Name, have.Name,
			claims(info.ID, have.ID), otherWays)
	case stamp(info.Created) != stamp(have.Created):
		return fmt.Errorf("%w: %s was created %s, and the documents were folded from one that was created %s%s. %s", ErrRecreated,
			info.Name, stamp(info.Created), stamp(have.Created), claims(info.ID, have.ID), recreateWays)
	case info.ID != "" && have.ID != "" && info.ID != have.ID:
		return fmt.Errorf("%w: %s, created %s%s. %s", ErrOtherStream, info.Name, stamp(info.Created), claims(info.ID, have.ID), otherWays)
	}
	if err := engine.CheckPartitions(info.Name, info.Partitions, have.Partitions); err != nil {
		return err
	}
	switch {
	case info.Last < highest:
		return fmt.Errorf("%w: stream %s ends at %d, and the checkpoint is %d. %s", engine.ErrStreamBehind, info.Name, info.Last, highest, behindWays)
	case lowest > 0 && info.First > lowest+1:
		return fmt.Errorf("%w: stream %s begins at %d, and the checkpoint is %d. %s", ErrHistoryLost, info.Name, info.First, lowest, lostWays)
	}
	return nil
}
