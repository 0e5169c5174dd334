// Package importer publishes a file of events, a line each, so that each line is
// published exactly once, however often the program is killed and begun again.
//
// What is done is kept in a progress file. It is written, and on disk, before each
// window of lines: which lines are published, which are being published now, from
// which position of the stream on those are to be searched for, of which stream,
// and the digest of the input up to either place. Begun again, the input is read
// from its start, without being published, up to where the digest was taken: it
// must be the same there. The lines of the window that was under way are searched
// for in the stream before they are published, by package ingest, which relies on
// no window for duplicates. What comes behind that may have been changed.
//
// A file is checked whole before anything of it is published. What comes through a
// pipe is checked as it comes.
package importer
