package rows_test

import (
	"os"
	"testing"

	"accountexport/internal/local/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
