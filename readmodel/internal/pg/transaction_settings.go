package pg

// byKeys begins the statements of a [accountexport/readmodel/store.Store], and holds until the end of their
// transaction: they go by primary keys. Planned while a generation is new, some
// would otherwise go through whole tables until the next ANALYZE. A statement
// whose table has no fitting index then seems to cost ten thousand million,
// which is no reason to compile it.
//
// No planner setting is made for a session. What is not of a store, the
// heartbeat of [membership] above all, is planned as the server sees fit, and
// these settings pass through any pooler.
const PreferIndexes = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// atEase has the transaction commit without waiting for the disk: for what may
// be lost when the server crashes.
const AsyncCommit = `SELECT set_config('synchronous_commit', 'off', true)`
