// Package acts holds what operators do to a stream and to the read model that was
// folded from it. cmd/projector is one front end of it; a page could be another.
//
// # The pattern
//
// An act is a value: [Acceptor], [Eraser], [ErasureReplay], [ParkedSelection],
// [Rebuilder], [Refolder], [StatusMonitor], [Verifier], [Auditor], [LedgerChecker].
//
//   - Its [Target], or its Pool, says what it is done to. Beside it stand the options,
//     exported fields that are set before the first method is called.
//   - Callbacks are fields whose names begin with On. They tell progress and results on
//     the way. The method that runs calls them, one at a time, and waits for them. An
//     error of a callback that returns one ends the method.
//   - Each step is a method. The type's comment says which may follow which, and which
//     may be repeated. One method runs at a time; none returns before the goroutines
//     that it has started have ended.
//   - Results are returned, or are exported fields that the methods set. They are typed:
//     what a person is to read is put into words by the front end, and so is JSON that
//     is no contract of the act itself, as a [Receipt] is.
//   - It prints nothing, logs only to a logger that is one of its options, asks nobody,
//     and ends no process. Where somebody has to confirm, a method returns what there is to
//     confirm, and another one does it; or an option such as Yes says that it was.
//
// # When something fails
//
// Every act may be cut off anywhere and done again, and several at once, of one kind or
// of several, do no harm. An error that [IsRefusal]
// recognises means that `projector run` would refuse the stream, too: nothing is
// written by that stream from then on. Any other error may have come in the middle.
// What was committed stays in either case, and a repetition does the rest.
package acts
