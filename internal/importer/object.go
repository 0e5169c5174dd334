package importer

import "accountexport/events"

// ParseObject reads a line that is an object of subject, headers and either data or
// data_base64, as an import takes it. It does not decode the event.
func ParseObject(line []byte) (events.Message, error) {
	members, err := object(line)
	if err != nil {
		return events.Message{}, err
	}
	return envelope(members)
}
