package readmodel

import "errors"

// ErrNotFound means that there is nothing under the given key.
var ErrNotFound = errors.New("not found")

// ErrSchemaOutdated means that the database was not migrated for this program.
var ErrSchemaOutdated = errors.New("the database's schema is older than this program: `projector provision` brings it up to date")

// ErrLive means that what is asked for cannot be done to the live generation.
var ErrLive = errors.New("the generation is live")

// ErrNoGeneration means that no generation is live: nothing was projected yet.
var ErrNoGeneration = errors.New("no generation is live")
