package capture

// Loss is a thing of an entry that Insert does not bring back, and why.
type Loss struct{ What, Why string }

// InsertLoses is all of an entry that a delete and an insert change.
var InsertLoses = []Loss{
	{"id", "the kernel makes it from the address of the entry in memory"},
}
