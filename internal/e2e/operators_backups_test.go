package e2e

import (
	"os"
	"path/filepath"
)

// backUpStream keeps a copy of the stream as it is now.
func (p *simulation) backUpStream() {
	p.withoutTraffic(func() { p.restoreBackup = p.backUpNATS(p.t) })
}

// restoreStream puts the stream back to where it was, and the erased with it.
func (p *simulation) restoreStream() {
	if p.restoreBackup == nil {
		p.backUpStream()
		p.erase(p.chooseToErase())
	}
	p.withoutTraffic(p.restoreBackup)
}

// loseTheEnd: the stream is put back to before its last messages, and nothing is
// published before the projector has seen it.
func (p *simulation) loseTheEnd() {
	gone := p.chooseToErase()
	p.backUpStream()
	p.erase(gone)
	p.must("rebuild", "--cutover=manual") // and nobody cuts over
	p.withoutTraffic(func() {
		p.restoreBackup()
		p.recoverByAdvice()
	})
}

// loseTheEndUnseen: the same, and the stream grows beyond where it was before any
// projector looks.
func (p *simulation) loseTheEndUnseen() {
	gone := p.chooseToErase()
	p.backUpStream()
	p.erase(gone)
	if p.rng.IntN(2) == 0 {
		p.must("rebuild", "--cutover=manual")
	}
	p.stop()
	had := p.last()
	p.withoutTraffic(p.restoreBackup)
	p.waitGrowth(had)
	p.start()
}

func (p *simulation) backUpDatabase() { p.databaseBackup = p.dumpDatabase(p.t) }

// restoreDatabase does what doc/operating.md says: the API is kept stopped, the ledger
// is imported, and whatever is said is done before it starts again.
func (p *simulation) restoreDatabase() {
	if p.databaseBackup == "" {
		p.backUpDatabase()
		p.erase(p.chooseToErase())
	}
	p.exportLedger()
	p.projector.kill()
	p.api.kill()
	p.putDatabaseBack()
}

// restoreBoth puts the database and the stream back to one moment before an
// erasure, of which the ledger's export alone tells.
func (p *simulation) restoreBoth() {
	gone := p.chooseToErase()
	p.backUpDatabase()
	p.backUpStream()
	p.erase(gone)
	p.projector.kill()
	p.api.kill()
	p.withoutTraffic(p.restoreBackup)
	p.lossAccepted = true // whoever restores both takes everybody back
	p.putDatabaseBack()
}

// putDatabaseBack is what doc/operating.md says of a restored database, while neither
// projector nor API run.
func (p *simulation) putDatabaseBack() {
	p.restoreDump(p.t, p.databaseBackup)
	file := filepath.Join(p.t.TempDir(), "ledger")
	p.noError(os.WriteFile(file, []byte(p.ledger), 0o600))
	if out, status := p.operate("provision"); status != 0 && status < 10 { // it migrates whatever it says of the stream
		p.t.Errorf("provision: exit %d: %s", status, lastLines(out))
	}
	p.must("erasures", "import", file)
	p.start()
	p.recoverByAdvice()
	p.startAPI()
}

// anotherProgram leaves the live generation as a program of another projection
// version would.
func (p *simulation) anotherProgram() {
	p.stop()
	column := []string{"version_major", "version_minor"}[p.rng.IntN(2)]
	_, err := p.pool.Exec(p.t.Context(), `UPDATE export.generations SET `+column+` = `+column+` + 1 WHERE state = 'live'`)
	p.noError(err)
	p.start()
}
