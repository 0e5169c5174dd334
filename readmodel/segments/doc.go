// Package segments keeps compressed copies of pages that have come to rest, for those
// who read large documents compressed: a segment is a run of pages, joined by commas, as
// whole bytes of a deflate stream. Package export puts a gzip body together of them.
//
// The pages stay what counts. A segment says which transactions have written its pages,
// and holds for as long as they are as those have left them ([export.SegmentHolds]). The
// statement that removes a page removes it, by a trigger of the database
// (migrations/016_segments.sql). So neither a projector nor an older program has to know
// of segments.
// Making one takes no transaction of a projector, and where it fails the document is
// compressed when it is read, as where there are none.
package segments
