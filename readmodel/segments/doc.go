// Package segments keeps compressed copies of pages that have come to rest, for those
// who read large documents compressed: a segment is a run of pages, joined by commas, as
// whole bytes of a deflate stream. Package export puts a gzip body together of them.
//
// The pages stay what counts. A segment is void by the statement that changes one of
// its pages, and removed by one that removes one, by a trigger of the database (migrations/016_segments.sql), so
// that neither a projector nor an older program nor an erasure has to know of segments.
// Making one takes no transaction of a projector, and where it fails the document is
// compressed when it is read, as where there are none.
package segments
