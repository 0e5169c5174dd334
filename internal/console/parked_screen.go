package console

import "github.com/gorilla/mux"

// routeParked adds the screens of this file.
func (c *Console) routeParked(m *mux.Router) {}

// parkedActs are the acts on parked messages.
func parkedActs() []act { return nil }
