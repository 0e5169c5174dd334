package e2e

import (
	"os"
	"path/filepath"
)

// backUpStream keeps a copy of the stream as it is now.
func (p *simulation) backUpStream() {
	p.withoutTraffic(func() { p.restoreBackup = p.backUpNATS(p.t) })
}

// restoreStream restores the stream as it was backed up, with accounts that were erased since.
func (p *simulation) restoreStream() {
	if p.restoreBackup == nil {
		p.backUpStream()
		p.erase(p.chooseToErase())
	}
	p.withoutTraffic(p.restoreBackup)
}

// loseTheEnd restores the stream to before its last messages, and nothing is published until the
// projector has noticed.
func (p *simulation) loseTheEnd() {
	gone := p.chooseToErase()
	p.backUpStream()
	p.erase(gone)
	p.must("rebuild", "--cutover=manual") // built, and not cut over to
	p.withoutTraffic(func() {
		p.restoreBackup()
		p.recoverByAdvice()
	})
}

// loseTheEndUnseen does so while no projector runs, and the stream grows beyond its former end
// before one starts.
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

// restoreDatabase follows doc/operating.md: the API is stopped, the ledger is imported, and every
// refusal is followed before the API starts again.
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

// restoreBoth restores database and stream to one moment before an erasure, of which only the
// ledger's export tells.
func (p *simulation) restoreBoth() {
	gone := p.chooseToErase()
	p.backUpDatabase()
	p.backUpStream()
	p.erase(gone)
	p.projector.kill()
	p.api.kill()
	p.withoutTraffic(p.restoreBackup)
	p.lossAccepted = true // restoring both takes every document back
	p.putDatabaseBack()
}

// putDatabaseBack does what doc/operating.md says of a restored database, while neither projector
// nor API run.
func (p *simulation) putDatabaseBack() {
	p.restoreDump(p.t, p.databaseBackup)
	file := filepath.Join(p.t.TempDir(), "ledger")
	p.noError(os.WriteFile(file, []byte(p.ledger), 0o600))
	if out, status := p.operate("provision"); status != 0 && status < 10 { // it migrates the database even if it refuses the stream
		p.t.Errorf("provision: exit %d: %s", status, lastLines(out))
	}
	p.must("erasures", "import", file)
	p.start()
	p.recoverByAdvice()
	p.startAPI()
}

// anotherProgram makes the live generation one of another projection version.
func (p *simulation) anotherProgram() {
	p.stop()
	column := []string{"version_major", "version_minor"}[p.rng.IntN(2)]
	_, err := p.pool.Exec(p.t.Context(), `UPDATE export.generations SET `+column+` = `+column+` + 1 WHERE state = 'live'`)
	p.noError(err)
	p.start()
}
