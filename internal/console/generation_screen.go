package console

import "github.com/gorilla/mux"

// routeGenerations adds the screens of this file.
func (c *Console) routeGenerations(m *mux.Router) {}

// generationActs are the acts on generations.
func generationActs() []act { return nil }
