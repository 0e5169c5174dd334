// Package enginetest checks implementations of the engine's interfaces: [TestStore] and
// [TestSharing] an [engine.Store], [TestSource] an [engine.Source]. They check what the
// comments of those interfaces promise, one subtest a promise. The tests of an
// implementation call them.
package enginetest
