package readmodel

import "context"

// MigrateTo brings the database to an older version of the schema.
func MigrateTo(ctx context.Context, url string, version int32) error {
	return migrateTo(ctx, url, version)
}
