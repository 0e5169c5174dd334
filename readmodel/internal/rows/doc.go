// Package rows has the statements that write a batch to the tables of a
// generation. [accountexport/readmodel/store] writes with them what the engine
// commits, and [accountexport/readmodel/admin] what a refold or an erasure makes.
//
// A batch is written by [QueueBatch] or [ExecBatch], statement by statement, or by
// [CopyBatch], which writes by COPY what is new. All three write the same rows in
// the same order, and the fence comes first: export.advance_checkpoints fails
// where a checkpoint is not at the position and epoch that the batch goes on from,
// and where projecting is paused. Nothing here begins or commits a transaction:
// after an error the caller rolls back.
//
// They write export.checkpoints, export.erasures, export.dismissals,
// export.undismissals, export.audit and the generation's own tables.
package rows
