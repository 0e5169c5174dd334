package projections

// Version is the projection version of this program, see design §4: Minor
// goes up when the only change is that messages which were parked are now
// accepted, Major for whatever else folds the same stream to other bytes.
const (
	VersionMajor = 1
	VersionMinor = 0
)
