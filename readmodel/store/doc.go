// Package store is the read model as the engine writes it
// ([accountexport/projections/engine.Store]).
//
// [Store.Commit] writes a batch in one transaction, fenced by position and epoch.
// [NewStore] shares the live generation's partitions with all other replicas,
// whose heartbeats stand in export.members; [NewBuilder] builds a generation
// beside it, and [NewRollback] brings a retired one to the stream's end. Those
// commit asynchronously, since documents and checkpoint are lost or kept
// together. Who waits for positions or partitions is notified after commits,
// never in them.
//
// Anything may fail at any time: the engine then drops what it holds in memory and
// calls [Store.Acquire] again.
package store
