package readmodel

import (
	"fmt"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// The states of a generation.
const (
	StateBuilding = "building" // a rebuild or a roll-back writes it
	StateLive     = "live"     // it is served; at most one is
	StateRetired  = "retired"  // it was live; a roll-back can bring it back
	StateFailed   = "failed"   // given up; nothing is written to it any more
)

// The storage formats. A generation keeps the one that it was made in.
const (
	// FormatPlain is the first format. Only those of its rows have a message count
	// and a digest that this program has written from the account's first message
	// on, or has verified since.
	FormatPlain = 1
	// FormatCounted has a count and a digest in every row. Programs that know of no
	// counts refuse to write it.
	FormatCounted = 2
	// FormatCurrent is the format of new generations. This program also writes all
	// earlier formats.
	FormatCurrent = FormatCounted
)

// Generation is one fold of the stream into tables of its own, as its row in
// export.generations describes it.
type Generation struct {
	Number        int64
	State         string // building, live, retired or failed
	Major, Minor  int    // projection version
	RefoldedMinor int    // the minor version that has last retried all that was parked
	Stream        engine.StreamIdentity
	Partitions    int
	Format        int        // storage format, [FormatPlain] or [FormatCounted]
	Segments      bool       // its pages may have compressed copies: not where an older program made it
	Incarnation   int        // goes up by one where positions came to mean other messages, since the stream was recreated
	Started       time.Time  // when it was created
	Finished      *time.Time // when it last went live or stopped being live, or was given up; nil until then
}

// Version is the generation's projection version, as major.minor.
func (g Generation) Version() string { return fmt.Sprintf("%d.%d", g.Major, g.Minor) }

// RollingBack tells whether a roll-back is bringing the generation to the end of
// the stream, or has begun to and was cut off: it was live before.
func (g Generation) RollingBack() bool { return g.State == StateBuilding && g.Finished != nil }

// FoldedFrom tells whether the generation was folded from the stream. Streams are
// told apart by name, time of creation (to the microsecond, which is what the
// table keeps) and, where both are known, id.
func (g Generation) FoldedFrom(stream engine.StreamInfo) bool {
	return g.Stream.Name == stream.Name && g.Stream.Created.Equal(stream.Created.Truncate(time.Microsecond)) &&
		(g.Stream.ID == "" || stream.ID == "" || g.Stream.ID == stream.ID)
}

// CheckCompatible refuses, by an [engine.ErrRefused], to go on with a generation
// that this program, on this stream, would fold differently.
func (g Generation) CheckCompatible(stream engine.StreamInfo) error {
	switch {
	case g.Format > FormatCurrent:
		return fmt.Errorf("%w: %w: generation %d is in storage format %d, and this program writes %d: run the newer program",
			engine.ErrRefused, engine.ErrVersion, g.Number, g.Format, FormatCurrent)
	case g.Major != projections.VersionMajor || g.Minor > projections.VersionMinor:
		return fmt.Errorf("%w: %w: generation %d was folded by projection version %s, and this program is %d.%d: "+
			"run the program that made it, or `projector rebuild`", engine.ErrRefused, engine.ErrVersion, g.Number, g.Version(),
			projections.VersionMajor, projections.VersionMinor)
	}
	// That the stream is another one matters more than its number of partitions,
	// and is for the engine's guard to say.
	if !g.FoldedFrom(stream) {
		return nil
	}
	if err := engine.CheckPartitions(stream.Name, stream.Partitions, g.Partitions); err != nil {
		return fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	return nil
}
