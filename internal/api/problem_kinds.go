package api

import "accountexport/readmodel/export"

// problemsByKind says how each kind of failure of the read model is answered. It has
// a row for every kind: TestEveryErrorKindHasAProblem fails for one without, so that a
// new kind cannot pass for an unavailable database.
var problemsByKind = map[export.ErrorKind]*problem{
	export.Unavailable:    problemUnavailable,
	export.Busy:           problemBusy,
	export.NotProvisioned: problemNotSetUp,
	export.SpoolFailed:    problemNoRoom,
	export.ShuttingDown:   problemEnding,
}
