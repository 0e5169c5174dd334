package export

// Usage is how much of their room documents hold that are being sent, or were a
// moment ago and would give way. Documents of up to 16 KiB are not counted.
type Usage struct {
	Memory, MemoryLimit int64 // bytes
	Files, FilesLimit   int64 // bytes
	Waiting             int   // reads that wait for room
}

// Usage tells what is held of the room for documents that one statement reads,
// and of that for larger ones. Neither uses the other's room.
func (x *Reader) Usage() (medium, large Usage) {
	return x.medium.budget.usage(), x.large.budget.usage()
}

func (b *budget) usage() Usage {
	all, free, waiting := b.use()
	return Usage{Memory: all.memory - free.memory, MemoryLimit: all.memory, Files: all.files - free.files, FilesLimit: all.files, Waiting: waiting}
}
