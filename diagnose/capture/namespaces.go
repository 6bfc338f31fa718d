package capture

// Namespace is one network namespace of the machine.
type Namespace struct {
	// Name is what Open takes: "" for the own one, a name of `ip netns`, a path,
	// or the id of a process.
	Name  string
	Inode uint64
	// Names are all names and paths that it has.
	Names []string
	// Processes are how many are in it, as far as can be seen, and First the
	// first of them: the lowest ids.
	Processes int
	First     []Process
}

// Process is one that runs.
type Process struct {
	PID  int
	Comm string // as the kernel has it: 15 bytes at most, of the process's choosing
}

// firstProcesses is how many of a namespace are named.
const firstProcesses = 4
