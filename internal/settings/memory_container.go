package settings

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// MemoryOrigin says where a program's limit of memory comes from.
type MemoryOrigin struct {
	Setting   string // MEMORY_LIMIT or API_MEMORY_LIMIT
	Given     bool   // by the setting
	Container Bytes  // what the container may use; 0: no limit is known
	Unread    error  // why the container's limit could not be read; nil where it was, or there is none
}

// containerFunc is containerLimit, or what a test has in its place.
type containerFunc func() (Bytes, error)

// containerLimit returns how many bytes the container may use that this process runs in,
// or any unit or slice of systemd's: the least of the limits of its control group and of
// those above it, of version 1 or 2. It is 0 where there is none, as on other systems than
// Linux.
func containerLimit() (Bytes, error) {
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return 0, nil
	case err != nil:
		return 0, err
	case limit > 1<<62: // more than there is, however it is written
		return 0, nil
	}
	return Bytes(limit), nil
}

// originOf looks at the container's limit. Where the setting is not given, it lowers limit,
// which then is the default, to 80 % of the container's: the rest is for what the operating system
// counts as the container's beside the process, such as the pages of files that it
// writes. It returns a problem where that is less than the program needs.
func originOf(setting string, values map[string]string, limit *Bytes, least Bytes, container containerFunc) (MemoryOrigin, error) {
	o := MemoryOrigin{Setting: setting, Given: values[setting] != ""}
	o.Container, o.Unread = container()
	if o.Given || o.Container == 0 {
		return o, nil
	}
	share := o.Container / 5 * 4
	if share < least {
		return o, fmt.Errorf("%s is not set, and 80 %% of what this container may use, %d bytes, is %d, less than the %d that the program needs: "+
			"let the container have at least %d bytes, or set %s to no less than %d, which leaves nothing in reserve",
			setting, o.Container, share, least, least/4*5, setting, least)
	}
	*limit = min(*limit, share)
	return o, nil
}

// Report writes what the limit is, and where it comes from, to the log, and warns of one that is
// greater than what the container may use: the kernel would kill the program before.
func (o MemoryOrigin) Report(log *slog.Logger, limit Bytes) {
	from := "the default"
	switch {
	case o.Given:
		from = o.Setting
	case o.Container > 0 && limit == o.Container/5*4:
		from = "80 % of what the container may use"
	}
	about := []any{"bytes", int64(limit), "from", from}
	if o.Container > 0 {
		about = append(about, "container_bytes", int64(o.Container))
	}
	log.Info("memory limit", about...)
	if o.Unread != nil {
		log.Warn("what the container may use could not be read, so the memory limit does not depend on it", "error", o.Unread)
	}
	if o.Container > 0 && limit > o.Container {
		log.Warn("the memory limit is more than the container may use: the kernel kills the program before it notices; lower the one or raise the other",
			"setting", o.Setting, "bytes", int64(limit), "container_bytes", int64(o.Container))
	}
}
