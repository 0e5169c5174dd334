package console

import (
	"context"
	"net/url"

	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// pauseAct pauses projecting, as `projector pause` does.
func pauseAct() act {
	return act{name: "pause", what: acts.Pause, prepare: func(c *Console, given url.Values) (*prepared, error) {
		note, err := optionalNote(given)
		if err != nil {
			return nil, err
		}
		return &prepared{title: "Pause projecting", do: func(ctx context.Context, j *job) error {
			p, already, err := admin.Pause(ctx, c.cfg.Pool, j.User, note)
			if err != nil {
				return err
			}
			if already {
				j.conclude(nil, "Projecting was paused already, %s.", p.String())
			} else {
				j.conclude(nil, "Projecting is paused: no checkpoint moves until it is resumed.")
			}
			return nil
		}}, nil
	}}
}

// resumeAct ends a pause, as `projector resume` does.
func resumeAct() act {
	return act{name: "resume", what: acts.Resume, prepare: func(c *Console, _ url.Values) (*prepared, error) {
		return &prepared{title: "Resume projecting", do: func(ctx context.Context, j *job) error {
			was, err := admin.Resume(ctx, c.cfg.Pool)
			if err != nil {
				return err
			}
			if was == nil {
				j.conclude(nil, "Projecting was not paused.")
			} else {
				j.conclude(nil, "Projecting goes on.")
			}
			return nil
		}}, nil
	}}
}
