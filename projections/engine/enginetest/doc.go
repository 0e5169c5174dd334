// Package enginetest checks implementations of the engine's interfaces:
// [TestStore] an [engine.Store], and [TestSource] an [engine.Source]. What they
// check is what the comments of those interfaces promise, one subtest a promise.
// They are meant to be called by the tests of the implementation.
package enginetest
