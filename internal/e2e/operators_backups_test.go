package e2e

import (
	"os"
	"path/filepath"
)

// backUpStream keeps a copy of the stream as it is now.
func (p *crowd) backUpStream() {
	p.withoutTraffic(func() { p.restoreBackup = p.backUp(p.t) })
}

// restoreStream puts the stream back to where it was, and the erased with it.
func (p *crowd) restoreStream() {
	if p.restoreBackup == nil {
		p.backUpStream()
		p.erase(p.leaves())
	}
	p.withoutTraffic(p.restoreBackup)
}

// loseTheEnd: the stream is put back to before its last messages, and nothing is
// published before the projector has seen it.
func (p *crowd) loseTheEnd() {
	gone := p.leaves()
	p.backUpStream()
	p.erase(gone)
	p.must("rebuild", "--cutover=manual") // and nobody cuts over
	p.withoutTraffic(func() {
		p.restoreBackup()
		p.heal()
	})
}

// loseTheEndUnseen: the same, and the stream grows beyond where it was before any
// projector looks.
func (p *crowd) loseTheEndUnseen() {
	gone := p.leaves()
	p.backUpStream()
	p.erase(gone)
	if p.rng.IntN(2) == 0 {
		p.must("rebuild", "--cutover=manual")
	}
	p.stop()
	had := p.last()
	p.withoutTraffic(p.restoreBackup)
	p.grows(had)
	p.run()
}

func (p *crowd) backUpDatabase() { p.databaseBackup = p.dump(p.t) }

// restoreDatabase does what doc/operating.md says: the API is kept stopped, the ledger
// is imported, and whatever is said is done before it starts again.
func (p *crowd) restoreDatabase() {
	if p.databaseBackup == "" {
		p.backUpDatabase()
		p.erase(p.leaves())
	}
	p.exportLedger()
	p.projector.kill()
	p.api.kill()
	p.putDatabaseBack()
}

// restoreBoth puts the database and the stream back to one moment before an
// erasure, of which the ledger's export alone tells.
func (p *crowd) restoreBoth() {
	gone := p.leaves()
	p.backUpDatabase()
	p.backUpStream()
	p.erase(gone)
	p.projector.kill()
	p.api.kill()
	p.withoutTraffic(p.restoreBackup)
	p.loose = true // whoever restores both takes everybody back
	p.putDatabaseBack()
}

// putDatabaseBack is what doc/operating.md says of a restored database, while neither
// projector nor API run.
func (p *crowd) putDatabaseBack() {
	p.undump(p.t, p.databaseBackup)
	file := filepath.Join(p.t.TempDir(), "ledger")
	p.must2(os.WriteFile(file, []byte(p.ledger), 0o600))
	if out, status := p.operate("provision"); status != 0 && status < 10 { // it migrates whatever it says of the stream
		p.t.Errorf("provision: exit %d: %s", status, lastLines(out))
	}
	p.must("erasures", "import", file)
	p.run()
	p.heal()
	p.startAPI()
}

// anotherProgram leaves the live generation as a program of another projection
// version would.
func (p *crowd) anotherProgram() {
	p.stop()
	column := []string{"version_major", "version_minor"}[p.rng.IntN(2)]
	_, err := p.pool.Exec(p.t.Context(), `UPDATE export.generations SET `+column+` = `+column+` + 1 WHERE state = 'live'`)
	p.must2(err)
	p.run()
}
