package e2e

import (
	"net"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/workload"
)

// exitRehearsals are those of the exit statuses.
func exitRehearsals() map[string]rehearsal {
	// refuses has everything run, damages it, and waits until the projector has ended with a status.
	refuses := func(status int, damage func(t *testing.T, o *onCall)) func(t *testing.T) *onCall {
		return func(t *testing.T) *onCall {
			t.Helper()
			o := healthy(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			damage(t, o)
			o.systemdDoes(t, "start", "accountexport-projector")
			o.unit("accountexport-projector").process.mustExit(t, status)
			return o
		}
	}
	return map[string]rehearsal{
		"Exit 0: done, or asked to end": {quick: true, situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			return o
		}},
		"Exit 1: failed": addressInUse(),
		"Exit 2: called wrongly, or settings that cannot be used": {situation: wrongSetting, byHand: rightSetting},
		"Exit 10: another projection version": {situation: func(t *testing.T) *onCall {
			newer := buildProjector(t, sourceChange{"projections/version.go", "VersionMajor = 1", "VersionMajor = 2"})
			o := newOnCall(t, newSystem(t))
			unit := o.unit("accountexport-projector")
			right := unit.program
			unit.program = newer
			o.systemdDoes(t, "start", "accountexport-projector")
			o.publishComplete(t, uuid(t, someone))
			o.waitProjected(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			unit.program = right
			o.systemdDoes(t, "start", "accountexport-projector")
			unit.process.mustExit(t, 10)
			return o
		}},
		"Exit 11: another stream": {situation: refuses(11, func(t *testing.T, o *onCall) {
			if _, err := jetStream(t, o.nats.URL()).CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}, SubjectTransform: partitioned(16)}); err != nil {
				t.Fatal(err)
			}
			o.edit(t, "", "STREAM=\"OTHER\"\n")
		}), byHand: func(t *testing.T, o *onCall) { o.edit(t, "STREAM=\"OTHER\"\n", "") }},
		"Exit 12: the stream was recreated": {situation: refuses(12, func(t *testing.T, o *onCall) {
			o.recreateWith(t, o.readMessages(t))
		})},
		"Exit 13: the stream ends before the checkpoint": {situation: refuses(13, func(t *testing.T, o *onCall) {
			restore := o.backUpNATS(t)
			o.systemdDoes(t, "start", "accountexport-projector")
			o.publishAndWait(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			restore()
		})},
		"Exit 14: the stream begins after the checkpoint": {situation: refuses(14, func(t *testing.T, o *onCall) {
			o.mustPublish(t, workload.New(55, workload.Config{Accounts: 5}), 50)
			o.purge(t, o.info(t).Last-5)
		}), after: func(t *testing.T, o *onCall) {
			o.mustRun(t, 1, "", "verify", "--all") // it names the accounts that lack something
		}},
		"Exit 15: another number of partitions": {situation: refuses(15, func(t *testing.T, o *onCall) { o.repartition(t, 8) }),
			after: func(t *testing.T, o *onCall) { o.checkAgainstOracle(t) }},
		"Exit 16: the stream holds another message than was folded": {situation: refuses(16, func(t *testing.T, o *onCall) {
			restore := o.backUpNATS(t)
			o.systemdDoes(t, "start", "accountexport-projector")
			o.publishAndWait(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			restore()
			o.restartNATS(t)
			o.publishMarked(t, another, 60)
		}), after: func(t *testing.T, o *onCall) { o.checkAgainstOracle(t) }},
		"Exit 17: erasures are missing": {quick: true, situation: refuses(17, func(t *testing.T, o *onCall) { o.importErasure(t, someone) }),
			after: func(t *testing.T, o *onCall) { o.checkErased(t, someone) }},
		"Exit 18: messages are missing": {quick: true, situation: refuses(18, func(t *testing.T, o *onCall) { o.deleteMessage(t, 5) })},
	}
}

// addressInUse is a projector whose address another program has by the time that it starts.
func addressInUse() rehearsal {
	listeners := map[*onCall]net.Listener{}
	return rehearsal{
		situation: func(t *testing.T) *onCall {
			o := healthy(t)
			o.systemdDoes(t, "stop", "accountexport-projector")
			listener, err := net.Listen("tcp", o.addresses["9091"])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			listeners[o] = listener
			o.systemdDoes(t, "start", "accountexport-projector")
			o.unit("accountexport-projector").process.mustExit(t, 1)
			return o
		},
		byHand: func(_ *testing.T, o *onCall) { listeners[o].Close() },
	}
}
