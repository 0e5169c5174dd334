package export

import (
	"accountexport/events"
)

const (
	maxWholeBytes  = 512 << 10 // bytes of a document that one statement reads
	maxWholePages  = 256       // sealed pages of it, as the statements say
	maxSharedBytes = 2 << 20   // bytes of all documents in one statement
)

// request is what is asked of an account: its row, and its document or not.
type request struct {
	account    events.UUID
	document   bool
	known      bool // its size is known from an earlier read, and one statement reads it
	flat       bool // known, and it had no pages
	size       int  // bytes of the document when it was last read; 0: unknown
	shareLimit int  // bytes of the document that a statement for several accounts reads at most; 0: the row alone
}

// readResult is an account's row, and its document where that was asked for and is
// not too long.
type readResult struct {
	meta  Meta
	pages int
	size  int    // bytes of the document; above maxWholeBytes where one statement does not read it
	body  []byte // nil where it was not read
}

// sizeTooLarge stands for a size that is unknown, and too large for one statement.
const sizeTooLarge = 1 << 30

// unknownSizeLimit is how much of a document is read together with others where
// nothing is known of it: nearly all are shorter. One that is longer is read
// again, and its size is known then.
const unknownSizeLimit = 32 << 10

// sizeCacheEntries bounds the accounts whose documents' sizes are remembered.
const sizeCacheEntries = 1 << 15

// newRequest asks for a document by what is known of it from earlier reads. Of one
// that is too large for one statement it asks for the row alone.
func (x *Reader) newRequest(account events.UUID) request {
	r := request{account: account, document: true, shareLimit: unknownSizeLimit}
	size, known := x.sizes.Get(account)
	switch {
	case !known:
	case max(size, -size) > maxWholeBytes:
		r.document, r.shareLimit = false, 0
	case size < 0: // without pages
		r.known, r.flat, r.size, r.shareLimit = true, true, -size, unknownSizeLimit-size
	default:
		r.known, r.size, r.shareLimit = true, size, min(maxWholeBytes, size+size/4+4<<10)
	}
	return r
}

// rememberSize notes the size of an account's document, below zero where it has no
// pages. What is noted may be wrong by the next read: it decides how a document is
// read, and never what is read.
func (x *Reader) rememberSize(account events.UUID, f readResult) {
	size := f.size
	if f.pages == 0 {
		size = -size
	}
	if f.meta.State == Complete && size != 0 {
		x.sizes.Add(account, size)
	}
}
