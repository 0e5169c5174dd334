package console

import (
	"context"
	"slices"

	"accountexport/internal/acts"
)

// join records that a user has asked for an act that somebody else had begun, and that was
// running. It is a line of theirs, which ends as the act does: whoever asks for an act is
// on record. Where it cannot be written, they are not told of the act.
func (c *Console) join(ctx context.Context, user, what string, p *prepared, running *job) error {
	if running.isOf(user) {
		return nil
	}
	detail := p.detail
	if detail != "" {
		detail += ", "
	}
	line, err := c.recorder(user).Begin(ctx, what, p.account, detail+"joined, as it was running")
	if err != nil {
		return err
	}
	running.mu.Lock()
	running.joined = append(running.joined, user)
	running.mu.Unlock()
	if c.jobs.goWith(func(ctx context.Context) {
		<-running.done // which the end of the program has it be, too
		running.mu.Lock()
		err := running.err
		running.mu.Unlock()
		line.End(ctx, asOutcome(err))
	}) != nil {
		return ending("Nothing was begun. ")
	}
	return nil
}

// isOf tells whether a user has asked for an act.
func (j *job) isOf(user string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.User == user || slices.Contains(j.joined, user)
}

// lookAtJob records that somebody looks at what an act of another says of an account. An act's
// own line is that of those who have asked for it.
func (c *Console) lookAtJob(ctx context.Context, user string, j *job) error {
	if j.about == nil || j.isOf(user) {
		return nil
	}
	return c.recordLook(ctx, user, *j.about, acts.AccountViewed, "by an act of another", true)
}
