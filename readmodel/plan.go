package readmodel

// byKeys begins the statements of a [Store], and holds until the end of their
// transaction: they go by primary keys. Planned while a generation is new, some
// would otherwise go through whole tables until the next ANALYZE. A statement
// whose table has no fitting index then seems to cost ten thousand million,
// which is no reason to compile it.
//
// Nothing is set for a session. What is not of a store, the heartbeat of
// [membership] above all, is planned as the server sees fit, and the settings
// pass through any pooler.
const byKeys = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// atEase begins a transaction that may be lost when the server crashes, as long
// as what is committed after it is lost, too.
const atEase = `SELECT set_config('synchronous_commit', 'off', true)`
