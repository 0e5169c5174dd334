package projections

// The projection version of this program, see design §4. Minor goes up when the only
// change is that messages which were parked are now accepted; Major goes up for any
// other change by which the same stream folds to other bytes.
const (
	VersionMajor = 1
	VersionMinor = 0
)
