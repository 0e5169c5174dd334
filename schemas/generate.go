//go:build ignore

// Generate writes the files of package schemas; "go generate ./schemas" runs it.
package main

import (
	"log"
	"os"

	"accountexport/schemas/internal/generate"
)

func main() {
	description, err := os.ReadFile("../internal/api/openapi.json")
	if err != nil {
		log.Fatal(err)
	}
	files, err := generate.Files(description)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.RemoveAll("events"); err != nil { // types that are no more
		log.Fatal(err)
	}
	if err := os.Mkdir("events", 0o755); err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
