package stream

import (
	"errors"
	"fmt"

	"accountexport/projections/engine"
)

// Ways in which a stream can have lost history that was folded from it. Two more are
// [engine.ErrStreamBehind] and [engine.ErrPartitions].
var (
	ErrOtherStream = errors.New("this is another stream")
	ErrRecreated   = errors.New("the stream was recreated")
	ErrHistoryLost = errors.New("the stream begins after the checkpoint")
	ErrMissing     = errors.New("messages are missing that nobody removed")
)

// The ways out of each case. The command that works whatever the stream holds comes
// first: `projector accept` where the live generation can go on soundly, and
// otherwise a rebuild that is told to accept differences.
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

// MissingMessages is the refusal of a stream that has lost n messages which no
// erasure removed. missing holds their positions, as far as the server reports them.
func MissingMessages(stream string, n uint64, missing engine.Ranges) error {
	where := "the server does not say at which positions"
	if len(missing) > 0 {
		where = "at positions " + missing.String()
	}
	return fmt.Errorf("%w: stream %s has lost %d messages, %s: no erasure removed them, and they were there before. %s",
		ErrMissing, stream, n, where, missingWays)
}

// UndeliveredMessages is the refusal of a stream that counts messages as present and
// does not deliver them.
func UndeliveredMessages(stream string, undelivered engine.Ranges) error {
	return fmt.Errorf("%w: stream %s counts %d messages as there that its server cannot give, at positions %v: what it has stored is damaged, "+
		"and its log may say more. %s", ErrMissing, stream, undelivered.Count(), undelivered, missingWays)
}

// claims describes what the stream's id suggests. It never claims that the stream
// holds the same messages.
func claims(id, folded string) string {
	switch {
	case id == "" || folded == "":
		return ""
	case id == folded:
		return fmt.Sprintf(" (by its id %s it claims to be that one; what it holds is another matter)", id)
	}
	return fmt.Sprintf(" (its id is %s, and was %s)", id, folded)
}

// Guard compares a stream with the checkpoints of what was folded from it; it is an
// [engine.Guard]. A nil result lets the engine go on; every error is a refusal that
// names the ways out. A new generation, without a checkpoint yet, accepts any first
// position. Gaps inside the stream are not checked here but by counting: see
// [Client.Deleted] and [ReconcilingSource].
func Guard(info engine.StreamInfo, folded engine.StreamIdentity, lowest, highest uint64) error {
	switch {
	case info.Name != folded.Name:
		return fmt.Errorf("%w: it is %s, and the documents were folded from %s%s. %s", ErrOtherStream, info.Name, folded.Name,
			claims(info.ID, folded.ID), otherWays)
	case stamp(info.Created) != stamp(folded.Created):
		return fmt.Errorf("%w: %s was created %s, and the documents were folded from one that was created %s%s. %s", ErrRecreated,
			info.Name, stamp(info.Created), stamp(folded.Created), claims(info.ID, folded.ID), recreateWays)
	case info.ID != "" && folded.ID != "" && info.ID != folded.ID:
		return fmt.Errorf("%w: %s, created %s%s. %s", ErrOtherStream, info.Name, stamp(info.Created), claims(info.ID, folded.ID), otherWays)
	}
	if err := engine.CheckPartitions(info.Name, info.Partitions, folded.Partitions); err != nil {
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
